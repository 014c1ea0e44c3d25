"""Calls of the peer's: decoded, and started in their order.

Protocol section 1. A plain function is called at once and answered in the same turn; what
returns an awaitable goes on in a task of its own and holds up nothing. How calls end is in
`answering`, those that name answers wait in `pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from inspect import CO_COROUTINE
from typing import TYPE_CHECKING, Any

import orjson

from .answering import Answering, Draining
from .calls import Call
from .errors import Error, InsecureJelly, ProtocolError
from .flavors import BoundMethod, Entrance
from .frames import Frame
from .methods import Method, find_method, find_observer, wrong_arguments
from .pipeline import Pipeline, pending_target
from .promises import RemotePromise
from .references import dead_reference
from .runtime import DEADLINE
from .streams import Producer
from .unjelly import Unjellier, introductions

if TYPE_CHECKING:
    from .broker import Broker

__all__ = ["Incoming"]

LONGEST_TIMER = 1e6  # seconds; a deadline further away is none

_VALUES = frozenset({str, int, float, bool, type(None), list, dict, tuple, bytes, set})
_NO_ARGS: tuple[Any, ...] = ()
_NO_KW: dict[str, Any] = {}

OVER_DEADLINE = "ran over its deadline"


class Incoming:
    """The calls that the peer makes on one session."""

    __slots__ = (
        "_answering",
        "_broker",
        "_highest",
        "_is_draining",
        "_pipeline",
        "starting",
    )

    def __init__(self, broker: Broker, answering: Answering) -> None:
        self._broker = broker
        self._answering = answering
        self._pipeline = Pipeline(broker, answering)
        self._is_draining = False
        self._highest = 0
        self.starting = 0
        """How many handlers were spawned and have not got control."""

    def count(self) -> int:
        """How many calls are in progress."""
        return len(self._answering.calls)

    def unstarted(self) -> int:
        """How many calls have come that have not got control yet."""
        backlog = self._answering.backlog
        return self.starting + len(() if backlog is None else backlog.held)

    def handled(self, received: int) -> int:
        """Of *received* frames, up to which they may be acknowledged: a call that is held is not.

        What is acknowledged counts as executed with the peer, and makes room for more.
        """
        backlog = self._answering.backlog
        held = None if backlog is None else backlog.first()
        return received if held is None or held.before is None else min(received, held.before)

    def expect_login(self, is_due: bool) -> None:
        """Whether the peer has to log in first, and may call less until then."""
        limits = self._broker.limits
        if not self._is_draining:
            self._answering.most = min(limits.calls, limits.login_calls) if is_due else limits.calls

    def drain(self) -> None:
        """Take no more calls: each fails, and says that it was not executed."""
        self._is_draining, self._answering.most = True, 0

    def working(self) -> int:
        """How many calls are in progress that can be waited for: a stream may never have more."""
        return sum(
            call.method is None or not call.method.calls(Producer.next)
            for call in self._answering.calls.values()
        )

    def tasks(self) -> list[Any]:
        """What runs for the calls that are in progress."""
        return [call.task for call in self._answering.calls.values() if call.task is not None]

    # ------------------------------------------------------------ starting

    def message(self, frame: Frame, walk: bool, attachments: list[memoryview] | None) -> None:
        """A ``message``. Raises ProtocolError for a request id that does not rise."""
        answering = self._answering
        request, target, name = frame[1], frame[2], frame[3]
        if request > self._highest:
            self._highest = request
        else:
            self._check_request(request)
        length = len(frame)
        named = type(target) is not str and (type(target) is dict or target < 0)
        if walk or named or length > 6 or answering.backlog is not None:
            self._message_walking(frame, attachments, walk)
            return
        try:
            if len(answering.calls) >= answering.most:
                raise self._refusal()
            object = self._broker.exports.find(target)
            method = find_method(object, name)
        except Error as error:
            answering.fail(request, name, error)
            return
        args = frame[4] if length > 4 else _NO_ARGS
        kw = frame[5] if length > 5 else _NO_KW
        call = None
        if type(method) is BoundMethod:
            call = answering.new_call(request, name)
            call.called_by(method)
        if self.starting and not _makes_coroutine(method):
            call = call or answering.new_call(request, name)
            self._start_behind(call, method, object, args, kw)
        else:
            self._invoke(request, name, method, object, args, kw, call)

    def update(self, frame: Frame, walk: bool, attachments: list[memoryview] | None) -> None:
        """A ``cachemessage``: as `message`, for a copy that is held here."""
        broker, answering = self._broker, self._answering
        request, luid, name = frame[1:4]
        self._check_request(request)
        introduced = list(introductions(frame[4:])) if walk else []
        unjellier = Unjellier(broker, broker.limits, attachments)
        try:
            held = 0
            if answering.backlog is not None and answering.backlog.first() is not None:
                held = self._weigh_held(frame, attachments)
            cache = broker.caches.find(luid)
            copy = cache.copy()
            method = find_observer(copy, name)
            # A copy that misses an update is none any more: one that ends at once is not refused.
            if len(answering.calls) >= answering.most and _makes_coroutine(method):
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
            call = answering.new_call(request, name)
            call.start = lambda: self._start(call, method, copy, args, kw)
            self._hold_call(call, held)
            self._pipeline.wait_for(call, [], [])
        elif self.starting and not _makes_coroutine(method):
            self._start_behind(answering.new_call(request, name), method, copy, args, kw)
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
        self._answering.fail(frame[1], frame[3], error)
        self._broker.count_fault(error)

    def _check_request(self, request: int) -> None:
        if request > self._highest:
            self._highest = request
        elif request:
            raise ProtocolError(f"request {request} is not above {self._highest}")

    def _refusal(self) -> Error:
        """Why a call is refused."""
        return Draining() if self._is_draining else self._answering.too_many()

    def when_started(self, function: Callable[[], object]) -> None:
        """Call *function* when all that came before it has got control."""
        self.starting += 1
        self._broker.runtime.soon(self._go_on, function)

    def _go_on(self, function: Callable[[], object]) -> None:
        self.starting -= 1
        function()

    def _start_behind(
        self, call: Call, method: Method, object: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        """Start a handler when those that were spawned before it have got control."""
        self.starting += 1
        self._broker.runtime.soon(self._start_now, call, method, object, args, kw)

    def _start_now(
        self, call: Call, method: Method, object: Any, args: Sequence[Any], kw: dict[str, Any]
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
        call: Call | None,
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
            self._answering.fail(request, name, error, call)
            return
        kind = type(result)
        if kind in _VALUES or not hasattr(kind, "__await__"):
            self._answering.answer(request, name, result, call)
            return
        call = call or self._answering.new_call(request, name)
        if kind is RemotePromise:
            call.started, call.task = True, result
            result.then_call(lambda promise: self._relayed(call, promise))
            return
        call.started = False
        self.starting += 1
        call.task = self._broker.runtime.spawn(self._run(call, result), call.context)
        if call.started and (call.stop is not None or self._broker.disconnected):
            call.task.cancel()  # it was stopped by its own first step

    async def _run(self, call: Call, awaitable: Any) -> None:
        """The body of a handler's task."""
        if not self._gets_control(call):
            close = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
            if close is not None:
                close()
            return
        try:
            result = await awaitable
        except BaseException as error:  # sys.exit() too is this call's failure alone
            self._answering.fail(call.request, call.name, error, call)
        else:
            self._answering.answer(call.request, call.name, result, call)

    def _gets_control(self, call: Call) -> bool:
        """A handler that was spawned starts; False if it was stopped before."""
        call.started = True
        self.starting -= 1
        if call.stop is not None:
            self._answering.fail_cancelled(call)
        return not call.ended

    def _relayed(self, call: Call, promise: RemotePromise) -> None:
        error = promise.error()
        if error is not None:
            self._answering.fail(call.request, call.name, error, call)
        else:
            self._answering.answer(call.request, call.name, promise.result(), call)

    # ------------------------------ values with tags, deadlines, named answers

    def _message_walking(
        self, frame: Frame, attachments: list[memoryview] | None, walk: bool
    ) -> None:
        """A message with tagged values, a deadline, or a target that is an answer."""
        broker, answering = self._broker, self._answering
        request, target, name = frame[1:4]
        introduced = list(introductions(frame[2:])) if walk else []
        unjellier = Unjellier(broker, broker.limits, attachments)
        holder: list[Any] = [None]
        method: Method | None = None
        try:
            if len(answering.calls) >= answering.most:
                raise self._refusal()
            held = 0 if answering.backlog is None else self._weigh_held(frame, attachments)
            if type(target) is str or (type(target) is int and target > 0):
                holder[0] = broker.exports.find(target)
                method = find_method(holder[0], name)
                if type(method) is BoundMethod:
                    unjellier.perspective = method.entrance or method.perspective
            else:
                unjellier.pending.append((holder, 0, pending_target(target)))
                unjellier.perspective = self._pipeline.caller_of(unjellier.pending[0][2])
            if walk:
                for values in frame[4:6]:
                    unjellier.decode_arguments(values)
                broker.take(unjellier, introduced)
        except ProtocolError:
            raise
        except Exception as error:  # whatever the class of a copy raises
            self._refuse(frame, unjellier, introduced, error)
            return
        call = answering.new_call(request, name)
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
        self._pipeline.wait_for(call, unjellier.pending, holder)

    def _weigh_held(self, frame: Frame, attachments: list[memoryview] | None) -> int:
        """Whether the call in *frame* is to be held: how much it weighs then, else 0.

        Raises:
            LimitExceeded: too much is held, or waits.
        """
        answering = self._answering
        backlog = answering.backlog
        assert backlog is not None
        if answering.receipts is None:
            if backlog.is_full():
                raise answering.too_many("as many answers wait to be read as there is room for")
            return 0
        if not backlog.is_slow() and backlog.first() is None:
            return 0
        if not backlog.may_hold():
            raise answering.too_many(
                "as many are held behind answers that wait to be read as may be"
            )
        # characters, as the peer's own window may count them
        return len(orjson.dumps(frame).decode()) + sum(map(len, attachments or ()))

    def _hold_call(self, call: Call, weight: int) -> None:
        """*call* gets control when the answers that wait now have found room."""
        answering = self._answering
        assert answering.backlog is not None
        assert answering.receipts is not None
        call.before, call.weight = answering.receipts.before, weight
        answering.backlog.hold(call, weight)

    def let_go(self) -> None:
        """Start what was held, as far as there is room for answers again."""
        answering = self._answering
        backlog = answering.backlog
        if backlog is None or not backlog.held or backlog.is_slow():
            return
        while backlog.held and not backlog.is_slow():
            call = backlog.held.popleft()
            if call.before is not None:
                answering.lighten(call)
                call.one_is_there()
        # Also if the last one was cancelled, which weighs nothing here. There may be another one
        # meanwhile: what was started last has an answer that waits.
        if answering.backlog is backlog and backlog.is_over():
            answering.backlog = None

    def _set_deadline(self, call: Call, seconds: float | None) -> None:
        if seconds is None:
            return
        if seconds <= 0:
            self._answering.stop(call, OVER_DEADLINE)
            return
        runtime = self._broker.runtime
        call.context = copy_context()
        call.context.run(DEADLINE.set, runtime.clock() + seconds)
        if seconds < LONGEST_TIMER:
            call.timer = runtime.call_later(seconds, self._answering.stop, call, OVER_DEADLINE)

    def _start_with(self, call: Call, target: Any, args: Sequence[Any], kw: dict[str, Any]) -> None:
        try:
            found = call.method if call.entrance is not None else None  # one entrance each
            method: Method = found or find_method(target, call.name)
            call.called_by(method)
            if call.revoked:
                raise dead_reference()
        except Error as error:
            self._answering.fail(call.request, call.name, error, call)
            return
        self._start(call, method, target, args, kw)

    def _start(
        self, call: Call, method: Method, target: Any, args: Sequence[Any], kw: dict[str, Any]
    ) -> None:
        if self.starting and not _makes_coroutine(method):
            self._start_behind(call, method, target, args, kw)
        else:
            self._invoke(call.request, call.name, method, target, args, kw, call)

    # ---------------------------------------------------------- cancelling

    def cancel(self, request: int) -> None:
        """A ``cancel``. Raises ProtocolError for a call that was never made."""
        call = self._answering.calls.get(request)
        if call is not None:
            self._answering.stop(call, "was cancelled by its caller")
        elif request > self._highest:
            raise ProtocolError(f"cancel of {request}, which was not called")


def _makes_coroutine(method: Method) -> bool:
    """Whether calling *method* runs nothing of it yet: its task starts behind the others."""
    code = getattr(method, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)
