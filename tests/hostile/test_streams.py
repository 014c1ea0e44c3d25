"""Streams that a peer makes up, and what it does with those that it is handed (section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import pbweb as pb
from pbweb.streams import AHEAD, ANSWER_BYTES, MOST_DRAWN
from tests.hostile.kit import Peer, gateway, until, with_limits


class Target(pb.Root):
    def __init__(self) -> None:
        self.made = 0
        self.ended = 0
        self.outcomes: list[str] = []
        self.kept: Any = None

    async def remote_count(self, size: int = 0) -> AsyncIterator[Any]:
        """It never pauses."""
        try:
            while True:
                self.made += 1
                yield bytes(size) if size else self.made
        finally:
            self.ended += 1

    async def remote_wait(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    async def remote_read(self, stream: pb.RemoteStream) -> int:
        found = 0
        try:
            async for _ in stream:
                found += 1
        except BaseException as error:
            self.outcomes.append(type(error).__name__)
            raise
        return found

    def remote_keep(self, value: object) -> None:
        self.kept = value

    def remote_echo(self, value: object = None) -> object:
        return value


async def opened(peer: Peer, name: str = "count", *args: Any) -> int:
    """A stream of the server's."""
    request = peer.sent + 1
    peer.send(["message", request, "root", name, list(args)])
    luid: int = (await peer.answer(request))[2]["id"]
    return luid


async def refused(peer: Peer, target: Any, name: str, args: list[Any], type: str) -> None:
    request = peer.sent + 1
    peer.send(["message", request, target, name, args])
    kind, _, failure = await peer.answer(request)
    assert (kind, failure["type"]) == ("error", type), failure


@pytest.mark.parametrize(
    "n", [0, -1, True, False, 1.0, 1e12, "1", None, [], {}, {"$": "float", "value": "nan"}]
)
async def test_a_credit_that_is_none(n: Any) -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        luid = await opened(peer)
        await refused(peer, luid, "next", [n], "TypeError")
        await refused(peer, luid, "next", [], "TypeError")
        await refused(peer, luid, "next", [1, 2], "TypeError")
        assert target.made == 0
        peer.acknowledge()


async def test_a_credit_of_a_million_millions_again_and_again() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        luid = await opened(peer)
        first = peer.sent + 1
        peer.send(*[["message", first + at, luid, "next", [10**12]] for at in range(200)])
        for at in range(200):
            await peer.answer(first + at)
            if at % 50 == 0:
                peer.acknowledge()
                await gate.check_canary()
        assert target.made <= 201 * MOST_DRAWN
        peer.send(["message", first + 200, luid, "stop"])
        await peer.answer(first + 200)
        assert target.ended == 1
        peer.acknowledge()


async def test_a_peer_that_asks_and_does_not_read() -> None:
    target = Target()
    async with (
        gateway(lambda: target, limits=with_limits(stall=0.2)) as gate,
        await gate.peer(receive_buffer=4096) as peer,
    ):
        luid = await opened(peer, "count", 60_000)
        first = peer.sent + 1
        peer.send(*[["message", first + at, luid, "next", [10**12]] for at in range(250)])
        await until(lambda: target.ended == 1)  # by the end of the session
        most = 2 * 1_048_576 + 3 * ANSWER_BYTES  # the window, a message more, what waits
        assert target.made * 60_000 < 2 * most
        await peer.ended()


async def test_streams_of_another_session_and_of_none() -> None:
    target = Target()
    async with (
        gateway(lambda: target) as gate,
        await gate.peer() as owner,
        await gate.peer() as peer,
    ):
        luid = await opened(owner)
        for name, args in (("next", [1]), ("stop", [])):
            await refused(peer, luid, name, args, "DeadReferenceError")
            await refused(peer, luid + 1, name, args, "DeadReferenceError")
        await refused(owner, luid, "aclose", [], "NoSuchMethod")
        await refused(owner, luid, "__anext__", [], "NoSuchMethod")
        await refused(owner, luid, "encode_items", [], "NoSuchMethod")
        home = [{"$": "local", "id": luid}]
        await refused(owner, "root", "keep", home, "InsecureJelly")
        assert (target.made, target.kept) == (0, None)
        owner.acknowledge()
        peer.acknowledge()


