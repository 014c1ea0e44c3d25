"""pbweb.jelly: values to JSON, and what cannot cross with the path to it.

The vectors have what each value is on the wire, tests/property that it arrives exact.
"""

import gc
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from gc import is_tracked
from uuid import UUID

import orjson
import pytest

import pbweb as pb
from pbweb.errors import InsecureJelly, LimitExceeded
from pbweb.jelly import ATTACH_ABOVE, Jellier, goes_as_it_is
from pbweb.limits import Limits
from tests.fuzz.targets import NoFlavors


class Marked:
    """A value that `Marks` takes for a reference."""


class Marks(NoFlavors):
    def jelly(self, value, jellier):
        return {"$": "remote", "id": 1} if isinstance(value, Marked) else None


def encode(value, *, place="answer", **limits):
    return orjson.loads(orjson.dumps(Jellier(Marks(), Limits(**limits)).encode(value, place)))


def encode_call(*args, **kw):
    first, second = Jellier(Marks(), Limits()).encode_call(args, kw)
    return orjson.loads(orjson.dumps(first)), orjson.loads(orjson.dumps(second))


def refusal(value, **limits):
    with pytest.raises(InsecureJelly) as caught:
        encode(value, **limits)
    return str(caught.value)


@pytest.mark.parametrize("value", [None, True, 0, -5, 1.5, "", "text", 2**53 - 1, -0.0])
def test_scalars_that_go_as_they_are(value):
    assert goes_as_it_is(value)
    assert Jellier(NoFlavors(), Limits()).encode(value) is value


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        float("nan"),
        float("inf"),
        b"",
        [],
        {},
        (),
        "é",
        "x" * 5000,
        Decimal(1),
        object(),
    ],
)
def test_values_that_are_looked_at_twice(value):
    assert not goes_as_it_is(value)


def test_plain_data_goes_to_the_json_library_whole():
    jellier = Jellier(NoFlavors(), Limits())
    value = {"a": [1, 2.5, None, True, "é$"], "b": {"c": []}}
    encoded = jellier.encode(value)
    assert type(encoded) is orjson.Fragment
    assert orjson.loads(orjson.dumps(encoded)) == value
    assert jellier.size >= len(orjson.dumps(value))


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ({"$": 1}, {"$": "dict", "items": [["$", 1]]}),
        ({1: 2}, {"$": "dict", "items": [[1, 2]]}),
        ({None: 2, "a": 3}, {"$": "dict", "items": [[None, 2], ["a", 3]]}),
        ({"a": '"$":'}, {"a": '"$":'}),
        ({"price": "$5", "$x": 1}, {"price": "$5", "$x": 1}),
        ([float("nan"), None], [{"$": "float", "value": "nan"}, None]),
        ([float("-inf")], [{"$": "float", "value": "-inf"}]),
        ([2**53], [{"$": "int", "value": "9007199254740992"}]),
        ((1, (2,)), [1, [2]]),
        ([b"abc"], [{"$": "bytes", "base64": "YWJj"}]),
        ({"d": Decimal("1.50")}, {"d": {"$": "decimal", "value": "1.50"}}),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ([timedelta(microseconds=-1)], [{"$": "timedelta", "seconds": "-0.000001"}]),
        ({(1, 2): 3}, {"$": "dict", "items": [[[1, 2], 3]]}),
    ],
)
def test_what_needs_a_tag(value, wire):
    assert encode(value) == wire


def test_enum_members_go_as_their_values():
    class Color(Enum):
        RED = "red"
        BOTH = ("a", 1)

    class Number(IntEnum):
        ONE = 1

    assert encode([Color.RED, Color.BOTH, Number.ONE]) == ["red", ["a", 1], 1]


def test_shared_lists_are_defined_once():
    inner = [1]
    assert encode([inner, inner, {"a": inner}]) == [
        {"$": "def", "id": 1, "value": [1]},
        {"$": "use", "id": 1},
        {"a": {"$": "use", "id": 1}},
    ]


def test_a_tuple_in_itself_is_defined_as_the_list_that_it_arrives_as():
    inner = []
    value = (inner,)
    inner.append(value)
    assert encode(value) == {
        "$": "def",
        "id": 1,
        "value": [[{"$": "use", "id": 1}]],
    }


