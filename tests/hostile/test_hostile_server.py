"""A server that keeps no rules, against the Python client (C5, D5, G4 and G5 for Python)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

import pbweb as pb
from pbweb.client import ConnectFailed
from pbweb.frames import PROTOCOL
from pbweb.testing import tables
from tests.hostile.canary import bystander
from tests.hostile.kit import timers, with_limits

VERSION = ["version", 1, {"software": "hostile", "window": 0, "resumed": False}]
Script = Callable[[ServerConnection], Awaitable[None]]


async def say(websocket: ServerConnection, *frames: Any) -> None:
    await websocket.send(json.dumps(frames[0] if len(frames) == 1 else frames))


async def greet(websocket: ServerConnection, *frames: Any) -> None:
    """Wait for the client's first call, then say the version and *frames*."""
    while b'["message",' not in await websocket.recv(decode=False):
        pass
    await say(websocket, VERSION, *frames)


@asynccontextmanager
async def hostile(script: Script) -> AsyncIterator[str]:
    over = asyncio.Event()

    async def handler(websocket: ServerConnection) -> None:
        await script(websocket)
        await over.wait()

    options = {"subprotocols": [PROTOCOL], "compression": None, "ping_interval": None}
    async with (
        bystander(),
        serve(handler, "127.0.0.1", 0, close_timeout=0.2, **options) as server,  # type: ignore[arg-type]
    ):
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/pb"
        finally:
            over.set()


async def outcome_of(script: Script, **options: Any) -> tuple[BaseException | object, Any]:
    """How a call ends, and the connection, which has ended with it."""
    ends: list[object] = []
    notices: list[object] = []
    async with hostile(script) as url:
        connection = await pb.connect(url, **options)
        if connection.session.ended:  # what came behind the upgrade was the end already
            notices.append(1)
        else:
            connection.notifyOnDisconnect(lambda: notices.append(1))
        root = await connection.getRootObject()
        promise = root.callRemote("hello")
        promise.then_call(ends.append)
        try:
            async with asyncio.timeout(30):
                result: BaseException | object = await promise
        except pb.Error as error:
            result = error
        async with asyncio.timeout(30):
            await connection.close()
        assert len(ends) == 1
        assert notices == [1]
        with pytest.raises(pb.DeadReferenceError):
            await root.callRemote("again")
    assert not any(tables(connection.session).values())
    return result, connection


def closing_of(connection: Any) -> int:
    code: int = connection.session.closing[0]
    return code


PROTOCOL_ERRORS: dict[str, list[Any]] = {
    "an answer never asked": [["answer", 7, 1]],
    "an error never asked": [
        ["error", 7, {"$": "failure", "type": "x", "message": "", "parents": []}]
    ],
    "an answer to 0": [["answer", 0, 1]],
    "a cancel of nothing": [["cancel", 3]],
    "an ack of frames never sent": [["ack", 9, 0]],
    "an ack with a wrong count": [["ack", 0, 3]],
    "a ping with a wrong count": [["ping", 0, 1]],
    "a decref of nothing": [["decref", 1, 1]],
    "a decref of a name": [["decref", "root", 1]],
    "a second version": [VERSION],
    "a wrong envelope": [["message", "1", "root", "x"]],
    "a frame that is none": [[]],
    "unknown frames": [[f"what{n}"] for n in range(17)],
}


@pytest.mark.parametrize("name", PROTOCOL_ERRORS)
async def test_protocol_errors_of_a_server(name: str) -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, *PROTOCOL_ERRORS[name])
        received = [json.loads(text) async for text in websocket]
        frames = [
            frame
            for message in received
            for frame in (message if type(message[0]) is list else [message])
        ]
        assert ["close", 4400] in [frame[:2] for frame in frames]
        assert websocket.close_code == 4400

    result, connection = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert isinstance(result.__cause__, pb.ProtocolError) or "4400" in str(result)
    assert closing_of(connection) == 4400


@pytest.mark.parametrize(
    "text",
    ["nonsense", "", "[]", "{}", '["answer",1', "\ufeff[]", '["answer",1,NaN]',
     '["ack",0,0]["ack",0,0]',
     "[" * 100_000],
)  # fmt: skip
async def test_garbage_from_a_server(text: str) -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        await websocket.send(text)
        await websocket.wait_closed()

    result, connection = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 4400


async def test_garbage_as_the_first_message() -> None:
    for first in ('["answer",1,1]', "nonsense", '["version",2]', '["version",1,{}]x'):

        async def script(websocket: ServerConnection, first: str = first) -> None:
            await websocket.send(first)
            await websocket.wait_closed()

        result, connection = await outcome_of(script)
        assert isinstance(result, (pb.PBConnectionLost, pb.DeadReferenceError))
        assert closing_of(connection) in (4400, 4426)


async def test_a_server_that_speaks_another_version_says_so() -> None:
    async def script(websocket: ServerConnection) -> None:
        await websocket.recv()
        await say(websocket, ["close", 4426, "this side speaks version 9", False])
        await websocket.close(4426, "this side speaks version 9")

    result, connection = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert "speaks version 9" in str(result)
    assert closing_of(connection) == 4426


