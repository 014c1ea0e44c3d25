"""Calls, answers and references of peers that break the rules (C, D and F)."""

import asyncio
import json
import logging
import sys
from typing import Any

import pytest

import pbweb as pb
from pbweb.connection import Connection
from tests.hostile.kit import TEXT, Gateway, Peer, gateway, until, with_limits, ws_frame


class Thing(pb.Referenceable):
    def remote_name(self) -> str:
        return "thing"


class Target(pb.Root):
    """What is attacked. It notes what was executed."""

    def __init__(self) -> None:
        self.executed: list[Any] = []
        self.running = 0
        self.cancelled = 0
        self.evaluated = 0
        self.given: list[Any] = []
        self.broker: Any = None
        self.hold = asyncio.Event()

    remote_attribute = "no method"

    @property
    def remote_property(self) -> object:
        self.evaluated += 1
        return self.remote_echo

    def secret(self) -> str:
        return "secret"

    def rootObject(self, broker: Any) -> pb.Referenceable:
        self.broker = broker
        return self

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_note(self, value: object = None) -> None:
        self.executed.append(value if type(value) in (int, str) else None)

    async def remote_slow(self, *_: object) -> str:
        self.running += 1
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return "done"

    async def remote_stubborn(self) -> str:
        """It goes on when it is cancelled."""
        self.running += 1
        while not self.hold.is_set() and self.cancelled < 20:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        self.running -= 1
        return "stubborn"

    def remote_thing(self) -> Thing:
        return Thing()

    def remote_take(self, *things: object) -> int:
        self.given += things
        return len(things)

    def remote_drop(self) -> None:
        self.given.clear()

    def remote_large(self, size: int) -> str:
        return "x" * size

    def remote_raise(self, which: str) -> None:
        raise FAULTS[which]()

    def remote_mixed(self) -> list[object]:
        return [Thing(), object()]

    def remote_leak(self) -> object:
        return Account()

    async def remote_push(self, reference: Any, number: int, size: int) -> None:
        for _ in range(number):
            reference.callRemoteOnly("take", "x" * size)

    async def remote_ask(self, reference: Any) -> object:
        return await reference.callRemote("answer")


class Account:
    def __init__(self) -> None:
        self.password = "MARK-of-a-password"


