"""A session: the handshake, numbering, acknowledging, resuming, the window, and the end.

Protocol sections 1 (batches), 6 and 7, without any I/O: bytes of messages come in by
`receive`, what is to be written is taken with `messages`, and when `closing` is set the
shell closes the connection after that.

A session outlives its connections. The shell says with `detach` that one is gone; a client
goes on with `reconnect` when it has another, a server with `take_over`. What ties both
together is at the end of `resuming.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Literal, NoReturn, Protocol

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
from .resuming import (
    REPLAY_SLICE,
    UNANSWERED,
    Asked,
    Kept,
    Message,
    Refusal,
    asked_by,
    counts,
    is_name,
    outline,
    replay,
    split_known,
)
from .runtime import Handle, Options, Runtime
from .shared import SharedFrame, SharedMessage
from .unjelly import has_tags

__all__ = ["Door", "Message", "Session", "State", "cut_reason"]

ACK_FRAMES = 32
ACK_BYTES = 65_536
ACK_SECONDS = 0.25
REASON_BYTES = 123

LONGEST_WINDOW = 3600.0  # seconds that a server may announce

WITHOUT_CLOSE = (4408, 4409)
"""Codes that end a connection and not the session, so no frame ``close`` goes before them."""

ENDING = frozenset(
    {1003, 1007, 1009, 1012, 1013} | {4400, 4401, 4403, 4409, 4410, 4413, 4426, 4429, 4440}
)
"""Codes of a WebSocket's close that end the session too (protocol section 7)."""

State = Literal["new", "live", "detached", "ended"]

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


class Door(Protocol):
    """Where a server's sessions are found again (`parking.Parking` is the one)."""

    def admit(self, session: Session) -> tuple[str, str, float] | None:
        """The id, the secret and the window, in seconds, of a new session, if it has one."""

    def resume(self, session: Session, asked: Asked) -> Session | Refusal:
        """The session that the peer of the new *session* has *asked* for, taken over by it.

        Raises:
            ProtocolError: the counts cannot be.
        """

    def detached(self, session: Session) -> None:
        """*session* has no connection."""

    def grown(self, session: Session) -> None:
        """*session*, which has no connection, keeps more than before."""

    def greeted(self, session: Session) -> None:
        """Something came on the connection that took *session* over."""

    def ended(self, session: Session) -> None:
        """*session* is over: see `Session.why`."""