async def test_more_streams_than_are_allowed_and_then_gone() -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        async with await gate.peer() as peer:
            luids = [await opened(peer, "wait") for _ in range(64)]
            for _ in range(10):
                await refused(peer, "root", "wait", [], "LimitExceeded")
            first = peer.sent + 1
            peer.send(
                *[["message", first + at, luid, "next", [1]] for at, luid in enumerate(luids)]
            )
            await peer.answer(first + 63)
            await peer.cut()
        gate.endpoint.close()  # nobody comes back
        await until(lambda: target.ended == 64)


async def test_more_streams_than_are_taken() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        for _ in range(10):
            many = [{"$": "stream", "id": 7 + at} for at in range(65)]
            request = peer.sent + 1
            peer.send(["message", request, "root", "keep", [many]])
            assert len(await peer.next("decref")) == 1 + 2 * 65
            assert (await peer.answer(request))[2]["type"] == "LimitExceeded"
            peer.acknowledge()
        assert target.kept is None


async def test_a_stream_is_given_back_more_often_than_it_was_handed_out() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        luid = await opened(peer, "wait")
        peer.send(["message", 2, luid, "next", [1]])
        await peer.answer(2)
        peer.send(["decref", luid, 1])
        await until(lambda: target.ended == 1)
        peer.send(["decref", luid, 1])
        assert (await peer.closed())[0] == 4400


LIES: list[Any] = [
    None, 1, "items", [], {}, {"items": []}, {"done": True}, {"items": [], "done": False},
    {"items": [], "done": 1}, {"items": {"$": "set", "items": []}, "done": True},
    {"items": "abc", "done": True}, {"items": [1] * (AHEAD + 1), "done": False},
    {"items": [{"$": "remote", "id": 99}] * (AHEAD + 1), "done": False},
    {"$": "stream", "id": 8}, {"$": "dict", "items": [["items", [1]]]},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: str(lie)[:40])
async def test_an_answer_to_next_that_cannot_be(lie: Any) -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "read", [{"$": "stream", "id": 7}]])
        asked = await peer.next("message")
        assert asked[2:] == [7, "next", [AHEAD // 2]]
        peer.send(["answer", asked[1], lie])
        assert (await peer.answer(1))[2]["type"] == "InsecureJelly"
        assert target.outcomes == ["InsecureJelly"]
        peer.acknowledge()


async def test_a_failure_that_cannot_be_and_an_answer_that_comes_twice() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "read", [{"$": "stream", "id": 7}]])
        asked = await peer.next("message")
        peer.send(["answer", asked[1], {"items": [1], "done": False}])
        second = await peer.next("message")
        peer.send(
            ["answer", asked[1], {"items": [{"$": "remote", "id": 9}], "done": False}],
            ["error", second[1], {"$": "failure"}],
        )
        decref = await peer.next("decref")
        assert 9 in decref[1::2]
        assert (await peer.answer(1))[0] == "error"
        peer.acknowledge()


async def test_a_peer_that_goes_while_it_is_read() -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        async with await gate.peer() as peer:
            peer.send(["message", 1, "root", "read", [{"$": "stream", "id": 7}]])
            await peer.next("message")
            peer.reset()
        gate.endpoint.close()  # nobody comes back
        await until(lambda: len(target.outcomes) == 1)
        assert target.outcomes[0] in ("PBConnectionLost", "CancelledError")


async def test_a_deadline_of_a_next_is_no_end_of_the_stream() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        luid = await opened(peer, "wait")
        peer.send(["message", 2, luid, "next", [1]])
        assert (await peer.answer(2))[2] == {"items": [1], "done": False}
        peer.send(["message", 3, luid, "next", [1], {}, {"deadline": 0.01}])
        assert (await peer.answer(3))[2]["type"] == "CancelledError"
        assert target.ended == 0
        peer.send(["message", 4, luid, "stop"])
        assert (await peer.answer(4))[0] == "answer"
        assert target.ended == 1
        peer.acknowledge()


async def test_stop_a_thousand_times_while_it_is_asked() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        luid = await opened(peer, "count", 1000)
        calls = [
            ["message", 2 + at, luid, *(("next", [9]) if at % 2 else ("stop",))]
            for at in range(200)
        ]
        peer.send(*calls)
        answered = [await peer.next("answer", "error") for _ in calls]
        assert {name for name, *_ in answered} == {"answer"}
        assert {request for _, request, *_ in answered} == {call[1] for call in calls}
        assert target.ended <= 1
        peer.acknowledge()