class Textless(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


FAULTS: dict[str, Any] = {
    "exit": lambda: sys.exit(3),
    "interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "generator": GeneratorExit,
    "stop": lambda: StopIteration(1),
    "recursion": lambda: RecursionError("too deep"),
    "memory": MemoryError,
    "textless": Textless,
    "long": lambda: ValueError("m" * 1_000_000),
    "surrogate": lambda: ValueError("\ud800"),
}


async def ends_with(gate: Gateway, peer: Peer, code: int) -> str:
    got, said = await peer.closed()
    assert got == code, (got, peer.close_reason)
    assert said is not None
    assert said[1] == code
    await peer.cut()
    await gate.only_canary()
    return peer.close_reason


def session_of(gate: Gateway, target: Target) -> Connection:
    """The server's side of the peer that connected last."""
    return next(one for one in gate.endpoint.connections if one.broker is target.broker)


async def done(peer: Peer) -> None:
    """Acknowledge all, so that nothing stands on either side."""
    peer.send(["message", 2**52, "root", "echo", ["done"]])
    assert (await peer.answer(2**52))[2] == "done"


# ------------------------------------------------------- calls in progress


async def test_calls_at_the_limit_and_one_past_it() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(*(["message", n, "root", "slow"] for n in range(1, 257)))
        peer.send(["message", 257, "root", "note", ["too many"]])
        refused = await peer.answer(257)
        assert refused[0] == "error"
        assert refused[2]["type"] == "LimitExceeded"
        assert refused[2]["message"].startswith("calls")
        assert target.executed == []
        await gate.check_canary()
        target.hold.set()
        assert (await peer.answer(256))[2] == "done"
        peer.send(["message", 258, "root", "note", ["there is room"]])
        assert await peer.answer(258) == ["answer", 258]
        assert target.executed == ["there is room"]


async def test_a_flood_of_calls_ends_with_4413_and_all_are_cancelled() -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        peer = await gate.peer()
        for start in range(1, 10_000, 500):
            peer.send(*(["message", n, "root", "slow"] for n in range(start, start + 500)))
        reason = await ends_with(gate, peer, 4413)
        assert reason.startswith("calls")
        await until(lambda: target.running == 0)
        assert target.cancelled == 256


async def test_refusals_below_the_flood_are_only_refused() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(*(["message", n, "root", "slow"] for n in range(1, 257)))
        peer.send(*(["message", n, "root", "slow"] for n in range(257, 257 + 999)))
        assert (await peer.answer(257 + 998))[2]["type"] == "LimitExceeded"
        target.hold.set()
        assert (await peer.answer(256))[2] == "done"
        await peer.cut()


async def test_reading_never_stops_while_calls_are_pending() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(*(["message", n, "root", "slow"] for n in range(1, 257)))
        for number in range(257, 357):
            peer.send(["message", number, "root", "slow"], ["cancel", number])
            assert (await peer.answer(number))[2]["type"] == "LimitExceeded"
        target.hold.set()
        assert (await peer.answer(256))[2] == "done"


async def test_calls_without_answer_are_counted_too() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(*(["message", 0, "root", "slow"] for _ in range(300)))
        peer.send(["message", 1, "root", "note"])
        assert (await peer.answer(1))[2]["type"] == "LimitExceeded"
        assert target.running == 256
        target.hold.set()
        await until(lambda: target.running == 0)


async def test_a_storm_of_calls_and_cancels() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        number = 0
        for _ in range(50):
            batch: list[Any] = []
            for _ in range(100):
                number += 1
                batch += [["message", number, "root", "slow"], ["cancel", number]]
            peer.send(*batch)
            assert (await peer.answer(number))[0] == "error"
            peer.send(["ack", number, 2 * number])
        await until(lambda: target.running == 0)
        await gate.check_canary()


async def test_a_cancelled_call_that_goes_on_keeps_its_place() -> None:
    target = Target()
    async with (
        gateway(lambda: target, limits=with_limits(calls=2)) as gate,
        await gate.peer() as peer,
    ):
        peer.send(["message", 1, "root", "stubborn"], ["message", 2, "root", "stubborn"])
        await until(lambda: target.running == 2)
        peer.send(*(["cancel", 1], ["cancel", 2]) * 5)
        peer.send(["message", 3, "root", "note"])
        assert (await peer.answer(3))[2]["type"] == "LimitExceeded"
        await until(lambda: target.cancelled >= 2)
        target.hold.set()
        assert await peer.answer(2) == ["answer", 2, "stubborn"]


async def test_a_stubborn_method_does_not_hold_up_the_end() -> None:
    target = Target()
    async with gateway(lambda: target, limits=with_limits(resume_window=0)) as gate:
        peer = await gate.peer()
        peer.send(["message", 1, "root", "stubborn"])
        await until(lambda: target.running == 1)
        await peer.cut()
        await gate.only_canary()
        await until(lambda: target.cancelled == 1)
        target.hold.set()
        await until(lambda: target.running == 0)


# ------------------------------------------------------------- request ids


@pytest.mark.parametrize("again", [5, 4, 1])
@pytest.mark.parametrize("running", [True, False])
async def test_a_request_id_that_does_not_rise(again: int, running: bool) -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        peer = await gate.peer()
        peer.send(["message", 5, "root", "slow" if running else "note", ["first"]])
        peer.send(["message", again, "root", "note", ["second"]])
        await ends_with(gate, peer, 4400)
        assert "second" not in target.executed


async def test_gaps_in_request_ids() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        for number in (3, 4, 1000, 2**53 - 1):
            peer.send(["message", number, "root", "note", [number]])
            assert await peer.answer(number) == ["answer", number]
        assert target.executed == [3, 4, 1000, 2**53 - 1]


@pytest.mark.parametrize(
    "frame",
    [
        ["answer", 1],
        ["answer", 1, "guessed"],
        ["error", 1, {"$": "failure", "type": "x", "message": "", "parents": []}],
        ["cancel", 1],
        ["ack", 1, 0],
        ["ack", 0, 1],
        ["ping", 0, 1],
        ["pong", 5, 0],
        ["decache", 1, 1],
    ],
)
async def test_what_was_never_asked(frame: list[Any]) -> None:
    async with gateway(Target()) as gate:
        peer = await gate.peer()
        peer.send(frame)
        await ends_with(gate, peer, 4400)


async def test_an_answer_before_the_question_is_not_kept_for_it() -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        peer = await gate.peer()
        peer.send(["message", 1, "root", "ask", [{"$": "remote", "id": 1}]])
        question = await peer.next("message")
        assert question[1] == 1
        peer.send(["answer", 2, "prediction"])
        await ends_with(gate, peer, 4400)


async def test_the_first_answer_holds_and_later_ones_are_ignored() -> None:
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "ask", [{"$": "remote", "id": 1}]])
        question = (await peer.next("message"))[1]
        failure = {"$": "failure", "type": "x", "message": "", "parents": []}
        peer.send(
            ["answer", question, "first"],
            ["answer", question, "second"],
            ["error", question, failure],
            ["answer", question, {"$": "remote", "id": 77}],
        )
        frames = [await peer.next("answer", "decref") for _ in range(3)]
        assert ["answer", 1, "first"] in frames
        given_back = [frame for frame in frames if frame[0] == "decref"]
        assert sorted(number for frame in given_back for number in frame[1:]) == [1, 1, 1, 77]


