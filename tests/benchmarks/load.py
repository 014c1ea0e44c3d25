"""A bare client as a command: speaks a wire with as little as possible, so that the server is seen.

It prints its figures as JSON: microseconds of the server's CPU per call, calls a second, and, where
it was asked to look, percentiles of the time that a call took.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

import orjson
import psutil
import uvloop

from .payloads import NAMES, payload
from .wires import WIRES
from .wires.base import Options, Wire

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
OPENING_SECONDS = 60.0


class Failed(Exception):
    """The load could not be put on; the text says why."""


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, wire: Wire) -> None:
        self.load = load
        self.wire = wire
        self.began: deque[float] = deque()  # when the calls in flight began, if that is looked at
        self.was_ready = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.wire.opening(self.load.host))

    def data_received(self, data: bytes) -> None:
        wire = self.wire
        counted, reply = wire.take(data)
        if reply:
            self.transport.write(reply)
        if wire.fault:
            self.load.fail(wire.fault)
        elif counted:
            self.load.counted(self, counted)
        if not self.was_ready and wire.ready:
            self.was_ready = True
            self.load.one_is_ready()

    def call(self, number: int) -> None:
        """Make *number* more calls now."""
        self.transport.write(self.wire.calls(number))

    def connection_lost(self, error: Exception | None) -> None:
        self.load.fail(f"the server closed the connection: {error}")


class Load:
    """All connections of one load, each with its calls in flight."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        url = urlsplit(arguments.url)
        self.host, self.address, self.port = url.netloc, url.hostname, url.port
        self.make_wire = WIRES[arguments.wire]
        self.options = Options(
            arguments.in_flight,
            arguments.batches,
            arguments.method,
            payload(arguments.payload),
            arguments.held,
        )
        self.clients: list[Client] = []
        self.unready = arguments.connections
        self.all_ready = asyncio.Event()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = 0
        self.ending = False

    # ------------------------------------------------------------ for clients

    def counted(self, client: Client, number: int) -> None:
        """*number* calls of *client*'s are done: make as many again."""
        self.answered += number
        if not self.ending:
            client.call(number)

    def one_is_ready(self) -> None:
        """One more connection can take calls."""
        self.unready -= 1
        if not self.unready:
            self.all_ready.set()

    def fail(self, why: str) -> None:
        """End the load, which has no figures then."""
        if not self.failed.done() and not self.ending:
            self.failed.set_exception(Failed(why))

    # ---------------------------------------------------------------- running

    async def run(self, seconds: float, pid: int) -> dict[str, float]:
        """Open, warm up, and count for *seconds*."""
        async with self.opened():
            self.begin()
            await self.watch(asyncio.sleep(min(0.5, seconds / 4)))
            self.forget()
            calls, cpu, clock = self.answered, cpu_seconds(pid), time.perf_counter()
            await self.watch(asyncio.sleep(seconds))
            calls, cpu = self.answered - calls, cpu_seconds(pid) - cpu
            clock = time.perf_counter() - clock
        if not calls:
            raise Failed("no call was answered")
        if not cpu:
            raise Failed(f"{calls} calls took no CPU time that could be counted; count for longer")
        return {"calls": calls, "cpu": cpu / calls * 1e6, "rate": calls / clock, **self.more()}

    async def run_calls(self, calls: int) -> int:
        """Open, and make calls until so many are done; how many were."""
        async with self.opened():
            self.begin()
            await self.watch(self.until(calls))
        return self.answered

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """All connections, while the block lasts; they end without a word to the server."""
        try:
            await self.watch(self.open(self.unready), OPENING_SECONDS)
            yield
        finally:
            self.ending = True
            for client in self.clients:
                client.transport.abort()
            await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    async def until(self, calls: int) -> None:
        """Wait until *calls* are done."""
        while self.answered < calls:
            await asyncio.sleep(0)

    async def watch(self, what: Awaitable[None], seconds: float = 3600) -> None:
        """Wait for *what*, or raise why the load failed."""
        task = asyncio.ensure_future(what)
        done, _ = await asyncio.wait(
            (task, self.failed), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if self.failed in done:
            task.cancel()
            self.failed.result()
        if not done:
            task.cancel()
            raise Failed(f"{self.unready} connections were not ready after {seconds:g} s")
        task.result()

    async def open(self, connections: int) -> None:
        """Open all connections, and wait until they can take calls."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            client = Client(self, self.make_wire(self.options))
            await loop.create_connection(lambda made=client: made, self.address, self.port)  # type: ignore[misc]
            self.clients.append(client)
        await self.all_ready.wait()

    def begin(self) -> None:
        """Make the first calls."""
        for client in self.clients:
            client.call(self.options.in_flight)

    def forget(self) -> None:
        """The warming up is over."""

    def more(self) -> dict[str, float]:
        """Further figures."""
        return {}


class TimedLoad(Load):
    """Looks at the time that each call takes, from when it was made."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments)
        self.times: list[float] = []

    def counted(self, client: Client, number: int) -> None:
        now = self.look(client, number)
        if not self.ending:
            self.call(client, number, now)

    def look(self, client: Client, number: int) -> float:
        """*number* calls of *client*'s are done now, which is returned."""
        now = time.perf_counter()
        for _ in range(number):
            self.times.append(now - client.began.popleft())
        self.answered += number
        return now

    def call(self, client: Client, number: int, now: float) -> None:
        """Make calls that began *now*."""
        client.began.extend([now] * number)
        client.call(number)

    def begin(self) -> None:
        for client in self.clients:
            self.call(client, self.options.in_flight, time.perf_counter())

    def forget(self) -> None:
        self.times = []

    def more(self) -> dict[str, float]:
        return percentiles(self.times)


class RatedLoad(TimedLoad):
    """Makes calls at a fixed rate, whether or not the others are answered.

    A call's time counts from when it was due: what a slow server does to those that wait is seen.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments)
        self.pause = 1 / arguments.rate

    def counted(self, client: Client, number: int) -> None:
        self.look(client, number)

    def begin(self) -> None:
        self.turns: Iterator[Client] = cycle(self.clients)
        self.due = time.perf_counter()
        asyncio.get_running_loop().call_soon(self.make_due)

    def make_due(self) -> None:
        """Make the calls that are due. This core is ours alone: look again at once."""
        now = time.perf_counter()
        while self.due <= now:
            self.call(next(self.turns), 1, self.due)
            self.due += self.pause
        if not self.ending:
            asyncio.get_running_loop().call_soon(self.make_due)


class FanOutLoad(Load):
    """The first connection lets the server send to all; once more when all have it."""

    def begin(self) -> None:
        self.missing = len(self.clients)
        self.clients[0].call(1)

    def counted(self, client: Client, number: int) -> None:
        self.answered += number
        self.missing -= number
        if not self.missing and not self.ending:
            self.begin()


def percentiles(times: list[float]) -> dict[str, float]:
    """The percentiles of *times*, in microseconds."""
    if not times:
        return {}
    ordered = sorted(times)
    return {
        name: ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1e6
        for name, part in PERCENTILES.items()
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    process = psutil.Process(pid)
    every = [process, *process.children(recursive=True)]
    times = [one.cpu_times() for one in every]
    return sum(each.user + each.system for each in times)


def load_of(arguments: argparse.Namespace) -> Load:
    """The kind of load that the arguments ask for."""
    if arguments.rate:
        return RatedLoad(arguments)
    if arguments.fan_out:
        return FanOutLoad(arguments)
    return TimedLoad(arguments) if arguments.latency else Load(arguments)


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """One load's figures."""
    return await load_of(arguments).run(arguments.seconds, arguments.pid)


def parser() -> argparse.ArgumentParser:
    """The arguments of one load."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("wire", choices=WIRES)
    made.add_argument("url")
    made.add_argument("--pid", type=int, required=True, help="of the server")
    made.add_argument("--connections", type=int, default=1)
    made.add_argument("--in-flight", type=int, default=1, help="calls, on each connection")
    made.add_argument("--seconds", type=float, default=2.0)
    made.add_argument("--batches", action="store_true")
    made.add_argument("--method", default="echo")
    made.add_argument("--payload", choices=NAMES, default="text")
    made.add_argument("--held", type=int, default=0, help="references held, or calls that wait")
    made.add_argument("--latency", action="store_true")
    made.add_argument("--rate", type=float, default=0, help="calls a second in all")
    made.add_argument("--fan-out", action="store_true")
    return made


def main() -> None:
    """Run one load and print its figures."""
    try:
        print(orjson.dumps(uvloop.run(run(parser().parse_args()))).decode())
    except Failed as error:
        raise SystemExit(f"the load failed: {error}") from None


if __name__ == "__main__":
    main()
