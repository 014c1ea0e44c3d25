"""pbweb.tracking: containers that note the smallest differences, wherever they stand."""

from __future__ import annotations

import copy
import pickle
from dataclasses import field
from datetime import date
from enum import Enum
from typing import Any

import orjson
import pytest

import pbweb as pb
from pbweb.errors import InsecureJelly, LimitExceeded
from pbweb.jelly import Jellier
from pbweb.testing import SteppedRuntime
from pbweb.tracking import MAX_DEPTH, LiveDict, LiveList, LiveSet, plain
from tests.unit.live_kit import Copy, Line, NoSession


@pb.live
class Card:
    text: Any = ""
    more: Any = None


@pb.live
class Board:
    title: Any = ""
    cards: list[Any] = field(default_factory=list)
    labels: dict[Any, Any] = field(default_factory=dict)
    tags: set[Any] = field(default_factory=set)
    other: Any = None


class Watched:
    """A board with one copy, and the operations that each turn made."""

    def __init__(self, board: Any = None) -> None:
        self.runtime = SteppedRuntime()
        self.board: Any = board or Board()
        self.copy = Copy(self.board, Line(self.runtime))

    def turn(self) -> list[tuple[Any, ...]]:
        """End the turn; its operations as they were applied, the copy being what it should be."""
        self.copy.changes.clear()
        self.runtime.run()
        assert self.copy.tree.root == plain(self.board)
        assert len(self.copy.changes) <= 1
        return [
            (list(change.path), change.op, *_values(change))
            for changes in self.copy.changes
            for change in changes
        ]


def _values(change: Any) -> tuple[Any, ...]:
    if change.op == "splice":
        return change.index, change.count, list(change.items)
    if change.op in ("add", "discard"):
        return (set(change.items),)
    return () if change.op == "del" else (change.value,)


# --------------------------------------------------------- smallest differences


def test_an_attribute():
    watched = Watched()
    watched.board.title = "Plan"
    assert watched.turn() == [(["title"], "set", "Plan")]
    assert watched.turn() == []


def test_setting_a_place_again_replaces_what_was_set():
    watched = Watched()
    for number in range(100):
        watched.board.title = number
        watched.board.labels["n"] = number
    assert watched.turn() == [(["title"], "set", 99), (["labels", "n"], "set", 99)]


@pytest.mark.parametrize("value", [1, "é" * 10, "x" * 9000, None, True, 1.5])
def test_setting_what_stands_there_is_no_change(value):
    watched = Watched(Board(value))
    watched.board.title = type(value)(value) if value is not None else None
    assert watched.turn() == []


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), (0.0, -0.0), ("1", 1)])
def test_what_is_equal_and_of_another_kind_is_a_change(old, new):
    watched = Watched(Board(old))
    watched.board.title = new
    (op,) = watched.turn()
    assert op[:2] == (["title"], "set")
    assert repr(op[2]) == repr(new)


def test_deleting_an_attribute_and_a_key():
    watched = Watched(Board(labels={"a": 1, "b": 2}))
    del watched.board.labels["a"]
    assert watched.turn() == [(["labels", "a"], "del")]
    watched.board.title = "x"
    del watched.board.title  # the class has a default
    assert watched.board.title == ""
    assert watched.turn() == [(["title"], "set", "")]


def test_a_key_that_goes_and_comes_again_in_one_turn():
    watched = Watched(Board(labels={"a": 1}))
    labels = watched.board.labels
    labels["a"] = 2
    del labels["a"]
    labels["a"] = 3
    labels["a"] = 4
    path = ["labels", "a"]
    assert watched.turn() == [(path, "set", 2), (path, "del"), (path, "set", 4)]


def test_an_index_that_is_another_after_an_insertion():
    watched = Watched(Board(cards=["a", "b"]))
    cards = watched.board.cards
    cards[0] = "c"
    cards.insert(0, "d")
    cards[0] = "e"
    assert watched.turn() == [
        (["cards", 0], "set", "c"),
        (["cards"], "splice", 0, 0, ["d"]),
        (["cards", 0], "set", "e"),
    ]


def test_a_member_that_goes_and_comes_again_in_one_turn():
    watched = Watched(Board(tags={1}))
    tags = watched.board.tags
    tags.discard(1)
    tags.add(1)
    tags.discard(1)
    assert [op[1:] for op in watched.turn()] == [("discard", {1}), ("add", {1}), ("discard", {1})]