# -------------------------------------------------------- names and targets


@pytest.mark.parametrize(
    "name",
    [
        "__class__", "__init__", "secret", "remote_echo", "_echo", "echo.__class__", "echo\0", "",
        "\uff45cho", "\xe9cho",
        "echo ", "attribute", "property", "x" * 65, "x" * 100_000, "rootObject", "1echo",
        "remoteMethods", "echo\n",
    ],
)  # fmt: skip
async def test_a_name_that_is_no_method(name: str) -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", name])
        answer = await peer.answer(1)
        assert answer[0] == "error"
        assert answer[2]["type"] == "NoSuchMethod"
        assert len(answer[2]["message"]) < 300
        assert target.evaluated == 0
        await done(peer)


@pytest.mark.parametrize(
    "target",
    [1, 2, 2**53 - 1, "", "Root", "__class__", "x" * 10_000, "root\0"],
)
async def test_a_target_that_names_nothing(target: object) -> None:
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, target, "echo"], ["message", 2, 99, "echo"])
        error, other = await peer.answer(1), await peer.answer(2)
        assert error[2]["type"] == "DeadReferenceError"
        assert error[2]["message"] == other[2]["message"]  # no oracle
        await done(peer)


async def test_an_id_of_another_session_names_nothing() -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        one, other = await gate.peer(), await gate.peer()
        async with one, other:
            for peer in (one, other):
                peer.send(["message", 1, "root", "echo"])
                await peer.answer(1)
            one.send(["message", 2, "root", "thing"])
            luid = (await one.answer(2))[2]["id"]
            for guess in range(1, 200):
                other.send(["message", 1 + guess, guess, "name"])
                answer = await other.answer(1 + guess)
                assert answer[2]["type"] == "DeadReferenceError"
            other.send(["message", 500, "root", "echo", [{"$": "local", "id": luid}]])
            assert (await other.answer(500))[2]["type"] == "DeadReferenceError"
            one.send(["message", 3, luid, "name"])
            assert await one.answer(3) == ["answer", 3, "thing"]
            one.send(["decref", luid, 1], ["message", 4, luid, "name"])
            assert (await one.answer(4))[2]["type"] == "DeadReferenceError"


# ------------------------------------------------------------- pipelining


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (-9, "DeadReferenceError"),  # never called
        (-2, "DeadReferenceError"),  # itself
        (-(2**53 - 1), "DeadReferenceError"),
        ({"$": "answer", "id": 1, "path": ["__class__"]}, "InsecureJelly"),
        ({"$": "answer", "id": 1, "path": ["a", "append"]}, "InsecureJelly"),
        ({"$": "answer", "id": 1, "path": ["a", 9]}, "InsecureJelly"),
        ({"$": "answer", "id": 1, "path": ["constructor"]}, "InsecureJelly"),
        ({"$": "answer", "id": 1}, "NoSuchMethod"),
        ({"$": "answer", "id": 1, "path": ["a", 0]}, "NoSuchMethod"),
    ],
)
async def test_a_promise_that_leads_nowhere(target: object, kind: str) -> None:
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", [{"a": [1]}]], ["message", 2, target, "echo"])
        error = await peer.answer(2)
        assert error[2]["type"] == kind
        await done(peer)


