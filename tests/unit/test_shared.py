"""pbweb.shared: what is encoded once for many sessions, and what is not."""

import asyncio
from datetime import date
from decimal import Decimal

import orjson
import pytest

import pbweb as pb
from pbweb.jelly import ATTACH_ABOVE
from pbweb.limits import DEFAULT
from pbweb.shared import encode_shared
from pbweb.testing import pair


class Note(pb.Copyable):
    def __init__(self, text):
        self.text = text


class Secret(Note):
    def getStateToCopyFor(self, perspective):
        return {"for": perspective}


class Named(Note):
    def getTypeToCopyFor(self, perspective):
        return f"Named for {perspective}"


def texts(*args, **kw):
    shared = encode_shared(args, kw, DEFAULT)
    assert shared.size == len(shared.args) + len(shared.kw)
    return orjson.loads(shared.args), orjson.loads(shared.kw)


def test_plain_values_are_encoded_once():
    assert texts(1, "two", [3], four={"five": None}) == (
        [1, "two", [3]],
        {"four": {"five": None}},
    )
    assert texts() == ([], {})


def test_what_needs_a_tag_and_no_session_is_encoded_once():
    (day, numbers, short), _ = texts(date(2026, 1, 2), {1}, b"short")
    assert day == {"$": "date", "value": "2026-01-02"}
    assert numbers == {"$": "set", "items": [1]}
    assert short == {"$": "bytes", "base64": "c2hvcnQ="}


def test_what_stands_twice_keeps_its_identity():
    row = [1]
    assert texts(row, again=row) == (
        [{"$": "def", "id": 1, "value": [1]}],
        {"again": {"$": "use", "id": 1}},
    )


def test_a_copy_that_is_the_same_for_all_is_encoded_once():
    ((copy,), _) = texts(Note("hello"))
    assert copy == {"$": "copy", "type": f"{__name__}.Note", "state": {"text": "hello"}}


@pytest.mark.parametrize(
    "value",
    [
        pb.Referenceable(),
        pb.Cacheable(),
        [{"deep": pb.Referenceable()}],
        print,
        Secret(""),
        Named(""),
        Note(pb.Referenceable()),
        ValueError("a failure"),
        b"x" * (ATTACH_ABOVE + 1),
    ],
)
def test_what_is_of_a_session_is_not(value):
    assert encode_shared((value,), {}, DEFAULT) is None
    assert encode_shared((), {"value": value}, DEFAULT) is None


def test_a_reference_of_the_peers_and_a_promise_are_of_a_session():
    class Root(pb.Root):
        def remote_echo(self, value):
            return value

    async def main():
        async with pair(Root()) as both:
            promise = both.root.callRemote("echo", 1)
            assert encode_shared((both.root,), {}, DEFAULT) is None
            assert encode_shared((promise,), {}, DEFAULT) is None
            await promise

    asyncio.run(main())


def test_what_cannot_cross_to_anybody_is_refused_at_once():
    with pytest.raises(pb.InsecureJelly, match=r"args\[0\]\.text .* lone surrogate"):
        encode_shared((Note("\ud800"),), {}, DEFAULT)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_the_depth_is_looked_at_for_each_peer():
    shared = encode_shared((nested(5), [0]), {}, DEFAULT)
    assert shared.fits(pb.Limits(depth=6))
    assert not shared.fits(pb.Limits(depth=4))
    named = encode_shared((), {"deep": nested(5)}, DEFAULT)
    assert named.fits(pb.Limits(depth=5))
    assert not named.fits(pb.Limits(depth=4))


def test_many_brackets_are_not_taken_for_depth_beyond_the_limit():
    shared = encode_shared(([[] for _ in range(500)],), {}, DEFAULT)
    assert shared.fits(DEFAULT)
    assert not shared.fits(pb.Limits(depth=99))


def test_what_is_past_the_limits_is_each_sessions_error():
    assert encode_shared((nested(6),), {}, pb.Limits(depth=5)) is None
    assert encode_shared((10**50,), {}, pb.Limits(digits=40)) is None


@pytest.mark.parametrize("value", [10**50, Decimal("1e50"), {Decimal(1)}])
def test_digits_are_looked_at_for_each_peer(value):
    shared = encode_shared((value,), {}, DEFAULT)
    assert shared.fits(DEFAULT)
    assert not shared.fits(pb.Limits(digits=DEFAULT.digits - 1))
    assert encode_shared(("int",), {}, DEFAULT).fits(pb.Limits(digits=1))
