"""Caches that a peer makes up, and what it does with those that it is handed (section 3)."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

import pbweb as pb
from tests.hostile.kit import Peer, gateway, until, with_limits


class Pond(pb.Cacheable):
    """Everybody's, for as long as the server runs."""

    pbType = "Pond"

    def __init__(self) -> None:
        self.observers: list[pb.RemoteCacheObserver] = []
        self.begun = 0

    def getStateToCacheAndObserveFor(
        self, perspective: Any, observer: pb.RemoteCacheObserver
    ) -> Any:
        self.observers.append(observer)
        self.begun += 1
        return {"ducks": []}

    def stoppedObserving(self, perspective: Any, observer: pb.RemoteCacheObserver) -> None:
        self.observers.remove(observer)


class PondCopy(pb.RemoteCache):
    """What a client's pond arrives as."""

    never: asyncio.Event | None = None

    def observe_add(self, duck: Any) -> int:
        self.ducks.append(duck)
        return len(self.ducks)

    def observe_fail(self, how: str) -> None:
        if how == "exit":
            sys.exit(3)
        raise {"interrupt": KeyboardInterrupt, "value": ValueError, "error": pb.Error}[how]

    async def observe_wait(self) -> None:
        await asyncio.Event().wait()

    def is_admin(self) -> bool:
        return False


def registry() -> pb.Registry:
    made = pb.Registry()
    made.setUnjellyableForClass("Pond", PondCopy)
    return made


class Target(pb.Root):
    """One for all peers: what they may do to each other is tried too."""

    def __init__(self) -> None:
        self.pond = Pond()
        self.kept: list[Any] = []

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_pond(self) -> Pond:
        return self.pond

    def remote_tell(self, value: object) -> int:
        for observer in self.pond.observers:
            observer.callRemote("add", value).then_call(lambda promise: promise.error())
        return len(self.pond.observers)

    def remote_keep(self, *values: object) -> int:
        self.kept += values
        return len(self.kept)

    def remote_drop(self) -> None:
        self.kept.clear()


def cache(luid: Any, state: Any = None, type: Any = "Pond") -> dict[str, Any]:
    return {"$": "cache", "type": type, "id": luid, "state": state or {"ducks": []}}


def cached(luid: Any) -> dict[str, Any]:
    return {"$": "cached", "id": luid}


async def call(peer: Peer, name: str, *args: Any) -> Any:
    """What the root's method *name* answers; the error's type if it fails."""
    request = peer.sent + 1
    peer.send(["message", request, "root", name, list(args)])
    kind, _, value = [*await peer.answer(request), None][:3]
    peer.acknowledge()
    return value["type"] if kind == "error" else value


async def update(peer: Peer, luid: int, name: str, *args: Any) -> Any:
    """What the method ``observe_NAME`` of the copy answers; the error's type if it fails."""
    request = peer.sent + 1
    peer.send(["cachemessage", request, luid, name, list(args)])
    kind, _, value = [*await peer.answer(request), None][:3]
    peer.acknowledge()
    return value["type"] if kind == "error" else value


@pytest.mark.parametrize(
    "type",
    ["shop.Pond", "", "pond", "Pond ", "pb.RemoteCache", f"{__name__}.PondCopy", "builtins.dict"],
)
async def test_a_cache_of_a_type_that_is_not_registered(type: str) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        assert await call(peer, "keep", cache(7, {"in": cache(8)}, type)) == "InsecureJelly"
        assert await update(peer, 7, "add", 1) == "DeadReferenceError"
        assert await update(peer, 8, "add", 1) == "DeadReferenceError"
        assert target.kept == []


@pytest.mark.parametrize(
    "state",
    [
        3, "text", [["x", 1]], {"is_admin": True}, {"observe_add": 1}, {"release": 1},
        {"observeMethods": {}, "is_admin": 1}, {"__cache__": {}}, {"__class__": "str"},
        {"__dict__": {}}, {"ducks": {"$": "mystery"}}, {"ducks": {"$": "answer", "id": 1}},
        {"ducks": {"$": "lcache", "id": 1}}, {"ducks": cached(99)}, {"ducks": cache(7)},
    ],
    ids=repr,
)  # fmt: skip
async def test_a_state_that_does_not_fit(state: Any) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        assert (await call(peer, "keep", cache(7, state))).endswith(("Jelly", "ReferenceError"))
        assert target.kept == []
        assert await update(peer, 7, "add", 1) == "DeadReferenceError"
        assert await call(peer, "keep", cache(8)) == 1
        assert await update(peer, 8, "add", 1) == 1
        assert await call(peer, "drop") is None


