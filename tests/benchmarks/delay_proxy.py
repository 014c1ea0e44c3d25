"""A TCP proxy that holds everything up by a fixed time, and counts the round trips.

A round trip begins when the client says something after it has heard something from the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast


class DelayProxy:
    """Between clients and the server at *port*; every byte takes *delay* seconds more each way."""

    def __init__(self, port: int, delay: float) -> None:
        self.server_port = port
        self.delay = delay
        self.round_trips = 0
        self.client_heard = True
        self.sides: list[_Side] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on a free port of 127.0.0.1, which it gives, while the block lasts."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _ClientSide(self), "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for side in self.sides:
                if side.transport is not None:
                    side.transport.abort()
            await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    def client_said(self) -> None:
        """The client has sent something."""
        if self.client_heard:
            self.round_trips += 1
            self.client_heard = False


class _Side(asyncio.Protocol):
    """What comes in here goes out at the other side, later and in its order."""

    def __init__(self, proxy: DelayProxy) -> None:
        self.proxy = proxy
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self.late: deque[bytes | None] = deque()
        proxy.sides.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.pass_on(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.pass_on(None)

    def pass_on(self, data: bytes | None) -> None:
        """Hand *data*, or the end, to the other side when its time has come."""
        self.late.append(data)
        asyncio.get_running_loop().call_later(self.proxy.delay, self._arrive)

    def _arrive(self) -> None:
        data = self.late.popleft()
        if self.other is None or self.other.transport is None:
            return
        if data is None:
            self.other.transport.close()
        else:
            self.arriving()
            self.other.transport.write(data)

    def arriving(self) -> None:
        """Something is about to be handed over."""


class _ClientSide(_Side):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).pause_reading()
        self.connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        other = _ServerSide(self.proxy)
        other.other, self.other = self, other
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: other, "127.0.0.1", self.proxy.server_port)
        if self.transport is not None:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.proxy.client_said()
        super().data_received(data)


class _ServerSide(_Side):
    def arriving(self) -> None:
        self.proxy.client_heard = True
