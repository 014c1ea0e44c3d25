"""Members of a group that do not read, that break off, and that allow next to nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

import pbweb as pb
from tests.hostile.kit import Gateway, Peer, gateway, until, with_limits

TEXT = "x" * 4000
MANY = 1000  # messages: more than sockets, window and group hold for one that does not read


class Room(pb.Root):
    """Whoever joins is told what is published."""

    def __init__(self, delivery: Literal["all", "latest", "drop"]) -> None:
        self.left: list[tuple[pb.RemoteReference, pb.Error]] = []
        self.group = pb.Group(delivery=delivery, left=lambda *who: self.left.append(who))

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_join(self, listener: pb.RemoteReference) -> None:
        self.group.add(listener)


class Listener(pb.Referenceable):
    """Notes the numbers of what it hears."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def remote_hear(self, number: int, _text: str = "") -> None:
        self.heard.append(number)


@asynccontextmanager
async def room(delivery: Any, **limits: Any) -> AsyncIterator[tuple[Gateway, Room, Listener]]:
    """A room, in which a well-behaved client is as well."""
    root = Room(delivery)
    async with gateway(root, limits=with_limits(**limits)) as gate:
        async with pb.connect(gate.url) as client:
            listener = Listener()
            await (await client.getRootObject()).callRemote("join", listener)
            yield gate, root, listener
        gate.endpoint.close()  # nobody comes back
        await until(lambda: not root.group)


async def join(peer: Peer) -> None:
    peer.send(["message", 1, "root", "join", [{"$": "remote", "id": 1}]])
    await peer.answer(1)


async def publish(root: Room, listener: Listener, number: int) -> None:
    """Publish one after the other, each when the well-behaved one has what was before."""
    while len(listener.heard) < number:
        told = len(listener.heard)
        root.group.callRemoteOnly("hear", told, TEXT)
        await until(lambda told=told: len(listener.heard) > told)  # type: ignore[misc]


@pytest.mark.parametrize("delivery", ["all", "latest", "drop"])
async def test_who_does_not_read_holds_up_nobody(delivery: str) -> None:
    async with (
        room(delivery, window=200_000) as (gate, root, listener),
        await gate.peer(receive_buffer=4096) as stuck,
    ):
        await join(stuck)
        await publish(root, listener, MANY)
        assert listener.heard == [*range(MANY)]
        if delivery == "all":
            ((_, why),) = root.left
            assert isinstance(why, pb.LimitExceeded)
            assert len(root.group) == 1
        else:
            slow = list(root.group)[1]
            assert root.group.waiting(slow) == (delivery == "latest")
            assert slow.broker.queued < 300_000, "what is kept for it is bounded"


async def test_who_reads_late_gets_the_latest() -> None:
    async with (
        room("latest", window=200_000) as (gate, root, listener),
        await gate.peer(receive_buffer=4096) as slow,
    ):
        await join(slow)
        await publish(root, listener, MANY)
        numbers: list[int] = []
        while not numbers or numbers[-1] != MANY - 1:
            numbers.append((await slow.next("message"))[4][0])
            if slow.received % 16 == 0 or not slow.frames:
                slow.acknowledge()
        assert numbers == sorted(set(numbers))
        assert len(numbers) < MANY


async def test_who_breaks_off_while_it_is_told_hurts_nobody() -> None:
    async with room("all") as (gate, root, listener):
        peers = [await gate.peer() for _ in range(8)]
        for peer in peers:
            await join(peer)
        assert len(root.group) == 9
        for number, peer in enumerate(peers):
            peer.reset() if number % 2 else await peer.cut()
            root.group.callRemoteOnly("hear", number)
        await until(lambda: len(listener.heard) == len(peers))
        gate.endpoint.close()
        await until(lambda: len(root.group) == 1)
        assert listener.heard == [*range(len(peers))]
        assert {type(why) for _, why in root.left} == {pb.PBConnectionLost}


async def test_who_allows_next_to_nothing_gets_nothing_and_the_others_all() -> None:
    async with room("all") as (gate, root, listener), await gate.peer(greet=False) as peer:
        peer.greet(limits={"depth": 1, "message": 100, "digits": 1, "calls": 1})
        await join(peer)
        deep = [[[1]]]
        for value in (deep, 10**40, {"a": {"b": 1}}, TEXT * 2):
            with pytest.raises(pb.LimitExceeded):
                root.group.callRemoteOnly("hear", 0, value)
        root.group.callRemoteOnly("hear", 1)
        assert (await peer.next("message"))[3:] == ["hear", [1]]
        await until(lambda: len(listener.heard) == 5)
        peer.acknowledge()


async def test_a_listener_that_is_handed_over_again_and_again_is_one_member() -> None:
    async with room("all") as (gate, root, _), await gate.peer() as peer:
        calls = (["message", n, "root", "join", [{"$": "remote", "id": 1}]] for n in range(1, 101))
        peer.send(*calls)
        await peer.answer(100)
        assert len(root.group) == 2
        root.group.callRemoteOnly("hear", 1)
        await peer.next("message")
        peer.send(["message", 101, "root", "echo"])
        assert (await peer.next("answer", "message"))[0] == "answer", "it was told once"
        peer.acknowledge()
        await asyncio.sleep(0)