async def test_updates_of_what_is_no_cache_of_this_peers() -> None:
    target = Target()
    async with (
        gateway(lambda: target, registry=registry()) as gate,
        await gate.peer() as peer,
        await gate.peer() as other,
    ):
        assert await call(other, "keep", cache(7)) == 1
        assert await call(peer, "pond") == cache(1)
        for luid in (1, 2, 7, 2**53 - 1):  # its copy of ours, none, another's, none
            assert await update(peer, luid, "add", 1) == "DeadReferenceError"
        for name in ("observe_add", "setCopyableState", "release", "is_admin", "__init__", "kept"):
            assert await update(other, 7, name, {}) == "NoSuchMethod"
        assert target.kept[0].ducks == []
        assert await call(peer, "echo", {"$": "lcache", "id": 1}) == cached(1)
        assert await call(other, "echo", {"$": "lcache", "id": 1}) == "DeadReferenceError"
        assert await call(peer, "echo", {"$": "local", "id": 1}) == "DeadReferenceError"
        peer.send(["message", peer.sent + 1, 1, "stoppedObserving", []])
        assert (await peer.answer(peer.sent))[2]["type"] == "DeadReferenceError"
        peer.acknowledge()
        assert await call(other, "drop") is None


@pytest.mark.parametrize(
    "frames",
    [
        [["decache", 1, 2]], [["decache", 1, 1], ["decache", 1, 1]], [["decache", 2, 1]],
        [["decache", 1, 2**53 - 1]], [["decref", 1, 1]], [["decache", 1, 1, 1, 1]],
        [["uncache", 7]],
    ],
    ids=repr,
)  # fmt: skip
async def test_what_was_not_handed_over_or_given_back_so_often_ends_the_session(
    frames: Any,
) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        assert await call(peer, "pond") == cache(1)
        assert await call(peer, "keep", cache(7)) == 1
        peer.send(*frames)
        code, said = await peer.closed()
        assert code == 4400
        assert said is not None
        await until(lambda: not target.pond.observers)
        target.kept.clear()


async def test_an_uncache_of_nothing_is_nothing() -> None:
    async with gateway(Target, registry=registry()) as gate, await gate.peer() as peer:
        for luid in (1, 7, 2**53 - 1):
            peer.send(["uncache", luid])
        assert await call(peer, "echo", 1) == 1


@pytest.mark.parametrize("how", ["exit", "interrupt", "value", "error"])
async def test_an_update_that_raises_is_that_updates_failure_alone(how: str) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        assert await call(peer, "keep", cache(7)) == 1
        assert "." in await update(peer, 7, "fail", how)
        peer.send(["cachemessage", 0, 7, "fail", [how]])
        assert await update(peer, 7, "add", 1) == 1
        assert await call(peer, "drop") is None


async def test_a_flood_of_caches_is_refused_at_the_limit_and_then_closed() -> None:
    target = Target()
    limits = with_limits(references=20)
    async with (
        gateway(lambda: target, registry=registry(), limits=limits) as gate,
        await gate.peer() as peer,
    ):
        for luid in range(1, 21):
            assert await call(peer, "keep", cache(luid)) == luid
        for number in range(3):
            assert await call(peer, "keep", cache(30 + number)) == "LimitExceeded"
        assert await call(peer, "keep", cached(20)) == 21  # which is none more
        peer.send(["message", peer.sent + 1, "root", "keep", [[cache(n) for n in range(70, 80)]]])
        code, _ = await peer.closed()
        assert code == 4413
        assert len(target.kept) == 21
        target.kept.clear()


