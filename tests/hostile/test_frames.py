"""Bytes, WebSocket frames and envelopes that no client of ours would send (B1 to B14)."""

import asyncio
import json
import logging
import random

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
    with_limits,
    ws_frame,
)


class Echo(pb.Root):
    calls = 0

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_nothing(self, *args: object, **kw: object) -> None:
        type(self).calls += 1


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def binary(frame: object, *attachments: bytes) -> bytes:
    text = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return b"".join(len(part).to_bytes(4, "little") + part for part in (text, *attachments))


async def ends_with(gate: Gateway, peer: Peer, code: int) -> None:
    """*peer* is closed with *code*, told so by a frame before where the protocol says it."""
    got, said = await peer.closed()
    assert got == code, (got, peer.close_reason)
    if code >= 4000 and code not in (4408, 4409):
        assert said is not None
        assert said[1] == code
        assert said[2] == peer.close_reason
        assert len(said[2].encode()) <= 123
    await peer.cut()
    await gate.only_canary()


# ------------------------------------------------------------------ sizes


async def test_a_giant_length_is_refused_when_it_is_known() -> None:
    async with gateway(Echo) as gate:
        for head in (
            b"\x81\xff" + (2**62).to_bytes(8, "big"),
            b"\x82\xff" + (2**63 - 1).to_bytes(8, "big"),
            b"\x81\xff" + (1_048_577).to_bytes(8, "big"),
        ):
            peer = await gate.peer()
            peer.send_bytes(head + b"\0\0\0\0")
            await ends_with(gate, peer, 1009)


async def test_a_message_at_the_limit_and_one_past_it() -> None:
    async with gateway(Echo, limits=with_limits(message=5000)) as gate:
        for size, fits in ((5000, True), (5001, False)):
            peer = await gate.peer()
            text = json.dumps(["message", 1, "root", "nothing", [""]])
            text = text.replace('""', '"' + "a" * (size - len(text)) + '"')
            assert len(text) == size
            peer.send_text(text)
            if fits:
                assert await peer.answer(1) == ["answer", 1]
                await peer.cut()
            else:
                await ends_with(gate, peer, 1009)


async def test_a_real_message_over_the_limit_in_fragments() -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_ws(TEXT, b'["message",1,"root","nothing",["', fin=False)
        for _ in range(40):
            peer.send_ws(CONT, b"a" * 30_000, fin=False)
        await ends_with(gate, peer, 1009)


async def test_a_large_message_goes_through_in_slices() -> None:
    async with gateway(Echo) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", ["a" * 1_000_000]])
        assert (await peer.answer(1))[2] == "a" * 1_000_000
        peer.send(["ack", 0, 1])
        await peer.cut()


# -------------------------------------------------------------- fragments


async def test_fragments_at_the_limit_and_one_past_it() -> None:
    async with gateway(Echo) as gate:
        for number, fits in ((64, True), (65, False)):
            peer = await gate.peer()
            text = b'["message",1,"root","echo",["' + b"a" * number + b'"]]'
            cuts = [text[:29], *(text[at : at + 1] for at in range(29, 29 + number - 2))]
            cuts.append(text[29 + number - 2 :])
            assert len(cuts) == number
            for at, part in enumerate(cuts):
                peer.send_ws(CONT if at else TEXT, part, fin=at == number - 1)
            if fits:
                assert (await peer.answer(1))[2] == "a" * number
                await peer.cut()
            else:
                await ends_with(gate, peer, 4429)


async def test_empty_continuation_frames() -> None:
    """40,000 of them took stock uvicorn 0.76 s of the loop; here they end in the first slice."""
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_ws(TEXT, b"", fin=False)
        peer.send_bytes(ws_frame(CONT, fin=False) * 40_000)
        await ends_with(gate, peer, 4429)


@pytest.mark.parametrize(
    "part",
    [
        b"\x81",  # half a head
        b"\x81\x85\0\0\0\0[",  # a part of the payload
        ws_frame(TEXT, b"[", fin=False),  # a fragment, never finished
        ws_frame(TEXT, b"[", fin=False) + ws_frame(PING) + ws_frame(CONT, fin=False),
    ],
)
async def test_a_message_that_is_never_finished(part: bytes) -> None:
    async with gateway(Echo, limits=with_limits(heartbeat=1000), turned=True) as gate:
        peer = await gate.peer()
        await gate.arrives(peer, part)
        gate.clock.turn(29.9)
        assert not gate.link(peer)._closing
        gate.clock.turn(0.2)
        await ends_with(gate, peer, 4408)
        assert peer.close_reason == "a message took longer than 30 s"


