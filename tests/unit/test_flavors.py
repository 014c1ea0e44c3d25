"""pbweb.flavors: which names reach which functions, and the registry."""

import functools

import pytest

from pbweb.errors import Error, InsecureJelly
from pbweb.flavors import (
    METHOD_NAME,
    REGISTRY,
    BoundMethod,
    Copyable,
    Dispatcher,
    Referenceable,
    Registry,
    Releasable,
    RemoteCopy,
    Root,
    Viewable,
    ViewPoint,
    is_copyable,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
)


class Base(Referenceable):
    def remote_plain(self):
        return "base"

    def remote_hidden(self):
        return "hidden"

    def remote_overridden(self):
        return "base"


class Derived(Base):
    remote_hidden = None
    remote_number = 7

    def remote_overridden(self):
        return "derived"

    async def remote_coroutine(self):
        return "coroutine"

    @staticmethod
    def remote_static(one):
        return one

    @classmethod
    def remote_of_class(cls, one):
        return cls, one

    @property
    def remote_property(self):
        raise AssertionError("a property is never looked at")

    def helper(self):
        return "private"

    def remote_(self):
        return "no name"

    class remote_Inner:
        pass


def test_only_functions_with_the_prefix_are_reachable():
    assert set(Derived.remoteMethods) == {
        "plain",
        "overridden",
        "coroutine",
        "static",
        "of_class",
    }


def test_the_class_s_own_function_comes_before_its_parents():
    assert Derived.remoteMethods["overridden"](Derived()) == "derived"
    assert Base.remoteMethods["overridden"](Base()) == "base"
    assert Derived.remoteMethods["plain"](Derived()) == "base"


def test_what_a_class_sets_to_none_is_not_reachable_any_more():
    assert "hidden" in Base.remoteMethods
    assert "hidden" not in Derived.remoteMethods


def test_static_and_class_methods_are_called_without_the_instance():
    assert Derived.remoteMethods["static"](Derived(), 5) == 5
    assert Derived.remoteMethods["of_class"](Derived(), 5) == (Derived, 5)


def test_class_methods_get_the_class_that_was_asked():
    class More(Derived):
        pass

    assert More.remoteMethods["of_class"](More(), 5) == (More, 5)


def test_a_mixin_that_is_no_flavor_gives_its_methods_too():
    class Mixin:
        def remote_mixed(self):
            return 1

    class Mixed(Mixin, Referenceable):
        pass

    assert set(Mixed.remoteMethods) == {"mixed"}


def test_names_that_cannot_stand_on_the_wire_are_not_in_the_table():
    long = "x" * 64

    def method(_self):
        return None

    cls = type(
        "Odd",
        (Referenceable,),
        {f"remote_{name}": method for name in ("größe", "a-b", "9", long, long + "x", "_ok")},
    )
    assert set(cls.remoteMethods) == {long, "_ok"}


def test_a_partial_and_other_objects_that_can_be_called_are_no_methods():
    class Partial(Referenceable):
        remote_partial = functools.partial(print, 1)

    assert Partial.remoteMethods == {}


def test_a_method_that_was_wrapped_by_a_decorator_is_reachable():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args) * 2

        return wrapper

    class Wrapped(Referenceable):
        @twice
        def remote_one(self, number):
            return number

    assert Wrapped.remoteMethods["one"](Wrapped(), 3) == 6


def test_a_referenceable_and_a_root_have_no_methods_of_their_own():
    assert dict(Referenceable.remoteMethods) == {}
    assert dict(Root.remoteMethods) == {}


@pytest.mark.parametrize("name", ["a", "_", "Z9", "remote_x", "x" * 64])
def test_names_of_methods(name):
    assert METHOD_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "9", "a b", "a.b", "é", "x" * 65, "a\n", "__a-"])
def test_what_is_no_name_of_a_method(name):
    assert not METHOD_NAME.fullmatch(name)


