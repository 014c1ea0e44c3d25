"""pbweb.client: what `connect` says when there is no pbweb endpoint, and when there is one.

The servers here are a few bytes by hand, or websockets' own; tests/integration has pbweb's.
"""

import asyncio
import random
import socket
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from websockets.asyncio.server import serve

import pbweb as pb
from pbweb.client import _WayBack
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
