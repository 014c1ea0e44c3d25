"""Live objects of a peer's that keep no rules: the copy stays as it was, and all else goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

import pbweb as pb
from tests.hostile.kit import Peer, gateway, until, with_limits
from tests.hostile.test_hostile_server import greet, hostile, say
from tests.unit.paired import LogRecords

STATE: dict[str, Any] = {
    "title": "Plan",
    "cards": [{"text": "one"}],
    "tags": {"$": "set", "items": ["a"]},
}
REFERENCE = {"$": "remote", "id": 9}

WRONG: dict[str, Any] = {
    "nothing there": [[["gone", 0], "set", 1]],
    "an index far out": [[["cards", 10**15], "set", 1]],
    "a splice far out": [[["cards"], "splice", 2**53 - 1, 2**53 - 1, []]],
    "a splice of a dict": [[[], "splice", 0, 0, []]],
    "a negative splice": [[["cards"], "splice", -1, 0, []]],
    "a float": [[["cards"], "splice", 0.0, 0, []]],
    "the last is wrong": [[["title"], "set", "no"], [["cards", 0], "del"]],
    "an attribute of the copy": [[["snapshot", "x"], "set", 1]],
    "a dunder": [[["__class__", "x"], "set", 1]],
    "the core": [[["_core", "tree"], "set", 1]],
    "no operation": [[["title"], "eval", "1"]],
    "a method": [[["title"], "_set", "1"]],
    "no ops": 5,
    "ops as an object": {"0": [["title"], "set", 1]},
    "no path": [["title", "set", 1]],
    "nothing": [[]],
    "a long path": [[["cards", 0] * 60, "set", 1]],
    "a set in a key": [[["cards", {"$": "set", "items": []}], "set", 1]],
    "what cannot be hashed": [[["tags"], "add", [{"a": 1}]]],
    "a number for items": [[["tags"], "add", 5]],
    "a set that is none": [[["cards"], "add", [1]]],
    "an unknown copy": [[["title"], "set", {"$": "copy", "type": "os.system", "state": {}}]],
    "an unknown cache": [[["title"], "set", {"$": "cache", "type": "x", "id": 77, "state": {}}]],
    "itself, which is no value": [[["title"], "set", {"$": "cached", "id": 78}]],
    "a reference to call": [[["then"], "set", REFERENCE]],
    "a reference deeper": [[["title"], "set", {"toJSON": REFERENCE}]],
    "an answer to come": [[["title"], "set", {"$": "answer", "id": 1}]],
    "a name of no text": [[[5], "set", 1]],
    "too large": [[["title"], "set", "x" * 60_000]],
    "much by use": [
        [
            ["title"],
            "set",
            [
                {"$": "def", "id": 1, "value": ["x" * 1000] * 10},
                *[
                    {"$": "def", "id": n, "value": [{"$": "use", "id": n - 1}] * 10}
                    for n in range(2, 10)
                ],
            ],
        ]
    ],
}
WRONG_STATES: dict[str, Any] = {
    "a list": ["Board", []],
    "no name": [5, {}],
    "no state": ["Board"],
    "more": ["Board", {}, 1],
    "an object": {"type": "Board"},
    "a scalar": "Board",
    "names of no text": ["Board", {"$": "dict", "items": [[1, 2]]}],
    "too large": ["Board", {"x": "y" * 60_000}],
}
LIMITS = with_limits(copy_weight=50_000)


class Holder(pb.Root):
    """Holds the live objects of its peers."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.heard: list[Any] = []

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_hold(self, board: Any) -> None:
        self.held.append(board)
        board.subscribe(self.heard.append)


async def hold(peer: Peer, root: Holder) -> Any:
    state = ["Board", STATE]
    cache = {"$": "cache", "type": "pb.live", "id": 7, "state": state}
    peer.send(["message", 1, "root", "hold", [cache]])
    assert (await peer.answer(1))[0] == "answer"
    return root.held[-1]


async def answers(peer: Peer, request: int) -> None:
    peer.send(["message", request, "root", "echo", ["next"]])
    assert (await peer.answer(request))[2] == "next"
    peer.acknowledge()


