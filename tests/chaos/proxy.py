"""A TCP proxy that does to connections what networks do, by a seed.

What happens to a connection is a list of faults, each at a number of bytes (both ways together) or
a number of seconds. A `Scenario` gives the list for the nth connection; the same seed gives the
same lists.
"""

import asyncio
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal[
    "cut", "reset", "half_close", "stall", "delay", "slice", "duplicate", "refuse", "silence"
]

ENDING = {"cut", "reset", "half_close", "refuse", "silence"}
"""The faults after which a connection is of no use any more."""

SLICED = 2000  # bytes that one slice lasts for


@dataclass(frozen=True)
class Fault:
    """One thing that happens to a connection.

    - ``cut``: both sides are closed, with a FIN, exactly after that byte;
    - ``reset``: both with an RST;
    - ``half_close``: one direction ends; the other goes on for *seconds*, then there is an RST;
    - ``stall``: one direction stands still for *seconds*, then goes on;
    - ``silence``: both directions stand still, and nobody is told for *seconds*; then an RST;
    - ``delay``: from here on, each piece comes *seconds* later;
    - ``slice``: at most *size* bytes go through at a time, for the next two thousand;
    - ``duplicate``: the upgrade and the first message of the client go to the server a second
      time, on a connection of their own, which stays for *seconds*: only where that message asks
      for a session to be resumed;
    - ``refuse``: an RST, as for all connections of the next *seconds*.
    """

    kind: Kind
    at: int | None = None
    after: float | None = None
    seconds: float = 0.0
    size: int = 0
    up: bool = True


Scenario = Callable[[int], Sequence[Fault]]


def calm(number: int) -> Sequence[Fault]:
    """Nothing happens."""
    return ()


def cuts(seed: int, most: int, least: int = 1000) -> Scenario:
    """Each connection ends, in one of two ways, when so many bytes have gone through."""
    chance = random.Random(seed)

    def scenario(number: int) -> Sequence[Fault]:
        at = chance.randrange(least, most)
        return (Fault("cut" if chance.random() < 0.5 else "reset", at=at),)

    return scenario


def weather(
    seed: str, most: int, *, longest: float = 0.3, weights: dict[Kind, float] | None = None
) -> Scenario:
    """Faults of all kinds, several to a connection.

    Args:
        most: bytes that a connection lives for.
        longest: seconds that one fault takes at most.
        weights: how often each kind comes, compared to the others.
    """
    shares: dict[Kind, float] = {
        "cut": 4,
        "reset": 6,
        "half_close": 1,
        "refuse": 1,
        "silence": 0.5,
        "stall": 2,
        "delay": 1,
        "slice": 2,
        **(weights or {}),
    }
    kinds = list(shares)

    def scenario(number: int) -> Sequence[Fault]:
        chance = random.Random(f"{seed}/{number}")
        faults = []
        at = 0
        while not faults or faults[-1].kind not in ENDING:
            [kind] = chance.choices(kinds, [shares[kind] for kind in kinds])
            # some come while the connection opens or is resumed, which is what breaks most easily
            at += chance.randrange(0, 900 if chance.random() < 0.15 else most)
            seconds = chance.uniform(0, longest if kind in ENDING else longest / 4)
            if kind == "delay":
                seconds /= 20
            size = chance.choice([1, 7, 60, 500])
            faults.append(Fault(kind, at=at, seconds=seconds, size=size, up=chance.random() < 0.5))
        return faults

    return scenario