class Session:
    """One side of one session.

    Args:
        runtime: see `runtime.Runtime`.
        options: see `runtime.Options`.
        wake: called when there is something to send, from any thread.
        is_server: whether this side answers the handshake, and publishes ``root``.
        software: what this side calls itself.
        opened: called with the session when the peer's ``version`` has come.
        door: where a server's sessions are found again; None: they end with their connection.
        refused: called with the options of the server's ``version`` when a client's session
            cannot be resumed: it has ended; what it returns is the session that goes on.
        changed: called with the new `state`: "detached", "live" once it is resumed, or "ended".
    """

    __slots__ = (
        "__weakref__",
        "_ack_now",
        "_ack_timer",
        "_acked",
        "_away_timer",
        "_beat",
        "_changed",
        "_control",
        "_control_since",
        "_door",
        "_first",
        "_first_frame",
        "_forget",
        "_forget_at",
        "_forget_bytes",
        "_greeting",
        "_heard",
        "_heartbeat",
        "_opened",
        "_owed_bytes",
        "_pinged",
        "_reached",
        "_refused",
        "_replayed",
        "_secret",
        "_stall_timer",
        "_taken_over",
        "_told",
        "_unacked",
        "_unacked_bytes",
        "_uncounted",
        "_wake",
        "broker",
        "closing",
        "come_back",
        "detached",
        "ended",
        "flowing",
        "id",
        "is_server",
        "limits",
        "options",
        "parted",
        "received",
        "refusal",
        "runtime",
        "sent",
        "software",
        "successor",
        "why",
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
        opened: Callable[[Session], None] | None = None,
        door: Door | None = None,
        refused: Callable[[Session, dict[str, Any]], Session | None] | None = None,
        changed: Callable[[State], None] | None = None,
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
        self._door = door
        self._refused = refused
        self._changed = changed
        self._init_resuming()
        self._greeting: bytes | None = None if is_server else self._version()
        self._heard = 0
        self._first = True  # nothing has come on this connection
        self._uncounted: list[bytes] = []
        # what of the peer's is not acknowledged yet
        self._told = 0  # how many frames it knows that we have
        self._owed_bytes = 0
        self._ack_now = False
        self._ack_timer: Handle | None = None
        # frames of ours that are not acknowledged yet
        self._unacked: list[Kept] = []
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

    def _init_resuming(self) -> None:
        self.detached = False
        """Whether there is no connection, or none on which the session is resumed yet."""
        self.parted: tuple[int, str] | None = None
        """The code and reason to close a connection with that this side has given up."""
        self.why: Literal["expired", "ended", "overflow", "gap"] = "ended"
        self.window: float = 0
        """Seconds that the session outlives a connection; 0: it ends with it."""
        self.id = ""
        self.refusal: Refusal | None = None  # of the session that the client asked for
        self.successor: Session | None = None
        """The session that goes on with the connection of this one."""
        self._secret = ""  # a client's
        self._away_timer: Handle | None = None
        self.flowing = True
        """Neither ended nor detached, and nothing has to be sent again."""
        self.come_back: bool | list[float] = True
        """Whether a client is to connect again when the session has ended, or in which time."""
        self._replayed = 0  # the last frame that was written on this connection, if not flowing
        self._reached = 0  # the last frame that was written on any connection before it
        self._taken_over = False  # nothing has come yet since `take_over`
        # answers that the peer has, but calls of before may name: until its count is here
        self._forget: list[Sequence[Frame]] = []
        self._forget_bytes = 0
        self._forget_at = 0

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
        if self._first and self._begin(frames, data):
            return
        received = self._check(frames)
        if attachments is not None:
            _check_binary(frames, attachments, is_batch=frames is message)
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

    def _begin(self, frames: list[Frame], data: bytes) -> bool:
        """Look at the first message of a connection; True if nothing else is to be done with it."""
        self._first = False
        if self._taken_over:
            self._taken_over = False
            if self._door is not None:
                self._door.greeted(self)
            return False
        frame = frames[0]
        name = check(frame)
        if name not in ("version", "close"):
            raise ProtocolError("the first frame is not a version")
        said = frame[2] if name == "version" and len(frame) > 2 else {}
        if frame[1] != VERSION:
            return False
        if self.is_server and "resume" in said:
            if len(frames) > 1:
                raise ProtocolError("a client that resumes waits for the version of the server")
            self.successor = self._find(asked_by(said["resume"]))
            if self.successor is not None:
                self._end(f"the session {self.successor.id} goes on", 4409)
        elif name == "version" and self.detached:
            if said.get("resumed") is not True:
                self._end_refused(said)
                self.successor = self._refused(self, said) if self._refused is not None else None
                if self.successor is not None:
                    self.successor.receive(data)
                return True
            self._check(frames)
            self._go_on(said)
            del frames[0]
            self._heard = 1
            return not frames
        return self.successor is not None

    def _check(self, frames: list[Frame]) -> int:
        """Check all envelopes and counts of a message; how many frames were received with it."""
        received = self.received
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
            self.come_back = frame[3]
            self.end(f"the peer ended it: {frame[1]} {frame[2]}", code=frame[1])
        else:
            self._acknowledge(frame[1], frame[2])
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
            self._heed(said)
        self._beat = self.runtime.call_later(self._heartbeat, self._check_heart, self._heard)
        if not self.is_server:
            self._open()

    def _open(self) -> None:
        if self._opened is not None:
            self._opened(self)

    def _heed(self, said: dict[str, Any]) -> None:
        """What a server says of a login, of liveness and of resuming."""
        login = said.get("login")
        if type(login) is int and login > 0:
            self.broker.login_came(login)
        heartbeat, window = _seconds(said, "heartbeat"), _seconds(said, "window")
        if 1 <= heartbeat <= 3600:
            self._heartbeat = heartbeat
        named = is_name(said.get("session")) and is_name(said.get("secret"))
        if named and window > 0 and self._refused is not None:
            self.window = min(window, LONGEST_WINDOW)
            self.id, self._secret = said["session"], said["secret"]

    def _version(self, resumes: Mapping[str, Any] | None = None) -> bytes:
        said: dict[str, Any] = {"software": self.software}
        if self.is_server:
            said |= resumes or self._new_session()
            said["window"] = self.window
            if self.id:
                said["session"] = self.id
            said["heartbeat"] = self.limits.heartbeat
            if self.broker.login_due:
                said["login"] = min(self.limits.login_message, self.limits.message)
        else:
            said |= resumes or {}
        said["binary"] = True
        said["limits"] = self.limits.announce()
        return orjson.dumps(["version", VERSION, said])

    def _new_session(self) -> dict[str, Any]:
        """What a server says of a session that begins, in the place of another or not."""
        said: dict[str, Any] = {"resumed": False}
        if self.refusal is not None:
            said["why"] = self.refusal.why
            if self.refusal.received is not None:
                said["received"] = self.refusal.received
        admitted = None if self._door is None else self._door.admit(self)
        if admitted is not None:
            self.id, said["secret"], self.window = admitted
        return said

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

    def _acknowledge(self, number: int, peer_sent: int) -> None:
        """The peer has received *number* frames of ours, and had sent *peer_sent* by then."""
        written = self.sent if self.flowing else self._replayed
        if not self._acked <= number <= written:
            raise ProtocolError(
                f"{number} frames are acknowledged, between {self._acked} and {written} can be"
            )
        if self._forget and peer_sent >= self._forget_at:
            forget, self._forget, self._forget_bytes = self._forget, [], 0
            for frames in forget:
                self.broker.incoming.acknowledged(frames)
        if number != self._acked:
            self._free(number, self.broker.incoming.acknowledged)
            self.broker.let_go()

    def _free(self, number: int, what: Callable[[Sequence[Frame]], None]) -> None:
        """Keep no more what the peer has, up to *number*, and do *what* with its frames."""
        self._acked = number
        whole = freed = 0
        for last, size, frames, _ in self._unacked:
            if last > number:
                break
            whole += 1
            freed += size
            if frames is not UNANSWERED:
                what(frames)
        self._unacked_bytes -= freed
        del self._unacked[:whole]
        self.broker.room_frames = self.limits.window_frames - (self.sent - number)
        self.broker.room_bytes = self.limits.window - self._unacked_bytes

    def _check_window(self) -> None:
        """A peer that lets the window run out is watched, and closed."""
        limits = self.limits
        frames = self.sent - self._acked
        if frames > 2 * limits.window_frames or self._unacked_bytes > self._most_bytes():
            if self.detached:
                self.overflow()
            else:
                self.close(4440, "more than twice the window is not acknowledged")
        elif self._stall_timer is None and not self.detached:
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
        if not self.flowing:
            return self._messages_again()
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
            self._part(out, *closing)
        return out

    def _part(self, out: list[Message], code: int, reason: str) -> None:
        """This side closes: the session ends, or a connection that is dead."""
        self.come_back = _RECONNECT.get(code, False)
        if code not in WITHOUT_CLOSE:
            self._say_close(out, code, reason)
        elif self.window:
            self.parted, self.closing = (code, reason), None
            self.detach(reason, code)
            return
        self._end(f"closed here: {code} {reason}", code)

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
                self._keep([frame], message)
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
        self._keep(frames, message)
        if out and not out[-1][1] and out[-1][0].startswith(b'["version"'):
            out[-1] = (_joined(out[-1][0], 1, data, number), False)
        else:
            out.append(message)

    def share(self, frame: SharedFrame) -> SharedMessage | None:
        """Number and keep *frame* alone, which others send too: what is to be written.

        None when it cannot be sent now. Nothing may be to be sent before it.
        """
        if not (self.flowing and self._heard) or self.closing is not None:
            return None
        broker, size = self.broker, frame.size
        self.sent = sent = self.sent + 1
        self._unacked_bytes += size
        self._unacked.append((sent, size, UNANSWERED, frame.message[0]))
        frames = broker.room_frames = broker.room_frames - 1
        room = broker.room_bytes = broker.room_bytes - size
        if frames <= 0 or room <= 0:
            self._check_window()
        return frame.message

    def _keep(self, frames: list[Frame], message: Message) -> None:
        """What was sent is kept until it is acknowledged, and leaves less room."""
        broker, number, size = self.broker, len(frames), len(message[0])
        self.sent += number
        self._unacked_bytes += size
        self._unacked.append((self.sent, size, frames, message))
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
        written = self.sent if self.flowing else self._replayed
        for name in names:
            self._append(out, b'["%b",%d,%d]' % (name, self.received, written))
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

    # --------------------------------------------------------------- resuming

    @property
    def state(self) -> State:
        """Where in its life the session is (section 6)."""
        if self.ended:
            return "ended"
        if self.detached:
            return "detached"
        return "live" if self._heard else "new"

    @property
    def again(self) -> bool:
        """Whether more is to be sent of what a lost connection did not deliver."""
        return not self.flowing and not self.ended and not self.detached

    @property
    def kept_bytes(self) -> int:
        """How much is kept for the peer."""
        return self._unacked_bytes

    def is_at_rest(self) -> bool:
        """Whether every call that has come has got control, or waits for an answer by name."""
        return not self.broker.incoming.unstarted()

    def detach(self, why: str, code: int = 1006) -> None:
        """The connection is gone; the session stays for its window, if it has one.

        Args:
            code: with which the WebSocket was closed; some end the session (section 7).
        """
        if code in ENDING and code not in _RECONNECT:
            self.come_back = False
        lasts = self.window and not self.broker.login_due
        if self.ended or not lasts or code in ENDING or self.closing is not None:
            self.end(why, code)
            return
        first = not self.detached
        self._lose()
        if not first:  # of a connection on which nothing was resumed
            return
        self._away_timer = self.runtime.call_later(self.window, self._expire)
        self._wake()  # what stands in the outbox is to be numbered
        if self._door is not None:
            self._door.detached(self)
        if self._changed is not None and not self.ended:
            self._changed("detached")

    def _lose(self) -> None:
        """Nothing comes or goes on the connection any more."""
        self._stop_timers()
        self._greeting, self._heard, self._taken_over = None, 1, False
        self._uncounted.clear()
        self._ack_now = self._pinged = False
        if self.detached:
            return
        self._reached = max(self._reached, self.sent if self.flowing else self._replayed)
        self.detached, self.flowing, self._replayed = True, False, 0
        self._unacked = [(*kept[:2], outline(kept[2]), kept[3]) for kept in self._unacked]
        self.broker.away = True

    def reconnect(self) -> None:
        """A client has a connection again: ask the server to go on on it."""
        self._keep_outbox()
        if self.ended:
            return
        self._heard, self._first = 0, True
        asked = {
            "session": self.id,
            "secret": self._secret,
            "received": self.received,
            "sent": self.sent,
        }
        self._greeting = self._version({"resume": asked})
        self._first_frame = self.runtime.call_later(self.limits.first_frame, self._no_first_frame)
        self._wake()

    def follow(self, *, greet: bool = False) -> Session:
        """A new session of this client, whose own has ended.

        Args:
            greet: whether it has to say its version; else that of `reconnect` was it.
        """
        new = Session(
            self.runtime,
            self.options,
            self._wake,
            is_server=False,
            software=self.software,
            opened=self._opened,
            refused=self._refused,
            changed=self._changed,
        )
        if not greet:
            new._greeting = None
        return new

    def take_over(self, asked: Asked, secret: str) -> bool:
        """The client has *asked* on a new connection, to which this session goes over.

        Whatever the old connection still delivers must not come here any more.

        Returns:
            False if something is missing that the client has not got.

        Raises:
            ProtocolError: the counts cannot be; the session has ended.
        """
        self._lose()
        self._keep_outbox()
        if self.ended:
            return False
        try:
            if not self._resume(asked.received, asked.sent):
                return False
        except ProtocolError as error:
            self.end(str(error), error.code)
            raise
        self._taken_over = self._first = True
        self._greeting = self._version(
            {
                "secret": secret,
                "resumed": True,
                "received": self.received,
                "sent": self.sent,
            }
        )
        self._wake()
        return True

    def _find(self, asked: Asked) -> Session | None:
        found = Refusal("unknown") if self._door is None else self._door.resume(self, asked)
        if isinstance(found, Session):
            return found
        self.refusal = found
        return None

    def _go_on(self, said: dict[str, Any]) -> None:
        """The server has resumed this client's session."""
        received, sent = counts(said)
        if received is None or sent is None or not is_name(said.get("secret")):
            raise ProtocolError("the version of a session that is resumed lacks its counts")
        self._secret = said["secret"]
        if not self._resume(received, sent):
            raise ProtocolError(f"{received} frames came, {self._acked} were acknowledged")
        self._wake()

    def _resume(self, received: int, sent: int) -> bool:
        """Go on behind what the peer has *received*; it has *sent* so many.

        Returns:
            False if the peer lacks frames that it has acknowledged.

        Raises:
            ProtocolError: it has received what was never written, or sent less than has come.
        """
        if received > self._reached or sent < self.received:
            raise ProtocolError(
                f"resuming: {received} frames cannot have come of {self._reached}, "
                f"or {self.received} of {sent}"
            )
        if received < self._acked:
            return False
        self._stop_timers()
        if self._away_timer is not None:
            self._away_timer.cancel()
            self._away_timer = None
        self.detached = self.broker.away = False
        self._replayed = received
        self._forget_at = sent
        self._forget_bytes += self._unacked_bytes
        self._free(received, self._forget.append)
        self._forget_bytes -= self._unacked_bytes
        if self._forget_bytes > self._most_bytes():  # again and again, without an ack
            self.close(4440, "answers are not acknowledged, and could all be named")
        # what the version tells frees no answer of the peer's: that takes an ack
        self._told, self._owed_bytes = self.received - 1, 0
        self._ack_timer = self.runtime.call_later(ACK_SECONDS, self._ack_is_due)
        self._beat = self.runtime.call_later(self._heartbeat, self._check_heart, self._heard)
        if not self.broker.has_window():
            self._check_window()
        self.broker.let_go()
        if self._changed is not None:
            self._changed("live")
        return True

    def _keep_outbox(self) -> None:
        """Number and keep what was made meanwhile, to be sent behind what is sent again."""
        frames = self.broker.take_outbox()
        if not frames:
            return
        greeting, self._greeting = self._greeting, None
        kept = len(self._unacked)
        if self.broker.attachments:
            self._encode_apart(frames, [])
        else:
            self._encode_batch(frames, [])
        self._greeting = greeting
        if self.detached:
            for at in range(kept, len(self._unacked)):
                last, size, written, message = self._unacked[at]
                self._unacked[at] = (last, size, outline(written), message)
            if self._door is not None:
                self._door.grown(self)
        if not self.ended and not self.broker.has_window():
            self._check_window()

    def _messages_again(self) -> list[Message]:
        """As `messages`, while there is no connection, or what it needs first is on its way."""
        out: list[Message] = []
        if not self.ended:
            self._keep_outbox()
        if self.ended:
            return out
        closing = self.closing
        if closing is not None and self.detached:
            self._greeting = None
            self.why = "overflow" if closing[0] == 4440 else self.why
        self._flush_greeting(out)
        if not self.detached:
            self._send_again(out, REPLAY_SLICE if closing is None else inf)
            self._add_uncounted(out)
        if closing is not None:
            self._part(out, *closing)
        return out

    def _send_again(self, out: list[Message], room: float) -> None:
        for last, message in replay(self._unacked, self._replayed, room):
            out.append(message)
            self._replayed = last
        self.flowing = self._replayed == self.sent

    # ---------------------------------------------------------------- the end

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session: what stands in the outbox goes out, then ``close`` (section 7)."""
        if self.closing is None and not self.ended:
            self.closing = (code, cut_reason(reason))
            self._wake()

    def overflow(self) -> None:
        """There is no connection, and no room for what cannot wait (section 6)."""
        self.why = "overflow"
        self.end("more was to be sent than is kept for a peer that is away", 4440)

    def _expire(self) -> None:
        self.why = "expired"
        self.end(f"there was no connection for {self.window:g} s")

    def _end_refused(self, said: dict[str, Any]) -> None:
        """The server has this client's session no more."""
        why = said.get("why")
        why = why if type(why) is str else "unknown"
        self.closing = self.closing or (1006, "")
        self._end(f"it could not be resumed: {cut_reason(why)}", 1006, counts(said)[0])

    def end(self, why: str, code: int = 1006) -> None:
        """The session is over: nothing can be sent any more."""
        if not self.ended:
            self.closing = self.closing or (code, "")
            self._end(why, code)
            self._wake()

    def _end(self, why: str, code: int, received: int | None = None) -> None:
        """All is over.

        Args:
            received: how many frames the peer says that it had.
        """
        self._reached = max(self._reached, self.sent if self.flowing else self._replayed)
        self.ended, self.flowing, self.detached = True, False, False
        self._stop_timers()
        if self._away_timer is not None:
            self._away_timer.cancel()
            self._away_timer = None
        not_handled, unsure = split_known(self._unacked, self._reached, received)
        self._unacked.clear()
        self._forget.clear()
        self._secret = ""
        error = PBConnectionLost(f"the session is gone: {why}")
        if code == 4400:
            error.__cause__ = ProtocolError(why)
        if self._door is not None and self.id:
            self._door.ended(self)
        self.broker.lost(error, unsure, not_handled)
        if self._changed is not None:
            self._changed("ended")

    def _stop_timers(self) -> None:
        for timer in (self._ack_timer, self._stall_timer, self._first_frame, self._beat):
            if timer is not None:
                timer.cancel()
        self._ack_timer = self._stall_timer = self._first_frame = self._beat = None


def _check_binary(frames: list[Frame], attachments: Sequence[Any], *, is_batch: bool) -> None:
    """Whether a binary message is one as section 8 has it."""
    if is_batch:
        raise ProtocolError("a binary message holds one frame, not a batch")
    if attachments and frames[0][0] in WITHOUT_BYTES:
        raise ProtocolError("bytes beside a frame that has no place for them")
    check_attachments(frames[0], len(attachments))


def _seconds(said: Mapping[str, Any], name: str) -> float:
    """The number of seconds that a peer *said* under *name*, or 0."""
    value = said.get(name)
    return value if isinstance(value, int | float) and value is not True else 0.0


def _joined(first: bytes, first_frames: int, second: bytes, second_frames: int) -> bytes:
    """Two messages, each a frame or a batch of more than one, as one batch."""
    return b"[%b,%b]" % (
        first if first_frames == 1 else first[1:-1],
        second if second_frames == 1 else second[1:-1],
    )
