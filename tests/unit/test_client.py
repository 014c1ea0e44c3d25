"""pbweb.client: what `connect` says when there is no pbweb endpoint, and when there is one.

The servers here are a few bytes by hand, or websockets' own; tests/integration has pbweb's.
"""

import asyncio
import random
import socket
import ssl
from types import SimpleNamespace
from unittest.mock import AsyncMock

import orjson
import pytest
from websockets.asyncio.server import serve

import pbweb as pb
from pbweb.client import _advice, _WayBack
from tests.unit.paired import MINUTE, LogRecords


def run(body):
    unhandled = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
        async with asyncio.timeout(MINUTE):
            await body()

    with LogRecords() as records:
        asyncio.run(main())
    assert not unhandled, unhandled
    assert not records


def answers(response):
    """A server that answers every connection with *response*, and what it was asked."""
    asked = []

    async def handle(reader, writer):
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(response)
            await writer.drain()
        finally:
            writer.close()

    return handle, asked


def http(status, body=b""):
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
    return head + body


async def fails(response, **options):
    handle, asked = answers(response)
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with pytest.raises(pb.ConnectFailed) as caught:
            await pb.connect(f"ws://127.0.0.1:{port}/pb", **options)
    finally:
        server.close()
        await server.wait_closed()
    assert f"127.0.0.1:{port}" in str(caught.value)
    return str(caught.value), asked


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (http(b"403 Forbidden"), "origin"),
        (http(b"403 Forbidden", b"because of the test"), "because of the test"),
        (http(b"404 Not Found"), "/pb"),
        (http(b"400 Bad Request", b"no subprotocol"), "no subprotocol"),
        (http(b"500 Oops"), "500"),
        (http(b"200 OK", b"a page"), "200"),
        (b"SSH-2.0-nothing\r\n", "does not answer as a WebSocket"),
        (b"", "does not answer as a WebSocket"),
    ],
)
def test_a_server_that_is_no_endpoint(response, text):
    async def body():
        said, _ = await fails(response)
        assert text in said

    run(body)


def test_nobody_answers():
    async def body():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            with pytest.raises(pb.ConnectFailed, match="is the server running"):
                await pb.connect(f"ws://127.0.0.1:{port}/pb")

    run(body)


def test_no_error_shows_a_secret_of_the_url():
    async def body():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            for scheme in ("ws", "http"):
                url = f"{scheme}://ann:MARK@127.0.0.1:{port}/pb?token=MARK&room=5"
                with pytest.raises((pb.ConnectFailed, ValueError)) as raised:
                    await pb.connect(url)
                assert f"{port}/pb?token=***&room=5" in str(raised.value)
                assert "MARK" not in str(raised.value)

    run(body)


def test_a_server_that_does_not_answer_in_time():
    async def body():
        left = asyncio.Event()

        async def silent(reader, writer):
            await reader.read()
            writer.close()
            left.set()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(pb.ConnectFailed, match="did not answer within"):
            await pb.connect(f"ws://127.0.0.1:{port}/pb", open_timeout=0.05)
        await left.wait()
        server.close()
        await server.wait_closed()

    run(body)


@pytest.mark.parametrize("url", ["http://localhost/pb", "localhost:8000", "ws://", "", "ftp://x"])
def test_what_is_no_url_of_a_websocket(url):
    async def body():
        with pytest.raises(ValueError, match="no ws://"):
            await pb.connect(url)

    run(body)


def test_a_failed_connection_is_a_connection_error_and_expected():
    assert issubclass(pb.ConnectFailed, ConnectionError)
    assert issubclass(pb.ConnectFailed, pb.Error)


def test_what_is_asked_of_the_server():
    async def body():
        _, asked = await fails(
            http(b"403 Forbidden"), origin="https://pages.test", headers={"Cookie": "a=b"}
        )
        request = asked[0].decode().lower()
        assert "get /pb http/1.1" in request
        assert "sec-websocket-protocol: pb.json.1" in request
        assert "origin: https://pages.test" in request
        assert "cookie: a=b" in request
        assert "sec-websocket-extensions" not in request

    run(body)


def test_a_websocket_that_does_not_speak_the_protocol():
    async def body():
        async def handler(websocket):
            await websocket.wait_closed()

        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(pb.ConnectFailed, match=r"pb\.json\.1"):
                await pb.connect(f"ws://127.0.0.1:{port}/pb")

    run(body)


