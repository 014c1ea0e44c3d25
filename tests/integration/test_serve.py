"""`pbweb serve` as a process: what it answers, what it refuses, and how it ends."""

import asyncio
import signal
import socket
from pathlib import Path

import pytest

import pbweb as pb
from pbweb.client import ConnectFailed
from pbweb.limits import ANNOUNCED
from tests.hostile.kit import Peer, read_head, upgrade
from tests.integration.process import PROJECT, ask, pbweb, running, serving

ROOT = "tests.integration.roots:IntegrationRoot"


class Callback(pb.Referenceable):
    def __init__(self) -> None:
        self.taken: list[object] = []

    def remote_take(self, value: object) -> str:
        self.taken.append(value)
        return "taken"


async def use(url: str, **options: object) -> None:
    """The main job, over whatever serves it."""
    async with pb.connect(url, **options) as connection:  # type: ignore[arg-type]
        root = await connection.getRootObject()
        assert await root.callRemote("echo", ["hello", 2**70, b"\0" * 5000]) == [
            "hello",
            2**70,
            b"\0" * 5000,
        ]
        counter = await root.callRemote("counter")
        assert await counter.callRemote("add", 2) == 2
        assert await root.callRemote("counter").callRemote("add", 12) == 12
        callback = Callback()
        assert await root.callRemote("callBack", callback, {"x": 1}) == "taken"
        assert callback.taken == [{"x": 1}]
        large = "a" * 900_000
        assert await root.callRemote("echo", large) == large
        assert await asyncio.gather(*(root.callRemote("echo", n) for n in range(500))) == list(
            range(500)
        )
        counter.release()


def test_who_comes_is_asked_before_the_upgrade() -> None:
    roots = "tests.integration.roots"
    with serving(f"{roots}:Door", "--authenticate", f"{roots}:who") as process:
        url = f"ws://localhost:{process.port}/pb"

        async def main() -> None:
            for headers in ({"Cookie": "name=alice"}, {"X-Name": "alice"}):
                async with pb.connect(url, headers=headers) as connection:
                    root = await connection.getRootObject()
                    assert await root.callRemote("whoAmI") == "alice"
            with pytest.raises(ConnectFailed, match="answered 401: say your name"):
                await pb.connect(url)
            with pytest.raises(ConnectFailed, match="answered 500: authenticating failed"):
                await pb.connect(url, headers={"Authorization": "Bearer of nothing"})

        asyncio.run(main())
        process.wait_for("ERROR pbweb: authenticate raised ")


def test_the_python_client_at_both_paths() -> None:
    with serving(ROOT) as process:
        for path in ("/pb", "/pb/"):
            asyncio.run(use(f"ws://localhost:{process.port}{path}"))
        assert "Traceback" not in process.output
        process.signal(signal.SIGTERM)
        assert process.end() == 0
    assert "Traceback" not in process.output


def test_the_files_of_the_javascript_client() -> None:
    folder = PROJECT / "client_js" / "src"
    with serving(ROOT) as process:
        names = sorted(path.name for path in folder.glob("*.js"))
        assert "pbweb.js" in names
        for name in names:
            status, headers, body = ask(process.port, f"/pb/{name}")
            assert status == 200
            assert body == (folder / name).read_bytes()
            assert headers["content-type"] == "text/javascript; charset=utf-8"
            assert headers["x-content-type-options"] == "nosniff"
        status, headers, body = ask(process.port, "/pb/pbweb.js", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["content-length"]) == (folder / "pbweb.js").stat().st_size
        for path in ("/pb/", "/pb/nosuch.js", "/pb/../pyproject.toml", "/pb/%2e%2e/README.md",
                     "/pb/pbweb.js/x", "/pb//pbweb.jsx", "/pb/__init__.py"):  # fmt: skip
            status, headers, body = ask(process.port, path)
            assert status == 404, path
            assert b'pbweb.js"' not in body
        status, headers, _ = ask(process.port, "/pb/pbweb.js", "POST")
        assert status == 405
        assert headers["allow"] == "GET, HEAD"


def test_health_and_no_page() -> None:
    with serving(ROOT) as process:
        for path in ("/healthz", "/readyz"):
            assert ask(process.port, path)[::2] == (200, b"ok\n")
        assert ask(process.port, "/")[0] == 404


def test_the_page_beside_the_target() -> None:
    with serving("examples.echo.app:EchoRoot") as process:
        status, headers, body = ask(process.port, "/")
        assert status == 200
        assert headers["content-type"].startswith("text/html")
        assert body == (PROJECT / "examples" / "echo" / "index.html").read_bytes()
        assert ask(process.port, "/app.py")[0] == 404


