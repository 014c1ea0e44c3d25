"""What the fuzzers call and every test run replays: input in, an AssertionError for a fault.

Nothing here needs atheris. Allowed is only: taken, or refused with a documented error, or the
session closed with a code of protocol section 7.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

import pbweb as pb
from pbweb.flavors import Maker
from pbweb.frames import check, parse, split_batch
from pbweb.jelly import Jellier, Tagged
from pbweb.testing import tables
from pbweb.unjelly import Unjellier
from tests.fuzz import resuming
from tests.unit.vectors import PeerUnderTest, fixture_registry, same

LIMITS = pb.Limits(depth=20, digits=40, batch=50, calls=8, references=8, message=65_536)
SMALL = {"depth": 20, "digits": 40, "batch": 50, "calls": 8, "references": 8, "message": 65_536}
CODES = {1000, 1007, 1009, 4400, 4410, 4413, 4426, 4429, 4440}


class NoFlavors:
    """No value means anything to a session here; copies are those of the vectors' fixture."""

    def __init__(self) -> None:
        self.registry = fixture_registry()
        self.faults: list[BaseException] = []

    def jelly(self, value: Any, jellier: Jellier) -> Tagged | None:
        return None

    def copied(self, value: Any, perspective: Any) -> tuple[str, Any]:
        return value.getTypeToCopy(), value.getStateToCopy()

    def cached(self, value: Any, jellier: Jellier) -> None:
        """Nothing here is anybody's own."""

    def maker(self, name: str) -> Maker:
        return self.registry.maker(name)

    def report_fault(self, what: str, fault: BaseException) -> None:
        self.faults.append(fault)

    def unjelly(self, tag: str, tagged: Tagged, unjellier: Unjellier, depth: int) -> Any:
        raise pb.InsecureJelly(f"the tag {tag[:64]!r} is unknown")


def decode(data: bytes) -> Any:
    """The value of a JSON text."""
    value, _ = parse(data, LIMITS.depth)
    unjellier = Unjellier(NoFlavors(), LIMITS)
    value = unjellier.decode(value)
    unjellier.finish()
    return value


def encode(value: Any) -> bytes:
    """The JSON text of a value."""
    return orjson.dumps(Jellier(NoFlavors(), LIMITS).encode(value))


def values(data: bytes) -> None:
    """A value that can be decoded is the same after it was encoded and decoded again."""
    try:
        value = decode(data)
    except pb.Error:
        return
    try:
        again = encode(value)
    except pb.LimitExceeded:  # a float that JSON reads and a tag for it are not equally deep
        return
    assert same(decode(again), value), (data, again)


def frames(data: bytes) -> None:
    """The envelope of any message is taken or refused."""
    try:
        message, _ = parse(data, LIMITS.depth)
        for frame in split_batch(message, LIMITS.batch):
            assert type(check(frame)) is str
    except pb.ProtocolError as error:
        assert error.code in CODES, error.code  # noqa: PT017


def session(data: bytes) -> None:
    """A session takes any messages, one in each line, or one binary one behind a ``!``."""
    peer = PeerUnderTest(**SMALL)
    runtime, broker = peer.runtime, peer.session.broker
    promise = broker.remoteForName("them").callRemote("ask")  # something that can be answered
    promise.then_call(lambda promise: promise.error())
    sent = peer.sent()
    messages = [(data[1:], True)] if data[:1] == b"!" else [(m, False) for m in data.split(b"\n")]
    for message, binary in messages[:64]:
        sent += peer.feed(message, binary)
        faults = [report for report in runtime.reports if "a fault in" in report[0]]
        assert not faults, faults
        assert broker.incoming.count() <= LIMITS.calls
        assert len(broker.exports.numbered) + len(broker.watched) <= LIMITS.references
        assert len(broker.imports) + len(broker.caches) <= LIMITS.references
    closing = peer.session.closing
    if closing is not None:
        assert len(closing[1].encode()) <= 123
        if not sent or sent[-1][0] != "close":  # then it was the peer who closed
            assert closing[1] == ""
        else:
            assert closing[0] in CODES, closing
    for frame in sent:
        check(frame)
        json.dumps(frame, ensure_ascii=False).encode()
    peer.session.end("the input is at its end")
    runtime.run()
    assert not any(tables(peer.session).values()), tables(peer.session)
    assert promise.done
    runtime.advance(1000.0)
    assert runtime.timers() == 0


TARGETS: dict[str, Callable[[bytes], None]] = {
    "client": resuming.client,
    "resume": resuming.server,
    "session": session,
    "values": lambda data: (frames(data), values(data))[-1],
}

__all__ = ["TARGETS", "frames", "session", "values"]
