"""Calls of the peer's: decoded, started in their order, answered, cancelled.

Protocol section 1. A plain function is called at once and answered in the same turn; what
returns an awaitable goes on in a task of its own and holds up nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import Context, copy_context
from functools import partial
from inspect import CO_COROUTINE
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from .backlog import Backlog, weight_of
from .errors import (
    CancelledError,
    Error,
    InsecureJelly,
    LimitExceeded,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
)
from .failures import failure_for, is_expected
from .flavors import (
    BoundMethod,
    Dispatcher,
    Ended,
    Entrance,
    Referenceable,
    Viewable,
    ViewPoint,
    is_copyable,
)
from .frames import Frame
from .jelly import SHORT, Jellier, Tagged, goes_as_it_is
from .methods import Method, find_method, find_observer, hint_for, wrong_arguments
from .promises import RemotePromise, follow
from .references import dead_reference
from .runtime import DEADLINE
from .streams import Items, Producer
from .unjelly import Pending, Unjellier, introductions, snapshot

if TYPE_CHECKING:
    from .broker import Broker
    from .runtime import Handle

__all__ = ["Incoming"]

MAX_REFUSED_CALLS = 1000  # in REFUSED_SECONDS
REFUSED_SECONDS = 10.0
MAX_COPIED = 131_072  # items of answers that calls name, at once
COPIED_A_SECOND = 131_072  # and from then on
MAX_HINTS = 16  # looking for what a peer may have meant takes time
MOST_OF_A_STATE = 1_048_576  # bytes of an error's state that are weighed
LONGEST_TIMER = 1e6  # seconds; a deadline further away is none

_VALUES = frozenset({str, int, float, bool, type(None), list, dict, tuple, bytes, set})
_NO_ARGS: tuple[Any, ...] = ()
_NO_KW: dict[str, Any] = {}

OVER_DEADLINE = "ran over its deadline"


class _Draining(PBConnectionLost):
    """This side stops, and takes no more calls: its failure says for certain that none was made."""

    pbType = PBConnectionLost.pbType
    pbParents = PBConnectionLost.pbParents

    def __init__(self) -> None:
        super().__init__("this side is going away (not_executed)", outcome="not_executed")


class _Failed:
    """An answer that was a failure, for calls that hang on it."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Seen:
    """An answer that was made for an avatar, for calls that name it."""

    __slots__ = ("perspective", "value")

    def __init__(self, value: Any, perspective: Any) -> None:
        self.value = value
        self.perspective = perspective


class _Call:
    """A call that is in progress: waiting for answers, running, or waiting for room."""

    __slots__ = (
        "answering",
        "before",
        "context",
        "dependents",
        "ended",
        "entrance",
        "key",
        "method",
        "name",
        "perspective",
        "request",
        "revoked",
        "start",
        "started",
        "stop",
        "task",
        "timer",
        "waits",
        "weight",
    )

    def __init__(self, request: int, key: int, name: str) -> None:
        self.request = request
        self.key = key
        self.name = name
        self.task: Any = None
        self.timer: Handle | None = None
        self.context: Context | None = None  # has its deadline in it
        self.start: Callable[[], None] | None = None  # when the answers that it names are there
        self.waits = 0
        self.started = False  # its first step was made, or there is none to make
        self.stop: str | None = None  # why it is to be stopped
        self.answering = False  # it has ended, its answer waits for room
        self.ended = False
        self.dependents: list[Callable[[Any], None]] | None = None
        self.method: BoundMethod | None = None  # what it calls, if that is known already
        self.perspective: Any = None  # the avatar who calls
        self.entrance: Entrance | None = None  # stands for the avatar, in a login
        self.revoked = False  # the avatar's login has ended meanwhile
        self.before: int | None = None  # it is held: frames received before its message
        self.weight = 0  # of the call while it is held, of its answer while that waits

    def called_by(self, method: Method) -> None:
        """What it calls is known, and so who calls."""
        if type(method) is BoundMethod:
            self.method, self.perspective, self.entrance = (
                method,
                method.perspective,
                method.entrance,
            )
        else:
            self.perspective = self.entrance = None


