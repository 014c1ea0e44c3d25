"""pbweb.websocket: the link over a real socket pair; the peer is another link, or bytes by hand.

tests/hostile has the attacks, over a whole server.
"""

import asyncio
import socket
import struct
import sys
from contextlib import asynccontextmanager
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from websockets.protocol import CLIENT, SERVER, Protocol

import pbweb as pb
from pbweb import websocket
from pbweb.connection import Connection
from pbweb.flavors import Registry
from pbweb.liveness import DEAD
from pbweb.parking import Principal
from pbweb.runtime import LATE, Options
from pbweb.testing import tables
from pbweb.websocket import (
    BACKLOG,
    JOINED,
    MASKS,
    WebSocketLink,
    _is_between_frames,
    _whole_texts,
)
from tests.clock import Clock
from tests.unit.paired import MINUTE, LogRecords


class Root(pb.Root):
    def remote_echo(self, value):
        return value


class End:
    """One end of a socket pair with a Connection on it."""

    def __init__(self, limits, *, is_server):
        def opened(session):
            session.broker.setNameForLocal("root", Root())

        self.connection = Connection(
            Options(limits, Registry()),
            is_server=is_server,
            software="test",
            opened=opened if is_server else None,
        )
        self.limits = limits
        self.is_server = is_server

    async def open(self, sock):
        protocol = Protocol(SERVER if self.is_server else CLIENT, max_size=self.limits.message)
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
        self.link = WebSocketLink(protocol, self.transport, self.connection, self.limits)
        self.transport.set_protocol(self.link)
        self.connection.attach(self.link)
        return self


@asynccontextmanager
async def linked(limits=None):
    one, two = socket.socketpair()
    limits = limits or pb.Limits()
    client = await End(limits, is_server=False).open(one)
    server = await End(limits, is_server=True).open(two)
    try:
        yield client, server
    finally:
        for end in (client, server):
            end.transport.abort()
        for end in (client, server):
            await end.connection.wait_closed()
            assert not any(tables(end.connection.session).values())


@asynccontextmanager
async def by_hand(**limits):
    """A server's link, and a socket of which the test is the peer."""
    one, two = socket.socketpair()
    two.setblocking(False)
    server = await End(pb.Limits(**limits), is_server=True).open(one)
    try:
        yield server, two
    finally:
        two.close()
        server.transport.abort()
        await server.connection.wait_closed()
        assert not any(tables(server.connection.session).values())


def run(body, *, logged=0):
    unhandled = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
        async with asyncio.timeout(MINUTE):
            await body()

    with LogRecords() as records:
        asyncio.run(main())
    assert not unhandled, unhandled
    assert len(records) == logged, [record.getMessage() for record in records]


def frame(opcode, data, *, fin=True):
    """A masked WebSocket frame; the mask is zero."""
    head = bytes([(0x80 if fin else 0) | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(data))
    return head + b"\0\0\0\0" + data


TEXT, CONT, BINARY, CLOSE, PING, PONG = 1, 0, 2, 8, 9, 10
VERSION = frame(TEXT, b'["version",1]')


async def send(sock, data):
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def read_until(sock, what):
    """The bytes up to and with *what*, or all of them if the stream ends before."""
    got = b""
    while what not in got:
        more = await asyncio.get_running_loop().sock_recv(sock, 65_536)
        if not more:
            break
        got += more
    return got


def closes_with(code):
    return struct.pack("!H", code)


@pytest.mark.parametrize("split", range(1, 14))
def test_a_frame_in_two_reads_is_one_even_if_its_rest_looks_like_another(split):
    """The mask is the head of a text, and what it makes of the text fits."""

    async def body():
        async with by_hand() as (server, sock):
            await send(sock, VERSION)
            await read_until(sock, b'"version"')
            text = b'["message",1,"root","echo",["in parts"]]'
            mask = b"\x81\x81\x81\x81"
            whole = bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ 0x81 for byte in text)
            await send(sock, whole[:split])
            while _is_between_frames(server.link._protocol):
                await asyncio.sleep(0)
            await send(sock, whole[split:])
            assert b'["answer",1,"in parts"]' in await read_until(sock, b'"in parts"]')

    run(body)


