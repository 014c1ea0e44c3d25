"""pbweb.upgrade: who asks for an upgrade, over ASGI and in the gateway's WebSocket class."""

import asyncio
import gc

import pytest
from starlette.exceptions import HTTPException

import pbweb as pb
from pbweb.asgi import Endpoint
from pbweb.limits import DEFAULT, Limits
from pbweb.testing import pair
from pbweb.upgrade import Refused, identify
from tests.integration.roots import Door, who
from tests.unit.paired import LogRecords
from tests.unit.test_asgi import Client, run, scope
from tests.unit.test_server_protocol import Scene, timers


def identified(authenticate, the_scope=None, seconds=10):
    return asyncio.run(identify(authenticate, the_scope or scope(), seconds))


def test_what_the_function_returns_is_the_identity():
    assert identified(lambda request: request.headers["host"]) == "example.test"
    assert identified(lambda request: None) is None
    assert identified(who, scope(headers={"x-name": "alice"})) == "alice"


def test_the_request_has_cookies_path_query_and_client():
    seen = []
    identified(
        seen.append,
        scope(
            headers={"cookie": "a=1; b=two"},
            query_string=b"x=1&x=2",
            client=("192.0.2.1", 5),
            scheme="wss",
        ),
    )
    [request] = seen
    assert request.cookies == {"a": "1", "b": "two"}
    assert request.query_params.getlist("x") == ["1", "2"]
    assert (request.url.path, request.url.scheme) == ("/pb", "wss")
    assert request.client.host == "192.0.2.1"


def refusal(authenticate, seconds=10):
    with LogRecords() as records, pytest.raises(Refused) as caught:
        identified(authenticate, seconds=seconds)
    return caught.value, [record.getMessage() for record in records]


def raiser(error):
    def authenticate(request):
        raise error

    return authenticate


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPException(401, "no"), 401),
        (HTTPException(403, "no"), 403),
        (HTTPException(302, "no"), 302),
        (HTTPException(200, "no"), 403),
        (HTTPException(799, "no"), 403),
    ],
)
def test_a_refusal_has_the_status_of_the_exception(error, status):
    refused, logged = refusal(raiser(error))
    assert (refused.status, refused.reason, refused.headers) == (status, "no", {})
    assert not logged


def test_a_refusal_keeps_the_headers():
    refused, _ = refusal(who)
    assert refused.headers == {"www-authenticate": "Bearer"}


def test_a_fault_is_logged_and_not_told():
    refused, logged = refusal(raiser(KeyError("secret")))
    assert (refused.status, refused.reason) == (500, "authenticating failed")
    [line] = logged
    assert line.startswith("authenticate raised KeyError at ")
    assert "test_upgrade.py:" in line
    assert "secret" not in line


def test_it_has_a_bound_in_time():
    async def wait(request):
        await asyncio.Event().wait()

    refused, logged = refusal(wait, seconds=0.01)
    assert refused.status == 503
    assert logged == ["authenticating took longer than 0.01 s"]


def test_what_cannot_authenticate_is_refused_at_once():
    with pytest.raises(TypeError, match="authenticate has to be a function"):
        pb.endpoint(Door, authenticate="alice")


def test_a_pair_has_the_identity_that_it_is_given():
    async def main():
        async with pair(Door, identity="alice") as both:
            root = await both.client.getRootObject()
            assert await root.callRemote("whoAmI") == "alice"
            assert both.client.broker.identity is None

    asyncio.run(main())


# ------------------------------------------------------------------ ASGI


def endpoint(**options):
    return Endpoint(Door, authenticate=who, **options)


def test_over_asgi_the_root_knows_who_it_is_for():
    async def body():
        for given in ({"cookie": "name=alice"}, {"x-name": "alice"}):
            client = Client(endpoint(), scope(headers=given))
            assert (await client.sent.get())["type"] == "websocket.accept"
            client.send(["version", 1], ["message", 1, "root", "whoAmI"])
            assert (await client.frames())[1] == ["answer", 1, "alice"]
            await client.leave()

    run(body)


def test_over_asgi_a_refusal_is_answered_before_the_upgrade():
    async def body():
        app = endpoint()
        client = Client(app, scope())
        await client.task
        start, end = client.sent.get_nowait(), client.sent.get_nowait()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert (b"www-authenticate", b"Bearer") in start["headers"]
        assert end["body"] == b"say your name\n"
        assert not app.connections

    run(body)


