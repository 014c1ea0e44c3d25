"""Calls of ours: sent, held back, answered, cancelled (protocol sections 1 and 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from .backlog import weight_of
from .caching import CacheExport, RemoteCacheObserver
from .errors import (
    CancelledError,
    DeadReferenceError,
    InsecureJelly,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
)
from .frames import Frame
from .jelly import Jellier, size_as_it_is
from .methods import find_method
from .promises import PromisedItem, RemotePromise, follow
from .references import RemoteReference
from .runtime import DEADLINE
from .shared import SharedCall
from .targets import Target
from .unjelly import Pending, Unjellier, introductions, snapshot

if TYPE_CHECKING:
    from .broker import Broker
    from .errors import Outcome
    from .runtime import Handle

__all__ = ["Held", "Outgoing"]

PUSH = 64
"""What a push weighs that waits, beside its values."""


class Held:
    """A call that the peer has no room for yet."""

    __slots__ = ("args", "deadline", "kw", "name", "promise", "shared", "target", "waits", "weight")

    def __init__(
        self,
        promise: RemotePromise | None,
        target: Target,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
        shared: SharedCall | None = None,
    ) -> None:
        self.promise = promise  # None: no answer is wanted
        self.target = target
        self.name = name
        self.args = args
        self.kw = kw
        self.deadline = deadline
        self.shared = shared  # the call, if others get it too: *target* is a reference then
        self.waits = True  # it was neither sent nor taken back
        self.weight = 0  # of a push that waits


class _Home:
    """The target of a call that turned out to be on this side."""

    __slots__ = ("object",)

    def __init__(self, object: Any) -> None:
        self.object = object


class Outgoing:
    """The calls that one side makes on one session."""

    __slots__ = (
        "_broker",
        "_held",
        "_in_line",
        "_last_request",
        "_pushed",
        "_running",
        "_waiting",
    )

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: dict[int, RemotePromise] = {}
        self._held: deque[Held] | None = None  # wait for the peer's limit of calls
        self._in_line: dict[Held, None] | None = None  # wait for room, in the broker's line
        # calls that do not go out here, and what cancels them
        self._running: dict[RemotePromise, Callable[[], object]] | None = None
        self._last_request = 0
        self._pushed = 0  # bytes of what waits though nobody waits for it

    def count(self) -> int:
        """How many calls are not answered yet."""
        return len(self._waiting) + len(self._held or ()) + len(self._in_line or ())

    # ------------------------------------------------------------- calling

    def call(
        self,
        target: Target,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        timeout: float | None = None,
    ) -> RemotePromise:
        """Call *name* on *target*: see `RemoteReference.call`."""
        if not self._broker.runtime.is_here():
            raise _elsewhere(name)
        promise = RemotePromise(self._broker, target)
        deadline = DEADLINE.get()
        if timeout is not None:
            deadline = self._limit_time(promise, timeout, deadline)
        if self.must_hold():
            self.hold(Held(promise, target, name, args, kw, deadline))
        else:
            self._let_go(promise, target, name, args, kw, deadline)
        return promise

    def _limit_time(self, promise: RemotePromise, timeout: float, deadline: float | None) -> float:
        """End *promise* in *timeout* seconds; until when the answer is wanted then."""
        runtime = self._broker.runtime
        mine = runtime.clock() + timeout
        promise.timeout = timeout, mine
        promise.timer = runtime.call_later(timeout, self._timed_out, promise)
        return mine if deadline is None else min(mine, deadline)

    def call_only(self, target: Target, name: str, args: Sequence[Any], kw: dict[str, Any]) -> None:
        """Call *name* on *target* without an answer: see `RemoteReference.callRemoteOnly`."""
        if not self._broker.runtime.is_here():
            raise _elsewhere(name)
        if self.must_hold():
            self.hold(Held(None, target, name, args, kw, DEADLINE.get()))
        else:
            self._let_go_only(target, name, args, kw, DEADLINE.get())

    def update(
        self, export: CacheExport, name: str, args: tuple[Any, ...], kw: dict[str, Any]
    ) -> RemotePromise:
        """Tell the peer of a change: see `RemoteCacheObserver.callRemote`."""
        promise = RemotePromise(self._broker, export.observer)
        self._in_order(export, name, args, kw, promise)
        return promise

    def update_only(
        self, export: CacheExport, name: str, args: tuple[Any, ...], kw: dict[str, Any]
    ) -> None:
        """Without an answer: see `RemoteCacheObserver.callRemoteOnly`."""
        self._in_order(export, name, args, kw, None)

    def _in_order(
        self,
        export: CacheExport,
        name: str,
        args: tuple[Any, ...],
        kw: dict[str, Any],
        promise: RemotePromise | None,
    ) -> None:
        """Send an update in its turn; it does not wait for the peer's limit of calls."""
        broker = self._broker
        if broker.has_room():
            self._update(export, name, args, kw, promise)
        else:  # what the arguments hold may be changed until then, which is another update
            weight = self._push_waits(args, kw)
            args, kw = snapshot((args, kw))
            update = partial(self._update, export, name, args, kw, promise)
            broker.when_room(partial(self._update_in_turn, weight, update))

    def _update_in_turn(self, weight: int, update: Callable[[], None]) -> None:
        """An update has waited for room."""
        self._pushed -= weight
        update()

    def _update(
        self,
        export: CacheExport,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        promise: RemotePromise | None,
    ) -> None:
        request = 0
        try:
            if promise is not None and promise.done:  # it was cancelled
                return
            if self._broker.disconnected and not export.stopped:
                what = "the session is gone (not_executed)"
                raise PBConnectionLost(what, outcome="not_executed")
            if export.stopped:
                raise DeadReferenceError("the peer has no copy of the cache any more")
            seen_by = export.seen_by
            if promise is not None:
                request = self._last_request = self._last_request + 1
            self._post(request, export.luid, name, args, kw, None, seen_by, promise, "cachemessage")
        except BaseException as error:  # each call ends exactly once, with its error
            self._not_sent(request)
            if promise is not None:
                promise.settle(error=error)
                if export.stopped:
                    promise.error()  # nobody minds an update of a copy that is gone
            elif not isinstance(error, (DeadReferenceError, PBConnectionLost)):
                raise
            return
        if promise is not None:
            promise.request = request
            self._waiting[request] = promise

    def _not_sent(self, request: int) -> None:
        """Nobody has seen *request*, if it is one.

        It is taken before the frame is encoded: what is let go behind that gets a higher one.
        """
        if request and request == self._last_request:
            self._last_request -= 1

    def must_hold(self) -> bool:
        """Whether a call has to wait: for room, or behind one that waits."""
        broker = self._broker
        if broker.dirty:  # it was changed before this call is made
            broker.flush_dirty()
        if not self._held and len(self._waiting) < broker.peer_limits.calls and broker.has_room():
            return False
        return not broker.disconnected

    def hold(self, call: Held) -> None:
        """Let *call* wait: for the peer's limit of calls, or in line with all that is sent."""
        if call.promise is None and call.shared is None:
            call.weight = self._push_waits(call.args, call.kw)
        if self._broker.has_room():
            if self._held is None:
                self._held = deque()
            self._held.append(call)
        else:
            if self._in_line is None:
                self._in_line = {}
            self._in_line[call] = None
            self._broker.when_room(partial(self._in_turn, call))

    def _push_waits(self, args: Sequence[Any], kw: dict[str, Any]) -> int:
        """What is pushed has to wait, and nobody waits for it; how much it weighs.

        A server closes a client that lets too much wait, and keeps no more for one that is away. A
        group has a bound of its own, and a call with an answer has its caller.
        """
        broker = self._broker
        most = broker.limits.pushes
        if not kw and len(args) == 1 and type(args[0]) is str:  # as a rule, and much quicker
            weight = PUSH + len(args[0])
        else:
            weight = PUSH + weight_of((args, kw), most)
        self._pushed += weight
        if broker.answering.receipts is None:
            return weight
        if broker.away and not broker.has_room():
            broker.close(4440, "what is pushed has no room while there is no connection")
        elif self._pushed > max(most, weight):
            broker.close(4440, f"pushes: {most} bytes of what is pushed wait for a slow reader")
        return weight

    def _in_turn(self, call: Held) -> None:
        """*call* has waited for room; those that wait for the peer were made before it."""
        if not self._in_line or call not in self._in_line:
            return  # it was taken back
        del self._in_line[call]
        if self._held or not self._peer_has_room():
            self._held = self._held or deque()
            self._held.append(call)
        else:
            self._send(call)

    def _peer_has_room(self) -> bool:
        return len(self._waiting) < self._broker.peer_limits.calls

    def let_go(self) -> None:
        """Send what waited for the peer's limit of calls, as far as it is let now."""
        while self._held and self._peer_has_room() and self._broker.has_room():
            self._send(self._held.popleft())

    def _send(self, call: Held) -> None:
        self._pushed -= call.weight
        try:
            self.let_go_now(call)
        except Exception as error:  # nobody waits for it
            text = f"the call of {call.name!r} without answer was not sent"
            self._broker.runtime.report(text, error)

    def _let_go(
        self,
        promise: RemotePromise,
        target: Target,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
    ) -> None:
        request = 0
        try:
            where = self._address(target)
            if type(where) is _Home:
                self._call_home(promise, target, where.object, name, args, kw)
                return
            if type(where) is RemoteReference:  # of another session
                left = self._left(deadline)
                self._settle_with(promise, where.call(name, args, kw, timeout=left))
                return
            request = self._last_request = self._last_request + 1
            self._post(request, where, name, args, kw, deadline, target.perspective, promise)
        except BaseException as error:  # each call ends exactly once, with its error
            self._not_sent(request)
            promise.settle(error=error)
            return
        promise.request = request
        self._waiting[request] = promise
        if type(target) is not RemoteReference:
            _note_pipelined(promise, target)

    def _let_go_only(
        self,
        target: Target,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
    ) -> None:
        where = self._address(target)
        if type(where) is _Home:
            promise = RemotePromise(self._broker)
            self._call_home(promise, target, where.object, name, args, kw)
        elif type(where) is RemoteReference:
            where.callRemoteOnly(name, *args, **kw)
        else:
            self._post(0, where, name, args, kw, deadline, target.perspective)

    def _address(self, target: Target) -> Any:
        """What *target* is on the wire, or an object of this side, or a reference elsewhere.

        Raises:
            DeadReferenceError: it is gone, or was never sent.
            Error: what the promise failed with.
        """
        if type(target) is RemoteReference:
            if target.isDead():
                error = self._broker.dead()
                error.outcome = "not_executed"
                raise error
            return target.luid
        path: Sequence[str | int] = ()
        if isinstance(target, PromisedItem):
            path = target.path
            target = target.promise
        assert isinstance(target, RemotePromise)
        if target.done:
            value = follow(target.result(), path)
            if type(value) is not RemoteReference:
                return _Home(value)
            return self._address(value) if value.broker is self._broker else value
        if not target.request or self._broker.disconnected:
            raise DeadReferenceError("the call that the promise belongs to was not sent")
        if path:
            return {"$": "answer", "id": target.request, "path": list(path)}
        return -target.request

    def _call_home(
        self,
        promise: RemotePromise,
        target: Target,
        object: Any,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
    ) -> None:
        """Call an object of our own that came home in a promise, behind what was pipelined."""
        method = find_method(object, name)
        target = target.promise if type(target) is PromisedItem else target
        assert isinstance(target, RemotePromise)

        task: Handle | None = None
        has_begun = False

        async def run() -> None:
            nonlocal has_begun
            has_begun = True
            if promise.done:  # it was cancelled before
                return
            try:
                result = method(object, *args, **kw)
                if hasattr(type(result), "__await__"):
                    result = await result
            except BaseException as error:  # as a remote call would end
                if isinstance(error, self._broker.runtime.cancelled):
                    error = CancelledError("the call was cancelled")
                promise.settle(error=error)
            else:
                promise.settle(result)

        def start() -> None:
            nonlocal task
            if not promise.done:
                task = self._broker.runtime.spawn(run(), None)
                self._keep(promise, stop)

        def stop() -> None:
            if has_begun:
                assert task is not None
                task.cancel()
            else:  # the task would end without a step, and tell nobody
                promise.settle(error=CancelledError("the call was cancelled"))

        if target.pipelined or target.behind:
            target.behind = target.behind or deque()
            target.behind.append(start)
        else:
            start()

    def _settle_with(self, promise: RemotePromise, other: RemotePromise) -> None:
        """*promise* is of what *other* will be, a call on another session."""

        def settled(other: RemotePromise) -> None:
            error = other.error()
            promise.settle(None if error else other.result(), error)

        self._keep(promise, other.cancel)
        other.then_call(settled)

    def _keep(self, promise: RemotePromise, stop: Callable[[], object]) -> None:
        """Hold what *promise* comes from, which *stop* cancels with it, until it is there."""
        if promise.done:
            return
        running = self._running = self._running or {}
        running[promise] = stop

        def ended(promise: RemotePromise) -> None:
            del running[promise]

        promise.then_call(ended)

    def _post(
        self,
        request: int,
        where: int | str | dict[str, Any],
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
        perspective: Any,
        promise: RemotePromise | None = None,
        kind: str = "message",
    ) -> None:
        """Put a ``message`` into the outbox; nothing has changed when this raises."""
        if type(name) is not str or not name.isascii():
            raise NoSuchMethod(f"a method's name is a string of ASCII letters, not {name!r}")
        frame: Frame = [kind, request, where, name]
        left = None if deadline is None else self._left(deadline)
        size = None if kw else size_as_it_is(args)
        if size is not None:
            if args:
                frame.append(list(args))
                self._broker.queued += size
            if left is not None:
                frame += ([], {}, {"deadline": left})[len(frame) - 4 :]
            self._broker.send(frame)
            return

        def fill(jellier: Jellier) -> None:
            jellier.in_copies += kind == "cachemessage"  # an update waits for no answer
            frame.extend(jellier.encode_call(args, kw))
            if promise is not None:
                promise.hangs = bool(jellier.answers)
            if left is not None:
                frame.append({"deadline": left})
            elif not kw:
                frame.pop()

        self._broker.send_encoded(frame, fill, perspective)

    def _left(self, deadline: float | None) -> float | None:
        """Seconds until *deadline*, which may have passed."""
        return None if deadline is None else max(0.0, deadline - self._broker.runtime.clock())

    # ------------------------------------------------- calls on many objects

    def call_shared(self, call: SharedCall, target: int | str) -> bool:
        """Send *call* without an answer; False if it must wait, or be encoded for this peer."""
        broker = self._broker
        limits, outbox = broker.peer_limits, broker.outbox
        if (
            self._held
            or len(self._waiting) >= limits.calls
            or not broker.has_room()
            or (call.suited is not limits and not call.suits(limits))
        ):
            return False
        frame = call.frames.get(target) or call.frame(target)
        if frame.size > limits.message:
            return False
        broker.queued += frame.size
        if outbox:
            outbox.append(frame)
        else:
            broker.send(frame)
        return True

    def is_idle(self) -> bool:
        """Whether no call of ours is in progress or waits."""
        return not (self._waiting or self._held)

    def shared(
        self, reference: RemoteReference, call: SharedCall, *, answer: bool, timeout: float | None
    ) -> Held:
        """*call* on *reference*, to `let_go_now`, or to `hold` while it `must_hold`.

        Without an answer it has no deadline: the caller's is not the business of so many.
        """
        promise = deadline = None
        if answer:
            promise, deadline = RemotePromise(self._broker, reference), DEADLINE.get()
            if timeout is not None:
                deadline = self._limit_time(promise, timeout, deadline)
        return Held(promise, reference, call.name, call.args, call.kw, deadline, call)

    def let_go_now(self, call: Held) -> None:
        """Send *call*, which does not have to wait; its promise, if it has one, says how it went.

        Raises:
            DeadReferenceError, InsecureJelly, LimitExceeded: it cannot be sent.
        """
        call.waits = False
        if call.shared is not None and self._post_shared(call, call.shared):
            return
        what = (call.target, call.name, call.args, call.kw, call.deadline)
        if call.promise is not None:
            self._let_go(call.promise, *what)
        else:
            self._let_go_only(*what)

    def _post_shared(self, held: Held, call: SharedCall) -> bool:
        """Whether *held*, which is of *call*, could be sent as it was encoded for all."""
        broker, promise, shared = self._broker, held.promise, call.encoded
        reference = held.target
        assert type(reference) is RemoteReference
        limits = broker.peer_limits
        if reference.isDead() or shared is None or not shared.fits(limits):
            return False
        request = 0
        if promise is not None:
            request = self._last_request = self._last_request + 1
        frame: Frame = ["message", request, reference.luid, call.name, *shared.parts()]
        if held.deadline is not None:
            frame += ([], {}, {"deadline": self._left(held.deadline)})[len(frame) - 4 :]
        if shared.size > limits.message // 8 and len(orjson.dumps(frame)) > limits.message:
            self._not_sent(request)
            return False  # the error has the exact size for this peer
        broker.queued += shared.size
        broker.send(frame)
        if promise is not None:
            promise.request = request
            self._waiting[request] = promise
        return True

    def take_back(self, call: Held, why: BaseException) -> None:
        """*call* is not sent, if it still waits; its promise, if it has one, fails."""
        if not call.waits:
            return
        call.waits = False
        if self._in_line and call in self._in_line:
            del self._in_line[call]
        elif self._held and call in self._held:
            self._held.remove(call)
        if call.promise is not None:
            call.promise.settle(error=why)

    def put_in_place(self, old: Held, new: Held, why: BaseException) -> None:
        """Let *new* wait where *old* waits, whose promise, if it has one, fails."""
        if old.promise is not None:
            old.promise.settle(error=why)
        for name in ("args", "deadline", "kw", "name", "promise", "shared"):
            setattr(old, name, getattr(new, name))

    # ---------------------------------------------------------- cancelling

    def _timed_out(self, promise: RemotePromise) -> None:
        promise.timer = None
        error = _out_of_time(promise)
        if not promise.cancelling:
            promise.cancelling = True
            self.cancel(promise, error)
        promise.settle(error=error)

    def cancel(self, promise: RemotePromise, why: BaseException | None = None) -> None:
        """Take back a call that is not sent, or tell the peer: see `RemotePromise.cancel`."""
        if promise.request in self._waiting:
            self._broker.send(["cancel", promise.request])
            return
        for call in (*(self._held or ()), *(self._in_line or ())):
            if call.promise is promise:
                why = why or CancelledError("the call was cancelled before it was sent")
                self.take_back(call, why)
                return
        if self._running and promise in self._running:
            self._running[promise]()
        else:
            promise.settle(error=why or CancelledError("the call was cancelled"))

    # ------------------------------------------------------------- answers

    def answered(self, frame: Frame, walk: bool, attachments: list[memoryview] | None) -> None:
        """An ``answer``. Raises ProtocolError for one that was never asked for."""
        promise = self._waiting.pop(frame[1], None)
        if promise is None:
            self._check_asked(frame)
            return
        value = frame[2] if len(frame) > 2 else None
        if walk:
            try:
                value = self._decode(value, attachments, promise.perspective)
            except Exception as error:
                self._settle(promise, error=error.with_traceback(None))  # it holds what was decoded
                if isinstance(error, ProtocolError):
                    raise
                self._broker.count_fault(error)
                self.let_go()
                return
        # The references in the answer to a call that is settled are given back when collected.
        if self._broker.incoming.starting:
            self._settle(promise, value)
        else:
            promise.settle(value)
        if self._held:
            self.let_go()

    def _settle(
        self, promise: RemotePromise, value: Any = None, error: BaseException | None = None
    ) -> None:
        """Settle *promise* when the calls and updates that came before have got control.

        Else a task that begins to wait for it just now would go on before them.
        """
        incoming = self._broker.incoming
        if incoming.starting:
            incoming.when_started(partial(promise.settle, value, error))
        else:
            promise.settle(value, error)

    def _decode(self, value: Any, attachments: list[memoryview] | None, perspective: Any) -> Any:
        broker = self._broker
        introduced = list(introductions(value))
        unjellier = Unjellier(broker, broker.limits, attachments, perspective)
        try:
            value = unjellier.decode(value)
            if unjellier.pending or type(value) is Pending:
                raise InsecureJelly("an answer cannot name another answer")
            broker.take(unjellier, introduced)
        except Exception:  # whatever the class of a copy raises
            broker.refuse(unjellier, introduced)
            raise
        return value

    def failed(self, frame: Frame) -> None:
        """An ``error``. Raises ProtocolError for one that was never asked for."""
        promise = self._waiting.pop(frame[1], None)
        if promise is None:
            self._check_asked(frame)
            return
        try:
            if frame[2].get("$") != "failure":
                self._broker.give_back(introductions(frame[2]))
                raise InsecureJelly("what an error frame brings is no failure")
            self._settle(promise, error=self._failure(promise, frame[2]))
        except Exception as error:
            self._settle(promise, error=error)
            if isinstance(error, ProtocolError):
                raise
            self._broker.count_fault(error)
        if self._held:
            self.let_go()

    def _failure(self, promise: RemotePromise, tagged: dict[str, Any]) -> BaseException:
        """What *promise* failed with: out of time, also if the peer's clock says so before ours."""
        error: BaseException = self._decode(tagged, None, promise.perspective)
        late = promise.timer is not None and self._broker.runtime.clock() >= promise.timeout[1]
        return _out_of_time(promise) if late and type(error) is CancelledError else error

    def _check_asked(self, frame: Frame) -> None:
        """An answer that nobody waits for: settled already, or never asked for."""
        if frame[1] > self._last_request:
            raise ProtocolError(f"{frame[0]} to {frame[1]}, which was not called")
        self._broker.give_back(introductions(frame[2:]))

    # ------------------------------------------------------------- the end

    def unhandled(self, error: BaseException) -> None:
        """A failure that nobody looked at."""
        if not isinstance(error, PBConnectionLost):
            what = "Unhandled error in a RemotePromise that nobody awaited"
            self._broker.runtime.report(what, error)

    def lost(
        self, error: PBConnectionLost, unsent: Iterable[Frame], unsure: Iterable[Frame]
    ) -> None:
        """Every call ends with `PBConnectionLost`, which says what is known of it (section 6)."""
        waiting, self._waiting = self._waiting, {}
        held = [*(self._held or ()), *(self._in_line or ())]
        self._held = self._in_line = None
        calls = ("message", "cachemessage")
        outcomes: dict[int, Outcome] = {
            frame[1]: "unknown" for frame in unsure if frame[0] in calls
        }
        outcomes.update((frame[1], "not_executed") for frame in unsent if frame[0] in calls)
        for request, promise in waiting.items():
            outcome = outcomes.get(request, "executed_answer_lost")
            hangs = promise.hangs or type(promise.target) not in _SETTLED
            if outcome == "executed_answer_lost" and hangs:
                outcome = "unknown"  # it may have waited for another answer
            promise.settle(error=_copy_of(error, outcome))
        for call in held:
            if call.promise is not None:
                call.promise.settle(error=_copy_of(error, "not_executed"))