@pytest.mark.parametrize("wrong", WRONG)
async def test_updates_of_a_client_that_do_not_fit(wrong: str) -> None:
    root = Holder()
    async with gateway(root, limits=LIMITS) as gate, await gate.peer() as peer:
        board = await hold(peer, root)
        before = board.snapshot()
        peer.send(["cachemessage", 2, 7, "update", [WRONG[wrong]]])
        name, _, failure = await peer.answer(2)
        assert name == "error"
        assert failure["type"] in ("InsecureJelly", "LimitExceeded", "DeadReferenceError")
        with LogRecords() as records:
            peer.send(["cachemessage", 0, 7, "update", [WRONG[wrong]]])
            await until(lambda: records)
        assert "update" in records[0].getMessage()
        assert board.snapshot() is before
        assert root.heard == []
        await answers(peer, 3)
        peer.send(["cachemessage", 0, 7, "update", [[[["title"], "set", "right"]]]])
        await answers(peer, 4)
        assert board.title == "right"
        root.held.clear()
        del board, before
        root.heard.clear()


@pytest.mark.parametrize("wrong", WRONG_STATES)
async def test_states_of_a_client_that_are_none(wrong: str) -> None:
    root = Holder()
    async with gateway(root, limits=LIMITS) as gate, await gate.peer() as peer:
        cache = {"$": "cache", "type": "pb.live", "id": 7, "state": WRONG_STATES[wrong]}
        peer.send(["message", 1, "root", "hold", [cache]])
        assert (await peer.answer(1))[2]["type"] in ("InsecureJelly", "LimitExceeded")
        board = await hold_again(peer, root)
        before = board.snapshot()
        if wrong != "names of no text":
            peer.send(["cachemessage", 3, 8, "reset", [WRONG_STATES[wrong]]])
        else:
            peer.send(["cachemessage", 3, 8, "reset", [WRONG_STATES[wrong][1]]])
        answer = await peer.answer(3)
        if wrong == "an object":  # a state like any other
            assert answer == ["answer", 3]
        else:
            assert answer[2]["type"] in ("InsecureJelly", "LimitExceeded")
            assert board.snapshot() is before
        await answers(peer, 4)
        root.held.clear()
        root.heard.clear()


async def hold_again(peer: Peer, root: Holder) -> Any:
    cache = {"$": "cache", "type": "pb.live", "id": 8, "state": ["Board", STATE]}
    peer.send(["message", 2, "root", "hold", [cache]])
    assert (await peer.answer(2))[0] == "answer"
    return root.held[-1]


async def test_an_object_that_grows_without_end() -> None:
    root = Holder()
    async with gateway(root, limits=LIMITS) as gate, await gate.peer() as peer:
        board = await hold(peer, root)
        with LogRecords():
            for number in range(100):
                peer.send(["cachemessage", 0, 7, "update", [[[[f"k{number}"], "set", "x" * 5000]]]])
            await answers(peer, 2)
        weight = sum(len(text) for text in board.snapshot().values() if isinstance(text, str))
        assert 40_000 < weight < 50_000
        root.held.clear()
        root.heard.clear()


@pytest.mark.parametrize("wrong", WRONG)
async def test_updates_of_a_server_that_do_not_fit(wrong: str) -> None:
    cache = {"$": "cache", "type": "pb.live", "id": 7, "state": ["Board", STATE]}
    go_on = asyncio.Event()

    async def script(websocket: ServerConnection) -> None:
        await greet(websocket, ["answer", 1, cache])
        await go_on.wait()
        await say(
            websocket,
            ["cachemessage", 0, 7, "update", [WRONG[wrong]]],
            ["cachemessage", 0, 7, "update", [[[["title"], "set", "right"]]]],
        )
        async for _ in websocket:
            pass

    async with hostile(script) as url, pb.connect(url, limits=LIMITS) as connection:
        root = await connection.getRootObject()
        board = await root.callRemote("board")
        before, heard = board.snapshot(), []
        stop = board.subscribe(heard.append)
        with LogRecords() as records:
            go_on.set()
            await until(lambda: board.title == "right")
        assert len(records) >= 1
        assert [[change.path for change in changes] for changes in heard] == [[("title",)]]
        assert {**before, "title": "right"} == board.snapshot()
        stop()