async def test_a_drip_of_bytes_does_not_put_the_end_off() -> None:
    async with gateway(Echo, turned=True) as gate:
        peer = await gate.peer()
        await gate.arrives(peer, b"\x81\xfe\x10\x00\0\0\0\0")  # 4096 bytes are to come
        for _ in range(29):
            gate.clock.turn(1)
            await gate.arrives(peer, b" ")
        assert not gate.link(peer)._closing
        gate.clock.turn(1)
        await ends_with(gate, peer, 4408)
        assert peer.close_reason == "a message took longer than 30 s"


async def test_messages_that_are_finished_in_time_are_not_counted_together() -> None:
    async with (
        gateway(Echo, limits=with_limits(heartbeat=1000), turned=True) as gate,
        await gate.peer() as peer,
    ):
        frames = [
            ws_frame(TEXT, b'["message",%d,"root","echo",[%d]]' % (n, n)) for n in range(1, 40)
        ]
        data = b"".join(frames)
        cut = len(frames[0]) + 7  # each piece ends within a message
        for at in range(0, len(data), cut):
            await gate.arrives(peer, data[at : at + cut])
            gate.clock.turn(20)
        assert await peer.answer(39) == ["answer", 39, 39]


async def test_a_slow_message_is_no_silence() -> None:
    """Any traffic counts: a peer on a slow line cannot answer a ping in the middle of it."""
    limits = with_limits(message_time=1000)
    async with gateway(Echo, limits=limits, turned=True) as gate, await gate.peer() as peer:
        text = json.dumps(["message", 1, "root", "echo", ["a" * 3000]]).encode()
        data = ws_frame(TEXT, text)
        for at in range(0, len(data), 150):
            await gate.arrives(peer, data[at : at + 150])
            gate.clock.turn(12)
        assert (await peer.answer(1))[2] == "a" * 3000


async def test_silence_is_noticed() -> None:
    async with gateway(Echo, turned=True) as gate:
        peer = await gate.peer()
        gate.clock.turn(15)
        assert await peer.next("ping") == ["ping", 0, 0]
        gate.clock.turn(9)
        await gate.arrives(peer, ws_frame(TEXT, b'["pong",0,0]'))
        gate.clock.turn(20)
        assert await peer.next("ping") == ["ping", 0, 0]
        gate.clock.turn(10)
        await ends_with(gate, peer, 4408)
        assert peer.close_reason == "no answer to a ping within 10 s"


# --------------------------------------------------------- control frames


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_control_frames_at_the_limit_and_one_past_it(opcode: int) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_bytes(ws_frame(opcode, b"x") * 20)
        peer.send(["message", 1, "root", "echo", [1]])
        assert await peer.answer(1) == ["answer", 1, 1]
        assert peer.pongs == (20 if opcode == PING else 0)
        await peer.cut()
        peer = await gate.peer()
        peer.send_bytes(ws_frame(opcode, b"x") * 21)
        await ends_with(gate, peer, 4429)


async def test_pings_of_the_protocol_count_as_well() -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        for _ in range(20):
            peer.send(["ping", 0, 0])
        for _ in range(20):
            assert await peer.next("pong") == ["pong", 0, 0]
        peer.send_ws(PING)
        await ends_with(gate, peer, 4429)


@pytest.mark.parametrize("reads", [True, False])
async def test_a_flood_of_pings(reads: bool) -> None:
    async with gateway(Echo, limits=with_limits(grace=0.5)) as gate:
        peer = await gate.peer(receive_buffer=4096)
        link = next(
            iter(
                connection
                for connection in gate.state.connections
                if not is_canary(gate, connection)
            )
        )
        most = 0
        data = ws_frame(PING, b"p" * 125) * 100
        if not reads:
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        try:
            async with asyncio.timeout(60):
                while link in gate.state.connections:
                    peer.send_bytes(data)
                    most = max(most, link._transport.get_write_buffer_size())
                    await peer.drain()
                    await asyncio.sleep(0)
        except ConnectionError:
            pass
        assert most < 65_536
        assert len(link._protocol.writes) < 400
        if reads:
            code, said = await peer.closed()
            assert code in (4429, None)  # a reset may overtake it when the flood goes on
            assert code is None or (said is not None and said[1] == 4429)
        await peer.cut()
        await gate.only_canary()


