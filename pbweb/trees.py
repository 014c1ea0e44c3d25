"""The state of a live object's copy: a tree that never changes, and the next one made from it.

A new tree shares with the old one all that an update did not touch: what is on the path to a
change is copied, once for each update. So a snapshot is one attribute, and two snapshots are the
same object when nothing has changed between them (protocol section 2, *Live objects*).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, SupportsIndex, TypeVar

from .errors import InsecureJelly, LimitExceeded
from .jelly import NEVER_REFERENCES, treat_as
from .limits import Limits
from .references import RemoteReference
from .unjelly import MAX_CLASHES

__all__ = ["Change", "FrozenDict", "FrozenList", "Tree", "frozen"]

MAX_PATH = 100
"""Items of a path; so the tree is nested no deeper than twice what one message may be."""

MOVED_AT_ONCE = 1024
"""Items of a list that move aside, when others come or go before them, in the time of a step."""

COUNTED_IN_A_COPY = 8
"""Items that are copied in the time in which the hash of one is counted, at least."""

_NOTHING: Any = object()

_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")


class FrozenList(list[_T]):
    """A list that cannot be changed; ``list(…)`` of it can."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (list(self),)


class FrozenDict(dict[_K, _V]):
    """A dict that cannot be changed; ``dict(…)`` of it can."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (dict(self),)


def _refuse_change(self: Any, *_args: Any, **_kw: Any) -> NoReturn:
    """Refuse: what a copy has is changed by its owner only."""
    kind = type(self).__mro__[1].__name__
    raise TypeError(f"a copy of a live object cannot be changed here; change a {kind}(…) of it")


for _cls, _names in (
    (FrozenList, "append clear extend insert pop remove reverse sort __iadd__ __imul__"),
    (FrozenDict, "clear pop popitem setdefault update __ior__"),
):
    for _name in (*_names.split(), "__setitem__", "__delitem__"):
        setattr(_cls, _name, _refuse_change)
treat_as(FrozenList, list)
treat_as(FrozenDict, dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a copy, as its listeners get it."""

    path: tuple[Any, ...]
    """The keys and indexes that lead to the place; to the list or set, if that changed."""
    op: str
    """``set``, ``del``, ``splice``, ``add``, ``discard``, or ``reset``: all of it is new."""
    value: Any = None
    """What stands at the place now, with ``set`` and ``reset``."""
    index: int = 0
    """Where items went and came, with ``splice``."""
    count: int = 0
    """How many items went there, with ``splice``."""
    items: Sequence[Any] = ()
    """The items that came, or with ``discard`` went."""


def frozen(value: Any, limits: Limits) -> tuple[Any, int]:
    """A frozen copy of the decoded *value*, and its weight: its items and characters.

    Raises:
        InsecureJelly: a reference stands where it may not.
        LimitExceeded: it weighs more than a copy may, or than one message can bring, with what
            stands in it more than once.
    """
    weighing = _Weighing(limits)
    return weighing.freeze(value), weighing.weight


class _Weighing:
    """What one message brings: its time is bounded as well as the weight of the copy.

    Each item has two bytes in a message at least, so only what is named again and again in it
    can weigh more than it has bytes.
    """

    def __init__(self, limits: Limits, weight: int = 0) -> None:
        self._limits = limits
        self.weight = weight
        """Of the whole copy."""
        self._brought = 0

    def add(self, weight: int) -> None:
        """So much came. Raises LimitExceeded: that is too much."""
        self.weight += weight
        self._brought += weight
        if self.weight > self._limits.copy_weight:
            raise LimitExceeded(
                f"copy_weight: a copy may have {self._limits.copy_weight} items and characters"
            )
        if self._brought > self._limits.message:
            raise LimitExceeded(
                f"message: one may bring {self._limits.message} items and characters"
            )

    def work(self, steps: int) -> None:
        """So much time was spent. Raises LimitExceeded: it is too much for one message."""
        self.add(steps)
        self.weight -= steps

    def freeze(self, value: Any) -> Any:
        kind = type(value)
        self.add(1 + (len(value) if kind is str or kind is bytes else 0))
        if kind is list:
            return FrozenList(map(self.freeze, value))
        if kind is dict:
            return FrozenDict({key: self._item(key, item) for key, item in value.items()})
        if kind is set or kind is frozenset:
            return frozenset(map(self.freeze, value))
        return value

    def _item(self, key: Any, item: Any) -> Any:
        check_key(key, item)
        self.add(weight_of_key(key))
        return self.freeze(item)


def check_key(key: Any, value: Any) -> None:
    """Raises InsecureJelly for a reference under a key that an await would call."""
    if type(value) is RemoteReference and key in NEVER_REFERENCES:
        raise InsecureJelly(f"a reference may not stand under the key {key!r}")


def weight_of_key(key: Any) -> int:
    """The weight of a key of a dict."""
    return len(key) if type(key) is str else 1


