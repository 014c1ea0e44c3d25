"""`pbweb_server.protocol`: the classes that uvicorn uses, without a socket."""

import asyncio
import gc
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.http11 import Request

import pbweb as pb
from pbweb.asgi import Endpoint
from pbweb.limits import DEFAULT, Limits
from pbweb.parking import Principal
from pbweb_server.protocol import GuardedHttp, http_class, websocket_class
from tests.unit.paired import LogRecords


class Transport(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self, **info: Any) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 80), **info})
        self.written = b""
        self.closed = self.aborted = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


class Scene:
    """One HTTP connection of a gateway with one endpoint at /pb."""

    def __init__(
        self,
        limits: Limits = DEFAULT,
        *,
        info: Any = None,
        endpoint: Endpoint | None = None,
        **options: Any,
    ) -> None:
        self.endpoint = endpoint or Endpoint(pb.Root, limits=limits, hosts=["pb.example"])
        config = uvicorn.Config(
            _application,
            http=http_class(limits),
            ws=websocket_class({"/pb": self.endpoint}),
            log_config=None,
            **options,
        )
        config.load()
        self.state = ServerState()
        self.transport = Transport(**(info or {}))
        self.http: Any = config.http_protocol_class(
            config=config, server_state=self.state, app_state={}
        )
        self.http.connection_made(self.transport)

    def upgrade(self, *headers: str, path: str = "/pb") -> str:
        lines = [
            f"GET {path} HTTP/1.1", "Host: pb.example", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: pb.json.1", *headers, "", "",
        ]  # fmt: skip
        self.http.data_received("\r\n".join(lines).encode())
        return self.transport.written.split(b"\r\n")[0].decode()

    def lose(self) -> None:
        protocol: Any = self.transport.protocol or self.http
        protocol.connection_lost(None)


def timers() -> list[Any]:
    scheduled: list[Any] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [handle for handle in scheduled if not handle.cancelled()]


def test_a_silent_connection_is_aborted_in_time() -> None:
    async def scene() -> None:
        it = Scene(Limits(first_frame=0.05))
        while not it.transport.aborted:
            await asyncio.sleep(0.01)
        it.lose()
        assert not timers()
        assert not it.state.connections

    asyncio.run(scene())


def test_the_times_are_those_of_the_limits() -> None:
    limits = Limits(first_frame=3)
    assert http_class(limits).limits is limits
    assert GuardedHttp.limits is DEFAULT


def test_a_request_in_time_leaves_no_timer_of_ours() -> None:
    async def scene() -> None:
        it = Scene()
        it.http.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert it.http._request_timer is None
        while not it.transport.written.endswith(b"ok\r\n0\r\n\r\n"):
            await asyncio.sleep(0)
        it.http.data_received(b"GET / HT")
        assert it.http._request_timer is not None
        it.http.connection_lost(ConnectionResetError())
        assert not timers()

    asyncio.run(scene())


@pytest.mark.parametrize("piece", [1000, 70_000])
def test_a_head_that_is_too_long(piece: int) -> None:
    async def scene() -> None:
        it = Scene()
        it.http.data_received(b"GET / HTTP/1.1\r\nX: ")
        fed = 0
        while not it.transport.closed:
            it.http.data_received(b"a" * piece)
            fed += piece
            assert fed < 200_000
        assert it.transport.written.startswith(b"HTTP/1.1 400")
        assert fed > 65_000
        it.lose()

    asyncio.run(scene())


def test_a_long_body_is_no_long_head() -> None:
    async def scene() -> None:
        it = Scene()
        it.http.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
        for _ in range(3):
            it.http.data_received(b"a" * 100_000)
        assert not it.transport.closed
        while b"ok" not in it.transport.written:
            await asyncio.sleep(0)
        assert it.http._request_timer is None
        it.lose()

    asyncio.run(scene())


def test_an_answer_that_nobody_reads() -> None:
    async def scene() -> None:
        it = Scene(Limits(stall=0.05))
        it.http.pause_writing()
        it.http.resume_writing()
        assert it.http._stall_timer is None
        it.http.pause_writing()
        while not it.transport.aborted:
            await asyncio.sleep(0.01)
        it.lose()
        assert not timers()

    asyncio.run(scene())


def test_a_closed_connection_is_aborted_when_it_does_not_drain() -> None:
    async def scene() -> None:
        it = Scene(Limits(grace=0.05))
        it.http.timeout_keep_alive_handler()
        assert it.transport.closed
        it.http.resume_writing()  # a part was read; the rest never is
        while not it.transport.aborted:
            await asyncio.sleep(0.01)
        it.lose()

    asyncio.run(scene())


def test_an_upgrade_hands_the_connection_to_a_link() -> None:
    async def scene() -> None:
        it = Scene()
        assert it.upgrade() == "HTTP/1.1 101 Switching Protocols"
        await asyncio.sleep(0)
        assert it.state.connections == {it.transport.protocol}
        assert len(it.endpoint.connections) == 1
        it.lose()
        assert not it.state.connections
        assert not it.endpoint.connections
        assert not timers()

    asyncio.run(scene())


def test_a_connection_does_not_keep_the_request_of_its_upgrade() -> None:
    async def scene() -> None:
        it = Scene()
        it.upgrade()
        await asyncio.sleep(0)
        gc.collect()
        reached, waiting = set(), [it.transport.protocol]
        while waiting:
            held = waiting.pop()
            if id(held) not in reached and not isinstance(held, type | ModuleType | FunctionType):
                reached.add(id(held))
                assert not isinstance(held, Request | Headers)
                waiting += gc.get_referents(held)
        assert id(it.endpoint) in reached
        it.lose()

    asyncio.run(scene())