def is_canary(gate: Gateway, link: object) -> bool:
    peer_port = gate.canary.broker.runtime._link._transport.get_extra_info("sockname")[1]
    return bool(link._transport.get_extra_info("peername")[1] == peer_port)  # type: ignore[attr-defined]


# ------------------------------------------------------ what is no WebSocket


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02[]", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that is none
        (b"\x8b\x80\0\0\0\0", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),  # compressed, which was not agreed on
        (ws_frame(CONT, b"x"), 1002),  # continues nothing
        (ws_frame(TEXT, b"x", fin=False) + ws_frame(TEXT, b"x"), 1002),
        (ws_frame(PING, b"x", fin=False), 1002),
        (b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),  # a long ping
        (ws_frame(CLOSE, b"\x03"), 1002),
        (ws_frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
        (ws_frame(CLOSE, (999).to_bytes(2, "big")), 1002),
        (ws_frame(CLOSE, (4000).to_bytes(2, "big") + b"\xff"), 1007),
    ],
)
async def test_what_is_no_websocket(data: bytes, code: int) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_bytes(data)
        await ends_with(gate, peer, code)


@pytest.mark.parametrize(
    "payload", [b"", (1000).to_bytes(2, "big"), (4999).to_bytes(2, "big") + b"bye"]
)
async def test_a_close_is_answered_and_nothing_behind_it_is_looked_at(payload: bytes) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        before = Echo.calls
        peer.send_bytes(
            ws_frame(CLOSE, payload)
            + ws_frame(TEXT, b'["message",1,"root","nothing"]')
            + b"\xff" * 40_000
            + ws_frame(CLOSE, payload)
        )
        got = await peer.read_ws()
        assert got == (CLOSE, payload)
        await peer.cut()
        await gate.only_canary()
        assert Echo.calls == before


async def test_nothing_is_executed_behind_a_close_of_ours() -> None:
    async with gateway(Echo, limits=with_limits(grace=0.3)) as gate:
        peer = await gate.peer()
        before = Echo.calls
        peer.send_text("nonsense")
        for number in range(1, 200):
            peer.send(["message", number, "root", "nothing"])
            if number % 50 == 0:
                await asyncio.sleep(0)
        peer.send_ws(PING, b"anyone?")
        await ends_with(gate, peer, 4400)
        assert peer.pongs == 0
        assert Echo.calls == before


async def test_a_peer_that_never_answers_the_close_is_cut() -> None:
    async with gateway(Echo, limits=with_limits(grace=0.2)) as gate:
        peer = await gate.peer()
        peer.send_text("nonsense")
        while (got := await peer.read_ws()) is not None and got[0] != CLOSE:
            pass
        assert got is not None
        await gate.only_canary()  # and the peer has neither closed nor answered
        await peer.cut()


async def test_half_closing() -> None:
    async with gateway(Echo) as gate:
        for data in (b"", b"\x81", ws_frame(TEXT, b"[", fin=False), ws_frame(PING) * 10_000):
            peer = await gate.peer()
            peer.send_bytes(data)
            peer.writer.write_eof()
            await peer.ended()
            await peer.cut()
            await gate.only_canary()


async def test_calls_before_a_half_close_are_answered() -> None:
    async with gateway(Echo) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", ["last"]])
        peer.writer.write_eof()
        assert await peer.answer(1) == ["answer", 1, "last"]