class Counted(Protocol):
    """Counts the peer's frames (`window.Receipts` is the one)."""

    @property
    def before(self) -> int:
        """How many had come before the message that is being handled."""

    def more(self) -> None:
        """More may be acknowledged than before."""


class Incoming:
    """The calls that the peer makes on one session."""

    __slots__ = (
        "_broker",
        "_calls",
        "_copied",
        "_copied_since",
        "_highest",
        "_hints",
        "_is_draining",
        "_most",
        "_named",
        "_only",
        "_refused",
        "_refused_since",
        "backlog",
        "receipts",
        "starting",
    )

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.backlog: Backlog[_Call] | None = None
        """What waits for a peer that reads slowly; None: nothing does."""
        self.receipts: Counted | None = None
        """What counts the peer's frames; None: it is not ours to hold calls back."""
        self._calls: dict[int, _Call] = {}
        self._most = broker.limits.calls  # that may be in progress
        self._is_draining = False
        self._highest = 0
        self._hints = 0  # names of methods that were looked for on behalf of the log
        self._only = 0  # keys of calls without answer are negative
        self.starting = 0
        """How many handlers were spawned and have not got control."""
        self._named: dict[int, Any] = {}  # answers that the peer may still name
        self._refused = 0
        self._refused_since = 0.0
        self._copied = 0.0  # items of answers that calls name as arguments
        self._copied_since = 0.0

    def count(self) -> int:
        """How many calls are in progress."""
        return len(self._calls)

    def unstarted(self) -> int:
        """How many calls have come that have not got control yet."""
        return self.starting + len(self.backlog.held if self.backlog is not None else ())

    def handled(self, received: int) -> int:
        """Of *received* frames, up to which they may be acknowledged: a call that is held is not.

        What is acknowledged counts as executed with the peer, and makes room for more.
        """
        held = None if self.backlog is None else self.backlog.first()
        return received if held is None or held.before is None else min(received, held.before)

    def expect_login(self, is_due: bool) -> None:
        """Whether the peer has to log in first, and may call less until then."""
        limits = self._broker.limits
        if not self._is_draining:
            self._most = min(limits.calls, limits.login_calls) if is_due else limits.calls

    def drain(self) -> None:
        """Take no more calls: each fails, and says that it was not executed."""
        self._is_draining, self._most = True, 0

    def working(self) -> int:
        """How many calls are in progress that can be waited for: a stream may never have more."""
        return sum(
            call.method is None or not call.method.calls(Producer.next)
            for call in self._calls.values()
        )

    def tasks(self) -> list[Any]:
        """What runs for the calls that are in progress."""
        return [call.task for call in self._calls.values() if call.task is not None]

    # ------------------------------------------------------------ starting

    def message(self, frame: Frame, walk: bool, attachments: list[memoryview] | None) -> None:
        """A ``message``. Raises ProtocolError for a request id that does not rise."""
        request, target, name = frame[1], frame[2], frame[3]
        if request > self._highest:
            self._highest = request
        else:
            self._check_request(request)
        length = len(frame)
        named = type(target) is not str and (type(target) is dict or target < 0)
        if walk or named or length > 6 or self.backlog is not None:
            self._message_walking(frame, attachments, walk)
            return
        try:
            if len(self._calls) >= self._most:
                raise self._refusal()
            object = self._broker.exports.find(target)
            method = find_method(object, name)
        except Error as error:
            self._fail(request, name, error)
            return
        args = frame[4] if length > 4 else _NO_ARGS
        kw = frame[5] if length > 5 else _NO_KW
        call = None
        if type(method) is BoundMethod:
            call = self._new_call(request, name)
            call.called_by(method)
        if self.starting and not _makes_coroutine(method):
            self._start_behind(call or self._new_call(request, name), method, object, args, kw)
        else:
            self._invoke(request, name, method, object, args, kw, call)

    def update(self, frame: Frame, walk: bool, attachments: list[memoryview] | None) -> None:
        """A ``cachemessage``: as `message`, for a copy that is held here."""
        broker = self._broker
        request, luid, name = frame[1:4]
        self._check_request(request)
        introduced = list(introductions(frame[4:])) if walk else []
        unjellier = Unjellier(broker, broker.limits, attachments)
        try:
            held = 0
            if self.backlog is not None and self.backlog.first() is not None:
                held = self._weigh_held(frame, attachments)
            cache = broker.caches.find(luid)
            copy = cache.copy()
            method = find_observer(copy, name)
            # A copy that misses an update is none any more: one that ends at once is not refused.
            if len(self._calls) >= self._most and _makes_coroutine(method):
                raise self._refusal()
            if walk:
                unjellier.perspective = cache.perspective
                for values in frame[4:6]:
                    unjellier.decode_arguments(values)
                if unjellier.pending:
                    raise InsecureJelly(
                        "an update of a cache cannot name an answer that is to come"
                    )
                broker.take(unjellier, introduced)
        except ProtocolError:
            raise
        except Exception as error:  # whatever the class of a copy raises
            self._refuse(frame, unjellier, introduced, error)
            return
        args = frame[4] if len(frame) > 4 else _NO_ARGS
        kw = frame[5] if len(frame) > 5 else _NO_KW
        if held:
            call = self._new_call(request, name)
            call.start = lambda: self._start(call, method, copy, args, kw)
            self._hold_call(call, held)
            self._wait_for(call, [], [])
        elif self.starting and not _makes_coroutine(method):
            self._start_behind(self._new_call(request, name), method, copy, args, kw)
        else:
            self._invoke(request, name, method, copy, args, kw, None)

    def _refuse(
        self,
        frame: Frame,
        unjellier: Unjellier,
        introduced: list[tuple[str, Any]],
        error: Exception,
    ) -> None:
        """Nothing of *frame* is taken: what it brought goes back, and its call fails."""
        self._broker.refuse(unjellier, introduced)
        self._fail(frame[1], frame[3], error)
        self._broker.count_fault(error)

    def _check_request(self, request: int) -> None:
        if request > self._highest:
            self._highest = request
        elif request:
            raise ProtocolError(f"request {request} is not above {self._highest}")

    def _refusal(self) -> Error:
        """Why a call is refused."""
        return _Draining() if self._is_draining else self._too_many()

    def _too_many(self, why: str | None = None) -> LimitExceeded:
        """Why a call is refused; a peer that goes on and on is closed with 4413."""
        broker = self._broker
        now = broker.runtime.clock()
        if now - self._refused_since > REFUSED_SECONDS:
            self._refused_since, self._refused = now, 0
        self._refused += 1
        if self._refused >= MAX_REFUSED_CALLS:
            broker.close(4413, f"calls: {self._refused} were refused in {REFUSED_SECONDS:g} s")
        if why is None:
            before = " before a login" if broker.login_due else ""
            why = f"{self._most} are in progress, more are not allowed{before}"
        return LimitExceeded(f"calls: {why}; wait for answers before calling again")

    def _new_call(self, request: int, name: str) -> _Call:
        key = request
        if not request:
            self._only -= 1
            key = self._only
        call = self._calls[key] = _Call(request, key, name)
        return call

    def when_started(self, function: Callable[[], object]) -> None:
        """Call *function* when all that came before it has got control."""
        self.starting += 1
        self._broker.runtime.soon(self._go_on, function)

    def _go_on(self, function: Callable[[], object]) -> None:
        self.starting -= 1
        function()

    def _start_behind(
        self, call: _Call, method: Method, object: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        """Start a handler when those that were spawned before it have got control."""
        self.starting += 1
        self._broker.runtime.soon(self._start_now, call, method, object, args, kw)

    def _start_now(
        self, call: _Call, method: Method, object: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        if self._gets_control(call):
            self._invoke(call.request, call.name, method, object, args, kw, call)

    def _invoke(
        self,
        request: int,
        name: str,
        method: Method,
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
        except BaseException as error:  # sys.exit() too is this call's failure alone
            if isinstance(error, TypeError):
                error = wrong_arguments(method, object, name, args, kw) or error
            self._fail(request, name, error, call)
            return
        kind = type(result)
        if kind in _VALUES or not hasattr(kind, "__await__"):
            self._answer(request, name, result, call)
            return
        call = call or self._new_call(request, name)
        if kind is RemotePromise:
            call.started, call.task = True, result
            result.then_call(lambda promise: self._relayed(call, promise))
            return
        call.started = False
        self.starting += 1
        call.task = self._broker.runtime.spawn(self._run(call, result), call.context)
        if call.started and (call.stop is not None or self._broker.disconnected):
            call.task.cancel()  # it was stopped by its own first step

    async def _run(self, call: _Call, awaitable: Any) -> None:
        """The body of a handler's task."""
        if not self._gets_control(call):
            close = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
            if close is not None:
                close()
            return
        try:
            result = await awaitable
        except BaseException as error:  # sys.exit() too is this call's failure alone
            self._fail(call.request, call.name, error, call)
        else:
            self._answer(call.request, call.name, result, call)

    def _gets_control(self, call: _Call) -> bool:
        """A handler that was spawned starts; False if it was stopped before."""
        call.started = True
        self.starting -= 1
        if call.stop is not None:
            self._fail_cancelled(call)
        return not call.ended

    def _relayed(self, call: _Call, promise: RemotePromise) -> None:
        error = promise.error()
        if error is not None:
            self._fail(call.request, call.name, error, call)
        else:
            self._answer(call.request, call.name, promise.result(), call)

    # ------------------------------ values with tags, deadlines, named answers

    def _message_walking(
        self, frame: Frame, attachments: list[memoryview] | None, walk: bool
    ) -> None:
        """A message with tagged values, a deadline, or a target that is an answer."""
        broker = self._broker
        request, target, name = frame[1:4]
        introduced = list(introductions(frame[2:])) if walk else []
        unjellier = Unjellier(broker, broker.limits, attachments)
        holder: list[Any] = [None]
        method: Method | None = None
        try:
            if len(self._calls) >= self._most:
                raise self._refusal()
            held = 0 if self.backlog is None else self._weigh_held(frame, attachments)
            if type(target) is str or (type(target) is int and target > 0):
                holder[0] = broker.exports.find(target)
                method = find_method(holder[0], name)
                if type(method) is BoundMethod:
                    unjellier.perspective = method.entrance or method.perspective
            else:
                unjellier.pending.append((holder, 0, _pending_target(target)))
                unjellier.perspective = self._caller_of(unjellier.pending[0][2])
            if walk:
                for values in frame[4:6]:
                    unjellier.decode_arguments(values)
                broker.take(unjellier, introduced)
        except ProtocolError:
            raise
        except Exception as error:  # whatever the class of a copy raises
            self._refuse(frame, unjellier, introduced, error)
            return
        call = self._new_call(request, name)
        if method is not None:
            call.called_by(method)
        elif type(unjellier.perspective) is Entrance:
            call.entrance = unjellier.perspective
        else:
            call.perspective = unjellier.perspective
        args = frame[4] if len(frame) > 4 else _NO_ARGS
        kw = frame[5] if len(frame) > 5 else _NO_KW
        call.start = lambda: self._start_with(call, holder[0], args, kw)
        self._set_deadline(call, frame[6].get("deadline") if len(frame) > 6 else None)
        if held and not call.ended:
            self._hold_call(call, held)
        self._wait_for(call, unjellier.pending, holder)

    def _weigh_held(self, frame: Frame, attachments: list[memoryview] | None) -> int:
        """Whether the call in *frame* is to be held: how much it weighs then, else 0.

        Raises:
            LimitExceeded: too much is held, or waits.
        """
        backlog = self.backlog
        assert backlog is not None
        if self.receipts is None:
            if backlog.is_full():
                raise self._too_many("as many answers wait to be read as there is room for")
            return 0
        if not backlog.is_slow() and backlog.first() is None:
            return 0
        if not backlog.may_hold():
            raise self._too_many("as many are held behind answers that wait to be read as may be")
        # characters, as the peer's own window may count them
        return len(orjson.dumps(frame).decode()) + sum(map(len, attachments or ()))

    def _hold_call(self, call: _Call, weight: int) -> None:
        """*call* gets control when the answers that wait now have found room."""
        assert self.backlog is not None
        assert self.receipts is not None
        call.before, call.weight = self.receipts.before, weight
        self.backlog.hold(call, weight)

    def let_go(self) -> None:
        """Start what was held, as far as there is room for answers again."""
        backlog = self.backlog
        if backlog is None or not backlog.held or backlog.is_slow():
            return
        while backlog.held and not backlog.is_slow():
            call = backlog.held.popleft()
            if call.before is not None:
                self._lighten(call)
                self._one_is_there(call)
        # Also if the last one was cancelled, which weighs nothing here. There may be another one
        # meanwhile: what was started last has an answer that waits.
        if self.backlog is backlog and backlog.is_over():
            self.backlog = None

    def _weigh_answer(self, call: _Call, weight: int) -> None:
        """The answer to *call* waits for room, and weighs so much."""
        self._lighten(call)
        if self.backlog is None:
            self.backlog = Backlog(self._broker.limits)
        call.weight = weight
        self.backlog.answers += weight

    def _lighten(self, call: _Call) -> None:
        """*call* is held no longer, or its answer waits no longer."""
        backlog, weight, call.weight = self.backlog, call.weight, 0
        if backlog is None:
            return
        if call.before is None:
            backlog.answers -= weight
        else:
            call.before = None
            backlog.held_bytes -= weight
            if self.receipts is not None:
                self.receipts.more()
        if backlog.is_over():
            self.backlog = None

    def _caller_of(self, target: Pending) -> Any:
        """Whose the references in a call on an answer are: of the avatar that it was made for.

        Before that is known it is the one that the call was made for which is to be answered.
        """
        source = self._calls.get(target.request)
        if source is not None:
            return source.entrance or source.perspective
        answer = self._named.get(target.request)
        if type(answer) is _Seen:
            return answer.perspective
        return answer.perspective if isinstance(answer, Dispatcher) else None

    def _set_deadline(self, call: _Call, seconds: float | None) -> None:
        if seconds is None:
            return
        if seconds <= 0:
            self._stop(call, OVER_DEADLINE)
            return
        runtime = self._broker.runtime
        call.context = copy_context()
        call.context.run(DEADLINE.set, runtime.clock() + seconds)
        if seconds < LONGEST_TIMER:
            call.timer = runtime.call_later(seconds, self._stop, call, OVER_DEADLINE)

    def _wait_for(
        self, call: _Call, places: list[tuple[Any, Any, Pending]], target: list[Any]
    ) -> None:
        """Start *call* when all answers that it names are there; take hold of them now."""
        named: dict[int, list[tuple[Any, Any, Pending]]] = {}
        for place in places:
            named.setdefault(place[2].request, []).append(place)
        call.waits = 1 if call.before is None else 2
        for request, its_places in named.items():
            if call.ended:
                return
            call.waits += 1
            self._when_there(request, call, self._filler(call, its_places, target))
        self._one_is_there(call)

    def _when_there(self, request: int, call: _Call, there: Callable[[Any], None]) -> None:
        if request in self._named:
            there(self._named[request])
            return
        source = self._calls.get(request)
        if source is None or source is call:
            there(_Failed(dead_reference()))
        else:
            source.dependents = [*(source.dependents or ()), there]

    def _filler(
        self, call: _Call, places: list[tuple[Any, Any, Pending]], target: list[Any]
    ) -> Callable[[Any], None]:
        """Puts an answer into its places in the arguments; its failure is *call*'s too."""

        def there(answer: Any) -> None:
            if call.ended:
                return
            if type(answer) is _Failed:
                self._fail(call.request, call.name, answer.error, call, log=False)
                return
            perspective = None
            if type(answer) is _Seen:
                answer, perspective = answer.value, answer.perspective
            copy = None  # one for all places: naming an answer often is no way to multiply it
            try:
                for container, key, pending in places:
                    if container is target:
                        found = follow(answer, pending.path)
                        seen = isinstance(found, Viewable)
                        container[key] = ViewPoint(perspective, found) if seen else found
                        continue
                    copy = self._copy(answer, perspective) if copy is None else copy
                    container[key] = follow(copy, pending.path)
            except Exception as error:  # whatever the class of a copy raises
                self._fail(call.request, call.name, error, call)
                return
            self._one_is_there(call)

        return there

    def _copy(self, answer: Any, perspective: Any) -> Any:
        """A copy of *answer*, made for *perspective*, for a call that names it as an argument.

        Naming costs the peer a few bytes, whatever the size of the answer, so what is copied
        runs into a bucket: when it is full, calls are refused until enough has run out.

        Raises:
            LimitExceeded: the bucket is full.
        """
        now = self._broker.runtime.clock()
        leaked = (now - self._copied_since) * COPIED_A_SECOND
        self._copied, self._copied_since = max(0.0, self._copied - leaked), now
        if self._copied >= MAX_COPIED:
            raise LimitExceeded(
                f"message: more than {COPIED_A_SECOND} items a second are to be copied from "
                "answers that are passed on by name"
            )
        if type(answer) is Items:
            raise InsecureJelly("the answer to a stream's next cannot be passed on by name")
        made: list[Any] = []
        copy = snapshot(
            answer,
            self._charge,
            lambda value: self._start_copy(value, made, perspective),
            perspective,
        )
        for one in made:
            if hasattr(type(one), "postUnjelly"):
                one.postUnjelly()
        return copy

    def _start_copy(
        self, value: Any, made: list[Any], perspective: Any
    ) -> tuple[Any, Any, Callable[[Any], Any]]:
        """What `snapshot` needs: a copy that is passed on by name is a copy as well."""
        broker = self._broker
        name, state = broker.copied(value, perspective)
        maker = broker.maker(name)
        blank = None if maker.blank is None else maker.blank()

        def fill(state: Any) -> Any:
            made.append(maker.fill(blank, state, self._charge))
            return made[-1]

        return state, blank, fill

    def _charge(self, items: int) -> None:
        self._copied += items

    def _one_is_there(self, call: _Call) -> None:
        call.waits -= 1
        if call.waits == 0 and call.start is not None:
            start, call.start = call.start, None
            start()

    def _start_with(
        self, call: _Call, target: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        try:
            found = call.method if call.entrance is not None else None  # one entrance each
            method: Method = found or find_method(target, call.name)
            call.called_by(method)
            if call.revoked:
                raise dead_reference()
        except Error as error:
            self._fail(call.request, call.name, error, call)
            return
        self._start(call, method, target, args, kw)

    def _start(
        self, call: _Call, method: Method, target: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        if self.starting and not _makes_coroutine(method):
            self._start_behind(call, method, target, args, kw)
        else:
            self._invoke(call.request, call.name, method, target, args, kw, call)

    # -------------------------------------------------------------- ending

    def _answer(
        self,
        request: int,
        name: str,
        value: Any,
        call: _Call | None = None,
        in_turn: bool = False,
    ) -> None:
        """The handler returned *value*; *in_turn*, the answer has waited for room."""
        broker = self._broker
        if broker.disconnected or (call is not None and call.ended):
            return
        if not request:
            self._end_unanswered(value, call)
            return
        outbox = broker.flush_dirty() if broker.dirty else broker.outbox
        if (
            len(outbox) >= broker.room_frames
            or broker.queued >= broker.room_bytes
            or broker.line is not None
        ) and not in_turn:
            self._hold(request, name, value, call)
            return
        if type(value) is str and len(value) <= SHORT and value.isascii():
            broker.queued += len(value)
            if outbox:
                outbox.append(["answer", request, value])
            else:
                broker.send(["answer", request, value])
        elif value is None:
            broker.send(["answer", request])
        elif goes_as_it_is(value):
            broker.send(["answer", request, value])
        elif not self._send_answer(request, name, value, call):
            return
        if call is None:
            self._named[request] = value
            return
        if call.perspective is not None:
            value = _Failed(dead_reference()) if call.revoked else _Seen(value, call.perspective)
        self._named[request] = value
        self._end(call, value)

    def _hold(self, request: int, name: str, value: Any, call: _Call | None) -> None:
        """The answer waits for room; its call stays in progress."""
        if call is None and len(self._calls) >= self._broker.limits.calls:
            self._fail(request, name, self._too_many())  # an update, which was not refused
            return
        call = call or self._new_call(request, name)
        broker = self._broker
        weight = weight_of(value, broker.peer_limits.message)
        # items of a stream stay with it, and their number is bounded
        if (
            self.backlog is not None
            and type(value) is not Items
            and not self.backlog.has_room(weight)
        ):
            self._fail(request, name, _no_room(broker.limits.answers), call, log=False)
            return
        call.answering = True
        self._weigh_answer(call, weight)
        if broker.away:
            broker.close(4440, "an answer has no room while there is no connection")
        broker.when_room(partial(self._answer, request, name, value, call, True))

    def _end_unanswered(self, value: Any, call: _Call | None) -> None:
        """Nobody wants to know what *call* returned."""
        if call is not None:
            self._end(call, value)
            if isinstance(value, Dispatcher):
                value.handedBack()

    def _send_answer(self, request: int, name: str, value: Any, call: _Call | None) -> bool:
        """Send *value*; if it cannot be sent, that is the call's failure."""
        frame: Frame = ["answer", request]
        perspective = None if call is None else call.perspective
        revoked = call is not None and call.revoked
        if revoked:
            perspective = Ended(perspective)

        def fill(jellier: Jellier) -> None:
            frame.append(jellier.encode(value))

        try:
            if isinstance(value, Referenceable) and not revoked:  # on its own: nothing to undo
                frame.append(self._broker.tag(value, perspective))
                self._broker.send(frame)
            else:
                self._broker.send_encoded(frame, fill, perspective)
        except BaseException as error:  # whatever the value does when it is asked
            self._broker.runtime.report(f"the answer of {name!r} cannot be sent: {error}")
            self._fail(request, name, error, call, log=False)
            self._broker.count_fault(error)
            if isinstance(value, Dispatcher):
                value.handedBack()
            return False
        return True

    def _fail(
        self,
        request: int,
        name: str,
        error: BaseException,
        call: _Call | None = None,
        *,
        log: bool = True,
    ) -> None:
        """The call ends with *error*; what is unexpected is logged, once."""
        broker = self._broker
        if call is not None and call.ended:
            return
        if broker.dirty:
            broker.flush_dirty()
        runtime, options = broker.runtime, broker.options
        if isinstance(error, runtime.cancelled):
            why = (call.stop if call is not None else None) or "was cancelled"
            error = CancelledError(f"the call {why}")
        message = None
        if log and not is_expected(error):
            what = f"Peer will receive PB traceback: the call {request} of {name!r} failed"
            entry = runtime.report(what, error)
            if options.mask_errors:
                message = f"the error {entry} in the log of the peer"
        elif log and type(error) is NoSuchMethod and self._hints < MAX_HINTS:
            self._hints += 1
            if hint := hint_for(error):
                runtime.report(hint)
        failure = None
        if request and not broker.disconnected:
            unsafe = options.unsafe_tracebacks
            failure = failure_for(error, message=message, with_traceback=unsafe)
            if type(error) is _Draining:
                failure["outcome"] = error.outcome
        elif not request and is_expected(error) and not isinstance(error, CancelledError):
            runtime.report(f"the call of {name!r} without answer failed: {error}")
        error.__traceback__ = None  # its frames hold the arguments, and what was decoded of them
        with_state = message is None and is_copyable(type(error))
        if failure and broker.line is not None and len(self._calls) < broker.limits.calls:
            call = call or self._new_call(request, name)
            call.answering = True  # behind the answers and updates that were made before
            state = vars(error) if with_state else None
            self._weigh_answer(call, len(failure["message"]) + weight_of(state, MOST_OF_A_STATE))
            ended = partial(self._ended_with, request, name, failure, error, with_state, call)
            broker.when_room(ended)
        else:
            self._ended_with(request, name, failure, error, with_state, call)

    def _ended_with(
        self,
        request: int,
        name: str,
        failure: Tagged | None,
        error: BaseException,
        with_state: bool,
        call: _Call | None,
    ) -> None:
        """Send the *failure* for *error*, if the caller wants one; *call* is over."""
        if call is not None and call.ended:
            return
        if failure is not None and not self._broker.disconnected:
            self._named[request] = _Failed(error)
            if with_state:
                perspective = None if call is None else call.perspective
                self._send_with_state(request, name, failure, error, perspective)
            else:
                self._broker.queued += len(failure["message"])
                self._broker.send(["error", request, failure])
        if call is not None:
            self._end(call, _Failed(error))

    def _send_with_state(
        self, request: int, name: str, failure: Tagged, error: BaseException, perspective: Any
    ) -> None:
        """Send the failure of a Copyable error; one of its state goes in its place."""
        broker = self._broker

        def fill(jellier: Jellier) -> None:
            jellier.attach = False  # protocol section 8: none beside an error
            failure["state"] = jellier.encode(broker.copied(error, perspective)[1], "error")

        try:
            broker.send_encoded(["error", request, failure], fill, perspective)
        except BaseException as fault:  # whatever the state does when it is asked
            what = f"the state of the error of {name!r} cannot be sent"
            broker.runtime.report(what, None if is_expected(fault) else fault)
            broker.send(["error", request, failure_for(fault)])

    def _fail_cancelled(self, call: _Call) -> None:
        self._fail(call.request, call.name, self._broker.runtime.cancelled(), call)

    def _end(self, call: _Call, answer: Any) -> None:
        call.ended = True
        if call.timer is not None:
            call.timer.cancel()
        if call.weight:
            self._lighten(call)
        self._calls.pop(call.key, None)
        dependents, call.dependents, call.start, call.context = call.dependents, None, None, None
        for there in dependents or ():
            there(answer)

    def acknowledged(self, frames: Iterable[Frame]) -> None:
        """The peer has *frames*: it will name the answers in them no more."""
        named = self._named
        for frame in frames:
            if frame[0] in ("answer", "error"):
                named.pop(frame[1], None)

    def revoke(self, perspective: Any, stop: str | None = None) -> None:
        """The login of the avatar *perspective* has ended: it is handed nothing any more.

        Args:
            stop: why its calls are to be stopped; None: they go on.
        """
        for call in list(self._calls.values()):
            if call.perspective is perspective:
                call.revoked = True
                if stop is not None:
                    self._stop(call, stop)
        for request, answer in self._named.items():
            if type(answer) is _Seen and answer.perspective is perspective:
                self._named[request] = _Failed(dead_reference())

    # ---------------------------------------------------------- cancelling

    def cancel(self, request: int) -> None:
        """A ``cancel``. Raises ProtocolError for a call that was never made."""
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
            self._fail_cancelled(call)
        elif call.started and call.task is not None:
            call.task.cancel()

    def lost(self) -> None:
        """The session is gone: what runs is cancelled, what waits is forgotten."""
        calls, self._calls = self._calls, {}
        self.backlog = None
        self._named.clear()
        for call in calls.values():
            call.ended = True
            call.start = call.dependents = None
            if call.timer is not None:
                call.timer.cancel()
            if call.started and call.task is not None:
                call.task.cancel()


def _no_room(limit: int) -> LimitExceeded:
    """What a call ends with whose answer cannot wait."""
    return LimitExceeded(
        f"answers: the call was executed, and there was no room for its answer: {limit} bytes wait "
        "that were not read; ask for less at a time, or for a stream"
    )


def _makes_coroutine(method: Method) -> bool:
    """Whether calling *method* runs nothing of it yet: its task starts behind the others."""
    code = getattr(method, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def _pending_target(target: int | dict[str, Any]) -> Pending:
    if isinstance(target, dict):
        return Pending(target["id"], target.get("path", []))
    return Pending(-target, [])
