"""Whatever happens to its members, a group tells each what its policy says, once and in order."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pbweb as pb
from pbweb.shared import SharedFrames
from pbweb.testing import Pair, pair, tables
from tests.property.resumable import ResumablePair
from tests.unit.paired import MINUTE, read_all

PEERS = 3
ROOM = 5  # frames that a peer may have unacknowledged
MOST = 3  # messages of the group that wait

OPS = st.lists(
    st.one_of(
        st.just(("tell",)),
        st.just(("ask",)),
        st.just(("turn",)),
        *(
            st.tuples(st.just(name), st.integers(0, PEERS - 1))
            for name in ("call", "hold", "read", "cut", "release", "discard", "add")
        ),
    ),
    max_size=60,
)


class Listener(pb.Referenceable):
    def __init__(self) -> None:
        self.heard: list[int] = []

    def remote_hear(self, number: int) -> int:
        self.heard.append(number)
        return number


class Peer:
    """A client, what it heard, and what the group and others told it while it was a member."""

    def __init__(self, both: Pair, straight: bool) -> None:
        self.both = both
        self.listener = Listener()
        both.client.setNameForLocal("ear", self.listener)
        self.reference: Any = both.server.remoteForName("ear")
        self.told: list[int] = []  # by the group
        self.called: list[int] = []  # by a call of its own
        self.due = 0  # the number of what was told after it was added last
        if straight:  # as a WebSocket writes what many get
            both.server.direct = both.to_client.write


class Model:
    """The group, its members, and the numbers that are told."""

    def __init__(self, peers: list[Peer], delivery: Any) -> None:
        self.peers = peers
        self.number = 0
        self.asked: list[tuple[Any, int, list[Peer]]] = []
        self.group = pb.Group([peer.reference for peer in peers], delivery=delivery, most=MOST)

    def next(self) -> int:
        self.number += 1
        return self.number

    def members(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.reference in self.group]

    def tell(self) -> None:
        number, members = self.next(), self.members()
        self.group.callRemoteOnly("hear", number)
        for peer in members:
            peer.told.append(number)

    def ask(self) -> None:
        number, members = self.next(), self.members()
        self.asked.append((self.group.callRemote("hear", number), number, members))
        for peer in members:
            peer.told.append(number)

    async def do(self, name: str, peer: Peer | None) -> None:
        if peer is None:
            await self.peers[0].both.quiet() if name == "turn" else getattr(self, name)()
        elif name == "call" and not peer.reference.isDead():
            peer.called.append(self.next())
            peer.reference.callRemoteOnly("hear", self.number)
        elif name == "hold":
            peer.both.to_client.hold()
        elif name == "read":
            await read_all(peer.both)
        elif name == "cut":
            peer.both.cut()
        elif name == "release":
            peer.reference.release()
        elif name == "discard":
            self.group.discard(peer.reference)
        elif name == "add" and not peer.reference.isDead() and peer.reference not in self.group:
            self.group.add(peer.reference)
            peer.due = self.number


def is_part_of(part: list[int], whole: list[int]) -> bool:
    rest = iter(whole)
    return all(one in rest for one in part)


def check(model: Model, peer: Peer, delivery: str) -> None:
    heard, everything = peer.listener.heard, sorted(peer.told + peer.called)
    by_group = [number for number in heard if number in peer.told]
    assert is_part_of(by_group, peer.told), "in order, and once"
    if delivery != "latest":
        assert is_part_of(heard, everything), "in order with calls of its own"
    if peer.reference.isDead():  # what waited then is not sent
        return
    assert set(peer.called) <= set(heard)
    if peer.reference not in model.group:
        return
    told = [number for number in peer.told if number > peer.due]
    if delivery == "all":
        assert set(told) <= set(heard)
    elif delivery == "latest" and told:
        assert told[-1] in heard


@pytest.mark.parametrize("straight", [False, True])
@pytest.mark.parametrize("delivery", ["all", "latest", "drop"])
@given(ops=OPS)
@settings(max_examples=60, deadline=None)
def test_each_member_is_told_what_the_policy_says(
    delivery: str, straight: bool, ops: list[tuple[Any, ...]]
) -> None:
    async def main() -> None:
        async with asyncio.timeout(MINUTE), AsyncExitStack() as stack:
            limits = pb.Limits(window_frames=ROOM)
            pairs = [await stack.enter_async_context(pair(limits=limits)) for _ in range(PEERS)]
            await pairs[0].quiet()
            model = Model([Peer(both, straight) for both in pairs], delivery)
            for name, *which in ops:
                await model.do(name, model.peers[which[0]] if which else None)
            for peer in model.peers:
                if not peer.both.client.broker.disconnected:
                    await read_all(peer.both)
            for call, number, members in model.asked:
                results = await call
                assert set(results) == {peer.reference for peer in members}
                for peer in members:
                    result = results[peer.reference]
                    assert result == number or isinstance(result, pb.Error)
                    assert (result == number) <= (number in peer.listener.heard)
            for peer in model.peers:
                check(model, peer, delivery)
                model.group.discard(peer.reference)
                if not peer.both.client.broker.disconnected:
                    await peer.both.assert_idle()
        for both in pairs:
            for side in both:
                assert not any(tables(side.session).values()), tables(side.session)

    asyncio.run(main())


def test_what_many_got_is_sent_again_to_who_lost_the_connection() -> None:
    listener = Listener()
    both = ResumablePair(
        lambda _: None, limits=pb.Limits(resume_window=60), client_names={"ear": listener}
    )
    both.settle()
    session = both.server

    def express(call: SharedFrames, target: int | str) -> bool:
        """As a WebSocket does it."""
        message = session.share(call.frames.get(target) or call.frame(target))
        if message is not None:
            both.wires[-1].down += message
        return message is not None

    session.broker.express = express
    group = pb.Group([session.broker.remoteForName("ear")])
    group.callRemoteOnly("hear", 1)
    both.settle()
    assert listener.heard == [1]
    group.callRemoteOnly("hear", 2)
    group.callRemoteOnly("hear", 3)
    both.cut()
    group.callRemoteOnly("hear", 4)
    assert session.detached
    assert len(group) == 1
    both.settle()
    group.callRemoteOnly("hear", 5)
    both.settle()
    assert listener.heard == [1, 2, 3, 4, 5]
    assert session.sent == 5
    session.end("the test is over")
    assert len(group) == 0