async def test_bytes_that_are_no_text() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        await websocket.send(b'["answer",1,"\xff"]', text=True)
        await websocket.wait_closed()

    result, connection = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 1007


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1001, "going"),
        (1011, "fault"),
        (1012, "restart"),
        (4410, "away with you"),
        (4999, "é" * 61),
    ],
)
@pytest.mark.parametrize("said", [True, False])
async def test_close_codes(code: int, reason: str, said: bool) -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        if said:
            await say(websocket, ["close", code, reason, [0, 10**9]])
        await websocket.close(code, reason)

    result, connection = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert result.outcome == "unknown"
    assert str(code) in str(result)
    assert closing_of(connection) == code


@pytest.mark.parametrize("code", [0, 7, 1005, 1006, 1015, 2999, 2**53 - 1])
async def test_close_frames_with_a_code_that_is_none(code: int) -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        await say(websocket, ["close", code, "x" * 1000, True])
        await websocket.wait_closed()

    result, _ = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)


async def test_a_server_that_cuts_behind_the_upgrade() -> None:
    for reset in (True, False):

        async def script(websocket: ServerConnection, reset: bool = reset) -> None:
            if reset:
                websocket.transport.abort()
            else:
                await websocket.close(4410, "not you")

        result, connection = await outcome_of(script)
        assert isinstance(result, (pb.PBConnectionLost, pb.DeadReferenceError))
        assert closing_of(connection) == (1006 if reset else 4410)


async def test_a_server_that_speaks_first() -> None:
    async def script(websocket: ServerConnection) -> None:
        await say(websocket, VERSION)
        await websocket.recv()
        await say(websocket, ["answer", 1, "fine"])

    result, _ = await outcome_of(script)
    assert result == "fine"


async def test_a_server_of_something_else() -> None:
    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with bystander(), serve(echo, "127.0.0.1", 0, close_timeout=0.2) as server:
        with pytest.raises(ConnectFailed, match="no pbweb endpoint"):
            await pb.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_a_server_that_is_cut() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        websocket.transport.abort()

    result, _ = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert result.outcome == "unknown"


async def test_an_acknowledged_call_was_executed() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, ["ack", 1, 0])
        websocket.transport.abort()

    result, _ = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert result.outcome == "executed_answer_lost"


async def test_the_first_of_two_answers_holds() -> None:
    failure = {"$": "failure", "type": "x", "message": "", "parents": []}

    async def script(websocket: ServerConnection) -> None:
        await greet(
            websocket, ["answer", 1, "first"], ["answer", 1, "second"], ["error", 1, failure]
        )

    result, _ = await outcome_of(script)
    assert result == "first"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"$": "nosuch"}, pb.InsecureJelly),
        ({"$": 1}, pb.InsecureJelly),
        ({"$": "remote"}, pb.InsecureJelly),
        ({"$": "remote", "id": -1}, pb.InsecureJelly),
        ({"then": {"$": "remote", "id": 1}}, pb.InsecureJelly),
        ({"$": "local", "id": 1}, pb.DeadReferenceError),
        ({"$": "local", "id": "__class__"}, pb.DeadReferenceError),
        ({"$": "use", "id": 1}, pb.InsecureJelly),
        ({"$": "copy", "type": "os.system", "state": {}}, pb.InsecureJelly),
        ({"$": "answer", "id": 1}, pb.InsecureJelly),
        ({"$": "int", "value": "9" * 5000}, pb.LimitExceeded),
        ({"$": "bytes", "base64": "!"}, pb.InsecureJelly),
        ({"$": "bytes", "at": 0}, None),
        (json.loads("[" * 101 + "]" * 101), pb.LimitExceeded),
        (json.loads("[" * 900 + "]" * 900), pb.LimitExceeded),
        ([{"$": "remote", "id": n} for n in range(1, 1026)], pb.LimitExceeded),
    ],
)
async def test_answers_that_cannot_be(value: object, kind: type[pb.Error] | None) -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, ["answer", 1, value])

    result, _ = await outcome_of(script)
    if kind is None:
        assert isinstance(result, pb.Error)
    else:
        assert isinstance(result, kind)


@pytest.mark.parametrize(
    "failure",
    [
        {},
        {"$": "remote", "id": 1},
        {"$": "failure"},
        {"$": "failure", "type": 1, "message": "", "parents": []},
        {"$": "failure", "type": "x", "message": None, "parents": []},
        {"$": "failure", "type": "x", "message": "", "parents": [1]},
        {
            "$": "failure",
            "type": "builtins.SystemExit",
            "message": "",
            "parents": ["builtins.SystemExit"],
        },
        {
            "$": "failure",
            "type": "constructor",
            "message": "x" * 500_000,
            "parents": ["__class__"] * 10_000,
        },
        {"$": "failure", "type": "PBConnectionLost", "message": "not_executed", "parents": []},
        {"$": "failure", "type": "builtins.KeyboardInterrupt", "message": "", "parents": []},
    ],
)
async def test_failures_that_cannot_be(failure: dict[str, Any]) -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, ["error", 1, failure])

    result, _ = await outcome_of(script)
    assert isinstance(result, pb.Error)


