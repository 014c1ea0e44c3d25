"""A guarded server inside the test, and peers that may send any bytes."""

import asyncio
import base64
import json
import os
import socket
import ssl as tls
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.server import ServerState

import pbweb as pb
from pbweb.asgi import Endpoint
from pbweb.connection import Connection
from pbweb.frames import PROTOCOL, UNCOUNTED
from pbweb.limits import DEFAULT, Limits
from pbweb.testing import tables
from pbweb_server.app import application
from pbweb_server.protocol import http_class, websocket_class
from tests.clock import Clock
from tests.hostile.canary import MARK, Secrets, Singer, singing

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
SECONDS = 30.0  # for what takes milliseconds on a quiet machine


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.002)
    assert condition(), what


class Peer:
    """A WebSocket client that keeps no rules."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames: list[list[Any]] = []  # frames of the protocol that came and were not asked for
        self.pongs = 0
        self.received = 0  # counted frames
        self.sent = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self.is_eof = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        await self.cut()

    # ------------------------------------------------------------- sending

    def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    def send_ws(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        self.send_bytes(ws_frame(opcode, payload, fin=fin))

    def send(self, *frames: Any) -> None:
        """Send one message with *frames*: one alone, more as a batch."""
        self.sent += sum(frame[0] not in UNCOUNTED for frame in frames if frame)
        self.send_text(json.dumps(frames[0] if len(frames) == 1 else frames))

    def send_text(self, text: str) -> None:
        self.send_ws(TEXT, text.encode("utf-8", "surrogatepass"))

    def acknowledge(self) -> None:
        self.send(self.seen())

    def seen(self) -> list[Any]:
        """The ``ack`` of all that has come."""
        return ["ack", self.received, self.sent]

    def greet(self, version: int = 1, **options: Any) -> None:
        self.send(["version", version, options])

    async def drain(self) -> None:
        await self.writer.drain()

    # ------------------------------------------------------------- reading

    async def read_ws(self) -> tuple[int, bytes] | None:
        """The next WebSocket frame, or None at the end of the stream."""
        try:
            async with asyncio.timeout(SECONDS):
                head = await self.reader.readexactly(2)
                length = head[1] & 127
                if length == 126:
                    length = int.from_bytes(await self.reader.readexactly(2), "big")
                elif length == 127:
                    length = int.from_bytes(await self.reader.readexactly(8), "big")
                return head[0] & 15, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_eof = True
            return None

    async def _read_some(self) -> bool:
        """Sort one WebSocket frame in; False when there are no more."""
        got = await self.read_ws()
        if got is None:
            return False
        opcode, payload = got
        if opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            self.close_reason = payload[2:].decode()
            return False
        if opcode == PONG:
            self.pongs += 1
            return True
        if opcode == BINARY:
            payload = payload[4 : 4 + int.from_bytes(payload[:4], "little")]
        assert MARK.encode() not in payload, payload
        message = json.loads(payload)
        frames = [message] if isinstance(message[0], str) else message
        for frame in frames:
            if frame[0] == "version":
                Secrets.note(frame)
        self.received += sum(frame[0] not in UNCOUNTED for frame in frames)
        self.frames += frames
        return True

    async def next(self, *names: str) -> list[Any]:
        """The next frame with one of *names*; others before it are dropped."""
        while True:
            while self.frames:
                frame = self.frames.pop(0)
                if frame[0] in names:
                    return frame
            if not await self._read_some():
                raise AssertionError(
                    f"no {names} came; closed with {self.close_code} {self.close_reason}"
                )

    async def answer(self, request: int) -> list[Any]:
        """The answer or error to *request*."""
        while True:
            frame = await self.next("answer", "error")
            if frame[1] == request:
                return frame

    async def closed(self) -> tuple[int | None, list[Any] | None]:
        """Wait for the close; its code (None for a cut) and the frame ``close`` before it."""
        while await self._read_some():
            pass
        said = [frame for frame in self.frames if frame[0] == "close"]
        if self.close_code is not None and not self.writer.is_closing():
            self.send_ws(CLOSE, self.close_code.to_bytes(2, "big"))
        return self.close_code, said[-1] if said else None

    # ------------------------------------------------------------- ending

    async def ended(self) -> bytes:
        """Wait for the end of the stream, in whatever way; what came before it."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def cut(self) -> None:
        self.writer.transport.abort()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Go with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def ws_frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    length = len(payload)
    if length < 126:
        head = bytes([(128 if fin else 0) | opcode, 128 | length])
    elif length < 65536:
        head = bytes([(128 if fin else 0) | opcode, 128 | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([(128 if fin else 0) | opcode, 128 | 127]) + length.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload  # a mask of zeros changes nothing


def upgrade(
    host: str,
    path: str = "/pb",
    *,
    subprotocols: Iterable[str] = (PROTOCOL,),
    headers: Iterable[tuple[str, str]] = (),
    hosts: Iterable[str] | None = None,
) -> bytes:
    """The request of an upgrade."""
    lines = [f"GET {path} HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Host: {name}" for name in (hosts if hosts is not None else [host])]
    lines.append(f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}")
    lines.append("Sec-WebSocket-Version: 13")
    lines += [f"Sec-WebSocket-Protocol: {name}" for name in subprotocols]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of an HTTP response."""
    async with asyncio.timeout(SECONDS):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split(" ")[1]), headers


class Gateway:
    """The server under attack, with one well-behaved session that has to live through it."""

    def __init__(
        self, endpoint: Endpoint, state: ServerState, port: int, context: tls.SSLContext | None
    ) -> None:
        self.endpoint = endpoint
        self.state = state
        self.port = port
        self.host = f"localhost:{port}"
        self.client_tls = context
        self.canary: Any = None
        self.peers: list[Peer] = []
        self.beside: Connection | None = None  # the canary's, on the server
        self.turned: Clock | None = None

    @property
    def clock(self) -> Clock:
        """What the limits of all but the canary go by, in a gateway that is turned."""
        assert self.turned is not None
        return self.turned

    @property
    def url(self) -> str:
        return f"{'wss' if self.client_tls else 'ws'}://{self.host}/pb"

    async def raw(self, *, receive_buffer: int | None = None) -> Peer:
        """A TCP connection and nothing sent."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        options: dict[str, Any] = {}
        if self.client_tls:
            options = {"ssl": self.client_tls, "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(sock=sock, **options)
        self.peers.append(Peer(reader, writer))
        return self.peers[-1]

    async def refused(self, **options: Any) -> int:
        """The HTTP status with which an upgrade is answered."""
        async with await self.raw() as peer:
            peer.send_bytes(upgrade(self.host, **options))
            status, _ = await read_head(peer.reader)
            return status

    async def peer(
        self, *, greet: bool = True, receive_buffer: int | None = None, path: str = "/pb"
    ) -> Peer:
        """A peer whose upgrade is done; greeted unless it is not to."""
        peer = await self.raw(receive_buffer=receive_buffer)
        peer.send_bytes(upgrade(self.host, path))
        status, _ = await read_head(peer.reader)
        assert status == 101
        if greet:
            peer.greet()
            await peer.next("version")
        return peer

    def link(self, peer: Peer) -> Any:
        """What the server has for the connection of *peer*."""
        port = peer.writer.get_extra_info("sockname")[1]
        transports = {
            one: getattr(one, "_transport", None) or getattr(one, "transport", None)
            for one in self.state.connections
        }
        [link] = (
            one
            for one, transport in transports.items()
            if transport is not None and transport.get_extra_info("peername")[1] == port
        )
        return link

    async def arrives(self, peer: Peer, data: bytes) -> None:
        """Send *data*, a part of a message, and wait until the server has it."""
        liveness = self.link(peer)._connection.session.liveness
        heard = liveness.heard
        peer.send_bytes(data)
        await until(lambda: liveness.heard != heard)

    def attacked(self) -> list[Connection]:
        """The server's connections, but for the canary's."""
        return [one for one in self.endpoint.connections if one is not self.beside]

    async def check_canary(self) -> None:
        async with asyncio.timeout(SECONDS):
            assert await self.canary.callRemote("echo", "still here") == "still here"

    async def only_canary(self) -> None:
        """Wait until every other peer's connection is forgotten everywhere."""
        await until(lambda: len(self.endpoint.connections) == 1)
        await until(lambda: len(self.state.connections) == 1)
        await self.check_canary()


def on_clock(http: Any, websocket: Any, clock: Callable[[], Clock | None]) -> tuple[Any, Any]:
    """uvicorn's two classes, with timers that go by *clock* where there is one."""

    class Http(http):
        def connection_made(self, transport: asyncio.Transport) -> None:
            self.loop = clock() or self.loop
            super().connection_made(transport)

    class WebSocket(websocket):
        def _accept(self, *args: Any) -> None:
            turned = clock()
            with turned.in_charge() if turned else nullcontext():
                super()._accept(*args)

    return Http, WebSocket


def timers() -> list[Any]:
    """The timers that stand in asyncio's loop (uvloop shows none)."""
    scheduled = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return [handle for handle in scheduled if not handle.cancelled()]


@asynccontextmanager
async def gateway(
    root: Any,
    *,
    limits: Limits = DEFAULT,
    context: tls.SSLContext | None = None,
    client_tls: tls.SSLContext | None = None,
    pages: Path | None = None,
    turned: bool = False,
    **options: Any,
) -> AsyncIterator[Gateway]:
    """Serve *root* as `pbweb serve` does. At the end nothing of any peer may be left.

    Args:
        turned: whether the limits of all but the canary go by a clock that stands still until
            the test turns it.
    """
    before = set(map(id, timers()))
    options = {"hosts": ("localhost", "127.0.0.1"), **options}
    endpoint = Endpoint(root, limits=limits, **options)
    http: Any = http_class(limits)
    websocket: Any = websocket_class({"/pb": endpoint})
    if turned:
        http, websocket = on_clock(http, websocket, lambda: gate.turned)
    config = uvicorn.Config(
        application({"/pb": endpoint}, pages=pages),
        http=http,
        ws=websocket,
        log_config=None,
        access_log=False,
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
        "127.0.0.1",
        0,
        ssl=context,
    )
    gate = Gateway(endpoint, state, server.sockets[0].getsockname()[1], client_tls)
    try:
        async with pb.connect(gate.url, ssl=client_tls) as canary:
            gate.canary = await canary.getRootObject()
            [gate.beside] = endpoint.connections
            session = gate.beside.session
            gate.beside.setNameForLocal("singer", Singer())
            async with singing(canary.remoteForName("singer")):
                gate.turned = Clock() if turned else None
                yield gate
                await gate.only_canary()
        assert not any(tables(session).values()), tables(session)
        assert not any(tables(canary.session).values()), tables(canary.session)
    finally:
        for peer in gate.peers:  # uvloop is never closed with a transport that is open
            peer.writer.transport.abort()
        for connection in list(state.connections):
            connection.transport.abort() if hasattr(connection, "transport") else None
        server.close()
        await server.wait_closed()
    await until(lambda: not endpoint.connections and not state.connections)
    endpoint.close()  # nobody comes back to what is away
    statistics = endpoint.parking.statistics()
    assert not any(statistics[name] for name in ("sessions", "away", "bytes_away")), statistics
    assert gate.turned is None or not gate.turned.waiting(), gate.turned.waiting()
    left = [handle for handle in timers() if id(handle) not in before]
    left = [handle for handle in left if "Timeout" not in repr(handle)]  # of the test itself
    assert not left, left


def with_limits(**limits: Any) -> Limits:
    return replace(DEFAULT, **limits)