def test_args_and_kw_of_one_call_share():
    inner = {"a": 1}
    assert encode_call(inner, key=inner) == (
        [{"$": "def", "id": 1, "value": {"a": 1}}],
        {"key": {"$": "use", "id": 1}},
    )


def test_the_empty_tuple_and_equal_strings_are_not_shared():
    text = "long enough not to be a constant" * 2
    assert encode([(), (), text, text]) == [[], [], text, text]


def test_a_value_that_is_not_changed_by_being_encoded():
    value = {"a": [1, {2}], "$": {3: (4,)}}
    before = repr(value)
    encode(value)
    assert repr(value) == before


class Plain:
    pass


class Text(str):
    pass


class Whole(int):
    pass


class Items(list):
    pass


Point = namedtuple("Point", "x y")


@dataclass
class Data:
    a: int = 1


@pytest.mark.parametrize(
    ("value", "path", "what"),
    [
        (Plain(), "answer", "test_jelly.Plain"),
        ([1, Plain()], "answer[1]", "test_jelly.Plain"),
        ({"items": [0, 1, 2, Plain()]}, "answer.items[3]", "Plain"),
        ({"a b": {"": Plain()}}, "answer['a b']['']", "Plain"),
        ({1: Plain()}, "answer[1]", "Plain"),
        ({"a": {Plain()}}, "answer.a[0]", "Plain"),
        ([Text("x")], "answer[0]", "str("),
        ({"n": Whole(5)}, "answer.n", "int("),
        ([Items()], "answer[0]", "list("),
        ([OrderedDict(a=1)], "answer[0]", "dict("),
        ([Point(1, 2)], "answer[0]", "tuple("),
        (Data(), "answer", "Data"),
        ([Data], "answer[0]", "builtins.type"),
        ([1j], "answer[0]", "complex"),
        ([range(3)], "answer[0]", "range"),
        ([iter([])], "answer[0]", "iterator"),
        (["\ud800"], "answer[0]", "lone surrogate"),
        ("\ud800", "answer", "lone surrogate"),
        ({"\udfff": 1}, "answer['\\udfff']", "lone surrogate"),
        ({"$": "\ud800"}, "answer['$']", "lone surrogate"),
        ({"then": Marked()}, "answer.then", "reference"),
        ({"a": [{"toJSON": Marked()}]}, "answer.a[0].toJSON", "reference"),
    ],
)
def test_what_cannot_cross_is_refused_with_the_path_to_it(value, path, what):
    text = refusal(value)
    assert text.startswith(f"{path} cannot be sent"), text
    assert what in text


def test_the_place_of_a_call_stands_in_the_path():
    with pytest.raises(InsecureJelly, match=r"^args\[1\]\.a cannot"):
        encode_call(1, {"a": Plain()})
    with pytest.raises(InsecureJelly, match=r"^kw\.key\[0\] cannot"):
        encode_call(key=[Plain()])


def test_a_name_with_a_lone_surrogate_is_refused():
    with pytest.raises(InsecureJelly, match="lone surrogate"):
        encode_call(**{"\ud800": 1})


def test_a_reference_crosses_under_other_keys():
    assert encode({"Then": Marked(), "x": [Marked()]}) == {
        "Then": {"$": "remote", "id": 1},
        "x": [{"$": "remote", "id": 1}],
    }


def test_plain_data_under_the_keys_of_promises_crosses():
    assert encode({"then": 1, "toJSON": {"a": [2]}}) == {"then": 1, "toJSON": {"a": [2]}}


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def nested_in_dicts(levels):
    value = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize("make", [nested, nested_in_dicts])
@pytest.mark.parametrize("depth", [1, 5, 100])
def test_depth_at_its_limit_and_one_past_it(make, depth):
    assert encode(make(depth), depth=depth) == make(depth)
    with pytest.raises(LimitExceeded, match=r"^depth: .*answer"):
        encode(make(depth + 1), depth=depth)


def test_a_tagged_value_is_a_level_too():
    assert encode([b""], depth=2)
    with pytest.raises(LimitExceeded, match="depth"):
        encode([b""], depth=1)
    assert encode([datetime(2026, 1, 1)], depth=2)  # noqa: DTZ001
    with pytest.raises(LimitExceeded, match="depth"):
        encode([datetime(2026, 1, 1)], depth=1)  # noqa: DTZ001
    assert encode({1: 2}, depth=3)
    with pytest.raises(LimitExceeded, match="depth"):
        encode({1: 2}, depth=2)


