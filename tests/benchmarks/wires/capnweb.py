"""Cap'n Web's wire: JSON messages, a WebSocket message each, as its 0.12 writes them."""

from __future__ import annotations

import re

from .base import Options, WebSocketWire, masked

RING = re.compile(rb'\["push",\["pipeline",-1,\["echo"\]')


class CapnWeb(WebSocketWire):
    """A call is a push and a pull, and a release when it is resolved."""

    path = "/"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.pushed = 0
        self.resolved = 0
        self.released = 0
        self.tail = b',["%b"],[%b]]]' % (options.method.encode(), options.payload)

    def calls(self, number: int) -> bytes:
        frames = self.releases()
        for _ in range(number):
            self.pushed += 1
            frames.append(b'["push",["pipeline",0%b' % self.tail)
            frames.append(b'["pull",%d]' % self.pushed)
        return b"".join(map(masked, frames))

    def releases(self) -> list[bytes]:
        """Releases for what was resolved, which comes in the order of the calls."""
        first, self.released = self.released + 1, self.resolved
        return [b'["release",%d,1]' % number for number in range(first, self.released + 1)]

    def message(self, data: bytes, start: int, end: int) -> int:
        if data.startswith(b'["resolve",', start):
            self.resolved += 1
            return 1
        if not data.startswith(b'["release",', start):
            self.fault = f"the server sent {data[start:end][:300]!r}"
        return 0


class CapnWebHandOut(CapnWeb):
    """A call is: get an object, call it through the promise of it, release both."""

    def calls(self, number: int) -> bytes:
        frames = self.releases()
        for _ in range(number):
            self.pushed += 2
            made, called = self.pushed - 1, self.pushed
            frames += (
                b'["push",["pipeline",0,["make"],[]]]',
                b'["push",["pipeline",%d,["echo"],[%b]]]' % (made, self.options.payload),
                b'["pull",%d]' % called,
            )
        return b"".join(map(masked, frames))

    def releases(self) -> list[bytes]:
        frames = []
        while self.released < self.resolved:
            self.released += 1
            called = 2 * self.released
            frames += (b'["release",%d,1]' % called, b'["release",%d,1]' % (called - 1))
        return frames


class CapnWebRing(CapnWeb):
    """Hands an object of its own to the server, and answers the calls on it."""

    def greet(self) -> None:
        ring = b'["push",["pipeline",0,["ring"],[["export",-1],%d]]]' % self.options.in_flight
        self.reply += (masked(ring), masked(b'["pull",1]'))
        self.ready = True

    def calls(self, number: int) -> bytes:
        return b""

    def message(self, data: bytes, start: int, end: int) -> int:
        if data.startswith(b'["push",', start):
            self.pushed += 1
            return 0
        if data.startswith(b'["pull",', start):
            number = data[start + 8 : end - 1]
            self.reply.append(masked(b'["resolve",%b,%b]' % (number, self.options.payload)))
            return 1
        if not data.startswith(b'["release",', start):
            self.fault = f"the server sent {data[start:end][:300]!r}"
        return 0