class Thing(pb.Referenceable):
    def remote_double(self, number):
        return 2 * number


def test_a_session_with_a_server_by_hand():
    async def body():
        got = []

        async def handler(websocket):
            got.append(await websocket.recv())
            await websocket.send('["version",1,{"limits":{"calls":5}}]')
            got.append(await websocket.recv())
            await websocket.send(
                '[["message",1,"thing","double",[4]],["answer",1,{"$":"remote","id":7}]]'
            )
            got.append(await websocket.recv())
            await websocket.send('["close",4410,"enough",false]')
            await websocket.close(4410, "enough")

        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"ws://127.0.0.1:{port}/pb"
            async with pb.connect(url, names={"thing": Thing()}) as connection:
                root = await connection.getRootObject()
                ref = await root.callRemote("get")
                assert ref.luid == 7
                assert connection.broker.peer_limits.calls == 5
                await connection.wait_closed()
                assert ref.isDead()
                assert connection.session.closing[0] == 4410
        assert got[0].startswith('["version",1,')
        assert '["message",1,"root","get"]' in got[1]
        assert '["answer",1,8]' in got[2]

    run(body)


def test_without_the_block_closing_is_left_to_the_caller():
    async def body():
        async def handler(websocket):
            await websocket.send('["version",1]')
            async for _ in websocket:
                pass

        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await pb.connect(f"ws://127.0.0.1:{port}/pb")
            assert not connection.session.ended
            await connection.close()
            assert connection.session.ended

    run(body)


def test_a_block_that_raises_closes_the_connection():
    async def body():
        async def handler(websocket):
            await websocket.send('["version",1]')
            await websocket.wait_closed()

        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(KeyError):
                async with pb.connect(f"ws://127.0.0.1:{port}/pb") as connection:
                    raise KeyError("the caller's own")
            assert connection.session.ended

    run(body)


def test_a_set_up_of_a_later_session_may_close_the_connection():
    async def body():
        begun, closed = [], []

        async def on_session(_root, connection):
            begun.append(connection)
            if len(begun) == 2:
                closed.append(await connection.close(4401, "no more"))
                closed.append("and the set-up went on")

        served = []

        async def handler(websocket):
            served.append(websocket)
            await websocket.send('["version",1]')
            if len(served) == 1:
                await websocket.send('["close",1012,"a restart",[0.25,0.25]]')
            await websocket.wait_closed()

        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await pb.connect(f"ws://127.0.0.1:{port}/pb", on_session=on_session)
            assert await connection.wait_closed() == (4401, "closed here: 4401 no more")
            while len(closed) < 2:
                await asyncio.sleep(0)
        assert closed == [None, "and the set-up went on"]
        assert len(served) == len(begun) == 2
        assert connection.ending.code == 4401

    run(body)


def test_a_program_that_ends_while_its_client_connects_again_leaves_nothing_behind():
    async def handler(websocket):
        await websocket.send('["version",1]')
        await websocket.send('["close",1012,"a restart",[60,60]]')
        await websocket.wait_closed()

    async def set_up(_root, _connection):
        """There is another session to wait for."""

    async def main():
        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await pb.connect(f"ws://127.0.0.1:{port}/pb", on_session=set_up)
            while connection.status != "interrupted":
                await asyncio.sleep(0)
            raise LookupError

    with asyncio.Runner() as runner:
        with pytest.raises(LookupError):
            runner.run(main())
        left = asyncio.all_tasks(runner.get_loop())
        assert len(left) == 1  # which sleeps until it may come back
        asyncio.runners._cancel_all_tasks(runner.get_loop())  # as at the end of asyncio.run
        assert not asyncio.all_tasks(runner.get_loop())


class _Carried:
    """A connection as its way back sees it."""

    def __init__(self, left=None):
        self.session = SimpleNamespace(detached=left is not None, left=left, ended=False)


def way_back(left=None, **options):
    way = _WayBack(pb.connect("ws://localhost:1/pb", **options))
    way.connection = _Carried(left)
    return way