def test_appending_joins_what_was_appended():
    watched = Watched()
    watched.board.cards.append(1)
    watched.board.title = "x"
    watched.board.cards += [2, 3]
    watched.board.cards.extend(iter([4]))
    watched.board.cards.insert(99, 5)
    assert watched.turn() == [
        (["cards"], "splice", 0, 0, [1, 2, 3, 4, 5]),
        (["title"], "set", "x"),
    ]


def test_an_insertion_is_not_joined_with_another():
    watched = Watched(Board(cards=[1, 2]))
    watched.board.cards.append(3)
    watched.board.cards.insert(0, 0)
    watched.board.cards.append(4)
    assert [op[2:] for op in watched.turn()] == [(2, 0, [3]), (0, 0, [0]), (4, 0, [4])]


def test_what_is_the_same_at_both_ends_is_left_alone():
    watched = Watched(Board(cards=[*"abcdef"]))
    watched.board.cards[:] = [*"abXef"]
    assert watched.turn() == [(["cards"], "splice", 2, 2, ["X"])]
    watched.board.cards.sort()
    assert watched.turn() == [(["cards"], "splice", 0, 3, ["X", "a", "b"])]
    watched.board.cards.sort()
    watched.board.cards[:] = list(watched.board.cards)
    assert watched.turn() == []


def test_a_field_deep_inside():
    card = Card("a", more={"list": [Card("b")]})
    watched = Watched(Board(cards=[1, card]))
    card.more["list"][0].text = "c"
    assert watched.turn() == [(["cards", 1, "more", "list", 0, "text"], "set", "c")]


def test_what_is_new_is_sent_whole_with_what_changes_in_it():
    watched = Watched()
    card = Card("a")
    watched.board.cards.append(card)
    card.text, card.more = "b", [1]
    card.more.append(2)
    assert watched.turn() == [(["cards"], "splice", 0, 0, [{"text": "b", "more": [1, 2]}])]
    card.more.append(3)
    assert watched.turn() == [(["cards", 0, "more"], "splice", 2, 0, [3])]


def test_what_has_left_changes_nothing():
    card = Card("a", more=[1])
    watched = Watched(Board(cards=[card]))
    watched.board.cards.clear()
    assert watched.turn() == [(["cards"], "splice", 0, 1, [])]
    card.text = "b"
    card.more.append(2)
    assert watched.turn() == []
    watched.board.other = card
    assert watched.turn() == [(["other"], "set", {"text": "b", "more": [1, 2]})]
    card.more.append(3)
    assert watched.turn() == [(["other", "more"], "splice", 2, 0, [3])]


def test_members_of_a_set():
    watched = Watched(Board(tags={1, 2}))
    watched.board.tags.add(3)
    watched.board.tags |= {4, 1}
    watched.board.tags.discard(9)
    watched.board.tags.remove(2)
    assert watched.turn() == [(["tags"], "add", {3, 4}), (["tags"], "discard", {2})]
    watched.board.tags.clear()
    assert watched.turn() == [(["tags"], "discard", {1, 3, 4})]
    watched.board.tags.update(range(10))
    watched.turn()
    watched.board.tags.clear()
    watched.board.tags.add("new")
    assert watched.turn() == [(["tags"], "set", {"new"})]


def test_a_dict_that_is_emptied_is_sent_whole():
    watched = Watched(Board(labels=dict.fromkeys("abcdef")))
    watched.board.labels.clear()
    watched.board.labels["g"] = 1
    assert watched.turn() == [(["labels"], "set", {"g": 1})]


def test_what_is_deleted_from_a_dict_has_left():
    card = Card("a")
    watched = Watched(Board(labels={"c": card, "d": card, "e": 1}))
    del watched.board.labels["c"]
    assert watched.board.labels.pop("d") is card
    assert watched.turn() == [(["labels", "c"], "del"), (["labels", "d"], "del")]
    card.text = "b"
    assert watched.turn() == []


def test_what_stood_in_a_dict_that_is_emptied_has_left():
    card = Card("a")
    watched = Watched(Board(labels={"c": card, **dict.fromkeys("abdef")}))
    watched.board.labels.clear()
    assert watched.turn() == [(["labels"], "set", {})]
    card.text = "b"
    assert watched.turn() == []


