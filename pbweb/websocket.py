"""A link over a WebSocket: websockets' sans-I/O protocol on an asyncio transport, guarded.

The parser is the library's; what is ours are the guards against a hostile or stuck peer
(docs/security.md): a slice of the loop for each connection, bounded fragments, a bound in
time for each message and each write, no unread pongs in memory. Only what nearly all traffic
is, a whole text frame inside one read, goes past the library's parser (`_whole_texts`), which
takes five times the work for it; all else is the library's to take or to refuse.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from struct import iter_unpack
from sys import byteorder
from typing import Any, cast

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, Protocol, Side, State
from websockets.streams import StreamReader

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # Windows
    ioctl = None  # type: ignore[assignment]

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel with the extension for this platform
    from websockets.utils import apply_mask

from .connection import Connection
from .errors import ProtocolError
from .limits import Limits
from .liveness import DEAD
from .runtime import LATE
from .session import Message
from .shared import SharedMessage

__all__ = ["WebSocketLink"]

_TEXT = Opcode.TEXT
_SERVER = Side.SERVER

BACKLOG = 262_144  # bytes read and not parsed yet, from which on reading pauses
_WHOLE_TEXT = 0x81  # the first byte of a text frame that is a whole message
_NO_MASKS: Iterator[tuple[Any, ...]] = iter(())
_SHORT_TEXT = [bytes((_WHOLE_TEXT, size)) for size in range(126)]
MASKS = 256  # random masks of a client's frames that are fetched at once
JOINED = 65_536  # bytes up to which copying them together costs less than writing them apart


class WebSocketLink(asyncio.Protocol):
    """Carries the session of *connection* by *protocol*, whose handshake is done.

    Args:
        protocol: websockets' sans-I/O protocol, client or server.
        transport: what its bytes go over.
    """

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_backlog_size",
        "_closing",
        "_connection",
        "_ended",
        "_fragments",
        "_fragments_binary",
        "_grace",
        "_is_server",
        "_limits",
        "_loop",
        "_masks",
        "_message_timer",
        "_paused",
        "_protocol",
        "_stall",
        "_transport",
    )

    def __init__(
        self,
        protocol: Protocol,
        transport: asyncio.Transport,
        connection: Connection,
        limits: Limits,
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._connection = connection
        self._limits = limits
        self._is_server = protocol.side is _SERVER
        if self._is_server:  # a client's frames have a mask each
            connection.direct = self._write_shared
        self._masks = _NO_MASKS
        self._loop = asyncio.get_running_loop()
        self._backlog: list[memoryview] = []
        self._backlog_size = 0
        self._fragments: list[bytes] = []
        self._fragments_binary = False
        self._paused = False
        self._closing = False  # nothing of the session's is read or written any more
        self._ended = False  # our side of the stream is closed
        self._stall: asyncio.TimerHandle | None = None
        self._message_timer: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None

    # --------------------------------------------------------------- reading

    def begin(self, frames: Sequence[Event]) -> None:
        """Take what came before this was the transport's protocol: *frames*, or the end."""
        if frames:
            self._handle(frames, [])
        if self._transport.is_closing():
            self.connection_lost(None)

    def data_received(self, data: bytes) -> None:
        """Parse *data*, no more than a slice of it before others get their turn."""
        if not self._backlog and (len(data) <= self._limits.slice or self._ended):
            self._parse(data)
            return
        if not self._backlog:
            self._loop.call_soon(self._parse_slice)
        self._backlog.append(memoryview(data))
        self._backlog_size += len(data)
        if self._backlog_size > BACKLOG:
            self._transport.pause_reading()

    def _parse_slice(self) -> None:
        if not self._backlog:
            return
        first = self._backlog.pop(0)
        now, rest = first[: self._limits.slice], first[self._limits.slice :]
        if rest:
            self._backlog.insert(0, rest)
        paused = self._backlog_size > BACKLOG
        self._backlog_size -= len(now)
        if paused and self._backlog_size <= BACKLOG:
            self._transport.resume_reading()
        if self._backlog:
            self._loop.call_soon(self._parse_slice)
        self._parse(now)

    def _parse(self, data: bytes | memoryview) -> None:
        """Nothing that a peer sends may raise into the event loop."""
        protocol = self._protocol
        try:
            messages: list[Message] = []
            if _is_between_frames(protocol) and not (self._fragments or self._closing):
                data = bytes(data)
                taken = _whole_texts(data, self._is_server, messages)
                if taken == len(data):
                    self._connection.receive(messages)
                    return
                data = data[taken:]
            protocol.receive_data(data)  # type: ignore[arg-type]  # it copies what it is given
            self._handle(protocol.events_received(), messages)
        except Exception as error:  # a fault of ours, which ends this link alone
            self._connection.report("a fault in the WebSocket", error)
            self._connection.failed("a fault in the WebSocket", 1011, self)
            self._transport.abort()

    def _handle(self, frames: Sequence[Event], messages: list[Message]) -> None:
        """Take *frames* from the library, behind the *messages* that came before them."""
        if self._closing:
            self._close_when_answered()
            return
        protocol = self._protocol
        try:
            for frame in frames:
                if frame.opcode is _TEXT and frame.fin:  # type: ignore[union-attr]
                    messages.append((frame.data, False))  # type: ignore[union-attr,arg-type]
                else:
                    self._take(frame, messages)  # type: ignore[arg-type]
        except ProtocolError as error:
            self._connection.receive(messages)
            self._connection.session.close(error.code, str(error))
            return
        begun = bool(self._fragments) or not _is_between_frames(protocol)
        if begun or self._message_timer is not None:
            self._watch_message(begun, bool(messages))
        if messages:
            self._connection.receive(messages)
        if protocol.parser_exc is not None:
            self._parser_failed(protocol.parser_exc)
        if protocol.writes:
            self._write_out()

    def _close_when_answered(self) -> None:
        """All that matters while closing is whether the peer closes too; pings get no answer."""
        ends = b"" in self._protocol.data_to_send()
        if ends:
            self._end_stream()

    def _take(self, frame: Frame, messages: list[Message]) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                messages.append((bytes(frame.data), opcode is Opcode.BINARY))
            else:
                self._fragments = [bytes(frame.data)]
                self._fragments_binary = opcode is Opcode.BINARY
        elif opcode is Opcode.CONT:
            self._fragments.append(bytes(frame.data))
            if len(self._fragments) > self._limits.fragments:
                raise ProtocolError(
                    f"more than {self._limits.fragments} fragments in one message", code=4429
                )
            if frame.fin:
                messages.append((b"".join(self._fragments), self._fragments_binary))
                self._fragments = []
        elif opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            code, reason = (received.code, received.reason) if received else (1005, "")
            self._connection.receive(messages)
            messages.clear()
            self._connection.parted(f"the peer closed with {int(code)} {reason}", int(code), self)
            if not self._connection.session.ended:
                self.close(1000, "")
        else:
            self._connection.session.liveness.count_control()

    def _parser_failed(self, error: Exception) -> None:
        """The WebSocket itself is broken; the parser has put its own close into the writes."""
        sent = self._protocol.close_sent
        code = int(sent.code) if sent else 1006
        if isinstance(error, PayloadTooBig):
            code = 1009
        self._connection.failed(f"{code} {error}", code, self)
        self._finish_soon()

    def _watch_message(self, begun: bool, complete: bool) -> None:
        """A message that was begun has to be complete in time."""
        if begun:
            self._connection.session.liveness.traffic()
        if self._message_timer is not None and (complete or not begun):
            self._message_timer.cancel()
            self._message_timer = None
        if begun and self._message_timer is None:
            self._message_timer = self._loop.call_later(
                self._limits.message_time, self._message_is_late
            )

    def _message_is_late(self) -> None:
        """Closes the session that has the link by now: it may have taken it over meanwhile."""
        seconds = self._limits.message_time
        self._connection.session.close(4408, f"a message took longer than {seconds:g} s")

    # --------------------------------------------------------------- writing

    def writable(self) -> bool:
        """See `connection.Link`."""
        return not self._paused

    def write(self, messages: list[Message]) -> None:
        """See `connection.Link`."""
        protocol = self._protocol
        if self._closing or protocol.close_sent is not None:
            return
        if not self._is_server and protocol.state is not State.OPEN:
            return  # closed before this link had it
        if len(messages) == 1 and not (protocol.writes or self._paused):
            data, binary = messages[0]
            self._transport_write(self._frame(data, binary), len(data))
            return
        for data, binary in messages:
            protocol.writes += self._frame(data, binary)
        self._write_out()

    def _write_shared(self, message: SharedMessage) -> None:
        """Write what many connections write, while the link takes it: put together once."""
        if message.framed is None:
            message.framed = b"".join(self._frame(*message[0]))
        self._transport.write(message.framed)

    def _frame(self, data: bytes, binary: bool) -> list[bytes]:
        """A whole frame of *data*: its head, and what follows.

        The library would copy the bytes to put the head there, and look at each frame again.
        """
        if self._is_server:
            return [_head(len(data), binary), data]
        mask = self._new_mask()
        return [_masked_head(len(data), binary), mask, apply_mask(data, mask)]

    def _new_mask(self) -> bytes:
        """Four bytes that nobody can foresee (RFC 6455, 5.3), fetched many at a time."""
        mask = next(self._masks, None)
        if mask is None:
            self._masks = iter_unpack("4s", os.urandom(MASKS * 4))
            mask = next(self._masks)
        return cast(bytes, mask[0])

    def _write_out(self) -> None:
        """Write all at once; while the peer does not read, pongs wait here (and are few)."""
        if self._ended or (self._paused and not self._closing):
            return
        data = self._protocol.data_to_send()
        ends = bool(data) and not data[-1]
        if ends:
            data.pop()
        if data:
            self._transport_write(data, sum(map(len, data)))
        if ends:
            self._end_stream()

    def _transport_write(self, parts: list[bytes], size: int) -> None:
        if size < JOINED:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    def pause_writing(self) -> None:
        """The peer does not read: what is to be written waits, for a while."""
        self._paused = True
        self._connection.direct = None
        if not self._closing:
            self._watch_stall(self._limits.stall)

    def resume_writing(self) -> None:
        """It reads again."""
        self._paused = False
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if not self._closing:
            self._connection.session.liveness.traffic()
            self._write_out()
            self._connection.flush()
            if self._is_server and not (self._paused or self._closing):
                self._connection.direct = self._write_shared

    def _watch_stall(self, seconds: float) -> None:
        size, due = self._transport.get_write_buffer_size(), self._loop.time() + seconds
        self._stall = self._loop.call_later(seconds, self._check_stall, size, due)

    def _check_stall(self, size_before: int, due: float) -> None:
        if self._transport.get_write_buffer_size() < size_before:
            self._connection.session.liveness.traffic()
            self._watch_stall(self._limits.stall)
            return
        if self._loop.time() - due > LATE:  # this side stood still: the peer may have read
            self._watch_stall(LATE)
            return
        self._stall = None
        self._closing = True
        stalled = f"a write did not move for {self._limits.stall:g} s"
        self._connection.failed(stalled, 4440, self)
        self._transport.abort()

    # ------------------------------------------------------------ the closing

    def carry(self, connection: Connection) -> None:
        """See `connection.Link`."""
        self._connection.direct = None
        self._connection = connection
        if self._is_server and not (self._paused or self._closing):
            connection.direct = self._write_shared

    def close(self, code: int, reason: str) -> None:
        """See `connection.Link`."""
        if self._closing:
            return
        self._finish_soon(DEAD if code == 4408 else None)
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
        self._write_out()

    def unsent(self) -> int:
        """See `connection.Link`."""
        return self._transport.get_write_buffer_size() + _in_kernel(self._transport)

    def abort(self) -> None:
        """See `connection.Link`."""
        self._transport.abort()

    def shutdown(self) -> None:
        """What uvicorn calls on every connection when the server stops."""
        self._connection.session.close(1012, "the server is going away")

    def _finish_soon(self, seconds: float | None = None) -> None:
        """The closing handshake and the last bytes have a bound in time."""
        self._closing = True
        self._connection.direct = None
        self._cancel_timers()
        grace = self._limits.grace if seconds is None else seconds
        self._grace = self._loop.call_later(grace, self._transport.abort)

    def _end_stream(self) -> None:
        """Say that nothing follows, and leave it to the peer to close.

        Closing while the peer still sends would reset the connection, and the reset could
        overtake the code and reason of the close.
        """
        self._ended = True
        if self._grace is None:
            self._finish_soon()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _cancel_timers(self) -> None:
        for timer in (self._stall, self._message_timer, self._grace):
            if timer is not None:
                timer.cancel()
        self._stall = self._message_timer = self._grace = None

    def eof_received(self) -> bool:
        """The peer sends no more: what it sent and nobody has parsed yet is not looked at."""
        self._backlog.clear()
        self._closing = True
        self._connection.direct = None
        self._protocol.receive_eof()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._closing = self._ended = True
        self._connection.direct = None
        self._cancel_timers()
        self._backlog.clear()
        self._protocol.receive_eof()
        why = "the connection was lost" + (f": {error}" if error else "")
        self._connection.lost(why, 1006, self)


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that the system has of *transport* and the peer's has not acknowledged."""
    if ioctl is None:
        return 0
    try:
        size = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
    except (AttributeError, OSError, ValueError):  # no socket, or none of TCP
        return 0
    return int.from_bytes(size, byteorder)


