"""Servers that keep no rules, against the JavaScript client over real sockets (G1 to G6)."""

import asyncio
import json
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from pbweb.frames import PROTOCOL
from tests.hostile.canary import bystander
from tests.hostile.test_hostile_server import PROTOCOL_ERRORS, VERSION, greet, say

SCRIPT = Path(__file__).parent / "hostile_server.mjs"
FAILURE = {"$": "failure", "type": "constructor", "message": "<img onerror>", "parents": []}
GARBAGE = ("nonsense", "", "[]", "{}", '{"0":["ack",0,0]}', "[[]]", "[" * 100_000, '["answer",1')
ANSWERS: list[Any] = [
    {"$": "remote", "id": 1.5},
    {"then": {"$": "remote", "id": 1}},
    {"toJSON": {"$": "remote", "id": 1}},
    {"$": "copy", "type": "constructor", "state": {}},
    {"$": "cache", "type": "toString", "id": 1, "state": {}},
    {"$": "use", "id": 1},
    [{"$": "remote", "id": n} for n in range(1, 2000)],
    {"$": "set", "items": [{"$": "dict", "items": [[[], 1]]}]},
]
CLOSES = [(code, said) for code in (1000, 1001, 1011, 1012, 4410, 4999) for said in (True, False)]


class Hostile:
    """One script for each path."""

    def __init__(self) -> None:
        self.scripts: list[Any] = []
        self.ended_with: dict[int, int | None] = {}

    def add(self, script: Any) -> None:
        self.scripts.append(script)

    async def handle(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None
        number = int(websocket.request.path.rpartition("/")[2])
        await self.scripts[number](websocket)
        await websocket.wait_closed()
        self.ended_with[number] = websocket.close_code


def saying(*frames: Any) -> Any:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, *frames)

    return script


def sending(text: str) -> Any:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        await websocket.send(text)

    return script


def closing(code: int, said: bool) -> Any:
    async def script(websocket: ServerConnection) -> None:
        await greet(websocket)
        if said:
            await say(websocket, ["close", code, "é" * 61, [0, 10**9]])
        await websocket.close(code, "é" * 61)

    return script


async def run(hostile: Hostile) -> list[dict[str, Any]]:
    """What the client in Node says of each script, and at the end of all."""
    options: dict[str, Any] = {
        "subprotocols": [PROTOCOL], "compression": None, "ping_interval": None, "close_timeout": 1,
    }  # fmt: skip
    async with bystander(), serve(hostile.handle, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            "node", str(SCRIPT), f"ws://127.0.0.1:{port}", str(len(hostile.scripts)),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        said: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
        assert said.pop() == {"unhandled": [], "same": True}
        assert len(said) == len(hostile.scripts), err.decode()
        assert all(one["settled"] <= 1 for one in said)
        return said


async def test_breaches_end_the_session_with_4400() -> None:
    hostile = Hostile()
    breaches = {**PROTOCOL_ERRORS, "a decref of nothing": [["decref", 1, 2], ["decref", 2, 1]]}
    for frames in breaches.values():  # what the call hands over is number 1
        hostile.add(saying(*frames))
    for text in GARBAGE:
        hostile.add(sending(text))
    for one in await run(hostile):
        assert one["outcome"][0] in ("PBConnectionLost", "DeadReferenceError"), one
        assert hostile.ended_with[one["number"]] == 4400, one


async def test_answers_that_cannot_be_are_errors_of_the_call() -> None:
    hostile = Hostile()
    for value in ANSWERS:
        hostile.add(saying(["answer", 1, value]))
    hostile.add(saying(["error", 1, FAILURE]))
    hostile.add(saying(["answer", 1, "first"], ["answer", 1, "second"], ["error", 1, FAILURE]))
    said = await run(hostile)
    assert said[-1]["outcome"] == ["answer", "first"]
    for one in said[:-1]:
        assert one["outcome"][0] != "answer", one
        assert one["outcome"][2] is True, one
    assert said[-2]["outcome"][0] == "RemoteError"


async def test_closes_are_told_once_whatever_the_server_asks_for() -> None:
    hostile = Hostile()
    for code, said in CLOSES:
        hostile.add(closing(code, said))
    for one in await run(hostile):
        assert one["outcome"][:2] == ["PBConnectionLost", "unknown"], one


async def test_pollution_in_what_arrives_changes_no_prototype() -> None:
    hostile = Hostile()
    for text in (
        '["answer",1,{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}]',
        '["message",1,1,"told",[{"__proto__":{"polluted":1}}]]',
        '["message",1,1,"__defineGetter__",["polluted",1]]',
        '["message",1,"__proto__","told",[1]]',
        '["error",1,{"$":"failure","type":"__proto__","message":"","parents":["__proto__"]}]',
        '["cachemessage",1,1,"__proto__",[]]',
    ):
        hostile.add(sending(text + " "))

    async def ending(websocket: ServerConnection, script: Any) -> None:
        await script(websocket)
        async for _ in websocket:  # what it answers, or the end
            await websocket.close(1000)

    hostile.scripts = [
        lambda websocket, script=script: ending(websocket, script) for script in hostile.scripts
    ]
    assert len(await run(hostile)) == 6
    assert VERSION[2]["window"] == 0  # nothing here is tried again
