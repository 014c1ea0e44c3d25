"""The opening: origin, host, subprotocol, version, and peers that never get there (A1 to A8)."""

import asyncio

import pytest

import pbweb as pb
from tests.hostile.kit import gateway, read_head, until, upgrade


class Echo(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value


ORIGINS = {
    "the same": ("http://{host}", 101),
    "upper case is the same": ("HTTP://LOCALHOST:{port}", 101),
    "on the list": ("https://shop.example", 101),
    "on the list, with its port": ("https://shop.example:443", 101),
    "another site": ("http://evil.test", 403),
    "a subdomain": ("http://www.localhost:{port}", 403),
    "a subdomain of one on the list": ("https://a.shop.example", 403),
    "a suffix": ("http://evil-localhost:{port}", 403),
    "a prefix": ("http://localhost.evil.test:{port}", 403),
    "one on the list as prefix": ("https://shop.example.evil.test", 403),
    "another port": ("http://localhost:1", 403),
    "no port": ("http://localhost", 403),
    "another port of one on the list": ("https://shop.example:444", 403),
    "https for http": ("https://{host}", 403),
    "http for https": ("http://shop.example", 403),
    "user": ("http://localhost:{port}@evil.test", 403),
    "user of ours": ("http://evil.test@localhost:{port}", 403),
    "a trailing dot": ("http://localhost.:{port}", 403),
    "null": ("null", 403),
    "empty": ("", 403),
    "a path": ("http://{host}/pb", 403),
    "a trailing slash": ("http://{host}/", 403),
    "a star": ("*", 403),
    "another scheme": ("file://", 403),
    "an extension": ("chrome-extension://abcdef", 403),
    "no number as port": ("http://localhost:x", 403),
    "a port out of range": ("http://localhost:99999", 403),
    "a broken address": ("http://[::1", 403),
    "two in one": ("http://{host}, http://evil.test", 403),
    "other letters": ("http://loc\xe0lhost:{port}", 403),
    "7 KB": ("http://{host}" + "a" * 7000, 403),
    "10 KB": ("http://{host}" + "a" * 10_000, 400),  # over the library's bound for a line
}


@pytest.mark.parametrize("name", ORIGINS)
async def test_origin(name: str) -> None:
    pattern, status = ORIGINS[name]
    async with gateway(Echo, origins=["https://shop.example"]) as gate:
        origin = pattern.replace("{host}", gate.host).replace("{port}", str(gate.port))
        assert await gate.refused(headers=[("Origin", origin)]) == status


async def test_two_origins_are_refused_and_none_is_not() -> None:
    async with gateway(Echo) as gate:
        same = ("Origin", f"http://{gate.host}")
        assert await gate.refused(headers=[same, ("Origin", "http://evil.test")]) == 403
        assert await gate.refused(headers=[same, same]) == 403
        assert await gate.refused(headers=[("Cookie", "session=1")]) == 101


async def test_all_origins() -> None:
    async with gateway(Echo, origins=["*"]) as gate:
        assert await gate.refused(headers=[("Origin", "https://evil.test")]) == 101


async def test_an_origin_behind_a_proxy_that_ends_tls() -> None:
    async with gateway(Echo) as gate:
        origin, forwarded = ("Origin", f"https://{gate.host}"), "X-Forwarded-Proto"
        assert await gate.refused(headers=[origin]) == 403
        assert await gate.refused(headers=[origin, (forwarded, "https")]) == 101
        assert await gate.refused(headers=[origin, (forwarded, "https, http")]) == 403


async def test_a_refused_upgrade_says_why_and_leaves_nothing() -> None:
    async with gateway(Echo) as gate:
        async with await gate.raw() as peer:
            peer.send_bytes(upgrade(gate.host, headers=[("Origin", "http://evil.test")]))
            status, _ = await read_head(peer.reader)
            body = (await peer.reader.read()).decode()
        assert status == 403
        assert "evil.test" in body
        assert "--origin" in body
        assert len(gate.endpoint.connections) == 1


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.test"],
        ["localhost.evil.test"],
        ["evil.test:80"],
        ["localhost", "evil.test"],
        [],
        [""],
        ["[::1"],
        ["evil.test@localhost"],
        ["localhost@evil.test"],
        ["localhost:x, evil.test"],
    ],
)
async def test_a_host_that_is_not_ours(hosts: list[str]) -> None:
    async with gateway(Echo) as gate:
        assert await gate.refused(hosts=hosts) == 400