def test_calls_over_a_real_socket():
    async def body():
        async with linked() as (client, _):
            root = await client.connection.getRootObject()
            for value in (1, "text", [b"x" * 5000], {"a": b"y"}, "x" * 100_000, "é" * 30_000):
                assert await root.callRemote("echo", value) == value
            del root

    run(body)


def test_many_calls_at_once():
    async def body():
        async with linked() as (client, _):
            root = await client.connection.getRootObject()
            promises = [root.callRemote("echo", n) for n in range(2000)]
            assert [await promise for promise in promises] == list(range(2000))
            del root, promises

    run(body)


@pytest.mark.parametrize("closer", [0, 1])
def test_the_closing_handshake(closer):
    async def body():
        async with linked() as ends:
            root = await ends[0].connection.getRootObject()
            await root.callRemote("echo", 1)
            await ends[closer].connection.close(4410, "the end")
            await ends[1 - closer].connection.wait_closed()
            assert ends[1 - closer].connection.session.closing[0] == 4410
            assert root.isDead()

    run(body)


def test_a_socket_that_is_reset_ends_the_session():
    async def body():
        async with linked() as (client, server):
            root = await client.connection.getRootObject()
            await root.callRemote("echo", 1)
            server.transport.abort()
            await client.connection.wait_closed()
            assert client.connection.session.closing[0] == 1006
            assert root.isDead()

    run(body)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_message_that_comes_in_pieces_of_bytes(size):
    async def body():
        async with by_hand() as (_, sock):
            data = VERSION + frame(TEXT, b'["message",1,"root","echo",["in pieces"]]')
            for start in range(0, len(data), size):
                await send(sock, data[start : start + size])
            assert b'["answer",1,"in pieces"]' in await read_until(sock, b'"in pieces"]')

    run(body)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_in_fragments(opcode):
    async def body():
        async with by_hand(fragments=4) as (_, sock):
            data = b'["message",1,"root","echo",["in fragments"]]'
            if opcode == BINARY:
                data = len(data).to_bytes(4, "little") + data
            parts = [data[start : start + 15] for start in range(0, len(data), 15)]
            assert len(parts) <= 4
            await send(sock, VERSION + frame(opcode, parts[0], fin=False))
            for part in parts[1:-1]:
                await send(sock, frame(CONT, part, fin=False) + frame(PING, b"between"))
            await send(sock, frame(CONT, parts[-1]))
            got = await read_until(sock, b'"in fragments"]')
            assert b'["answer",1,"in fragments"]' in got
            assert got.count(b"between") == len(parts) - 2

    run(body)


def test_fragments_at_their_limit_and_one_past_it():
    async def body():
        for number in (4, 5):
            async with by_hand(fragments=4) as (server, sock):
                await send(sock, VERSION + frame(TEXT, b'["hello"', fin=False))
                await send(sock, frame(CONT, b"", fin=False) * (number - 2))
                await send(sock, frame(CONT, b"]"))
                if number == 4:
                    assert b"didNotUnderstand" in await read_until(sock, b"didNotUnderstand")
                else:
                    assert closes_with(4429) in await read_until(sock, closes_with(4429))
                    assert server.connection.session.closing[0] == 4429

    run(body)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x" * 2001), 1009),
        (frame(BINARY, b"x" * 2001), 1009),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(3, b""), 1002),
        (frame(CONT, b"x"), 1002),
        (b"\x81\x05hello", 1002),
        (b"\xf1\x80\0\0\0\0", 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(TEXT, b"no json"), 4400),
        (frame(BINARY, b"\xff\xff\xff\xff"), 4400),
    ],
)
def test_what_is_wrong_closes_with_its_code(data, code):
    async def body():
        async with by_hand(message=2000) as (server, sock):
            await send(sock, VERSION + data)
            assert closes_with(code) in await read_until(sock, closes_with(code))
            assert server.connection.session.ended

    run(body)