def test_a_client_tries_twice_as_late_each_time_but_within_the_window_of_its_session(monkeypatch):
    async def body():
        monkeypatch.setattr(random, "uniform", lambda least, most: most)
        way = way_back(60)
        assert [way._pause() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
        way.connection.session.left = 19
        assert way._pause() == 19  # the link may be there again before the session is over
        way.connection.session.left = 20
        assert way._pause() == 20
        monkeypatch.setattr(random, "uniform", lambda least, most: least)
        way.connection.session.left = -0.1
        assert way._pause() == 0

    run(body)


@pytest.mark.parametrize("left", [1.1, 5, 19])
def test_the_last_tries_of_a_window_are_in_it_and_spread(left):
    async def body():
        way = way_back(left)
        way._attempts = 9
        pauses = [way._pause() for _ in range(300)]
        assert min(pauses) >= 0
        assert max(pauses) <= left
        assert sum(pause > left / 2 for pause in pauses) > 100

    run(body)


@pytest.mark.parametrize("left", [1.0, 0.3, 0.0, -2.0])
def test_when_a_window_is_over_a_new_session_is_tried_for_soon(left):
    async def body():
        for _ in range(100):
            way = way_back(left)
            way._attempts = 9
            pause = way._pause()
            assert pause <= max(left, 0) + 0.5
            way.connection = _Carried()  # it is over
            assert way._pause() <= 0.5
            assert way._pause() <= 1

    run(body)


def test_without_a_session_to_resume_there_is_no_window_to_keep_to(monkeypatch):
    async def body():
        monkeypatch.setattr(random, "uniform", lambda least, most: most)
        way = way_back()
        way._attempts = 9
        assert way._pause() == 20

    run(body)


@pytest.mark.parametrize("stops", [True, False])
def test_a_connection_that_is_closed_before_its_new_session_is_set_up_sets_none_up(stops):
    async def body():
        began = []

        async def on_session(root, connection):
            began.append(root)

        way = way_back(on_session=on_session)
        way.connection.getRootObject = AsyncMock(return_value="root")
        assert way.refused()  # a new session begins with the next turn
        if stops:
            way.stop()
        for _ in range(3):
            await asyncio.sleep(0)
        assert began == ([] if stops else ["root"])
        assert not way.refused() if stops else way.follows()

    run(body)


def test_a_connection_without_a_way_back_is_over_with_its_link():
    async def body():
        versions = []

        async def handler(websocket):
            versions.append(orjson.loads(await websocket.recv())[2])
            await websocket.send('["version",1,{"session":"s","secret":"k","window":60}]')

        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await pb.connect(f"ws://127.0.0.1:{port}/pb", resume=False)
            await connection.wait_closed()
        assert connection.status == "ended"
        assert [version["window"] for version in versions] == [0]

    run(body)


@pytest.mark.parametrize("resume", [True, False])
def test_a_set_up_that_fails_at_once_is_what_connect_says_and_closes_the_connection(resume):
    async def body():
        closed, carried = [], []

        async def handler(websocket):
            await websocket.send('["version",1]')
            await websocket.wait_closed()
            closed.append(websocket.close_code)

        async def on_session(_root, connection):
            carried.append(connection)
            raise LookupError("nothing there")

        async with serve(handler, "127.0.0.1", 0, subprotocols=["pb.json.1"]) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(LookupError, match="nothing there"):
                await pb.connect(f"ws://127.0.0.1:{port}/pb", on_session=on_session, resume=resume)
            await carried[0].wait_closed()
            while not closed:
                await asyncio.sleep(0)
        assert carried[0].status == "ended"
        assert closed == [1000]

    run(body)


def test_a_try_that_fails_is_followed_by_another_until_there_is_a_connection(monkeypatch):
    async def body():

        way = way_back(60)
        failures = [pb.ConnectFailed("nobody"), RuntimeError("a proxy of the application's"), None]
        reports = []
        way.connection.report = lambda what, error: reports.append((what, str(error)))
        way.connection.session.reconnect = lambda: reports.append("reconnect")
        way._to._carry = lambda connection, websocket: reports.append((connection, websocket))

        async def opened():
            failure = failures.pop(0)
            if failure is not None:
                raise failure
            return "websocket"

        way._to._open = opened
        monkeypatch.setattr(random, "uniform", lambda least, most: least)
        assert way.begin(True)
        assert way.begin(True)  # it is looked for already
        while way._task is not None:
            await asyncio.sleep(0)
        assert reports == [
            ("connecting again failed", "a proxy of the application's"),
            "reconnect",
            (way.connection, "websocket"),
        ]
        assert way._attempts == 3

    run(body)


@pytest.mark.parametrize("has_begun", [True, False])
def test_nobody_looks_for_a_way_back_for_nothing(has_begun):
    async def body():
        way = way_back(60)
        assert way.begin(True)
        task = way._task
        if has_begun:
            await asyncio.sleep(0)
        way.connection = _Carried()  # its session has ended, and no other is to follow
        way.connection.session.ended = True
        assert not way.begin(True)
        await asyncio.wait([task])
        assert task.cancelled()
        assert not way.begin(True)

    run(body)


def test_a_connection_that_came_too_late_for_its_session_is_dropped():
    async def body():
        way = way_back()
        dropped = []
        way.connection.is_not_coming_back = lambda: dropped.append("not coming back")
        transport = SimpleNamespace(abort=lambda: dropped.append("abort"))
        way._go_on(SimpleNamespace(transport=transport))
        assert dropped == ["abort", "not coming back"]

    run(body)


@pytest.mark.parametrize(
    ("error", "told"), [(LookupError("x"), ["on_session failed"]), (pb.PBConnectionLost("x"), [])]
)
def test_a_set_up_that_fails_later_is_reported_unless_its_session_was_lost(error, told):
    async def body():
        reports = []
        on_session = AsyncMock(side_effect=error)
        way = way_back(on_session=on_session)
        way.connection.getRootObject = AsyncMock()
        way.connection.report = lambda what, _error: reports.append(what)
        way._set_up_soon()
        await asyncio.wait([way._setting_up])
        assert reports == told
        assert on_session.await_count == 1

    run(body)


def test_who_is_stopped_looks_for_no_way_back_any_more():
    async def body():
        began = asyncio.Event()

        async def on_session(_root, _connection):
            began.set()
            await asyncio.Event().wait()

        way = way_back(60, on_session=on_session)
        way.connection.getRootObject = AsyncMock()
        way._set_up_soon()
        await began.wait()
        assert way.begin(True)
        tasks = [way._task, way._setting_up]
        way.stop()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert not way.begin(True)
        assert not way.follows()

    run(body)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [([0, 0], 0.25, 0.25), ([1, 5], 1, 5), ([9, 2], 9, 9), ([1e9, 1e12], 300, 300)],
)
def test_a_server_says_when_to_come_back_within_bounds(monkeypatch, asked, least, most):
    async def body():
        slept, sleep = [], asyncio.sleep

        async def noted(seconds):
            slept.append(seconds)
            await sleep(0)

        way = way_back(on_session=AsyncMock())
        way.connection.is_not_coming_back = lambda: slept.append("over")
        way._to._open = AsyncMock(side_effect=KeyError)
        way.connection.report = lambda *_: setattr(way._to, "on_session", None)
        monkeypatch.setattr(asyncio, "sleep", noted)
        assert way.begin(asked)
        await asyncio.wait([way._task])
        assert least <= slept[0] <= most
        assert slept[1] <= 0.5
        assert slept[2:] == ["over"]

    run(body)


@pytest.mark.parametrize(("held", "attempts"), [(11, 0), (9, 5)])
def test_a_connection_that_held_for_a_while_is_tried_as_if_for_the_first_time(held, attempts):
    async def body():
        way = way_back(60)
        way._attempts = 5
        way._loop = SimpleNamespace(
            time=lambda: 100, create_task=asyncio.get_running_loop().create_task
        )
        way._here_since = 100 - held
        assert way.begin(True)
        assert way._attempts == attempts
        way.stop()
        await asyncio.sleep(0)

    run(body)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ssl.SSLError(1, "wrong version"), "is it ws://, not wss://?"),
        (socket.gaierror(-2, "Name or service not known"), "no such host: Name or service"),
        (ConnectionRefusedError("refused"), "is the server running, and the port right?"),
    ],
)
def test_advice_for_what_may_be_wrong(error, text):
    assert text in _advice(error)


def test_advice_for_a_certificate_that_is_not_trusted():
    error = ssl.SSLCertVerificationError("it failed")
    error.verify_message = "self-signed certificate"
    assert "not trusted (self-signed certificate)" in _advice(error)
