"""How calls of the peer's end: answered, failed, stopped, forgotten.

Protocol section 1. Here is the table of the calls that are in progress, and that of the answers
that later calls may name. An answer that has no room waits, and is weighed by `backlog`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .backlog import Backlog, weight_of
from .calls import Call, Failed, Seen
from .errors import CancelledError, LimitExceeded, NoSuchMethod, PBConnectionLost
from .failures import failure_for, is_expected
from .flavors import Dispatcher, Ended, Referenceable, is_copyable
from .frames import Frame
from .jelly import SHORT, Jellier, Tagged, goes_as_it_is
from .methods import hint_for
from .references import dead_reference
from .streams import Items

if TYPE_CHECKING:
    from .broker import Broker

__all__ = ["Answering", "Draining"]

MAX_REFUSED_CALLS = 1000  # in REFUSED_SECONDS
REFUSED_SECONDS = 10.0
MAX_HINTS = 16  # looking for what a peer may have meant takes time
MOST_OF_A_STATE = 1_048_576  # bytes of an error's state that are weighed


class Draining(PBConnectionLost):
    """This side stops, and takes no more calls: its failure says for certain that none was made."""

    pbType = PBConnectionLost.pbType
    pbParents = PBConnectionLost.pbParents

    def __init__(self) -> None:
        super().__init__("this side is going away (not_executed)", outcome="not_executed")


class Counted(Protocol):
    """Counts the peer's frames (`window.Receipts` is the one)."""

    @property
    def before(self) -> int:
        """How many had come before the message that is being handled."""

    def more(self) -> None:
        """More may be acknowledged than before."""


