"""A session: the handshake, numbering, acknowledging, the window, and the end.

Protocol sections 1 (batches), 6 and 7, without any I/O: bytes of messages come in by
`receive`, what is to be written is taken with `messages`, and when `closing` is set the
shell closes the connection after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

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
    join_attachments,
    parse,
    split_attachments,
    split_batch,
)
from .runtime import Handle, Options, Runtime
from .unjelly import has_tags

__all__ = ["Message", "Session", "cut_reason"]

ACK_FRAMES = 32
ACK_BYTES = 65_536
ACK_SECONDS = 0.25
REASON_BYTES = 123

Message = tuple[bytes, bool]
"""The bytes of a WebSocket message, and whether it is a binary one."""

WITHOUT_CLOSE = (4408, 4409)
"""Codes that end a connection and not the session, so no frame ``close`` goes before them."""

_RECONNECT: Mapping[int, bool | list[float]] = {
    1011: True,
    1012: True,
    1013: [5, 30],
    4408: True,
    4429: [5, 30],
    4440: True,
}


def cut_reason(reason: str) -> str:
    """*reason*, cut between characters to what a WebSocket close can carry."""
    clean = reason.encode("utf-8", "replace")
    return clean[:REASON_BYTES].decode(errors="ignore")


class Session:
    """One side of one session.

    Args:
        runtime: see `runtime.Runtime`.
        options: see `runtime.Options`.
        wake: called when there is something to send, from any thread.
        is_server: whether this side answers the handshake, and publishes ``root``.
        software: what this side calls itself.
        opened: called with the session when the peer's ``version`` has come.
    """

    __slots__ = (
        "__weakref__",
        "_ack_now",
        "_ack_timer",
        "_acked",
        "_beat",
        "_control",
        "_control_since",
        "_first_frame",
        "_greeting",
        "_heard",
        "_heartbeat",
        "_opened",
        "_owed_bytes",
        "_pinged",
        "_stall_timer",
        "_told",
        "_unacked",
        "_unacked_bytes",
        "_uncounted",
        "_wake",
        "broker",
        "closing",
        "ended",
        "is_server",
        "limits",
        "options",
        "received",
        "runtime",
        "sent",
        "software",
    )

    def __init__(
        self,
        runtime: Runtime,
        options: Options,
        wake: Callable[[], None],
        *,
        is_server: bool,
        software: str,
        opened: Callable[[Session], None] | None = None,
    ) -> None:
        self.runtime = runtime
        self.options = options
        self.limits = options.limits
        self.is_server = is_server
        self.software = software
        self.broker = Broker(runtime, options, wake, self.close)
        self.closing: tuple[int, str] | None = None
        self.ended = False
        self.received = 0
        self.sent = 0
        self._wake = wake
        self._opened = opened
        self._greeting: bytes | None = None if is_server else self._version()
        self._heard = 0
        self._uncounted: list[bytes] = []
        # what of the peer's is not acknowledged yet
        self._told = 0  # how many frames it knows that we have
        self._owed_bytes = 0
        self._ack_now = False
        self._ack_timer: Handle | None = None
        # frames of ours that are not acknowledged yet: their last number, size, and themselves
        self._unacked: list[tuple[int, int, list[Frame]]] = []
        self._unacked_bytes = 0
        self._acked = 0
        self._stall_timer: Handle | None = None
        self._control = 0
        self._control_since = 0.0
        self._heartbeat = self.limits.heartbeat
        self._beat: Handle | None = None
        self._pinged = False
        self._first_frame: Handle | None = runtime.call_later(
            self.limits.first_frame, self._no_first_frame
        )
        if not is_server:
            wake()

    # ------------------------------------------------------------- receiving

    def receive(self, data: bytes, binary: bool = False) -> None:
        """Take one WebSocket message. Never raises: what is wrong sets `closing`."""
        if self.closing is not None or self.ended:
            return
        try:
            self._receive(data, binary)
        except ProtocolError as error:
            self.close(error.code, str(error))
        except Exception as error:  # a fault of ours, which ends this session alone
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
        if attachments is not None and frames is message:
            raise ProtocolError("a binary message holds one frame, not a batch")
        received = self._check(frames)
        if attachments and frames[0][0] in WITHOUT_BYTES:
            raise ProtocolError("bytes beside a frame that has no place for them")
        if received != self.received:
            self.received = received
            self._owe(size)
        self._heard += 1
        walk = deep or attachments is not None or has_tags(data)
        broker = self.broker
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
                return

    def _too_long(self, size: int) -> NoReturn:
        limits = self.limits
        if size > limits.message:
            raise ProtocolError(f"message: {size} bytes, {limits.message} are allowed", code=1009)
        raise ProtocolError(
            f"login_message: {size} bytes, {limits.login_message} are allowed before a login",
            code=1009,
        )

    def _check(self, frames: list[Frame]) -> int:
        """Check all envelopes and counts of a message; how many frames were received with it."""
        received = self.received
        if not self._heard and check(frames[0]) not in ("version", "close"):
            raise ProtocolError("the first frame is not a version")
        for frame in frames if self._heard else frames[1:]:
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
            self.end(f"the peer ended it: {frame[1]} {frame[2]}", code=frame[1])
        else:
            self._acknowledge(frame[1])
            if name != "ack":
                self.count_control()
            if name == "ping":
                self._uncounted.append(b"pong")
                self._wake()

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
        if self._first_frame is not None:
            self._first_frame.cancel()
            self._first_frame = None
        if self.is_server:
            try:
                self._open()  # which says whether a login is due
            finally:
                self._greeting = self._version()
                self._wake()
        else:
            login = said.get("login")
            if type(login) is int and login > 0:
                broker.login_came(login)
            heartbeat = said.get("heartbeat")
            if (
                heartbeat is not True
                and isinstance(heartbeat, int | float)
                and 1 <= heartbeat <= 3600
            ):
                self._heartbeat = heartbeat
        self._beat = self.runtime.call_later(self._heartbeat, self._check_heart, self._heard)
        if not self.is_server:
            self._open()

    def _open(self) -> None:
        if self._opened is not None:
            self._opened(self)

    def _version(self) -> bytes:
        said: dict[str, Any] = {"software": self.software}
        if self.is_server:
            said["window"] = 0
            said["resumed"] = False
            said["heartbeat"] = self.limits.heartbeat
            if self.broker.login_due:
                said["login"] = min(self.limits.login_message, self.limits.message)
        said["binary"] = True
        said["limits"] = self.limits.announce()
        return orjson.dumps(["version", VERSION, said])

    def count_control(self) -> None:
        """One more ping or pong, of the WebSocket or of ours; too many are 4429."""
        now = self.runtime.clock()
        if now - self._control_since >= 1:
            self._control_since, self._control = now, 0
        self._control += 1
        if self._control > self.limits.control:
            raise ProtocolError(
                f"control: more than {self.limits.control} pings and pongs in a second", code=4429
            )

    # ---------------------------------------------------------- acknowledging

    def _owe(self, size: int) -> None:
        """Frames of *size* bytes have come, to be acknowledged soon."""
        self._owed_bytes += size
        if self.received - self._told >= ACK_FRAMES or self._owed_bytes >= ACK_BYTES:
            self._ack_now = True
            self._wake()
        elif self._ack_timer is None:
            self._ack_timer = self.runtime.call_later(ACK_SECONDS, self._ack_is_due)

    def _ack_is_due(self) -> None:
        self._ack_timer = None
        if self.received != self._told and not self.ended:
            self._ack_now = True
            self._wake()

    def _acknowledge(self, number: int) -> None:
        """The peer has received *number* frames of ours."""
        if not self._acked <= number <= self.sent:
            raise ProtocolError(
                f"{number} frames are acknowledged, between {self._acked} and {self.sent} can be"
            )
        if number == self._acked:
            return
        self._acked = number
        whole = 0
        for last, size, frames in self._unacked:
            if last > number:
                break
            whole += 1
            self._unacked_bytes -= size
            self.broker.incoming.acknowledged(frames)
        del self._unacked[:whole]
        self.broker.room_frames = self.limits.window_frames - (self.sent - number)
        self.broker.room_bytes = self.limits.window - self._unacked_bytes
        self.broker.let_go()

    def _check_window(self) -> None:
        """A peer that lets the window run out is watched, and closed."""
        limits = self.limits
        frames = self.sent - self._acked
        if frames > 2 * limits.window_frames or self._unacked_bytes > self._most_bytes():
            self.close(4440, "more than twice the window is not acknowledged")
        elif self._stall_timer is None:
            self._stall_timer = self.runtime.call_later(
                limits.stall, self._check_stall, self._acked
            )

    def _most_bytes(self) -> int:
        """Twice the window, which one message of the largest size has to pass."""
        return 2 * max(self.limits.window, self.broker.peer_limits.message)

    def check_outbox(self) -> None:
        """The link takes nothing now. What cannot wait may use twice the window (section 6)."""
        broker = self.broker
        if len(broker.outbox) > 2 * self.limits.window_frames or broker.queued > self._most_bytes():
            self.close(4440, "nothing was read, and too much was asked")

    def _check_stall(self, acked: int) -> None:
        self._stall_timer = None
        if self.ended:
            return
        if self._acked == acked:
            self.close(4440, f"nothing was acknowledged for {self.limits.stall:g} s")
        elif not self.broker.has_window():
            self._check_window()

    # --------------------------------------------------------------- liveness

    def _no_first_frame(self) -> None:
        self._first_frame = None
        self.close(4408, f"no first frame within {self.limits.first_frame:g} s")

    def traffic(self) -> None:
        """Bytes have moved that are no whole message yet: the peer is there (section 6)."""
        if self._heard:
            self._heard += 1

    def _check_heart(self, heard: int) -> None:
        if self.ended or self.closing is not None:
            return
        if self._heard != heard:
            self._pinged = False
            self._beat = self.runtime.call_later(self._heartbeat, self._check_heart, self._heard)
        elif self._pinged:
            self.close(4408, f"no answer to a ping within {self.limits.pong:g} s")
        else:
            self._pinged = True
            self._uncounted.append(b"ping")
            self._wake()
            self._beat = self.runtime.call_later(self.limits.pong, self._check_heart, heard)

    # ---------------------------------------------------------------- sending

    def messages(self) -> list[Message]:
        """What is to be written now: all frames of this turn, as one batch if they fit.

        When `closing` is set these are the last ones, and the session has ended.
        """
        if self.ended:
            return []
        out: list[Message] = []
        closing = self.closing
        if self._heard or not self.is_server or self._greeting is not None:
            frames = self.broker.take_outbox() if closing is None or self._heard else []
            if frames:
                if self.broker.attachments:
                    self._encode_apart(frames, out)
                else:
                    self._encode_batch(frames, out)
                if not self.broker.has_window():
                    self._check_window()
            if self._ack_now or self._uncounted or self._greeting is not None:
                self._add_uncounted(out)
        if closing is not None:
            if closing[0] not in WITHOUT_CLOSE:
                self._say_close(out, *closing)
            self._end(f"closed here: {closing[0]} {closing[1]}", closing[0])
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
                data = join_attachments(orjson.dumps(frame), beside)
                self._keep([frame], len(data))
                out.append((data, True))
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
        self._keep(frames, len(data))
        if out and not out[-1][1] and out[-1][0].startswith(b'["version"'):
            out[-1] = (_joined(out[-1][0], 1, data, number), False)
        else:
            out.append((data, False))

    def _keep(self, frames: list[Frame], size: int) -> None:
        """What was sent is kept until it is acknowledged, and leaves less room."""
        broker, number = self.broker, len(frames)
        self.sent += number
        self._unacked_bytes += size
        self._unacked.append((self.sent, size, frames))
        broker.room_frames -= number
        broker.room_bytes -= size

    def _flush_greeting(self, out: list[Message]) -> None:
        if self._greeting is not None:
            out.append((self._greeting, False))
            self._greeting = None

    def _add_uncounted(self, out: list[Message]) -> None:
        """Put the version, ping, pong and ack in, at the end of a batch that goes out anyway."""
        self._flush_greeting(out)
        names, self._uncounted = self._uncounted, []
        if self._ack_now and not names:
            names = [b"ack"]
        for name in names:
            self._append(out, b'["%b",%d,%d]' % (name, self.received, self.sent))
        if names:
            self._ack_now = False
            self._told, self._owed_bytes = self.received, 0

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
        frame = ["close", code, reason, _RECONNECT.get(code, False)]
        self._append(out, orjson.dumps(frame))

    # ---------------------------------------------------------------- the end

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session: what stands in the outbox goes out, then ``close`` (section 7)."""
        if self.closing is None and not self.ended:
            self.closing = (code, cut_reason(reason))
            self._wake()

    def end(self, why: str, code: int = 1006) -> None:
        """The connection is gone, or the peer said ``close``: nothing can be sent any more."""
        if not self.ended:
            self.closing = self.closing or (code, "")
            self._end(why, code)
            self._wake()

    def _end(self, why: str, code: int) -> None:
        self.ended = True
        for timer in (self._ack_timer, self._stall_timer, self._first_frame, self._beat):
            if timer is not None:
                timer.cancel()
        self._ack_timer = self._stall_timer = self._first_frame = self._beat = None
        unsure = [frame for _, _, frames in self._unacked for frame in frames]
        self._unacked.clear()
        error = PBConnectionLost(f"the session is gone: {why}")
        if code == 4400:
            error.__cause__ = ProtocolError(why)
        self.broker.lost(error, unsure)


def _joined(first: bytes, first_frames: int, second: bytes, second_frames: int) -> bytes:
    """Two messages, each a frame or a batch of more than one, as one batch."""
    return b"[%b,%b]" % (
        first if first_frames == 1 else first[1:-1],
        second if second_frames == 1 else second[1:-1],
    )