@pytest.mark.parametrize("host", ["LOCALHOST:1", "localhost.", "127.0.0.1:8000"])
async def test_a_host_that_is_ours(host: str) -> None:
    async with gateway(Echo) as gate:
        assert await gate.refused(hosts=[host]) == 101


@pytest.mark.parametrize("offered", [[], ["chat"], ["pb.json.2"], ["PB.JSON.1"], ["pb.json.1x"]])
async def test_a_subprotocol_that_is_not_ours(offered: list[str]) -> None:
    async with gateway(Echo) as gate:
        assert await gate.refused(subprotocols=offered) == 400


@pytest.mark.parametrize("offered", [["chat, pb.json.1"], ["chat", "pb.json.1"], ["pb.json.1,x"]])
async def test_ours_among_other_subprotocols(offered: list[str]) -> None:
    async with gateway(Echo) as gate:
        assert await gate.refused(subprotocols=offered) == 101


async def test_paths() -> None:
    async with gateway(Echo) as gate:
        assert await gate.refused(path="/pb") == 101
        assert await gate.refused(path="/pb/") == 101
        assert await gate.refused(path="/%70b") == 101
        assert await gate.refused(path="/pb?room=1") == 101
        assert await gate.refused(path="/pb?token=1") == 400
        assert await gate.refused(path="/") == 404
        assert await gate.refused(path="/other") == 404
        assert await gate.refused(path="/pb/more") == 404
        assert await gate.refused(path=f"http://{gate.host}/pb") == 404
        assert await gate.refused(path="/" + "x" * 6000) == 404


@pytest.mark.parametrize("number", [0, 2, -1, 2**53])
async def test_another_version_gets_only_the_close(number: int) -> None:
    async with gateway(Echo) as gate, await gate.peer(greet=False) as peer:
        peer.send(["version", number], ["message", 1, "root", "echo", [1]])
        code, said = await peer.closed()
        assert code == 4426
        assert said is not None
        assert said[1] == 4426
        assert "1" in said[2]
        assert said[3] is False
        assert [frame[0] for frame in peer.frames] == ["close"]


@pytest.mark.parametrize(
    "first",
    [
        ["message", 1, "root", "echo", [1]],
        ["ack", 0, 0],
        ["ping", 0, 0],
        ["didNotUnderstand", "x"],
        ["hello"],
        ["version"],
        ["version", "1"],
        ["version", 1.0],
        ["version", True],
        ["version", 1, []],
        ["version", 1, {}, 1],
    ],
)
async def test_another_first_frame(first: list[object]) -> None:
    async with gateway(Echo) as gate, await gate.peer(greet=False) as peer:
        peer.send(first)
        code, said = await peer.closed()
        assert code == 4400
        assert said is not None
        assert said[1] == 4400


async def test_a_second_version() -> None:
    async with gateway(Echo) as gate, await gate.peer() as peer:
        peer.greet()
        assert (await peer.closed())[0] == 4400


async def test_silent_sockets_are_freed() -> None:
    """Without a byte, with a part of a request, with an upgrade and nothing behind it."""
    async with gateway(Echo, turned=True) as gate:
        silent = [await gate.raw() for _ in range(20)]
        half = [await gate.raw() for _ in range(20)]
        for peer in half:
            peer.send_bytes(b"GET /pb HTTP/1.1\r\nHost: local")
        mute = [await gate.peer(greet=False) for _ in range(20)]
        await until(lambda: len(gate.state.connections) == 1 + 60)
        gate.clock.turn(9.9)
        await gate.check_canary()
        assert len(gate.state.connections) == 1 + 60
        gate.clock.turn(0.2)
        for peer in silent + half:
            assert await peer.ended() == b""
        for peer in mute:
            code, said = await peer.closed()
            assert code == 4408
            assert said is None  # this code is not an end of the session
        for peer in silent + half + mute:
            await peer.cut()
        await gate.only_canary()


