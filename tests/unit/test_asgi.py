"""pbweb.asgi: roots for sessions, the check of the opening, and the ASGI application by hand."""

import asyncio

import orjson
import pytest

import pbweb as pb
from pbweb.asgi import Endpoint, _AsgiLink, client_files, endpoint
from tests.unit.paired import MINUTE, LogRecords


class Root(pb.Root):
    def remote_echo(self, value):
        return value

    async def remote_wait(self):
        await asyncio.Event().wait()


def scope(**changes):
    headers = {
        "host": "example.test",
        "sec-websocket-protocol": "pb.json.1",
        **changes.pop("headers", {}),
    }
    return {
        "type": "websocket",
        "scheme": "ws",
        "path": "/pb",
        "root_path": "",
        "extensions": {"websocket.http.response": {}},
        "headers": [
            (name.encode(), value.encode()) for name, value in headers.items() if value is not None
        ],
        **changes,
    }


class Client:
    """Drives an ASGI application: what it sends is in `sent`."""

    def __init__(self, application, the_scope):
        self.incoming = asyncio.Queue()
        self.sent = asyncio.Queue()
        self.task = asyncio.ensure_future(application(the_scope, self.incoming.get, self.sent.put))
        self.incoming.put_nowait({"type": "websocket.connect"})

    def send(self, *frames):
        text = orjson.dumps(frames[0] if len(frames) == 1 else frames).decode()
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def frames(self):
        event = await self.sent.get()
        assert event["type"] == "websocket.send", event
        parsed = orjson.loads(event["text"])
        return [parsed] if isinstance(parsed[0], str) else parsed

    async def leave(self, code=1000):
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code})
        await self.task


def run(body, logged=0):
    async def main():
        async with asyncio.timeout(MINUTE):
            await body()

    with LogRecords() as records:
        asyncio.run(main())
    texts = [record.getMessage() for record in records]
    assert len(texts) == logged, texts
    return texts


# ----------------------------------------------------------------- roots


@pytest.mark.parametrize("root", [5, None, "text", int, pb.Referenceable, pb.Referenceable()])
def test_what_is_no_root_is_refused_at_once(root):
    with pytest.raises(TypeError):
        Endpoint(root)


def test_endpoint_is_the_class():
    assert endpoint is Endpoint
    assert Endpoint(Root).limits == pb.Limits()


@pytest.mark.parametrize(("kind", "number"), [("instance", 1), ("class", 1), ("factory", 3)])
def test_a_root_for_all_or_one_for_each(kind, number):
    made = []

    class Counted(Root):
        def __init__(self):
            made.append(self)

    async def body():
        app = Endpoint(
            Counted() if kind == "instance" else Counted if kind == "class" else lambda: Counted()
        )
        clients = [Client(app, scope()) for _ in range(3)]
        for client in clients:
            assert (await client.sent.get())["type"] == "websocket.accept"
            client.send(["version", 1])
            await client.frames()
        assert len(made) == number
        assert len(app.connections) == 3
        for client in clients:
            await client.leave()
        assert not app.connections

    run(body)


# ------------------------------------------------------------------ ASGI


def test_a_session_over_asgi():
    async def body():
        client = Client(Endpoint(Root, names={"more": Root()}), scope())
        assert await client.sent.get() == {"type": "websocket.accept", "subprotocol": "pb.json.1"}
        client.send(["version", 1], ["message", 1, "root", "echo", ["hello"]])
        assert [frame[0] for frame in await client.frames()] == ["version", "answer"]
        client.send(["message", 2, "more", "echo", [5]])
        assert await client.frames() == [["answer", 2, 5]]
        await client.leave()

    run(body)


def test_bytes_over_asgi():
    async def body():
        client = Client(Endpoint(Root), scope())
        await client.sent.get()
        client.send(["version", 1, {"binary": True}])
        await client.frames()
        data = b'["message",1,"root","echo",[{"$":"bytes","at":0}]]'
        message = (
            len(data).to_bytes(4, "little") + data + (2000).to_bytes(4, "little") + b"x" * 2000
        )
        client.incoming.put_nowait({"type": "websocket.receive", "bytes": message})
        event = await client.sent.get()
        assert event["bytes"].endswith(b"x" * 2000)
        await client.leave()

    run(body)


def test_a_protocol_error_closes_with_its_code():
    async def body():
        client = Client(Endpoint(Root), scope())
        await client.sent.get()
        client.send(["hello"])
        assert (await client.frames())[-1][:2] == ["close", 4400]
        closed = await client.sent.get()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4400)
        await client.leave()

    run(body)


@pytest.mark.parametrize("window", [0, 60])
def test_when_the_session_of_a_peer_that_went_ends_its_calls_are_cancelled(window):
    async def body():
        app = Endpoint(Root, limits=pb.Limits(resume_window=window))
        client = Client(app, scope())
        await client.sent.get()
        client.send(["version", 1], ["message", 1, "root", "wait"])
        await client.frames()
        [connection] = app.connections
        assert connection.broker.incoming.count() == 1
        await client.leave(1001)
        if window:
            assert connection.status == "interrupted"
            assert connection.broker.incoming.count() == 1
            app.close()
        assert connection.session.ended
        assert connection.broker.incoming.count() == 0

    run(body)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"origin": "http://evil.test"}, 403),
        ({"sec-websocket-protocol": None}, 400),
        ({"host": None}, 400),
    ],
)
def test_a_refusal_is_answered_before_the_upgrade(changed, status):
    async def body():
        client = Client(Endpoint(Root), scope(headers=changed))
        await client.task
        start, end = client.sent.get_nowait(), client.sent.get_nowait()
        assert start["type"] == "websocket.http.response.start"
        assert start["status"] == status
        assert end["body"]
        client = Client(Endpoint(Root), scope(headers=changed, extensions={}))
        await client.task
        assert client.sent.get_nowait()["type"] == "websocket.close"

    for text in run(body, logged=2):
        assert f"was refused with {status}: " in text


