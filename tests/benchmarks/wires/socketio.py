"""python-socketio's wire: Engine.IO 4 over WebSocket, events with acknowledgements."""

from __future__ import annotations

from .base import Options, WebSocketWire, masked


class SocketIO(WebSocketWire):
    """A call is an event whose acknowledgement carries the answer."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.request = 0
        self.tail = b'["%b",%b]' % (options.method.encode(), options.payload)

    def greet(self) -> None:
        """The server speaks first."""

    def calls(self, number: int) -> bytes:
        first, self.request = self.request + 1, self.request + number
        return b"".join(
            masked(b"42%d%b" % (request, self.tail)) for request in range(first, first + number)
        )

    def message(self, data: bytes, start: int, end: int) -> int:
        if data.startswith(b"43", start):
            return 1
        if data.startswith(b"0{", start):
            self.reply.append(masked(b"40"))
        elif data.startswith(b"40", start):
            self.ready = True
        elif data.startswith(b"2", start):
            self.reply.append(masked(b"3"))
        else:
            self.fault = f"the server sent {data[start:end][:300]!r}"
        return 0


class SocketIOListener(SocketIO):
    """Is in a room, and gets what is emitted there; a call lets the server emit once more."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.tail = b'["publish",%b]' % options.payload

    def message(self, data: bytes, start: int, end: int) -> int:
        if data.startswith(b'42["deliver"', start):
            return 1
        return super().message(data, start, end) * 0