async def test_an_owner_that_never_says_uncache_runs_into_the_limit() -> None:
    limits = with_limits(references=10)
    async with (
        gateway(Target, registry=registry(), limits=limits) as gate,
        await gate.peer() as peer,
    ):
        for luid in range(1, 11):  # nobody keeps the copy: it is given back at once
            assert await call(peer, "echo", [cache(luid)]) == [{"$": "lcache", "id": luid}]
            assert await peer.next("decache") == ["decache", luid, 1]
        assert await call(peer, "echo", [cache(11)]) == "LimitExceeded"
        assert await update(peer, 3, "add", 1) == 1  # it may still tell
        peer.send(["uncache", 3])
        assert await call(peer, "echo", [cache(12)]) == [{"$": "lcache", "id": 12}]


async def test_ids_that_clash() -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        assert await call(peer, "keep", cache(7), {"$": "remote", "id": 8}) == 2
        for value in (
            [cache(7, {"ducks": ["other"]})], [cache(8)], [cache(9), cache(9)],
            [cached(8)], [{"$": "remote", "id": 7}], [cached(7), cache(7)],
            [cache(10, {"ducks": cache(10)})], [{"$": "remote", "id": 11}, cache(11)],
        ):  # fmt: skip
            assert await call(peer, "keep", *value) in ("InsecureJelly", "DeadReferenceError")
        assert await update(peer, 7, "add", 1) == 1
        assert target.kept[0].ducks == [1]
        assert await call(peer, "drop") is None


async def test_a_peer_that_updates_and_reads_nothing_is_closed() -> None:
    target = Target()
    limits = with_limits(window_frames=20, calls=5, heartbeat=1000)
    async with (
        gateway(lambda: target, registry=registry(), limits=limits) as gate,
        await gate.peer() as peer,
    ):
        assert await call(peer, "keep", cache(7)) == 1
        frames = [["cachemessage", n, 7, "add", [n]] for n in range(2, 200)]
        peer.send(*frames)
        code, _ = await peer.closed()
        assert code == 4440
        assert target.kept[0].ducks == list(range(2, 200))[: len(target.kept[0].ducks)]
        target.kept.clear()


async def test_updates_that_go_on_are_bounded_as_calls_are() -> None:
    target = Target()
    limits = with_limits(calls=5)
    async with (
        gateway(lambda: target, registry=registry(), limits=limits) as gate,
        await gate.peer() as peer,
    ):
        assert await call(peer, "keep", cache(7)) == 1
        peer.send(*(["cachemessage", 0, 7, "wait"] for _ in range(5)))
        assert await update(peer, 7, "wait") == "LimitExceeded"
        assert await call(peer, "echo", 1) == "LimitExceeded"
        assert await update(peer, 7, "add", 1) == 1  # it ends at once
        target.kept.clear()


async def test_a_peer_that_is_told_and_reads_nothing_holds_up_nobody() -> None:
    target = Target()
    limits = with_limits(window_frames=20, heartbeat=1000, resume_window=0)
    async with (
        gateway(lambda: target, registry=registry(), limits=limits) as gate,
        await gate.peer() as silent,
        await gate.peer() as peer,
    ):
        silent.send(["message", 1, "root", "pond"])
        assert await silent.next("answer") == ["answer", 1, cache(1)]
        assert await call(peer, "pond") == cache(1)
        for number in range(30):
            peer.send(["message", peer.sent + 1, "root", "tell", [number]])
            told = ["cachemessage", number + 1, 1, "add", [number]]
            assert await peer.next("cachemessage") == told  # and then the answer
            assert (await peer.next("answer"))[2] == 2
            peer.send(["answer", number + 1, 1])
            peer.acknowledge()
        await silent.cut()
        await until(lambda: len(target.pond.observers) == 1)
        peer.send(["message", peer.sent + 1, "root", "tell", [30]])
        assert (await peer.next("answer"))[2] == 1
        peer.send(["answer", 31, 1])
        peer.acknowledge()


async def test_churn_leaves_nothing_behind() -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        for luid in range(1, 41):
            assert await call(peer, "pond") == cache(luid)
            peer.send(["decache", luid, 1])
            assert await peer.next("uncache") == ["uncache", luid]
        assert target.pond.begun == 40
        assert target.pond.observers == []
