"""`pb.endpoint` in applications and servers of others, and the guards that are left there."""

import asyncio
import importlib.util
import json
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import pbweb as pb
from pbweb.asgi import Endpoint
from pbweb.client import ConnectFailed
from pbweb.logs import CAUSED_BY_PEERS
from pbweb.testing import tables
from tests.hostile.kit import Peer, read_head, until, upgrade, with_limits
from tests.hostile.test_opening import ORIGINS
from tests.integration.process import free_port, listening, running
from tests.integration.roots import IntegrationRoot
from tests.integration.test_serve import use

Event = MutableMapping[str, Any]


async def _home(_request: object) -> PlainTextResponse:
    return PlainTextResponse("home")


def starlette_routes(endpoint: Endpoint) -> Any:
    return Starlette(routes=[Route("/", _home), *endpoint.routes("/pb")])


def starlette_mount(endpoint: Endpoint) -> Any:
    return Starlette(routes=[Route("/", _home), Mount("/pb", endpoint)])


def fastapi_routes(endpoint: Endpoint) -> Any:
    fastapi = pytest.importorskip("fastapi")
    application = fastapi.FastAPI()
    application.router.routes.extend(endpoint.routes("/pb"))
    application.get("/")(lambda: "home")
    return application


def fastapi_mount(endpoint: Endpoint) -> Any:
    fastapi = pytest.importorskip("fastapi")
    application = fastapi.FastAPI()
    application.mount("/pb", endpoint)
    application.get("/")(lambda: "home")
    return application


class _Server(uvicorn.Server):
    """Stock uvicorn, without its signal handlers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def stock_uvicorn(application: Any, **options: Any) -> AsyncIterator[int]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_config=None, timeout_graceful_shutdown=5, **options)
    server = _Server(config)
    task = asyncio.ensure_future(server._serve([sock]))
    await server.ready.wait()
    try:
        yield sock.getsockname()[1]
        await until(lambda: not server.server_state.tasks)
    finally:
        server.should_exit = True
        await task


def no_faults(test: Callable[[], Awaitable[None]]) -> None:
    """Run *test*; nothing may reach the loop's exception handler."""
    faults: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: faults.append(str(context)))
        async with asyncio.timeout(60):
            await test()

    asyncio.run(main())
    assert not faults