async def get(path, method="GET", root_path=""):
    sent = []

    async def send(event):
        sent.append(event)

    request = {
        "type": "http",
        "path": path,
        "root_path": root_path,
        "method": method,
        "headers": [],
    }
    await Endpoint(Root)(request, None, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body.get("body", b"")


def test_the_javascript_client_is_served():
    async def body():
        files = client_files()
        assert "pbweb.js" in files
        for name, (kind, content) in files.items():
            status, given, data = await get(f"/pb/{name}", root_path="/pb")
            assert (status, data) == (200, content)
            assert given[b"content-type"] == kind.encode() == b"text/javascript; charset=utf-8"
            assert given[b"x-content-type-options"] == b"nosniff"
            assert given[b"access-control-allow-origin"] == b"*"
        status, given, data = await get("/pbweb.js", "HEAD")
        assert (status, data) == (200, b"")
        assert int(given[b"content-length"]) == len(files["pbweb.js"][1])

    run(body)


@pytest.mark.parametrize(
    "path", ["/", "", "/nowhere.js", "/../pyproject.toml", "/..%2f", "/pbweb.js/x"]
)
def test_nothing_else_is_served(path):
    async def body():
        status, _, data = await get(path)
        assert status == 404
        assert b"WebSocket" in data

    run(body)


def test_other_methods_are_405():
    async def body():
        assert (await get("/pbweb.js", "POST"))[0] == 405

    run(body)


def test_lifespan_is_answered():
    async def body():
        events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent = []

        async def receive():
            return events.pop(0)

        async def send(event):
            sent.append(event["type"])

        app = Endpoint(Root)
        await app({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert app.parking.is_closed

    run(body)


def test_at_the_end_of_a_mounted_endpoint_sessions_without_a_connection_end():
    async def body():
        app = Endpoint(Root, limits=pb.Limits(resume_window=60))
        client = Client(app, scope())
        await client.sent.get()
        client.send(["version", 1])
        await client.frames()
        [connection] = app.connections
        async with app.lifespan():
            await client.leave(1006)
            assert connection.status == "interrupted"
            assert not app.parking.is_closed
        assert connection.status == "ended"
        assert app.parking.is_closed

    run(body)


def test_or_else_closes_the_endpoint_before_the_application_stops():
    async def application(_scope, receive, _send):
        assert (await receive())["type"] == "lifespan.startup"
        assert not app.parking.is_closed
        assert (await receive())["type"] == "lifespan.shutdown"
        assert app.parking.is_closed

    async def has_none(_scope, _receive, _send):
        raise ValueError("as Django says")

    app, other = Endpoint(Root), Endpoint(Root)

    async def body():
        events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive():
            return events.pop(0)

        await app.or_else(application)({"type": "lifespan"}, receive, None)
        with pytest.raises(ValueError, match="Django"):
            await other.or_else(has_none)({"type": "lifespan"}, receive, None)
        assert not other.parking.is_closed

    run(body)


# uvicorn puts its --root-path before the path; Hypercorn and Granian leave the path as it came.
@pytest.mark.parametrize("is_before_the_path", [True, False])
@pytest.mark.parametrize("root_path", ["", "/app", "/app/", "/p"])
def test_or_else_answers_at_its_path_and_beneath_and_the_application_elsewhere(
    root_path, is_before_the_path
):
    seen = []

    async def application(scope, receive, send):
        seen.append(scope.get("path", scope["type"]))

    both = Endpoint(Root).or_else(application, "/pb")

    async def body():
        prefix = root_path.rstrip("/") if is_before_the_path else ""
        for path in ("/", "/pbx", "/x/pb", "/p"):
            request = {"type": "http", "path": prefix + path, "root_path": root_path}
            await both(request, None, None)
        await both({"type": "lifespan"}, None, None)
        assert seen == [*(prefix + path for path in ("/", "/pbx", "/x/pb", "/p")), "lifespan"]
        for path in ("/pb", "/pb/"):
            client = Client(both, scope(path=prefix + path, root_path=root_path))
            assert (await client.sent.get())["type"] == "websocket.accept"
            await client.leave()
            await client.task
        assert len(seen) == 5

    run(body)


@pytest.mark.parametrize("path", ["", "/", "pb", "//"])
def test_or_else_leaves_something_over(path):
    with pytest.raises(ValueError, match="/pb"):
        Endpoint(Root).or_else(Endpoint(Root), path)


@pytest.mark.parametrize("path", ["/pbweb.js", "/pbweb.js/", "/pb/pbweb.js", "/app/pb/pbweb.js"])
def test_the_client_is_found_whatever_a_mount_did_with_its_prefix(path):
    async def body():
        assert (await get(path))[0] == 200

    run(body)


def test_a_timer_that_sends_share_ends_only_the_one_that_does_not_move():
    async def body():
        async def send(_event): ...

        endpoint = pb.endpoint(pb.Root, limits=pb.Limits(stall=3600))
        link = _AsgiLink(send, endpoint.limits)
        link.connection = connection = endpoint.connect(link)
        loop = asyncio.get_running_loop()
        link._check_stall()  # the send it was started for has ended
        assert link._stall is None
        link._sending_since = loop.time() - 3000  # one that began later has time left
        link._check_stall()
        assert link._stall is not None
        assert not connection.session.ended
        link._stall.cancel()
        link._sending_since = loop.time() - 3600
        link._check_stall()
        assert connection.session.closing == (4440, "")
        connection.lost("the test is over")

    asyncio.run(body())
