"""The cases of the Autobahn test suite's fuzzing client, against a server of ours (B1 to B5).

The suite itself (autobahntestsuite 25.10.1) is Python 2 and does not run here. These are its
cases of the sections 1 to 7, 9 and 10, under its numbers, as frames. What it has echoed is the
argument of a call here, since a message has to be JSON: where the suite sends what is none, 4400
is what follows. Its sections 12 and 13 are about compression, which is never agreed on.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

import pbweb as pb
from tests.hostile.kit import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Gateway,
    Peer,
    gateway,
    ws_frame,
)

HELLO = "Hello-µ@ßöäüàá-UTF-8!!"
KOSME = "κόσμε"


class Echo(pb.Root):
    def remote_echo(self, value: object = None) -> object:
        return value


@dataclass
class Case:
    """What is sent, in how many bytes at a time, and what has to come back."""

    name: str
    sent: list[bytes]
    comes: list[object] = field(default_factory=list)  # payloads of pongs, lists with echoed values
    ends: int | None = None  # the code of the close, if there is one
    size: int = 0  # bytes of each write; 0: all at once; -1: a frame each


def call(value: object, request: int = 1) -> bytes:
    message = ["message", request, "root", "echo", [value]]
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def call_of(length: int, request: int = 1) -> tuple[bytes, str]:
    """A call whose message has so many bytes, and what it echoes."""
    value = "*" * (length - len(call("", request)))
    return call(value, request), value


def raw_call(data: bytes) -> bytes:
    """A call with the bytes *data* as a string, whatever they are."""
    return call("").replace(b'""', b'"' + data + b'"')


def binary_call(length: int) -> tuple[bytes, bytes]:
    """As `call_of`, as a binary message (protocol section 8)."""
    text = call({"$": "bytes", "at": 0})
    value = b"\xfe" * (length - len(text) - 8)
    return b"".join(len(part).to_bytes(4, "little") + part for part in (text, value)), value


def rsv(frame: bytes, bits: int) -> bytes:
    return bytes([frame[0] | bits << 4]) + frame[1:]


def fragments(data: bytes, *cuts: int, opcode: int = TEXT, size: int = 0) -> list[bytes]:
    """*data* cut at these places, or into pieces of *size*, as the fragments of one message."""
    at = [0, *(cuts or range(size, len(data), size)), len(data)]
    parts = [data[start:end] for start, end in pairwise(at)]
    last = len(parts) - 1
    return [
        ws_frame(opcode if n == 0 else CONT, part, fin=n == last) for n, part in enumerate(parts)
    ]


def close(code: int, reason: bytes = b"") -> bytes:
    return ws_frame(CLOSE, code.to_bytes(2, "big") + reason)


# ------------------------------------------------------------------- the cases


def framing() -> Iterator[Case]:
    """1: text and binary messages of all forms of lengths."""
    for opcode, part, make in ((TEXT, 1, call_of), (BINARY, 2, binary_call)):
        yield Case(f"1.{part}.1", [ws_frame(opcode)], ends=4400)
        for number, length in enumerate((125, 126, 127, 128, 65535, 65536), 2):
            data, value = make(length)
            yield Case(f"1.{part}.{number}", [ws_frame(opcode, data)], [[value]])
        yield Case(f"1.{part}.8", [ws_frame(opcode, data)], [[value]], size=997)


def pings() -> Iterator[Case]:
    """2: pings and pongs."""
    long = b"\xfe" * 125
    some = (b"", b"Hello, world!", b"\0\xff\xfe\xfd\xfc\xfb\0\xff", long)
    for number, payload in enumerate(some, 1):
        yield Case(f"2.{number}", [ws_frame(PING, payload)], [payload])
    yield Case("2.5", [ws_frame(PING, b"\xfe" * 126)], ends=1002)
    yield Case("2.6", [ws_frame(PING, long)], [long], size=1)
    yield Case("2.7", [ws_frame(PONG)])
    yield Case("2.8", [ws_frame(PONG, b"unsolicited pong payload")])
    yield Case("2.9", [ws_frame(PONG, b"x"), ws_frame(PING, b"ping payload")], [b"ping payload"])
    many = [b"payload-%d" % number for number in range(10)]
    yield Case("2.10", [ws_frame(PING, one) for one in many], list(many))
    yield Case("2.11", [ws_frame(PING, one) for one in many], list(many), size=1)


def reserved_bits() -> Iterator[Case]:
    """3: bits that mean nothing, since no extension was agreed on."""
    text, ping = ws_frame(TEXT, call(HELLO)), ws_frame(PING)
    wrong = ws_frame(TEXT, call(HELLO, 2))
    yield Case("3.1", [rsv(text, 1)], ends=1002)
    for number, size in ((2, 0), (3, -1), (4, 1)):
        yield Case(f"3.{number}", [text, rsv(wrong, number), ping], [[HELLO]], 1002, size)
    yield Case("3.5", [rsv(ws_frame(BINARY, b"\0\xff" * 4), 5)], ends=1002)
    yield Case("3.6", [rsv(ws_frame(PING, b"Hello, world!"), 6)], ends=1002)
    yield Case("3.7", [rsv(ws_frame(CLOSE), 7)], ends=1002)


def opcodes() -> Iterator[Case]:
    """4: opcodes that are none."""
    text, ping = ws_frame(TEXT, call(HELLO)), ws_frame(PING)
    for part, first in ((1, 3), (2, 11)):
        yield Case(f"4.{part}.1", [ws_frame(first)], ends=1002)
        yield Case(f"4.{part}.2", [ws_frame(first + 1, b"reserved")], ends=1002)
        for number, payload, size in ((3, b"", 0), (4, b"reserved", 0), (5, b"reserved", 1)):
            frames = [text, ws_frame(first + number - 1, payload), ping]
            yield Case(f"4.{part}.{number}", frames, [[HELLO]], 1002, size)


def fragmentation() -> Iterator[Case]:
    """5: fragments, and what stands between them."""
    data = call("fragment1fragment2")
    ping = ws_frame(PING, b"ping payload")
    two = fragments(data, 40)
    yield Case("5.1", fragments(b"fragment1fragment2", 9, opcode=PING), ends=1002)
    yield Case("5.2", fragments(b"fragment1fragment2", 9, opcode=PONG), ends=1002)
    for number, size in ((3, 0), (4, -1), (5, 1)):
        yield Case(f"5.{number}", two, [["fragment1fragment2"]], size=size)
        between = [two[0], ping, two[1]]
        comes = [b"ping payload", ["fragment1fragment2"]]
        yield Case(f"5.{number + 3}", between, list(comes), size=size)
    for fin, first in ((True, 9), (False, 12)):
        for number, size in ((first, 0), (first + 1, -1), (first + 2, 1)):
            frames = [ws_frame(CONT, b"non-continuation payload", fin=fin), ws_frame(TEXT, data)]
            yield Case(f"5.{number}", frames, ends=1002, size=size)
    yield Case("5.15", [*two, ws_frame(CONT, b"x", fin=False), ws_frame(TEXT, data)],
               [["fragment1fragment2"]], 1002)  # fmt: skip
    for number, fin in ((16, False), (17, True)):
        yield Case(f"5.{number}", [ws_frame(CONT, b"fragment1", fin=fin), *two] * 2, ends=1002)
    yield Case("5.18", [ws_frame(TEXT, b"[", fin=False), ws_frame(TEXT, b"]")], ends=1002)
    five = fragments(data, 10, 20, 30, 40)
    between = [*five[:2], ws_frame(PING, b"1"), *five[2:4], ws_frame(PING, b"2"), five[4]]
    for number, size in ((19, 0), (20, -1)):
        yield Case(f"5.{number}", between, [b"1", b"2", ["fragment1fragment2"]], size=size)


def utf8() -> Iterator[Case]:
    """6.1 to 6.4: UTF-8 in pieces."""
    data, short = call(HELLO), call(KOSME)
    start = data.index("µ".encode())
    yield Case("6.1.1", [ws_frame(TEXT)], ends=4400)
    yield Case("6.1.2", fragments(b"", 0, 0), ends=4400)
    yield Case("6.1.3", fragments(data, 0, len(data)), [[HELLO]])
    yield Case("6.2.1", [ws_frame(TEXT, data)], [[HELLO]])
    yield Case("6.2.2", fragments(data, start), [[HELLO]])
    yield Case("6.2.3", fragments(data, start + 1, start + 5), [[HELLO]])
    yield Case("6.2.4", fragments(short, size=1), [[KOSME]])
    bad = raw_call(KOSME.encode() + b"\xed\xa0\x80edited")
    yield Case("6.3.1", [ws_frame(TEXT, bad)], ends=1007)
    yield Case("6.3.2", fragments(bad, size=2), ends=1007)
    at = bad.index(b"\xed")
    for number, cuts in ((1, (at, at + 3)), (2, (at + 1, at + 2)), (3, (at,)), (4, (at + 1,))):
        yield Case(f"6.4.{number}", fragments(bad, *cuts), ends=1007)


VALID = {
    "6.5": [KOSME, f"x{KOSME}"],
    "6.7": ["\x80", "\u0800", "\U00010000"],
    "6.9": ["\x7f", "\u07ff", "\uffff", "\U0010ffff"],
    "6.11": ["\ud7ff", "\ue000", "\ufffd", "\U0010ffff"],
    "6.22": [chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)],
    "6.23": ["\ufffd", "\ufffe", "\ufff0", "\ufeff", "\u2028", "\u2029", "\ufff9", "\ufffc"],
}
# fmt: off
# ruff: noqa: E501
WRONG = {
    "6.6": [KOSME.encode()[:end] for end in (1, 3, 5, 7, 9)],
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11": [b"\xf4\x90\x80\x80"],
    "6.12": [b"\x80", b"\xbf", *(b"\x80\xbf" * count for count in (1, 2, 3)), bytes(range(128, 192))],
    "6.13": [b"".join(bytes([c, 32]) for c in range(low, high))
             for low, high in ((0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8), (0xF8, 0xFC), (0xFC, 0xFE))],
    "6.14": [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
             b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"],
    "6.15": [b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf"],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
             b"\xfc\x80\x80\x80\x80\xaf"],
    "6.18": [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
             b"\xfc\x83\xbf\xbf\xbf\xbf"],
    "6.19": [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
             b"\xfc\x80\x80\x80\x80\x80"],
    "6.20": [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80",
             b"\xed\xbe\x80", b"\xed\xbf\xbf"],
    "6.21": [high + low for high in (b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf")
             for low in (b"\xed\xb0\x80", b"\xed\xbf\xbf")],
}
# fmt: on


def sequences() -> Iterator[Case]:
    """6.5 to 6.23: what is UTF-8, and what is not."""
    for name, texts in VALID.items():
        for number, text in enumerate(texts, 1):
            yield Case(f"{name}.{number} valid", [ws_frame(TEXT, call(text))], [[text]])
    for name, parts in WRONG.items():
        for number, part in enumerate(parts, 1):
            yield Case(f"{name}.{number}", [ws_frame(TEXT, raw_call(part))], ends=1007)
    yield Case("6.7.1", [ws_frame(TEXT, raw_call(b"\0"))], ends=4400)  # UTF-8, and no JSON


def closing() -> Iterator[Case]:
    """7: the close, and what comes behind it."""
    text, ping = ws_frame(TEXT, call(HELLO)), ws_frame(PING)
    yield Case("7.1.1", [text, close(1000)], [[HELLO]], 1000)
    yield Case("7.1.2", [close(1000), close(1000)], ends=1000)
    yield Case("7.1.3", [close(1000), ping], ends=1000)
    yield Case("7.1.4", [close(1000), text], ends=1000)
    two = fragments(call(HELLO), 30)
    yield Case("7.1.5", [two[0], close(1000), two[1]], ends=1002)  # the message is never whole
    data, value = call_of(262_144)
    yield Case("7.1.6", [ws_frame(TEXT, data), close(1000), ping], [[value]], 1000)
    yield Case("7.3.1", [ws_frame(CLOSE)], ends=0)
    yield Case("7.3.2", [ws_frame(CLOSE, b"a")], ends=1002)
    yield Case("7.3.3", [close(1000)], ends=1000)
    yield Case("7.3.4", [close(1000, b"Hello World!")], ends=1000)
    yield Case("7.3.5", [close(1000, b"*" * 123)], ends=1000)
    yield Case("7.3.6", [close(1000, b"*" * 124)], ends=1002)
    yield Case("7.5.1", [close(1000, KOSME.encode() + b"\xed\xa0\x80edited")], ends=1007)
    good = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(good, 1):
        yield Case(f"7.7.{number}", [close(code)], ends=code)
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield Case(f"7.9.{number}", [close(code)], ends=1002)
    for number, code in enumerate((5000, 65535), 1):
        yield Case(f"7.13.{number}", [close(code)], ends=1002)


def limits() -> Iterator[Case]:
    """9 and 10: messages up to our limit of 1 MiB and past it, whole, in fragments and in pieces."""
    for opcode, part, make in ((TEXT, 1, call_of), (BINARY, 2, binary_call)):
        for number, length in enumerate((65_536, 262_144, 1_048_576), 1):
            data, value = make(length)
            yield Case(f"9.{part}.{number}", [ws_frame(opcode, data)], [[value]])
        yield Case(f"9.{part}.4", [ws_frame(opcode, b"*" * 1_048_577)[:14]], ends=1009)
        for number, size in enumerate((16_384, 65_536, 262_144), 1):
            frames = fragments(data, opcode=opcode, size=size)
            yield Case(f"9.{part + 2}.{number}", frames, [[value]])
        many = fragments(b"*" * 1000, opcode=opcode, size=1)  # more than one message may have
        yield Case(f"9.{part + 2}.9", many, ends=4429)
        data, value = make(65_536)
        for number, size in enumerate((64, 256, 2048), 1):
            yield Case(f"9.{part + 4}.{number}", [ws_frame(opcode, data)], [[value]], size=size)
    calls = [call("*" * 100, number) for number in range(1, 201)]
    yield Case("9.7.1", [ws_frame(TEXT, one) for one in calls], [["*" * 100]] * 200)
    data, value = call_of(65_536)
    yield Case("10.1.1", fragments(data, size=1300), [[value]])


SECTIONS = (
    framing, pings, reserved_bits, opcodes, fragmentation, utf8, sequences, closing, limits,
)  # fmt: skip


# ----------------------------------------------------------------------------


async def send(peer: Peer, case: Case) -> None:
    """Write as the case says; a server that closes in between takes no more."""
    data = b"".join(case.sent)
    parts = case.sent
    if case.size >= 0:
        size = case.size or len(data)
        parts = [data[start : start + size] for start in range(0, len(data), size)]
    try:
        for part in parts:
            peer.send_bytes(part)
            await peer.drain()
    except ConnectionError:
        assert case.ends is not None


async def receive(peer: Peer) -> tuple[list[object], int | None]:
    """What came before the answer to the last call, or before the close, and its code."""
    came: list[object] = []
    while (got := await peer.read_ws()) is not None:
        opcode, payload = got
        if opcode == CLOSE:
            return came, int.from_bytes(payload[:2], "big")
        if opcode == PONG:
            came.append(payload)
            continue
        attachment = None
        if opcode == BINARY:
            length = int.from_bytes(payload[:4], "little")
            payload, attachment = payload[4 : 4 + length], payload[length + 8 :]
        message = json.loads(payload)
        for frame in [message] if isinstance(message[0], str) else message:
            if frame[:2] == ["answer", 2**52]:
                return came, None
            if frame[0] == "answer":
                value = frame[2] if attachment is None else attachment
                short = type(value) is dict and value.get("base64")
                came.append([base64.b64decode(short) if short else value])
    return came, -1


async def try_case(gate: Gateway, case: Case) -> None:
    peer = await gate.peer(greet=False)
    peer.greet(binary=True)
    await peer.next("version")
    await send(peer, case)
    if case.ends is None:
        peer.send(["message", 2**52, "root", "echo", ["all is well"]])
    came, code = await receive(peer)
    assert code == case.ends, case.name
    # what stands before a violation or a close in one read may be answered, or not any more
    assert came == case.comes or (came == [] and case.ends is not None), case.name
    if code not in (None, -1):
        peer.send_ws(CLOSE, (1000).to_bytes(2, "big"))
    await peer.cut()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
async def test_cases(section: object) -> None:
    async with gateway(Echo) as gate:
        number = 0
        for case in section():  # type: ignore[operator]
            await try_case(gate, case)
            number += 1
        assert number >= 7
        await gate.only_canary()


def test_all_cases_have_a_name_of_their_own() -> None:
    names = [case.name for section in SECTIONS for case in section()]
    assert len(names) == len(set(names))
    assert len(names) > 240
