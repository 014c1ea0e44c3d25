"""The machine: calls, answers, references and failures of one session, without any I/O.

It is fed checked frames (`handle`) and puts frames into its `outbox`; a session numbers and
encodes them. What it needs from outside, tasks, timers and futures, is its `Runtime`.
Protocol sections 1, 3 and 4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context, ContextVar, copy_context
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from .errors import (
    CancelledError,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
    WrongArguments,
)
from .failures import failure_for, from_failure, is_expected
from .flavors import CALLABLES, Referenceable, Registry
from .frames import MAX_INTEGER, Frame, is_answer
from .jelly import (
    Jellier,
    Pending,
    Unjellier,
    goes_as_it_is,
    introductions,
    snapshot,
)
from .limits import Limits
from .promises import PromisedItem, RemotePromise, follow
from .references import NOTHING_THERE, Exports, Imports, RemoteReference

if TYPE_CHECKING:
    from .errors import Outcome

__all__ = ["Broker", "Handle", "Options", "Runtime"]

MAX_REFERENCE_FAULTS = 4
MAX_REFUSED_CALLS = 1000  # in REFUSED_SECONDS
REFUSED_SECONDS = 10.0
MAX_UNKNOWN_FRAMES = 16  # in UNKNOWN_SECONDS
UNKNOWN_SECONDS = 60.0

_DEADLINE: ContextVar[float | None] = ContextVar("pbweb_deadline", default=None)
_VALUES = frozenset({str, int, float, bool, type(None), list, dict, tuple, bytes, set})
_NO_KW: dict[str, Any] = {}


class Handle(Protocol):
    """Something that was started and can be cancelled."""

    def cancel(self) -> object:
        """Stop it, if it has not ended."""


class Runtime(Protocol):
    """What the pure half needs from outside."""

    cancelled: type[BaseException]
    """What a cancelled task sees."""

    def spawn(self, coroutine: Coroutine[Any, Any, None], context: Context | None) -> Handle:
        """Run *coroutine*, its first step before anything given to `soon` later."""

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call *function* after what was spawned or given here before."""

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> Handle:
        """Call *function* in *seconds*."""

    def clock(self) -> float:
        """Seconds that only rise."""

    def future(self) -> Any:
        """A future to be awaited: ``set_result(None)`` and ``done()`` are used of it."""

    def report(self, what: str, error: BaseException | None = None) -> str:
        """Write *what* to the log, with the traceback of *error*; returns the entry's id."""


class Options:
    """How one side behaves: shared by all its sessions."""

    __slots__ = ("limits", "mask_errors", "registry", "unsafe_tracebacks")

    def __init__(
        self,
        limits: Limits,
        registry: Registry,
        *,
        mask_errors: bool = False,
        unsafe_tracebacks: bool = False,
    ) -> None:
        self.limits = limits
        self.registry = registry
        self.mask_errors = mask_errors
        self.unsafe_tracebacks = unsafe_tracebacks


class _Failed:
    """An answer that was a failure, for calls that hang on it."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Call:
    """A call of the peer's that is in progress: waiting, running, or waiting for room."""

    __slots__ = (
        "answering",
        "context",
        "dependents",
        "ended",
        "key",
        "name",
        "request",
        "start",
        "started",
        "task",
        "timer",
        "stop",
        "waits",
    )

    def __init__(self, request: int, key: int, name: str) -> None:
        self.request = request
        self.key = key
        self.name = name
        self.task: Any = None
        self.timer: Handle | None = None
        self.context: Context | None = None
        self.started = False  # its first step was made, or nothing of it is to start
        self.stop: str | None = None  # why it is to be stopped
        self.answering = False  # it has ended, its answer waits for room
        self.ended = False
        self.waits = 0
        self.start: Callable[[], None] | None = None
        self.dependents: list[Callable[[Any], None]] | None = None


class _HeldCall:
    """A call of ours that the peer has no room for yet."""

    __slots__ = ("args", "deadline", "kw", "name", "promise", "target")

    def __init__(
        self,
        promise: RemotePromise | None,
        target: Any,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
    ) -> None:
        self.promise = promise
        self.target = target
        self.name = name
        self.args = args
        self.kw = kw
        self.deadline = deadline


