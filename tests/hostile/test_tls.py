"""The same guards behind TLS, where closing and pausing go another way."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import pbweb as pb
from pbweb.client import ConnectFailed
from pbweb.limits import DEFAULT, Limits
from tests.hostile.kit import PING, TEXT, Gateway, gateway, until, with_limits, ws_frame
from tests.hostile.test_calls import Target, session_of
from tests.hostile.test_frames import ends_with

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@asynccontextmanager
async def secure(root: Any, limits: Limits = DEFAULT) -> AsyncIterator[Gateway]:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(CERTIFICATE)
    client = ssl.create_default_context(cafile=CERTIFICATE)
    async with gateway(root, limits=limits, context=server, client_tls=client) as gate:
        yield gate


async def test_the_main_job_over_wss() -> None:
    target = Target()
    async with secure(lambda: target) as gate:
        async with pb.connect(gate.url, ssl=gate.client_tls) as connection:
            root = await connection.getRootObject()
            large = "a" * 900_000
            assert await root.callRemote("echo", large) == large
            assert await root.callRemote("thing").callRemote("name") == "thing"
        with pytest.raises(ConnectFailed):
            await pb.connect(gate.url)  # nobody vouches for the certificate here
        with pytest.raises(ConnectFailed):
            await pb.connect(gate.url.replace("wss", "ws"))


async def test_the_origin_is_that_of_https() -> None:
    async with secure(Target()) as gate:
        assert await gate.refused(headers=[("Origin", f"https://{gate.host}")]) == 101
        assert await gate.refused(headers=[("Origin", f"http://{gate.host}")]) == 403


async def test_guards_over_tls() -> None:
    async with secure(Target(), with_limits(grace=0.3, message_time=0.2)) as gate:
        for data, code in (
            (b"\x81\xff" + (2**62).to_bytes(8, "big"), 1009),
            (ws_frame(PING) * 100, 4429),
            (ws_frame(TEXT, b"nonsense"), 4400),
            (ws_frame(TEXT, b"[", fin=False), 4408),
            (b"\x83\x80\0\0\0\0", 1002),
        ):
            peer = await gate.peer()
            peer.send_bytes(data)
            await ends_with(gate, peer, code)
        for how in ("reset", "cut"):
            peer = await gate.peer()
            peer.send(["message", 1, "root", "slow"])
            peer.reset() if how == "reset" else None
            await peer.cut()
            await gate.only_canary()


async def test_a_stalled_reader_over_tls() -> None:
    target = Target()
    async with secure(lambda: target, with_limits(stall=0.3, grace=0.3)) as gate:
        peer = await gate.peer(receive_buffer=4096)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(["message", 1, "root", "push", [{"$": "remote", "id": 1}, 5000, 1000]])
        await until(lambda: target.broker is not None and len(gate.endpoint.connections) == 2)
        session = session_of(gate, target).session
        await gate.only_canary()
        assert session.ended
        await peer.cut()


async def test_what_does_not_speak_tls() -> None:
    async with secure(Target()) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(b"GET /pb HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(30):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
        await gate.check_canary()