def test_over_asgi_a_wrong_origin_is_not_even_asked_for_its_name():
    asked = []

    async def body():
        app = Endpoint(Door, authenticate=asked.append)
        client = Client(app, scope(headers={"origin": "http://evil.test"}))
        await client.task
        assert client.sent.get_nowait()["status"] == 403
        assert not asked

    run(body, logged=1)


# ---------------------------------------------------- the gateway's WebSocket class


class DoorScene(Scene):
    """One HTTP connection of a gateway that asks who comes."""

    def __init__(self, limits=DEFAULT, **options):
        super().__init__(limits, **options)
        self.endpoint.root = Door()
        self.endpoint.authenticate = who
        self.transport.reading = True
        self.transport.pause_reading = lambda: setattr(self.transport, "reading", False)
        self.transport.resume_reading = lambda: setattr(self.transport, "reading", True)

    async def answer(self, *headers, path="/pb"):
        """The head of the answer; nothing is read before it is there."""
        self.upgrade(*headers, path=path)
        assert not self.transport.written
        assert not self.transport.reading
        while not self.transport.written:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.transport.written.decode().split("\r\n")[0]

    def identity(self):
        [connection] = self.endpoint.connections
        return connection.broker.identity


def in_a_loop(body):
    with LogRecords() as records:
        asyncio.run(body())
        gc.collect()
    return [record.getMessage() for record in records]


@pytest.mark.parametrize("header", ["Cookie: name=alice", "X-Name: alice"])
def test_in_the_gateway_the_session_knows_who_it_is_for(header):
    async def body():
        it = DoorScene()
        assert await it.answer(header) == "HTTP/1.1 101 Switching Protocols"
        assert it.identity() == "alice"
        assert it.transport.reading
        assert it.state.connections == {it.transport.protocol}
        it.lose()
        assert not it.endpoint.connections
        assert not timers()

    assert in_a_loop(body) == []


def test_in_the_gateway_a_refusal_is_answered_before_the_upgrade():
    async def body():
        it = DoorScene()
        assert await it.answer() == "HTTP/1.1 401 Unauthorized"
        assert b"www-authenticate: Bearer\r\n" in it.transport.written
        assert it.transport.written.endswith(b"\r\n\r\nsay your name\n")
        assert it.transport.closed
        assert not it.endpoint.connections
        it.lose()
        assert not timers()

    assert in_a_loop(body) == []


def test_in_the_gateway_a_fault_is_a_500():
    async def body():
        it = DoorScene()
        answer = await it.answer("Authorization: Bearer of nothing")
        assert answer == "HTTP/1.1 500 Internal Server Error"
        assert b"MARK" not in it.transport.written
        it.lose()

    [line] = in_a_loop(body)
    assert line.startswith("authenticate raised ")


def test_in_the_gateway_it_has_a_bound_in_time():
    async def body():
        it = DoorScene(Limits(first_frame=0.01))
        answer = await it.answer("Authorization: Bearer of patience")
        assert answer == "HTTP/1.1 503 Service Unavailable"
        it.lose()

    assert len(in_a_loop(body)) == 1


def test_a_peer_that_goes_meanwhile_leaves_nothing():
    async def body():
        it = DoorScene()
        it.upgrade("Authorization: Bearer of patience")
        for _ in range(5):
            await asyncio.sleep(0)
        [task] = asyncio.all_tasks() - {asyncio.current_task()}
        it.lose()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not it.endpoint.connections
        assert not timers()

    assert in_a_loop(body) == []


@pytest.mark.parametrize(
    ("peer", "client", "scheme"),
    [("127.0.0.1", "192.0.2.7", "wss"), ("10.1.2.3", "10.1.2.3", "ws")],
)
def test_the_request_is_the_one_that_asgi_has(peer, client, scheme):
    async def body():
        it = DoorScene(info={"peername": (peer, 5)})
        await it.answer(
            *("Authorization: Bearer for two", "X-Forwarded-For: 192.0.2.7"),
            *("X-Forwarded-Proto: https",),
            path="/pb?room=5&room=6",
        )
        assert it.identity() == {
            "path": "/pb",
            "query": {"room": "6"},
            "client": client,
            "scheme": scheme,
        }
        it.lose()

    assert in_a_loop(body) == []