def test_a_ping_of_the_websocket_is_answered_and_counted():
    async def body():
        async with by_hand(control=5) as (server, sock):
            await send(sock, VERSION + frame(PING, b"p1") * 5)
            got = await read_until(sock, b"p1" * 0 + b"\x8a\x02p1" * 5)
            assert got.count(b"\x8a\x02p1") == 5
            await send(sock, frame(PONG, b""))
            await read_until(sock, closes_with(4429))
            assert server.connection.session.closing[0] == 4429

    run(body)


def test_a_message_that_takes_too_long_is_4408():
    async def body():
        async with by_hand(message_time=0.05) as (server, sock):
            await send(sock, VERSION + frame(TEXT, b'["hello"]')[:-2])
            await read_until(sock, closes_with(4408))
            assert server.connection.session.closing[0] == 4408

    run(body)


def test_a_message_that_was_begun_before_a_session_came_over_takes_too_long_as_well():
    async def body():
        async with by_hand(message_time=5) as (server, sock):
            young = server.connection
            server.link._loop = clock = Clock.of(young)
            await send(sock, VERSION + frame(TEXT, b'["hello"]')[:-2])
            await read_until(sock, b"version")
            older = End(server.limits, is_server=True).connection
            young.session.end("another goes on")
            older.take(young)
            clock.turn(5)
            await read_until(sock, closes_with(4408))
            clock.turn(DEAD)  # the peer does not answer
            await older.wait_closed()
            assert "a message took longer" in older.ending.reason

    run(body)