def test_a_root_is_its_own_root_for_every_session():
    root = Root()
    assert root.rootObject(None) is root


class Known(Exception):
    pass


def test_a_class_is_registered_under_its_name_or_another():
    registry = Registry()
    registry.setUnjellyableForClass(Known, Known)
    registry.setUnjellyableForClass("other.Known", Known)
    assert registry.classes == {f"{__name__}.Known": Known, "other.Known": Known}


@pytest.mark.parametrize("cls", [int, Known(), "Known", None, Referenceable])
def test_only_exception_classes_and_copies_can_be_registered(cls):
    registry = Registry()
    with pytest.raises(TypeError, match="only exception classes and copies"):
        registry.setUnjellyableForClass("name", cls)
    assert registry.classes == registry.makers == {}


def test_the_function_of_the_module_registers_for_the_application():
    name = f"{__name__}.for_the_application"
    setUnjellyableForClass(name, Known)
    try:
        assert REGISTRY.classes[name] is Known
    finally:
        del REGISTRY.classes[name]


def test_the_function_of_the_module_registers_a_factory_for_the_application():
    name = f"{__name__}.for_the_application"
    setUnjellyableFactoryForClass(name, list)
    try:
        assert name in REGISTRY.makers
    finally:
        del REGISTRY.makers[name]


class Copied(Copyable, RemoteCopy):
    limit = 3
    kind = None

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def method(self):
        return self.limit

    @property
    def computed(self):
        return 1

    @staticmethod
    def static():
        return 2


def charge(items):
    assert items >= 0


def make(registry, name, state):
    maker = registry.maker(name)
    return maker.fill(maker.blank() if maker.blank else None, state, charge)


def test_by_default_all_attributes_are_the_state_and_the_class_is_the_type():
    thing = Copied(x=1)
    assert thing.getStateToCopyFor(None) == {"x": 1}
    assert thing.getTypeToCopyFor(None) == f"{__name__}.Copied"


def test_the_state_and_the_type_may_be_others_for_each_perspective():
    class Secret(Copyable):
        def getStateToCopyFor(self, perspective):
            return {"for": perspective}

        def getTypeToCopyFor(self, perspective):
            return f"for.{perspective}"

    assert Secret().getStateToCopyFor("alice") == {"for": "alice"}
    assert Secret().getTypeToCopyFor("alice") == "for.alice"


def test_a_copy_is_made_without_init():
    class Counting(RemoteCopy):
        made = 0

        def __init__(self):
            type(self).made += 1

    registry = Registry()
    registry.setUnjellyableForClass("it", Counting)
    assert vars(make(registry, "it", {"x": 1})) == {"x": 1}
    assert Counting.made == 0


def test_attributes_that_the_class_has_a_default_for_may_come():
    copy = Copied.__new__(Copied)
    copy.setCopyableState({"limit": 5, "kind": [1]})
    assert (copy.limit, copy.kind, copy.method()) == (5, [1], 5)


@pytest.mark.parametrize(
    "name",
    [
        "method",
        "computed",
        "static",
        "setCopyableState",
        "getStateToCopy",
        "__class__",
        "__x",
        1,
        (),
    ],
)
def test_a_state_hides_no_method(name):
    copy = Copied.__new__(Copied)
    with pytest.raises(InsecureJelly, match="no attribute that a peer may set"):
        copy.setCopyableState({name: 1})


@pytest.mark.parametrize("state", [None, [], "text", 3, {1}])
def test_a_state_that_is_no_dict(state):
    copy = RemoteCopy.__new__(RemoteCopy)
    with pytest.raises(
        InsecureJelly, match=rf"a dict of its attributes, not {type(state).__name__}"
    ):
        copy.setCopyableState(state)


def test_a_state_does_not_say_which_names_are_those_of_methods():
    copy = Copied.__new__(Copied)
    with pytest.raises(InsecureJelly, match="has 'method'"):
        copy.setCopyableState({"methodNames": [], "method": 1})


