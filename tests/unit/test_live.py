"""pbweb.live: what changes is sealed once, and reaches every copy in its turn."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import sys
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson
import pytest

import pbweb as pb
from pbweb.errors import InsecureJelly
from pbweb.live import KEPT
from pbweb.testing import Pair, SteppedRuntime, _acknowledge_now, pair, stepped_pair
from pbweb.tracking import plain
from tests.unit.live_kit import Copy, Line
from tests.unit.paired import run_paired


@pb.live
class Card:
    text: Any = ""
    done: bool = False


@pb.live
class Board:
    title: Any = ""
    cards: list[Any] = field(default_factory=list)
    _secret: Any = None


@pb.live(name="all.Board", delivery="all")
class Every:
    title: Any = ""
    cards: list[Any] = field(default_factory=list)


@pb.live
@dataclass
class Pair2:
    first: int
    second: int = 2

    @property
    def total(self) -> int:
        return self.first + self.second

    @total.setter
    def total(self, value: int) -> None:
        self.first = value - self.second

    @cached_property
    def once(self) -> int:
        return self.total


# ------------------------------------------------------------------- the class


def test_a_live_class_is_a_dataclass():
    board = Board("Plan", [Card("a")])
    assert dataclasses.asdict(board)["cards"] == [{"text": "a", "done": False}]
    assert repr(Card("a")) == "Card(text='a', done=False)"
    assert Card("a") != Card("a")
    assert {board}
    assert Pair2(1) == Pair2(1, 2)
    assert Board.__module__ == __name__
    assert isinstance(board, pb.Cacheable)


def test_what_else_a_class_has_works_as_ever():
    pair = Pair2(1)
    pair.total = 9
    assert pair.first == 7
    assert pair.once == 9
    assert plain(pair) == {"first": 7, "second": 2}
    pair._mine = 5  # stays here
    del pair._mine


def test_an_attribute_that_is_no_field_is_refused():
    pair = Pair2(1)
    with pytest.raises(AttributeError, match="has no field 'frist'"):
        pair.frist = 2
    with pytest.raises(AttributeError, match="has no field 'frist'"):
        del pair.frist
    del pair.first
    with pytest.raises(AttributeError, match="first"):
        del pair.first
    assert plain(pair) == {"second": 2}


def test_fields_with_an_underscore_stay_here():
    copy = Copy(Board("a", _secret=5), Line(SteppedRuntime()))
    assert copy.tree.root == {"title": "a", "cards": []}


def test_a_class_may_be_made_of_another():
    @pb.live
    class Special(Board):
        extra: int = 0

    class Quiet(Special):
        def shout(self) -> None:
            self.title = self.title.upper()

    special, quiet = Special("a", extra=1), Quiet("b")
    quiet.shout()
    assert plain(special) == {"title": "a", "cards": [], "extra": 1}
    assert plain(quiet) == {"title": "B", "cards": [], "extra": 0}
    assert Special.pbType == f"{__name__}.{Special.__qualname__}"


def refused(text: str, cls: Any, **options: Any) -> None:
    with pytest.raises(TypeError, match=text):
        pb.live(**options)(cls) if options else pb.live(cls)


def test_classes_that_cannot_be_made_live():
    @dataclass(frozen=True)
    class Frozen:
        x: int

    @dataclass(slots=True)
    class Slots:
        x: int

    class Own:
        x: int

        def __setattr__(self, name: str, value: Any) -> None: ...

    class Hooks(pb.Cacheable):
        x: int

    class Reference(pb.Referenceable):
        x: int

    refused("nothing in it can change", Frozen)
    refused("leave slots=True", Slots)
    refused("it has its own __setattr__", Own)
    refused("hooks of its own", Hooks)
    refused("as a reference or a copy", Reference)
    refused("no annotated fields", type("Empty", (), {}))
    refused("takes a class", lambda: None)
    refused("delivery is 'latest' or 'all'", Board, delivery="some")


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_one_is_observed_by_nobody(way):
    board = Board("a", [Card("b")], _secret=1)
    watched = Copy(board, Line(SteppedRuntime()))
    made = way(board)
    assert plain(made) == plain(board)
    assert made._secret == 1
    made.cards[0].text = "c"
    made.cards.append(1)
    watched.broker.runtime.run()
    assert watched.names == []
    assert made.cards[0]._pbLinks.keys() == {(id(made.cards), None)}


def test_a_shallow_copy_shares_what_is_in_it():
    board = Board("a", [1])
    other = copy.copy(board)
    watched = Copy(other, Line(SteppedRuntime()))
    board.cards.append(2)
    board.title = "b"
    watched.broker.runtime.run()
    assert watched.tree.root == {"title": "a", "cards": [1, 2]}


# ------------------------------------------------------------------- sealing


def test_without_observers_nothing_is_noted():
    board = Board()
    copy = Copy(board, Line(SteppedRuntime()))
    copy.leave()
    assert board._pbOps is None
    board.title = "x"
    copy.broker.runtime.run()
    assert copy.names == []


def test_a_turn_is_encoded_once_for_all(monkeypatch):
    runtime = SteppedRuntime()
    board = Board()
    copies = [Copy(board, Line(runtime)) for _ in range(50)]
    calls = []
    module = sys.modules["pbweb.live"]  # pbweb.live is the decorator
    encode = module._encode
    monkeypatch.setattr(module, "_encode", lambda *args: calls.append(1) or encode(*args))
    for number in range(100):
        board.title = number
        board.cards.append(number)
    runtime.run()
    assert len(calls) == 1
    assert all(copy.tree.root == plain(board) for copy in copies)
    assert all(len(copy.changes) == 1 for copy in copies)
    assert not board._pbOps._segments


def test_who_can_be_written_to_at_once_gets_one_frame_with_the_others():
    runtime = SteppedRuntime()
    board, frames, copies = Board(), [], []
    for number in range(3):
        line = Line(runtime)
        copies.append(copy := Copy(board, line))

        def express(call: Any, luid: int, copy: Copy = copy, last: bool = number == 2) -> bool:
            if last:
                return False
            frames.append(call.frames.get(luid) or call.frame(luid))
            copy.take(frames[-1])
            return True

        line.express = express
    for title in ("one", "two"):
        board.title = title
        board.cards.append(title)
        runtime.run()
        assert [copy.tree.root["title"] for copy in copies] == [title] * 3
        assert not any(copy.broker.dirty for copy in copies)
    assert len(frames) == 4
    assert frames[0] is frames[1]
    assert frames[2] is frames[3]
    assert [len(copy.changes) for copy in copies] == [2, 2, 2]


def test_what_must_not_come_later_takes_the_changes_along():
    runtime = SteppedRuntime()
    board = Board()
    early, late = Copy(board, Line(runtime)), Copy(board, Line(runtime))
    board.title = 1
    early.broker.flush_dirty()
    assert early.tree.root["title"] == 1
    assert late.names == []
    board.title = 2
    board.cards.append(3)
    runtime.run()
    assert early.names == ["update", "update"]
    assert late.names == ["update"]  # two seals in one
    assert early.tree.root == late.tree.root == plain(board)
    assert early.broker.dirty == late.broker.dirty == {}


def test_who_joins_in_a_turn_gets_only_what_comes_after():
    runtime = SteppedRuntime()
    board = Board()
    first = Copy(board, Line(runtime))
    board.cards.append(1)
    second = Copy(board, Line(runtime))
    board.cards.append(2)
    runtime.run()
    assert first.tree.root == second.tree.root == plain(board)
    assert [change.items for change in first.changes[0]] == [[1], [2]]
    assert [change.items for change in second.changes[0]] == [[2]]


def test_the_state_is_encoded_once_while_it_holds():
    board = Board("a")
    copies = [Copy(board, Line(SteppedRuntime())) for _ in range(2)]
    state = board._pbOps._state
    Copy(board, Line(SteppedRuntime()))
    assert board._pbOps._state is state
    board.title = "b"
    assert board._pbOps._state is None
    assert copies[0].tree.root == {"title": "a", "cards": []}


def test_copies_that_two_seals_define_go_apart():
    runtime = SteppedRuntime()
    board = Board()
    early, late = Copy(board, Line(runtime)), Copy(board, Line(runtime))

    class Point(pb.Copyable):
        pbType = "Point"

    for _ in range(2):
        point = Point()
        board.cards = [point, point]
        sent: list[Any] = []
        late.broker.sent = early.broker.sent = sent.append
        early.broker.flush_dirty()
    runtime.run()
    assert [orjson.loads(orjson.dumps(frame[4]))[0][0][0] for frame in sent[-2:]] == [["cards"]] * 2


# ------------------------------------------------------------------- delivery


def test_a_slow_peer_gets_what_it_lacks_as_one_update():
    runtime = SteppedRuntime()
    board = Board("x" * 10_000)
    slow, quick = Copy(board, Line(runtime)), Copy(board, Line(runtime))
    slow.broker.has_room = False
    for number in range(20):
        board.cards.append(number)
        runtime.run()
    assert slow.names == []
    assert len(slow.broker.waiting) == 1
    slow.broker.make_room()
    assert not board._pbOps._segments
    assert slow.names == ["update"]
    assert slow.tree.root == quick.tree.root == plain(board)


def test_a_very_slow_peer_gets_the_state_of_that_moment():
    runtime = SteppedRuntime()
    board = Board()
    slow, quick = Copy(board, Line(runtime)), Copy(board, Line(runtime))
    slow.broker.has_room = False
    for number in range(KEPT):
        board.title = f"{number}"
        runtime.run()
        assert sum(segment.size for segment in board._pbOps._segments) <= KEPT
    assert len(slow.broker.waiting) == 1
    board.title = "now"
    slow.broker.make_room()
    assert slow.names == ["reset"]
    assert slow.tree.root == plain(board)
    assert len(quick.changes) == KEPT
    slow.broker.has_room = True
    runtime.run()
    board.cards.append(1)
    runtime.run()
    assert slow.tree.root == quick.tree.root == plain(board)


def test_delivery_of_all():
    runtime = SteppedRuntime()
    board = Every()
    slow, quick = Copy(board, Line(runtime)), Copy(board, Line(runtime))
    slow.broker.has_room = False
    for number in range(2000):
        board.title = number
        runtime.run()
    assert slow.names == []
    slow.broker.make_room(1000)
    assert slow.tree.root["title"] == 999
    slow.broker.make_room()
    assert slow.names == quick.names == ["update"] * 2000
    assert [changes[0].value for changes in slow.changes] == list(range(2000))
    assert not board._pbOps._segments


def test_delivery_of_all_has_a_bound():
    runtime = SteppedRuntime()
    board = Every()
    slow = Copy(board, Line(runtime, pb.Limits(updates=1000)))
    quick = Copy(board, Line(runtime, pb.Limits(updates=1000)))
    slow.broker.has_room = False
    for number in range(5):
        board.title = f"{number}" * 150
        runtime.run()
        assert slow.broker.closed is None
    board.title = "!" * 150
    runtime.run()
    assert slow.broker.closed == (
        4440,
        "updates: 1056 bytes of updates of one object were not read",
    )
    assert quick.broker.closed is None
    slow.leave()
    runtime.run()
    assert quick.tree.root == plain(board)


def test_what_one_peer_cannot_take_hurts_no_other():
    runtime = SteppedRuntime()
    board = Board()
    small = Copy(board, Line(runtime, pb.Limits(message=300)))
    large = Copy(board, Line(runtime))
    board.title = "x" * 500
    runtime.run()
    board.cards.append(1)
    runtime.run()
    assert small.tree.root == {"title": "", "cards": []}
    assert large.tree.root == plain(board)
    assert [str(error)[:7] for _, error in runtime.reports] == ["message", "message"]
    board.title = "short"
    runtime.run()
    assert small.names == ["reset"]
    assert small.tree.root == plain(board)
    board.cards.append(2)
    runtime.run()
    assert small.names == ["reset", "update"]


def test_a_peer_that_takes_less_depth():
    runtime = SteppedRuntime()
    board = Board()
    flat = Copy(board, Line(runtime, pb.Limits(depth=8)))
    board.cards.extend([[number] for number in range(50)])  # many brackets, none of them deep
    runtime.run()
    assert flat.tree.root == plain(board)
    board.title = [[[[[[['"\\"[[']]]]]]]
    runtime.run()
    assert flat.tree.root["title"] == ""
    assert "depth" in str(runtime.reports[0][1])


def test_what_nobody_can_take_is_an_error_in_the_log():
    class Broken(pb.Copyable):
        broken = True

        def getStateToCopy(self) -> Any:
            return [object()] if self.broken else []

    runtime = SteppedRuntime()
    board, thing = Board(), Broken()
    copies = [Copy(board, Line(runtime)) for _ in range(2)]
    board.title = thing
    runtime.run()
    assert [type(error) for _, error in runtime.reports] == [InsecureJelly] * 2
    board.cards.append(1)
    board.title = "fine"
    runtime.run()
    assert [copy.names for copy in copies] == [["reset"], ["reset"]]
    assert copies[0].tree.root == plain(board)


@pytest.mark.parametrize("cls", [Board, Every])
def test_after_an_update_that_could_not_be_encoded_everybody_gets_the_whole_state(cls, monkeypatch):
    """As when memory runs out: what was changed is in no update, so none may follow on it."""
    runtime = SteppedRuntime()
    board = cls()
    copies = [Copy(board, Line(runtime)) for _ in range(2)]
    with monkeypatch.context() as patched:
        module = sys.modules["pbweb.live"]
        patched.setattr(module, "encode_shared", fail_with(MemoryError()))
        board.title = 2**70
        runtime.run()
    what = f"an update of {board._pbOps._name()} cannot be sent"
    assert [said for said, _ in runtime.reports] == [what, *2 * [f"{what} to one of its observers"]]
    assert {type(error) for _, error in runtime.reports} == {MemoryError}
    board.cards.append(1)
    runtime.run()
    for copy_of in copies:
        assert copy_of.names == ["reset"]
        assert copy_of.tree.root == {"title": 2**70, "cards": [1]}
    board.cards.append(2)
    runtime.run()
    assert copies[0].names == ["reset", "update"]
    assert copies[0].tree.root == plain(board)


def fail_with(error: BaseException) -> Any:
    def fail(*_args: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("cls", [Board, Every])
def test_who_leaves_while_an_update_waits_is_sent_nothing(cls):
    runtime = SteppedRuntime()
    board = cls()
    gone, stays = (Copy(board, Line(runtime)) for _ in range(2))
    gone.broker.has_room = False
    board.title = "x"
    runtime.run()
    assert gone.broker.waiting
    gone.leave()
    gone.broker.make_room()
    assert gone.names == []
    assert stays.names == ["update"]


def test_a_change_that_nobody_waits_for_any_more_is_forgotten():
    runtime = SteppedRuntime()
    board = Board()
    only = Copy(board, Line(runtime))
    board.title = "x"
    only.leave()
    later = Copy(board, Line(runtime))
    runtime.run()
    assert only.names == later.names == []
    assert later.tree.root == plain(board)
    board.title = "y"
    runtime.run()
    assert later.names == ["update"]
    assert later.tree.root == plain(board)


# ---------------------------------------------------------------- in sessions


class Room(pb.Root):
    def __init__(self, board: Any = None) -> None:
        self.board = board or Board("Plan", [Card("one")])
        self.given: Any = None

    def remote_board(self) -> Any:
        return self.board

    def remote_add(self, text: str) -> int:
        self.board.cards.append(Card(text))
        return len(self.board.cards)

    def remote_fail(self) -> None:
        self.board.title = "failed"
        raise pb.Error("no")

    async def remote_later(self, future: Any) -> str:
        self.board.title = "later"
        await asyncio.sleep(0)
        self.board.title = "later still"
        return self.board.title

    def remote_is(self, board: Any) -> bool:
        return board is self.board

    def remote_give(self, given: Any) -> None:
        self.given = given

    def remote_given(self) -> Any:
        return self.given.snapshot()

    def remote_drop(self) -> None:
        self.given = None


def test_an_answer_comes_after_what_was_changed_before_it():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        assert type(board) is pb.LiveCopy
        seen: list[Any] = []
        promise = both.root.callRemote("add", "two")
        promise.then_call(lambda _: seen.append(len(board.cards)))
        assert await promise == 2
        assert seen == [2]
        with pytest.raises(pb.Error):
            await both.root.callRemote("fail")
        assert board.title == "failed"
        assert await both.root.callRemote("later", None) == board.title == "later still"
        assert await both.root.callRemote("is", board)
        board.release()

    run_paired(room, body)
    assert room.board._pbOps is None


def test_a_call_comes_after_what_was_changed_before_it():
    room = Room()

    class Client(pb.Referenceable):
        def __init__(self) -> None:
            self.seen: list[Any] = []
            self.board: Any = None

        def remote_look(self) -> None:
            self.seen.append(self.board.title)

    async def body(both: Pair) -> None:
        client = Client()
        client.board = await both.root.callRemote("board")
        await both.root.callRemote("give", client)
        for number in range(3):
            room.board.title = number
            room.given.callRemoteOnly("look")
            room.board.title = number + 100
        await both.quiet()
        assert client.seen == [0, 1, 2]
        assert client.board.title == 102
        room.given = client.board = None

    run_paired(room, body)


def test_many_changes_of_a_turn_are_one_frame():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        frames = len(both.to_client.frames)
        for number in range(100):
            room.board.title = number
            room.board.cards.append(number)
            room.board.cards[0].done = not room.board.cards[0].done
        await both.quiet()
        assert len(both.to_client.frames) == frames + 1
        assert board.snapshot() == plain(room.board)
        del board

    run_paired(room, body)


def test_the_owner_may_be_the_client():
    room = Room()

    async def body(both: Pair) -> None:
        mine = Board("mine")
        await both.root.callRemote("give", mine)
        mine.cards.append(Card("a"))
        mine.cards[0].text = "b"
        assert await both.root.callRemote("given") == {
            "title": "mine",
            "cards": [{"text": "b", "done": False}],
        }
        await both.root.callRemote("drop")
        await both.assert_idle()
        assert mine._pbOps is None

    run_paired(room, body)


def test_references_and_copies_in_it_are_made_for_each_session():
    class Count(pb.Referenceable):
        total = 0

        def remote_up(self) -> int:
            self.total += 1
            return self.total

    room = Room(Board(cards=[Count()]))

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        assert await board.cards[0].callRemote("up") == 1
        room.board.cards.append(Count())
        room.board.cards.append([room.board.cards[0]])
        await both.quiet()
        assert await board.cards[1].callRemote("up") == 1
        assert board.cards[2][0] is board.cards[0]
        room.board.cards.clear()
        room.board.title = "x"
        await both.quiet()
        assert board.snapshot() == {"title": "x", "cards": []}
        room.board.cards.extend([Count(), 2**70])  # whose size is not known before
        await both.quiet()
        assert board.cards[1] == 2**70
        assert await board.cards[0].callRemote("up") == 1
        room.board.cards.clear()
        del board

    run_paired(room, body)


def test_a_slow_session_gets_the_latest_state():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        names: list[str] = []
        stop = board.subscribe(lambda changes: names.extend(change.op for change in changes))
        both.to_server.hold()  # no acknowledgement
        for number in range(500):
            room.board.title = f"{number}"
            await asyncio.sleep(0)
        await both.quiet()
        assert len(names) <= 20
        both.to_server.let_go()
        for _ in range(3):
            await both.quiet()
            _acknowledge_now(both.client.session)
        await both.quiet()
        assert board.title == "499"
        assert len(names) < 200
        assert "reset" in names
        stop()
        del board

    limits = pb.Limits(window_frames=8)
    run_paired(room, body, limits=limits)


def test_changing_what_is_observed_in_another_thread_is_refused():
    room = Room()

    async def body(both: Pair) -> None:
        board = await both.root.callRemote("board")
        caught: list[BaseException] = []

        def change() -> None:
            for work in (
                lambda: setattr(room.board, "title", "x"),
                lambda: room.board.cards.append(1),
                lambda: setattr(room.board.cards[0], "text", "x"),
                lambda: room.board.cards.clear(),
            ):
                try:
                    work()
                except RuntimeError as error:
                    caught.append(error)

        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        assert len(caught) == 4
        assert "call_soon_threadsafe" in str(caught[0])
        await both.quiet()
        assert (
            board.snapshot()
            == plain(room.board)
            == {"title": "Plan", "cards": [{"text": "one", "done": False}]}
        )
        del board

    run_paired(room, body)


def test_the_end_of_a_session_leaves_nothing():
    board = Board()

    async def main() -> None:
        async with pair(Room(board)) as both, pair(Room(board)) as others:
            kept = [await each.root.callRemote("board") for each in (both, others)]
            both.cut()
            board.title = "x"
            await others.quiet()
            assert [copy.title for copy in kept] == ["", "x"]
            assert len(board._pbOps._observers) == 1
        assert board._pbOps is None

    asyncio.run(main())


def test_without_a_loop():
    room = Room()
    both = stepped_pair(room)
    promise = both.client.broker.remoteForName("root").callRemote("board")
    both.settle()
    board = promise.result()
    room.board.title = "x"
    both.settle()
    assert board.title == "x"
    board.release()
    both.assert_idle()
