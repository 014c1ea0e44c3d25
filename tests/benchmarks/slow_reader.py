"""The memory that clients which do not read cost `pbweb serve`, as a command.

Each opens a session, asks for as much as it can, and reads nothing. The server has to close it; how
much it had grown by at most until then is divided by the number of clients.
"""

from __future__ import annotations

import argparse
import asyncio
from urllib.parse import urlsplit

import orjson
import uvloop

from .idle import memory
from .wires.base import Options, masked
from .wires.pbweb import PBWeb

CALLS = 256
BLOB = 500_000
PIECE = 65_000
SMALL = 16_000
LARGE = 1_000_000
LOOK_SECONDS = 0.05


def asks() -> list[bytes]:
    """As many calls as are allowed, each for half a megabyte."""
    return [b'["message",%d,"root","blob",[%d]]' % (each, BLOB) for each in range(1, CALLS + 1)]


def is_pushed_to() -> list[bytes]:
    """Lets the server push to an object of its own, about 1 MB a second."""
    return [b'["message",1,"root","push",[{"$":"remote","id":1},%d,%g]]' % (PIECE, PIECE / 1e6)]


def echoes(size: int = SMALL) -> list[bytes]:
    """As many calls as are allowed, which send something that is to come back."""
    text = b"x" * size
    return [b'["message",%d,"root","echo",["%b"]]' % (each, text) for each in range(1, CALLS + 1)]


def echoes_much() -> list[bytes]:
    """The same, each with as much as a message may have."""
    return echoes(LARGE)


WAYS = {"asks": asks, "is pushed to": is_pushed_to, "echoes": echoes, "echoes much": echoes_much}


class Stalled(asyncio.Protocol):
    """Reads the answer to the upgrade and the version, and from then on nothing."""

    def __init__(self, frames: list[bytes], host: str) -> None:
        self.wire = PBWeb(Options())
        self.frames = frames
        self.host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.wire.opening(self.host))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        _, reply = self.wire.take(data)
        self.transport.write(reply + b"".join(map(masked, self.frames)))  # type: ignore[attr-defined]
        self.transport.pause_reading()  # type: ignore[attr-defined]


async def most_memory(pid: int, end: float) -> dict[str, int]:
    """The most that a process has until *end*, by the loop's clock."""
    most = memory(pid)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = memory(pid)
        most = {kind: max(most[kind], now[kind]) for kind in most}
        if asyncio.get_running_loop().time() >= end:
            return most


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """MiB per client, at most."""
    url = urlsplit(arguments.url)
    loop = asyncio.get_running_loop()
    frames = WAYS[arguments.way]()
    first = memory(arguments.pid)
    stalled = [
        await loop.create_connection(lambda: Stalled(frames, url.netloc), url.hostname, url.port)
        for _ in range(arguments.clients)
    ]
    most = await most_memory(arguments.pid, loop.time() + arguments.seconds)
    for transport, _ in stalled:
        transport.abort()
    await asyncio.sleep(0)  # the loop closes the sockets in its next turn
    return {kind: (most[kind] - first[kind]) / 2**20 / arguments.clients for kind in most}


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("way", choices=WAYS)
    made.add_argument("url")
    made.add_argument("--pid", type=int, required=True)
    made.add_argument("--clients", type=int, default=20)
    made.add_argument("--seconds", type=float, default=13.0)
    return made


def main() -> None:
    """Print the figures as JSON."""
    print(orjson.dumps(uvloop.run(run(parser().parse_args()))).decode())


if __name__ == "__main__":
    main()
