"""Logins driven at random, with a link that stops anywhere, and without an event loop.

The laws: ``logout`` runs exactly once for each avatar that was made, and not before its login has
ended, by a release, by what it proved expiring, or by the session's end; while a login lasts its
avatar's references can be called, and after it none of them; each sees whose it is, whoever calls
beside it; when all is let go, nothing stands in any table of either side.
"""

import gc
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pbweb as pb
from pbweb.testing import SteppedPair, SteppedRuntime, _acknowledge_now, stepped_pair, tables
from tests.property.resumable import ResumablePair

PICK = st.integers(0, 50)
BYTES = st.sampled_from([0, 1, 80, 300, 10**6])
LIMITS = pb.Limits(login_failures=1000, heartbeat=1e9, stall=1e9, resume_window=1000)
SECONDS = st.sampled_from([None, 1, 5, 30])


class Note(pb.Viewable):
    def view_whose(self, perspective: Any) -> int:
        number: int = perspective.number
        return number


class Thing(pb.Referenceable):
    def remote_touch(self) -> str:
        return "touched"


class Mind(pb.Referenceable):
    pass


class User(pb.Avatar):
    def __init__(self, number: int, note: Note, mind: Any, runtime: SteppedRuntime) -> None:
        self.number, self.note, self.mind, self.runtime = number, note, mind, runtime

    def perspective_whoami(self) -> int:
        return self.number

    def perspective_note(self) -> Note:
        return self.note

    def perspective_thing(self) -> Thing:
        return Thing()

    async def perspective_later(self) -> int:
        await self.runtime.soon_done()  # type: ignore[attr-defined]
        return self.number

    async def perspective_wait(self) -> None:
        await self.runtime.future()


class Runtime(SteppedRuntime):
    def soon_done(self) -> Any:
        future = self.future()
        self.soon(future.set_result, None)
        return future


class Realm:
    """Its avatars have numbers, which the tokens ``number:seconds`` name."""

    credentialInterfaces = (pb.Token,)

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.note = Note()
        self.made: list[int] = []
        self.left: list[int] = []

    async def requestAvatarId(self, credentials: pb.Token) -> Any:
        await self.runtime.soon_done()
        number, _, seconds = credentials.token.partition(":")
        if not number:
            raise pb.UnauthorizedLogin
        return pb.ExpiringAvatarId(int(number), float(seconds)) if seconds else int(number)

    async def requestAvatar(self, avatarId: int, mind: Any, interface: Any) -> Any:
        await self.runtime.soon_done()
        self.made.append(avatarId)
        logout: Any = self.leave_later if avatarId % 2 else self.leave
        return (
            interface,
            User(avatarId, self.note, mind, self.runtime),
            lambda: logout(avatarId),
        )

    def leave(self, number: int) -> None:
        self.left.append(number)

    async def leave_later(self, number: int) -> None:
        self.left.append(number)
        await self.runtime.soon_done()


class Held:
    """A login as the client has it, and what it knows of it."""

    def __init__(self, number: int, promise: Any, until: float | None, mind: Any) -> None:
        self.number = number
        self.avatar: Any = promise
        self.until = until
        self.mind = mind
        self.things: list[tuple[Any, str, Any]] = []
        self.waits: list[Any] = []  # calls that do not end by themselves
        self.released = False

    def let_go(self) -> None:
        """Leave it to the garbage collector, which finds it when no call goes on."""
        self.avatar.then_call(lambda promise: promise.error())
        for promise in self.waits:
            promise.cancel()