class _Passage:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: "FaultProxy",
        number: int,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.proxy = proxy
        self.number = number
        self.passed = 0
        self.client, self.server = client, server
        self.writers = (client[1], server[1])
        loop = asyncio.get_running_loop()
        faults = list(proxy.scenario(number))
        self.due = sorted((f for f in faults if f.at is not None), key=lambda fault: fault.at or 0)
        self._timers = [
            loop.call_later(f.after, self.strike, f) for f in faults if f.after is not None
        ]
        self._flows = {True: asyncio.Event(), False: asyncio.Event()}
        for flow in self._flows.values():
            flow.set()
        self._most, self._sliced, self._lag = 0, 0, 0.0
        self._ended = 0  # directions
        self._is_hidden = False
        self._first = bytearray()  # what the client sent first, to be sent twice
        self.over = loop.create_future()

    async def run(self) -> None:
        ways = [
            asyncio.ensure_future(self._forward(up=True)),
            asyncio.ensure_future(self._forward(up=False)),
        ]
        try:
            await self.over
        finally:
            for timer in self._timers:
                timer.cancel()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def calm(self) -> None:
        """Nothing more happens to it."""
        self.due.clear()
        self._most, self._lag = 0, 0.0
        for flow in self._flows.values():
            flow.set()

    async def _forward(self, *, up: bool) -> None:
        reader, writer = (
            (self.client[0], self.server[1]) if up else (self.server[0], self.client[1])
        )
        try:
            while data := await reader.read(65_536):
                if up and len(self._first) < 2048:
                    self._first += data
                await self._pass_on(data, writer, self._flows[up])
            await self._flows[up].wait()
            writer.write_eof()
        except (ConnectionError, OSError):
            self._over_unless_hidden("reset")
        self._ended += 1
        if self._ended == 2:
            self._over_unless_hidden("cut")

    async def _pass_on(
        self, data: bytes, writer: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        while data:
            await flow.wait()
            piece, data = self._next_piece(data)
            if self._lag and not self._most:
                await asyncio.sleep(self._lag)
            writer.write(piece)
            self.passed += len(piece)
            await writer.drain()
            while self.due and (self.due[0].at or 0) <= self.passed:
                self.strike(self.due.pop(0))
            if self._most:
                await asyncio.sleep(0)
                self._sliced -= len(piece)
                self._most = self._most if self._sliced > 0 else 0

    def _next_piece(self, data: bytes) -> tuple[bytes, bytes]:
        """What goes through before the next fault, and the rest."""
        room = len(data)
        if self._most:
            room = min(room, self._most)
        if self.due:
            room = min(room, max(1, (self.due[0].at or 0) - self.passed))
        return data[:room], data[room:]

    # -------------------------------------------------------------- faults

    def strike(self, fault: Fault) -> None:
        """Let *fault* happen now."""
        if self.over.done():
            return
        self.proxy.note(self.number, self.passed, fault)
        getattr(self, f"_{fault.kind}")(fault)

    def _cut(self, fault: Fault) -> None:
        self.end("cut")

    def _reset(self, fault: Fault) -> None:
        self.end("reset")

    def _refuse(self, fault: Fault) -> None:
        self.proxy.refuse(fault.seconds)
        self.end("reset")

    def _half_close(self, fault: Fault) -> None:
        self._flows[fault.up].clear()  # nothing follows the end
        with suppress(OSError):
            self.writers[fault.up].write_eof()
        self._later(fault.seconds, self.end, "reset")

    def _stall(self, fault: Fault) -> None:
        self._flows[fault.up].clear()
        self._later(fault.seconds, self._flows[fault.up].set)

    def _silence(self, fault: Fault) -> None:
        self.mute()
        self._later(fault.seconds, self.end, "reset")

    def _delay(self, fault: Fault) -> None:
        self._lag = fault.seconds

    def _slice(self, fault: Fault) -> None:
        self._most, self._sliced = fault.size, SLICED

    def _duplicate(self, fault: Fault) -> None:
        opening = resuming_part(bytes(self._first))
        if opening is not None:
            self.proxy.spawn(self.proxy.send_again(opening, fault.seconds))

    def _later(self, seconds: float, function: Callable[..., object], *args: Any) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, function, *args))

    def hide(self) -> None:
        """The client's side is reset, and the server is told nothing until the proxy is closed."""
        self._is_hidden = True
        self.mute()
        reset(self.client[1])

    def mute(self) -> None:
        """Nothing goes through any more."""
        for flow in self._flows.values():
            flow.clear()

    def _over_unless_hidden(self, how: str) -> None:
        if not self._is_hidden:
            self.end(how)

    def end(self, how: str) -> None:
        """Close both sides."""
        for writer in self.writers:
            writer.close() if how == "cut" else reset(writer)
        if not self.over.done():
            self.over.set_result(None)