_BETWEEN_FRAMES = StreamReader.at_eof.__code__


def _is_between_frames(protocol: Protocol) -> bool:
    """Whether the library has no part of a frame: its parser, a generator, tells where it waits.

    An empty buffer does not say it: a head is taken out of there before the rest has come.
    """
    waits_in = cast(Any, protocol.parser).gi_yieldfrom
    return getattr(waits_in, "gi_code", None) is _BETWEEN_FRAMES


def _whole_texts(data: bytes, masked: bool, messages: list[Message]) -> int:
    """Add the messages at the start of *data* that are whole text frames, and say where they end.

    The first frame that is anything else, by one bit, is left to the library, and so is one
    of which a part is missing. Whether the text is UTF-8 is seen by the JSON parser.

    Args:
        masked: whether the frames must be masked (a client's) or must not be.
    """
    begin, end = 0, len(data)
    if masked and end > 6 and data[1] == end + 122 < 254 and data[0] == _WHOLE_TEXT:
        messages.append((apply_mask(data[6:], data[2:6]), False))  # one short text and no more
        return end
    mask_bit, least = (128, 6) if masked else (0, 2)
    while begin + least < end and data[begin] == _WHOLE_TEXT:
        size = data[begin + 1] - mask_bit
        start = begin + least
        if size == 126:
            start += 2
            size = int.from_bytes(data[begin + 2 : begin + 4])
        elif not 0 <= size < 126:
            break
        after = start + size
        if after > end:
            break
        text = data[start:after]
        messages.append((apply_mask(text, data[start - 4 : start]) if masked else text, False))
        begin = after
    return begin


def _head(size: int, binary: bool) -> bytes:
    """What stands before *size* bytes in a whole frame of a server's (RFC 6455, 5.2)."""
    if size < 126 and not binary:
        return _SHORT_TEXT[size]
    first = 0x82 if binary else _WHOLE_TEXT
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2)
    return bytes((first, 127)) + size.to_bytes(8)


def _masked_head(size: int, binary: bool) -> bytes:
    """As `_head`, for a client's frame: the mask follows."""
    head = _head(size, binary)
    return bytes((head[0], head[1] | 0x80)) + head[2:]
