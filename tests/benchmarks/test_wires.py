"""The bare clients' bytes: Twisted PB's are a real exchange's, frames come in pieces."""

import pytest

from .payloads import MESSAGE, payload
from .wires import WIRES
from .wires.base import PING, PONG, Options, masked
from .wires.pbweb import PBWeb, PBWebHandOut, PBWebRing
from .wires.socketio import SocketIO
from .wires.twisted import Twisted, TwistedHandOut, TwistedRing

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

# Between Twisted 26.10's PBClientFactory and its PBServerFactory, by a proxy that printed it.
HELLO = b"\x02\x80\x07\x82unicode\r\x82hello network"
SERVER_DIALECT = b"\x02\x80\x02\x82pb\x04\x82none"
SERVER_VERSION = b"\x02\x80\x13\x87\x06\x81"
ECHO = (
    b"\x07\x80\x1a\x87\x01\x81\x04\x82root\x04\x82echo\x01\x81\x02\x80\x0b\x87"
    + HELLO
    + b"\x01\x80\x05\x87"
)
ECHOED = b"\x03\x80\x1b\x87\x01\x81" + HELLO
MAKE = b"\x07\x80\x1a\x87\x01\x81\x04\x82root\x04\x82make\x01\x81\x01\x80\x0b\x87\x01\x80\x05\x87"
MADE = b"\x03\x80\x1b\x87\x01\x81\x02\x80\x10\x87\x01\x81"
CALL_OF_IT = (
    b"\x07\x80\x1a\x87\x02\x81\x01\x81\x04\x82echo\x01\x81\x02\x80\x0b\x87"
    + HELLO
    + b"\x01\x80\x05\x87"
)
SECOND_ECHOED = b"\x03\x80\x1b\x87\x02\x81" + HELLO
RELEASE = b"\x02\x80\x1d\x87\x01\x81"
SERVER_CALLS = (
    b"\x07\x80\x1a\x87\x01\x81\x01\x81\x04\x82echo\x01\x81\x02\x80\x0b\x87"
    + HELLO
    + b"\x01\x80\x05\x87"
)