class FaultProxy:
    """Forwards to *port* of this machine; what happens meanwhile is the scenario's matter."""

    def __init__(self, port: int, scenario: Scenario) -> None:
        self.port = 0
        self.behind = port
        self.scenario = scenario
        self.is_down = False
        self.connections = 0
        self.let_in: list[float] = []
        """When each connection reached the server."""
        self.struck: list[dict[str, Any]] = []
        """What happened: the connection, the bytes that had gone through, and the fault."""
        self.counts: Counter[str] = Counter()
        self._passages: set[_Passage] = set()
        self._refusing_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time

    @property
    def cuts(self) -> int:
        """How many connections were broken."""
        return sum(self.counts[kind] for kind in ENDING)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down or self._clock() < self._refusing_until:
            reset(writer)
            return
        try:
            behind = await asyncio.open_connection("127.0.0.1", self.behind)
        except OSError:
            reset(writer)
            return
        self.connections += 1
        self.let_in.append(self._clock())
        passage = _Passage(self, self.connections, (reader, writer), behind)
        self._passages.add(passage)
        try:
            with suppress(asyncio.CancelledError):  # the loop is stopped; streams would log it
                await passage.run()
        finally:
            self._passages.discard(passage)

    def note(self, connection: int, passed: int, fault: Fault) -> None:
        self.counts[fault.kind] += 1
        facts = {"connection": connection, "passed": passed, "t": round(time.time(), 3)}
        self.struck.append({**facts, **asdict(fault)})

    def refuse(self, seconds: float) -> None:
        """Let nobody in for *seconds*."""
        self._refusing_until = max(self._refusing_until, self._clock() + seconds)

    def calm(self) -> None:
        """Nothing more happens."""
        self.scenario = calm
        self._refusing_until = 0.0
        self.is_down = False
        for passage in self._passages:
            passage.calm()

    def cut(self) -> None:
        """Break all that is open."""
        for passage in list(self._passages):
            passage.strike(Fault("reset"))

    def stall(self) -> None:
        """Break the clients' side of all that is open; the server is told nothing for now."""
        for passage in list(self._passages):
            self.note(passage.number, passage.passed, Fault("silence"))
            passage.hide()

    def mute(self) -> None:
        """Nothing goes through any more on what is open, and nobody is told."""
        for passage in self._passages:
            passage.mute()

    def spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send_again(self, opening: bytes, seconds: float) -> None:
        """Send *opening* to the server on a connection of its own, and read what it says."""
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.behind)
            try:
                writer.write(opening)
                async with asyncio.timeout(seconds):
                    while await reader.read(65_536):
                        pass
            except TimeoutError:
                pass
            finally:
                reset(writer)

    async def close(self) -> None:
        for passage in list(self._passages):
            passage.end("reset")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def resuming_part(data: bytes) -> bytes | None:
    """The upgrade and the first message in *data*, if that asks for a session to be resumed."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found or len(rest) < 8:
        return None
    length, start = rest[1] & 127, 2
    if length == 126:
        length, start = int.from_bytes(rest[2:4], "big"), 4
    mask, payload = rest[start : start + 4], rest[start + 4 : start + 4 + length]
    if len(payload) < length:
        return None
    text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + found + rest[: start + 4 + length] if b'"resume"' in text else None


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError, ValueError, AttributeError):  # it may be gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(port: int, scenario: Scenario = calm) -> AsyncIterator[FaultProxy]:
    """A proxy before *port*; its own is in `FaultProxy.port`."""
    proxy = FaultProxy(port, scenario)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
