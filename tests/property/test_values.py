"""Every value that may cross arrives exact, on whichever path it was encoded."""

import uuid
from datetime import timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pbweb as pb
from pbweb.frames import join_attachments, parse, split_attachments
from pbweb.jelly import Jellier
from pbweb.testing import stepped_pair
from pbweb.unjelly import Unjellier, has_tags
from tests.fuzz.targets import NoFlavors
from tests.unit.vectors import Box, Item, Point, fixture_registry, same

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

LIMITS = pb.Limits()
BOUNDED = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.sampled_from(
    ["$", '"$"', '"$":', "\\u0024", "null", "then", "__proto__", "NaN", "\x00", "\u2028"]
)
OFFSETS = st.none() | st.integers(-86_399, 86_399).map(lambda s: timezone(timedelta(seconds=s)))
INTEGERS = st.integers()
INTEGERS |= st.sampled_from([53, 63, 64, 3000]).map(lambda bits: 2**bits)
INTEGERS |= st.sampled_from([53, 63, 64, 3000]).map(lambda bits: 1 - 2**bits)
SCALARS = (
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats()
    | TEXT
    | st.binary(max_size=2000)
    | st.decimals()
    | st.datetimes(timezones=OFFSETS)
    | st.dates()
    | st.times()
    | st.timedeltas()
)
KEYS = st.recursive(
    SCALARS.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT | st.floats(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=15,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
    ),
    max_leaves=15,
)


@st.composite
def graphs(draw: Any) -> Any:
    """Lists and dicts that stand in each other, in themselves, and more than once."""
    made: list[Any] = [{} if draw(st.booleans()) else [] for _ in range(draw(st.integers(1, 5)))]
    for container in made:
        for _ in range(draw(st.integers(0, 4))):
            value = draw(st.sampled_from(made) | SCALARS)
            if isinstance(container, list):
                container.append(value)
            else:
                container[draw(KEYS)] = value
    return made[0]


@st.composite
def copies(draw: Any) -> Any:
    """Copies, lists and dicts that stand in each other; boxes only hold what was there before."""
    kinds = st.sampled_from([Point, Point, dict, list, Box, Item])
    made: list[Any] = []
    for kind in draw(st.lists(kinds, min_size=1, max_size=6)):
        if kind is Box:
            before = [one for one in made if isinstance(one, Box | Item)]
            made.append(Box(draw(st.sampled_from([None, *before]) | SCALARS)))
        elif kind is Item:
            made.append(Item(draw(TEXT), draw(st.integers()), draw(st.lists(TEXT, max_size=3))))
        else:
            made.append(kind())
    for container in made:
        for at in range(draw(st.integers(0, 4))):
            value = draw(st.sampled_from(made) | SCALARS)
            if type(container) is list:
                container.append(value)
            elif type(container) is dict:
                container[draw(KEYS)] = value
            elif type(container) is Point:
                setattr(container, f"attribute{at}", value)
    return made


def expected(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """What *value* arrives as: a tuple as a list, all else as itself."""
    seen = {} if seen is None else seen
    if isinstance(value, tuple):
        return [expected(item, seen) for item in value]
    if isinstance(value, Box):
        return seen.setdefault(id(value), Box(expected(value.content, seen)))
    if isinstance(value, Point):
        if id(value) not in seen:
            point = seen.setdefault(id(value), Point())
            vars(point).update((key, expected(item, seen)) for key, item in vars(value).items())
        return seen[id(value)]
    if not isinstance(value, list | dict):
        return value
    if id(value) not in seen:
        made: Any = seen.setdefault(id(value), type(value)())
        if isinstance(value, list):
            made.extend(expected(item, seen) for item in value)
        else:
            made.update((key, expected(item, seen)) for key, item in value.items())
    return seen[id(value)]


def decode(text: bytes, attachments: list[memoryview] | None = None) -> Any:
    value, deep = parse(text, LIMITS.depth)
    if not (deep or has_tags(text) or attachments):
        return value
    unjellier = Unjellier(NoFlavors(), LIMITS, attachments)
    return unjellier.decode(value)


def encode(value: Any) -> bytes:
    return orjson.dumps(Jellier(NoFlavors(), LIMITS).encode(value))


def encode_walking(value: Any) -> bytes:
    jellier = Jellier(NoFlavors(), LIMITS)
    jellier._begin(value, "answer")
    return orjson.dumps(jellier._walk(value, 0))


@BOUNDED
@given(VALUES)
def test_a_value_arrives_exact(value):
    assert same(decode(encode(value)), expected(value))


@BOUNDED
@given(graphs())
def test_what_is_shared_or_inside_itself_arrives_so(value):
    assert same(decode(encode(value)), expected(value))


@BOUNDED
@given(copies())
def test_copies_arrive_equal_and_as_one_where_they_were_one(value):
    assert same(decode(encode(value)), expected(value))


@settings(BOUNDED, max_examples=80)
@given(copies())
def test_copies_arrive_over_a_session_as_they_were(value):
    link = stepped_pair(Echo(), registry=fixture_registry())
    promise = link.client.broker.remoteForName("root").callRemote("echo", value, again=value)
    link.settle()
    arrived = promise.result()
    assert same(arrived[0], [expected(value)])
    assert arrived[1]["again"] is arrived[0][0]
    del promise, arrived
    link.assert_idle()


@BOUNDED
@given(PLAIN | VALUES)
def test_the_fast_path_and_the_walk_give_the_same_value(value):
    fast, walked = encode(value), encode_walking(value)
    assert same(decode(fast), decode(walked))


@BOUNDED
@given(PLAIN)
def test_both_ways_of_decoding_give_the_same_value(value):
    text = encode(value)
    walked = Unjellier(NoFlavors(), LIMITS).decode(orjson.loads(text))
    assert same(decode(text), walked)


@BOUNDED
@given(VALUES)
def test_a_value_arrives_exact_with_its_bytes_beside_it(value):
    jellier = Jellier(NoFlavors(), LIMITS, attach=True)
    text = orjson.dumps(jellier.encode(value))
    text, beside = split_attachments(join_attachments(text, jellier.attachments))
    assert same(decode(text, beside), expected(value))


class Echo(pb.Root):
    def remote_echo(self, *args: Any, **kw: Any) -> Any:
        return [list(args), kw]


@settings(BOUNDED, max_examples=80)
@given(
    st.lists(VALUES, max_size=3), st.dictionaries(st.text("abc_", min_size=1), VALUES, max_size=3)
)
def test_arguments_and_results_arrive_exact_over_a_session(args, kw):
    link = stepped_pair(Echo())
    promise = link.client.broker.remoteForName("root").call("echo", args, kw)
    link.settle()
    assert same(promise.result(), [list(map(expected, args)), {k: expected(kw[k]) for k in kw}])
    del promise
    link.assert_idle()


@BOUNDED
@given(VALUES)
def test_the_text_of_a_value_says_how_large_it_is(value):
    jellier = Jellier(NoFlavors(), LIMITS)
    text = orjson.dumps(jellier.encode(value))
    assert jellier.size >= len(text) - 64


class Color(Enum):
    RED = "red"


@given(st.uuids(), st.sampled_from(Color), st.binary().map(bytearray))
def test_what_arrives_as_something_else(identifier, color, mutable):
    assert isinstance(identifier, uuid.UUID)
    assert decode(encode([identifier, color, mutable, memoryview(mutable)])) == [
        str(identifier),
        "red",
        bytes(mutable),
        bytes(mutable),
    ]