def message(payload: bytes) -> bytes:
    """One text message of a server's, which is not masked."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    return head + payload


def connected(kind, **options):
    """A wire that is ready."""
    wire = kind(Options(**options))
    wire.opening("localhost")
    if isinstance(wire, Twisted):
        wire.take(SERVER_DIALECT)
        wire.take(SERVER_VERSION)
    else:
        wire.take(UPGRADED)
    return wire


class TestTwisted:
    def test_it_becomes_ready_when_the_version_has_come_in_pieces(self):
        wire = Twisted(Options())
        assert wire.opening("localhost") == b"\x02\x82pb\x02\x80\x13\x87\x06\x81"
        wire.take(SERVER_DIALECT + SERVER_VERSION[:3])
        assert not wire.ready
        wire.take(SERVER_VERSION[3:])
        assert wire.ready

    def test_a_call_is_what_twisted_writes(self):
        assert connected(Twisted).calls(1) == ECHO

    def test_requests_past_127_have_two_digits(self):
        wire = connected(Twisted)
        wire.calls(127)
        assert wire.calls(1).startswith(b"\x07\x80\x1a\x87\x00\x01\x81")

    def test_answers_are_counted_wherever_they_are_cut(self):
        answers = ECHOED * 5
        for at in range(len(answers)):
            wire = connected(Twisted)
            assert wire.take(answers[:at])[0] + wire.take(answers[at:])[0] == 5

    def test_an_object_is_got_called_and_released(self):
        wire = connected(TwistedHandOut)
        assert wire.calls(1) == MAKE
        assert wire.take(MADE) == (0, CALL_OF_IT)
        assert wire.take(SECOND_ECHOED) == (1, RELEASE)

    def test_calls_of_the_server_are_answered_wherever_they_are_cut(self):
        for at in range(len(SERVER_CALLS)):
            wire = connected(TwistedRing)
            first, second = wire.take(SERVER_CALLS[:at]), wire.take(SERVER_CALLS[at:])
            assert first[0] + second[0] == 1
            assert first[1] + second[1] == ECHOED

    def test_an_error_is_a_fault(self):
        wire = connected(Twisted)
        wire.take(b"\x03\x80\x1c\x87\x01\x81")
        assert "the server sent" in wire.fault


class TestWebSocket:
    def test_messages_are_taken_wherever_they_are_cut(self):
        said = UPGRADED + message(b'["version",1]') + message(b'["answer",1,"%b"]' % (b"x" * 200))
        for at in range(len(said)):
            wire = PBWeb(Options())
            counted = wire.take(said[:at])[0]
            wire.calls(1)
            assert counted + wire.take(said[at:])[0] == 1

    def test_no_upgrade_is_a_fault(self):
        wire = PBWeb(Options())
        wire.take(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        assert "403" in wire.fault

    def test_a_ping_is_answered(self):
        wire = connected(PBWeb)
        assert wire.take(bytes((PING, 1)) + b"x") == (0, masked(b"x", PONG))

    @pytest.mark.parametrize("name", [name for name in WIRES if not name.startswith("twisted")])
    def test_a_close_is_a_fault(self, name):
        wire = connected(WIRES[name])
        wire.take(bytes((0x88, 2)) + b"\x03\xe8")
        assert "the server sent" in wire.fault


class TestPBWeb:
    def test_acknowledges_after_32_frames_what_came_and_what_was_sent(self):
        wire = connected(PBWeb, in_flight=32, batches=True)
        wire.calls(32)
        wire.take(message(b"[" + b",".join(b'["answer",%d,1]' % n for n in range(1, 33)) + b"]"))
        assert wire.calls(1).endswith(b',["ack",32,33]]')

    def test_acknowledges_after_64_kib(self):
        wire = connected(PBWeb, batches=True)
        wire.calls(1)
        text = b'["answer",1,"%b"]' % (b"x" * 70_000)
        wire.take(bytes((0x81, 127)) + len(text).to_bytes(8, "big") + text)
        assert b'["ack",1,2]' in wire.calls(1)

    def test_a_batch_over_the_limit_goes_as_messages(self):
        wire = connected(PBWeb, batches=True, payload=payload("1 MiB"))
        assert wire.calls(2).count(b'["message",') == 2
        assert not wire.calls(2)[14:].startswith(b"[[")

    def test_a_cycle_is_counted_once_and_its_object_released(self):
        wire = connected(PBWebHandOut, batches=True)
        assert b'["message",2,-1,"echo",["hello network"]]' in wire.calls(1)
        answers = b'[["answer",1,{"$":"remote","id":7}],["answer",2,"hello network"]]'
        assert wire.take(message(answers))[0] == 1
        assert b'["decref",7,1]' in wire.calls(1)

    def test_calls_of_the_server_are_answered_by_their_numbers(self):
        wire = connected(PBWebRing)
        counted, reply = wire.take(message(b'["message",5,1,"echo",["hello network"]]'))
        assert (counted, reply) == (1, masked(b'["answer",5,"hello network"]'))


def test_socketio_opens_its_namespace_before_it_calls():
    wire = connected(SocketIO)
    assert not wire.ready
    assert wire.take(message(b'0{"sid":"x"}')) == (0, masked(b"40"))
    wire.take(message(b'40{"sid":"y"}'))
    assert wire.ready
    assert wire.calls(1) == masked(b'421["echo","hello network"]')
    assert wire.take(message(b'431["hello network"]')) == (1, b"")


def test_payloads_have_their_size():
    assert 1000 < len(payload("1 KiB")) <= 1024
    assert 65_000 < len(payload("64 KiB")) <= 65_536
    assert MESSAGE - 100 < len(payload("1 MiB")) <= MESSAGE
    assert len(payload("bytes of 1 MiB")) == MESSAGE // 256 * 256
