"""pbweb.live_copies: what a peer's live object arrives at."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import field
from typing import Any

import pytest

import pbweb as pb
from pbweb import caching
from pbweb.live_copies import MOST_CHANGES
from pbweb.testing import Pair, pair
from pbweb.trees import Change
from tests.unit.paired import run_paired


@pb.live(name="test.Board")
class Board:
    title: Any = ""
    cards: list[Any] = field(default_factory=list)
    snapshot: Any = None


class Room(pb.Root):
    def __init__(self) -> None:
        self.board: Any = Board("Plan")

    def remote_board(self) -> Any:
        return self.board

    def remote_is(self, board: Any) -> bool:
        return board is self.board


def test_attributes_and_snapshot():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        before = board.snapshot()
        assert board.title == before["title"] == "Plan"
        assert before is board.snapshot()
        assert repr(board) == "<LiveCopy of 'test.Board'>"
        assert {"title", "cards", "subscribe"} <= set(dir(board))
        assert before["snapshot"] is None  # the method stays
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = board.nothing
        with pytest.raises(AttributeError, match="its owner changes it"):
            board.title = "mine"
        with pytest.raises(TypeError):
            board.cards.append(1)
        room.board.cards.append(1)
        await both.quiet()
        assert board.snapshot() is not before
        assert before["cards"] == []
        assert board.cards == [1]
        assert await both.root.callRemote("board") is board
        assert await both.root.callRemote("is", board)
        del board

    run_paired(room, body)


def test_listeners():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        one: list[Any] = []
        two: list[Any] = []

        def fails(_: Any) -> None:
            raise ValueError("a fault of the application")

        stops = [board.subscribe(listener) for listener in (fails, one.append, two.append)]
        again = board.subscribe(one.append)
        room.board.title = "x"
        await both.quiet()
        assert two == [[Change(("title",), "set", "x")]]
        assert one == two * 2
        for stop in stops:
            stop()
            stop()
        room.board.title = "y"
        await both.quiet()
        assert len(two) == 1
        assert len(one) == 3
        again()
        board.release()  # the log holds on to it, by the traceback

    records = run_paired(room, body, logged=1)
    assert "a listener of 'test.Board' failed" in records[0].getMessage()


def test_a_listener_that_ends_another():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        heard: list[Any] = []
        stops: list[Any] = []
        stops.append(board.subscribe(lambda _: [stop() for stop in stops]))
        stops.append(board.subscribe(heard.append))
        room.board.title = "x"
        await both.quiet()
        assert heard == []
        del board

    run_paired(room, body)


def test_who_listens_keeps_the_copy_and_who_does_not_lets_it_go():
    room = Room()

    async def body(both: Pair) -> None:
        heard: list[Any] = []
        stop = (await both.root.callRemote("board")).subscribe(heard.append)
        gc.collect()
        await both.quiet()
        room.board.title = "x"
        await both.quiet()
        assert len(heard) == 1
        stop()
        gc.collect()
        await both.quiet()
        assert room.board._pbOps is None

    run_paired(room, body)


def test_a_released_copy_hears_nothing():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        heard: list[Any] = []
        board.subscribe(heard.append)
        with board:
            room.board.title = "x"
            await both.quiet()
        await both.quiet()
        room.board.title = "y"
        await both.quiet()
        assert len(heard) == 1
        assert board.title == "x"
        fresh = await both.root.callRemote("board")
        assert fresh is not board
        assert fresh.title == "y"
        del fresh

    run_paired(room, body)


def test_a_class_of_ones_own():
    registry = pb.Registry()

    class Mine(pb.LiveCopy):
        def size(self) -> int:
            return len(self.cards)

    registry.setUnjellyableForClass("test.Board", Mine)
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        assert type(board) is Mine
        room.board.cards += [1, 2]
        await both.quiet()
        assert board.size() == 2
        both.to_server.hold()
        del board  # given back; but the decache has not come yet
        gc.collect()
        promise = both.root.callRemote("board")
        await both.quiet()
        both.to_server.let_go()
        board = await promise
        assert type(board) is Mine
        assert board.size() == 2
        board.release()

    run_paired(room, body, registry=registry)


def test_a_class_that_is_no_live_copy_is_not_taken():
    registry = pb.Registry()

    class Other(pb.RemoteCopy):
        pass

    registry.setUnjellyableForClass("test.Board", Other)

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        assert type(board) is pb.LiveCopy
        board.release()

    run_paired(Room(), body, registry=registry)


def test_changes_one_after_another():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        seen: list[Any] = []

        async def follow() -> None:
            async for changes in board.changes():
                seen.append([change.value for change in changes])
                if board.title == "end":
                    break

        task = asyncio.ensure_future(follow())
        await both.quiet()
        for value in ("a", "b"):
            room.board.title = value
            await both.quiet()
        for value in ("c", "end"):  # two updates before it gets its turn
            room.board.title = value
            both.server.flush()
            await asyncio.sleep(0)
        await task
        await both.quiet()
        assert [value for values in seen for value in values] == ["a", "b", "c", "end"]
        board.release()

    run_paired(room, body)


def test_changes_that_come_before_the_release_are_the_last():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        changes = board.changes()
        first = asyncio.ensure_future(changes.__anext__())
        await asyncio.sleep(0)
        board.observe_update([[["title"], "set", "last"]])
        board.release()  # the reader has not had its turn yet
        assert [change.value for change in await first] == ["last"]
        with pytest.raises(StopAsyncIteration):
            await changes.__anext__()
        del first

    run_paired(room, body)


def test_changes_of_one_who_is_slow():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        changes = board.changes()
        first = asyncio.ensure_future(changes.__anext__())
        await both.quiet()
        for number in range(MOST_CHANGES + 50):
            room.board.cards.append(number)
            room.board.cards[0] = number
        for number in range(MOST_CHANGES + 50):
            room.board.cards[number] = number + 1
        await both.quiet()
        assert [change.op for change in await first] == ["reset"]
        await changes.aclose()
        del board, first

    run_paired(room, body)


@pytest.mark.parametrize("how", ["release", "cut"])
def test_changes_end(how):
    async def main() -> None:
        async with pair(Room()) as both:
            board = await both.root.callRemote("board")

            async def follow() -> list[Any]:
                return [changes async for changes in board.changes()]

            task = asyncio.ensure_future(follow())
            await both.quiet()
            board.release() if how == "release" else both.cut()
            assert await task == []
            assert board.title == "Plan"
            if how == "cut":
                with pytest.raises(pb.DeadReferenceError):
                    await board.changes().__anext__()

    asyncio.run(main())


def test_a_copy_that_no_session_made():
    board = pb.LiveCopy()
    assert "LiveCopy object" in repr(board)
    with pytest.raises(AttributeError):
        _ = board.title
    with pytest.raises(pb.DeadReferenceError, match="copy of nothing"):
        board.setCopyableState(["x", {}])
    for state in ("x", ["x"], [1, {}]):
        with pytest.raises(pb.InsecureJelly, match="its type's name and its attributes"):
            board.setCopyableState(state)
    board.release()


def test_updates_that_copy_much_are_bounded(monkeypatch):
    """A list is copied for each update of it: small messages could take all the time there is."""
    monkeypatch.setattr(caching, "MAX_COPIED", 1000)
    monkeypatch.setattr(caching, "COPIED_A_SECOND", 0)
    room = Room()
    room.board.cards = [0] * 300

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        for number in range(1, 6):
            room.board.cards[0] = number
            await both.quiet()
        assert board.cards[0] == 4
        monkeypatch.setattr(caching, "COPIED_A_SECOND", 1e9)
        both.clock.turn(1)
        room.board.cards[1] = 7
        await both.quiet()
        assert board.cards[1] == 7

    run_paired(room, body, logged=1)
