"""Copies that a peer makes up: types, states, and what is used again (protocol section 2)."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import pytest

import pbweb as pb
from tests.hostile.kit import Peer, gateway


class Open(pb.RemoteCopy):
    """Takes any attributes, and has a method."""

    def is_admin(self) -> bool:
        return False


class Told(pb.RemoteCopy):
    def postUnjelly(self) -> None:
        raise RuntimeError("what only the log may say")


@dataclass
class Order:
    number: int
    lines: list[list[list[int]]]


FAULTS: dict[str, Any] = {
    "exit": lambda: sys.exit(3),
    "interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "generator": GeneratorExit,
    "stop": lambda: StopIteration(1),
    "long": lambda: ValueError("m" * 1_000_000),
    "surrogate": lambda: ValueError("\ud800"),
    "protocol": lambda: pb.ProtocolError("no", code=4413),
}


def factory(state: Any) -> Any:
    fault = FAULTS[state["fault"]]()
    raise fault


def registry() -> pb.Registry:
    made = pb.Registry()
    made.setUnjellyableForClass("Open", Open)
    made.setUnjellyableForClass("Told", Told)
    made.setUnjellyableFactoryForClass("Made", factory)
    pb.copyable(name="Order", registry=made)(Order)
    return made


class Target(pb.Root):
    def __init__(self) -> None:
        self.given: list[Any] = []

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_take(self, *things: object) -> int:
        self.given += things
        return len(things)


async def refused(peer: Peer, value: Any, type: str = "InsecureJelly") -> str:
    """The call with *value* fails and is not executed, the next one is answered."""
    request = peer.sent + 1
    peer.send(
        ["message", request, "root", "take", [value]],
        ["message", request + 1, "root", "echo", ["next"]],
    )
    name, _, failure = await peer.answer(request)
    assert (name, failure["type"]) == ("error", type), failure
    assert (await peer.answer(request + 1))[2] == "next"
    peer.acknowledge()
    text: str = failure["message"]
    return text


def copy(type: str, state: Any) -> dict[str, Any]:
    return {"$": "copy", "type": type, "state": state}


def use(number: int) -> dict[str, Any]:
    return {"$": "use", "id": number}


def define(number: int, value: Any) -> dict[str, Any]:
    return {"$": "def", "id": number, "value": value}


@pytest.mark.parametrize(
    "name",
    [
        "shop.Item", "", "Open ", "open", "builtins.dict", "os.system", "pb.Error", "\0",
        f"{__name__}.Open", f"{__name__}.Target", "x" * 100_000, "Open\n", "__main__.Open",
    ],
)  # fmt: skip
async def test_a_type_that_is_not_registered(name: str) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        text = await refused(peer, copy(name, {"kept": {"$": "remote", "id": 7}}))
        assert "no class is registered here" in text
        assert len(text) < 1000
        assert target.given == []


async def test_what_a_refused_copy_brought_is_given_back() -> None:
    async with gateway(Target, registry=registry()) as gate, await gate.peer() as peer:
        things = [{"$": "remote", "id": 7}, {"$": "remote", "id": 7}, {"$": "cached", "id": 9}]
        peer.send(["message", 1, "root", "take", [copy("shop.Item", {"things": things})]])
        assert await peer.next("decref") == ["decref", 7, 2]
        assert await peer.next("decache") == ["decache", 9, 1]
        assert (await peer.answer(1))[0] == "error"
        peer.acknowledge()


@pytest.mark.parametrize(
    "state",
    [
        None, 3, "text", [], [["x", 1]],
        {"is_admin": True}, {"methodNames": [], "is_admin": True},
        {"setCopyableState": {"$": "remote", "id": 7}},
        {"__class__": "str"}, {"__dict__": {}}, {"__init__": 1}, {"__reduce__": 1}, {"__len__": 5},
        {"$": "dict", "items": [[1, 2]]}, {"$": "dict", "items": [[{"$": "set", "items": []}, 1]]},
    ],
    ids=repr,
)  # fmt: skip
async def test_a_state_that_would_change_what_the_class_is(state: Any) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        await refused(peer, copy("Open", state))
        assert target.given == []


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"number": "1", "lines": []}, "Order: the field number must be int, not str"),
        ({"number": 1, "lines": [[[1], ["x"]]]}, "the field lines[0][1][0] must be int, not str"),
        ({"number": 1}, "the field lines is missing"),
        ({"number": 1, "lines": [], "is_paid": True}, "Order has no field 'is_paid'"),
        ({"number": 1, "lines": [], "x" * 10_000: 1}, "Order has no field 'xxx"),
        ({"number": {"$": "remote", "id": 7}, "lines": []}, "must be int, not RemoteReference"),
        ([], "a dict of its fields, not list"),
    ],
    ids=lambda it: repr(it)[:40],
)
async def test_fields_that_do_not_fit(state: Any, said: str) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        text = await refused(peer, copy("Order", state))
        assert said in text
        assert len(text) < 1000
        assert target.given == []


@pytest.mark.parametrize(
    "value",
    [
        define(1, copy("Order", use(1))),
        define(1, copy("Made", use(1))),
        define(1, copy("Open", use(1))),
        [use(1), copy("Open", {})],
        [define(1, copy("Open", {})), define(1, copy("Open", {}))],
        [define(1, [define(1, copy("Open", {}))])],
        define(1, copy("Open", {"x": define(1, [])})),
        define(1, define(2, copy("Open", {}))),
        define(None, copy("Open", {})),
        define(1, copy("shop.Item", {})),
        define(1, {"$": "failure", "type": "pb.Error", "message": "", "parents": []}),
        copy("Open", {"$": "answer", "id": 1}),
        copy("Open", {"x": [{"$": "answer", "id": 1}]}),
        {"$": "copy", "type": "Open"},
        {"$": "copy", "state": {}},
        {"$": "copy", "type": {"$": "copy", "type": "Open", "state": {}}, "state": {}},
    ],
    ids=repr,
)
async def test_defs_and_uses_that_make_no_sense(value: Any) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        await refused(peer, value)
        assert target.given == []


async def test_copies_without_end_are_too_deep() -> None:
    value: Any = copy("Open", {})
    for _ in range(100):
        value = copy("Open", {"next": value})
    async with gateway(Target, registry=registry()) as gate, await gate.peer() as peer:
        assert "depth" in await refused(peer, value, "LimitExceeded")


async def test_a_list_that_is_used_a_thousand_times_a_thousand_times() -> None:
    """A check of annotations would look at 10^9 items."""
    inner = [define(1, [1] * 1000), *[use(1)] * 999]
    middle = [define(2, inner), *[use(2)] * 999]
    async with gateway(Target, registry=registry()) as gate, await gate.peer() as peer:
        value = copy("Order", {"number": 1, "lines": middle})
        assert "again and again" in await refused(peer, value, "LimitExceeded")


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_factory_that_raises(fault: str) -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        text = await refused(peer, [copy("Open", {}), copy("Made", {"fault": fault})])
        assert text.startswith("a copy of the type 'Made' cannot be made: its class raised ")
        assert len(text) < 100
        assert target.given == []


async def test_a_copy_that_raises_when_all_is_there() -> None:
    target = Target()
    async with gateway(lambda: target, registry=registry()) as gate, await gate.peer() as peer:
        text = await refused(peer, [copy("Told", {"ref": {"$": "remote", "id": 7}})])
        assert "what only the log may say" not in text
        assert "RuntimeError" in text
        assert target.given == []


@pytest.mark.parametrize(
    "state", [1, {"is_admin": True}, use(1), {"x": copy("shop.Item", {})}, {"$": "answer", "id": 1}]
)
async def test_a_failure_with_a_state_that_does_not_fit(state: Any) -> None:
    class Refused(pb.Error, pb.Copyable, pb.RemoteCopy):
        def is_admin(self) -> bool:
            return False

    known = registry()
    known.setUnjellyableForClass("Refused", Refused)
    failures: list[BaseException | None] = []

    class Asking(Target):
        async def remote_ask(self, reference: pb.RemoteReference) -> None:
            try:
                await reference.callRemote("it")
            except BaseException as error:
                failures.append(error)

    async with gateway(Asking, registry=known) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "ask", [{"$": "remote", "id": 1}]])
        request = (await peer.next("message"))[1]
        failure = {"$": "failure", "type": "Refused", "message": "no", "parents": ["Refused"]}
        peer.send(["error", request, {**failure, "state": state}])
        assert (await peer.answer(1))[0] == "answer"
        peer.acknowledge()
    assert [type(failure) for failure in failures] == [pb.InsecureJelly]
