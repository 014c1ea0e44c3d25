"""pbweb.asgi: roots for sessions, the check of the opening, and the ASGI application by hand."""

import asyncio
import re

import orjson
import pytest

import pbweb as pb
from pbweb import asgi
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


def gives_no_root():
    return pb.Referenceable()


class NoObject(pb.Root):
    def rootObject(self, broker):
        return "no object"


@pytest.mark.parametrize(
    ("root", "text"),
    [(gives_no_root, "the factory of the root returned"), (NoObject, "rootObject.. returned 'no")],
)
def test_a_root_that_cannot_be_made_ends_its_session_with_1011(root, text):
    async def body():
        client = Client(Endpoint(root), scope())
        await client.sent.get()
        client.send(["version", 1])
        event = await client.sent.get()
        while event["type"] != "websocket.close":
            event = await client.sent.get()
        assert event["code"] == 1011
        await client.leave()

    with LogRecords() as records:
        asyncio.run(body())
    [record] = records
    assert record.exc_info[0] is TypeError
    assert re.search(text, str(record.exc_info[1]))


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


def test_a_session_is_resumed_and_taken_over_over_asgi():
    async def body():
        app = Endpoint(Root)
        first = Client(app, scope())
        await first.sent.get()
        first.send(["version", 1])
        [[_, _, said]] = await first.frames()
        [connection] = app.connections
        await first.leave(1006)
        assert connection.status == "interrupted"
        for number in (1, 2):  # when it has lost its connection, and while it still has one
            client = Client(app, scope())
            await client.sent.get()
            lost = {"session": said["session"], "secret": said["secret"]}
            client.send(
                ["version", 1, {"resume": {**lost, "received": number - 1, "sent": number - 1}}]
            )
            [[_, _, said], *_] = await client.frames()
            assert said["resumed"] is True
            assert app.connections == {connection}
            client.send(["message", number, "root", "echo", [number]])
            assert ["answer", number, number] in await client.frames()
            if number == 1:
                older = client
        closed = await older.sent.get()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4409)
        await older.leave()
        assert app.connections == {connection}
        assert connection.status == "connected"
        await client.leave(1000)
        app.close()

    run(body)


def test_who_has_another_link_already_is_not_forgotten_with_the_old_one():
    async def body():
        app = Endpoint(Root)
        connection = app.connect(_AsgiLink(None, app.limits))
        app.forget(connection)
        assert app.connections == {connection}
        connection.session.end("the test is over")
        connection.lost("the test is over")
        app.forget(connection)
        assert app.connections == set()

    run(body)


def test_other_kinds_of_scopes_are_left_alone():
    async def body():
        await Endpoint(Root)({"type": "something new"}, None, None)

    run(body)


class Slow:
    """A link over a server whose `send` waits for `gate`."""

    def __init__(self, **limits):
        self.app = Endpoint(Root, limits=pb.Limits(**limits))
        self.gate = asyncio.Event()
        self.gate.set()
        self.incoming = asyncio.Queue()
        self.sent = asyncio.Queue()
        self.link = _AsgiLink(self._send, self.app.limits)
        self.link.connection = self.connection = self.app.connect(self.link)
        self.pump = None

    async def _send(self, event):
        await self.gate.wait()
        await self.sent.put(event)

    def start(self):
        self.pump = asyncio.ensure_future(self.link.pump(self.incoming.get))

    async def greet(self):
        self.start()
        self.receive(["version", 1])
        await self.frames()

    def receive(self, *frames):
        self.incoming.put_nowait(
            {"type": "websocket.receive", "text": orjson.dumps(frames).decode()}
        )

    async def frames(self):
        event = await self.sent.get()
        parsed = orjson.loads(event["text"])
        return [parsed] if isinstance(parsed[0], str) else parsed

    async def over(self):
        await self.pump
        self.app.close()
        assert self.connection.session.ended


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_a_server_that_takes_its_time_holds_the_session_back():
    async def body():
        slow = Slow()
        await slow.greet()
        slow.gate.clear()
        for number in (1, 2, 3):
            slow.receive(["message", number, "root", "echo", [number]])
        await until(lambda: slow.link._refused)
        assert slow.sent.empty()
        assert slow.link.unsent() == 0  # only the server knows
        slow.gate.set()
        answers = []
        while len(answers) < 3:
            answers += await slow.frames()
        assert answers == [["answer", number, number] for number in (1, 2, 3)]
        slow.incoming.put_nowait({"type": "websocket.disconnect"})
        await slow.over()

    run(body)


def test_what_comes_while_a_link_closes_is_nobodys():
    async def body():
        slow = Slow()
        await slow.greet()
        slow.gate.clear()
        slow.connection.session.close(4410, "the end")
        slow.connection.wake()
        await until(lambda: slow.link._closing is not None)
        slow.link.close(4400, "once is enough")
        received = slow.connection.session.received
        slow.receive(["message", 1, "root", "echo", [1]])
        await until(slow.incoming.empty)
        await asyncio.sleep(0)
        assert slow.connection.session.received == received
        slow.gate.set()
        await slow.over()
        events = [slow.sent.get_nowait() for _ in range(slow.sent.qsize())]
        assert events[-1] == {"type": "websocket.close", "code": 4410, "reason": "the end"}
        assert len(events) == 2  # and the frame that says it

    run(body)


def test_a_link_that_is_closed_before_it_is_there_closes_at_once():
    async def body():
        slow = Slow()
        slow.link.abort()  # there is nothing yet
        slow.link.close(1012, "the server is going away")
        slow.start()
        event = await slow.sent.get()
        assert (event["type"], event["code"]) == ("websocket.close", 1012)
        slow.connection.session.end("the test is over")
        await slow.over()

    run(body)


@pytest.mark.parametrize("how", ["abort", "stall"])
def test_a_send_that_does_not_move_is_given_up(how):
    async def body():
        slow = Slow(stall=3600)
        slow.start()
        slow.gate.clear()
        slow.receive(["version", 1])
        await until(lambda: slow.link._sending_since is not None)
        if how == "abort":
            slow.link.abort()
        else:
            slow.link._stall.cancel()
            slow.link._sending_since -= 3600
            slow.link._check_stall()
            assert slow.connection.session.closing[0] == 4440
        await slow.over()
        assert slow.sent.empty()

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


def test_files_are_for_the_hosts_that_are_answered():
    async def body():
        sent = []

        async def send(event):
            sent.append(event)

        request = {"type": "http", "path": "/pbweb.js", "method": "GET", "headers": []}
        request["headers"] = [(b"host", b"evil.test")]
        await Endpoint(Root, hosts=["example.test"])(request, None, send)
        assert sent[0]["status"] == 400
        assert b"import" not in sent[1]["body"]
        request["headers"] = [(b"host", b"example.test")]
        await Endpoint(Root, hosts=["example.test"])(request, None, send)
        assert sent[2]["status"] == 200

    run(body, logged=1)


def test_an_installation_without_the_client_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(asgi, "__file__", str(tmp_path / "pbweb" / "asgi.py"))
    with pytest.raises(FileNotFoundError, match="JavaScript client is missing"):
        client_files.__wrapped__()


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
