"""Each mistake that a newcomer makes, and what they are told: the way out stands in the text.

docs/mistakes.md has the same in tables. The JavaScript client's are in
client_js/test/mistakes.test.js and tests/e2e/test_mistakes.py.
"""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from websockets.asyncio.server import serve as serve_websocket

import pbweb as pb
from tests.hostile.test_tls import CERTIFICATE
from tests.integration.process import PROJECT, Process, serving

MINUTE = 60.0
TARGET = "tests.integration.mistakes_app:Newcomer"


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving(TARGET) as process:
        yield process


def refusal(url: str, **options: Any) -> str:
    """What `pb.connect` says."""

    async def main() -> str:
        async with asyncio.timeout(MINUTE):
            with pytest.raises(pb.ConnectFailed) as caught:
                await pb.connect(url, **options)
            return str(caught.value)

    said = asyncio.run(main())
    assert said.startswith(url)
    return said.removeprefix(url)


def ask(server: Process, body: Callable[[pb.RemoteReference], Awaitable[None]]) -> None:
    """Run *body* with the server's root."""

    async def main() -> None:
        async with (
            asyncio.timeout(MINUTE),
            pb.connect(f"ws://localhost:{server.port}/pb") as connection,
        ):
            await body(await connection.getRootObject())

    asyncio.run(main())


# ------------------------------------------------------------------ wrong address


def test_no_server_at_this_port() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        said = refusal(f"ws://127.0.0.1:{taken.getsockname()[1]}/pb")
    assert "nobody answers there" in said
    assert "is the server running, and the port right?" in said