class Broker:
    """One side of one session: the objects handed out and held, and the calls between them.

    Args:
        runtime: see `Runtime`.
        options: see `Options`.
        wake: called when something stands in the outbox, from any thread.
        close: ends the session with a code, a reason, and whether to connect again.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_close",
        "_faults",
        "_held_answers",
        "_held_calls",
        "_highest",
        "_last_request",
        "_named_answers",
        "_notifiers",
        "_only",
        "_refused",
        "_refused_since",
        "_unknown",
        "_unknown_since",
        "_unstarted",
        "_waiting",
        "_wake",
        "attachments",
        "disconnected",
        "exports",
        "imports",
        "info",
        "limits",
        "options",
        "outbox",
        "peer_binary",
        "peer_limits",
        "queued",
        "room_bytes",
        "room_frames",
        "runtime",
    )

    def __init__(
        self,
        runtime: Runtime,
        options: Options,
        wake: Callable[[], None],
        close: Callable[[int, str], None],
    ) -> None:
        limits = options.limits
        self.runtime = runtime
        self.options = options
        self.limits = limits
        self.peer_limits = limits
        self.peer_binary = False
        self.info: Any = None
        self.disconnected = False
        self.exports = Exports(limits.references)
        self.imports = Imports(self, limits.references, wake)
        self.outbox: list[Frame] = []
        self.attachments: dict[int, list[bytes]] = {}  # by id() of a frame in the outbox
        self.queued = 0  # bytes of long values in the outbox
        self.room_frames = limits.window_frames
        self.room_bytes = limits.window
        self._wake = wake
        self._close = close
        # calls of ours
        self._waiting: dict[int, RemotePromise] = {}
        self._last_request = 0
        self._held_calls: deque[_HeldCall] = deque()
        # calls of the peer's
        self._calls: dict[int, _Call] = {}
        self._highest = 0
        self._only = 0
        self._unstarted = 0
        self._named_answers: dict[int, Any] = {}
        self._held_answers: deque[tuple[_Call, Any]] = deque()
        self._faults = 0
        self._refused = 0
        self._refused_since = 0.0
        self._unknown = 0
        self._unknown_since = 0.0
        self._notifiers: list[tuple[Callable[..., object], RemoteReference | None]] = []

    # ------------------------------------------------------------------ faces

    def setNameForLocal(self, name: str, object: Any) -> None:
        """Publish *object*, so that the peer reaches it by *name* (PB's ``remoteForName``).

        Raises:
            TypeError: *object* is neither a Referenceable nor a function.
        """
        if not isinstance(object, (Referenceable, *CALLABLES)):
            raise TypeError(
                f"only a Referenceable or a function can be published, not {object!r}: "
                "let its class inherit from pb.Referenceable"
            )
        self.exports.publish(name, object)

    def remoteForName(self, name: str) -> RemoteReference:
        """A reference to what the peer published as *name*; no round trip is made.

        Calls on it fail with `DeadReferenceError` if the peer has published no such name.
        """
        return self.imports.reference(name)

    def notifyOnDisconnect(self, callback: Callable[[], object]) -> None:
        """Call *callback* once when the session goes.

        Raises:
            DeadReferenceError: it is gone already.
        """
        self.notify(callback, None)

    def dontNotifyOnDisconnect(self, callback: Callable[[], object]) -> None:
        """Undo `notifyOnDisconnect`. Raises ValueError if *callback* was not registered."""
        self.dont_notify(callback, None)

    def disconnect(self, code: int = 4410, reason: str = "ended by the application") -> None:
        """End the session; the peer is told *code* and *reason* (protocol section 7)."""
        self._close(code, reason)

    def statistics(self) -> dict[str, int]:
        """How many objects and calls there are: all zero when nothing is going on."""
        return {
            "handed_out": len(self.exports.numbered),
            "held": len(self.imports),
            "calls_in_progress": len(self._calls),
            "calls_waiting": sum(not promise.done for promise in self._waiting.values())
            + len(self._held_calls),
        }

    def notify(self, callback: Callable[..., object], reference: RemoteReference | None) -> None:
        if self.disconnected:
            raise DeadReferenceError("the session is gone already")
        self._notifiers.append((callback, reference))

    def dont_notify(
        self, callback: Callable[..., object], reference: RemoteReference | None
    ) -> None:
        self._notifiers.remove((callback, reference))

    # ---------------------------------------------------------- calls of ours

    def call(
        self,
        target: RemoteReference | RemotePromise | PromisedItem,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        *,
        timeout: float | None = None,
    ) -> RemotePromise:
        """Call *name* on *target*: see `RemoteReference.callRemote`."""
        promise = RemotePromise(self, target)
        deadline = _DEADLINE.get()
        if timeout is not None:
            mine = self.runtime.clock() + timeout
            deadline = mine if deadline is None else min(mine, deadline)
            promise.timer = self.runtime.call_later(timeout, self._timed_out, promise, timeout)
        if self._must_hold():
            self._held_calls.append(_HeldCall(promise, target, name, args, kw, deadline))
        else:
            self._let_go(promise, target, name, args, kw, deadline)
        return promise

    def call_only(
        self,
        target: RemoteReference | RemotePromise | PromisedItem,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
    ) -> None:
        """Call *name* on *target* without an answer: see `RemoteReference.callRemoteOnly`."""
        if self._must_hold():
            self._held_calls.append(_HeldCall(None, target, name, args, kw, _DEADLINE.get()))
        else:
            self._let_go_only(target, name, args, kw, _DEADLINE.get())

    def _must_hold(self) -> bool:
        return not self.disconnected and (bool(self._held_calls) or not self._has_room(True))

    def _has_room(self, is_call: bool) -> bool:
        return (
            len(self.outbox) < self.room_frames
            and self.queued < self.room_bytes
            and not (is_call and len(self._waiting) >= self.peer_limits.calls)
        )

    def _timed_out(self, promise: RemotePromise, timeout: float) -> None:
        promise.timer = None
        promise.cancel()
        promise.settle(error=TimeoutError(f"no answer within {timeout} seconds"))

    def _let_go(
        self,
        promise: RemotePromise,
        target: Any,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
    ) -> None:
        try:
            where = self._address(target)
            if type(where) is _Local:
                self._call_local(promise, target, where.object, name, args, kw)
                return
            if type(where) is RemoteReference:  # of another session
                _relay_into(promise, where.call(name, args, kw, timeout=self._left(deadline)))
                return
            request = self._last_request + 1
            self._post(request, where, name, args, kw, deadline)
        except BaseException as error:  # noqa: BLE001: each call ends exactly once, with its error
            promise.settle(error=error)
            return
        self._last_request = promise.request = request
        self._waiting[request] = promise
        if type(target) is not RemoteReference:
            self._pipelined(promise, target)

    def _let_go_only(
        self,
        target: Any,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
    ) -> None:
        where = self._address(target)
        if type(where) is _Local:
            self._call_local(RemotePromise(self), target, where.object, name, args, kw)
        elif type(where) is RemoteReference:
            where.callRemoteOnly(name, *args, **kw)
        else:
            self._post(0, where, name, args, kw, deadline)

    def _address(self, target: Any) -> Any:
        """What *target* is on the wire, or a `_Local` object, or a reference elsewhere."""
        if type(target) is RemoteReference:
            if target.isDead():
                raise DeadReferenceError("the reference is dead: it was released, or its session went")
            return target.luid
        path: Sequence[str | int] = ()
        promise = target
        if type(target) is PromisedItem:
            promise, path = target.promise, target.path
        if not promise.done:
            if self.disconnected:
                raise DeadReferenceError("the session of the promise is gone")
            if promise.request == 0:
                raise DeadReferenceError("the promise is of a call that never was sent")
            if path:
                return {"$": "answer", "id": promise.request, "path": list(path)}
            return -promise.request
        value = follow(promise.result(), path)
        if type(value) is not RemoteReference:
            return _Local(value)
        return self._address(value) if value.broker is self else value

    def _pipelined(self, promise: RemotePromise, target: Any) -> None:
        """Note a call sent by name, so that later local ones on the same promise wait for it."""
        source: RemotePromise = target.promise if type(target) is PromisedItem else target
        source.pipelined += 1

        def settled(_promise: RemotePromise) -> None:
            source.pipelined -= 1
            while source.behind and not source.pipelined:
                source.behind.popleft()()

        promise.then_call(settled)

    def _call_local(
        self,
        promise: RemotePromise,
        target: Any,
        object: Any,
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
    ) -> None:
        """Call an object of our own that came home in a promise, behind what was pipelined."""
        method = _find_method(object, name)
        source = target.promise if type(target) is PromisedItem else target

        async def run() -> None:
            try:
                result = method(object, *args, **kw)
                if hasattr(type(result), "__await__"):
                    result = await result
            except BaseException as error:  # noqa: BLE001: as a remote call would end
                promise.settle(error=error)
            else:
                promise.settle(result)

        def start() -> None:
            self.runtime.spawn(run(), None)

        if source.pipelined or source.behind:
            source.behind = source.behind or deque()
            source.behind.append(start)
        else:
            start()

    def _post(
        self,
        request: int,
        where: int | str | dict[str, Any],
        name: str,
        args: Sequence[Any],
        kw: dict[str, Any],
        deadline: float | None,
    ) -> None:
        """Put a ``message`` into the outbox; nothing has changed when this raises."""
        if type(name) is not str or not name.isascii():
            raise NoSuchMethod(f"a method's name is a string of ASCII letters, not {name!r}")
        frame: Frame = ["message", request, where, name]
        left = self._left(deadline)
        if not kw and all(map(goes_as_it_is, args)):
            if args:
                frame.append(list(args))
            if left is not None:
                frame += ([], _NO_KW)[len(frame) - 4 :]
                frame.append({"deadline": left})
            self._send(frame)
            return
        jellier = self._jellier()

        def fill() -> None:
            frame.extend(jellier.encode_call(args, kw))
            if left is not None:
                frame.append({"deadline": left})
            elif not kw:
                frame.pop()

        self._send_encoded(frame, jellier, fill)

    def _left(self, deadline: float | None) -> float | None:
        """Seconds until *deadline*, which may have passed."""
        return None if deadline is None else max(0.0, deadline - self.runtime.clock())

    def cancel(self, promise: RemotePromise) -> None:
        """Take back a call that is not sent, or tell the peer: see `RemotePromise.cancel`."""
        if promise.request in self._waiting:
            self._send(["cancel", promise.request])
            return
        for held in self._held_calls:
            if held.promise is promise:
                self._held_calls.remove(held)
                promise.settle(error=CancelledError("cancelled before it was sent"))
                return
        if type(promise.target) is RemotePromise:  # relayed to another session
            promise.target.cancel()
        else:
            promise.settle(error=CancelledError("the call was cancelled"))

    def unhandled(self, error: BaseException) -> None:
        """A failure that nobody looked at."""
        if not self.disconnected or not isinstance(error, PBConnectionLost):
            self.runtime.report("Unhandled error in a RemotePromise that nobody awaited", error)

    def release(self, reference: RemoteReference) -> None:
        """Give *reference* back: see `RemoteReference.release`."""
        pairs = self.imports.release(reference)
        if pairs and not self.disconnected:
            self._send(["decref", *pairs])

    # ------------------------------------------------------------ the outbox

    def _send(self, frame: Frame) -> None:
        if self.disconnected:
            return
        if not self.outbox:
            self._wake()
        self.outbox.append(frame)

    def _jellier(self) -> Jellier:
        return Jellier(self, self.peer_limits, attach=self.peer_binary)

    def _send_encoded(self, frame: Frame, jellier: Jellier, fill: Callable[[], None]) -> None:
        """Send *frame* when *fill* has put its values in; undo all of it when that raises."""
        try:
            fill()
            size = jellier.size + sum(map(len, jellier.attachments))
            if size > jellier.limits.message // 8:
                size = len(orjson.dumps(frame)) + sum(map(len, jellier.attachments))
                if size + 64 > jellier.limits.message:
                    raise LimitExceeded(
                        f"message: the frame has {size} bytes, the peer takes "
                        f"{jellier.limits.message}; send it in parts"
                    )
        except BaseException:
            self.exports.take_back(jellier.handed)
            raise
        self.queued += size
        if jellier.attachments:
            self.attachments[id(frame)] = jellier.attachments
        self._send(frame)

    def take_outbox(self) -> list[Frame]:
        """The frames to be sent, with a ``decref`` for what was garbage collected."""
        pairs = self.imports.give_back()
        if pairs:
            self.outbox.append(["decref", *pairs])
        frames, self.outbox = self.outbox, []
        self.queued = 0
        return frames

    def room(self, frames: int, size: int) -> None:
        """So much may still be sent; lets go what waited for it."""
        self.room_frames = frames
        self.room_bytes = size
        self._let_go_held()

    def _let_go_held(self) -> None:
        while self._held_answers and self._has_room(False):
            call, value = self._held_answers.popleft()
            self._answer(call.request, value, call)
        while self._held_calls and self._has_room(True):
            held = self._held_calls.popleft()
            if held.promise is not None:
                self._let_go(
                    held.promise, held.target, held.name, held.args, held.kw, held.deadline
                )
                continue
            try:
                self._let_go_only(held.target, held.name, held.args, held.kw, held.deadline)
            except Exception as error:  # noqa: BLE001: nobody waits for it
                self.runtime.report(f"the call of {held.name!r} without answer was not sent", error)

    def acknowledged(self, frames: Iterable[Frame]) -> None:
        """The peer has *frames*: it will name the answers in them no more."""
        answers = self._named_answers
        for frame in frames:
            if frame[0] in ("answer", "error"):
                answers.pop(frame[1], None)

    # ---------------------------------------------------- frames of the peer's

    def handle(
        self, frame: Frame, walk: bool = False, attachments: list[memoryview] | None = None
    ) -> None:
        """Take one frame whose envelope was checked.

        Args:
            walk: whether its values may hold tags, or be nested too deep.
            attachments: the bytes beside it (protocol section 8).

        Raises:
            ProtocolError: an id or count that cannot be; the session ends.
        """
        handler = _HANDLERS.get(frame[0])
        if handler is None:
            self._did_not_understand(frame)
        else:
            handler(self, frame, walk, attachments)

    def _did_not_understand(self, frame: Frame) -> None:
        now = self.runtime.clock()
        if now - self._unknown_since > UNKNOWN_SECONDS:
            self._unknown_since, self._unknown = now, 0
        self._unknown += 1
        if self._unknown > MAX_UNKNOWN_FRAMES:
            raise ProtocolError(f"more than {MAX_UNKNOWN_FRAMES} unknown frames in a minute")
        self._give_back(introductions(frame))
        self._send(["didNotUnderstand", frame[0][:64]])

    def _message(
        self, frame: Frame, walk: bool, attachments: list[memoryview] | None
    ) -> None:
        request = frame[1]
        if request:
            if request <= self._highest:
                raise ProtocolError(f"request {request} is not above {self._highest}")
            self._highest = request
        length = len(frame)
        target = frame[2]
        if walk or length > 6 or type(target) is dict or (type(target) is int and target < 0):
            self._message_walking(frame, attachments, walk)
            return
        try:
            if len(self._calls) >= self.limits.calls:
                self._refuse_call()
            object = self.exports.find(target)
            method = _find_method(object, frame[3])
        except Error as error:
            self._failed(request, frame[3], error)
            return
        args = frame[4] if length > 4 else ()
        kw = frame[5] if length > 5 else _NO_KW
        if self._unstarted:
            self._unstarted += 1
            call = self._new_call(request, frame[3])
            self.runtime.soon(self._start_soon, call, method, object, args, kw)
        else:
            self._invoke(request, frame[3], method, object, args, kw, None)

    def _invoke(
        self,
        request: int,
        name: str,
        method: Callable[..., Any],
        object: Any,
        args: Sequence[Any],
        kw: dict[str, Any],
        call: _Call | None,
    ) -> None:
        """Start the handler: a plain function ends here, anything awaitable goes on by itself."""
        try:
            if call is None or call.context is None:
                result = method(object, *args, **kw)
            else:
                result = call.context.run(method, object, *args, **kw)
        except BaseException as error:  # noqa: BLE001: sys.exit() too is this call's failure alone
            if isinstance(error, TypeError) and not _came_from_inside(error):
                error = _wrong_arguments(method, object, name, args, kw, error)
            self._failed(request, name, error, call)
            return
        kind = type(result)
        if kind in _VALUES or not hasattr(kind, "__await__"):
            self._answer(request, result, call, name)
            return
        if call is None:
            call = self._new_call(request, name)
        if kind is RemotePromise:
            call.started = True
            call.task = result
            result.then_call(lambda promise: self._relayed(call, promise))
            return
        call.started = False
        self._unstarted += 1
        call.task = self.runtime.spawn(self._run(call, result), call.context)

    async def _run(self, call: _Call, awaitable: Any) -> None:
        """The body of a handler's task."""
        if not self._has_started(call):
            close = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
            if close is not None:
                close()
            return
        try:
            result = await awaitable
        except BaseException as error:  # noqa: BLE001: sys.exit() too is this call's failure alone
            self._failed(call.request, call.name, error, call)
        else:
            self._answer(call.request, result, call)

    def _has_started(self, call: _Call) -> bool:
        """Count that *call* gets control; False if it was stopped before."""
        call.started = True
        self._unstarted -= 1
        if call.stop is not None and not call.ended:
            self._end_cancelled(call)
        return not call.ended

    def _start_soon(
        self, call: _Call, method: Any, object: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        """Start a plain function that had to wait for tasks before it to start."""
        if self._has_started(call):
            self._invoke(call.request, call.name, method, object, args, kw, call)

    def _relayed(self, call: _Call, promise: RemotePromise) -> None:
        error = promise.error()
        if error is not None:
            self._failed(call.request, call.name, error, call)
        else:
            self._answer(call.request, promise.result(), call)

    def _new_call(self, request: int, name: str) -> _Call:
        key = request
        if not request:
            self._only -= 1
            key = self._only
        call = self._calls[key] = _Call(request, key, name)
        return call

    def _message_walking(
        self, frame: Frame, attachments: list[memoryview] | None, walk: bool
    ) -> None:
        """A message with tagged values, a deadline, or a target that is an answer."""
        request, name = frame[1], frame[3]
        unjellier = Unjellier(self, self.limits, attachments)
        introduced = list(introductions(frame[2:])) if walk else []
        try:
            if len(self._calls) >= self.limits.calls:
                self._refuse_call()
            target: Any = None
            if type(frame[2]) is str or (type(frame[2]) is int and frame[2] > 0):
                target = self.exports.find(frame[2])
                _find_method(target, name)
            if walk:
                for values in frame[4:6]:
                    unjellier.decode_arguments(values)
                self._take(unjellier, introduced)
        except ProtocolError:
            raise
        except Error as error:
            self._give_back(introduced)
            self._failed(request, name, error)
            self._count_fault(error)
            return
        call = self._new_call(request, name)
        self._set_deadline(call, frame[6].get("deadline") if len(frame) > 6 else None)
        if call.ended:
            return
        args = frame[4] if len(frame) > 4 else []
        kw = frame[5] if len(frame) > 5 else _NO_KW
        places: list[tuple[Any, Any, Pending]] = list(unjellier.pending)
        holder = [target]
        if target is None:
            places.append((holder, 0, _pending_target(frame[2])))
        call.start = lambda: self._start_waiting(call, holder[0], args, kw)
        self._wait_for(call, places, holder)

    def _take(self, unjellier: Unjellier, introduced: list[Any]) -> None:
        """The whole frame could be decoded: the references in it are ours now."""
        unjellier.check_attachments()
        self.imports.count(unjellier.received)
        if len(introduced) != len(unjellier.received):  # some stood where nobody looks
            for luid in unjellier.received:
                introduced.remove(luid)
            self._give_back(introduced)

    def _set_deadline(self, call: _Call, seconds: float | None) -> None:
        if seconds is None:
            return
        if seconds <= 0:
            call.stop = "ran over its deadline"
            self._end_cancelled(call)
            return
        context = copy_context()
        context.run(_DEADLINE.set, self.runtime.clock() + seconds)
        call.context = context
        call.timer = self.runtime.call_later(
            min(seconds, 1e9), self._stop, call, "ran over its deadline"
        )

    def _wait_for(
        self, call: _Call, places: list[tuple[Any, Any, Pending]], holder: list[Any]
    ) -> None:
        """Start *call* when all answers that it names are there; take hold of them now."""
        call.waits = 1
        for container, key, pending in places:
            self._wait_for_one(call, container, key, pending, container is not holder)
            if call.ended:
                return
        self._one_is_there(call)

    def _wait_for_one(
        self, call: _Call, container: Any, key: Any, pending: Pending, copied: bool
    ) -> None:
        def there(answer: Any) -> None:
            if call.ended:
                return
            try:
                if type(answer) is _Failed:
                    raise answer.error
                value = follow(answer, pending.path)
                container[key] = snapshot(value) if copied else value
            except Error as error:
                self._failed(call.request, call.name, error, call)
            except BaseException as error:  # noqa: BLE001: the same failure, whatever it was
                self._failed(call.request, call.name, error, call, log=False)
            else:
                self._one_is_there(call)

        call.waits += 1
        if pending.request in self._named_answers:
            there(self._named_answers[pending.request])
            return
        source = self._calls.get(pending.request)
        if source is None:
            there(_Failed(DeadReferenceError(NOTHING_THERE)))
        else:
            source.dependents = [*(source.dependents or ()), there]

    def _one_is_there(self, call: _Call) -> None:
        call.waits -= 1
        if call.waits == 0 and call.start is not None:
            start, call.start = call.start, None
            start()

    def _start_waiting(
        self, call: _Call, target: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        try:
            method = _find_method(target, call.name)
        except Error as error:
            self._failed(call.request, call.name, error, call)
            return
        if self._unstarted:
            self._unstarted += 1
            self.runtime.soon(self._start_soon, call, method, target, args, kw)
        else:
            self._invoke(call.request, call.name, method, target, args, kw, call)

    def _refuse_call(self) -> None:
        """Raises LimitExceeded; a peer that goes on and on is closed with 4413."""
        now = self.runtime.clock()
        if now - self._refused_since > REFUSED_SECONDS:
            self._refused_since, self._refused = now, 0
        self._refused += 1
        if self._refused >= MAX_REFUSED_CALLS:
            self._close(4413, f"calls: {MAX_REFUSED_CALLS} were refused in {REFUSED_SECONDS:g} s")
        raise LimitExceeded(
            f"calls: {self.limits.calls} are in progress, more are not allowed; "
            "wait for answers before calling again"
        )

    # ------------------------------------------------------ ends of a call

    def _answer(
        self, request: int, value: Any, call: _Call | None = None, name: str = ""
    ) -> None:
        if call is not None and call.ended:
            return
        if not request:
            self._end(call, value)
            return
        if not self._has_room(False):
            call = call or self._new_call(request, name)
            call.answering = True
            self._held_answers.append((call, value))
            return
        if value is None:
            self._send(["answer", request])
        elif goes_as_it_is(value):
            self._send(["answer", request, value])
        else:
            frame: Frame = ["answer", request]
            jellier = self._jellier()
            try:
                self._send_encoded(frame, jellier, lambda: frame.append(jellier.encode(value)))
            except BaseException as error:  # noqa: BLE001: whatever the value does when it is asked
                self._not_sendable(request, name, error, call)
                return
        self._named_answers[request] = value
        if call is not None:
            self._end(call, value)

    def _not_sendable(
        self, request: int, name: str, error: BaseException, call: _Call | None
    ) -> None:
        name = name or (call.name if call else "")
        self.runtime.report(f"the answer of {name!r} cannot be sent: {error}")
        self._failed(request, name, error, call, log=False)
        self._count_fault(error)

    def _count_fault(self, error: BaseException) -> None:
        """A peer that breaks the limit of references again and again is closed with 4413."""
        if not isinstance(error, LimitExceeded) or not str(error).startswith("references"):
            return
        self._faults += 1
        if self._faults >= MAX_REFERENCE_FAULTS:
            self._close(4413, f"references: more than {self.limits.references}, again and again")

    def _failed(
        self,
        request: int,
        name: str,
        error: BaseException,
        call: _Call | None = None,
        *,
        log: bool = True,
    ) -> None:
        if call is not None and call.ended:
            return
        if isinstance(error, self.runtime.cancelled):
            why = call.stop if call is not None and call.stop else "was cancelled"
            error = CancelledError(f"the call {why}")
        message = None
        if log and not is_expected(error):
            entry = self.runtime.report(
                f"Peer will receive PB traceback: the call {request} of {name!r} failed", error
            )
            if self.options.mask_errors:
                message = f"the error {entry} in the log of the peer"
        if request:
            failure = failure_for(
                error, message=message, with_traceback=self.options.unsafe_tracebacks
            )
            self._named_answers[request] = _Failed(error)
            self._send(["error", request, failure])
        elif is_expected(error) and not isinstance(error, CancelledError):
            self.runtime.report(f"the call of {name!r} without answer failed: {error}")
        if call is not None:
            self._end(call, _Failed(error))

    def _end(self, call: _Call | None, answer: Any) -> None:
        if call is None:
            return
        call.ended = True
        if call.timer is not None:
            call.timer.cancel()
        self._calls.pop(call.key, None)
        dependents, call.dependents, call.start, call.context = call.dependents, None, None, None
        for there in dependents or ():
            there(answer)

    def _cancel(self, frame: Frame, *_: Any) -> None:
        request = frame[1]
        call = self._calls.get(request)
        if call is not None:
            self._stop(call, "was cancelled by its caller")
        elif request > self._highest:
            raise ProtocolError(f"cancel of {request}, which was not called")

    def _stop(self, call: _Call, why: str) -> None:
        """Stop the work; a task that runs still answers, with what it ends with."""
        if call.answering or call.ended:
            return
        call.stop = call.stop or why
        if call.start is not None:  # it waits for answers
            self._end_cancelled(call)
        elif call.started and call.task is not None:
            call.task.cancel()

    def _end_cancelled(self, call: _Call) -> None:
        self._failed(call.request, call.name, self.runtime.cancelled(), call)

    def _answered(
        self, frame: Frame, walk: bool, attachments: list[memoryview] | None
    ) -> None:
        promise = self._waiting.pop(frame[1], None)
        if promise is None:
            self._check_asked(frame)
            return
        value = frame[2] if len(frame) > 2 else None
        if walk:
            introduced = list(introductions(value))
            unjellier = Unjellier(self, self.limits, attachments)
            try:
                value = unjellier.decode(value)
                if unjellier.pending or type(value) is Pending:
                    raise InsecureJelly("an answer cannot name another answer")
                self._take(unjellier, introduced)
            except ProtocolError as error:
                promise.settle(error=error)
                raise
            except Error as error:
                self._give_back(introduced)
                promise.settle(error=error)
                self._count_fault(error)
                self._let_go_held()
                return
        # The references in the answer to a call that is settled are given back when collected.
        promise.settle(value)
        if self._held_calls:
            self._let_go_held()

    def _errored(self, frame: Frame, *_: Any) -> None:
        promise = self._waiting.pop(frame[1], None)
        if promise is None:
            self._check_asked(frame)
            return
        self._give_back(introductions(frame[2]))
        try:
            if frame[2].get("$") != "failure":
                raise InsecureJelly("what an error frame brings is no failure")
            promise.settle(error=from_failure(frame[2], self.options.registry))
        except InsecureJelly as error:
            promise.settle(error=error)
        if self._held_calls:
            self._let_go_held()

    def _check_asked(self, frame: Frame) -> None:
        """An answer that nobody waits for: settled already, or never asked for."""
        if frame[1] > self._last_request:
            raise ProtocolError(f"{frame[0]} to {frame[1]}, which was not called")
        self._give_back(introductions(frame[2:]))

    def _decref(self, frame: Frame, *_: Any) -> None:
        for at in range(1, len(frame), 2):
            self.exports.decref(frame[at], frame[at + 1])

    def _cachemessage(self, frame: Frame, *_: Any) -> None:
        request = frame[1]
        if request:
            if request <= self._highest:
                raise ProtocolError(f"request {request} is not above {self._highest}")
            self._highest = request
        self._give_back(introductions(frame[4:]))
        self._failed(request, frame[3], DeadReferenceError(NOTHING_THERE))

    def _no_cache(self, frame: Frame, *_: Any) -> None:
        raise ProtocolError(f"{frame[0]} of {frame[1]}, which was not handed out as a cache")

    def _nothing(self, frame: Frame, *_: Any) -> None:
        """``uncache`` of a copy that is not here, ``didNotUnderstand``: nothing is to be done."""
        if frame[0] == "didNotUnderstand":
            self.runtime.report(f"the peer does not understand the frame {frame[1][:64]!r}")

    def _give_back(self, introduced: Iterable[Any]) -> None:
        """Count and give back at once what stood in a frame that was not taken."""
        counts: dict[int, int] = {}
        for luid in introduced:
            if type(luid) is int and 0 < luid <= MAX_INTEGER:
                counts[luid] = counts.get(luid, 0) + 1
        if counts:
            self._send(["decref", *(number for pair in counts.items() for number in pair)])

    # -------------------------------------------- flavors, for the jellies

    def jelly(self, value: Any, jellier: Jellier) -> dict[str, Any] | None:
        """The tagged value for an object of a flavor (see `jelly.Flavors`)."""
        if isinstance(value, RemoteReference):
            if value.isDead():
                raise DeadReferenceError(f"{jellier.path()} is a reference that is dead")
            if value.broker is self:
                return {"$": "local", "id": value.luid}
        elif isinstance(value, RemotePromise):
            return self._jelly_promise(value, (), jellier)
        elif isinstance(value, PromisedItem):
            return self._jelly_promise(value.promise, value.path, jellier)
        elif isinstance(value, BaseException):
            return failure_for(value)
        elif not isinstance(value, (Referenceable, *CALLABLES)):
            return None
        luid = self.exports.hand_out(value)
        if type(luid) is int:
            jellier.handed.append(luid)
        return {"$": "remote", "id": luid}

    def _jelly_promise(
        self, promise: RemotePromise, path: Sequence[str | int], jellier: Jellier
    ) -> Any:
        if promise.done:
            return jellier.encode_more(follow(promise.result(), path))
        if promise.broker is not self or not promise.request:
            raise InsecureJelly(
                f"{jellier.path()} is a promise of another connection, or was never sent: "
                "await it first"
            )
        tagged: dict[str, Any] = {"$": "answer", "id": promise.request}
        if path:
            tagged["path"] = list(path)
        return tagged

    def unjelly(self, tag: str, tagged: dict[str, Any], unjellier: Unjellier) -> Any:
        """The object for a tagged value that means something here (see `jelly.Flavors`)."""
        luid = tagged.get("id")
        if tag == "remote":
            if type(luid) is str:
                return self.imports.reference(luid)
            if type(luid) is not int or not 0 < luid <= MAX_INTEGER:
                raise InsecureJelly("a tagged 'remote' needs an 'id', a luid or a name")
            self.imports.check_room([*unjellier.received, luid])
            unjellier.received.append(luid)
            return self.imports.reference(luid)
        if tag == "local":
            if type(luid) not in (int, str):
                raise InsecureJelly("a tagged 'local' needs an 'id', a luid or a name")
            return self.exports.find(luid)
        if tag == "failure":
            return from_failure(tagged, self.options.registry)
        if tag == "answer" and is_answer(tagged):
            return Pending(tagged["id"], tagged.get("path", []))
        raise InsecureJelly(f"the tag {tag[:64]!r} is unknown or lacks its keys")

    # -------------------------------------------------------------- the end

    def lost(self, error: PBConnectionLost, unsure: Iterable[Frame]) -> None:
        """The session is gone: every call ends, every reference is dead, everybody is told.

        Args:
            unsure: the frames that were written and are not acknowledged.
        """
        if self.disconnected:
            return
        self.disconnected = True
        unsent = {frame[1] for frame in self.outbox if frame[0] == "message"}
        unknown = {frame[1]: frame for frame in unsure if frame[0] == "message"}
        waiting, self._waiting = self._waiting, {}
        held, self._held_calls = self._held_calls, deque()
        calls, self._calls = self._calls, {}
        notifiers, self._notifiers = self._notifiers, []
        self.outbox.clear()
        self.attachments.clear()
        self._held_answers.clear()
        self._named_answers.clear()
        self.exports.clear()
        self.imports.clear()
        for call in calls.values():
            self._abandon(call)
        for request, promise in waiting.items():
            outcome: Outcome = (
                "not_executed"
                if request in unsent
                else "unknown"
                if request in unknown
                else "executed_answer_lost"
            )
            promise.settle(error=_copy_of(error, outcome))
        for one in held:
            if one.promise is not None:
                one.promise.settle(error=_copy_of(error, "not_executed"))
        for callback, reference in notifiers:
            try:
                callback() if reference is None else callback(reference)
            except Exception as fault:  # noqa: BLE001: the others are to be told all the same
                self.runtime.report("a callback of notifyOnDisconnect failed", fault)

    def _abandon(self, call: _Call) -> None:
        call.ended = True
        call.start = call.dependents = None
        if call.timer is not None:
            call.timer.cancel()
        if call.task is not None and call.started:
            call.task.cancel()


class _Local:
    """The target of a call that turned out to be no reference."""

    __slots__ = ("object",)

    def __init__(self, object: Any) -> None:
        self.object = object


_HANDLERS: dict[str, Callable[[Broker, Frame, bool, list[memoryview] | None], None]] = {
    "message": Broker._message,
    "answer": Broker._answered,
    "error": Broker._errored,
    "cancel": Broker._cancel,
    "decref": Broker._decref,
    "cachemessage": Broker._cachemessage,
    "decache": Broker._no_cache,
    "uncache": Broker._nothing,
    "didNotUnderstand": Broker._nothing,
}


def _find_method(object: Any, name: str) -> Callable[..., Any]:
    """What *name* calls on *object*, taking the object first.

    Raises:
        NoSuchMethod: nothing with the right prefix.
    """
    methods = getattr(type(object), "remoteMethods", None)
    if methods is not None:
        method = methods.get(name)
        if method is not None:
            return method  # type: ignore[no-any-return]
    elif isinstance(object, RemoteReference):
        return lambda reference, *args, **kw: _relay(reference, name, args, kw)
    elif isinstance(object, CALLABLES) and name == "call":
        return _call_function
    raise NoSuchMethod(f"no method {name[:64]!r}: the object has no remote_{name[:64]}".encode(
        "ascii", "backslashreplace").decode())


def _call_function(function: Callable[..., Any], /, *args: Any, **kw: Any) -> Any:
    return function(*args, **kw)


def _relay(
    reference: RemoteReference, name: str, args: tuple[Any, ...], kw: dict[str, Any]
) -> RemotePromise:
    """Call on behalf of one session what lives in another (protocol section 3)."""
    return reference.call(name, args, kw)


def _relay_into(promise: RemotePromise, other: RemotePromise) -> None:
    def settled(other: RemotePromise) -> None:
        error = other.error()
        promise.settle(None if error else other.result(), error)

    promise.target = other
    other.then_call(settled)


def _pending_target(target: int | dict[str, Any]) -> Pending:
    if type(target) is int:
        return Pending(-target, [])
    assert isinstance(target, dict)
    return Pending(target["id"], target.get("path", []))


def _came_from_inside(error: BaseException) -> bool:
    """Whether *error* was raised in the handler's own code, and not by calling it."""
    traceback = error.__traceback__
    return traceback is not None and traceback.tb_next is not None


def _wrong_arguments(
    method: Callable[..., Any],
    object: Any,
    name: str,
    args: Sequence[Any],
    kw: dict[str, Any],
    error: TypeError,
) -> BaseException:
    """What was wrong with the arguments; *error* itself if nothing was."""
    try:
        wrapped = getattr(method, "__wrapped__", None)
        if wrapped is not None and getattr(wrapped, "__self__", None) is not None:
            signature(wrapped).bind(*args, **kw)
        elif method is _call_function:
            signature(object).bind(*args, **kw)
        else:
            signature(method).bind(object, *args, **kw)
    except TypeError as mismatch:
        return WrongArguments(f"{name}: {mismatch}")
    except ValueError:
        return error  # no signature can be had of it
    return error


def _copy_of(error: PBConnectionLost, outcome: Outcome) -> PBConnectionLost:
    return PBConnectionLost(f"{error} ({outcome})", outcome=outcome)

