"""Two sessions and a link, driven at random, without an event loop.

The laws: every call ends exactly once; calls start in the order in which they were sent; the copy
of a cache is what the original was at some time, each update once and in its order, is what the
original is when all was delivered, and has what was changed before an answer when that comes; each
observer is stopped exactly once; when all is quiet and let go, nothing stands in any table of
either side.
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
        self.tanks = [Tank(self, 0, None)]
        self.tanks.append(Tank(self, 1, self.tanks[0]))
        self.observers: list[Any] = []  # all that there ever were
        self.stopped: list[Any] = []


class Tank(pb.Cacheable):
    """A cache of either side, to which items are only added; one has another in its state."""

    def __init__(self, ledger: "Ledger", number: int, inner: "Tank | None") -> None:
        self.ledger = ledger
        self.number = number
        self.inner = inner
        self.items: list[int] = []
        self.observers: list[Any] = []

    def getStateToCacheAndObserveFor(self, _perspective: Any, observer: Any) -> Any:
        self.observers.append(observer)
        self.ledger.observers.append(observer)
        return {"number": self.number, "items": list(self.items), "inner": self.inner}

    def stoppedObserving(self, _perspective: Any, observer: Any) -> None:
        [at] = [at for at, one in enumerate(self.observers) if one is observer]
        del self.observers[at]
        self.ledger.stopped.append(observer)

    def add(self, *, answered: bool) -> int:
        item = len(self.items)
        self.items.append(item)
        for observer in self.observers:
            if answered:
                observer.callRemote("add", item).then_call(lambda promise: promise.error())
            else:
                observer.callRemoteOnly("add", item)
        return len(self.items)


class TankCopy(pb.RemoteCache):
    """What a Tank arrives as."""

    all: ClassVar[WeakSet["TankCopy"]] = WeakSet()

    def __init__(self) -> None:
        self.all.add(self)

    def observe_add(self, item: int) -> None:
        self.items.append(item)

    def is_live(self) -> bool:
        """Whether the owner tells us what changes."""
        cache = self.__cache__
        return cache.count > 0 and not cache._imports.broker.disconnected


REGISTRY = pb.Registry()
REGISTRY.setUnjellyableForClass(Tank, TankCopy)


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
        return [Thing(self.ledger, self.runtime), *self.ledger.tanks, object()]

    def remote_tank(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        return self.ledger.tanks[number % 2]

    def remote_tanks(self, number: int, *_values: Any) -> Any:
        self.ledger.started.append(number)
        return {"one": self.ledger.tanks[1], "again": list(self.ledger.tanks)}

    def remote_add(self, number: int, *_values: Any) -> Any:
        """Changes two caches, and answers with what they have to be at the caller then."""
        self.ledger.started.append(number)
        return {"sizes": [tank.add(answered=bool(number % 2)) for tank in self.ledger.tanks]}


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
        "tank",
        "tanks",
        "add",
        "add",
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
            roots[0],
            client_names={"root": roots[1]},
            limits=self.limits,
            runtime=self.runtime,
            registry=REGISTRY,
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

        def ended(promise: Any) -> None:
            self.ends[number] += 1
            if promise.error() is None and type(promise.result()) is dict:
                sizes = promise.result().get("sizes", ())
                self.runtime.soon(self.has_what_was_answered, side, sizes)

        promise.then_call(ended)
        side.promises.append((number, promise))
        return promise

    def has_what_was_answered(self, side: Side, sizes: Any) -> None:
        for copy in self.copies(side):
            assert copy.number >= len(sizes) or len(copy.items) >= sizes[copy.number]

    def copies(self, side: Side) -> list[TankCopy]:
        """The copies of *side*'s that are told what changes."""
        return [
            copy
            for copy in list(TankCopy.all)
            if copy.is_live() and copy.__cache__._imports.broker is side.session.broker
        ]

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
            elif kind == "tank":
                made.append(side.ledger.tanks[at % 2])
            elif side.promises:
                _, promise = self.pick(side.promises, at)
                made.append(promise)
                waits = True
        return [value for value in made if value is not None], waits

    KINDS = st.lists(
        st.tuples(
            st.sampled_from(["data", "thing", "function", "held", "held", "tank", "promise"]),
            st.integers(0, 50),
        ),
        max_size=3,
    )

    @rule(by_client=TO_SERVER, at=st.integers(0, 50), method=METHODS, kinds=KINDS)
    def call_a_reference(self, by_client: bool, at: int, method: str, kinds: Any) -> None:
        side, _ = self.sides(by_client)
        values, waits = self.values(side, kinds)
        references = [held for held in side.held if not isinstance(held, TankCopy)]
        target = self.pick([side.root(), *references], at)
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

    @rule(by_client=TO_SERVER, at=st.integers(0, 1), answered=st.booleans())
    def add_to_a_tank(self, by_client: bool, at: int, answered: bool) -> None:
        side, _ = self.sides(by_client)
        side.ledger.tanks[at].add(answered=answered)

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
    def copies_are_what_the_originals_were(self) -> None:
        if not hasattr(self, "client"):
            return
        for side, peer in ((self.client, self.server), (self.server, self.client)):
            for copy in self.copies(side):
                original = peer.ledger.tanks[copy.number]
                assert copy.items == original.items[: len(copy.items)]
                assert copy.inner is None or copy.inner.number == 0

    @invariant()
    def observers_are_stopped_once(self) -> None:
        for side in (getattr(self, "client", None), getattr(self, "server", None)):
            if side is not None:
                stopped = list(map(id, side.ledger.stopped))
                assert len(stopped) == len(set(stopped))

    def copies_are_what_the_originals_are(self) -> None:
        """When nothing is on its way any more."""
        for side, peer in ((self.client, self.server), (self.server, self.client)):
            for copy in self.copies(side):
                assert copy.items == peer.ledger.tanks[copy.number].items

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
        for _ in range(1000):  # slow handlers start others' calls; a bound for what never ends
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
                session.broker.incoming.count()
                or session.broker.outgoing.count()
                or session.broker.line
                for session in (link.client, link.server)
            )  # calls without an answer have no end to wait for, and may stand in line
            if not waiting and all(self.ends.values()) and not held_back:
                break
        for side in (self.client, self.server):
            side.ledger.waiting.clear()
        self.no_call_ended_twice()
        self.starts_are_in_order()
        self.nobody_broke_the_protocol()
        assert all(self.ends.values()), [n for n, ends in self.ends.items() if not ends]
        if not self.is_cut and not link.client.closing and not link.server.closing:
            self.copies_are_what_the_originals_are()
        self.let_go_of_everything()
        link.assert_idle()
        for side in (self.client, self.server):
            ledger = side.ledger
            assert len(ledger.stopped) == len(ledger.observers)
            assert not any(tank.observers for tank in ledger.tanks)
        self.nobody_broke_the_protocol()
        self.end_it()
        for session in (link.client, link.server):
            assert not any(tables(session).values()), tables(session)
        assert self.runtime.timers() == 0

    def end_it(self) -> None:
        self.link.cut()

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
    if isinstance(value, pb.RemoteReference | pb.RemoteCache):
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