def test_a_dict_that_nobody_observes_lets_go_of_what_stood_in_it_as_well():
    card = Card("a")
    board = Board(labels={"c": card, **dict.fromkeys("abdef")})
    board.labels.clear()
    card.more = board  # not inside itself: it stands in there no longer
    assert plain(card)["more"]["labels"] == {}


# ------------------------------------------------------------ in several places


def test_one_object_in_several_places():
    card = Card("a")
    watched = Watched(Board(cards=[card, 0, card], other={"c": card}))
    card.text = "b"
    assert sorted(watched.turn(), key=str) == [
        (["cards", 0, "text"], "set", "b"),
        (["cards", 2, "text"], "set", "b"),
        (["other", "c", "text"], "set", "b"),
    ]
    card.text = "c"
    card.text = "d"
    assert len(watched.turn()) == 3


def test_one_object_in_two_observed_ones_and_observed_itself():
    card = Card("a")
    one, two, own = Watched(Board(cards=[card])), Watched(Board(other=card)), Watched(card)
    card.text = "b"
    assert own.turn() == [(["text"], "set", "b")]
    assert one.turn() == [(["cards", 0, "text"], "set", "b")]
    assert two.turn() == [(["other", "text"], "set", "b")]


def test_two_that_are_swapped():
    a, b = Card("a", more=[]), Card("b")
    watched = Watched(Board(cards=[a, b, 0]))
    watched.board.cards[0], watched.board.cards[1] = watched.board.cards[1], watched.board.cards[0]
    assert [op[:2] for op in watched.turn()] == [(["cards", 0], "set"), (["cards", 1], "set")]
    a.more.append(1)
    assert watched.turn() == [(["cards", 1, "more"], "splice", 0, 0, [1])]


def test_what_is_put_into_a_list_twice_and_changes_in_the_same_turn():
    a = Card("a", more=[])
    watched = Watched(Board(cards=[a, 0, 1]))
    watched.board.cards.append(a)
    a.more.append(1)
    a.more.append(2)
    watched.board.cards.append(5)
    watched.turn()
    a.more.append(3)
    assert [op[0] for op in watched.turn()] == [["cards", 0, "more"], ["cards", 3, "more"]]


def test_a_list_that_moves_along_knows_where_it_is():
    inner = LiveList([1])
    watched = Watched(Board(cards=[0, inner]))
    watched.board.cards.insert(0, "first")
    watched.turn()
    inner.append(2)
    assert watched.turn() == [(["cards", 2], "splice", 1, 0, [2])]


def test_what_a_plain_container_becomes():
    original: Any = [1, {"a": {2}}]
    board = Board(cards=original)
    assert board.cards == original
    assert type(board.cards) is LiveList
    assert type(board.cards[1]) is LiveDict
    assert type(board.cards[1]["a"]) is LiveSet
    original.append(2)
    assert board.cards == [1, {"a": {2}}]
    board.other = board.cards  # a live one stays the very same
    assert board.other is board.cards
    board.other = [same := [1], same]
    assert board.other[0] is board.other[1]


# ------------------------------------------------------------------ what is refused


class Colour(Enum):
    RED = "red"


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "of the class builtins.object"),
        ([1, {"a": object()}], "of the class builtins.object"),
        (bytearray(b"x"), "bytearray"),
        ("\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        ({(1, 2): 1}, "keys are text or whole numbers"),
        ({True: 1}, "keys are text or whole numbers"),
        ({2**60: 1}, "keys are text or whole numbers"),
        (([],), "make it a list"),
        ({Card()}, "put it into a list or dict"),
        (CYCLE, "inside itself"),
        ({"then": print}, "which a page would call"),
    ],
)
def test_what_cannot_cross_is_refused_where_it_is_set(value, text):
    watched = Watched(Board(cards=[Card("kept")]))
    before = plain(watched.board)
    board = watched.board
    for change in (
        lambda: setattr(board, "other", value),
        lambda: board.cards.append(value),
        lambda: board.cards.__setitem__(0, value),
        lambda: board.cards.__setitem__(slice(0, 1), [board.cards[0], value]),
        lambda: board.labels.update(fine=1, wrong=value),
        lambda: board.labels.__setitem__("wrong", value),
        lambda: board.labels.setdefault("wrong", value),
        lambda: LiveList([value]),
        lambda: LiveDict(wrong=value),
        lambda: Card(value),
    ):
        with pytest.raises(InsecureJelly, match=text):
            change()
    assert plain(board) == before
    assert watched.turn() == []
    board.cards[0].text = "it has its links"
    assert len(watched.turn()) == 1