def test_who_is_gone_when_an_application_knows_at_last_who_it_was_is_not_let_in() -> None:
    """One that catches its cancellation, as it should not, leaves no connection for ever."""

    async def scene() -> None:
        asked = asyncio.Event()

        async def authenticate(_: Any) -> str:
            asked.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return "somebody"

        endpoint = Endpoint(pb.Root, hosts=["pb.example"], authenticate=authenticate)
        it = Scene(endpoint=endpoint)
        it.upgrade()
        await asked.wait()
        [identifying] = asyncio.all_tasks() - {asyncio.current_task()}
        it.transport.close()
        it.lose()
        await identifying
        assert it.transport.written == b""
        assert not endpoint.connections
        assert not it.state.connections
        assert not timers()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        (["Origin: http://evil.test"], "/pb", "403 Forbidden"),
        ([], "/other", "404 Not Found"),
        (["X: " + "a" * 9000], "/pb", "400 Bad Request"),
        (["Sec-WebSocket-Version: 13"], "/pb", "400 Bad Request"),
    ],
)
def test_a_refused_upgrade_closes_and_leaves_nothing(
    headers: list[str], path: str, status: str
) -> None:
    async def scene() -> None:
        it = Scene()
        assert it.upgrade(*headers, path=path) == f"HTTP/1.1 {status}"
        assert it.transport.closed
        assert not it.endpoint.connections
        assert not it.state.connections
        it.lose()
        assert not timers()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("peer", "allowed", "forwarded", "accepted"),
    [
        ("127.0.0.1", None, "https", True),
        ("127.0.0.1", None, "http", False),
        ("127.0.0.1", None, None, False),
        ("10.1.2.3", None, "https", False),
        ("10.1.2.3", "10.0.0.0/8", "https", True),
        ("10.1.2.3", "10.0.0.0/8,::1", "wss", True),
        ("11.1.2.3", "10.0.0.0/8", "https", False),
        ("11.1.2.3", "*", "https", True),
        ("11.1.2.3", ["11.1.2.3"], "https", True),
        ("not an address", "10.0.0.0/8", "https", False),
    ],
)
def test_whose_word_on_tls_is_taken(
    peer: str, allowed: Any, forwarded: str | None, accepted: bool
) -> None:
    async def scene() -> None:
        options = {} if allowed is None else {"forwarded_allow_ips": allowed}
        it = Scene(info={"peername": (peer, 5)}, **options)
        headers = ["Origin: https://pb.example"]
        if forwarded is not None:
            headers.append(f"X-Forwarded-Proto: {forwarded}")
        assert it.upgrade(*headers).split(" ")[1] == ("101" if accepted else "403")
        await asyncio.sleep(0)
        it.lose()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("peer", "allowed", "forwarded", "address"),
    [
        ("127.0.0.1", None, [], "127.0.0.1"),
        ("127.0.0.1", None, ["192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", None, ["192.0.2.7:4000"], "192.0.2.7"),
        ("127.0.0.1", None, ["[2001:db8::7]:4000"], "2001:db8::7"),
        ("127.0.0.1", None, ["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", None, ["6.6.6.6", "192.0.2.7"], "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1,10.0.0.0/8", ["6.6.6.6, 192.0.2.7, 10.0.0.5"], "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1,10.0.0.0/8", ["10.0.0.4, 10.0.0.5"], "10.0.0.4"),
        ("127.0.0.1", None, [""], "127.0.0.1"),
        ("127.0.0.1", None, [","], "127.0.0.1"),
        ("192.0.2.9", None, ["6.6.6.6"], "192.0.2.9"),
        ("192.0.2.9", "10.0.0.0/8", ["6.6.6.6"], "192.0.2.9"),
        ("192.0.2.9", "*", ["6.6.6.6, 192.0.2.7"], "6.6.6.6"),
    ],
)
def test_whose_word_on_the_address_is_taken(
    peer: str, allowed: Any, forwarded: list[str], address: str
) -> None:
    """For the bounds and for the log: of trusted proxies alone, and not what stands before them."""

    async def scene() -> None:
        options = {} if allowed is None else {"forwarded_allow_ips": allowed}
        it = Scene(info={"peername": (peer, 5)}, **options)
        expected: list[Principal] = []
        it.endpoint.parking.expect = lambda _, who: expected.append(who)  # type: ignore[method-assign]
        headers = [f"X-Forwarded-For: {value}" for value in forwarded]
        assert it.upgrade(*headers).split(" ")[1] == "101"
        assert [who.address for who in expected] == [address]
        await asyncio.sleep(0)
        it.lose()
        it = Scene(info={"peername": (peer, 5)}, **options)
        it.upgrade("Origin: http://evil.test", *headers)
        it.lose()

    with LogRecords() as records:
        asyncio.run(scene())
    [record] = records
    assert f"from '{address}' was refused with 403" in record.getMessage()


def test_no_proxy_headers_no_word() -> None:
    async def scene() -> None:
        it = Scene(proxy_headers=False)
        status = it.upgrade("Origin: https://pb.example", "X-Forwarded-Proto: https")
        assert status.split(" ")[1] == "403"
        it.lose()

    asyncio.run(scene())


def test_tls_of_our_own() -> None:
    async def scene() -> None:
        it = Scene(info={"sslcontext": object()})
        assert it.upgrade("Origin: https://pb.example").split(" ")[1] == "101"
        await asyncio.sleep(0)
        it.lose()

    asyncio.run(scene())