# --------------------------------------------------------------- the text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 4400),
        (b" ", 4400),
        (b'["message",1,"root","echo",["', 4400),  # truncated
        (b'["ack",0,0]["ack",0,0]', 4400),  # two documents
        (b"\xef\xbb\xbf" + b'["ack",0,0]', 4400),  # a byte order mark
        (b'["ack",0,0]\0', 4400),
        (b"\0", 4400),
        (b'["message",1,"root","echo",[NaN]]', 4400),
        (b'["message",1,"root","echo",[1e400]]', 4400),
        (b'["message",1,"root","echo",["\\ud800"]]', 4400),
        (b'["message",1,"root","echo",["\xff"]]', 1007),
        (b"\xff", 1007),
        (b'["message",1,"root","echo",["\xed\xa0\x80"]]', 1007),
        (b'["message",1,"root","echo",["\xc0\x80"]]', 1007),
        (b'["message",1,"root","echo",["a\nb"]]', 4400),
        (b"'", 4400),
        (b"nul", 4400),
        (b"{}", 4400),
        (b'{"a":1}', 4400),
        (b"[]", 4400),
        (b"[[]]", 4400),
        (b"[[[]]]", 4400),
        (b"1", 4400),
        (b"null", 4400),
        (b'"message"', 4400),
        (b"[1]", 4400),
        (b"[null]", 4400),
        (b'[["ack",0,0],1]', 4400),
        (b'[["ack",0,0],[["ack",0,0]]]', 4400),
    ],
)
async def test_what_is_no_message(text: bytes, code: int) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_ws(TEXT, text)
        await ends_with(gate, peer, code)


async def test_a_batch_at_the_limit_and_one_past_it() -> None:
    async with gateway(Echo, limits=with_limits(batch=10)) as gate:
        peer = await gate.peer()
        peer.send(*(["message", n, "root", "echo", [n]] for n in range(1, 11)))
        assert await peer.answer(10) == ["answer", 10, 10]
        peer.send(*(["message", n, "root", "echo", [n]] for n in range(11, 22)))
        await ends_with(gate, peer, 4413)


async def test_nothing_of_a_message_is_handled_when_a_later_frame_is_wrong() -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        before = Echo.calls
        peer.send(["message", 1, "root", "nothing"], ["message", 2, "root", 3])
        await ends_with(gate, peer, 4400)
        assert Echo.calls == before


# ------------------------------------------------------------ binary ones


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        binary(["ack", 0, 0])[:-1],
        binary(["ack", 0, 0]) + b"\0",
        binary(["ack", 0, 0]) + b"\xff\0\0\0abc",
        binary([["ack", 0, 0]]),
        binary([["message", 1, "root", "echo", [1]], ["message", 2, "root", "echo", [1]]]),
        binary(b"nonsense"),
        binary(["message", 1, "root", "echo", [{"$": "bytes", "at": 0}]]),
        binary(["message", 1, "root", "echo", [{"$": "bytes", "at": 1}]], b"a"),
        binary(["message", 1, "root", "echo", [{"$": "bytes", "at": -1}]], b"a"),
        binary(["message", 1, "root", "echo", [{"$": "bytes", "at": True}]], b"a"),
        binary(["message", 1, "root", "echo", [{"$": "bytes", "at": "0"}]], b"a"),
        binary(["message", 1, "root", "echo", [[{"$": "bytes", "at": 0}] * 2]], b"a"),
        binary(["message", 1, "root", "echo", [1]], b"nobody names it"),
        binary(["message", 1, "root", "nothing", [{"$": "bytes", "at": 1}]], b"a"),
        binary(["message", 1, 77, "echo", [1]], b"nobody names it"),
        binary(["message", 1, "root", "echo", [{"$": "mystery", "x": [{"$": "bytes"}]}]], b"a"),
    ],
)
async def test_a_binary_message_that_does_not_add_up(data: bytes) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_ws(BINARY, data)
        await ends_with(gate, peer, 4400)


async def test_a_binary_message_that_does() -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        tag = {"$": "bytes", "at": 0}
        peer.send_ws(BINARY, binary(["message", 1, "root", "echo", [tag]], b"a" * 5000))
        answer = await peer.answer(1)
        assert answer[2]["$"] == "bytes"
        assert "base64" in answer[2]  # this peer has not said that it takes binary ones
        peer.send(["ack", 1, 1])
        await peer.cut()


async def test_a_first_message_that_is_binary() -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer(greet=False)
        peer.send_ws(BINARY, b"\0\0\0")
        await ends_with(gate, peer, 4400)


# -------------------------------------------------------------- envelopes

ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    1.0,
    1.5,
    -0.0,
    2**53,
    2**64,
    10**30,
    "",
    "1",
    "root",
    [],
    [1],
    {},
]


