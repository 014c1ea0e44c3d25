"""pbweb.copyables: dataclasses, Structs and models that cross by value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pydantic
import pytest

import pbweb as pb
from pbweb.errors import InsecureJelly, LimitExceeded
from tests.unit.paired import run_paired

REGISTRY = pb.Registry()
copyable = pb.copyable(registry=REGISTRY)


@copyable
@dataclass
class Person:
    name: str
    friends: list[Person] = field(default_factory=list)
    best: Person | None = None
    age: int = 18
    place: tuple[int, int] = (0, 0)

    made = 0

    def __post_init__(self) -> None:
        type(self).made += 1


@copyable
@dataclass(frozen=True, slots=True)
class Fixed:
    x: int
    y: float = 0.5


@copyable
@dataclass
class Employee(Person):
    salary: int = 0

    def getStateToCopyFor(self, perspective: Any) -> Any:
        state = self.getStateToCopy()
        del state["salary"]
        return state


@copyable
class Part(msgspec.Struct, rename="camel", tag="part"):
    part_number: int
    size: tuple[int, ...] = ()
    owner: Person | None = None
    parts: list[Part] = []


@copyable
class Order(pydantic.BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    number: int = pydantic.Field(alias="orderNumber", gt=0)
    items: list[str] = []
    again: Order | None = None
    by: Person | None = None


@copyable
@dataclass
class SoldOut(pb.Error):
    item: str
    left: int = 0


class Root(pb.Root):
    def __init__(self) -> None:
        self.given: tuple[Any, ...] = ()

    def remote_echo(self, *values: Any) -> list[Any]:
        self.given = values
        return list(values)

    def remote_fail(self, left: Any) -> None:
        raise SoldOut("tea", left)


def across(*values: Any) -> list[Any]:
    """*values* after one call and its answer."""
    answers: list[Any] = []

    async def body(both: Any) -> None:
        answers.extend(await both.root.callRemote("echo", *values))

    run_paired(Root(), body, registry=REGISTRY)
    return answers


def refusal(value: Any) -> str:
    """What the receiver says of *value*; the call after it is answered."""
    said: list[str] = []

    async def body(both: Any) -> None:
        with pytest.raises(InsecureJelly) as caught:
            await both.root.callRemote("echo", value)
        said.append(str(caught.value))
        assert await both.root.callRemote("echo", 1) == [1]

    run_paired(Root(), body, registry=REGISTRY)
    return said[0]


@pytest.mark.parametrize(
    "value",
    [
        Person("a", age=3, place=(1, 2)),
        Person("a", [Person("b"), Person("c", [Person("d")])]),
        Fixed(1),
        Fixed(1, 2.0),
        Part(1, (1, 2), Person("a"), [Part(2)]),
        Order(orderNumber=1, items=["tea"], again=Order(orderNumber=2), by=Person("a")),
    ],
    ids=repr,
)
def test_it_arrives_equal_and_as_another_one(value):
    [arrived] = across(value)
    assert arrived == value
    assert arrived is not value
    assert type(arrived) is type(value)


def test_what_is_one_object_arrives_as_one():
    person = Person("a")
    part = Part(1, owner=person)
    one, two, made, again = across(person, [person], part, part)
    assert one is two[0] is made.owner
    assert made is again


def test_it_can_stand_inside_itself():
    person = Person("a")
    person.best = person
    person.friends.append(person)
    order = Order(orderNumber=1, by=person)
    order.again = order
    arrived, model = across(person, order)
    assert arrived.best is arrived is arrived.friends[0] is model.by
    assert model.again is model


def test_a_struct_needs_its_complete_state_and_says_so():
    part = Part(1)
    part.parts.append(part)
    assert "stands inside itself" in refusal(part)


def test_no_init_is_called():
    person = Person("a")
    before = Person.made
    across(person)
    assert Person.made == before


def changed(value: Any, **attributes: Any) -> Any:
    """*value*, with *attributes* that its class would not let in."""
    for name, attribute in attributes.items():
        set_it = object.__setattr__ if isinstance(value, Fixed) else setattr
        set_it(value, name, attribute)
    return value


HERE = __name__


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (changed(Person("a"), name=1), f"{HERE}.Person: the field name must be str, not int"),
        (Person("a", [1]), f"{HERE}.Person: the field friends[0] must be Person, not int"),  # type: ignore[list-item]
        (changed(Person("a"), best=3), "the field best must be Person or None, not int"),
        (changed(Person("a"), place=(1,)), "the field place must be tuple of 2, not list"),
        (changed(Fixed(1), x="1"), f"{HERE}.Fixed: the field x must be int, not str"),
        (
            changed(Part(1), part_number="1"),
            f"{HERE}.Part: Expected `int`, got `str` - at `$.partNumber`",
        ),
        (
            changed(Order(orderNumber=1), number=0),
            f"{HERE}.Order: the field number does not fit: Input should be",
        ),
        (changed(Order(orderNumber=1), items=[[]]), "the field items.0 does not fit"),
        (Person("a", [Person("b", [Person(3)])]), f"{HERE}.Person: the field name must be str"),  # type: ignore[arg-type]
    ],
    ids=lambda it: str(it)[-40:],
)
def test_a_field_that_does_not_fit_is_a_failure_that_names_it(value, said):
    assert said in refusal(value)


@dataclass
class Stranger(pb.Copyable):
    """Has any state and any type."""

    type: str
    state: Any

    def getTypeToCopy(self) -> str:
        return f"{HERE}.{self.type}"

    def getStateToCopy(self) -> Any:
        return self.state


@pytest.mark.parametrize(
    ("type", "state", "said"),
    [
        ("Person", {}, "Person: the field name is missing"),
        ("Person", {"name": "a", "more": 1}, "Person has no field 'more'"),
        ("Person", {"name": "a", 1: 1}, "Person has no field 1"),
        (
            "Person",
            ["a"],
            "the state of a tests.unit.test_copyables.Person is a dict of its fields, not list",
        ),
        ("Person", None, "a dict of its fields, not NoneType"),
        ("Part", {"size": []}, "Part: Object missing required field `partNumber`"),
        ("Part", {"partNumber": 1}, "Part has no field 'partNumber'"),
        ("Part", {"part_number": 1, "more": 1}, "Part has no field 'more'"),
        ("Part", 3, "a dict of its fields, not int"),
        ("Order", {}, "Order: the field number does not fit: Field required"),
        ("Order", {"number": 1, "more": 1}, "Order has no field 'more'"),
        ("Order", [], "a dict of its fields, not list"),
        (
            "Nobody",
            {},
            "no class is registered here for copies of the type 'tests.unit.test_copyables.Nobody'",
        ),
    ],
)
def test_a_state_that_does_not_fit(type, state, said):
    assert said in refusal(Stranger(type, state))


def test_what_is_missing_and_has_a_default_is_taken_from_it():
    person, part, order = across(
        Stranger("Person", {"name": "a"}),
        Stranger("Part", {"part_number": 1}),
        Stranger("Order", {"number": 1}),
    )
    assert person == Person("a")
    assert part == Part(1)
    assert order == Order(orderNumber=1)
    assert person.friends is not Person("b").friends


def test_the_class_s_own_hooks_stay():
    [arrived] = across(Employee("a", salary=7))
    assert arrived == Employee("a", salary=0)


def test_a_subclass_has_all_fields():
    registry = pb.Registry()

    @pb.copyable(registry=registry)
    @dataclass
    class Manager(Person):
        bonus: int = 1

    assert set(Manager("a").getStateToCopy()) == {
        "name", "friends", "best", "age", "place", "bonus",
    }  # fmt: skip


def test_a_name_of_its_own():
    registry = pb.Registry()

    @pb.copyable(name="shop.Item", registry=registry)
    @dataclass
    class Item:
        price: int

    assert Item(1).getTypeToCopy() == "shop.Item"  # type: ignore[attr-defined]
    assert registry.classes == {"shop.Item": Item}


def test_by_default_the_application_s_registry_is_used():
    from pbweb.flavors import REGISTRY as default

    @pb.copyable
    @dataclass
    class Local:
        x: int

    name = f"{HERE}.{Local.__qualname__}"
    assert default.classes.pop(name) is Local
    del default.makers[name]


def test_setCopyableState_checks_too():
    person = Person.__new__(Person)
    person.setCopyableState({"name": "a"})  # type: ignore[attr-defined]
    assert person == Person("a")
    with pytest.raises(InsecureJelly):
        person.setCopyableState({"name": 1})  # type: ignore[attr-defined]


@pytest.mark.parametrize("thing", [int, 3, type("Plain", (), {}), Person("a"), lambda: None])
def test_what_is_none_of_the_three_kinds(thing):
    with pytest.raises(TypeError, match="takes a dataclass, a msgspec Struct or a pydantic model"):
        copyable(thing)


def test_what_crosses_as_a_reference_does_not_cross_by_value():
    with pytest.raises(TypeError, match="Thing crosses as a reference already"):
        copyable(dataclasses.make_dataclass("Thing", [("x", int)], bases=(pb.Referenceable,)))


def test_a_subclass_that_is_no_dataclass_itself():
    with pytest.raises(TypeError, match="put @dataclass under it"):
        copyable(type("Sub", (Person,), {}))


def test_an_annotation_that_cannot_be_checked_is_told_at_the_class():
    bad = dataclasses.make_dataclass("Bad", [("call", Callable[[int], str])])
    with pytest.raises(TypeError, match=r"the field call of .*Bad: .*Callable.* cannot be checked"):
        copyable(bad)


def test_a_class_that_comes_later_is_found_when_it_is_needed():
    [arrived] = across(Early(Late(1)))
    assert arrived == Early(Late(1))
    assert refusal(changed(Early(None), late=3)).endswith("late must be Late or None, not int")


@copyable
@dataclass
class Early:
    late: Late | None


@copyable
@dataclass
class Late:
    x: int


def test_an_exception_arrives_with_its_fields():
    async def body(both: Any) -> None:
        with pytest.raises(SoldOut) as caught:
            await both.root.callRemote("fail", 3)
        assert (caught.value.item, caught.value.left) == ("tea", 3)
        assert caught.value.type == f"{HERE}.SoldOut"
        with pytest.raises(InsecureJelly, match="the field left must be int, not str"):
            await both.root.callRemote("fail", "none")

    run_paired(Root(), body, registry=REGISTRY)


def test_what_is_used_again_and_again_is_bounded():
    class Nest(pb.Copyable):
        def __init__(self, state: Any) -> None:
            self.state = state

        def getTypeToCopy(self) -> str:
            return f"{HERE}.Deep"

        def getStateToCopy(self) -> Any:
            return {"items": self.state}

    @copyable
    @dataclass
    class DataclassDeep:
        items: list[list[list[int]]]

    @copyable
    class StructDeep(msgspec.Struct):
        items: list[list[list[int]]]

    @copyable
    class ModelDeep(pydantic.BaseModel):
        items: list[list[list[int]]]

    inner = [1] * 1000
    middle = [inner] * 1000
    for cls in (DataclassDeep, StructDeep, ModelDeep):
        REGISTRY.setUnjellyableForClass(f"{HERE}.Deep", cls)

        async def body(both: Any) -> None:
            with pytest.raises(LimitExceeded, match="again and again"):
                await both.root.callRemote("echo", Nest([middle] * 1000))
            assert await both.root.callRemote("echo", 1) == [1]

        run_paired(Root(), body, registry=REGISTRY)


def test_a_class_that_takes_its_state_itself():
    registry = pb.Registry()

    @pb.copyable(registry=registry)
    @dataclass
    class Own:
        name: str

        def setCopyableState(self, state: Any) -> None:
            self.name = state["name"].upper()

    made = Own("a")
    made.setCopyableState({"name": "b"})
    assert made == Own("B")
    assert not hasattr(Own, "pbMaker")