class Answering:
    """The calls of the peer's on one session that have not ended, and the answers to others."""

    __slots__ = (
        "_broker",
        "_hints",
        "_only",
        "_refused",
        "_refused_since",
        "backlog",
        "calls",
        "most",
        "named",
        "receipts",
    )

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.calls: dict[int, Call] = {}
        """Those in progress, by their request; the keys of those without answer are negative."""
        self.most = broker.limits.calls
        """How many may be in progress."""
        self.named: dict[int, Any] = {}
        """The answers that the peer may still name, by their request."""
        self.backlog: Backlog[Call] | None = None
        """What waits for a peer that reads slowly; None: nothing does."""
        self.receipts: Counted | None = None
        """What counts the peer's frames; None: it is not ours to hold calls back."""
        self._only = 0
        self._hints = 0  # names of methods that were looked for on behalf of the log
        self._refused = 0
        self._refused_since = 0.0

    # ------------------------------------------------- in progress, or refused

    def new_call(self, request: int, name: str) -> Call:
        """A call is in progress from now on; *request* is 0 for one without answer."""
        key = request
        if not request:
            self._only -= 1
            key = self._only
        call = self.calls[key] = Call(request, key, name)
        return call

    def too_many(self, why: str | None = None) -> LimitExceeded:
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
            why = f"{self.most} are in progress, more are not allowed{before}"
        return LimitExceeded(f"calls: {why}; wait for answers before calling again")

    # -------------------------------------------------------- its one answer

    def answer(
        self,
        request: int,
        name: str,
        value: Any,
        call: Call | None = None,
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
            self.named[request] = value
            return
        if call.perspective is not None:
            value = Failed(dead_reference()) if call.revoked else Seen(value, call.perspective)
        self.named[request] = value
        self._end(call, value)

    def _hold(self, request: int, name: str, value: Any, call: Call | None) -> None:
        """The answer waits for room; its call stays in progress."""
        if call is None and len(self.calls) >= self._broker.limits.calls:
            self.fail(request, name, self.too_many())  # an update, which was not refused
            return
        call = call or self.new_call(request, name)
        broker = self._broker
        weight = weight_of(value, broker.peer_limits.message)
        # items of a stream stay with it, and their number is bounded
        if (
            self.backlog is not None
            and type(value) is not Items
            and not self.backlog.has_room(weight)
        ):
            self.fail(request, name, _no_room(broker.limits.answers), call, log=False)
            return
        call.answering = True
        self._weigh_answer(call, weight)
        if broker.away:
            broker.close(4440, "an answer has no room while there is no connection")
        broker.when_room(partial(self.answer, request, name, value, call, True))

    def _end_unanswered(self, value: Any, call: Call | None) -> None:
        """Nobody wants to know what *call* returned."""
        if call is not None:
            self._end(call, value)
            if isinstance(value, Dispatcher):
                value.handedBack()

    def _send_answer(self, request: int, name: str, value: Any, call: Call | None) -> bool:
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
            self.fail(request, name, error, call, log=False)
            self._broker.count_fault(error)
            if isinstance(value, Dispatcher):
                value.handedBack()
            return False
        return True

    def fail(
        self,
        request: int,
        name: str,
        error: BaseException,
        call: Call | None = None,
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
            if type(error) is Draining:
                failure["outcome"] = error.outcome
        elif not request and is_expected(error) and not isinstance(error, CancelledError):
            runtime.report(f"the call of {name!r} without answer failed: {error}")
        error.__traceback__ = None  # its frames hold the arguments, and what was decoded of them
        with_state = message is None and is_copyable(type(error))
        if failure and broker.line is not None and len(self.calls) < broker.limits.calls:
            call = call or self.new_call(request, name)
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
        call: Call | None,
    ) -> None:
        """Send the *failure* for *error*, if the caller wants one; *call* is over."""
        if call is not None and call.ended:
            return
        if failure is not None and not self._broker.disconnected:
            self.named[request] = Failed(error)
            if with_state:
                perspective = None if call is None else call.perspective
                self._send_with_state(request, name, failure, error, perspective)
            else:
                self._broker.queued += len(failure["message"])
                self._broker.send(["error", request, failure])
        if call is not None:
            self._end(call, Failed(error))

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

    def fail_cancelled(self, call: Call) -> None:
        """The call ends with what it was stopped for."""
        self.fail(call.request, call.name, self._broker.runtime.cancelled(), call)

    def _end(self, call: Call, answer: Any) -> None:
        call.ended = True
        if call.timer is not None:
            call.timer.cancel()
        if call.weight:
            self.lighten(call)
        self.calls.pop(call.key, None)
        dependents, call.dependents, call.start, call.context = call.dependents, None, None, None
        for there in dependents or ():
            there(answer)

    # -------------------------------------- what waits for a slow reader

    def _weigh_answer(self, call: Call, weight: int) -> None:
        """The answer to *call* waits for room, and weighs so much."""
        self.lighten(call)
        if self.backlog is None:
            self.backlog = Backlog(self._broker.limits)
        call.weight = weight
        self.backlog.answers += weight

    def lighten(self, call: Call) -> None:
        """*call* is held no longer, or its answer waits no longer."""
        backlog, weight, call.weight = self.backlog, call.weight, 0
        if backlog is None:
            return
        if call.before is None:
            backlog.answers -= weight
        else:
            call.before = None
            backlog.held_bytes -= weight
            assert self.receipts is not None
            self.receipts.more()
        if backlog.is_over():
            self.backlog = None

    # -------------------------------------------------- stopped, forgotten

    def acknowledged(self, frames: Iterable[Frame]) -> None:
        """The peer has *frames*: it will name the answers in them no more."""
        named = self.named
        for frame in frames:
            if frame[0] in ("answer", "error"):
                named.pop(frame[1], None)

    def revoke(self, perspective: Any, stop: str | None = None) -> None:
        """The login of the avatar *perspective* has ended: it is handed nothing any more.

        Args:
            stop: why its calls are to be stopped; None: they go on.
        """
        for call in list(self.calls.values()):
            if call.perspective is perspective:
                call.revoked = True
                if stop is not None:
                    self.stop(call, stop)
        for request, answer in self.named.items():
            if type(answer) is Seen and answer.perspective is perspective:
                self.named[request] = Failed(dead_reference())

    def stop(self, call: Call, why: str) -> None:
        """Stop the work; a task that runs still answers, with what it ends with."""
        if call.answering or call.ended:
            return
        call.stop = call.stop or why
        if call.start is not None:  # it waits for answers
            self.fail_cancelled(call)
        elif call.started and call.task is not None:
            call.task.cancel()

    def lost(self) -> None:
        """The session is gone: what runs is cancelled, what waits is forgotten."""
        calls, self.calls = self.calls, {}
        self.backlog = None
        self.named.clear()
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