def test_a_peer_that_does_not_read_is_4440():
    async def body():
        limits = {"stall": 0.1, "grace": 0.1, "window": 500_000, "message": 2_000_000}
        async with by_hand(**limits) as (server, sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            call = b'["message",%d,"root","echo",["%b"]]'
            await send(sock, VERSION)
            await read_until(sock, b"version")
            large = b"y" * 400_000
            await send(sock, frame(TEXT, call % (1, large)))
            await send(sock, frame(TEXT, call % (2, large)))
            await server.connection.wait_closed()
            assert server.connection.session.closing[0] == 4440

    run(body)


def test_a_peer_that_says_close_and_nothing_more_is_let_go_after_the_grace():
    async def body():
        async with by_hand(grace=0.05) as (server, sock):
            await send(sock, VERSION)
            await read_until(sock, b"version")
            server.connection.session.close(4410, "the end")
            await read_until(sock, closes_with(4410))
            await server.connection.wait_closed()

    run(body)


def test_shutdown_is_1012():
    async def body():
        async with linked() as (client, server):
            root = await client.connection.getRootObject()
            await root.callRemote("echo", 1)
            server.link.shutdown()
            await client.connection.wait_closed()
            assert client.connection.session.closing[0] == 1012
            del root

    run(body)


def test_reading_in_slices_keeps_the_order():
    async def body():
        async with by_hand(slice=100) as (_, sock):
            frames = [
                frame(TEXT, b'["message",%d,"root","echo",[%d]]' % (n, n)) for n in range(1, 200)
            ]
            await send(sock, VERSION + b"".join(frames))
            got = await read_until(sock, b'["answer",199,199]')
            places = [got.index(b'["answer",%d,%d]' % (n, n)) for n in range(1, 200)]
            assert places == sorted(places)

    run(body)


class Tube(asyncio.Transport):
    """A transport that keeps what is written; its buffer is as full as the test says."""

    def __init__(self, *, can_write_eof=True):
        super().__init__()
        self.written = b""
        self.done = []
        self.buffered = 0
        self.closing = False
        self.half = can_write_eof

    def write(self, data):
        self.written += data

    def writelines(self, parts):
        self.written += b"".join(parts)

    def get_write_buffer_size(self):
        return self.buffered

    def is_closing(self):
        return self.closing

    def can_write_eof(self):
        return self.half

    def write_eof(self):
        self.done.append("eof")

    def close(self):
        self.done.append("close")

    def abort(self):
        self.done.append("abort")

    def pause_reading(self):
        self.done.append("pause")

    def resume_reading(self):
        self.done.append("resume")


@asynccontextmanager
async def on_a_tube(*, protocol=None, can_write_eof=True, **limits):
    """A server's link on a `Tube`; a client's with the *protocol* of one."""
    is_server = protocol is None or protocol.side is SERVER
    end = End(pb.Limits(**limits), is_server=is_server)
    end.tube = Tube(can_write_eof=can_write_eof)
    protocol = protocol or Protocol(SERVER, max_size=end.limits.message)
    end.link = WebSocketLink(protocol, end.tube, end.connection, end.limits)
    end.connection.attach(end.link)
    try:
        yield end
    finally:
        end.link.connection_lost(None)
        end.connection.session.end("the test is over")
        await end.connection.wait_closed()
        assert not any(tables(end.connection.session).values())


def test_a_connection_that_was_lost_before_the_link_had_it_ends_it():
    async def body():
        async with on_a_tube(resume_window=0) as end:
            end.tube.closing = True
            end.link.begin([])
            assert end.connection.session.ended
            assert end.connection.session.closing[0] == 1006

    run(body)


def test_what_came_before_the_link_was_there_is_taken():
    async def body():
        protocol = Protocol(SERVER)
        protocol.receive_data(VERSION)
        async with on_a_tube(protocol=protocol) as end:
            end.link.begin(protocol.events_received())
            assert b"version" in end.tube.written
            assert not end.connection.session.ended

    run(body)


def test_what_is_read_behind_a_slice_is_dropped_with_the_end_of_the_stream():
    async def body():
        async with on_a_tube(slice=10) as end:
            end.link.data_received(VERSION)
            end.link.eof_received()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert end.connection.session.received == 0
            assert not end.connection.session.ended
            assert end.tube.written == b""

    run(body)


def test_reading_pauses_while_much_is_not_parsed():
    async def body():
        async with on_a_tube(slice=100_000) as end:
            end.link.data_received(VERSION + b"\x00" * (BACKLOG - len(VERSION)))
            assert end.tube.done == []
            end.link.data_received(b"\x00")
            assert end.tube.done == ["pause"]
            await asyncio.sleep(0)
            assert end.tube.done[:2] == ["pause", "resume"]

    run(body)


def test_a_fault_of_ours_ends_that_link_alone(monkeypatch):
    async def body():
        async with on_a_tube() as end, on_a_tube() as other:
            with monkeypatch.context() as patched:
                patched.setattr(websocket, "_whole_texts", lambda *_: 1 / 0)
                end.link.data_received(VERSION)
            assert end.connection.session.closing == (1011, "")
            assert end.tube.done == ["abort"]
            other.link.data_received(VERSION)
            assert not other.connection.session.ended

    run(body, logged=1)


def test_a_client_whose_server_has_closed_already_writes_nothing():
    async def body():
        protocol = Protocol(CLIENT)
        protocol.receive_eof()
        async with on_a_tube(protocol=protocol) as end:
            end.link.write([(b"[]", False)])
            assert end.tube.written == b""
            end.link.abort()
            assert end.tube.done == ["abort"]

    run(body)


def test_what_many_write_is_put_together_once():
    async def body():
        async with by_hand() as (one, its), by_hand() as (two, others):
            for sock in (its, others):
                await send(sock, VERSION)
                await read_until(sock, b"version")
            ears = [told(server)[0] for server in (one, two)]
            pb.Group(ears).callRemoteOnly("hear", 0)
            for sock in (its, others):
                assert (await read_until(sock, EARS[0])).endswith(
                    bytes([0x81, len(EARS[0])]) + EARS[0]
                )
                await send(sock, frame(TEXT, b'["ack",1,0]'))

    run(body)


def test_while_the_link_closes_it_waits_for_no_reader():
    async def body():
        async with on_a_tube() as end:
            end.link.data_received(VERSION)
            end.connection.session.close(4410, "the end")
            await asyncio.sleep(0)
            assert end.tube.written.endswith(b"the end")
            written = end.tube.written
            end.link.pause_writing()
            assert end.link._stall is None
            end.link.resume_writing()
            assert end.connection.direct is None
            assert end.tube.written == written

    run(body)


def test_a_peer_that_reads_a_little_is_waited_for_and_one_that_does_not_is_4440():
    async def body():
        async with on_a_tube(stall=3600) as end:
            end.link.data_received(VERSION)
            end.tube.buffered = 1000
            end.link.pause_writing()
            now = asyncio.get_running_loop().time()
            for buffered, due in ((999, now), (999, now - LATE - 1)):  # or this side stood still
                end.tube.buffered = buffered
                end.link._stall.cancel()
                end.link._check_stall(1000 if due == now else 999, due)
                assert end.link._stall is not None
                assert end.tube.done == []
            end.link._stall.cancel()
            end.link._check_stall(999, now)
            assert end.connection.session.closing[0] == 4440
            assert end.tube.done == ["abort"]

    run(body)


def test_a_session_that_comes_over_while_the_link_is_full_waits_for_it():
    async def body():
        async with on_a_tube() as end:
            end.link.data_received(VERSION)
            end.link.pause_writing()
            other = End(end.limits, is_server=True).connection
            end.link.carry(other)
            assert other.direct is None
            assert end.connection.direct is None
            end.link.carry(end.connection)
            end.link.resume_writing()
            assert end.connection.direct == end.link._write_shared
            other.session.end("the test is over")

    run(body)


@pytest.mark.parametrize("can_write_eof", [True, False])
def test_a_peer_that_closes_has_time_to_see_the_end(can_write_eof):
    """TLS has no half of a stream that could end."""

    async def body():
        async with on_a_tube(can_write_eof=can_write_eof, resume_window=0) as end:
            end.link.data_received(VERSION)
            end.link.data_received(frame(CLOSE, closes_with(1000)))
            assert end.tube.written.endswith(b"\x88\x02" + closes_with(1000))
            assert end.tube.done == ["eof" if can_write_eof else "close"]
            grace = end.link._grace
            assert not grace.cancelled()
            end.link.data_received(frame(PING, b"more"))
            assert end.tube.done == ["eof" if can_write_eof else "close"]
        assert grace.cancelled()

    run(body)


def test_a_peer_whose_session_may_be_resumed_gets_its_close_back():
    async def body():
        endpoint = pb.endpoint(Root)
        tube = Tube()
        connection = endpoint.connect(principal=Principal("somebody", None))
        link = WebSocketLink(Protocol(SERVER), tube, connection, endpoint.limits)
        connection.attach(link)
        link.begin(())
        link.data_received(VERSION + frame(CLOSE, closes_with(1001)))
        assert connection.status == "interrupted"
        assert tube.written.endswith(b"\x88\x02" + closes_with(1001))
        assert tube.done == ["eof"]
        link.connection_lost(None)
        assert connection.status == "interrupted"
        endpoint.close()
        assert not any(tables(connection.session).values())

    run(body)


@pytest.mark.skipif(sys.platform != "linux", reason="what the kernel says of it is its own")
def test_what_is_unsent_is_known_to_the_kernel_and_the_transport():
    async def body():
        async with by_hand() as (server, sock):
            await send(sock, VERSION)
            await read_until(sock, b"version")
            assert server.link.unsent() == 0
            server.transport.write(b"x" * 1000)
            assert server.link.unsent() >= 1000
            await read_until(sock, b"x" * 1000)
            assert server.link.unsent() == 0
        async with on_a_tube() as end:  # which is no socket
            end.tube.buffered = 7
            assert end.link.unsent() == 7

    run(body)


def test_on_other_platforms_what_is_not_there_is_done_without(monkeypatch):
    """Windows has no ioctl, and not everything has websockets' extension."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    spec = spec_from_file_location("pbweb.websocket_elsewhere", websocket.__file__)
    elsewhere = module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    assert elsewhere._in_kernel(Tube()) == 0
    assert elsewhere.apply_mask is not websocket.apply_mask
    messages = []
    text = b'["message",1,"root","echo",["without"]]'
    masked = bytes([0x81, 0x80 | len(text)]) + b"abcd" + mask_of(text, b"abcd")
    assert elsewhere._whole_texts(masked, True, messages) == len(masked)
    assert messages == [(text, False)]


def mask_of(data, mask):
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 300, 65_535])
@pytest.mark.parametrize("masked", [True, False])
def test_whole_texts_are_what_the_library_takes_them_for(size, masked):
    text = b"x" * size
    head = bytes([0x81]) + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2))
    data = head + text
    if masked:
        mask = b"\x01\x80\xff\x42"
        head = bytes([head[0], head[1] | 0x80]) + head[2:]
        data = head + mask + mask_of(text, mask)
    library = Protocol(SERVER if masked else CLIENT)
    library.receive_data(data * 3)
    assert [event.data for event in library.events_received()] == [text] * 3

    messages = []
    taken = _whole_texts(data * 3, masked, messages)
    if size:
        assert taken == 3 * len(data)
    assert messages == [(text, False)] * (taken // len(data))
    for length in range(min(len(data), 20)):  # a piece is left to the library
        messages = []
        assert _whole_texts(data + data[:length], masked, messages) == len(data) * len(messages)
        assert len(messages) <= 1
    assert _whole_texts(data[:-1], masked, []) == 0


@pytest.mark.parametrize("first", [one for one in range(256) if one != 0x81])
def test_any_other_first_byte_is_left_to_the_library(first):
    data = bytes([first]) + frame(TEXT, b'["hello"]')[1:]
    messages = []
    assert _whole_texts(VERSION + data, True, messages) == len(VERSION)
    assert messages == [(b'["version",1]', False)]


@pytest.mark.parametrize("masked", [True, False])
def test_the_wrong_masking_is_left_to_the_library(masked):
    data = frame(TEXT, b'["hello"]')
    if masked:
        data = data[:1] + bytes([data[1] & 0x7F]) + data[2:]
    assert _whole_texts(data, masked, []) == 0


def test_whole_texts_between_fragments_are_refused():
    async def body():
        async with by_hand() as (server, sock):
            await send(sock, VERSION + frame(TEXT, b'["hello', fin=False))
            await read_until(sock, b"version")
            await send(sock, frame(TEXT, b'["hello"]'))
            assert closes_with(1002) in await read_until(sock, closes_with(1002))
            assert server.connection.session.ended

    run(body)


def test_what_comes_before_a_fault_is_handled_and_what_comes_behind_is_not():
    async def body():
        calls = [b'["message",%d,"root","echo",[%d]]' % (n, n) for n in (1, 2)]
        async with by_hand() as (server, sock):
            await send(
                sock, VERSION + frame(TEXT, calls[0]) + frame(3, b"") + frame(TEXT, calls[1])
            )
            got = await read_until(sock, closes_with(1002))
            assert closes_with(1002) in got
            assert server.connection.session.received == 1

    run(body)


def test_large_messages_arrive_whole():
    async def body():
        async with linked() as (client, _):
            root = await client.connection.getRootObject()
            for size in (JOINED - 20, JOINED, JOINED + 20, 900_000):
                value = ["y" * size, b"z" * (size // 10)]
                assert await root.callRemote("echo", value) == value
            del root

    run(body)


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("is_server", [True, False])
def test_what_is_written_the_library_takes(size, binary, is_server):
    async def body():
        one, two = socket.socketpair()
        end = await End(pb.Limits(), is_server=is_server).open(one)
        two.setblocking(False)
        peer = Protocol(CLIENT if is_server else SERVER)
        data = b"a" * size
        end.link.write([(data, binary), (data, not binary)])
        end.link.write([(b"last", binary)])
        got = []
        while len(got) < 3 + (not is_server):  # a client says its version first
            peer.receive_data(await asyncio.get_running_loop().sock_recv(two, 1 << 20))
            got += peer.events_received()
        assert [event.data for event in got[-3:]] == [data, data, b"last"]
        assert [event.opcode == BINARY for event in got[-3:]] == [binary, not binary, binary]
        end.transport.abort()
        two.close()
        await end.connection.wait_closed()

    run(body)


def test_each_frame_of_a_client_has_a_mask_of_its_own():
    async def body():
        async with linked() as (client, _):
            masks = {client.link._frame(b"data", False)[1] for _ in range(3 * MASKS)}
            assert all(len(mask) == 4 for mask in masks)
            assert len(masks) > 3 * MASKS - 3

    run(body)


EARS = [b'["message",0,"ear","hear",[%d]]' % number for number in range(6)]


def told(server):
    """A reference to what the peer of *server* calls its ear, and a group of it alone."""
    ear = server.connection.remoteForName("ear")
    return ear, pb.Group([ear])


def test_a_call_of_a_group_is_written_at_once_and_the_rest_of_the_turn_as_one_batch():
    async def body():
        async with by_hand() as (server, sock):
            await send(sock, VERSION)
            await read_until(sock, b"version")
            _, group = told(server)
            for number in range(3):
                group.callRemoteOnly("hear", number)
            got = await read_until(sock, EARS[2] + b"]")
            assert EARS[0] in got
            assert b"[" + EARS[1] + b"," + EARS[2] + b"]" in got
            assert server.connection.session.sent == 3
            await asyncio.sleep(0)
            group.callRemoteOnly("hear", 3)
            assert not server.connection.broker.outbox, "another turn, another message"
            assert (await read_until(sock, EARS[3])).endswith(bytes([0x81, len(EARS[3])]) + EARS[3])
            await send(sock, frame(TEXT, b'["ack",4,0]'))

    run(body)


def test_a_call_of_a_group_overtakes_nothing():
    async def body():
        async with by_hand() as (server, sock):
            await send(sock, VERSION)
            await read_until(sock, b"version")
            ear, group = told(server)
            ear.callRemoteOnly("hear", 0)
            group.callRemoteOnly("hear", 1)
            assert b",".join(EARS[:2]) in await read_until(sock, EARS[1])
            server.link.pause_writing()
            group.callRemoteOnly("hear", 2)
            await asyncio.sleep(0)
            ear.callRemoteOnly("hear", 3)
            group.callRemoteOnly("hear", 4)
            await asyncio.sleep(0)
            assert len(server.connection.broker.outbox) == 3
            server.link.resume_writing()
            group.callRemoteOnly("hear", 5)
            got = await read_until(sock, EARS[5])
            assert b",".join(EARS[2:5]) in got
            await send(sock, frame(TEXT, b'["ack",6,0]'))

    run(body)


def test_before_the_peers_version_and_after_the_end_nothing_of_a_group_is_written():
    async def body():
        async with by_hand() as (server, sock):
            _, group = told(server)
            group.callRemoteOnly("hear", 0)
            await asyncio.sleep(0)
            assert server.connection.session.sent == 0
            await send(sock, VERSION)
            got = await read_until(sock, EARS[0])
            assert got.index(b"version") < got.index(EARS[0])
            server.connection.session.close(4410, "")
            group.callRemoteOnly("hear", 1)
            got = await read_until(sock, closes_with(4410))
            assert got.index(EARS[1]) < got.index(b'["close"')
            assert server.connection.direct is None

    run(body)


def test_a_clients_group_masks_each_message():
    class Ear(pb.Referenceable):
        def __init__(self):
            self.heard = []

        def remote_hear(self, value):
            self.heard.append(value)

    async def body():
        ear = Ear()
        async with linked() as (client, server):
            server.connection.setNameForLocal("ear", ear)
            group = pb.Group([client.connection.remoteForName("ear")])
            for number in range(3):
                group.callRemoteOnly("hear", number)
                await asyncio.sleep(0)
            assert list((await group.callRemote("hear", 3)).values()) == [None]
        assert ear.heard == [0, 1, 2, 3]

    run(body)
