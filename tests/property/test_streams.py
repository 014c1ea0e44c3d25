"""Streams between two sessions, driven at random, without an event loop.

The laws: a producer draws no item that its reader has not allowed; what is read is what was
made, in its order, nothing lost and nothing twice, and behind it how the iterator ended; an
iterator that was begun ends exactly once, whatever ends it; in the end nothing stands in any table
of either side.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import pbweb as pb
from pbweb.streams import AHEAD
from pbweb.testing import SteppedPair, SteppedRuntime, stepped_pair
from tests.property.resumable import ResumablePair

SIDES = st.sampled_from(["client", "server"])
PLANS = st.lists(st.sampled_from(["item", "items", "pause", "wait", "large", "object"]), max_size=9)
ENDS = st.sampled_from(["whole", "raise", "endless"])


class Turn:
    """Lets the others have their turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Made:
    """One iterator, and what is known of it."""

    def __init__(self, runtime: SteppedRuntime, plan: list[str], end: str) -> None:
        self.runtime = runtime
        self.plan = plan
        self.end = end
        self.drawn: list[Any] = []
        self.begun = 0
        self.ended = 0
        self.gates: list[Any] = []
        # of its reader
        self.stream: Any = None
        self.read: list[Any] = []
        self.outcome: str | None = None
        self.is_left = False
        self.reading = 0

    async def items(self) -> AsyncIterator[Any]:
        self.begun += 1
        try:
            for step in self.plan:
                if step == "pause":
                    await Turn()
                elif step == "wait":
                    gate = self.runtime.future()
                    self.gates.append(gate)
                    await gate
                else:
                    for _ in range({"items": 40}.get(step, 1)):
                        yield self.make(step)
            if self.end == "raise":
                raise pb.Error("the end")
            while self.end == "endless":
                yield self.make("item")
        finally:
            self.ended += 1

    def make(self, step: str) -> Any:
        number = len(self.drawn)
        item: Any = {"large": [number, bytes(200_000)], "object": {"at": [number]}}.get(
            step, number
        )
        self.drawn.append(item)
        return item


class Side(pb.Referenceable):
    """What the other side gets streams from, and hands streams to."""

    def __init__(self, runtime: SteppedRuntime) -> None:
        self.runtime = runtime
        self.made: list[Made] = []
        self.got: list[Any] = []

    def make(self, plan: list[str], end: str) -> Made:
        self.made.append(Made(self.runtime, plan, end))
        return self.made[-1]

    def remote_get(self, at: int) -> Any:
        return [self.made[at].items()]

    def remote_take(self, stream: Any) -> None:
        self.got.append(stream)


