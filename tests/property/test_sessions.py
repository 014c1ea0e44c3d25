"""Two sessions and a link, driven at random, without an event loop.

The laws: every call ends exactly once; calls start in the order in which they were sent;
when all is quiet and let go, nothing stands in any table of either side.
"""

import os
from collections import deque
from typing import Any, ClassVar
from weakref import WeakSet

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

import pbweb as pb
from pbweb.testing import SteppedRuntime, stepped_pair, tables

EXPECTED = (
    pb.Error,  # with all that pbweb makes itself
    TimeoutError,  # of a call's own timeout
)
TO_SERVER = st.booleans()


class Bang(Exception):
    """What a handler raises."""


class Ledger:
    """What one side was asked, in the order in which its handlers got control."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.waiting: deque[tuple[Any, Any]] = deque()


class Thing(pb.Root):
    """An object of either side; the first argument of each call is the call's number."""

    all: ClassVar[WeakSet["Thing"]] = WeakSet()

    def __init__(self, ledger: Ledger, runtime: SteppedRuntime) -> None:
        self.all.add(self)
        self.ledger = ledger
        self.runtime = runtime
        self.kept: list[Any] = []

    def remote_plain(self, number: int, *values: Any) -> Any:
        self.ledger.started.append(number)
        return [number, *values]

    async def remote_slow(self, number: int, *values: Any) -> Any:
        self.ledger.started.append(number)
        future = self.runtime.future()
        self.ledger.waiting.append((future, "answer"))
        await future
        return [number, *values]

    async def remote_quick(self, number: int, *values: Any) -> Any:
        self.ledger.started.append(number)
        return [number, *values]

    def remote_bang(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        raise Bang(str(number))

    async def remote_slow_bang(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        future = self.runtime.future()
        self.ledger.waiting.append((future, "bang"))
        await future
        raise Bang(str(number))

    def remote_make(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        return Thing(self.ledger, self.runtime)

    def remote_make_many(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        one = Thing(self.ledger, self.runtime)
        return {"one": one, "again": [one, one], "other": Thing(self.ledger, self.runtime)}

    def remote_keep(self, number: int, *values: Any) -> Any:
        self.ledger.started.append(number)
        self.kept.append(values)

    def remote_kept(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        return self.kept

    def remote_forget(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        self.kept.clear()

    def remote_ask_back(self, number: int, *values: Any) -> Any:
        """Answers with what the caller's own object answers: a promise as a result."""
        self.ledger.started.append(number)
        for value in values:
            if isinstance(value, pb.RemoteReference) and not value.isDead():
                return value.callRemote("silent", number)
        return None

    def remote_silent(self, number: int) -> int:
        return number

    def remote_unsendable(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        return [Thing(self.ledger, self.runtime), object()]


METHODS = st.sampled_from(
    [
        "plain",
        "plain",
        "slow",
        "quick",
        "bang",
        "slow_bang",
        "make",
        "make_many",
        "keep",
        "kept",
        "forget",
        "ask_back",
        "unsendable",
        "nowhere",
    ]
)
PATHS = st.sampled_from([(), (0,), (1,), ("one",), ("again", 1), ("other",), ("nowhere",)])


class Side:
    """What one side of the model has: its session, its objects, and what it holds."""

    def __init__(self, session: Any, ledger: Ledger) -> None:
        self.session = session
        self.ledger = ledger
        self.sent: list[int] = []  # numbers of calls in the order sent
        self.named: set[int] = set()  # those that waited for an answer by name
        self.promises: list[Any] = []
        self.held: list[Any] = []
        self.things: list[Any] = []

    def root(self) -> Any:
        return self.session.broker.remoteForName("root")


class Sessions(RuleBasedStateMachine):
    eager = False
    patience = 0  # half seconds in which a cancelled call ends after all was delivered
    limits = pb.Limits()
    may_close: tuple[int, ...] = ()

    @initialize()
    def connect(self) -> None:
        self.runtime = SteppedRuntime(eager=self.eager)
        ledgers = [Ledger(), Ledger()]
        roots = [Thing(ledger, self.runtime) for ledger in ledgers]
        self.link = stepped_pair(
            roots[0], client_names={"root": roots[1]}, limits=self.limits, runtime=self.runtime
        )
        self.server = Side(self.link.server, ledgers[0])
        self.client = Side(self.link.client, ledgers[1])
        self.server.things.append(roots[0])
        self.client.things.append(roots[1])
        self.number = 0
        self.ends: dict[int, int] = {}
        self.is_cut = False
        # until the handshake is through the server has nobody to call
        self.link.settle()

    # -------------------------------------------------------------- rules

    def sides(self, by_client: bool) -> tuple[Side, Side]:
        return (self.client, self.server) if by_client else (self.server, self.client)

    def call(
        self, side: Side, target: Any, method: str, values: list[Any], timeout: Any = None
    ) -> Any:
        self.number += 1
        number = self.number
        promise = target.call(method, (number, *values), timeout=timeout)
        self.ends[number] = 0

        def ended(_promise: Any) -> None:
            self.ends[number] += 1

        promise.then_call(ended)
        side.promises.append((number, promise))
        return promise

    def pick(self, values: list[Any], at: int) -> Any:
        return values[at % len(values)] if values else None

    def values(self, side: Side, kinds: list[tuple[str, int]]) -> tuple[list[Any], bool]:
        """Arguments for a call of *side*'s, and whether it has to wait for others."""
        made: list[Any] = []
        waits = False
        for kind, at in kinds:
            if kind == "data":
                made.append({"a": [at, None, 2**70], "$": {at}})
            elif kind == "thing":
                made.append(self.pick(side.things, at))
            elif kind == "function":
                made.append(self.pick(side.things, at).remote_plain)
            elif kind == "held":
                made.append(self.pick(side.held, at))
            elif side.promises:
                _, promise = self.pick(side.promises, at)
                made.append(promise)
                waits = True
        return [value for value in made if value is not None], waits

    KINDS = st.lists(
        st.tuples(
            st.sampled_from(["data", "thing", "function", "held", "promise"]), st.integers(0, 50)
        ),
        max_size=3,
    )

    @rule(by_client=TO_SERVER, at=st.integers(0, 50), method=METHODS, kinds=KINDS)
    def call_a_reference(self, by_client: bool, at: int, method: str, kinds: Any) -> None:
        side, _ = self.sides(by_client)
        values, waits = self.values(side, kinds)
        target = self.pick([side.root(), *side.held], at)
        self.call(side, target, method, values)
        (side.named.add if waits else side.sent.append)(self.number)

    @rule(by_client=TO_SERVER, at=st.integers(0, 50), path=PATHS, method=METHODS, kinds=KINDS)
    def call_a_promise(self, by_client: bool, at: int, path: Any, method: str, kinds: Any) -> None:
        side, _ = self.sides(by_client)
        if not side.promises:
            return
        values, _ = self.values(side, kinds)
        _, target = self.pick(side.promises, at)
        for item in path:
            target = target[item]
        self.call(side, target, method, values)
        side.named.add(self.number)

    @rule(by_client=TO_SERVER, method=METHODS, seconds=st.sampled_from([0.5, 2.0]))
    def call_with_a_timeout(self, by_client: bool, method: str, seconds: float) -> None:
        side, _ = self.sides(by_client)
        self.call(side, side.root(), method, [], timeout=seconds)
        side.named.add(self.number)

    @rule(by_client=TO_SERVER, method=METHODS, kinds=KINDS)
    def call_without_an_answer(self, by_client: bool, method: str, kinds: Any) -> None:
        side, _ = self.sides(by_client)
        values, _ = self.values(side, kinds)
        try:
            side.root().callRemoteOnly(method, -1, *values)
        except (*EXPECTED, Bang):
            pass

    @rule(by_client=TO_SERVER, at=st.integers(0, 50))
    def cancel(self, by_client: bool, at: int) -> None:
        side, _ = self.sides(by_client)
        if side.promises:
            self.pick(side.promises, at)[1].cancel()

    @rule(by_client=TO_SERVER, at=st.integers(0, 50))
    def take_the_references_of_an_answer(self, by_client: bool, at: int) -> None:
        side, _ = self.sides(by_client)
        done = [promise for _, promise in side.promises if promise.done]
        if done:
            promise = self.pick(done, at)
            if promise.error() is None:
                find_references(promise.result(), side.held)

    @rule(by_client=TO_SERVER, at=st.integers(0, 50))
    def drop_a_reference(self, by_client: bool, at: int) -> None:
        side, _ = self.sides(by_client)
        if side.held:
            side.held.pop(at % len(side.held))

    @rule(by_client=TO_SERVER, at=st.integers(0, 50))
    def release_a_reference(self, by_client: bool, at: int) -> None:
        side, _ = self.sides(by_client)
        if side.held:
            self.pick(side.held, at).release()

    @rule(by_client=TO_SERVER, at=st.integers(0, 50))
    def forget_a_promise(self, by_client: bool, at: int) -> None:
        side, _ = self.sides(by_client)
        if side.promises:
            _, promise = side.promises.pop(at % len(side.promises))
            promise.then_call(lambda promise: promise.error())

    @rule(by_client=TO_SERVER)
    def make_a_thing(self, by_client: bool) -> None:
        side, _ = self.sides(by_client)
        side.things.append(Thing(side.ledger, self.runtime))

    @rule(by_client=TO_SERVER, at=st.integers(0, 50))
    def answer_a_slow_call(self, by_client: bool, at: int) -> None:
        side, _ = self.sides(by_client)
        if side.ledger.waiting:
            future, _ = side.ledger.waiting[at % len(side.ledger.waiting)]
            if not future.done():
                future.set_result(None)

    @rule(to_server=st.booleans())
    def deliver_one(self, to_server: bool) -> None:
        self.link.deliver(to_server=to_server)

    @rule(client=st.booleans())
    def flush_one(self, client: bool) -> None:
        if client:
            self.link.up += self.link.client.messages()
        else:
            self.link.down += self.link.server.messages()

    @rule(steps=st.integers(1, 3))
    def run_some(self, steps: int) -> None:
        for _ in range(steps):
            self.runtime.step()

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        self.link.flush()

    @rule()
    def settle(self) -> None:
        self.link.settle()
        if self.is_cut or self.link.client.closing or self.link.server.closing:
            return
        for _ in range(self.patience):  # an answer may wait for room, which acknowledgements give
            if self.all_cancelled_are_done():
                break
            self.runtime.advance(0.5)
            self.link.settle()
        closed = self.link.client.closing or self.link.server.closing
        assert closed or self.all_cancelled_are_done()  # a cancel reaches who does the work

    def all_cancelled_are_done(self) -> bool:
        return all(
            promise.done
            for side in (self.client, self.server)
            for _, promise in side.promises
            if promise.cancelling
        )

    @rule(really=st.integers(0, 9))
    def cut(self, really: int) -> None:
        if really == 0:
            self.link.cut()
            self.is_cut = True

    # --------------------------------------------------------------- laws

    @invariant()
    def no_call_ended_twice(self) -> None:
        assert all(ends <= 1 for ends in getattr(self, "ends", {}).values())

    @invariant()
    def starts_are_in_order(self) -> None:
        if not hasattr(self, "client"):
            return
        for side, peer in ((self.client, self.server), (self.server, self.client)):
            started = [n for n in peer.ledger.started if n in set(side.sent)]
            assert started == sorted(started), started
            assert len(started) == len(set(started))

    @invariant()
    def nobody_broke_the_protocol(self) -> None:
        if hasattr(self, "link"):
            faults = [report for report in self.runtime.reports if "fault" in report[0]]
            assert not faults, faults
            for session in (self.link.client, self.link.server):
                code = session.closing[0] if session.closing else None
                assert self.is_cut or code in (None, *self.may_close), session.closing

    def teardown(self) -> None:
        if not hasattr(self, "link"):
            return
        link = self.link
        for _ in range(100):  # slow handlers start others' calls
            link.settle()
            self.runtime.advance(0.5)  # a narrow window opens with the acknowledgements
            link.settle()
            waiting = [
                future
                for side in (self.client, self.server)
                for future, _ in side.ledger.waiting
                if not future.done()
            ]
            for future in waiting:
                future.set_result(None)
            held_back = any(
                session.broker.incoming.count() or session.broker.outgoing.count()
                for session in (link.client, link.server)
            )  # calls without an answer have no end to wait for
            if not waiting and all(self.ends.values()) and not held_back:
                break
        for side in (self.client, self.server):
            side.ledger.waiting.clear()
        self.no_call_ended_twice()
        self.starts_are_in_order()
        self.nobody_broke_the_protocol()
        assert all(self.ends.values()), [n for n, ends in self.ends.items() if not ends]
        self.let_go_of_everything()
        link.assert_idle()
        self.nobody_broke_the_protocol()
        link.cut()
        for session in (link.client, link.server):
            assert not any(tables(session).values()), tables(session)
        assert self.runtime.timers() == 0

    def let_go_of_everything(self) -> None:
        for side in (self.client, self.server):
            for _, promise in side.promises:
                promise.error()
            side.promises.clear()
            side.held.clear()
            for thing in side.things:
                thing.kept.clear()
        self.runtime.advance(3.0)  # timeouts of calls that ended
        self.runtime.reports.clear()  # whose tracebacks hold the arguments
        for thing in list(Thing.all):
            thing.kept.clear()


def find_references(value: Any, found: list[Any]) -> None:
    if isinstance(value, pb.RemoteReference):
        found.append(value)
    elif isinstance(value, dict):
        for item in value.values():
            find_references(item, found)
    elif isinstance(value, list | tuple):
        for item in value:
            find_references(item, found)


class EagerSessions(Sessions):
    """With tasks whose first step is made at once, as from Python 3.12 on."""

    eager = True


class NarrowSessions(Sessions):
    """With so little room that calls are held back and answers wait."""

    limits = pb.Limits(calls=2, window_frames=6)
    patience = 100
    may_close = (4440,)  # many errors before the first acknowledgement: twice the window


BOUNDED = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    derandomize="CI" in os.environ,  # the same examples for everybody; others on every other run
)
TestSessions = Sessions.TestCase
TestEagerSessions = EagerSessions.TestCase
TestNarrowSessions = NarrowSessions.TestCase
for _machine in (TestSessions, TestEagerSessions, TestNarrowSessions):
    _machine.settings = BOUNDED
del _machine
