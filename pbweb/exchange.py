"""What goes over one connection: the handshake, batches, counts, the bounds, the close.

Protocol sections 1 (batches), 6 and 7, without any I/O: bytes of messages come in by
`receive`, what is to be written is taken with `messages`, and when `closing` is set the
shell closes the connection after that. `session.Session` is what outlives a connection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import orjson

from .broker import Broker
from .errors import PBConnectionLost, ProtocolError
from .frames import (
    COUNTS,
    UNCOUNTED,
    VERSION,
    WITHOUT_BYTES,
    Frame,
    check,
    check_attachments,
    join_attachments,
    parse,
    split_attachments,
    split_batch,
)
from .liveness import Liveness
from .resuming import Message
from .runtime import Options, Runtime
from .shared import SharedFrame, SharedMessage
from .unjelly import has_tags
from .window import Receipts, Window

if TYPE_CHECKING:
    from .session import Session

__all__ = ["RECONNECT", "WITHOUT_CLOSE", "Ending", "Exchange", "cut_reason"]

REASON_BYTES = 123

WITHOUT_CLOSE = (4408, 4409)
"""Codes that end a connection and not the session, so no frame ``close`` goes before them."""

RECONNECT: Mapping[int, bool | list[float]] = {
    1011: True,
    1012: True,
    1013: [5, 30],
    4408: True,
    4429: [5, 30],
    4440: True,
}
"""By the code of an end: whether a client is to connect again, or in which range of seconds."""


def cut_reason(reason: str) -> str:
    """*reason*, cut between characters to what a WebSocket close can carry."""
    clean = reason.encode("utf-8", "replace")
    return clean[:REASON_BYTES].decode(errors="ignore")


class Ending(NamedTuple):
    """Why a session has ended."""

    code: int
    """As in section 7; 1006 where nobody said one."""
    reason: str


class Exchange(ABC):
    """One side of what is said on a connection.

    Args:
        runtime: see `runtime.Runtime`.
        options: see `runtime.Options`.
        wake: called when there is something to send, from any thread.
        is_server: whether this side answers the handshake, and publishes ``root``.
        software: what this side calls itself.
    """

    __slots__ = (
        "_back",
        "_first",
        "_greeting",
        "_left_out",
        "_wake",
        "broker",
        "closing",
        "come_back",
        "ended",
        "ending",
        "is_server",
        "limits",
        "liveness",
        "options",
        "receipts",
        "runtime",
        "software",
        "successor",
        "window",
    )

    def __init__(
        self,
        runtime: Runtime,
        options: Options,
        wake: Callable[[], None],
        *,
        is_server: bool,
        software: str,
    ) -> None:
        self.runtime = runtime
        self.options = options
        self.limits = limits = options.limits
        self.is_server = is_server
        self.software = software
        self.broker = broker = Broker(runtime, options, wake, self.close)
        self.closing: tuple[int, str] | None = None
        self.ended = False
        self.ending: Ending | None = None
        """Why it has ended, if it has."""
        self.come_back: bool | list[float] = True
        """Whether a client is to connect again when the session has ended, or in which time."""
        self.successor: Session | None = None
        """The session that goes on with the connection of this one."""
        self._back: list[float] | None = None  # in which seconds the peer is to connect again
        self._left_out = False  # frames have come that are not handled, since this side closes
        self._wake = wake
        self.receipts = Receipts(runtime, wake)
        self.window = Window(runtime, limits, broker, self.close, self.overflow)
        if is_server:
            broker.answering.receipts = self.receipts
        else:
            self.window.hears = self.receipts
        self.liveness = Liveness(
            runtime,
            limits,
            wake,
            self.close,
            self._is_closing,
            None if is_server else self._is_waiting,
        )
        self._greeting: bytes | None = None if is_server else self._version()
        self._first = True  # nothing has come on this connection
        self.liveness.expect()
        if not is_server:
            wake()

    @property
    def received(self) -> int:
        """How many frames of the peer's have come (section 6)."""
        return self.receipts.received

    @property
    def sent(self) -> int:
        """How many frames were numbered for the peer (section 6)."""
        return self.window.sent

    # ------------------------------------------------------------- receiving

    def receive(self, data: bytes, binary: bool = False) -> None:
        """Take one WebSocket message. Never raises: what is wrong sets `closing`."""
        if self.closing is not None or self.ended:
            if self.successor is not None:
                self.successor.receive(data, binary)
            return
        try:
            self._receive(data, binary)
        except ProtocolError as error:
            self._left_out = True
            self.close(error.code, str(error))
        except Exception as error:  # a fault of ours, which ends this session alone
            self._left_out = True
            self.runtime.report("a fault in the broker", error)
            self.close(1011, "a fault in the broker")

    def _receive(self, data: bytes, binary: bool) -> None:
        attachments = None
        size, limits = len(data), self.limits
        if size > limits.message or (self.broker.login_due and size > limits.login_message):
            self._too_long(size)
        if binary:
            data, attachments = split_attachments(data)
        message, deep = parse(data, limits.depth)
        frames = split_batch(message, limits.batch)
        if self._first and self._begin(frames, data):
            return
        received = self._check(frames)
        if attachments is not None or b'"at"' in data:
            _check_bytes(frames, attachments, is_batch=frames is message)
        broker, receipts = self.broker, self.receipts
        if received != receipts.received:
            frames = receipts.came(received, size, frames, broker.incoming.starting)
        self.liveness.heard += 1
        walk = deep or attachments is not None or has_tags(data)
        call, answer = broker.incoming.message, broker.outgoing.answered
        for frame in frames:
            name = frame[0]
            if name == "message":
                call(frame, walk, attachments)
            elif name == "answer":
                answer(frame, walk, attachments)
            elif name == "cachemessage":
                broker.incoming.update(frame, walk, attachments)
            elif name in UNCOUNTED:
                self._handle_uncounted(frame)
            else:
                broker.handle(frame)
            if self.closing is not None and self.closing[0] != 4410:
                self._left_out = True
                return

    def _too_long(self, size: int) -> NoReturn:
        limits = self.limits
        if size > limits.message:
            raise ProtocolError(f"message: {size} bytes, {limits.message} are allowed", code=1009)
        raise ProtocolError(
            f"login_message: {size} bytes, {limits.login_message} are allowed before a login",
            code=1009,
        )

    def _begin(self, frames: list[Frame], data: bytes) -> bool:
        """Look at the first message of a connection; True if nothing else is to be done with it."""
        self._first = False
        if check(frames[0]) not in ("version", "close"):
            raise ProtocolError("the first frame is not a version")
        return False

    def _check(self, frames: list[Frame]) -> int:
        """Check all envelopes and counts of a message; how many frames were received with it."""
        received = self.receipts.received
        for frame in frames if self.liveness.heard else frames[1:]:
            name = check(frame)
            if name not in UNCOUNTED:
                received += 1
            elif name == "version":
                raise ProtocolError("a second version")
            elif name in COUNTS and frame[2] != received:
                raise ProtocolError(
                    f"{name}: the peer has sent {frame[2]} frames, {received} were received"
                )
        return received

    def _handle_uncounted(self, frame: Frame) -> None:
        name = frame[0]
        if name == "version":
            self._handle_version(frame)
        elif name == "close":
            self.come_back = frame[3]
            received = frame[4] if len(frame) > 4 else None
            if received is not None and not self.window.acked <= received <= self.window.written:
                raise ProtocolError(f"close: {received} frames of ours cannot have come")
            self.end(f"the peer ended it: {frame[1]} {frame[2]}", frame[1], received)
        else:
            self.window.acknowledge(frame[1], frame[2])
            if name != "ack":
                self.liveness.count_control()
            if name == "ping":
                self.liveness.pinged()

    def _handle_version(self, frame: Frame) -> None:
        if frame[1] != VERSION:
            self._greeting = None
            raise ProtocolError(f"this side speaks version {VERSION} of pb.json", code=4426)
        said = frame[2] if len(frame) > 2 else {}
        broker = self.broker
        announced = said.get("limits")
        if type(announced) is dict:
            broker.peer_limits = self.limits.announced_by(announced)
            broker.exports.limit = min(self.limits.references, broker.peer_limits.references)
        broker.peer_binary = said.get("binary") is True
        self.liveness.greeted()
        if self.is_server:
            try:
                self._open()  # which says whether a login is due
            finally:
                self._greeting = self._version()
                self._wake()
        else:
            self._heed(said)
        self.liveness.begin()
        if not self.is_server:
            self._open()

    @abstractmethod
    def _open(self) -> None:
        """The peer's ``version`` has come."""

    def _heed(self, said: dict[str, Any]) -> None:
        """What a server says of a login and of liveness."""
        login = said.get("login")
        if type(login) is int and login > 0:
            calls = said.get("login_calls")
            if type(calls) is not int or calls < 1:
                calls = self.limits.calls
            self.broker.login_came(login, calls)
        heartbeat = seconds(said, "heartbeat")
        if 1 <= heartbeat <= 3600:
            self.liveness.heartbeat = heartbeat

    def _version(self, resumes: Mapping[str, Any] | None = None) -> bytes:
        """The greeting; *resumes* is what it says of a session that goes on."""
        said: dict[str, Any] = {"software": self.software, **self._said_of_session(resumes)}
        if self.is_server:
            said["heartbeat"] = self.limits.heartbeat
            if self.broker.login_due:
                said["login"] = min(self.limits.login_message, self.limits.message)
                said["login_calls"] = min(self.limits.login_calls, self.limits.calls)
        said["binary"] = True
        said["limits"] = self.limits.announce()
        return orjson.dumps(["version", VERSION, said])

    @abstractmethod
    def _said_of_session(self, resumes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """What the greeting says of the session."""

    # ---------------------------------------------------------------- sending

    def messages(self) -> list[Message]:
        """What is to be written now: all frames of this turn, as one batch if they fit.

        When `closing` is set these are the last ones, and the session has ended.
        """
        if not self.window.flowing:
            return self._messages_again()
        out: list[Message] = []
        closing = self.closing
        if self.liveness.heard or not self.is_server or self._greeting is not None:
            frames = self.broker.take_outbox() if closing is None or self.liveness.heard else []
            if frames:
                if self.broker.attachments:
                    self._encode_apart(frames, out)
                else:
                    self._encode_batch(frames, out)
                if not self.broker.has_window():
                    self.window.check()
            if self.receipts.is_due or self.liveness.owed or self._greeting is not None:
                self._add_uncounted(out)
        if closing is not None:
            self._part(out, *closing)
        return out

    def _encode_apart(self, frames: list[Frame], out: list[Message]) -> None:
        """Frames with bytes beside them are messages of their own, the others batches between."""
        attachments = self.broker.attachments
        start = 0
        for at, frame in enumerate(frames):
            beside = attachments.pop(id(frame), None)
            if beside is not None:
                if start < at:
                    self._encode_batch(frames[start:at], out)
                self._flush_greeting(out)
                message = (join_attachments(orjson.dumps(frame), beside), True)
                self.window.keep([frame], message)
                out.append(message)
                start = at + 1
        if start < len(frames):
            self._encode_batch(frames[start:], out)

    def _encode_batch(self, frames: list[Frame], out: list[Message]) -> None:
        number = len(frames)
        limits = self.broker.peer_limits
        if number == 1:
            data = orjson.dumps(frames[0])
        elif number + 2 > limits.batch or len(data := orjson.dumps(frames)) > limits.message:
            self._encode_batch(frames[: number // 2], out)
            self._encode_batch(frames[number // 2 :], out)
            return
        if self._greeting is not None:
            self._flush_greeting(out)
        message = (data, False)
        self.window.keep(frames, message)
        if out and not out[-1][1] and out[-1][0].startswith(b'["version"'):
            out[-1] = (_joined(out[-1][0], 1, data, number), False)
        else:
            out.append(message)

    def share(self, frame: SharedFrame) -> SharedMessage | None:
        """Number and keep *frame* alone, which others send too: what is to be written.

        None when it cannot be sent now. Nothing may be to be sent before it.
        """
        window = self.window
        if not (window.flowing and self.liveness.heard) or self.closing is not None:
            return None
        window.keep_shared(frame.size, frame.message[0])
        return frame.message

    def _flush_greeting(self, out: list[Message]) -> None:
        if self._greeting is not None:
            out.append((self._greeting, False))
            self._greeting = None

    def _add_uncounted(self, out: list[Message]) -> None:
        """Put the version, ping, pong and ack in, at the end of a batch that goes out anyway."""
        self._flush_greeting(out)
        receipts = self.receipts
        names, self.liveness.owed = self.liveness.owed, []
        if receipts.is_due and not names:
            names = [b"ack"]
        if names:
            handled = self._acknowledged()
            for name in names:
                self._append(out, b'["%b",%d,%d]' % (name, handled, self.window.written))
            receipts.told()

    def _acknowledged(self) -> int:
        """How many frames to acknowledge: with the peer they count as executed.

        So those of calls that have not got control wait, if only for a turn of the loop: this
        process may be killed.
        """
        incoming, receipts = self.broker.incoming, self.receipts
        handled = incoming.handled(receipts.received)
        if not incoming.starting:
            receipts.started = handled
        elif handled > receipts.started:
            handled = receipts.started
            self.runtime.soon(receipts.more)
        return handled

    def _append(self, out: list[Message], frame: bytes) -> None:
        """Add *frame* to the last text message, if there is one and the peer takes as much."""
        room = self.broker.peer_limits.message - len(frame) - 3
        if out and not out[-1][1] and len(out[-1][0]) <= room:
            last = out[-1][0]
            out[-1] = (_joined(last, 2 if last.startswith(b"[[") else 1, frame, 1), False)
        else:
            out.append((frame, False))

    def _say_close(self, out: list[Message], code: int, reason: str) -> None:
        self._flush_greeting(out)
        frame = ["close", code, reason, self._back or RECONNECT.get(code, False)]
        is_at_rest = not (self.broker.incoming.unstarted() or self.receipts.repeats)
        if is_at_rest and not self._left_out:
            frame.append(self.received)  # all of them were handled, and no more will be
        self._append(out, orjson.dumps(frame))

    @abstractmethod
    def _messages_again(self) -> list[Message]:
        """As `messages`, when they are not those of this turn alone; none after the end."""

    def check_outbox(self) -> None:
        """The link takes nothing now: too much must not wait for it."""
        self.window.check_queued(len(self.broker.outbox), self.broker.queued)

    # ---------------------------------------------------------------- the end

    def close(self, code: int = 1000, reason: str = "", back: list[float] | None = None) -> None:
        """End the session: what stands in the outbox goes out, then ``close`` (section 7).

        Args:
            back: the range of seconds in which the peer is to connect again, if not the code's.
        """
        if self.closing is None and not self.ended:
            self.closing = (code, cut_reason(reason))
            self._back = back
            self._wake()

    def overflow(self) -> None:
        """There is no connection, and no room for what cannot wait (section 6)."""
        self.end("more was to be sent than is kept for a peer that is away", 4440)

    def _is_closing(self) -> bool:
        return self.ended or self.closing is not None

    def _is_waiting(self) -> bool:
        return self.broker.outgoing.count() > 0

    def _part(self, out: list[Message], code: int, reason: str) -> None:
        """This side closes."""
        self.come_back = RECONNECT.get(code, False)
        if code not in WITHOUT_CLOSE:
            self._say_close(out, code, reason)
        self._end(f"closed here: {code} {reason}", code)

    def end(self, why: str, code: int = 1006, received: int | None = None) -> None:
        """The session is over: nothing can be sent any more.

        Args:
            received: how many frames the peer says that it had, all of which it has handled.
        """
        if not self.ended:
            self.closing = self.closing or (code, "")
            self._end(why, code, received)
            self._wake()

    def _end(self, why: str, code: int, received: int | None = None) -> None:
        """All is over.

        Args:
            received: how many frames the peer says that it had.
        """
        self.ended, self.ending = True, Ending(code, why)
        self._stop_timers()
        not_handled, unsure = self.window.end(received)
        error = PBConnectionLost(f"the session is gone: {why}")
        if code == 4400:
            error.__cause__ = ProtocolError(why)
        self.broker.lost(error, unsure, not_handled)

    def _stop_timers(self) -> None:
        self.receipts.stop()
        self.window.stop()
        self.liveness.stop()


def _check_bytes(frames: list[Frame], attachments: Sequence[Any] | None, *, is_batch: bool) -> None:
    """Whether a binary message is one as section 8 has it; beside a text stand no bytes."""
    if attachments is None:
        for frame in frames:
            check_attachments(frame, 0)
        return
    if is_batch:
        raise ProtocolError("a binary message holds one frame, not a batch")
    if attachments and frames[0][0] in WITHOUT_BYTES:
        raise ProtocolError("bytes beside a frame that has no place for them")
    check_attachments(frames[0], len(attachments))


def seconds(said: Mapping[str, Any], name: str) -> float:
    """The number of seconds that a peer *said* under *name*, or 0."""
    value = said.get(name)
    return value if isinstance(value, int | float) and value is not True else 0.0


def _joined(first: bytes, first_frames: int, second: bytes, second_frames: int) -> bytes:
    """Two messages, each a frame or a batch of more than one, as one batch."""
    return b"[%b,%b]" % (
        first if first_frames == 1 else first[1:-1],
        second if second_frames == 1 else second[1:-1],
    )
