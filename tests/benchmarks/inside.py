"""What a call costs inside the process: bytes in, bytes out, without a socket or the kernel.

`python -m tests.benchmarks.inside` shows how much of `make bench`'s figures is our own doing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

import pbweb as pb
from pbweb.websocket import WebSocketLink

from .apps import Echo, raw_echo
from .wires.base import masked

UPGRADE = (
    b"GET /pb HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
Feed = Callable[[bytes, int], Awaitable[None]]


class Sink:
    """A transport that counts what is written to it."""

    def __init__(self) -> None:
        self.writes = 0

    def write(self, _data: bytes) -> None:
        self.writes += 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool:
        return False


async def limit1() -> Feed:
    """The raw echo, fed directly."""
    app = Starlette(routes=[WebSocketRoute("/pb", raw_echo)])
    config = Config(app, ws_per_message_deflate=False, ws_ping_interval=None, log_level="error")
    config.load()
    protocol, sink = WebSocketsSansIOProtocol(config, ServerState(), {}), Sink()
    protocol.connection_made(cast(Any, sink))
    protocol.data_received(UPGRADE)
    while not sink.writes:
        await asyncio.sleep(0)

    async def feed(data: bytes, calls: int) -> None:
        until = sink.writes + calls
        protocol.data_received(data)
        while sink.writes < until:
            await asyncio.sleep(0)

    return feed


async def pbweb() -> Feed:
    """The link of `pbweb serve`, fed directly."""
    endpoint, sink = pb.endpoint(Echo), Sink()
    connection = endpoint.connect()
    websocket = ServerProtocol(max_size=endpoint.limits.message, state=OPEN)
    link = WebSocketLink(websocket, cast(Any, sink), connection, endpoint.limits)
    connection.attach(link)
    link.data_received(masked(b'["version",1]'))

    async def feed(data: bytes, calls: int) -> None:
        link.data_received(data)
        assert connection.session.closing is None, connection.session.closing

    return feed


def frames(first: int, calls: int, batch: bool, acknowledge: bool) -> bytes:
    """Calls with rising numbers; all answers to those before are acknowledged."""
    made = [
        b'["message",%d,"root","echo",["hello network"]]' % number
        for number in range(first, first + calls)
    ]
    if acknowledge and (calls > 1 or first % 32 == 0):
        made.append(b'["ack",%d,%d]' % (first - 1, first + calls - 1))
    if batch:
        return masked(made[0] if len(made) == 1 else b"[" + b",".join(made) + b"]")
    return b"".join(map(masked, made))


async def main(runs: int = 100) -> None:
    """Print the microseconds per call: the best of many short runs."""
    print(f"{'':24}{'pbweb':>8}{'limit1':>8}  microseconds a call")
    feeds = {"pbweb": await pbweb(), "limit1": await limit1()}
    first = {"pbweb": 1, "limit1": 1}
    for name, calls, batch in (
        ("one call", 1, True),
        ("64 frames", 64, False),
        ("64 in a batch", 64, True),
    ):
        best = dict.fromkeys(feeds, 1e9)
        for _ in range(runs):
            for what, feed in feeds.items():
                own = what == "pbweb"
                data = []
                for _ in range(max(1, 64 // calls)):
                    data.append(frames(first[what], calls, batch and own, own))
                    first[what] += calls
                start = time.perf_counter()
                for piece in data:
                    await feed(piece, calls)
                spent = (time.perf_counter() - start) / len(data) / calls * 1e6
                best[what] = min(best[what], spent)
        print(f"{name:24}{best['pbweb']:8.2f}{best['limit1']:8.2f}")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    uvloop.run(main())