_SETTLED = (RemoteReference, RemoteCacheObserver)
"""Targets of calls that wait for no other call."""


def _note_pipelined(promise: RemotePromise, target: Target) -> None:
    """*promise* was sent by name: later local calls on the same answer wait for it."""
    source = target.promise if type(target) is PromisedItem else target
    assert isinstance(source, RemotePromise)
    source.pipelined += 1
    source.error()  # a failure of it goes on to *promise*, and is handled there

    def settled(_promise: RemotePromise) -> None:
        source.pipelined -= 1
        while source.behind and not source.pipelined:
            source.behind.popleft()()

    promise.then_call(settled)


def _elsewhere(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name!r} is called in another thread than its connection's event loop runs in. In a "
        f"method of pb.in_thread: pb.in_loop(reference.callRemote, {name!r}, …); elsewhere: "
        "asyncio.run_coroutine_threadsafe(…, loop)"
    )


def _out_of_time(promise: RemotePromise) -> TimeoutError:
    return TimeoutError(f"no answer within {promise.timeout[0]} seconds")


def _copy_of(error: PBConnectionLost, outcome: Outcome) -> PBConnectionLost:
    copy = PBConnectionLost(f"{error} ({outcome})", outcome=outcome)
    copy.__cause__ = error.__cause__
    return copy
