"""pbweb.trees: states that never change, and what updates make of them (see also the vectors)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import orjson
import pytest

from pbweb import trees
from pbweb.errors import InsecureJelly, LimitExceeded
from pbweb.jelly import Jellier
from pbweb.limits import DEFAULT, Limits
from pbweb.references import RemoteReference
from pbweb.trees import COUNTED_IN_A_COPY, Change, FrozenDict, FrozenList, Tree, tree_of
from tests.unit.live_kit import NoSession

LIMIT = 10_000
LIMITS = Limits(copy_weight=LIMIT)


def tree(**state: Any) -> Tree:
    return tree_of(state, LIMITS)


def test_what_an_update_left_alone_is_the_same_object():
    before = tree(a={"b": [1]}, c=[{"d": 1}, {"e": 2}])
    after, changes = before.updated([[["c", 0, "d"], "set", 5]], LIMITS)
    assert after.root == {"a": {"b": [1]}, "c": [{"d": 5}, {"e": 2}]}
    assert before.root["c"][0] == {"d": 1}
    assert after.root["a"] is before.root["a"]
    assert after.root["c"][1] is before.root["c"][1]
    assert changes == [Change(("c", 0, "d"), "set", 5)]


def test_each_node_is_copied_once_for_each_update(monkeypatch):
    state = tree(items=[{"n": number} for number in range(100)])
    made: list[int] = []
    init = FrozenList.__init__ if "__init__" in vars(FrozenList) else list.__init__

    def count(self: Any, *args: Any) -> None:
        made.append(1)
        init(self, *args)

    monkeypatch.setattr(FrozenList, "__init__", count, raising=False)
    after, _ = state.updated([[["items", at, "n"], "set", 0] for at in range(100)], LIMITS)
    assert len(made) == 1
    assert after.root == {"items": [{"n": 0}] * 100}


CHANGES: list[Any] = [
    lambda x: x.__setitem__(0, 1),
    lambda x: x.__delitem__(0),
    lambda x: x.append(1),
    lambda x: x.extend([1]),
    lambda x: x.insert(0, 1),
    lambda x: x.pop(),
    lambda x: x.remove(1),
    lambda x: x.clear(),
    lambda x: x.sort(),
    lambda x: x.reverse(),
    lambda x: x.__iadd__([1]),
    lambda x: x.__imul__(2),
    lambda x: x.update({1: 1}),
    lambda x: x.popitem(),
    lambda x: x.setdefault(1, 1),
    lambda x: x.__ior__({1: 1}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_cannot_be_changed(change):
    for plain, frozen in (([0], FrozenList([0])), ({0: 0}, FrozenDict({0: 0}))):
        if all(hasattr(plain, name) for name in change.__code__.co_names):
            with pytest.raises(TypeError, match="cannot be changed here"):
                change(frozen)
            assert frozen == plain


def test_a_copy_of_a_state_can_be_changed():
    root = tree(a=[1, {"b": 2}]).root
    for made in (copy.deepcopy(root), pickle.loads(pickle.dumps(root))):
        assert made == root
        made["a"][1]["b"] = 3
        made["a"].append(4)
        assert type(made["a"]) is list
    assert root == {"a": [1, {"b": 2}]}


def test_a_state_crosses_as_what_it_is():
    root = tree(a=[1, {"b": 2}]).root
    encoded = Jellier(NoSession(), DEFAULT).encode(root)
    assert orjson.loads(orjson.dumps(encoded)) == root


def test_the_weight_is_that_of_what_is_there():
    state = tree(a="abc", b=[1, {"key": "value"}], s={"x", "yy"})
    ops: list[Any] = [
        [["a"], "set", ["much", "more"]],
        [["a", 0], "set", "m"],
        [["b"], "splice", 0, 1, [{"x": {1, 2}}, "z"]],
        [["b", 0, "new"], "set", {"k": []}],
        [["b", 0, "x"], "del"],
        [["s"], "add", ["zzz", "x"]],
        [["s"], "discard", ["yy", "never"]],
    ]
    for op in ops:
        state, _ = state.updated([op], LIMITS)
        assert state.weight == tree_of(copy.deepcopy(state.root), LIMITS).weight


def test_a_state_may_not_weigh_too_much():
    with pytest.raises(LimitExceeded, match="copy_weight: a copy"):
        tree(a="x" * LIMIT)
    state = tree(a="x" * 9_000, s=set(), l=[])
    for op in (
        [["b"], "set", "x" * 1_000],
        [["b" * 2_000], "set", 1],
        [["s"], "add", ["x" * 1_000]],
        [["l"], "splice", 0, 0, [0] * 1_000],
    ):
        with pytest.raises(LimitExceeded, match="copy_weight: a copy"):
            state.updated([op], LIMITS)
    after, _ = state.updated([[["a"], "set", ""], [["b"], "set", "x" * 9_000]], LIMITS)
    assert after.weight < LIMIT


def test_what_is_used_again_and_again_weighs_as_often():
    shared: Any = [1]
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(LimitExceeded):
        tree(a=shared)
    with pytest.raises(LimitExceeded):
        tree().updated([[["a"], "set", shared]], LIMITS)


def test_a_path_has_an_end():
    with pytest.raises(InsecureJelly, match="too long"):
        tree().updated([[["a"] * 101, "set", 1]], LIMITS)


@pytest.mark.parametrize("state", [[], None, "x", {1: 2}])
def test_a_state_is_an_object(state):
    with pytest.raises(InsecureJelly, match="object of its attributes"):
        tree_of(state, LIMITS)


def test_time_is_bounded_also_where_the_copy_does_not_grow():
    many = [0] * 5_000
    for ops, text in (
        ([[["a"], "set", many]] * 300, "message"),  # one that is used again and again
        ([[["l"], "splice", 0, 1, [0]]] * 300, "message"),  # each moves all of a long list
    ):
        state = Tree(FrozenDict(a=0, l=FrozenList([0] * 6_000_000)), 6_000_003)
        with pytest.raises(LimitExceeded, match=text):
            state.updated(ops, Limits(copy_weight=10_000_000))


def test_a_set_is_copied_once_for_an_update(monkeypatch):
    weighed = []
    monkeypatch.setattr(trees, "weight_of", lambda value: weighed.append(value) or 1)
    before = frozenset(range(1000))
    state = Tree(FrozenDict(s=before, l=FrozenList([FrozenDict(s=before)])), 4_000)
    ops = [
        op
        for n in range(1000, 1100)
        for op in ([["s"], "add", [n]], [["s"], "discard", [n, -1]], [["l", 0, "s"], "add", [n]])
    ]
    after, changes = state.updated(ops, LIMITS)
    assert len(weighed) == 300, "the members that came and went, and no others"
    assert after.root == {"s": before, "l": [{"s": before | set(range(1000, 1100))}]}
    assert type(after.root["s"]) is type(after.root["l"][0]["s"]) is frozenset
    assert state.root["s"] is before
    assert changes[2] == Change(("l", 0, "s"), "add", items=FrozenList([1000]))


CLASHING = [(2**61 - 1) * number for number in range(1, 50_000)]  # all have the hash 0


@pytest.mark.parametrize("name", ["add", "discard"])
def test_members_that_all_have_one_hash_are_refused_at_once(name):
    """To compare each with all others would take minutes."""
    state = tree(s={1})
    with pytest.raises(InsecureJelly, match="have one hash"):
        state.updated([[["s"], name, CLASHING]], Limits(copy_weight=10**7, message=10**7))
    state.updated([[["s"], name, CLASHING[:100]]], LIMITS)


def test_members_that_come_one_by_one_may_not_have_one_hash_either():
    state = tree(s=set(CLASHING[:50]), d=dict.fromkeys(CLASHING[:50], 0))
    for one in CLASHING[50:100]:
        state, _ = state.updated([[["s"], "add", [one]], [["d", one], "set", 1]], LIMITS)
    ops: list[Any] = [[["s"], "add", ["0", 1, *CLASHING[:100]]], [["d", CLASHING[9]], "set", 1]]
    state.updated(ops, LIMITS)
    for op in ([["s"], "add", CLASHING[100:101]], [["d", CLASHING[100]], "set", 1]):
        with pytest.raises(InsecureJelly, match="have one hash"):
            state.updated([op], LIMITS)
    ops = []  # what goes makes room, however often in one update
    for one in CLASHING[:300]:
        ops += [[["s"], "discard", [one]], [["s"], "add", [one]]]
        if one in state.root["d"]:
            ops += [[["d", one], "del"], [["d", one], "set", 2]]
    ops = [op for op in ops if op[1] != "add" or op[2][0] in state.root["s"]]
    after, _ = state.updated([[["s"], "add", ["text"]], *ops, [["s"], "discard", ["text"]]], LIMITS)
    assert after.root["s"] == set(CLASHING[:100])
    assert after.root["d"] == dict.fromkeys(CLASHING[:100], 2)


def test_where_text_comes_no_hash_is_counted():
    names = [f"name {number}" for number in range(1000)]
    limits = Limits(copy_weight=10**6)
    state = tree_of({"s": set(names), "d": {"x": dict.fromkeys(names, 0)}}, limits)
    ops: list[Any] = [
        [["s"], "add", ["more"]],
        [["s"], "discard", names[:2]],
        [["d", "x", "more"], "set", 1],
        [["d", "x", "more"], "del"],
    ]
    after, _ = state.updated(ops, limits)
    assert after.copied == 1000 + 1000 + 1 + 2  # the set, the dicts and the root
    after, _ = state.updated([[["s"], "add", [1]]], limits)
    assert after.copied == 1000 + 2 + COUNTED_IN_A_COPY * 1000


def test_a_set_that_was_changed_may_go_in_the_same_update():
    state = tree(s={1}, l=[{2}, {3}])
    ops: list[Any] = [
        [["s"], "add", [5]],
        [["l", 1], "discard", [3]],
        [["l"], "splice", 0, 1, []],
        [["s"], "set", 0],
    ]
    after, _ = state.updated(ops, LIMITS)
    assert after.root == {"s": 0, "l": [frozenset()]}
    assert type(after.root["l"][0]) is frozenset
    assert after.weight == tree_of(copy.deepcopy(after.root), LIMITS).weight


@pytest.mark.parametrize("key", ["then", "toJSON"])
def test_a_reference_never_stands_where_an_await_would_call_it(key):
    reference = object.__new__(RemoteReference)
    with pytest.raises(InsecureJelly, match=key):
        trees.check_key(key, reference)
    trees.check_key(key, "a text")
    trees.check_key("other", reference)
