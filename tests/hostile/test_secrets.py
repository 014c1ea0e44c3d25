"""What leaves the process with an error, and what a peer can write into the log (B14, C14)."""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pbweb as pb
from pbweb.checkers import InMemoryUsernamePasswordDatabase
from pbweb.logs import LINE
from tests.hostile.kit import CLOSE, Peer, gateway, read_head, until, upgrade
from tests.hostile.test_logins import QUICK

INNER = "KEPT-AT-HOME"  # stands in causes, notes, variables, arguments; never in a frame


class Odd:
    def __repr__(self) -> str:
        return INNER


class Expected(pb.Error):
    pass


class Clumsy(pb.Root):
    """Raises what says too much."""

    def remote_echo(self, value: object) -> object:
        return value

    def remote_raise(self, kind: str) -> None:
        variable = f"{INNER} in a variable"
        try:
            raise KeyError(variable, Odd())
        except KeyError as error:
            if kind == "context":
                raise ValueError("told") from None
            made: Exception = {
                "cause": ValueError("told"),
                "note": ValueError("told"),
                "expected": Expected("told"),
                "group": ExceptionGroup("told", [ValueError(INNER)]),
            }[kind]
            made.add_note(INNER)
            raise made from error

    async def remote_later(self, kind: str) -> None:
        self.remote_raise(kind)

    def remote_fit(self, *, secret: str = INNER) -> None:
        """Called with what does not fit."""

    def remote_give(self) -> object:
        return Odd()


@contextmanager
def bytes_read(peer: Peer) -> Iterator[list[bytes]]:
    """All payloads that *peer* reads meanwhile, as they came."""
    seen: list[bytes] = []
    read = peer.read_ws

    async def noting() -> tuple[int, bytes] | None:
        got = await read()
        if got is not None:
            seen.append(got[1])
        return got

    peer.read_ws = noting  # type: ignore[method-assign]
    yield seen


@pytest.mark.parametrize("masked", [False, True])
async def test_of_an_exception_nothing_but_its_text_leaves(masked: bool) -> None:
    calls: list[list[Any]] = [
        *(["raise", [kind]] for kind in ("cause", "context", "note", "expected", "group")),
        *(["later", [kind]] for kind in ("cause", "context")),
        ["fit", [], {"other": 1}],
        ["fit", [1]],
        ["give"],
        ["nosuch"],
    ]
    async with gateway(Clumsy, mask_errors=masked) as gate, await gate.peer() as peer:
        with bytes_read(peer) as seen:
            for request, (name, *arguments) in enumerate(calls, 1):
                peer.send(["message", request, "root", name, *arguments])
                _, _, failure = await peer.answer(request)
                assert set(failure) <= {"$", "type", "message", "parents"}
                if name in ("raise", "later") and arguments[0] != ["expected"]:
                    hidden = re.fullmatch("the error [0-9a-f]{8} in the log of the peer",
                                          failure["message"])  # fmt: skip
                    assert bool(hidden) is masked, failure
                    assert masked or failure["message"].startswith("told")
        everything = b"".join(seen)
        assert INNER.encode() not in everything
        for place in (b"Traceback", b".py", b"/", b"line ", b"Clumsy", b"0x"):
            assert place not in everything, place


async def test_where_tracebacks_are_allowed_they_are_sent() -> None:
    """Otherwise the test above would prove nothing."""
    async with gateway(Clumsy, unsafe_tracebacks=True) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "raise", ["cause"]])
        failure = (await peer.answer(1))[2]
        assert INNER in failure["traceback"]
        assert "test_secrets.py" in failure["traceback"]


# -------------------------------------------------------------------- the log

HOSTILE = "\r\n2026-01-01 00:00:00 ERROR pbweb: forged\x1b[2J\x9b31m\x00\u202e\u2066\u2028\x85"
EDGES = re.compile(r"(DEBUG|INFO|WARNING|ERROR) (pbweb|asyncio|uvicorn)[.\w]*: |  ")


@contextmanager
def written() -> Iterator[io.StringIO]:
    """The log as a plain handler writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("pbweb", "asyncio", "uvicorn")]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield stream
    finally:
        for one in loggers:
            one.removeHandler(handler)


def check_lines(stream: io.StringIO) -> list[str]:
    """Every line begins as one of ours and is printable. Returns the first lines of entries."""
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.isprintable(), line
        assert EDGES.match(line), line
        assert len(line) < LINE + 50
    return [line for line in lines if not line.startswith("  ")]


class Echoing(pb.Root):
    """Puts a peer's words into everything."""

    def __init__(self) -> None:
        passwords = InMemoryUsernamePasswordDatabase({"alice": "x"}, hasher=QUICK)
        self.portal = pb.Portal(self, [passwords], login_required=False)

    def rootObject(self, broker: pb.Broker) -> pb.Referenceable:
        broker.setNameForLocal("portal", self.portal.rootObject(broker))
        return self

    def requestAvatar(self, *_: object) -> object:
        raise pb.UnauthorizedLogin

    def remote_echo(self, value: object) -> object:
        return value

    def remote_fail(self, text: str) -> None:
        raise ValueError(text)

    def remote_expect(self, text: str) -> None:
        raise pb.Error(text)

    async def remote_ask(self, reference: pb.RemoteReference) -> object:
        return await reference.callRemote("answer")

    async def remote_read(self, stream: Any) -> None:
        async for _ in stream:
            pass