def test_each_argument_has_its_own_depth():
    args, _ = encode_call(nested(100), nested(100))
    assert args == [nested(100), nested(100)]
    with pytest.raises(LimitExceeded, match=r"args\[1\]"):
        encode_call(1, nested(101))
    assert encode_call(key=nested(100))[1] == {"key": nested(100)}
    with pytest.raises(LimitExceeded, match="depth"):
        encode_call(key=nested(101))


def test_what_is_far_too_deep_does_not_end_the_interpreter():
    with pytest.raises(LimitExceeded, match="depth"):
        encode(nested(100_000))
    with pytest.raises(LimitExceeded, match="depth"):
        encode([{1, 2}, nested(100_000)])


def test_containers_that_double_are_written_once():
    value = []
    for _ in range(60):
        value = [value, value]
    assert len(orjson.dumps(encode(value, depth=200))) < 10_000


def test_digits_at_their_limit_and_one_past_it():
    for value in (10**1024 - 1, -(10**1024) + 1):
        assert encode(value)["value"] == str(value)
    for value in (10**1024, -(10**1024), 1 << 10_000_000):
        with pytest.raises(LimitExceeded, match=r"^digits: .*answer"):
            encode(value)


def test_a_limit_of_digits_beyond_pythons_own_is_refused_not_a_fault():
    with pytest.raises(LimitExceeded, match="digits"):
        encode(10**9000, digits=20_000)


def test_short_bytes_stay_in_the_json_and_long_ones_go_beside_it():
    jellier = Jellier(NoFlavors(), Limits(), attach=True)
    short, long = b"x" * ATTACH_ABOVE, b"x" * (ATTACH_ABOVE + 1)
    wire = orjson.loads(orjson.dumps(jellier.encode([short, long, bytearray(long), b""])))
    assert "base64" in wire[0]
    assert wire[1:3] == [{"$": "bytes", "at": 0}, {"$": "bytes", "at": 1}]
    assert jellier.attachments == [long, long]
    assert all(type(one) is bytes for one in jellier.attachments)


def test_without_a_peer_that_takes_them_nothing_goes_beside_the_json():
    jellier = Jellier(NoFlavors(), Limits())
    jellier.encode([b"x" * 5000])
    assert jellier.attachments == []
    assert jellier.size >= 5000


def test_a_value_that_changes_while_it_is_encoded_does_not_end_the_interpreter():
    class Odd(Enum):
        pass

    class Restless(NoFlavors):
        def __init__(self):
            self.value = {}

        def jelly(self, value, jellier):
            self.value[object()] = 1
            return {"$": "remote", "id": 1}

    flavors = Restless()
    flavors.value[1] = Marked()
    with pytest.raises((RuntimeError, InsecureJelly)):
        Jellier(flavors, Limits()).encode(flavors.value)


def untracked(record):
    """*record* as the garbage collector leaves it: not tracked, where Python has that."""
    for _ in range(10):  # one level of tuples at a time
        gc.collect()
    assert not is_tracked(record) or sys.version_info >= (3, 14)
    return record


def test_records_that_are_not_tracked_are_shared_and_deep_as_all_others():
    record = untracked({"id": 1, "name": "item"})
    assert encode([record, {"other": 2}]) == [record, {"other": 2}]
    assert encode([record, [record]]) == [
        {"$": "def", "id": 1, "value": record},
        [{"$": "use", "id": 1}],
    ]
    assert encode([{"a": record}, {"b": record}])[1] == {"b": {"$": "use", "id": 1}}
    assert encode([[record]], depth=3) == [[record]]
    with pytest.raises(LimitExceeded, match="depth"):
        encode([[record]], depth=2)


def test_tuples_in_records_that_are_not_tracked_count_as_depth():
    deep = (1,)
    for _ in range(5):
        deep = (deep,)
    record = untracked({"deep": deep})
    assert encode([record], depth=8)[0]["deep"][0]
    with pytest.raises(LimitExceeded, match="depth"):
        encode([record], depth=7)


def test_numbers_that_json_has_not_are_found_in_records_that_are_not_tracked():
    record = untracked({"empty": None, "number": float("nan")})
    assert encode([record])[0]["number"] == {"$": "float", "value": "nan"}


