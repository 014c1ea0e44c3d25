"""The memory that idle connections cost a server, as a command.

Some connections are opened first, so that what a server needs only once is not counted; then many
more, and what it has grown by is divided by them.
"""

from __future__ import annotations

import argparse
import asyncio
from urllib.parse import urlsplit

import orjson
import psutil
import uvloop

from .load import Failed
from .wires import WIRES
from .wires.base import Options, Wire

SETTLE_SECONDS = 1.0
OPENING_SECONDS = 120.0
AT_ONCE = 50


class Idler(asyncio.Protocol):
    """A connection that says what it has to, and then nothing more."""

    def __init__(self, wire: Wire, host: str) -> None:
        self.wire = wire
        self.host = host
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.wire.opening(self.host))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        _, reply = self.wire.take(data)
        if reply:
            self.transport.write(reply)  # type: ignore[attr-defined]
        if self.ready.done():
            return
        if self.wire.fault:
            self.ready.set_exception(Failed(self.wire.fault))
        elif self.wire.ready:
            self.ready.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(Failed(f"the server closed the connection: {error}"))


async def open_many(number: int, wire: str, url: str) -> list[Idler]:
    """Open *number* connections, and wait until each has its session."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    some = asyncio.Semaphore(AT_ONCE)

    async def one() -> Idler:
        async with some:
            made = Idler(WIRES[wire](Options()), parts.netloc)
            await loop.create_connection(lambda: made, parts.hostname, parts.port)
            await made.ready
            return made

    return list(await asyncio.gather(*(one() for _ in range(number))))


async def close(made: list[Idler]) -> None:
    """End all connections without a word."""
    for one in made:
        one.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0)  # the loop closes the sockets in its next turn


def memory(pid: int) -> dict[str, int]:
    """The bytes of a process and its children: resident, and with shared pages in proportion."""
    process = psutil.Process(pid)
    every = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return {"rss": sum(one.rss for one in every), "pss": sum(one.pss for one in every)}


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """KiB per connection."""
    made = await open_many(arguments.before, arguments.wire, arguments.url)
    await asyncio.sleep(SETTLE_SECONDS)
    before = memory(arguments.pid)
    made += await open_many(arguments.connections, arguments.wire, arguments.url)
    await asyncio.sleep(SETTLE_SECONDS)
    after = memory(arguments.pid)
    if any(one.transport.is_closing() for one in made):
        raise Failed("the server closed connections that were idle")
    await close(made)
    return {kind: (after[kind] - before[kind]) / 1024 / arguments.connections for kind in after}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wire", choices=WIRES)
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--before", type=int, default=200)
    try:
        figures = uvloop.run(asyncio.wait_for(run(parser.parse_args()), OPENING_SECONDS))
    except (Failed, TimeoutError) as error:
        raise SystemExit(f"the connections could not be held: {error!r}") from None
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
