"""What all wires have in common, and the frames of a WebSocket."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

TEXT = 0x81
BINARY = 0x82
PING = 0x89
PONG = 0x8A


@dataclass(frozen=True)
class Options:
    """What a load says to its wires.

    Attributes:
        in_flight: calls that one connection keeps in flight.
        batches: send the frames of one turn as one message, as our clients do.
        method: what is called.
        payload: the argument, as JSON.
        held: references that are held, or calls that wait, beside what is measured.
    """

    in_flight: int = 1
    batches: bool = False
    method: str = "echo"
    payload: bytes = b'"hello network"'
    held: int = 0


class Wire:
    """One connection's side of a conversation.

    `ready` says that calls may begin. Counted is what the load is about: answers to calls, calls
    by the server that were answered, or messages delivered.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.ready = False
        self.buffer = b""
        self.fault = ""

    def opening(self, host: str) -> bytes:
        """The first bytes."""
        raise NotImplementedError

    def take(self, data: bytes) -> tuple[int, bytes]:
        """Take what the server sent: how many are to be counted, and what is to be said at once."""
        raise NotImplementedError

    def calls(self, number: int) -> bytes:
        """The bytes of *number* more calls."""
        raise NotImplementedError


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """One whole WebSocket message of a client's."""
    size = len(payload)
    if size < 126:
        head = bytes((kind, 0x80 | size))
    elif size < 65536:
        head = bytes((kind, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((kind, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class WebSocketWire(Wire):
    """A conversation over a WebSocket: the upgrade, the frames, and answers to pings.

    Messages are looked at by `message`; what they make to be said is put into `reply`.
    """

    path = "/pb"
    subprotocol = ""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.opened = False
        self.reply: list[bytes] = []

    def opening(self, host: str) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        offered = f"Sec-WebSocket-Protocol: {self.subprotocol}\r\n" if self.subprotocol else ""
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"{offered}\r\n"
        ).encode()

    def greet(self) -> None:
        """The WebSocket is open; say what comes first."""
        self.ready = True

    def message(self, data: bytes, start: int, end: int) -> int:
        """Take one message, which is `data[start:end]`; how many are to be counted."""
        raise NotImplementedError

    def take(self, data: bytes) -> tuple[int, bytes]:
        data = self.buffer + data if self.buffer else data
        if not self.opened:
            head, separator, rest = data.partition(b"\r\n\r\n")
            if not separator:
                self.buffer = data
                return 0, b""
            if b" 101 " not in head:
                self.fault = f"no upgrade: {data[:300]!r}"
                return 0, b""
            self.opened, data = True, rest
            self.greet()
        counted = self.parse(data)
        if not self.reply:
            return counted, b""
        reply, self.reply = self.reply, []
        return counted, b"".join(reply)

    def parse(self, data: bytes) -> int:
        """Take the whole frames of *data*; the rest is kept."""
        at, counted, end = 0, 0, len(data)
        while at + 2 <= end:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + size > end:
                break
            kind = data[at]
            if kind in (TEXT, BINARY):
                counted += self.message(data, start, start + size)
            elif kind == PING:
                self.reply.append(masked(data[start : start + size], PONG))
            else:
                self.fault = f"the server sent {data[at : start + size][:300]!r}"
            at = start + size
        self.buffer = data[at:]
        return counted
