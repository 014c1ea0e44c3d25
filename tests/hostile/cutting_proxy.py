"""A TCP proxy that breaks each connection when so many bytes have gone through, by a seed."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class CuttingProxy:
    """Forwards to *port* of this machine; each connection gets its own number of bytes.

    Args:
        most: bytes that a connection lives for at most, both ways together; None: no cut.
    """

    def __init__(self, port: int, seed: int, most: int | None) -> None:
        self.port = 0
        self.most = most
        self.cuts = 0
        self.is_down = False
        self._behind = port
        self._random = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self._behind_writers: set[asyncio.StreamWriter] = set()
        self._stalled: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            _reset(writer)
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        both = (writer, back)
        self._open.update(both)
        self._behind_writers.add(back)
        left = [self._random.randrange(1000, self.most) if self.most else 1 << 60]
        gently = self._random.random() < 0.5
        ways = [
            asyncio.ensure_future(self._forward(one, other, left, both, gently=gently))
            for one, other in ((reader, back), (there, writer))
        ]
        self._tasks.update(ways)
        await asyncio.gather(*ways, return_exceptions=True)
        if writer in self._stalled:
            await self._over.wait()
        self._tasks.difference_update(ways)
        self._open.difference_update(both)
        self._muted.difference_update(both)
        for one in both:
            one.transport.abort()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        left: list[int],
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        gently: bool,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if writer in self._muted:
                    continue
                writer.write(data[: left[0]])
                await writer.drain()
                left[0] -= len(data)
                if left[0] <= 0:
                    self.cuts += 1
                    for one in both:
                        one.close() if gently else _reset(one)
                    return
            writer.write_eof()

    def stall(self) -> None:
        """Break the clients' side of all that is open; the server is told nothing for now."""
        self._stalled.update(self._open)
        for writer in list(self._open):
            if writer not in self._behind_writers:
                _reset(writer)

    def mute(self) -> None:
        """Nothing goes through any more on what is open, and nobody is told."""
        self._muted.update(self._open)

    def cut(self) -> None:
        """Break all that is open."""
        self.cuts += 1
        for writer in list(self._open):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError, ValueError):  # it may be gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def cutting_proxy(
    port: int, *, seed: int = 0, most: int | None = None
) -> AsyncIterator[CuttingProxy]:
    """A proxy before *port*; its own is in `CuttingProxy.port`."""
    proxy = CuttingProxy(port, seed, most)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy._over.set()
        proxy.cut()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
