"""The applications of docs/mounting.md, as they stand there, under the servers that it names."""

import asyncio
import re
import signal
import sys
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

import pbweb as pb
from pbweb.asgi import client_files
from tests.hostile.kit import Peer, read_head, upgrade
from tests.integration.process import PROJECT, SECONDS, Process, free_port, listening, running
from tests.integration.roots import IntegrationRoot
from tests.integration.test_mounted import Host

DOCUMENT = (PROJECT / "docs" / "mounting.md").read_text()

# What `django-admin startproject mysite` makes, and a page.
DJANGO = {
    "mysite/__init__.py": "",
    "mysite/settings.py": "SECRET_KEY = 'x'\nROOT_URLCONF = 'mysite.urls'\nALLOWED_HOSTS = ['*']\n",
    "mysite/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n\n"
    "urlpatterns = [path('', lambda request: HttpResponse('home'))]\n",
}
APPLICATIONS = [
    "starlette_app:app",
    "fastapi_app:app",
    "litestar_app:app",
    "mysite.asgi:application",
    "quart_app:app",
    "plain_app:app",
]
LISTEN = {
    "uvicorn": ["--host", "127.0.0.1", "--port", "{port}"],
    "hypercorn": ["--bind", "127.0.0.1:{port}"],
    "granian": ["--host", "127.0.0.1", "--port", "{port}"],
}
BELIEVES_PROXIES = {"uvicorn"}
SEEN_AT_THE_END = {"uvicorn": 1012, "hypercorn": 1011, "granian": 1006}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python files that the document shows, by the names in their first lines."""
    made = tmp_path_factory.mktemp("mounting")
    shown = dict(re.findall(r"```python\n(?=# (\S+\.py)\n)(.*?)```", DOCUMENT, re.DOTALL))
    for name, text in {**shown, **DJANGO}.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text)
    return made


def serving(
    server: str, application: str, port: int, folder: Path
) -> AbstractContextManager[Process]:
    """*application* by the command that the document shows for *server*."""
    (shown,) = re.findall(rf"^{server} .*starlette_app:app.*$", DOCUMENT, re.MULTILINE)
    options = [word for word in shown.split()[1:] if word != "starlette_app:app"]
    listen = [word.format(port=port) for word in LISTEN[server]]
    return running([sys.executable, "-m", server, *options, application, *listen], cwd=folder)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return bytes(answer.read())


async def status(port: int, path: str, origin: str, **forwarded: str) -> int:
    """What an upgrade is answered with."""
    headers = [("Origin", origin), *((f"X-Forwarded-{key}", forwarded[key]) for key in forwarded)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with Peer(reader, writer) as peer:
        peer.send_bytes(upgrade(f"localhost:{port}", path, headers=headers))
        return (await read_head(reader))[0]


async def call_three(url: str) -> None:
    async with pb.connect(url) as connection:
        one = await connection.getRootObject()
        assert await one.callRemote("three", 12) == 36


async def use(port: int, server: str) -> None:
    await listening(port)
    assert b"home" in await asyncio.to_thread(fetch, f"http://localhost:{port}/")
    for name in ("pbweb.js", "session.js"):
        got = await asyncio.to_thread(fetch, f"http://localhost:{port}/pb/{name}")
        assert got == client_files()[name][1]
    for path in ("/pb", "/pb/"):
        await call_three(f"ws://localhost:{port}{path}")
        assert await status(port, path, f"http://localhost:{port}") == 101
        assert await status(port, path, "https://evil.example") == 403
    secure = await status(port, "/pb", f"https://localhost:{port}", Proto="https")
    assert secure == (101 if server in BELIEVES_PROXIES else 403)


@pytest.mark.parametrize("server", LISTEN)
@pytest.mark.parametrize("application", APPLICATIONS)
def test_an_application(folder: Path, application: str, server: str) -> None:
    port = free_port()
    with serving(server, application, port, folder) as process:
        asyncio.run(use(port, server))
        process.signal(signal.SIGTERM)
        assert process.end() in (0, -signal.SIGTERM)
        assert "Traceback" not in process.output


def test_what_the_root_needs_is_started_by_the_applications_lifespan(folder: Path) -> None:
    port = free_port()
    with serving("uvicorn", "lifespan_app:app", port, folder):
        asyncio.run(use(port, "uvicorn"))


@pytest.mark.parametrize("server", LISTEN)
def test_what_a_peer_sees_when_the_server_stops(folder: Path, server: str) -> None:
    port = free_port()

    async def scene(process: Process) -> int:
        await listening(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with Peer(reader, writer) as peer:
            peer.send_bytes(upgrade(f"localhost:{port}"))
            await read_head(reader)
            peer.greet()
            await peer.next("version")
            process.signal(signal.SIGTERM)
            code, _ = await peer.closed()
            return code or 1006

    with serving(server, "plain_app:app", port, folder) as process:
        assert asyncio.run(scene(process)) == SEEN_AT_THE_END[server]
        assert process.end() in (0, -signal.SIGTERM)


# ------------------------------------------- what was found of the frameworks


async def start_and_end(application: Any) -> None:
    """The lifespan of *application*, as a server runs it."""
    host = Host()
    host.incoming = asyncio.Queue()
    for name in ("lifespan.startup", "lifespan.shutdown"):
        host.incoming.put_nowait({"type": name})
    await application({"type": "lifespan", "state": {}}, host.receive, host.send)
    assert [event["type"].rpartition(".")[2] for event in host.sent] == ["complete"] * 2


@pytest.mark.parametrize("framework", ["Starlette", "FastAPI", "Litestar"])
def test_no_framework_tells_a_mounted_application_of_start_and_end(framework: str) -> None:
    seen: list[str] = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    if framework == "Litestar":
        application: Any = Litestar([asgi("/pb", is_mount=True, copy_scope=True)(mounted)])
    elif framework == "FastAPI":
        application = FastAPI()
        application.mount("/pb", mounted)
    else:
        application = Starlette(routes=[Mount("/pb", mounted)])
    asyncio.run(start_and_end(application))
    assert seen == []


def test_cors_middleware_does_not_guard_websockets() -> None:
    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()

    async def first_answer(path: str) -> Any:
        routes = [WebSocketRoute("/own", accept), *pb.endpoint(IntegrationRoot).routes("/pb")]
        guard = Middleware(CORSMiddleware, allow_origins=["https://a.example"])
        host = Host(origin="https://evil.example")
        host.scope["path"] = path
        await Starlette(routes=routes, middleware=[guard])(host.scope, host.receive, host.send)
        return host.sent[0]

    assert asyncio.run(first_answer("/own"))["type"] == "websocket.accept"
    assert asyncio.run(first_answer("/pb"))["status"] == 403