def weight_of(value: Any) -> int:
    """The weight of a value that is frozen, or a set that is changed."""
    kind = type(value)
    if kind is str or kind is bytes:
        return 1 + len(value)
    if kind is FrozenList or kind is frozenset or kind is set:
        return 1 + sum(map(weight_of, value))
    if kind is FrozenDict:
        keys = sum(map(weight_of_key, value))
        return 1 + keys + sum(map(weight_of, value.values()))
    return 1


class Tree:
    """One state of a copy, and its weight. It never changes."""

    __slots__ = ("copied", "root", "weight")

    def __init__(self, root: Any, weight: int, copied: int = 0) -> None:
        self.root = root
        self.weight = weight
        self.copied = copied
        """How many items were copied from the one before it."""

    def updated(self, ops: Any, limits: Limits) -> tuple[Tree, list[Change]]:
        """The tree after the decoded *ops*, and what they changed.

        Raises:
            InsecureJelly: one of them does not fit.
            LimitExceeded: the tree would weigh too much, or they take too long.
        """
        if type(ops) is not list:
            raise InsecureJelly("an update is a list of operations")
        update = _Update(self, limits)
        changes = [update.apply(op) for op in ops]
        return update.tree(), changes


def tree_of(state: Any, limits: Limits) -> Tree:
    """The tree for a decoded *state*.

    Raises:
        InsecureJelly: it is no dict of attributes.
        LimitExceeded: it weighs too much.
    """
    if type(state) is not dict or not all(type(key) is str for key in state):
        raise InsecureJelly("the state of a live object is an object of its attributes")
    return Tree(*frozen(state, limits))


class _Hashes:
    """How many keys or members of one container have which hash.

    A peer can choose numbers that all have one, and to find one among those takes as many steps.
    """

    def __init__(self, container: Collection[Any]) -> None:
        self.container = container  # so that no other gets its id
        self._times = Counter(map(hash, container))

    def add(self, item: Any) -> None:
        """*item* is to come. Raises InsecureJelly: too many have its hash."""
        number = hash(item)
        self._times[number] += 1
        if self._times[number] > MAX_CLASHES:
            raise InsecureJelly("too many keys or members of a set have one hash")

    def discard(self, item: Any) -> None:
        """*item* goes."""
        self._times[hash(item)] -= 1