def test_a_folder_of_pages(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>the page</p>")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "style.css").write_text("p {}")
    (tmp_path.parent / "secret.txt").write_text("secret")
    with serving(ROOT, "--pages", str(tmp_path)) as process:
        assert ask(process.port, "/")[2] == b"<p>the page</p>"
        assert ask(process.port, "/sub/style.css")[1]["content-type"].startswith("text/css")
        assert ask(process.port, "/sub/")[0] == 404  # no listing
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt"):
            assert ask(process.port, path)[0] == 404
        assert ask(process.port, "/healthz")[0] == 200
        asyncio.run(use(f"ws://localhost:{process.port}/pb"))


def test_several_roots() -> None:
    with serving("tests.integration.roots:SEVERAL") as process:
        asyncio.run(use(f"ws://localhost:{process.port}/one/pb"))
        asyncio.run(use(f"ws://localhost:{process.port}/two/pb/"))
        assert ask(process.port, "/two/pb/pbweb.js")[0] == 200
        with pytest.raises(ConnectFailed, match=r"404.*/one/pb, /two/pb"):
            asyncio.run(use(f"ws://localhost:{process.port}/pb"))


def test_limits_are_set_and_announced() -> None:
    numbers = {name: 30 + at for at, name in enumerate(ANNOUNCED)} | {"message": 9000}
    options = [part for name, n in numbers.items() for part in ("--limit", f"{name}={n}")]

    async def version(port: int) -> object:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with Peer(reader, writer) as peer:
            peer.send_bytes(upgrade(f"localhost:{port}"))
            await read_head(reader)
            peer.greet()
            return (await peer.next("version"))[2]["limits"]

    with serving(ROOT, *options, "--limit", "stall=7.5") as process:
        assert asyncio.run(version(process.port)) == numbers


def test_origins_and_hosts() -> None:
    async def status(port: int, host: str, *headers: tuple[str, str]) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with Peer(reader, writer) as peer:
            peer.send_bytes(upgrade(host, headers=headers))
            return (await read_head(reader))[0]

    with serving(ROOT, "--origin", "https://a.example", "--origin", "https://b.example",
                 "--allow-host", "pb.example") as process:  # fmt: skip
        ours, port = "pb.example", process.port
        assert asyncio.run(status(port, ours, ("Origin", "https://b.example"))) == 101
        assert asyncio.run(status(port, ours, ("Origin", "https://c.example"))) == 403
        assert asyncio.run(status(port, "localhost")) == 400
    with serving(ROOT) as process:
        assert asyncio.run(status(process.port, "evil.example")) == 400


def test_an_unexpected_error_is_logged_once_and_masked_on_demand() -> None:
    async def fail(port: int) -> str:
        async with pb.connect(f"ws://localhost:{port}/pb") as connection:
            root = await connection.getRootObject()
            with pytest.raises(pb.RemoteError) as caught:
                await root.callRemote("fail")
            assert caught.value.check("builtins.ValueError")
            return caught.value.getErrorMessage()

    with serving(ROOT) as process:
        assert "MARK-of-the-fault" in asyncio.run(fail(process.port))
        process.signal(signal.SIGTERM)
        assert process.end() == 0
        assert process.output.count("Traceback") == 1
    with serving(ROOT, "--mask-errors") as process:
        said = asyncio.run(fail(process.port))
        assert "MARK" not in said
        process.signal(signal.SIGTERM)
        assert process.end() == 0
        entry = said.split("the error ")[1].split(" ")[0]
        assert f"[{entry}]" in process.output


# ------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuchmodule:Root"], "no module 'nosuchmodule'"),
        (["tests.integration.nosuch:Root"], "no module"),
        (["tests.integration.roots:Nosuch"], "has no 'Nosuch'"),
        (["tests.integration.roots"], "MODULE:NAME"),
        (["tests.integration.roots:"], "MODULE:NAME"),
        (["tests.integration.roots:NOT_A_ROOT"], "no pb.Root"),
        (["tests.integration.roots:Counter"], "pb.Root"),
        ([ROOT, "--limit", "nosuch=1"], "no limit"),
        ([ROOT, "--limit", "calls=many"], "calls=many"),
        ([ROOT, "--limit", "calls=0"], "positive"),
        ([ROOT, "--limit", "calls=1.5"], "calls=1.5"),
        ([ROOT, "--limit", "calls"], "calls"),
        ([ROOT, "--limit", "stall=nan"], "stall"),
        ([ROOT, "--port", "65536"], "no port"),
        ([ROOT, "--port", "http"], "no port"),
        ([ROOT, "--pages", "/nosuchfolder"], "not there"),
        ([], "MODULE:NAME"),
    ],
)  # fmt: skip
def test_what_cannot_be_served(arguments: list[str], said: str) -> None:
    with running(pbweb("serve", *arguments)) as process:
        assert process.end() == 2
        assert said in process.output
        assert "Traceback" not in process.output


def test_a_port_that_is_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running(pbweb("serve", ROOT, "--port", port)) as process:
            assert process.end() not in (0, -signal.SIGTERM)
            assert "in use" in process.output
            assert port in process.output
            assert "Traceback" not in process.output


def test_a_root_that_cannot_be_made_ends_before_it_serves_or_with_1011() -> None:
    with running(pbweb("serve", "tests.integration.roots:Broken", "--port", "0")) as process:
        assert process.end() != 0
        assert "this root cannot be made" in process.output