def test_no_object_stands_inside_itself():
    board, card = Board(), Card()
    board.cards.append(card)
    for change in (
        lambda: setattr(board, "other", board),
        lambda: setattr(card, "more", board),
        lambda: setattr(card, "more", {"deep": [board.cards]}),
        lambda: board.cards.append(board.cards),
    ):
        with pytest.raises(InsecureJelly, match="inside itself"):
            change()
    assert plain(board)["cards"] == [{"text": "", "more": None}]


def test_no_object_is_nested_too_deep():
    board = Board()
    deep: list[Any] = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(LimitExceeded, match="depth"):
        board.cards = deep
    card = inner = Card()
    for _ in range(MAX_DEPTH - 5):
        inner.more = Card()
        inner = inner.more
    board.cards.append(card)
    with pytest.raises(LimitExceeded, match="depth"):
        inner.more = [[[1]]]


def inside(cards: int, last: Any) -> Any:
    """*last*, inside so many cards."""
    for _ in range(cards):
        last = Card("", last)
    return last


def room_above(top: Any) -> int:
    """Inside how many lists *top* may still be put."""
    for lists in range(MAX_DEPTH + 1):
        try:
            Board().other = top
        except LimitExceeded:
            return lists
        top = [top]
    raise AssertionError("there is no bound")


def room_below(card: Any) -> int:
    """How many lists, one in another, may still be put into *card*."""
    deep: list[Any] = []
    for lists in range(MAX_DEPTH + 1):
        try:
            card.more = deep
        except LimitExceeded:
            return lists
        deep = [deep]
    raise AssertionError("there is no bound")


@pytest.mark.parametrize("short_first", [True, False])
def test_of_two_ways_to_one_object_the_longer_counts(short_first):
    ends = []
    for cards in (0, 20):
        ends.append(card := Card())
        Board(other=[inside(cards, card)])
    both = Card()
    ways = [both, inside(20, both)]
    Board(other=ways if short_first else ways[::-1])
    near, far = map(room_below, ends)
    assert far == near - 20
    assert room_below(both) == far


@pytest.mark.parametrize("short_first", [True, False])
def test_of_two_ways_down_to_one_object_the_longer_counts(short_first):
    both = Card()
    ways = [both, inside(20, both)]
    top = Card("", ways if short_first else ways[::-1])
    alone = Card("", [inside(20, Card())])
    assert room_above(top) == room_above(alone) < room_above(Card("", [Card()]))


def test_numbers_with_too_many_digits():
    with pytest.raises(LimitExceeded, match="digits"):
        Board(10**5000)


def test_values_with_tags_are_sent_as_they_are():
    watched = Watched()
    values = [float("inf"), 2**70, date(2026, 1, 2), b"x", (1, ("a",)), frozenset({1})]
    watched.board.other = [*values, Colour.RED]
    watched.runtime.run()
    assert watched.copy.tree.root["other"] == [*values[:4], [1, ["a"]], frozenset({1}), "red"]
    watched = Watched()
    watched.board.labels[5] = {"$": 1}
    assert watched.turn() == [(["labels", 5], "set", {"$": 1})]


# ------------------------------------------------------------ as list, dict and set


