"""Whatever is done to live objects, a copy is what its original was at its last delivery."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import pbweb as pb
from pbweb.errors import InsecureJelly, LimitExceeded
from pbweb.live import live
from pbweb.testing import SteppedRuntime, _acknowledge_now
from pbweb.tracking import LiveDict, LiveList, LiveSet, is_node, plain
from pbweb.trees import FrozenDict
from tests.property.resumable import ResumablePair
from tests.unit.live_kit import Copy, Line


@live
class Board:
    title: Any = None
    cards: list[Any]
    labels: dict[Any, Any]
    tags: set[Any]

    def __init__(self) -> None:
        self.cards, self.labels, self.tags = [], {}, set()


@live(delivery="all")
class Card:
    text: Any = ""
    items: list[Any]
    more: Any = None

    def __init__(self, text: Any = "") -> None:
        self.text = text
        self.items = []


def exactly(value: Any) -> Any:
    """*value* in a form that tells 1 from True and 1.0, and not the order of a dict's keys."""
    if isinstance(value, dict):
        return ("dict", {exactly(key): exactly(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return ("list", [exactly(item) for item in value])
    if isinstance(value, set | frozenset):
        return ("set", frozenset(map(repr, map(exactly, value))))
    return (type(value).__name__, value if not isinstance(value, float) else repr(value))


class World:
    """Some live objects, which hold one another, and what was made of them."""

    def __init__(self) -> None:
        self.runtime = SteppedRuntime()
        self.objects: list[Any] = [Board(), Board(), Card("a"), Card("b")]
        self.copies: list[Copy] = []
        self.plain: list[Any] = [[1, {"x": 2}], {"k": [3]}, {4, 5}]

    def nodes(self) -> list[Any]:
        """All live objects and containers, in a fixed order."""
        found: dict[int, Any] = {}

        def look(node: Any) -> None:
            if is_node(node) and id(node) not in found:
                found[id(node)] = node
                below = node if isinstance(node, list) else ()
                if isinstance(node, dict):
                    below = list(node.values())
                elif not isinstance(node, list | set):
                    below = list(node.pbState().values())
                for item in below:
                    look(item)

        for each in self.objects:
            look(each)
        return list(found.values())

    def value(self, number: int) -> Any:
        kind, number = number % 12, number // 12
        if kind < 4:
            return (number, f"text {number}", number % 2 == 0, None)[kind]
        if kind == 4:
            return (float("inf"), 0.0, -0.0, 1.0, 2**70, date(2026, 1, 2), "$", "é")[number % 8]
        if kind == 5:
            return [number, [], {"k": number}]
        if kind == 6:
            return {"a": number, "$" if number % 5 == 0 else "b": {"c": [number]}}
        if kind == 7:
            return {number, "m"}
        if kind == 8:
            return Card(number)
        if kind == 9:
            return (1, ("x", number))
        if kind == 10:
            return self.plain[number % 3]
        nodes = self.nodes()
        return nodes[number % len(nodes)]

    def change(self, node: Any, action: int, a: int, b: int) -> None:
        if isinstance(node, LiveList):
            self.change_list(node, action, a, b)
        elif isinstance(node, LiveDict):
            self.change_dict(node, action, a, b)
        elif isinstance(node, LiveSet):
            self.change_set(node, action, a, b)
        else:
            name = node._pbNames[a % len(node._pbNames)]
            if action % 7 == 6 and name in vars(node):
                delattr(node, name)
            else:
                setattr(node, name, self.value(b))

    def change_list(self, node: Any, action: int, a: int, b: int) -> None:
        length = len(node)
        action %= 14
        if action < 3:
            node.append(self.value(b))
        elif action == 3:
            node.insert(a - 2, self.value(b))
        elif action == 4:
            node.extend([self.value(b), self.value(a)])
        elif action == 5 and length:
            node[a % length] = self.value(b)
        elif action == 6 and length:
            node.pop(a % length)
        elif action == 7 and length:
            node.insert(b % length, node.pop(a % length))
        elif action == 8 and length:
            node[a % length], node[b % length] = node[b % length], node[a % length]
        elif action == 9:
            node.reverse() if a % 2 else node.sort(key=lambda item: repr(plain(item)))
        elif action == 10:
            node[a % 3 : b % 5] = [self.value(b), *node[: a % 2]]
        elif action == 11 and length:
            del node[:: a % 2 + 1]
        elif action == 12:
            node *= a % 3
        elif length:
            node.remove(node[a % length])

    def change_dict(self, node: Any, action: int, a: int, b: int) -> None:
        key = ("k", "l", "$", "m m", 1, 2)[a % 6]
        action %= 9
        if action < 3:
            node[key] = self.value(b)
        elif action == 3:
            node.pop(key, None)
        elif action == 4:
            node.update({key: self.value(b), "u": self.value(a)})
        elif action == 5:
            node.setdefault(key, self.value(b))
        elif action == 6 and node:
            node.popitem()
        elif action == 7:
            node |= {key: self.value(b)}
        elif action == 8:
            node.clear()

    def change_set(self, node: Any, action: int, a: int, b: int) -> None:
        action %= 8
        if action < 2:
            node.add(b % 8)
        elif action == 2:
            node.add((b % 3, "t"))
        elif action == 3:
            node.discard(bool(a % 2) if b % 2 else a % 8)
        elif action == 4:
            node ^= {a % 8, "s"}
        elif action == 5:
            node.update([a % 8], ["s", frozenset({b % 3})])
        elif action == 6:
            node -= {a % 8, b % 8}
        else:
            node.clear()

    def changed(self, where: int, action: int, a: int, b: int) -> None:
        """Change one node; nothing has changed if that is refused."""
        nodes = self.nodes()
        if where < 25:  # mostly the same few, so that one turn changes one thing often
            nodes = nodes[: 3 + where % 3]
        before = [exactly(plain(node)) for node in self.objects]
        try:
            self.change(nodes[where % len(nodes)], action, a, b)
        except (InsecureJelly, LimitExceeded):
            if action != 8:  # a swap sets two places
                assert [exactly(plain(node)) for node in self.objects] == before

    def check(self, copy: Copy) -> None:
        assert exactly(copy.tree.root) == exactly(plain(copy.original))

    def check_links(self) -> None:
        """Each node knows exactly where it stands."""
        for node in self.nodes():
            for link in node._pbLinks.values():
                parent = link.parent
                if link.key is None:
                    assert sum(item is node for item in parent) == link.count
                else:
                    values = parent if isinstance(parent, dict) else vars(parent)
                    assert values[link.key] is node
            for key, item in nodes_in(node):
                assert (id(node), key) in item._pbLinks


def nodes_in(node: Any) -> Any:
    from pbweb.tracking import _nodes_in

    return _nodes_in(node)


STEP = st.tuples(
    st.integers(0, 9), st.integers(0, 40), st.integers(0, 13), *[st.integers(0, 95)] * 2
)


def run(program: list[tuple[int, ...]]) -> None:
    world = World()
    world.copies = [Copy(each, Line(world.runtime)) for each in world.objects[:3]]
    for step, where, action, a, b in program:
        if step < 6:
            world.changed(where, action, a, b)
        elif step == 6:
            world.runtime.run()
            for copy in world.copies:
                if not copy.broker.waiting:
                    world.check(copy)
        elif step == 7 and len(world.copies) < 6:
            original = world.objects[a % 4]
            copy = Copy(original, Line(world.runtime))
            world.check(copy)
            world.copies.append(copy)
        elif step == 8 and world.copies:
            copy = world.copies[a % len(world.copies)]
            if b % 3 == 0:
                copy.leave()
                world.copies.remove(copy)
            elif not copy.broker.waiting and copy.broker.has_room:
                copy.broker.flush_dirty()
                world.check(copy)
        elif world.copies:
            line = world.copies[a % len(world.copies)].broker
            line.has_room = b % 2 == 0
            if line.has_room:
                line.make_room(b % 5 or 1_000)
        world.check_links()
    world.runtime.run()
    for copy in world.copies:
        copy.broker.has_room = True
        copy.broker.make_room()
        copy.broker.flush_dirty()
        world.check(copy)
        assert isinstance(copy.tree.root, FrozenDict)
    for copy in world.copies:
        copy.leave()
    for each in world.objects:
        assert each._pbOps is None


@given(st.lists(STEP, min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_a_copy_is_what_its_original_was_at_its_last_delivery(
    program: list[tuple[int, ...]],
) -> None:
    run(program)


class Host(pb.Root):
    """Hands out the objects of a world, and changes them when it is asked to."""

    def __init__(self, world: World) -> None:
        self.world = world

    def remote_get(self, number: int) -> Any:
        return self.world.objects[number]

    def remote_get_all(self) -> list[Any]:
        return self.world.objects

    def remote_change(self, where: int, action: int, a: int, b: int) -> Any:
        self.world.changed(where, action, a, b)
        return [plain(each) for each in self.world.objects]

    def remote_is(self, number: int, given: Any) -> bool:
        return given is self.world.objects[number]


def run_in_a_session(program: list[tuple[int, ...]], window: int) -> None:
    world = World()
    host = Host(world)
    both = ResumablePair(
        lambda session: session.broker.setNameForLocal("root", host),
        limits=pb.Limits(window_frames=window, resume_window=60),
    )
    both.settle()
    root = both.client.broker.remoteForName("root")
    held: dict[int, Any] = {}
    promises: list[Any] = []

    def take(number: int) -> None:
        promise = root.callRemote("get", number)
        promise.then_call(lambda done: done.error() or held.update({number: done.result()}))
        promises.append(promise)

    def change(where: int, action: int, a: int, b: int) -> None:
        promise = root.callRemote("change", where, action, a, b)

        def compare(done: Any) -> None:
            if done.error() is None and window > 100:  # what had to wait for room may be newer
                for number, copy in held.items():
                    found.append(exactly(copy.snapshot()))
                    wanted.append(exactly(done.result()[number]))

        promise.then_call(compare)
        promises.append(promise)

    found: list[Any] = []
    wanted: list[Any] = []
    for step, where, action, a, b in program:
        if step < 4:
            world.changed(where, action, a, b)
        elif step == 4:
            change(where, action, a, b)
        elif step == 5:
            take(a % 4)
        elif step == 6 and a % 4 in held:
            promises.append(root.callRemote("is", a % 4, held[a % 4]))
        elif step == 7 and b % 3 == 0:
            copy = held.pop(a % 4, None)
            if copy is not None:
                copy.release()
        elif step == 8:
            both.flush()
            both.deliver(to_server=b % 2 == 0)
        elif b % 4 == 0:
            both.cut(up=10 * a, down=10 * b)
        elif b % 4 == 1:
            both.reconnect()
        else:
            both.runtime.run()
    for _ in range(50):
        both.settle()
        for session in (both.client, both.server):
            if not session.ended:
                _acknowledge_now(session)
    both.settle()
    if both.server.ended:  # too much was asked while it was away
        assert window < 100
        assert all(each._pbOps is None for each in world.objects)
        return
    assert all(promise.done for promise in promises)
    assert [error for promise in promises if (error := promise.error()) is not None] == []
    assert found == wanted
    for number, copy in held.items():
        assert exactly(copy.snapshot()) == exactly(plain(world.objects[number]))
        copy.release()
    held.clear()
    promises.clear()
    both.assert_idle()
    assert all(each._pbOps is None for each in world.objects)


@given(st.lists(STEP, min_size=1, max_size=60), st.sampled_from([4096, 6]))
@settings(max_examples=60, deadline=None)
def test_over_a_session_answers_come_behind_what_was_changed_before_them(
    program: list[tuple[int, ...]], window: int
) -> None:
    run_in_a_session(program, window)