async def get(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with Peer(reader, writer) as peer:
        peer.send_bytes(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        return (await read_head(reader))[0]


async def opened(port: int, path: str = "/pb/", **options: Any) -> Peer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = Peer(reader, writer)
    peer.send_bytes(upgrade(f"localhost:{port}", path, **options))
    peer.status = (await read_head(reader))[0]  # type: ignore[attr-defined]
    return peer


@pytest.mark.parametrize(
    ("build", "paths", "ws"),
    [
        (starlette_routes, ("/pb", "/pb/"), "websockets-sansio"),
        (starlette_routes, ("/pb", "/pb/"), "auto"),
        (starlette_routes, ("/pb", "/pb/"), "wsproto"),
        (starlette_mount, ("/pb/",), "websockets-sansio"),
        (fastapi_routes, ("/pb", "/pb/"), "websockets-sansio"),
        (fastapi_mount, ("/pb/",), "websockets-sansio"),
    ],
)
def test_under_stock_uvicorn(
    build: Callable[[Endpoint], Any], paths: tuple[str, ...], ws: Any
) -> None:
    endpoint = pb.endpoint(IntegrationRoot)
    application = build(endpoint)

    async def test() -> None:
        async with stock_uvicorn(application, ws=ws) as port:
            assert await get(port, "/") == 200
            assert await get(port, "/pb/pbweb.js") == 200
            assert await get(port, "/pb/nosuch.js") == 404
            for path in paths:
                await use(f"ws://localhost:{port}{path}")
            await until(lambda: not endpoint.connections)
            if "/pb" not in paths:  # what the documentation warns of
                with pytest.raises(ConnectFailed):
                    await use(f"ws://localhost:{port}/pb")

    no_faults(test)


def test_refusals_under_stock_uvicorn() -> None:
    endpoint = pb.endpoint(
        IntegrationRoot,
        origins=["https://a.example"],
        hosts=["localhost"],
        limits=with_limits(message=5000),
    )

    async def test() -> None:
        async with stock_uvicorn(starlette_routes(endpoint)) as port:

            async def status(**options: Any) -> int:
                async with await opened(port, **options) as peer:
                    return int(peer.status)  # type: ignore[attr-defined]

            assert await status() == 101
            assert await status(headers=[("Origin", f"http://localhost:{port}")]) == 101
            assert await status(headers=[("Origin", "https://a.example")]) == 101
            assert await status(headers=[("Origin", "https://evil.test")]) == 403
            assert await status(headers=[("Origin", "null")]) == 403
            assert await status(hosts=["evil.test"]) == 400
            assert await status(subprotocols=["chat"]) == 400
            assert await status(subprotocols=[]) == 400

            for text, code in (("x" * 5001, 1009), ("nonsense", 4400), ('["version",2]', 4426)):
                async with await opened(port) as peer:
                    peer.send_text(text)
                    got, said = await peer.closed()
                    assert got == code
                    assert code < 4000 or (said is not None and said[1] == code)
            async with await opened(port) as peer:
                peer.greet()
                await peer.next("version")
                peer.reset()
        await until(lambda: not endpoint.connections)

    no_faults(test)


def test_all_origins_of_the_gateway_are_tried_on_stock_uvicorn() -> None:
    endpoint = pb.endpoint(IntegrationRoot, origins=["https://shop.example"])

    async def test() -> None:
        async with stock_uvicorn(starlette_routes(endpoint)) as port:
            for name, (pattern, status) in ORIGINS.items():
                if name == "10 KB":  # uvicorn hands a line that long on to nobody
                    continue
                origin = pattern.replace("{host}", f"localhost:{port}").replace("{port}", str(port))
                async with await opened(port, headers=[("Origin", origin)]) as peer:
                    got = peer.status  # type: ignore[attr-defined]
                assert got == status, name
            same = ("Origin", f"http://localhost:{port}")
            async with await opened(port, headers=[same, same]) as peer:  # uvicorn's own answer
                assert peer.status == 400  # type: ignore[attr-defined]
        await until(lambda: not endpoint.connections)

    no_faults(test)


MARK = "MARKOFASECRET"


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
def test_hosts_and_secrets_in_urls_under_stock_uvicorn(
    ws: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What is mounted has the guards against DNS rebinding and tokens in URLs without an option."""
    endpoint = pb.endpoint(IntegrationRoot)
    for logger in ("", "uvicorn.error", "uvicorn.access"):  # a server before may have set its own
        caplog.set_level(logging.INFO, logger)

    async def page(port: int, host: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with Peer(reader, writer) as peer:
            head = f"GET /pb/pbweb.js HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            peer.send_bytes(head.encode())
            return (await read_head(reader))[0]

    async def test() -> None:
        async with stock_uvicorn(starlette_routes(endpoint), ws=ws) as port:
            for host, status in (("localhost", 101), ("127.0.0.1:1", 101), ("evil.test", 400)):
                async with await opened(port, hosts=[host]) as peer:
                    assert peer.status == status  # type: ignore[attr-defined]
                assert await page(port, host) == (200 if status == 101 else 400)
            for query in (f"token={MARK}", f"a=1&pass%77ord={MARK}"):
                async with await opened(port, f"/pb/?{query}") as peer:
                    assert peer.status == 400  # type: ignore[attr-defined]
        await until(lambda: not endpoint.connections)

    no_faults(test)
    assert "token=***" in caplog.text
    assert MARK not in caplog.text
    assert endpoint.gate.refused == {"host": 2, "url": 2}
    for record in caplog.records:  # what uvicorn warns of then is bounded by our filter
        if record.name == "uvicorn.error" and record.levelno >= logging.WARNING:
            assert record.getMessage().startswith(tuple(CAUSED_BY_PEERS))


def test_hypercorn() -> None:
    hypercorn = pytest.importorskip("hypercorn.asyncio")
    from hypercorn.config import Config

    endpoint = pb.endpoint(IntegrationRoot)

    async def test() -> None:
        port = free_port()
        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        config.graceful_timeout = 0.5
        stop = asyncio.Event()
        task = asyncio.ensure_future(
            hypercorn.serve(starlette_routes(endpoint), config, shutdown_trigger=stop.wait)
        )
        await listening(port)
        await use(f"ws://localhost:{port}/pb")
        async with await opened(port, "/pb", headers=[("Origin", "https://evil.test")]) as peer:
            assert peer.status == 403  # type: ignore[attr-defined]
        async with await opened(port, "/pb", subprotocols=["chat"]) as peer:
            assert peer.status == 400  # type: ignore[attr-defined]
        await until(lambda: not endpoint.connections)
        stop.set()
        await task

    no_faults(test)


@pytest.mark.skipif(importlib.util.find_spec("granian") is None, reason="granian is not installed")
def test_granian() -> None:
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port),
               "--host", "127.0.0.1", "tests.integration.asgi_app:application"]  # fmt: skip

    async def test() -> None:
        await listening(port)
        await use(f"ws://localhost:{port}/pb")
        async with await opened(port, "/pb", headers=[("Origin", "https://evil.test")]) as peer:
            assert peer.status == 403  # type: ignore[attr-defined]

    with running(command) as process:
        asyncio.run(test())
        process.signal(signal.SIGTERM)
        process.end()
        assert "Traceback" not in process.output


# ----------------------------------------------- the guards, without a server


class Host:
    """What an ASGI server is to an application: a scope, `receive` and `send`."""

    def __init__(self, *, extension: bool = True, **headers: str) -> None:
        given = {"host": "localhost", "sec_websocket_protocol": "pb.json.1", **headers}
        self.scope: Event = {
            "type": "websocket",
            "path": "/pb",
            "scheme": "ws",
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in given.items()
            ],
            "extensions": {"websocket.http.response": {}} if extension else {},
        }
        self.incoming: asyncio.Queue[Event] = asyncio.Queue()
        self.sent: list[Event] = []
        self.room = asyncio.Event()
        self.room.set()
        self.broken = False
        self.incoming.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Event:
        return await self.incoming.get()

    async def send(self, event: Event) -> None:
        await self.room.wait()
        if self.broken:
            raise OSError("the peer is gone")
        self.sent.append(event)

    def say(self, *frames: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(frames)})

    def closed_with(self) -> int | None:
        codes = [event["code"] for event in self.sent if event["type"] == "websocket.close"]
        return codes[0] if codes else None


@pytest.mark.parametrize("extension", [True, False])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.test"}, 403),
        ({"host": "evil.test"}, 400),
        ({"sec_websocket_protocol": "chat"}, 400),
    ],
)
def test_a_refusal(headers: dict[str, str], status: int, extension: bool) -> None:
    endpoint = pb.endpoint(IntegrationRoot, hosts=["localhost"])

    async def test() -> None:
        host = Host(extension=extension, **headers)
        await endpoint(host.scope, host.receive, host.send)
        if extension:
            assert [event.get("status") for event in host.sent] == [status, None]
        else:  # a server turns a close before the accept into 403
            assert [event["type"] for event in host.sent] == ["websocket.close"]
        assert not endpoint.connections

    no_faults(test)


async def started(endpoint: Endpoint, host: Host) -> asyncio.Task[None]:
    task = asyncio.ensure_future(endpoint(host.scope, host.receive, host.send))
    host.say(["version", 1], ["message", 1, "root", "echo", [1]])
    await until(lambda: any('"answer"' in str(event.get("text")) for event in host.sent))
    return task


def assert_idle(endpoint: Endpoint, sessions: list[Any]) -> None:
    assert not endpoint.connections
    for session in sessions:
        assert session.ended
        assert not any(tables(session).values())


def test_a_send_that_stalls_is_ended() -> None:
    endpoint = pb.endpoint(IntegrationRoot, limits=with_limits(stall=0.1))

    async def test() -> None:
        host = Host()
        task = await started(endpoint, host)
        sessions = [one.session for one in endpoint.connections]
        host.room.clear()
        for number in range(2, 50):
            host.say(["message", number, "root", "echo", ["x" * 10_000]])
        await task
        assert_idle(endpoint, sessions)
        assert sessions[0].closing[0] == 4440

    no_faults(test)


def test_what_must_be_said_while_a_send_stalls_is_bounded() -> None:
    limits = with_limits(stall=3000, window_frames=50, grace=0.1)
    endpoint = pb.endpoint(IntegrationRoot, limits=limits)

    async def test() -> None:
        host = Host()
        task = await started(endpoint, host)
        session = next(iter(endpoint.connections)).session
        host.room.clear()
        number = 1
        while not session.ended:
            number += 10
            host.say(*(["message", number + n, "root", "nosuch"] for n in range(10)))
            await asyncio.sleep(0)
            assert len(session.broker.outbox) <= 2 * 50 + 20
            assert number < 10_000, "it goes on for ever"
        assert session.closing[0] == 4440
        await task
        assert_idle(endpoint, [session])

    no_faults(test)


@pytest.mark.parametrize(
    "how", ["disconnect", "broken send", "cancelled", "close frame", "garbage"]
)
def test_every_end_leaves_nothing(how: str) -> None:
    endpoint = pb.endpoint(IntegrationRoot)

    async def test() -> None:
        host = Host()
        task = await started(endpoint, host)
        sessions = [one.session for one in endpoint.connections]
        host.say(["message", 2, "root", "slow"], ["message", 3, "root", "counter"])
        match how:
            case "disconnect":
                host.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
            case "broken send":
                host.broken = True
            case "cancelled":
                task.cancel()
            case "close frame":
                host.say(["close", 7, "", False])
            case "garbage":
                host.incoming.put_nowait({"type": "websocket.receive", "bytes": None, "text": "x"})
        await asyncio.wait([task])
        assert how == "cancelled" or task.exception() is None
        assert not endpoint.connections
        if how in ("disconnect", "broken send", "cancelled"):  # the peer could come back
            assert [session.state for session in sessions] == ["detached"]
            endpoint.close()
        assert_idle(endpoint, sessions)
        if how == "close frame":
            assert host.closed_with() == 1000
        if how == "garbage":
            assert host.closed_with() == 4400

    no_faults(test)


def test_a_peer_that_never_speaks() -> None:
    endpoint = pb.endpoint(IntegrationRoot, limits=with_limits(first_frame=0.1))

    async def test() -> None:
        host = Host()
        await endpoint(host.scope, host.receive, host.send)
        assert host.closed_with() == 4408
        assert not endpoint.connections

    no_faults(test)


def test_a_connect_that_is_taken_back() -> None:
    endpoint = pb.endpoint(IntegrationRoot)

    async def test() -> None:
        host = Host()
        host.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await endpoint(host.scope, host.receive, host.send)
        assert not endpoint.connections

    no_faults(test)


def test_other_scopes_and_lifespan() -> None:
    endpoint = pb.endpoint(IntegrationRoot)

    async def test() -> None:
        host = Host()
        host.incoming = asyncio.Queue()
        for name in ("lifespan.startup", "lifespan.shutdown"):
            host.incoming.put_nowait({"type": name})
        await endpoint({"type": "lifespan"}, host.receive, host.send)
        assert [event["type"] for event in host.sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        await endpoint({"type": "nosuch"}, host.receive, host.send)

    no_faults(test)
