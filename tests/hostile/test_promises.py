"""Promises of docs/promises.md that take many repetitions to be believed."""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

import pbweb as pb
from pbweb.testing import Pair
from tests.hostile.kit import Peer, gateway, until, with_limits
from tests.hostile.test_caches import Target as Shore
from tests.hostile.test_caches import cache, call, registry
from tests.unit.paired import run_paired

BATCH = 100


class Thing(pb.Referenceable):
    hits = 0

    def remote_hit(self) -> None:
        Thing.hits += 1


class Giver(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value

    def remote_thing(self) -> Thing:
        return Thing()


async def taken(peer: Peer, number: int) -> list[int]:
    """The ids of so many new things."""
    ids = []
    for _ in range(number):
        request = peer.sent + 1
        peer.send(["message", request, "root", "thing"])
        ids.append((await peer.answer(request))[2]["id"])
    return ids


async def test_10000_ids_that_were_not_given_to_a_session_name_nothing_there() -> None:
    """R12: ids of another session, those that were given back, those to come, and any others."""
    chance = random.Random(12)
    Thing.hits = 0
    async with gateway(Giver) as gate:
        owner, forger = await gate.peer(), await gate.peer()
        async with owner, forger:
            theirs = await taken(owner, 200)
            given_back = await taken(forger, 50)
            forger.send(["decref", *(part for luid in given_back for part in (luid, 1))])
            kept = await taken(forger, 50)
            last = max(kept)
            assert not set(given_back) & set(kept)  # no id comes a second time
            pools: list[list[int]] = [
                [luid for luid in theirs if luid not in kept],
                given_back,
                [*range(last + 1, last + 1000)],
            ]
            forged = 0
            while forged < 10_000:
                ids = [
                    chance.choice(chance.choice(pools)) if chance.random() < 0.9 else at
                    for at in (chance.randrange(last + 1, 2**53) for _ in range(BATCH))
                ]
                first = forger.sent + 1
                forger.send(*(["message", first + at, luid, "hit"] for at, luid in enumerate(ids)))
                for at in range(BATCH):
                    answer = await forger.answer(first + at)
                    assert answer[2]["type"] == "DeadReferenceError"
                forger.acknowledge()
                forged += BATCH
            assert Thing.hits == 0
            request = forger.sent + 1
            forger.send(["message", request, kept[0], "hit"])  # who was given it is let in
            await forger.answer(request)
            assert Thing.hits == 1


class Node(pb.Referenceable):
    """Holds what the other side gave it."""

    def __init__(self) -> None:
        self.other: Any = None

    def remote_hold(self, other: Any) -> None:
        self.other = other


class Nodes(pb.Root):
    def __init__(self) -> None:
        self.made: list[weakref.ref[Node]] = []

    def remote_node(self) -> Node:
        node = Node()
        self.made.append(weakref.ref(node))
        return node


def test_100_cycles_over_the_wire_live_until_the_session_ends_and_no_longer() -> None:
    """D7."""
    root = Nodes()
    mine: list[weakref.ref[Node]] = []

    async def body(both: Pair) -> None:
        for _ in range(100):
            node = Node()
            node.other = await both.root.callRemote("node")
            await node.other.callRemote("hold", node)
            mine.append(weakref.ref(node))
            del node
        gc.collect()
        assert all(one() is not None for one in [*root.made, *mine])  # each holds the other
        await both.client.close()

    run_paired(root, body, idle=False)
    gc.collect()
    assert len(root.made) == len(mine) == 100
    assert [one() for one in [*root.made, *mine]] == [None] * 200


async def test_1000_observers_that_are_cut_are_stopped_once_each() -> None:
    """D12: ``stoppedObserving`` removes the observer, and would raise the second time."""
    shore = Shore()
    limits = with_limits(resume_window=0, handshakes=10_000)
    async with gateway(lambda: shore, registry=registry(), limits=limits) as gate:
        for number in range(1000):
            async with await gate.peer() as peer:
                assert await call(peer, "pond") == cache(1)
                peer.reset() if number % 2 else None
        await until(lambda: not shore.pond.observers)
        assert shore.pond.begun == 1000