class Streams(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runtime = SteppedRuntime()
        self.sides = {name: Side(self.runtime) for name in ("client", "server")}
        self.pair = self.make_pair()
        self.pair.settle()
        self.all: list[Made] = []
        self.is_over = False

    def make_pair(self) -> SteppedPair:
        return stepped_pair(
            self.sides["server"],
            client_names={"root": self.sides["client"]},
            runtime=self.runtime,
            limits=pb.Limits(streams=8),
        )

    def come_back(self) -> None:
        """See that both sides are connected, where that can be."""

    def broker(self, side: str) -> Any:
        return (self.pair.client if side == "client" else self.pair.server).broker

    def reader_of(self, made: Made) -> str:
        return "server" if made in self.sides["client"].made else "client"

    # ------------------------------------------------------------------- rules

    @rule(side=SIDES, plan=PLANS, end=ENDS, as_argument=st.booleans())
    def open(self, side: str, plan: list[str], end: str, as_argument: bool) -> None:
        """*side* has an iterator, of which the other side gets a stream."""
        if self.is_over or sum(made.stream is not None for made in self.all) >= 8:
            return
        self.come_back()
        mine = self.sides[side]
        other = "client" if side == "server" else "server"
        made = mine.make(plan, end)
        self.all.append(made)
        before = len(self.sides[other].got)
        if as_argument:
            self.broker(side).remoteForName("root").callRemote("take", made.items()).error()
            self.pair.settle()
            if len(self.sides[other].got) > before:
                made.stream = self.sides[other].got.pop()
        else:
            at = mine.made.index(made)
            promise = self.broker(other).remoteForName("root").callRemote("get", at)
            self.pair.settle()
            if promise.done and promise.error() is None:
                [made.stream] = promise.result()

    def pick(self, data: st.DataObject) -> Made | None:
        readable = [made for made in self.all if made.stream is not None]
        return data.draw(st.sampled_from(readable)) if readable else None

    @rule(data=st.data(), number=st.integers(1, 100))
    def read(self, data: st.DataObject, number: int) -> None:
        made = self.pick(data)
        if made is None or made.reading:
            return
        stream = made.stream

        async def take() -> None:
            try:
                for _ in range(number):
                    made.read.append(await anext(stream))
            except StopAsyncIteration:
                made.outcome = made.outcome or "whole"
            except pb.PBConnectionLost:
                made.outcome = made.outcome or "lost"
            except pb.Error as error:
                made.outcome = made.outcome or str(error)
            made.reading -= 1

        made.reading += 1
        self.runtime.spawn(take(), None)

    @rule(data=st.data(), how=st.sampled_from(["close", "release", "drop"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        made = self.pick(data)
        if made is None or made.reading:
            return
        stream, made.stream, made.is_left = made.stream, None, True
        if how == "close":
            self.runtime.spawn(stream.aclose(), None)
        elif how == "release":
            stream.release()

    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        """What a producer waits for comes."""
        gates = [made for made in self.all if made.gates]
        if gates:
            gate = data.draw(st.sampled_from(gates)).gates.pop()
            if not gate.done():
                gate.set_result(None)

    @rule(steps=st.integers(1, 30))
    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.runtime.step()

    @rule(to_server=st.booleans(), number=st.integers(1, 4))
    def deliver(self, to_server: bool, number: int) -> None:
        self.pair.flush()
        for _ in range(number):
            self.pair.deliver(to_server=to_server)

    @rule(seconds=st.sampled_from([0.0, 0.3]))
    def settle(self, seconds: float) -> None:
        self.pair.settle()
        self.runtime.advance(seconds)
        self.pair.settle()

    @precondition(lambda self: len(self.all) > 3)
    @rule()
    def cut(self) -> None:
        self.pair.cut()
        self.is_over = True

    # -------------------------------------------------------------------- laws

    @invariant()
    def no_producer_is_ahead(self) -> None:
        for made in self.all:
            # What its reader has and what it asked for is AHEAD at most, and that of each ASK.
            assert len(made.drawn) <= len(made.read) + AHEAD, (len(made.drawn), len(made.read))
            assert made.begun <= 1
            assert made.ended <= made.begun

    @invariant()
    def what_is_read_is_what_was_made(self) -> None:
        for made in self.all:
            assert made.read == made.drawn[: len(made.read)]
            if made.outcome is None or made.is_left:
                continue
            if made.outcome == "whole":
                assert made.end == "whole"
                assert made.read == made.drawn
            elif made.outcome == "the end":
                assert made.end == "raise"
                assert made.read == made.drawn
            else:
                assert made.outcome == "lost", made.outcome
                assert self.is_over

    def teardown(self) -> None:
        self.come_back()
        for made in self.all:
            made.stream = None
        self.runtime.run()
        self.pair.settle()
        for side in self.sides.values():
            side.got.clear()
        for _ in range(10):  # behind a gate may be another
            for made in self.all:
                for gate in made.gates:
                    if not gate.done():
                        gate.set_result(None)
            self.pair.settle()
        self.pair.assert_idle() if not self.is_over else self.runtime.run()
        for made in self.all:
            assert made.reading == 0
            assert made.ended == made.begun <= 1
        assert not [report for report in self.runtime.reports if report[1] is not None]


class ResumedStreams(Streams):
    """The connection breaks at any byte, and the session goes on: nobody notices."""

    def make_pair(self) -> SteppedPair:
        def publish(session: Any) -> None:
            session.broker.setNameForLocal("root", self.sides["server"])

        return ResumablePair(
            publish,
            client_names={"root": self.sides["client"]},
            runtime=self.runtime,
            limits=pb.Limits(streams=8, resume_window=60),
        )

    @rule()
    def come_back(self) -> None:
        self.pair.reconnect()
        self.pair.settle()

    @precondition(lambda self: self.all)
    @rule(up=st.sampled_from([0, 1, 60, 400, 10**6]), down=st.sampled_from([0, 1, 60, 400, 10**6]))
    def break_link(self, up: int, down: int) -> None:
        self.pair.flush()
        self.pair.cut(up=up, down=down)

    def cut(self) -> None:
        """Breaking is no end here."""


class Allowances(RuleBasedStateMachine):
    """One producer, whose calls of ``next`` are made by hand: credit is what they said, no more."""

    def __init__(self) -> None:
        super().__init__()
        self.runtime = SteppedRuntime()
        self.side = Side(self.runtime)
        self.pair = stepped_pair(self.side, runtime=self.runtime)
        self.made = self.side.make(["item", "pause", "items", "large", "pause"], "endless")
        self.promise = self.pair.client.broker.remoteForName("root").callRemote("get", 0)
        self.pair.settle()
        [self.stream] = self.promise.result()
        self.reference = pb.RemoteReference(
            self.pair.client.broker, self.stream.luid, self.stream.luid
        )
        self.allowed = 0
        self.got: list[Any] = []

    @rule(n=st.one_of(st.integers(1, 100), st.just(10**12)))
    def ask(self, n: int) -> None:
        def came(promise: Any) -> None:
            if promise.error() is None:
                self.got += promise.result()["items"]

        if self.pair.client.broker.statistics()["calls_waiting"] < 50:
            self.allowed += n
            self.reference.callRemote("next", n).then_call(came)

    @rule(steps=st.integers(1, 30))
    def run(self, steps: int) -> None:
        self.pair.flush()
        self.pair.deliver(to_server=True)
        for _ in range(steps):
            self.runtime.step()

    @rule()
    def settle(self) -> None:
        self.pair.settle()
        self.runtime.advance(0.3)
        self.pair.settle()

    @invariant()
    def credit_is_a_sum(self) -> None:
        assert len(self.made.drawn) <= self.allowed
        assert self.got == self.made.drawn[: len(self.got)]

    def teardown(self) -> None:
        self.stream.release()
        self.promise = self.stream = None
        self.pair.settle()
        self.pair.assert_idle()
        assert self.made.ended == self.made.begun


EXAMPLES = int(os.environ.get("PBWEB_EXAMPLES", "60"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    derandomize="CI" in os.environ,  # the same examples for everybody; others on every other run
)
TestStreams = Streams.TestCase
TestResumedStreams = ResumedStreams.TestCase
TestAllowances = Allowances.TestCase
for _machine in (TestStreams, TestResumedStreams, TestAllowances):
    _machine.settings = SETTINGS
del _machine
