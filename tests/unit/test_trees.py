"""pbweb.trees: states that never change, and what updates make of them (see also the vectors)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import orjson
import pytest

from pbweb.errors import InsecureJelly, LimitExceeded
from pbweb.jelly import Jellier
from pbweb.limits import DEFAULT
from pbweb.trees import Change, FrozenDict, FrozenList, Tree, tree_of
from tests.unit.live_kit import NoSession

LIMIT = 10_000


def tree(**state: Any) -> Tree:
    return tree_of(state, LIMIT)


def test_what_an_update_left_alone_is_the_same_object():
    before = tree(a={"b": [1]}, c=[{"d": 1}, {"e": 2}])
    after, changes = before.updated([[["c", 0, "d"], "set", 5]], LIMIT)
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
    after, _ = state.updated([[["items", at, "n"], "set", 0] for at in range(100)], LIMIT)
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
        state, _ = state.updated([op], LIMIT)
        assert state.weight == tree_of(copy.deepcopy(state.root), LIMIT).weight


def test_a_state_may_not_weigh_too_much():
    with pytest.raises(LimitExceeded, match="live: a copy"):
        tree(a="x" * LIMIT)
    state = tree(a="x" * 9_000, s=set(), l=[])
    for op in (
        [["b"], "set", "x" * 1_000],
        [["b" * 2_000], "set", 1],
        [["s"], "add", ["x" * 1_000]],
        [["l"], "splice", 0, 0, [0] * 1_000],
    ):
        with pytest.raises(LimitExceeded, match="live: a copy"):
            state.updated([op], LIMIT)
    after, _ = state.updated([[["a"], "set", ""], [["b"], "set", "x" * 9_000]], LIMIT)
    assert after.weight < LIMIT


def test_what_is_used_again_and_again_weighs_as_often():
    shared: Any = [1]
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(LimitExceeded):
        tree(a=shared)
    with pytest.raises(LimitExceeded):
        tree().updated([[["a"], "set", shared]], LIMIT)


def test_a_path_has_an_end():
    with pytest.raises(InsecureJelly, match="too long"):
        tree().updated([[["a"] * 101, "set", 1]], LIMIT)


@pytest.mark.parametrize("state", [[], None, "x", {1: 2}])
def test_a_state_is_an_object(state):
    with pytest.raises(InsecureJelly, match="object of its attributes"):
        tree_of(state, LIMIT)