def envelopes() -> list[list[object]]:
    """200 frames with one item of a type or range that cannot be."""
    good: list[list[object]] = [
        ["message", 1, "root", "nothing", [], {}, {}],
        ["answer", 1, None],
        ["error", 1, {}],
        ["cancel", 1],
        ["decref", 1, 1],
        ["ack", 0, 0],
        ["ping", 0, 0],
        ["pong", 0, 0],
        ["close", 1000, "", False],
        ["didNotUnderstand", "x"],
        ["uncache", 1],
        ["decache", 1, 1],
        ["cachemessage", 1, 1, "x", [], {}],
    ]

    def fits(name: object, at: int, value: object) -> bool:
        """Whether *value* may stand there; bool is an int in Python, but not here."""
        kind = type(value)
        natural = kind is int and 0 <= value < 2**53  # type: ignore[operator]
        match name, at:
            case "message", 1:
                return natural
            case "message", 2:
                return kind is str or (kind is int and value != 0)
            case ("message", 3) | ("cachemessage", 3) | ("close", 2) | ("didNotUnderstand", 1):
                return kind is str
            case ("message", 4) | ("cachemessage", 4):
                return kind is list
            case ("message", 5 | 6) | ("cachemessage", 5) | ("error", 2):
                return kind is dict
            case "answer", 2:
                return True
            case ("ack" | "ping" | "pong" | "cachemessage", 1) | ("ack" | "ping" | "pong", 2):
                return natural
            case "close", 3:
                return kind is bool
        return natural and value != 0

    made: list[list[object]] = []
    for frame in good:
        for at in range(1, len(frame)):
            odd = [value for value in ODD if not fits(frame[0], at, value)]
            made += [[*frame[:at], value, *frame[at + 1 :]] for value in odd]
        made.append([*frame, None])  # one item too many, unless pairs follow
        if frame[0] not in ("message", "cachemessage", "answer"):
            made.append(frame[:-1])
        made.append(frame[:1])
    random.Random(1).shuffle(made)
    return made


async def test_confused_types_in_envelopes() -> None:
    made = envelopes()
    assert len(made) >= 200
    before = Echo.calls
    async with gateway(Echo) as gate:
        for frame in made[:260]:
            peer = await gate.peer()
            peer.send(frame)
            code, said = await peer.closed()
            assert code == 4400, (frame, code, peer.close_reason, peer.frames)
            assert said is not None, frame
            await peer.cut()
        await gate.check_canary()
    assert Echo.calls == before  # nothing of it was executed


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (([], {"self": 1}), None),
        (([], {"cls": 1}), None),
        (([], {"__class__": 1}), None),
        (([], {"": 1}), None),
        (([], {"a b": 1, "\u202e": 2}), None),
        (([1, 2, 3], {}), None),
    ],
)
async def test_odd_keywords(arguments: tuple[list[object], dict[str, object]], kind: None) -> None:
    """They are the method's business: a call that does not fit is that call's error."""
    async with gateway(Echo) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", *arguments])
        answer = await peer.answer(1)
        assert answer[0] == "error"
        assert answer[2]["type"] == "TypeError"
        text = answer[2]["message"]
        assert "Echo" not in text
        assert "/" not in text
        peer.send(["message", 2, "root", "echo", [1]])
        assert await peer.answer(2) == ["answer", 2, 1]


# ----------------------------------------------------------------- depth


@pytest.mark.parametrize(
    ("depth", "ends"),
    [
        (99, "answer"),
        (100, "answer"),
        (101, "error"),
        (1018, "error"),
        (1025, 4400),
        (500_000, 4400),
    ],
)
async def test_nesting(depth: int, ends: str | int) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send_text(f'["message",1,"root","echo",[{nested(depth)}]]')
        if isinstance(ends, int):
            await ends_with(gate, peer, ends)
            return
        answer = await peer.answer(1)
        assert answer[0] == ends
        if ends == "error":
            assert answer[2]["type"] == "LimitExceeded"
            assert answer[2]["message"].startswith("depth")
        else:
            assert json.dumps(answer[2], separators=(",", ":")) == nested(depth)
        peer.send(["ack", 1, 1])
        await peer.cut()


async def test_nesting_in_other_places() -> None:
    deep = json.loads(nested(900))
    async with gateway(Echo) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", [], {"value": deep}])
        assert (await peer.answer(1))[2]["type"] == "LimitExceeded"
        peer.send(["message", 2, "root", "echo", [1], {}, {"unknown": deep}])
        assert await peer.answer(2) == ["answer", 2, 1]
        peer.send(["unknown", deep])
        assert await peer.next("didNotUnderstand") == ["didNotUnderstand", "unknown"]
        tagged = '{"$":"set","items":[' * 400 + "1" + "]}" * 400
        peer.send_text(f'["message",4,"root","echo",[{tagged}]]')
        assert (await peer.answer(4))[2]["type"] == "LimitExceeded"