class Logins(RuleBasedStateMachine):
    @initialize(eager=st.booleans())
    def start(self, eager: bool) -> None:
        self.runtime = Runtime(eager=eager)
        self.realm = Realm(self.runtime)
        self.portal = pb.Portal(self.realm, [self.realm], login_required=False)
        self.held: list[Held] = []
        self.number = 0
        self.connect()

    def connect(self) -> None:
        self.both = self.make_pair()
        self.root = self.both.client.broker.remoteForName("root")
        self.both.settle()

    def make_pair(self) -> SteppedPair:
        return stepped_pair(self.portal, limits=LIMITS, runtime=self.runtime)

    def end(self, deliveries: int, data: Any) -> None:
        """The session goes, when so many messages more have come."""
        self.both.flush()
        for _ in range(deliveries):
            self.both.deliver(to_server=data.draw(st.booleans()))
            self.both.flush()
        self.both.cut()

    def pick(self, at: int) -> Held:
        return self.held[at % len(self.held)]

    def isOver(self, held: Held) -> bool:
        late = held.until is not None and self.runtime.clock() >= held.until
        return held.released or late or self.both.client.ended

    # -------------------------------------------------------------- logging in

    @rule(seconds=SECONDS, settled=st.booleans(), mind=st.booleans())
    def log_in(self, seconds: float | None, settled: bool, mind: bool) -> None:
        self.number += 1
        token = f"{self.number}:{seconds}" if seconds else f"{self.number}"
        own = Mind() if mind else None
        args = ("token", {"token": token}, *([own] if mind else []))
        until = self.runtime.clock() + seconds if seconds else None
        held = Held(self.number, self.root.callRemote("login", *args), until, own)
        self.held.append(held)
        if settled:
            self.both.settle()

    @rule(settled=st.booleans())
    def fail(self, settled: bool) -> None:
        promise = self.root.callRemote("login", "token", {"token": ""})
        promise.then_call(lambda promise: self.must_be(promise, pb.UnauthorizedLogin))
        if settled:
            self.both.settle()

    @rule()
    def want_no_answer(self) -> None:
        self.number += 1
        self.root.callRemoteOnly("login", "token", {"token": f"{self.number}"})
        self.both.settle()
        assert self.realm.left.count(self.number) == 1

    @staticmethod
    def must_be(promise: Any, *kinds: type[BaseException]) -> None:
        error = promise.error()
        assert isinstance(error, (*kinds, pb.PBConnectionLost, pb.DeadReferenceError)), error

    # ---------------------------------------------------------------- calling

    @precondition(lambda self: self.held)
    @rule(at=PICK)
    def get_references(self, at: int) -> None:
        held = self.pick(at)
        note, thing = (held.avatar.callRemote(name) for name in ("note", "thing"))
        self.both.settle()
        self.check(held, note, None)
        self.check(held, thing, None)
        if not self.isOver(held):
            held.things += [(note.result(), "whose", held.number)]
            held.things += [(thing.result(), "touch", "touched")]

    @precondition(lambda self: self.held)
    @rule(at=PICK)
    def call(self, at: int) -> None:
        held = self.pick(at)
        self.both.settle()
        for name in ("whoami", "later"):
            promise = held.avatar.callRemote(name)
            self.both.settle()
            self.check(held, promise, held.number)
        for reference, name, wanted in held.things:
            promise = reference.callRemote(name)
            self.both.settle()
            self.check(held, promise, wanted)

    def check(self, held: Held, promise: Any, wanted: Any) -> None:
        if self.isOver(held):
            self.must_be(promise)
        else:
            assert promise.error() is None, promise.error()
            assert wanted is None or promise.result() == wanted

    @precondition(lambda self: self.held)
    @rule(at=PICK)
    def wait(self, at: int) -> None:
        """A call that goes on until its login has ended."""
        held = self.pick(at)
        promise = held.avatar.callRemote("wait")
        promise.then_call(lambda promise: self.must_be(promise, pb.CancelledError))
        held.waits.append(promise)

    # ---------------------------------------------------------- renewing, ending

    @precondition(lambda self: self.held)
    @rule(at=PICK, seconds=SECONDS)
    def renew(self, at: int, seconds: float | None) -> None:
        held = self.pick(at)
        self.both.settle()
        token = f"{held.number}:{seconds}" if seconds else f"{held.number}"
        promise = self.root.callRemote("renew", held.avatar, "token", {"token": token})
        was_over = self.isOver(held)
        self.both.settle()
        if was_over:
            self.must_be(promise)
        else:
            assert promise.result() is None
            held.until = self.runtime.clock() + seconds if seconds else None

    @precondition(lambda self: self.held)
    @rule(at=PICK)
    def renew_as_another(self, at: int) -> None:
        held = self.pick(at)
        self.both.settle()
        promise = self.root.callRemote("renew", held.avatar, "token", {"token": "0:9999"})
        self.both.settle()
        self.must_be(promise, pb.UnauthorizedLogin)

    @precondition(lambda self: self.held)
    @rule(at=PICK)
    def release(self, at: int) -> None:
        held = self.pick(at)
        self.both.settle()
        if held.avatar.done and not held.avatar.failed and not held.released:
            held.avatar.result().release()
        elif not held.released:
            held.avatar.error()
        held.released = True

    @precondition(lambda self: self.held)
    @rule(at=PICK)
    def drop(self, at: int) -> None:
        """The garbage collector finds all of it."""
        held = self.held.pop(at % len(self.held))
        held.let_go()
        number = held.number
        del held
        self.collect()
        assert self.realm.left.count(number) == self.realm.made.count(number)

    @rule(seconds=st.sampled_from([0.5, 1, 4, 31]))
    def pass_time(self, seconds: float) -> None:
        self.both.settle()
        self.runtime.advance(seconds)
        self.both.settle()

    @rule(deliveries=st.integers(0, 6), data=st.data())
    def cut(self, deliveries: int, data: Any) -> None:
        self.end(deliveries, data)
        self.both.settle()
        assert sorted(self.realm.left) == sorted(self.realm.made)
        self.let_go_of_all()
        for session in (self.both.client, self.both.server):
            assert not any(tables(session).values()), tables(session)
        self.connect()

    def let_go_of_all(self) -> None:
        for held in self.held:
            held.let_go()
        self.held.clear()

    def collect(self) -> None:
        """What is found lets go of more at the other side, an avatar and its mind for one."""
        for _ in range(3):
            self.both.settle()
            gc.collect()
            for session in (self.both.client, self.both.server):
                _acknowledge_now(session)
        self.both.settle()

    # ---------------------------------------------------------------- the laws

    @invariant()
    def nobody_leaves_twice_or_was_never_there(self) -> None:
        left = self.realm.left if hasattr(self, "realm") else []
        assert len(set(left)) == len(left)
        assert set(left) <= set(self.realm.made if left else [])

    @invariant()
    def who_has_ended_has_left(self) -> None:
        if not hasattr(self, "realm"):
            return
        self.both.settle()
        for held in self.held:
            if held.number in self.realm.made:
                assert (held.number in self.realm.left) == self.isOver(held), held.number
        assert not self.portal.leaving

    def teardown(self) -> None:
        if not hasattr(self, "realm"):
            return
        self.both.settle()
        self.let_go_of_all()
        self.collect()
        self.both.assert_idle()
        assert sorted(self.realm.left) == sorted(self.realm.made)
        self.both.cut()


class ResumedLogins(Logins):
    """The connection breaks at any byte, and a login goes on: nobody is logged out, but in time."""

    def make_pair(self) -> SteppedPair:
        def publish(session: Any) -> None:
            session.broker.setNameForLocal("root", self.portal.rootObject(session.broker))

        return ResumablePair(publish, limits=LIMITS, runtime=self.runtime)

    def end(self, deliveries: int, data: Any) -> None:
        self.both.flush()
        for _ in range(deliveries):
            self.both.deliver(to_server=data.draw(st.booleans()))
            self.both.flush()
        self.both.client.end("gone")
        self.both.server.end("gone")

    @rule(up=BYTES, down=BYTES, seconds=st.sampled_from([0, 1, 31]))
    def break_link(self, up: int, down: int, seconds: float) -> None:
        self.both.flush()
        self.both.cut(up=up, down=down)
        self.runtime.advance(seconds)
        self.both.settle()
        assert not self.both.client.ended
        assert not self.both.server.ended


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLogins = Logins.TestCase
TestResumedLogins = ResumedLogins.TestCase
for _machine in (TestLogins, TestResumedLogins):
    _machine.settings = SETTINGS
del _machine