class _Update:
    """A tree in the making: what was copied for this update may be changed in place."""

    def __init__(self, tree: Tree, limits: Limits) -> None:
        self.root = tree.root
        self._weighing = _Weighing(limits, tree.weight)
        self._own: dict[int, Any] = {}
        self._copied = 0
        self._hashes: dict[int, _Hashes] = {}  # of containers to which more than text comes
        self._has_sets = False  # some in containers of our own are sets that can be changed

    def tree(self) -> Tree:
        """What was made."""
        for node in self._own.values() if self._has_sets else ():
            for key, item in list(node.items() if type(node) is FrozenDict else enumerate(node)):
                if type(item) is set:
                    _PUT[type(node)](node, key, frozenset(item))
        return Tree(self.root, self._weighing.weight, self._copied)

    def apply(self, op: Any) -> Change:
        if type(op) is not list or len(op) < 2 or type(op[0]) is not list:
            raise InsecureJelly("an operation is a list of a path, a name and what belongs to it")
        path, name, *rest = op
        work = _WORK.get(name) if type(name) is str else None
        if work is None:
            raise InsecureJelly(f"there is no operation {ascii(name)[:64]}")
        if len(path) > MAX_PATH:
            raise InsecureJelly(f"the path {_shown(path)} is too long")
        if len(rest) != work[1]:
            raise InsecureJelly(f"the operation {name!r} takes {work[1]} values, not {len(rest)}")
        return work[0](self, tuple(map(_hashable, path)), *rest)

    def _owned(self, container: Any, path: Sequence[Any]) -> Any:
        if id(container) in self._own:
            return container
        if type(container) not in (FrozenDict, FrozenList):
            raise InsecureJelly(f"there is no list or object at {_shown(path)}")
        made = type(container)(container)
        self._copied += len(made)
        self._own[id(made)] = made
        return made

    def _at(self, path: tuple[Any, ...]) -> Any:
        """The container at *path*, as one that may be changed."""
        node = self.root = self._owned(self.root, ())
        for length, key in enumerate(path, 1):
            child = _get(node, key, path)
            made = self._owned(child, path[:length])
            if made is not child:
                _PUT[type(node)](node, key, made)
            node = made
        return node

    def _come(self, container: Collection[Any], items: Iterable[Any]) -> None:
        """See that *items*, which are to come into *container*, clash with few that are there."""
        for item in items:
            if type(item) is str:  # whose hash nobody can foresee
                continue
            if id(container) not in self._hashes:
                self._copied += COUNTED_IN_A_COPY * len(container)
                self._hashes[id(container)] = _Hashes(container)
            self._hashes[id(container)].add(item)

    def _go(self, container: Collection[Any], items: Iterable[Any]) -> None:
        """*items* go from *container*."""
        if id(container) in self._hashes:
            for item in items:
                if type(item) is not str:
                    self._hashes[id(container)].discard(item)

    def _place(self, path: tuple[Any, ...]) -> tuple[Any, Any]:
        if not path:
            raise InsecureJelly("the whole object is replaced by 'reset' only")
        return self._at(path[:-1]), path[-1]

    def _set(self, path: tuple[Any, ...], value: Any) -> Change:
        node, key = self._place(path)
        check_key(key, value)
        if len(path) == 1 and type(key) is not str:
            raise InsecureJelly("the name of an attribute is a string")
        if type(node) is FrozenList:
            old = _get(node, key, path)
        elif key in node:
            old = node[key]
        else:
            old = _NOTHING
            self._come(node, (key,))
            self._weighing.add(weight_of_key(key))
        if old is not _NOTHING:
            self._weighing.weight -= weight_of(old)
        made = self._weighing.freeze(value)
        _PUT[type(node)](node, key, made)
        return Change(path, "set", made)

    def _del(self, path: tuple[Any, ...]) -> Change:
        node, key = self._place(path)
        if type(node) is not FrozenDict:
            raise InsecureJelly(f"{_shown(path)} is in a list: 'splice' takes it out")
        self._weighing.weight -= weight_of(_get(node, key, path)) + weight_of_key(key)
        self._go(node, (key,))
        dict.__delitem__(node, key)
        return Change(path, "del")

    def _splice(self, path: tuple[Any, ...], index: Any, count: Any, items: Any) -> Change:
        node = self._at(path)
        if type(node) is not FrozenList or type(items) is not list:
            raise InsecureJelly(f"a splice needs a list, at {_shown(path)} and of what comes")
        if type(index) is not int or type(count) is not int:
            raise InsecureJelly("a splice is at a whole number, of a whole number of items")
        if not (0 <= index <= index + count <= len(node)):
            raise InsecureJelly(f"there is nothing to splice at {index} in {_shown(path)}")
        where = slice(index, index + count)
        self._weighing.weight -= sum(map(weight_of, node[where]))
        self._weighing.work((len(node) - index) // MOVED_AT_ONCE)
        made = FrozenList(map(self._weighing.freeze, items))
        list.__setitem__(node, where, made)
        return Change(path, "splice", None, index, count, made)

    def _add(self, path: tuple[Any, ...], items: Any) -> Change:
        return self._change_set(path, "add", items)

    def _discard(self, path: tuple[Any, ...], items: Any) -> Change:
        return self._change_set(path, "discard", items)

    def _change_set(self, path: tuple[Any, ...], name: str, items: Any) -> Change:
        node, key = self._place(path)
        members = _get(node, key, path)
        if type(members) not in (frozenset, set) or type(items) is not list:
            raise InsecureJelly(f"{name!r} needs a set at {_shown(path)}, and a list")
        if type(members) is frozenset:  # copied once for all operations on it
            self._has_sets = True
            members = set(members)
            self._copied += len(members)
            _PUT[type(node)](node, key, members)
        given = list(map(_hashable, items))
        if len(given) > MAX_CLASHES and max(Counter(map(hash, given)).values()) > MAX_CLASHES:
            raise InsecureJelly("too many members of a set are the same, or have one hash")
        made = frozenset(given)
        if name == "add":
            new = made - members
            self._come(members, new)
            self._weighing.add(sum(map(weight_of, new)))
            members |= made
        else:
            old = made & members
            self._go(members, old)
            self._weighing.weight -= sum(map(weight_of, old))
            members -= made
        return Change(path, name, items=FrozenList(made))


def _hashable(value: Any) -> Any:
    """*value* as a key or member: a tuple came as a list."""
    made = _as_tuples(value)
    try:
        hash(made)
    except Exception:  # whatever the class of a copy raises
        raise InsecureJelly("a key or a member of a set cannot be hashed") from None
    return made


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if type(value) is list else value


def _get(node: Any, key: Any, path: Sequence[Any]) -> Any:
    if type(node) is FrozenDict:
        if key in node:
            return node[key]
    elif type(node) is FrozenList and type(key) is int and 0 <= key < len(node):
        return node[key]
    raise InsecureJelly(f"the copy has nothing at {_shown(path)}")


def _shown(path: Sequence[Any]) -> str:
    return ascii(list(path))[:100]


_PUT: dict[type, Any] = {FrozenDict: dict.__setitem__, FrozenList: list.__setitem__}
_WORK: dict[str, tuple[Callable[..., Change], int]] = {
    "set": (_Update._set, 1),
    "del": (_Update._del, 0),
    "splice": (_Update._splice, 3),
    "add": (_Update._add, 1),
    "discard": (_Update._discard, 1),
}