async def test_headers_byte_by_byte() -> None:
    async with gateway(Echo, turned=True) as gate:
        peer = await gate.raw()
        request = upgrade(gate.host, headers=[("X-Slow", "a" * 5000)])
        await until(lambda: len(gate.state.connections) == 2)
        http = gate.link(peer)
        for at in range(100):
            gate.clock.turn(0.0999)
            peer.send_bytes(request[at : at + 1])
            await until(lambda at=at: http._head == at + 1)
        assert not http.transport.is_closing()
        gate.clock.turn(0.1)
        assert await peer.ended() == b""
        await peer.cut()


async def test_a_second_slow_request_on_a_kept_connection() -> None:
    async with gateway(Echo, turned=True) as gate:
        for rest in (
            b"GET /healthz HT",
            b"\r\n",
            b"POST /healthz HTTP/1.1\r\nContent-Length: 9\r\n\r\n1",
        ):
            async with await gate.raw() as peer:
                peer.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                status, headers = await read_head(peer.reader)
                assert status == 200
                await peer.reader.readexactly(int(headers["content-length"]))
                http = gate.link(peer)
                begun = http._request_timer
                peer.send_bytes(rest)
                await until(lambda: http._request_timer is not begun)  # noqa: B023
                gate.clock.turn(4.9)
                assert not http.transport.is_closing()
                gate.clock.turn(5.2)  # uvicorn's own timer, of 5 s, was stopped by rest
                await peer.ended()


async def test_a_head_without_end() -> None:
    async with gateway(Echo) as gate, await gate.raw() as peer:
        peer.send_bytes(b"GET /pb HTTP/1.1\r\n")
        line = b"X-More: " + b"a" * 1000 + b"\r\n"

        async def flood() -> None:
            while True:
                peer.send_bytes(line)
                await peer.drain()

        task = asyncio.ensure_future(flood())
        status, _ = await read_head(peer.reader)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert status == 400


async def test_too_many_headers() -> None:
    async with gateway(Echo) as gate:
        assert await gate.refused(headers=[("X", "1")] * 300) == 400


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET /pb HTTP/1.1\r\nHost: a\r\nHost\r\n\r\n",
        b"GET /pb HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_no_request(request_: bytes) -> None:
    async with gateway(Echo, turned=True) as gate, await gate.raw() as peer:
        peer.send_bytes(request_)
        async with asyncio.timeout(30):
            await peer.ended()
        await gate.check_canary()


@pytest.mark.parametrize(
    "change",
    [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        ("Sec-WebSocket-Version: 13", "X: 13"),
        ("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: !"),
        ("Sec-WebSocket-Key: ", "X: "),
        ("GET ", "POST "),
    ],
)
async def test_what_is_no_upgrade(change: tuple[str, str]) -> None:
    async with gateway(Echo) as gate, await gate.raw() as peer:
        peer.send_bytes(upgrade(gate.host).replace(change[0].encode(), change[1].encode()))
        status, _ = await read_head(peer.reader)
        assert 400 <= status < 600


@pytest.mark.parametrize(
    "offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x, y; z=1"]
)
async def test_compression_is_never_agreed_on(offer: str) -> None:
    async with gateway(Echo) as gate, await gate.raw() as peer:
        peer.send_bytes(upgrade(gate.host, headers=[("Sec-WebSocket-Extensions", offer)]))
        status, headers = await read_head(peer.reader)
        assert status == 101
        assert "sec-websocket-extensions" not in headers


async def test_idle_connections_and_resets_leave_no_timer() -> None:
    async with gateway(Echo) as gate:
        for _ in range(10):
            peer = await gate.raw()
            peer.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await read_head(peer.reader)
            peer.reset()
        await until(lambda: len(gate.state.connections) == 1)