def test_no_host_of_this_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_name(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", no_name)
    said = refusal("ws://sever.test/pb")
    assert said == ": no such host: Name or service not known; is the name right?"


def test_a_path_where_there_is_nothing(server: Process) -> None:
    said = refusal(f"ws://localhost:{server.port}/pbb")
    assert said == " answered 404: WebSockets are answered at /pb"


class Page(BaseHTTPRequestHandler):
    """A web server that makes nothing of an upgrade."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>A page</title>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web_server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Page) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join(MINUTE)


def test_a_page_and_no_websocket(web_server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"ws://127.0.0.1:{web_server.server_port}/"
    assert "does not answer as a WebSocket" in refusal(url)  # HTTP/1.0, as `python -m http.server`
    monkeypatch.setattr(Page, "protocol_version", "HTTP/1.1")
    assert refusal(url) == (
        " answered 200: there are pages under this path, no pbweb endpoint; "
        "`pbweb serve` has it at /pb"
    )


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://localhost:8000/pb", "; did you mean 'ws://localhost:8000/pb'?"),
        ("https://pb.test/pb", "; did you mean 'wss://pb.test/pb'?"),
        ("localhost:8000/pb", ""),
        ("./pb", ""),
    ],
)
def test_an_address_that_is_no_websockets(url: str, meant: str) -> None:
    with pytest.raises(ValueError, match="no ws:// or wss:// URL") as caught:
        asyncio.run(pb.connect(url)._connect())
    assert str(caught.value) == f"{url!r} is no ws:// or wss:// URL{meant}"


def test_tls_where_there_is_none(server: Process) -> None:
    said = refusal(f"wss://localhost:{server.port}/pb")
    assert said == ": it does not speak TLS; is it ws://, not wss://?"


def test_no_tls_where_there_is_and_a_certificate_of_ones_own() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)

    async def main() -> None:
        async with serve_websocket(_nothing, "127.0.0.1", 0, ssl=context) as there:
            port = there.sockets[0].getsockname()[1]
            with pytest.raises(pb.ConnectFailed, match=r"does it speak TLS \(wss://\)\?"):
                await pb.connect(f"ws://localhost:{port}/pb")
            with pytest.raises(pb.ConnectFailed, match=r"not trusted .*; pass ssl=… of your own"):
                await pb.connect(f"wss://localhost:{port}/pb")

    asyncio.run(main())


async def _nothing(websocket: Any) -> None:
    await websocket.wait_closed()


def test_a_websocket_of_another_program() -> None:
    async def main() -> None:
        async with serve_websocket(_nothing, "127.0.0.1", 0) as there:
            port = there.sockets[0].getsockname()[1]
            with pytest.raises(pb.ConnectFailed) as caught:
                await pb.connect(f"ws://127.0.0.1:{port}/pb")
            said = str(caught.value)
            assert "no pbweb endpoint: it does not speak pb.json.1" in said
            assert "is another program at this port or path?" in said

    asyncio.run(main())


# --------------------------------------------------------------------- wrong origin


def test_an_origin_that_is_not_allowed(server: Process) -> None:
    url = f"ws://localhost:{server.port}/pb"
    said = refusal(url, origin="http://localhost:3000")
    way_out = (
        f"403: the origin 'http://localhost:3000' may not connect to 'http://localhost:{server.port}'"
        "; allow it with `pbweb serve --origin` or origins=[…]"
    )
    assert said == f" answered {way_out}"
    logged = f"WARNING pbweb: an upgrade from '127.0.0.1' was refused with {way_out}"
    server.wait_for(re.escape(logged))


def test_the_way_out_of_a_wrong_origin_is_one() -> None:
    with serving(TARGET, "--origin", "http://localhost:3000") as process:

        async def main() -> None:
            url = f"ws://localhost:{process.port}/pb"
            async with pb.connect(url, origin="http://localhost:3000") as connection:
                root = await connection.getRootObject()
                assert await root.callRemote("getTwo") == "two"

        asyncio.run(main())


# ------------------------------------------------------- wrong name, forgotten prefix


def test_a_name_that_is_not_there_and_one_that_is_close(server: Process) -> None:
    async def body(root: pb.RemoteReference) -> None:
        with pytest.raises(pb.NoSuchMethod) as caught:
            await root.callRemote("get_two")
        assert str(caught.value) == (
            "no method 'get_two': the object's class has to define it as remote_get_two"
        )
        with pytest.raises(pb.NoSuchMethod, match="callers leave the prefix remote_ out"):
            await root.callRemote("remote_getTwo")

    ask(server, body)
    server.wait_for(
        "WARNING pbweb: a peer called what Newcomer does not have, but is spelled nearly as "
        "remote_getTwo"
    )


def test_a_prefix_that_was_forgotten(server: Process) -> None:
    async def body(root: pb.RemoteReference) -> None:
        with pytest.raises(pb.NoSuchMethod) as caught:
            await root.callRemote("forgetful").callRemote("three", 12)
        assert str(caught.value) == (
            "no method 'three': the object's class has to define it as remote_three"
        )

    ask(server, body)
    server.wait_for(
        "WARNING pbweb: a peer called Forgetful.three, which lacks the prefix: "
        "rename it to remote_three if peers may call it"
    )


def test_a_method_of_what_is_a_value(server: Process) -> None:
    async def body(root: pb.RemoteReference) -> None:
        with pytest.raises(pb.NoSuchMethod, match="this is a value, not an object to be called"):
            await root.callRemote("getTwo").callRemote("upper")

    ask(server, body)


# ---------------------------------------------------------------------- logging in


def logging_in(port: int, body: Callable[[pb.Connection], Awaitable[None]]) -> None:
    """Run *body* with a connection to what is served there."""

    async def main() -> None:
        async with (
            asyncio.timeout(MINUTE),
            pb.connect(f"ws://localhost:{port}/pb") as connection,
        ):
            await body(connection)

    asyncio.run(main())


def test_a_login_where_nobody_can_log_in(server: Process) -> None:
    async def body(connection: pb.Connection) -> None:
        with pytest.raises(pb.NoSuchMethod):
            await connection.login(pb.Anonymous())

    logging_in(server.port, body)
    server.wait_for("WARNING pbweb: a peer wants to log in, and Newcomer is no pb.Portal")


def test_credentials_that_are_none_and_those_that_nobody_checks() -> None:
    async def body(connection: pb.Connection) -> None:
        wrong: Any = {"username": "alice"}
        with pytest.raises(TypeError, match=r"credentials are pb.UsernamePassword\(…\)"):
            connection.login(wrong)
        wrong = pb.Token(b"x")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="must be str, not bytes"):
            connection.login(wrong)
        with pytest.raises(pb.UnauthorizedLogin):
            await connection.login(pb.Token("x"))
        visitor = await connection.login(pb.Anonymous())
        with pytest.raises(pb.NoSuchMethod):
            await visitor.callRemote("look")

    with serving("tests.integration.mistakes_app:portal") as process:
        logging_in(process.port, body)
        process.wait_for("no checker takes its kind, they take anonymous")
        process.wait_for(
            "a peer called Visitor.remote_look, which has the prefix of another kind of object: "
            "rename it to perspective_look if peers may call it"
        )


# -------------------------------------------------------------- unregistered class


class Dangerous:
    """It inherits from nothing that crosses."""


WAY_OUT = (
    "let the class inherit from pb.Referenceable to send a reference to the object, "
    "or from pb.Copyable to send a copy of it"
)


def test_an_argument_of_a_class_that_does_not_cross(server: Process) -> None:
    async def body(root: pb.RemoteReference) -> None:
        with pytest.raises(pb.InsecureJelly) as caught:
            await root.callRemote("echo", {"things": [1, Dangerous()]})
        assert str(caught.value) == (
            f"args[0].things[1] cannot be sent: it is of the class {__name__}.Dangerous; {WAY_OUT}"
        )
        with pytest.raises(pb.InsecureJelly, match="await it first"):
            await root.callRemote("echo", asyncio.get_running_loop().create_future())

    ask(server, body)


def test_a_result_of_a_class_that_does_not_cross(server: Process) -> None:
    text = (
        "answer.things[0] cannot be sent: it is of the class "
        f"tests.integration.mistakes_app.Plain; {WAY_OUT}"
    )

    async def body(root: pb.RemoteReference) -> None:
        with pytest.raises(pb.InsecureJelly) as caught:
            await root.callRemote("plain")
        assert str(caught.value) == text

    ask(server, body)
    server.wait_for(re.escape(f"WARNING pbweb: the answer of 'plain' cannot be sent: {text}"))


def test_what_is_no_stream_and_what_was_one(server: Process) -> None:
    async def body(root: pb.RemoteReference) -> None:
        with pytest.raises(pb.InsecureJelly, match="or make it an async generator to send a"):
            await root.callRemote("generate")
        stream = await root.callRemote("stream")
        assert [item async for item in stream] == [1]
        with pytest.raises(pb.Error, match="a stream is read once"):
            aiter(stream)
        with pytest.raises(TypeError, match="the call returned no stream, but str"):
            await anext(aiter(root.callRemote("getTwo")))

    ask(server, body)


# -------------------------------------------------------------------- blocked loop


@pytest.mark.parametrize("name", ["block", "blockLater"])
def test_a_method_that_blocks_the_loop(server: Process, name: str) -> None:
    async def body(root: pb.RemoteReference) -> None:
        await root.callRemote(name)

    ask(server, body)
    server.wait_for(
        rf"WARNING pbweb: Newcomer\.remote_{name} has blocked the event loop for \d+ ms and goes "
        r"on, at line \d+ of mistakes_app\.py: nobody is served meanwhile\. Await what it waits "
        r"for, or have it run in a thread: pb\.in_thread\."
    )
    ended = server.wait_for(rf"Newcomer\.remote_{name} blocked the event loop for (\d+) ms")
    assert int(ended[1]) > 100


SOURCES = ("client_js/src/*.js", "pbweb/*.py", "server/pbweb_server/*.py")


def test_the_table_quotes_what_is_said() -> None:
    said = "".join(path.read_text() for names in SOURCES for path in PROJECT.glob(names))
    said = re.sub(r'["`]\s*\+?\s*\n\s*f?["`]', "", said)  # a text that goes on in the next line
    said = re.sub(r"\$?\{[^{}]*\}|%[ds]", "…", said)  # what is filled in
    quoted = re.findall(
        r"^\| `(.*?)`(?: \(.*?\))? \|", (PROJECT / "docs/mistakes.md").read_text(), re.MULTILINE
    )
    assert len(quoted) >= 20
    assert [text for text in quoted if text not in said] == []