async def test_an_answer_is_forgotten_when_it_is_acknowledged() -> None:
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "thing"])
        luid = (await peer.answer(1))[2]["id"]
        peer.send(["message", 2, -1, "name"])
        assert await peer.answer(2) == ["answer", 2, "thing"]
        peer.send(["ack", 2, 2], ["message", 3, -1, "name"])
        assert (await peer.answer(3))[2]["type"] == "DeadReferenceError"
        peer.send(["decref", luid, 1])


async def test_calls_that_wait_for_an_answer_are_calls_in_progress() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "slow"])
        peer.send(*(["message", n, -1, "x"] for n in range(2, 1000)))
        assert (await peer.answer(257))[2]["type"] == "LimitExceeded"
        target.hold.set()
        assert (await peer.answer(256))[2]["type"] == "NoSuchMethod"


async def test_an_answer_named_often_is_not_multiplied() -> None:
    """2,000 names of an answer of 3,000 objects took 9 s and 400 MB once."""
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", [[{}] * 3000]])
        peer.send(["message", 2, "root", "take", [{"$": "answer", "id": 1}] * 20_000])
        assert await peer.answer(2) == ["answer", 2, 20_000]
        peer.send(["message", 3, "root", "drop"])
        await peer.answer(3)


async def test_answers_named_by_many_calls_are_copied_within_bounds() -> None:
    """400 calls that named one answer of 100,000 objects held the loop for a minute."""
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "echo", [[{}] * 100_000]])
        peer.send(
            *(["message", n, "root", "note", [{"$": "answer", "id": 1}]] for n in range(2, 402))
        )
        answers = [(await peer.answer(n)) for n in range(2, 402)]
        refused = [one for one in answers if one[0] == "error"]
        assert answers[0][0] == "answer"
        assert len(refused) > 300
        assert {one[2]["type"] for one in refused} == {"LimitExceeded"}
        peer.acknowledge()
        await done(peer)


# -------------------------------------------------------------- references


@pytest.mark.parametrize(
    "pairs", [[1, 2], [1, 2**53 - 1], [2, 1], [1, 1, 1, 1], [2**53 - 1, 1], [9, 1, 1, 1]]
)
async def test_more_is_given_back_than_was_handed_out(pairs: list[int]) -> None:
    async with gateway(Target()) as gate:
        peer = await gate.peer()
        peer.send(["message", 1, "root", "thing"])
        assert (await peer.answer(1))[2]["id"] == 1
        peer.send(["decref", *pairs])
        await ends_with(gate, peer, 4400)


@pytest.mark.parametrize(
    "pairs", [["root", 1], [0, 1], [-1, 1], [1, 0], [1, -1], [1, 1.0], [1, 2**60], [1, True], [1]]
)
async def test_a_decref_that_is_none(pairs: list[Any]) -> None:
    async with gateway(Target()) as gate:
        peer = await gate.peer()
        peer.send(["message", 1, "root", "thing"])
        await peer.answer(1)
        peer.send(["decref", *pairs])
        await ends_with(gate, peer, 4400)


async def test_the_root_is_there_after_it_was_handed_out_and_home() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "take", [{"$": "local", "id": "root"}]])
        assert await peer.answer(1) == ["answer", 1, 1]
        assert target.given == [target]
        target.given.clear()
        await done(peer)


async def test_references_handed_out_at_the_limit_and_past_it() -> None:
    """PB's own numbers: 1,024 are handed out, four more are errors, then it is over."""
    async with gateway(Target()) as gate:
        peer = await gate.peer()
        for number in range(1, 1029):
            peer.send(["message", number, "root", "thing"])
            answer = await peer.answer(number)
            assert answer[0] == ("answer" if number <= 1024 else "error"), answer
        assert answer[2]["type"] == "LimitExceeded"
        assert answer[2]["message"].startswith("references")
        assert (await ends_with(gate, peer, 4413)).startswith("references")


