"""The raw echo's wire: limit1 and picows send back what they get."""

from __future__ import annotations

from .base import BINARY, Options, WebSocketWire, masked


class Raw(WebSocketWire):
    """Sends pbweb's own frames, a message each, to a server that knows nothing of them."""

    subprotocol = "pb.json.1"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.request = 0
        self.tail = b',"root","%b",[%b]]' % (options.method.encode(), options.payload)

    def calls(self, number: int) -> bytes:
        first, self.request = self.request + 1, self.request + number
        return b"".join(
            masked(b'["message",%d%b' % (request, self.tail))
            for request in range(first, first + number)
        )

    def message(self, data: bytes, start: int, end: int) -> int:
        return data.count(b'"message",', start, end)


class RawBytes(WebSocketWire):
    """Sends binary messages."""

    path = "/binary"
    subprotocol = "pb.json.1"

    def calls(self, number: int) -> bytes:
        return masked(self.options.payload, BINARY) * number

    def message(self, data: bytes, start: int, end: int) -> int:
        return 1


class RawListener(WebSocketWire):
    """Gets what limit1 sends to all; a call lets it send once more."""

    path = "/fan"
    subprotocol = "pb.json.1"

    def calls(self, number: int) -> bytes:
        return masked(b'["message",0,1,"deliver",[%b]]' % self.options.payload) * number

    def message(self, data: bytes, start: int, end: int) -> int:
        return data.count(b'"deliver",', start, end)
