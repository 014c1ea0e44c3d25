"""Twisted PB's wire: banana in the `pb` dialect over TCP, with what jelly makes of a string.

The bytes are those of a real exchange between Twisted's own client and server.
"""

from __future__ import annotations

import re

from .base import Options, Wire

DIALECT = b"\x02\x82pb"
VERSION = b"\x02\x80\x13\x87\x06\x81"
MESSAGE = b"\x07\x80\x1a\x87"
ANSWER = b"\x03\x80\x1b\x87"
DECREF = b"\x02\x80\x1d\x87"
REMOTE = b"\x02\x80\x10\x87"
NO_KEYWORDS = b"\x01\x80\x05\x87"
ERROR = b"\x03\x80\x1c\x87"

NUMBER = rb"([\x00-\x7f]+)\x81"
RING = re.compile(
    re.escape(MESSAGE) + NUMBER + rb"\x01\x81\x04\x82echo.*?" + re.escape(NO_KEYWORDS), re.DOTALL
)
HANDED_OUT = re.compile(re.escape(ANSWER) + NUMBER + re.escape(REMOTE) + NUMBER)
ECHOED = re.compile(re.escape(ANSWER) + NUMBER + rb"\x02\x80\x07\x82unicode.\x82")


def number(value: int) -> bytes:
    """An integer's digits, base 128, the lowest first, with the type byte of an integer."""
    digits = bytearray()
    while value or not digits:
        digits.append(value & 0x7F)
        value >>= 7
    return bytes(digits) + b"\x81"


def text(value: str) -> bytes:
    """What jelly and banana make of a string."""
    data = value.encode()
    return b"\x02\x80\x07\x82unicode" + number(len(data))[:-1] + b"\x82" + data


def name(value: str) -> bytes:
    """A name of a method or target."""
    return number(len(value))[:-1] + b"\x82" + value.encode()


def call(target: bytes, method: str, *arguments: bytes) -> bytes:
    """What follows the number of the request in a message."""
    count = number(1 + len(arguments))[:-1]
    return b"".join(
        (b"", target, name(method), b"\x01\x81", count, b"\x80\x0b\x87", *arguments, NO_KEYWORDS)
    )


class Twisted(Wire):
    """Calls a method of the root with a string."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.request = 0
        self.argument = text(options.payload.decode().strip('"'))
        self.tail = call(name("root"), options.method, self.argument)

    def opening(self, host: str) -> bytes:
        return DIALECT + VERSION

    def take(self, data: bytes) -> tuple[int, bytes]:
        data = self.buffer + data
        if not self.ready:
            self.ready = data.endswith(VERSION)
            self.buffer = b"" if self.ready else data
            return 0, self.greeting() if self.ready else b""
        if ERROR in data:
            self.fault = f"the server sent {data[:300]!r}"
        return self.answers(data)

    def greeting(self) -> bytes:
        """What is said when both sides know the dialect."""
        return b""

    def answers(self, data: bytes) -> tuple[int, bytes]:
        """See `take`."""
        self.buffer = data[-3:]
        return data.count(ANSWER), b""

    def calls(self, number_of_calls: int) -> bytes:
        first, self.request = self.request + 1, self.request + number_of_calls
        return b"".join(
            b"%b%b%b" % (MESSAGE, number(request), self.tail)
            for request in range(first, first + number_of_calls)
        )


class TwistedHandOut(Twisted):
    """A call is: get an object, call it, release it; without promises, two round trips."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.tail = call(name("root"), "make")
        self.luids: dict[bytes, bytes] = {}

    def answers(self, data: bytes) -> tuple[int, bytes]:
        out, done, end = [], 0, 0
        for found in HANDED_OUT.finditer(data):
            luid = found[2] + b"\x81"
            self.request += 1
            request = number(self.request)
            self.luids[request] = luid
            out.append(MESSAGE + request + call(luid, "echo", self.argument))
            end = max(end, found.end())
        for found in ECHOED.finditer(data):
            done += 1
            out.append(DECREF + self.luids.pop(found[1] + b"\x81"))
            end = max(end, found.end())
        self.buffer = data[end:]
        return done, b"".join(out)


class TwistedRing(Twisted):
    """Hands an object of its own to the server, and answers the calls on it."""

    def greeting(self) -> bytes:
        arguments = (REMOTE + number(1), number(self.options.in_flight))
        return MESSAGE + number(1) + call(name("root"), "ring", *arguments)

    def calls(self, number_of_calls: int) -> bytes:
        return b""

    def answers(self, data: bytes) -> tuple[int, bytes]:
        requests, end = [], 0
        for found in RING.finditer(data):
            requests.append(found[1])
            end = found.end()
        self.buffer = data[end:]
        return len(requests), b"".join(
            b"%b%b\x81%b" % (ANSWER, request, self.argument) for request in requests
        )