def test_data_that_others_hold_too_is_no_shared_data():
    records = [{"id": number, "tags": ["a"]} for number in range(10)]
    held = [*records, *(record["tags"] for record in records)]
    assert type(Jellier(Marks(), Limits()).encode(records)) is orjson.Fragment
    assert encode(records) == records
    assert encode([records, held[3]])[1] == {"$": "use", "id": 1}


def test_a_container_that_is_held_once_and_stands_twice_is_shared():
    twice = [[]] * 2  # only this list holds it
    assert encode(twice) == [{"$": "def", "id": 1, "value": []}, {"$": "use", "id": 1}]
    assert encode([[[1]] * 2])[0][1] == {"$": "use", "id": 1}
    assert encode({"a": [[{}] * 3]})["a"][0][2] == {"$": "use", "id": 1}


class Card(pb.Copyable):
    pbType = "Card"

    def __init__(self, **attributes):
        vars(self).update(attributes)


def card(**state):
    return {"$": "copy", "type": "Card", "state": state}


def test_a_copy_has_its_type_and_its_state():
    assert encode(Card(x=1, y=[None])) == card(x=1, y=[None])
    assert encode([Card(), {"a": Card(inner=Card())}]) == [card(), {"a": card(inner=card())}]
    assert encode_call(Card(), at=Card(x=1)) == ([card()], {"at": card(x=1)})


def test_the_path_leads_through_copies():
    value = {"cards": [Card(), Card(owner=Card(tags=["a", object()]))]}
    said = refusal(value)
    assert said.startswith("answer.cards[1].owner.tags[1] cannot be sent: it is of the class")


def test_a_copy_is_asked_once_for_its_state_however_often_it_stands():
    class Asked(Card):
        def getStateToCopy(self):
            vars(self).setdefault("asked", []).append(1)
            return {"fresh": []}

    asked = Asked()
    encoded = encode([asked, {"again": asked}, Card(inner=asked)])
    assert asked.asked == [1]
    name = (
        f"{__name__}.test_a_copy_is_asked_once_for_its_state_however_often_it_stands.<locals>.Asked"
    )
    copy = {"$": "copy", "type": name, "state": {"fresh": []}}
    use = {"$": "use", "id": 1}
    assert encoded == [{"$": "def", "id": 1, "value": copy}, {"again": use}, card(inner=use)]


def test_what_two_states_share_is_shared():
    inner = [1]
    assert encode([Card(x=inner), Card(x=inner)]) == [
        card(x={"$": "def", "id": 1, "value": [1]}),
        card(x={"$": "use", "id": 1}),
    ]


def test_copies_in_themselves_and_in_each_other():
    one, two = Card(), Card()
    one.other, two.other = two, one
    assert encode(one) == {
        "$": "def",
        "id": 1,
        "value": card(other=card(other={"$": "use", "id": 1})),
    }


def test_a_copy_counts_two_levels_one_for_its_state():
    value = Card(x=Card(x=1))
    assert encode(value, depth=4) == card(x=card(x=1))
    with pytest.raises(LimitExceeded, match="depth"):
        encode(value, depth=3)


def test_copies_that_are_made_without_end_are_too_deep():
    class Endless(Card):
        def getStateToCopy(self):
            return {"next": Endless()}

    with pytest.raises(LimitExceeded, match="depth"):
        encode(Endless())


@pytest.mark.parametrize("name", [None, 3, "\ud800"])
def test_a_type_that_is_no_name(name):
    class Odd(Card):
        def getTypeToCopy(self):
            return name

    assert "which is no name" in refusal([Odd()])


def test_what_the_hooks_raise_is_raised():
    class Broken(Card):
        def getStateToCopy(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        encode([Broken()])


def test_a_reference_in_a_state_under_a_key_that_a_page_would_call():
    assert "under the key 'then'" in refusal(Card(then=Marked()))


def test_decimals_at_the_limit_of_digits_and_one_past_it():
    most = Decimal("1" * 200)
    assert encode([most], digits=200) == [{"$": "decimal", "value": "1" * 200}]
    with pytest.raises(LimitExceeded, match="digits: the decimal at"):
        encode([Decimal("1" * 201)], digits=200)


def test_what_can_be_awaited_is_to_be_awaited_first():
    class Later:
        def __await__(self):
            yield

    with pytest.raises(InsecureJelly, match="await it first"):
        encode(Later())