async def test_references_taken_at_the_limit_and_past_it() -> None:
    target = Target()
    limits = with_limits(references=10)
    async with gateway(lambda: target, limits=limits) as gate:
        peer = await gate.peer()
        tags = [{"$": "remote", "id": n} for n in range(1, 12)]
        peer.send(["message", 1, "root", "take", tags[:10]])
        assert await peer.answer(1) == ["answer", 1, 10]
        for number in range(2, 6):
            # refused as a whole: what came with it is given back at once
            peer.send(["message", number, "root", "take", [tags[10], tags[0]]])
            given_back = await peer.next("decref")
            assert sorted(given_back[1:]) == [1, 1, 1, 11]
            answer = await peer.answer(number)
            assert answer[2]["type"] == "LimitExceeded"
        assert len(target.given) == 10
        await ends_with(gate, peer, 4413)
        target.given.clear()


async def test_a_million_references_in_few_messages() -> None:
    target = Target()
    async with gateway(lambda: target) as gate:
        peer = await gate.peer()
        for number in range(1, 5):
            tags = ",".join(f'{{"$":"remote","id":{n}}}' for n in range(number, 40_000))
            peer.send_text(f'["message",{number},"root","take",[[{tags}]]]')
        await ends_with(gate, peer, 4413)
        assert target.given == []


async def test_references_in_a_call_that_is_refused_are_given_back() -> None:
    async with gateway(Target()) as gate, await gate.peer() as peer:
        for number, frame in enumerate(
            (
                ["root", "nosuch", [{"$": "remote", "id": 5}]],
                [77, "echo", [], {"x": {"$": "remote", "id": 5}}],
                ["root", "echo", [{"$": "nosuchtag", "in": {"$": "remote", "id": 5}}]],
                ["root", "echo", [{"$": "remote", "id": 5}, {"$": "remote"}]],
            ),
            1,
        ):
            peer.send(["message", number, *frame])
            assert await peer.next("decref") == ["decref", 5, 1]
            assert (await peer.answer(number))[0] == "error"
        await done(peer)


# ------------------------------------------------- what methods may not do


@pytest.mark.parametrize("which", FAULTS)
async def test_whatever_a_method_raises_is_one_failure_of_that_call(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "raise", [which]], ["message", 2, "root", "echo", [2]])
        answer = await peer.answer(1)
        assert answer[0] == "error"
        assert len(answer[2]["message"].encode()) <= 1024
        assert answer[2].get("traceback") is None
        assert "/" not in json.dumps(answer)
        assert await peer.answer(2) == ["answer", 2, 2]


async def test_a_result_that_cannot_cross_changes_no_table() -> None:
    target = Target()
    async with gateway(lambda: target) as gate, await gate.peer() as peer:
        for number, name in enumerate(("mixed", "leak", "mixed"), 1):
            peer.send(["message", number, "root", name])
            answer = await peer.answer(number)
            assert answer[2]["type"] == "InsecureJelly"
            assert "MARK" not in json.dumps(answer)
        assert session_of(gate, target).broker.statistics()["handed_out"] == 0
        await done(peer)


async def test_an_answer_that_is_too_large_is_an_error() -> None:
    async with gateway(Target()) as gate, await gate.peer() as peer:
        peer.send(["message", 1, "root", "large", [1_048_576 - 20]])
        assert (await peer.answer(1))[0] == "answer"
        peer.send(["ack", 1, 1], ["message", 2, "root", "large", [1_048_576]])
        answer = await peer.answer(2)
        assert answer[2]["type"] == "LimitExceeded"
        assert answer[2]["message"].startswith("message")


# ------------------------------------------------------------ slow readers


async def test_a_stalled_reader_is_freed_while_the_server_pushes() -> None:
    target = Target()
    async with gateway(lambda: target, limits=with_limits(stall=0.3, grace=0.3)) as gate:
        peer = await gate.peer(receive_buffer=4096)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(["message", 1, "root", "push", [{"$": "remote", "id": 1}, 5000, 1000]])
        await until(lambda: len(gate.endpoint.connections) == 2)
        session = session_of(gate, target).session
        await gate.only_canary()
        assert session.ended
        assert session.closing is not None
        assert session.closing[0] == 4440
        await peer.cut()