async def test_no_text_of_a_peers_forges_a_line() -> None:
    hidden = {"$": HOSTILE, "id": 5}
    failure = {"$": "failure", "type": HOSTILE, "message": HOSTILE, "parents": [HOSTILE]}
    with written() as stream:
        async with gateway(Echoing) as gate, await gate.peer(greet=False) as peer:
            peer.greet(software=HOSTILE)
            await peer.next("version")
            calls: list[list[Any]] = [
                ["root", HOSTILE],
                ["root", "x" + HOSTILE],
                [HOSTILE, "echo"],
                ["root", "fail", [HOSTILE]],
                ["root", "fail", [HOSTILE + "\nx" * 10_000]],
                ["root", "expect", [HOSTILE]],
                ["root", "echo", [hidden]],
                ["root", "echo", [{"$": "copy", "type": HOSTILE, "state": {}}]],
                ["root", "echo", [{"$": "cache", "type": HOSTILE, "id": 9, "state": {}}]],
                ["root", "echo", [failure]],
                ["root", "echo", [], {HOSTILE: 1}],
                ["portal", "login", [HOSTILE, {}]],
                ["portal", "login", ["password", {"username": HOSTILE, "password": HOSTILE}]],
                ["portal", "login", ["password", {HOSTILE: HOSTILE}]],
            ]
            for request, call in enumerate(calls, 1):
                peer.send(["message", request, *call], ["message", 0, *call])
                await peer.answer(request)
            for method, kind, back in (
                ("ask", "remote", ["error", 1, failure]),
                ("read", "stream", ["error", 2, failure]),
            ):
                request += 1
                peer.send(["message", request, "root", method, [{"$": kind, "id": request}]])
                await peer.next("message")
                peer.send(back)
                assert (await peer.answer(request))[0] == "error"
            peer.send([HOSTILE], ["didNotUnderstand", HOSTILE], ["cachemessage", 0, 77, HOSTILE])
            await peer.next("didNotUnderstand")
            peer.send(["close", 1000, HOSTILE, False])
            await peer.closed()
            for code in (1000, 3999):
                async with await gate.peer() as other:
                    other.send_ws(CLOSE, code.to_bytes(2, "big") + HOSTILE.encode()[:100])
                    await other.ended()
            await gate.only_canary()
    entries = check_lines(stream)
    text = "\n".join(entries)
    for said in (
        "a login failed",
        "Peer will receive PB traceback: the call 4 of 'fail' failed",
        "without answer failed",
        "does not understand",
    ):
        assert said in text, said
    assert "forged" in text, "nothing of the peer's was logged, so nothing was tried"


@pytest.mark.parametrize(
    "change",
    [
        {"headers": [("Origin", "http://evil.test/\x1b[2J\x9b\x85" + "x" * 3000)]},
        {"headers": [("Origin", "http://" + "\x7f\x08" * 100)]},
        {"hosts": ["evil\x1b[2J\x9b31m.test"]},
        {"path": "/pb?token=\x1b[2J\x9b"},
        {"path": "/pb?token\x1b[2J=x"},
        {"path": "/\x1b[2J\x9b"},
        {"subprotocols": ["\x1b[2J\x9b31m"]},
    ],
)
async def test_no_request_forges_a_line(change: dict[str, Any]) -> None:
    with written() as stream:
        async with gateway(Echoing) as gate, await gate.raw() as peer:
            peer.send_bytes(upgrade(gate.host, **change))
            status, _ = await read_head(peer.reader)
            assert status in (400, 403, 404)
    check_lines(stream)


async def test_a_flood_of_causes_is_few_lines() -> None:
    with written() as stream:
        async with gateway(Echoing) as gate, await gate.peer() as peer:
            for first in range(1, 1000, 100):
                peer.send(
                    *(
                        frame
                        for request in range(first, first + 100)
                        for frame in (
                            ["message", request, "root", "fail", [f"{HOSTILE} {request}"]],
                            ["message", 0, "root", f"none{'x' * request}"],
                        )
                    )
                )
                await peer.answer(first + 99)
                peer.acknowledge()
            before = len(check_lines(stream))
        await until(lambda: len(check_lines(stream)) > before)  # the numbers of the rest
    lines = check_lines(stream)
    assert before <= 250
    assert any(re.search(r"… and \d+ more of these in a minute", line) for line in lines)