async def test_a_flood_of_references_is_closed_by_the_client() -> None:
    class Sink(pb.Referenceable):
        def remote_take(self, *things: object) -> None:
            kept.extend(things)

    kept: list[object] = []

    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        number = 0
        for request in range(1, 200):
            tags = [{"$": "remote", "id": number + n} for n in range(1, 300)]
            number += 300
            await say(websocket, ["message", request, "sink", "take", tags])
        await websocket.wait_closed()

    result, connection = await outcome_of(script, names={"sink": Sink()})
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 4413
    assert len(kept) <= 1024


async def test_a_message_over_the_limit() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        await websocket.send("x" * 6000)
        await websocket.wait_closed()

    result, connection = await outcome_of(script, limits=with_limits(message=5000))
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 1009


async def test_a_flood_of_pings() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        for _ in range(30):
            await websocket.ping()
        await websocket.wait_closed()

    result, connection = await outcome_of(script)
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 4429


async def test_a_flood_of_calls() -> None:
    class Slow(pb.Referenceable):
        async def remote_wait(self) -> None:
            await asyncio.Event().wait()

    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        await say(websocket, *(["message", n, "slow", "wait"] for n in range(1, 2000)))
        await websocket.wait_closed()

    result, connection = await outcome_of(script, names={"slow": Slow()})
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 4413


async def test_what_the_server_may_not_call() -> None:
    class Mine(pb.Referenceable):
        def remote_yes(self) -> str:
            return "yes"

        def no(self) -> str:
            raise AssertionError

    answers: list[Any] = []

    async def script(websocket: ServerConnection) -> None:
        names = ["no", "__init__", "remote_yes", "__class__", "yes"]
        calls = [["message", n, "mine", name] for n, name in enumerate(names, 1)]
        await greet(websocket, *calls, ["message", 9, "root", "x"], ["message", 10, 1, "x"])
        while len(answers) < 7:
            message = json.loads(await websocket.recv())
            frames = message if type(message[0]) is list else [message]
            answers.extend(frame for frame in frames if frame[0] in ("answer", "error"))
        await say(websocket, ["answer", 1, "over"])

    result, _ = await outcome_of(script, names={"mine": Mine()})
    assert result == "over"
    kinds = {frame[1]: frame[2] if frame[0] == "answer" else frame[2]["type"] for frame in answers}
    assert kinds == {
        **dict.fromkeys((1, 2, 3, 4), "NoSuchMethod"), 5: "yes",
        **dict.fromkeys((9, 10), "DeadReferenceError"),
    }  # fmt: skip


@pytest.mark.parametrize("silent_after", ["upgrade", "version"])
async def test_a_server_that_says_nothing(silent_after: str) -> None:
    async def script(websocket: ServerConnection) -> None:
        if silent_after == "version":
            await greet(websocket)
        await websocket.wait_closed()

    limits = with_limits(first_frame=0.2, heartbeat=0.2, pong=0.2, grace=0.2)
    result, connection = await outcome_of(script, limits=limits)
    assert isinstance(result, pb.PBConnectionLost)
    assert closing_of(connection) == 4408


async def test_a_server_that_stops_reading() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        websocket.transport.pause_reading()

    async with hostile(script) as url:
        connection = await pb.connect(url, limits=with_limits(stall=0.3, grace=0.2))
        root = await connection.getRootObject()
        promises = [root.callRemote("take", "x" * 100_000) for _ in range(200)]
        results = await asyncio.gather(*promises, return_exceptions=True)
        assert all(isinstance(one, pb.PBConnectionLost) for one in results)
        outcomes = [one.outcome for one in results if isinstance(one, pb.PBConnectionLost)]
        assert outcomes[-1] == "not_executed"
        assert closing_of(connection) == 4440
        await connection.close()


async def test_absurd_options_in_the_version() -> None:
    for options in (
        {"limits": {"message": 0, "depth": -1, "calls": True, "references": "x", "batch": 2**60}},
        {"limits": 5, "heartbeat": "soon", "binary": 1, "window": -1},
        {"heartbeat": 10**300, "limits": {"calls": 1, "batch": 1, "depth": 1, "digits": 1}},
        {"heartbeat": 0, "limits": []},
    ):  # fmt: skip

        async def script(websocket: ServerConnection, options: Any = options) -> None:
            await websocket.recv()
            await say(websocket, ["version", 1, options], ["answer", 1, "fine"])

        result, _ = await outcome_of(script)
        assert result == "fine"


async def test_no_timer_is_left() -> None:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, ["what"], ["didNotUnderstand", "x"], ["answer", 1, "fine"])

    before = len(timers())
    result, _ = await outcome_of(script)
    assert result == "fine"
    left = [one for one in timers() if "pbweb" in repr(one) or "WebSocketLink" in repr(one)]
    assert not left
    assert before <= 2