async def test_wide_amplification() -> None:
    """Small text that becomes large objects is bounded by the message limit, and let go."""
    text = '["message",1,"root","nothing",[[' + ",".join(['{"a":0}'] * 100_000) + "]]]"
    async with gateway(Echo) as gate:
        peers = [await gate.peer() for _ in range(8)]
        for peer in peers:
            peer.send_text(text)
        await gate.check_canary()
        for peer in peers:
            assert await peer.answer(1) == ["answer", 1]
            await peer.cut()


# --------------------------------------------------------- unknown frames


async def test_unknown_frames_at_the_limit_and_one_past_it() -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        for number in range(16):
            peer.send([f"what{number}", "is", {"this": number}])
        for number in range(16):
            assert await peer.next("didNotUnderstand") == ["didNotUnderstand", f"what{number}"]
        peer.send(["message", 1, "root", "echo", [1]])
        assert await peer.answer(1) == ["answer", 1, 1]
        peer.send(["once more"])
        await ends_with(gate, peer, 4400)


async def test_did_not_understand_is_never_answered() -> None:
    async with gateway(Echo) as gate, await gate.peer() as peer:
        for _ in range(100):
            peer.send(["didNotUnderstand", "didNotUnderstand"])
        peer.send(["x" * 1000])
        peer.send(["message", 1, "root", "echo", [1]])
        assert await peer.next("answer", "didNotUnderstand") == ["didNotUnderstand", "x" * 64]
        assert await peer.next("answer", "didNotUnderstand") == ["answer", 1, 1]


@pytest.mark.parametrize("code", [1, 5, 999, 1004, 1005, 1006, 1015, 2999, 5000, 2**53 - 1])
async def test_a_close_frame_with_a_code_that_a_websocket_cannot_carry(code: int) -> None:
    async with gateway(Echo) as gate:
        peer = await gate.peer()
        peer.send(["close", code, "x" * 1000, True])
        got, said = await peer.closed()
        assert got == 1000
        assert said is None
        await peer.cut()
        await gate.only_canary()


# ------------------------------------------------------------------- logs


async def test_the_log_cannot_be_written_by_a_peer(caplog: pytest.LogCaptureFixture) -> None:
    bad = "x\r\n2026-01-01 ERROR forged\x1b[2J\u202e\u2028" + "y" * 5000
    with caplog.at_level(logging.DEBUG):
        async with gateway(Echo) as gate:
            peer = await gate.peer()
            await gate.refused(headers=[("Origin", "http://evil\x1b[2J\x7f")])
            await gate.refused(path="/pb\x1b[2J")
            peer.send(["message", 0, "root", bad])
            peer.send(["message", 0, bad, "echo"])
            peer.send(["message", 0, "root", "echo", [], {bad: 1}])
            for _ in range(50):
                peer.send(["didNotUnderstand", bad])
            peer.send([bad])
            peer.send(["close", 4000, bad, False])
            await peer.closed()
            await peer.cut()
            await gate.only_canary()
    texts = [record.getMessage() for record in caplog.records if record.name.startswith("pbweb")]
    assert texts
    for text in texts:
        assert text.isprintable() or text.replace("…", "").isprintable(), repr(text)
        assert len(text) < 700
    assert sum("does not understand" in text for text in texts) <= 11


async def test_the_announced_limits_are_the_ones_set() -> None:
    limits = with_limits(
        message=9999, depth=7, batch=5, calls=3, references=4, streams=2, digits=9, control=2
    )
    async with gateway(Echo, limits=limits) as gate, await gate.peer(greet=False) as peer:
        peer.greet()
        version = await peer.next("version")
        assert version[2]["limits"] == limits.announce()
        peer.send(["message", 1, "root", "echo", [{"$": "int", "value": "9" * 9}]])
        assert (await peer.answer(1))[0] == "answer"
        peer.send(["message", 2, "root", "echo", [{"$": "int", "value": "9" * 10}]])
        assert (await peer.answer(2))[2]["message"].startswith("digits")
        peer.send(["message", 3, "root", "echo", [json.loads(nested(8))]])
        assert (await peer.answer(3))[2]["message"].startswith("depth")
        peer.send(["ack", 3, 3])