LISTS: list[Any] = [
    lambda x: x.append(9),
    lambda x: x.extend(range(3)),
    lambda x: x.extend(x),
    lambda x: x.insert(-1, 9),
    lambda x: x.insert(99, 9),
    lambda x: x.pop(),
    lambda x: x.pop(-2),
    lambda x: x.pop(99),
    lambda x: x.remove(2),
    lambda x: x.remove("nothing"),
    lambda x: x.clear(),
    lambda x: x.sort(key=lambda item: -item),
    lambda x: x.sort(reverse=True),
    lambda x: x.sort(key=lambda item: 1 / 0),
    lambda x: x.reverse(),
    lambda x: x.__setitem__(-1, 9),
    lambda x: x.__setitem__(99, 9),
    lambda x: x.__setitem__("a", 9),
    lambda x: x.__setitem__(slice(1, 3), "ab"),
    lambda x: x.__setitem__(slice(3, 1), "ab"),
    lambda x: x.__setitem__(slice(None, None, 2), "abc"),
    lambda x: x.__setitem__(slice(None, None, 2), "a"),
    lambda x: x.__setitem__(slice(None), x),
    lambda x: x.__delitem__(0),
    lambda x: x.__delitem__(-9),
    lambda x: x.__delitem__(slice(1, 3)),
    lambda x: x.__delitem__(slice(None, None, -2)),
    lambda x: x.__iadd__((1, 2)),
    lambda x: x.__iadd__(1),
    lambda x: x.__imul__(3),
    lambda x: x.__imul__(0),
    lambda x: x.__add__([1]),
    lambda x: x * 2,
    lambda x: x[1:],
    lambda x: x.copy(),
    lambda x: x.index(2),
]
DICTS: list[Any] = [
    lambda x: x.__setitem__("z", 9),
    lambda x: x.__setitem__("a", 9),
    lambda x: x.__setitem__([], 9),
    lambda x: x.__delitem__("a"),
    lambda x: x.__delitem__("nothing"),
    lambda x: x.pop("a"),
    lambda x: x.pop("nothing"),
    lambda x: x.pop("nothing", 5),
    lambda x: x.pop(True),
    lambda x: x.popitem(),
    lambda x: x.clear(),
    lambda x: x.setdefault("a", 9),
    lambda x: x.setdefault("z"),
    lambda x: x.update({"a": 5}, z=6),
    lambda x: x.update([("a", 1)]),
    lambda x: x.update(5),
    lambda x: x.__ior__({"z": 1}),
    lambda x: x | {"z": 1},
    lambda x: {"z": 1} | x,
    lambda x: x.copy(),
    lambda x: x.get("a"),
]
SETS: list[Any] = [
    lambda x: x.add(9),
    lambda x: x.add(1),
    lambda x: x.discard(1),
    lambda x: x.discard(True),
    lambda x: x.discard(9),
    lambda x: x.remove(1),
    lambda x: x.remove(9),
    lambda x: x.clear(),
    lambda x: x.update([1, 9], "a"),
    lambda x: x.intersection_update([1, 9]),
    lambda x: x.difference_update([1, 9], [2]),
    lambda x: x.symmetric_difference_update([1, 9]),
    lambda x: x.__ior__({1, 9}),
    lambda x: x.__iand__({1, 9}),
    lambda x: x.__isub__({1, 9}),
    lambda x: x.__ixor__({1, 9}),
    lambda x: x | {9},
    lambda x: x & {1},
    lambda x: x - {1},
    lambda x: x ^ {1},
    lambda x: {9} | x,
    lambda x: {1} - x,
    lambda x: x.union([9]),
    lambda x: x.copy(),
    lambda x: x <= {1},
]


@pytest.mark.parametrize(
    ("start", "action"),
    [([3, 1, 2, 5, 4], action) for action in LISTS]
    + [({"a": 1, "b": 2, 1: 3}, action) for action in DICTS]
    + [({1, 2, 3}, action) for action in SETS],
)
def test_they_do_what_plain_ones_do(start, action):
    usual = copy.copy(start)
    watched = Watched(Board(other=copy.copy(start)))
    live = watched.board.other

    def outcome(value: Any) -> Any:
        try:
            result = action(value)
        except Exception as error:
            return type(error)
        return "itself" if result is value else result

    wanted, found = outcome(usual), outcome(live)
    assert found == wanted
    assert type(found) is type(wanted)
    assert live == usual
    assert isinstance(live, set) or list(live) == list(usual)
    watched.turn()


def test_popping_from_the_empty():
    for empty in (LiveList(), LiveSet()):
        with pytest.raises((IndexError, KeyError)):
            empty.pop()
    with pytest.raises(KeyError):
        LiveDict().popitem()
    assert LiveSet({5}).pop() == 5


@pytest.mark.parametrize("value", [[1, [2]], {"a": [1]}, {1, 2}])
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_one_is_a_plain_one(value, way):
    board = Board(other=value)
    made = way(board.other)
    assert made == value
    assert type(made) is type(value)


def test_in_ordinary_calls_they_cross_as_what_they_are():
    board = Board(other=[1, {"a": {2}}])
    args, _ = Jellier(NoSession(), pb.Limits()).encode_call([board.other], {})
    assert orjson.loads(orjson.dumps(args)) == [[1, {"a": {"$": "set", "items": [2]}}]]