async def test_who_reads_nothing_of_much_that_is_pushed_is_closed_before_it_costs_more() -> None:
    target = Target()
    async with gateway(lambda: target, limits=with_limits(pushes=100_000)) as gate:
        peer = await gate.peer(receive_buffer=4096)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(["message", 1, "root", "push", [{"$": "remote", "id": 1}, 1000, 10_000]])
        await until(lambda: len(gate.endpoint.connections) == 2)
        session = session_of(gate, target).session
        await until(lambda: session.closing)
        assert session.closing is not None
        code, reason = session.closing
        assert (code, reason.split(":")[0]) == (4440, "pushes")
        await peer.cut()
        await gate.only_canary()


async def test_a_peer_that_reads_and_never_acknowledges() -> None:
    limits = with_limits(window_frames=50)
    async with gateway(Target(), limits=limits, turned=True) as gate:
        peer = await gate.peer()
        peer.send(["message", 1, "root", "push", [{"$": "remote", "id": 1}, 500, 10]])
        await until(lambda: "_check_stall" in gate.clock.waiting())
        gate.clock.turn(9.9)
        assert not gate.link(peer)._closing
        gate.clock.turn(0.2)
        reason = await ends_with(gate, peer, 4440)
        assert "acknowledged" in reason
        pushed = [frame for frame in peer.frames if frame[0] == "message"]
        assert 40 <= len(pushed) <= 51


async def test_a_peer_that_acknowledges_gets_everything() -> None:
    limits = with_limits(window_frames=50)
    async with (
        gateway(Target(), limits=limits, turned=True) as gate,
        await gate.peer() as peer,
    ):
        peer.send(["message", 1, "root", "push", [{"$": "remote", "id": 1}, 500, 10]])
        for _ in range(500):
            await peer.next("message")
            if all(frame[0] != "message" for frame in peer.frames):
                await gate.arrives(peer, ws_frame(TEXT, json.dumps(peer.seen()).encode()))
                gate.clock.turn(9)
        peer.acknowledge()
        await done(peer)


@pytest.mark.parametrize("frame", ["nosuch", "references", "late answers"])
async def test_a_reader_that_stalls_while_it_asks_is_bounded(frame: str) -> None:
    """What the server must say at once (errors, decrefs) may not pile up behind a full socket."""
    target = Target()
    limits = with_limits(stall=20, grace=0.3, window_frames=200, window=65_536)
    async with gateway(lambda: target, limits=limits) as gate:
        peer = await gate.peer(receive_buffer=4096)
        peer.send(["message", 1, "root", "echo"])
        await peer.answer(1)
        connection = session_of(gate, target)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        references = [{"$": "remote", "id": 2**50 + n} for n in range(500)]
        number, most, queued = 1, 0, 0
        try:
            async with asyncio.timeout(60):
                while not connection.session.ended:
                    batch: list[list[Any]] = []
                    for _ in range(20):
                        number += 1
                        if frame == "nosuch":
                            batch.append(["message", number, "root", "nosuch"])
                        elif frame == "references":
                            batch.append(["message", number, "root", "nosuch", references])
                        else:
                            batch.append(["message", number, "root", "large", [500]])
                    peer.send(*batch)
                    await peer.drain()
                    most = max(most, len(connection.broker.outbox))
                    queued = max(queued, connection.broker.queued)
                    await asyncio.sleep(0)
        except ConnectionError:
            pass
        assert connection.session.ended
        assert connection.session.closing is not None
        assert connection.session.closing[0] in (4440, 4413)
        assert most <= 2 * 200 + 41
        assert queued <= 2 * 65_536 + 20 * 16 * 500 * 2
        await gate.only_canary()  # long before `stall`
        await peer.cut()