def test_a_copy_with_slots():
    class Slotted(Copyable, RemoteCopy):
        __slots__ = ("x",)

    copy = Slotted.__new__(Slotted)
    copy.setCopyableState({"x": 1})
    assert copy.x == 1


def test_an_object_crosses_by_value_or_as_a_reference_not_both():
    for bases in ((Copyable, Referenceable), (Referenceable, Copyable), (Copied, Root)):
        with pytest.raises(TypeError, match="a Copyable and a Referenceable"):
            type("Both", bases, {})


def test_what_crosses_by_value():
    assert is_copyable(Copied)
    assert not any(map(is_copyable, (RemoteCopy, Referenceable, dict, int, Known)))


def test_a_factory_gets_the_complete_state_whatever_it_is():
    registry = Registry()
    registry.setUnjellyableFactoryForClass("it", tuple)
    assert make(registry, "it", [1, 2]) == (1, 2)
    registry.setUnjellyableForClass("it", Copied)
    assert make(registry, "it", {}).limit == 3
    registry.setUnjellyableFactoryForClass(Copied, len)
    assert make(registry, f"{__name__}.Copied", [1, 2]) == 2


@pytest.mark.parametrize("factory", [None, "Copied", 3])
def test_a_factory_is_something_that_can_be_called(factory):
    with pytest.raises(TypeError, match="called with the state"):
        Registry().setUnjellyableFactoryForClass("it", factory)


def test_a_type_that_is_not_registered_is_refused_with_the_way_out():
    with pytest.raises(InsecureJelly) as caught:
        Registry().maker("shop.Card")
    assert str(caught.value) == (
        "no class is registered here for copies of the type 'shop.Card': "
        "setUnjellyableForClass('shop.Card', …) makes one known"
    )
    with pytest.raises(InsecureJelly) as caught:
        Registry().maker("\x00" * 10_000)
    assert len(str(caught.value)) < 1000


def test_an_exception_is_no_copy_and_a_copy_no_exception():
    class SoldOut(Error, Copyable, RemoteCopy):
        pass

    registry = Registry()
    registry.setUnjellyableForClass("it", SoldOut)
    registry.setUnjellyableForClass("known", Known)
    assert set(registry.makers) == {"it"}
    for name in ("it", "known"):
        with pytest.raises(InsecureJelly, match="no class is registered"):
            registry.maker(name)


def test_a_registry_belongs_to_its_application():
    one, two = Registry(), Registry()
    one.setUnjellyableForClass("it", Copied)
    assert one.maker("it").blank
    with pytest.raises(InsecureJelly):
        two.maker("it")


def test_a_viewable_crosses_in_one_way_only():
    for other in (Referenceable, Copyable):
        with pytest.raises(TypeError, match=f"Both is a Viewable and a {other.__name__}"):
            type("Both", (Viewable, other), {})


def test_view_points_of_the_same_pair_are_equal():
    class Thing(Viewable):
        def view_look(self, perspective):
            return perspective

    thing, alice, bob = Thing(), ["alice"], ["bob"]  # which have no hash
    point = ViewPoint(alice, thing)
    assert point == ViewPoint(alice, thing)
    assert hash(point) == hash(ViewPoint(alice, thing))
    assert point != ViewPoint(bob, thing)
    assert point != ViewPoint(alice, Thing())
    assert point != thing
    assert "for ['alice']" in repr(point)
    assert point.method("look")(point) is alice
    assert point.method("view_look") is None
    assert point.remoteMethods == {}


def test_what_only_hands_calls_on_has_no_method_until_it_says_so():
    assert Dispatcher().method("anything") is None


def test_what_is_held_of_the_peers_must_say_how_it_is_given_back():
    with pytest.raises(NotImplementedError), Releasable():
        pass


def test_a_bound_method_knows_which_function_it_calls():
    method = BoundMethod(len, [])
    assert method.calls(len)
    assert not method.calls(print)