@pytest.mark.parametrize("size", [16_000, 500_000])
async def test_who_calls_for_much_and_reads_nothing_costs_little(size: int) -> None:
    """F1 and C11: 256 calls, whose answers would be 4 and 128 MB."""
    target = Target()
    async with gateway(lambda: target, limits=with_limits(stall=1, grace=0.3)) as gate:
        peer = await gate.peer(receive_buffer=4096)
        peer.send(["message", 1, "root", "echo"])
        await peer.answer(1)
        connection = session_of(gate, target)
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        most = 0
        try:
            async with asyncio.timeout(60):
                for number in range(2, 258):
                    peer.send(["message", number, "root", "echo", ["x" * size]])
                    await peer.drain()
                    most = max(most, cost(connection))
                while not connection.session.ended:
                    most = max(most, cost(connection))
                    await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        assert connection.session.closing is not None
        assert connection.session.closing[0] == 4440
        assert most < 3 * 2**20 + 3 * size, "the window, a quarter of it, and what is held"
        await gate.only_canary()
        await peer.cut()


def cost(connection: Connection) -> int:
    """Bytes that are kept for the peer: what was sent, answers that wait, calls that are held."""
    backlog = connection.broker.answering.backlog
    waiting = 0 if backlog is None else backlog.answers + backlog.held_bytes
    return connection.session.window.kept_bytes + connection.broker.queued + waiting


async def test_others_are_served_while_some_stall() -> None:
    async with gateway(Target, limits=with_limits(stall=0.5, grace=0.2)) as gate:
        stalled = [await gate.peer(receive_buffer=4096) for _ in range(20)]
        for peer in stalled:
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
            peer.send(["message", 1, "root", "push", [{"$": "remote", "id": 1}, 4000, 1000]])
        healthy = [await gate.peer() for _ in range(20)]
        for number in range(1, 20):
            for peer in healthy:
                peer.send(["message", number, "root", "echo", [number]])
            for peer in healthy:
                assert await peer.answer(number) == ["answer", number, number]
        for peer in healthy:
            await peer.cut()
        await gate.only_canary()
        for peer in stalled:
            await peer.cut()


async def test_one_busy_connection_does_not_starve_others() -> None:
    """While one peer keeps the server's input full, another is served after few slices of it."""
    target = Target()
    async with gateway(lambda: target) as gate:
        busy, quiet = await gate.peer(), await gate.peer()
        number = 0
        for _ in range(35):
            batch = [["message", number + n, "root", "note", [number + n]] for n in range(1, 101)]
            number += 100
            busy.send(*batch)
        await asyncio.sleep(0)
        quiet.send(["message", 1, "root", "echo", ["quick"]])
        assert await quiet.answer(1) == ["answer", 1, "quick"]
        assert len(target.executed) < number  # the busy one was not through
        assert await busy.answer(number) == ["answer", number]
        await busy.cut()
        await quiet.cut()


# ------------------------------------------------------- coming and going


async def test_nothing_is_left_of_500_connections() -> None:
    import gc

    target = Target()
    limits = with_limits(grace=0.3, resume_window=0)

    async def round_(gate: Gateway, number: int) -> None:
        peers = [await gate.peer(greet=way % 5 != 4) for way in range(10)]
        for way, peer in enumerate(peers):
            if way % 5 != 4:
                peer.send(["message", 1, "root", "slow"], ["message", 2, "root", "thing"])
                peer.send(["message", 0, "root", "nosuch"], ["what", number])
                await peer.answer(2)
            match way % 5:
                case 0:
                    peer.reset()
                case 1:
                    await peer.cut()
                case 2:
                    peer.send(["close", 1000, "", False])
                    await peer.closed()
                case 3:
                    peer.send_text("nonsense")
                    await peer.closed()
                case 4:
                    peer.send_bytes(b"\x81")
                    peer.writer.write_eof()
        for peer in peers:
            await peer.cut()
        await gate.only_canary()
        await until(lambda: target.running == 0)

    def census() -> int:
        gc.collect()
        ours = ("pbweb", "websockets")
        return sum(str(type(one).__module__).startswith(ours) for one in gc.get_objects())

    async with gateway(lambda: target, limits=limits) as gate:
        await round_(gate, 0)
        before = census()
        for number in range(1, 51):
            await round_(gate, number)
        assert census() <= before
