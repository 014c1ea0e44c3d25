"""Lists, dicts, sets and objects that know where they stand, and say what changes in them.

`live` is made of these nodes. Each has links up to the containers it stands in, so a change is
found from below: it walks up, and where an object on the way is observed, that object's `Ops`
gets an operation with the path to the change. Where nothing is observed, nothing is noted.

What is put into a container after the last seal is encoded whole at the next one, with all that
changes in it until then. So its link remembers when it was made, and a change that comes up
through a link which is younger than the seal is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import compress, count, repeat, takewhile
from operator import is_
from typing import Any, ClassVar, NoReturn, Self, SupportsIndex, TypeVar
from uuid import UUID

from .caching import Cacheable, RemoteCache
from .errors import InsecureJelly, LimitExceeded, type_name
from .flavors import CALLABLES, Referenceable, Viewable, is_copyable
from .frames import MAX_INTEGER
from .jelly import (
    NEVER_REFERENCES,
    SIMPLE,
    goes_as_it_is,
    is_well_formed,
    treat_as,
    what_to_do,
)
from .limits import DEFAULT
from .references import RemoteReference

__all__ = [
    "NODES",
    "NO_LINKS",
    "LiveDict",
    "LiveList",
    "LiveSet",
    "Ops",
    "drop",
    "is_node",
    "plain",
    "put",
    "take",
]

MAX_DEPTH = 64
"""Containers inside one another; the tags of the wire need the rest of a peer's 100."""

FEW = 3
"""Items of a dict or set that go one by one; when more go, all of it is sent instead."""

_MISSING: Any = object()
_ticks = count(1)


class _Link:
    """That a node stands in a container: under a key, or anywhere in a list."""

    __slots__ = ("count", "hint", "key", "made", "mixed", "parent")

    def __init__(self, parent: Any, key: Any, hint: int) -> None:
        self.parent = parent
        self.key = key  # None in a list
        self.count = 1  # how often it stands in the list
        self.hint = hint  # where in the list it stood last
        self.made = next(_ticks)
        self.mixed = 0  # when it was put into a list in which it stood already

    def paths(self, node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """*path*, which begins at *node*, as it is seen from the parent."""
        if self.key is not None:
            yield (self.key, *path)
            return
        if self.count == 1:
            yield (self.index_of(node), *path)
        else:
            for index in compress(count(), map(is_, self.parent, repeat(node))):
                yield (index, *path)

    def index_of(self, node: Any) -> int:
        """Where in the list *node* stands, if that is one place; mostly where it stood last."""
        parent = self.parent
        if self.hint >= len(parent) or parent[self.hint] is not node:
            self.hint = list(map(is_, parent, repeat(node))).index(True)
        return self.hint


class Ops:
    """What changed below one observed object since the last seal: its open operations.

    An operation is ``[path, name, …]``; its values are encoded when it is sealed, so that they
    are then what they have become. Setting one place again replaces the value of the earlier
    operation, and what is appended joins what was appended before.
    """

    __slots__ = ("_places", "ops", "sealed")

    def __init__(self) -> None:
        self.ops: list[list[Any]] = []
        self.sealed = next(_ticks)
        # By id() of a node: the node, which is kept so that no other gets its id, and what may
        # still be joined with a later change of it.
        self._places: dict[int, tuple[Any, dict[Any, Any]]] = {}

    def opened(self) -> None:
        """The first operation since the last seal is about to be noted."""

    def check_thread(self) -> None:
        """Raises RuntimeError in a thread that must not change what is observed."""

    def take_ops(self) -> list[list[Any]]:
        """Seal: the open operations, of which none are left."""
        ops, self.ops = self.ops, []
        self._places.clear()
        self.sealed = next(_ticks)
        return ops

    def _note(self, ops: list[list[Any]]) -> list[list[Any]]:
        if not self.ops:
            self.opened()
        self.ops += ops
        return ops

    def _place(self, node: Any) -> dict[Any, Any]:
        place = self._places.get(id(node))
        if place is None:
            place = self._places[id(node)] = (node, {})
        return place[1]

    def set(self, paths: list[tuple[Any, ...]], node: Any, key: Any, value: Any) -> None:
        """*key* of *node*, which stands at *paths*, is *value*."""
        place = self._place(node)
        known = place.get(key)
        if known is None:
            place[key] = self._note([[[*path, key], "set", value] for path in paths])
        else:
            for op in known:
                op[2] = value

    def delete(self, paths: list[tuple[Any, ...]], node: Any, key: Any) -> None:
        """*node* has no *key* any more."""
        self._place(node).pop(key, None)
        self._note([[[*path, key], "del"] for path in paths])

    def splice(
        self, paths: list[tuple[Any, ...]], node: Any, at: int, gone: int, items: list[Any]
    ) -> None:
        """Behind *at* in the list *node*, *gone* items went and *items* came."""
        known = self._places.get(id(node))
        tail = known[1].get(None) if known is not None else None
        if tail is not None and not gone and at == tail[0][2] + len(tail[0][4]) == len(node):
            for op in tail:
                op[4] += items
            return
        place = self._place(node)
        place.clear()  # the indexes are others now
        place[None] = self._note([[[*path], "splice", at, gone, [*items]] for path in paths])

    def change(
        self, paths: list[tuple[Any, ...]], node: Any, name: str, items: Iterable[Any]
    ) -> None:
        """*items* came into the set *node* (``add``) or went (``discard``)."""
        place = self._place(node)
        known = place.get(name)
        if known is not None:
            for op in known:
                op[2] += items
            return
        place.clear()
        place[name] = self._note([[[*path], name, [*items]] for path in paths])


NODES: set[type] = set()
"""The classes of live objects and of their containers."""


def is_node(value: Any) -> bool:
    """Whether *value* is a live object, or a container of one."""
    return type(value) in NODES


# ------------------------------------------------------------------ upwards


def observed(node: Any) -> dict[Ops, list[tuple[Any, ...]]]:
    """Where a change of *node* is to be noted, with the paths to it; mostly nowhere.

    Raises:
        RuntimeError: this is not the thread of the loop that its observers live in.
    """
    if not _is_observed(node):
        return _NOWHERE
    found = _walk_straight_up(node)
    while found is None:
        found = {}
        ambiguous = _walk_up(node, (), 0, None, found)
        if ambiguous is not None:
            put_again(ambiguous)
            found = None
    return found


def _is_observed(node: Any) -> bool:
    while node._pbOps is None:
        links = node._pbLinks
        if len(links) != 1:
            return any(_is_observed(link.parent) for link in links.values())
        (link,) = links.values()
        node = link.parent
    return True


def _walk_straight_up(node: Any) -> dict[Ops, list[tuple[Any, ...]]] | None:
    """As `_walk_up`, of what stands in one place, and so does all above it; else None."""
    keys: list[Any] = []  # from below
    found: dict[Ops, list[tuple[Any, ...]]] = {}
    made = 0
    while True:
        ops = node._pbOps
        if ops is not None:
            ops.check_thread()
            if made < ops.sealed:
                found[ops] = [tuple(reversed(keys))]
        links = node._pbLinks
        if not links:
            return found
        if len(links) > 1:
            return None
        (link,) = links.values()
        if link.mixed or link.count > 1:
            return None
        made = max(made, link.made)
        keys.append(link.index_of(node) if link.key is None else link.key)
        node = link.parent


def _walk_up(
    node: Any,
    path: tuple[Any, ...],
    made: int,
    mixed: _Link | None,
    found: dict[Ops, list[tuple[Any, ...]]],
) -> Any:
    """Fill *found*; a list in which it cannot be told what was put there before the seal."""
    ops: Ops | None = node._pbOps
    if ops is not None:
        ops.check_thread()
    if ops is not None and made < ops.sealed:
        if mixed is not None and mixed.mixed > ops.sealed:
            return mixed.parent
        found.setdefault(ops, []).append(path)
    for link in node._pbLinks.values():
        young = max(made, link.made)
        more = link if link.mixed and (mixed is None or link.mixed > mixed.mixed) else mixed
        for above in link.paths(node, path):
            ambiguous = _walk_up(link.parent, above, young, more, found)
            if ambiguous is not None:
                return ambiguous
    return None


def put_again(container: Any) -> None:
    """Note that *container* stands anew, as it is at the next seal, wherever it stands."""
    for link in list(container._pbLinks.values()):
        targets = observed(link.parent)
        keys = [path[0] for path in link.paths(container, ())] if targets else ()
        for ops, paths in targets.items():
            for key in keys:
                ops.set(paths, link.parent, key, container)
        link.made, link.mixed = next(_ticks), 0


def attach(node: Any, parent: Any, key: Any, hint: int = 0) -> None:
    """*node* stands in *parent* now, once more if that is a list: at *hint*, more or less."""
    links = node._pbLinks
    if not links:
        links = node._pbLinks = {}  # the empty one is shared by all
    link = links.get((id(parent), key))
    if link is None:
        links[id(parent), key] = _Link(parent, key, hint)
    else:
        link.count += 1
        link.mixed = next(_ticks)


def detach(node: Any, parent: Any, key: Any) -> None:
    """*node* has left *parent*, once if that is a list."""
    link = node._pbLinks[id(parent), key]
    link.count -= 1
    if not link.count:
        del node._pbLinks[id(parent), key]


def _mark_odd(node: Any) -> None:
    """Something that the JSON library does not encode stands, or stood, in *node*."""
    if not node._pbOdd:
        node._pbOdd = True
        for link in node._pbLinks.values():
            _mark_odd(link.parent)


_NOWHERE: dict[Ops, list[tuple[Any, ...]]] = {}
NO_LINKS: dict[Any, Any] = {}
"""The links of a node that stands nowhere yet; `attach` makes them its own."""


# ---------------------------------------------------------- what is let in


class _Taking:
    """One value on its way into a tree: nothing is linked before all of it was looked at."""

    __slots__ = ("_above", "_made", "_node", "name", "odd")

    def __init__(self, node: Any, name: Any) -> None:
        self._node = node
        self.name = name  # for the text of an error
        self.odd = False  # the JSON library alone does not encode it
        self._made: dict[int, Any] = {}  # by id() of what it was made from
        self._above: dict[int, int] | None = None

    def take(self, value: Any, depth: int = 0, key: Any = None) -> Any:
        """*value* as it is kept: containers become nodes, which are linked by `link`."""
        kind = type(value)
        make = _MAKERS.get(kind)
        if make is not None:
            return self._make(value, make, depth)
        if is_node(value):
            self._check_place(value, depth)
            self.odd = self.odd or value._pbOdd
            return value
        if not goes_as_it_is(value):
            self._look_at(value, depth)
            if key in NEVER_REFERENCES and isinstance(value, REFERENCES):
                self._refuse(f"a reference under the key {key!r}, which a page would call")
        return value

    def link(self) -> None:
        """Nothing was wrong: what was made takes its items."""
        for _, node in self._made.values():
            for index, (key, item) in enumerate(_nodes_in(node)):
                attach(item, node, key, index)
            if self.odd:
                _mark_odd(node)
        if self.odd:
            _mark_odd(self._node)

    def _make(self, value: Any, make: Callable[[_Taking, Any, int], Any], depth: int) -> Any:
        known = self._made.get(id(value))
        if known is None:
            self._check_depth(depth)
            self._made[id(value)] = (value, None)
            made = make(self, value, depth + 1)
            self._made[id(value)] = (value, made)
            return made
        if known[1] is None:
            self._refuse("inside itself")
        return known[1]

    def _check_place(self, node: Any, depth: int) -> None:
        if id(node) in self._ancestors():
            self._refuse("inside itself")
        self._check_depth(depth + _height(node, {}))

    def _check_depth(self, depth: int) -> None:
        if self._ancestors()[id(self._node)] + depth >= MAX_DEPTH:
            raise LimitExceeded(
                f"depth: {self.name} would be nested deeper than {MAX_DEPTH} in a live object"
            )

    def _ancestors(self) -> dict[int, int]:
        """The node and all above it, by id(), with their depths."""
        if self._above is None:
            self._above = {}
            _depth(self._node, self._above)
        return self._above

    def _look_at(self, value: Any, depth: int) -> None:
        """Refuse what cannot cross, or can change unseen."""
        kind = type(value)
        if kind is str:
            if not is_well_formed(value):
                self._refuse("a string with a lone surrogate, which is no text")
        elif kind is tuple or kind is frozenset:
            self._look_into(value, depth)
        elif kind is int:
            if value.bit_length() > 3 * DEFAULT.digits:
                raise LimitExceeded(f"digits: {self.name} has more than {DEFAULT.digits}")
            self.odd = True
        elif isinstance(value, Enum):
            self.odd = True
            self.take(value.value, depth)
        elif (
            kind in _FIXED
            or kind in SIMPLE
            or isinstance(value, _OF_A_SESSION)
            or is_copyable(kind)
        ):
            self.odd = True
        else:
            self._refuse(what_to_do(value))

    def _look_into(self, value: Any, depth: int) -> None:
        self._check_depth(depth + 1)
        self.odd = self.odd or type(value) is frozenset
        for item in value:
            if type(item) in _MAKERS or is_node(item):
                self._refuse(
                    f"a {type(value).__name__} with a {type(item).__name__} inside, in which "
                    "nobody would see a change; make it a list"
                )
            self.take(item, depth + 1)

    def _refuse(self, what: str) -> NoReturn:
        raise InsecureJelly(f"{self.name} cannot be sent: it is {what}")

    def _make_list(self, value: list[Any], depth: int) -> LiveList[Any]:
        made: LiveList[Any] = LiveList()
        list.extend(made, [self.take(item, depth) for item in value])
        return made

    def _make_dict(self, value: dict[Any, Any], depth: int) -> LiveDict[Any, Any]:
        made: LiveDict[Any, Any] = LiveDict()
        for key, item in value.items():
            self.take_key(key)
            dict.__setitem__(made, key, self.take(item, depth, key))
        return made

    def _make_set(self, value: set[Any], depth: int) -> LiveSet[Any]:
        made: LiveSet[Any] = LiveSet()
        set.update(made, [self.take_member(item, depth) for item in value])
        return made

    def take_key(self, key: Any) -> None:
        """Look at the *key* of a dict."""
        if type(key) is str:
            if not is_well_formed(key):
                self._refuse("under a key with a lone surrogate, which is no text")
            if key != "$":
                return
        elif type(key) is not int or not -MAX_INTEGER <= key <= MAX_INTEGER:
            self._refuse(f"under the key {key!a}; in a live object keys are text or whole numbers")
        self.odd = True

    def take_member(self, item: Any, depth: int = 0) -> Any:
        """Look at what is to stand in a set."""
        if type(item) in _MAKERS or is_node(item):
            self._refuse(f"a {type(item).__name__} in a set; put it into a list or dict")
        return self.take(item, depth)


REFERENCES = (Referenceable, Viewable, RemoteReference, *CALLABLES)
_OF_A_SESSION = (*REFERENCES, Cacheable, RemoteCache, BaseException)
_FIXED = frozenset({float, bytes, UUID})


def _depth(node: Any, known: dict[int, int]) -> int:
    if id(node) not in known:
        above = [_depth(link.parent, known) for link in node._pbLinks.values()]
        known[id(node)] = 1 + max(above, default=0)
    return known[id(node)]


def _height(node: Any, known: dict[int, int]) -> int:
    if id(node) not in known:
        below = [_height(item, known) for _, item in _nodes_in(node)]
        known[id(node)] = 1 + max(below, default=0)
    return known[id(node)]


def _nodes_in(node: Any) -> Iterator[tuple[Any, Any]]:
    """The nodes that stand directly in *node*, with the key of their link."""
    if isinstance(node, list):
        for item in node:
            if is_node(item):
                yield None, item
    elif not isinstance(node, set):
        for key, item in _items(node):
            if is_node(item):
                yield key, item


def _items(node: Any) -> Iterable[tuple[Any, Any]]:
    return node.items() if isinstance(node, dict) else node.pbState().items()


def take(node: Any, value: Any, key: Any = None, name: str | None = None) -> Any:
    """*value* as *node* keeps it: plain containers become live ones, all else is looked at.

    Raises:
        InsecureJelly: it cannot cross; nothing has changed.
        LimitExceeded: it is nested too deep.
    """
    taking = _Taking(node, name or _where(node, key))
    taken = taking.take(value, 0, key)
    taking.link()
    return taken


def _take_all(node: Any, items: Iterable[Any]) -> list[Any]:
    taking = _Taking(node, "what comes into the list")
    taken = [taking.take(item) for item in items]
    taking.link()
    return taken


def _where(node: Any, key: Any) -> str:
    if isinstance(node, list):
        return "what comes into the list"
    if isinstance(node, dict):
        return f"the item {key!a} of the dict"
    return f"{type_name(type(node))}.{key}"


def put(node: Any, values: dict[Any, Any], key: Any, value: Any) -> None:
    """Set *key* of *node*, whose own storage is *values*, and note it."""
    targets = observed(node)
    old = values.get(key, _MISSING)
    if not goes_as_it_is(value):
        if old is value or (type(value) is str is type(old) and old == value):
            return
        value = take(node, value, key)
    elif type(old) is type(value) and old == value and (value or type(value) is not float):
        return
    if type(old) in NODES:
        detach(old, node, key)
    dict.__setitem__(values, key, value)
    if type(value) in NODES:
        attach(value, node, key)
    for ops, paths in targets.items():
        ops.set(paths, node, key, value)


def drop(node: Any, values: dict[Any, Any], key: Any) -> Any:
    """Delete *key*, which is there, from *node* and its storage *values*, and note it."""
    targets = observed(node)
    old = dict.pop(values, key)
    if is_node(old):
        detach(old, node, key)
    for ops, paths in targets.items():
        ops.delete(paths, node, key)
    return old


def plain(value: Any) -> Any:
    """A copy of *value* and all nodes below it, of plain lists, dicts and sets."""
    kind = type(value)
    if kind is LiveList:
        return [plain(item) for item in value]
    if kind is LiveDict:
        return {key: plain(item) for key, item in value.items()}
    if kind is LiveSet:
        return set(value)
    if is_node(value):
        return {key: plain(item) for key, item in value.pbState().items()}
    return value


# ------------------------------------------------------------- the containers


_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")


class LiveList(list[_T]):
    """A list in a live object: a list in every way, whose changes its object sees."""

    __slots__ = ("_pbLinks", "_pbOdd")

    _pbOps: ClassVar[None] = None

    def __init__(self, items: Iterable[_T] = ()) -> None:
        list.__init__(self)
        self._pbLinks = NO_LINKS
        self._pbOdd = False
        if items:
            self._splice(0, 0, list(items))

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (list(self),)  # a copy of it is a plain list

    def _splice(self, at: int, gone: int, items: list[Any]) -> None:
        """Put *items* in the place of those from *at* on, as few as make the difference."""
        old = list.__getitem__(self, slice(at, at + gone))
        if old and items:
            same = sum(1 for _ in takewhile(bool, map(is_, items, old)))
            at, items, old = at + same, items[same:], old[same:]
            same = sum(1 for _ in takewhile(bool, map(is_, reversed(items), reversed(old))))
            items, old = items[: len(items) - same], old[: len(old) - same]
        if not items and not old:
            return
        targets = observed(self)
        items = _take_all(self, items)
        for item in old:
            if is_node(item):
                detach(item, self, None)
        for ops, paths in targets.items():
            ops.splice(paths, self, at, len(old), items)
        list.__setitem__(self, slice(at, at + len(old)), items)
        for index, item in enumerate(items, at):
            if is_node(item):
                attach(item, self, None, index)

    def append(self, item: _T) -> None:
        """As of a list."""
        targets = observed(self)
        if not goes_as_it_is(item):
            item = take(self, item)
        at = len(self)
        for ops, paths in targets.items():
            ops.splice(paths, self, at, 0, [item])
        list.append(self, item)
        if is_node(item):
            attach(item, self, None, at)

    def extend(self, items: Iterable[_T]) -> None:
        """As of a list."""
        self._splice(len(self), 0, list(items))

    def insert(self, index: SupportsIndex, item: _T) -> None:
        """As of a list."""
        at = slice(index, None).indices(len(self))[0]
        self._splice(at, 0, [item])

    def pop(self, index: SupportsIndex = -1) -> _T:
        """As of a list."""
        if not self:
            return list.pop(self)
        at = range(len(self))[index]
        item = self[at]
        self._splice(at, 1, [])
        return item

    def remove(self, item: _T) -> None:
        """As of a list."""
        self._splice(self.index(item), 1, [])

    def clear(self) -> None:
        """As of a list."""
        self._splice(0, len(self), [])

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        """As of a list."""
        self._splice(0, len(self), sorted(self, key=key, reverse=reverse))

    def reverse(self) -> None:
        """As of a list."""
        self._splice(0, len(self), self[::-1])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self._set_slice(index, value)
            return
        old: Any = list.__getitem__(self, index)
        at = range(len(self))[index]
        if old is value:
            return
        targets = observed(self)
        value = take(self, value)
        if is_node(old):
            detach(old, self, None)
        list.__setitem__(self, at, value)
        if is_node(value):
            attach(value, self, None, at)
        for ops, paths in targets.items():
            ops.set(paths, self, at, value)

    def _set_slice(self, where: slice, values: Iterable[Any]) -> None:
        items = list(values)
        start, stop, step = where.indices(len(self))
        if step == 1:
            self._splice(start, max(stop - start, 0), items)
            return
        new = list(self)
        new[where] = items
        self._splice(0, len(self), new)

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                self._splice(start, max(stop - start, 0), [])
                return
            new = list(self)
            del new[index]
            self._splice(0, len(self), new)
        else:
            self.pop(index)

    def __iadd__(self, items: Iterable[_T]) -> Self:  # type: ignore[override,misc]
        self.extend(items)
        return self

    def __imul__(self, times: SupportsIndex) -> Self:
        self._splice(0, len(self), list(self) * times)
        return self


class LiveDict(dict[_K, _V]):
    """A dict in a live object: a dict in every way, whose changes its object sees."""

    __slots__ = ("_pbLinks", "_pbOdd")

    _pbOps: ClassVar[None] = None

    def __init__(self, *args: Any, **kw: Any) -> None:
        dict.__init__(self)
        self._pbLinks = NO_LINKS
        self._pbOdd = False
        if args or kw:
            self.update(*args, **kw)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a copy of it is a plain dict

    def __setitem__(self, key: _K, value: _V) -> None:
        name: Any = key
        if key not in self and (type(name) is not str or not name.isidentifier()):
            taking = _Taking(self, _where(self, key))
            taking.take_key(key)
            taking.link()
        put(self, self, self._own(key), value)

    def _own(self, key: Any) -> Any:
        """*key* as it stands here: 1 for True, say."""
        if type(key) is str or type(key) is int or key not in self:
            return key
        return next(own for own in self if own == key)

    def __delitem__(self, key: _K) -> None:
        if key not in self:
            raise KeyError(key)
        drop(self, self, self._own(key))

    def pop(self, key: Any, *default: Any) -> Any:
        """As of a dict."""
        if key in self:
            return drop(self, self, self._own(key))
        return dict.pop(self, key, *default)

    def popitem(self) -> tuple[_K, _V]:
        """As of a dict."""
        if not self:
            return dict.popitem(self)
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """As of a dict."""
        if len(self) > FEW:
            targets = observed(self)
            for key, item in _nodes_in(self):
                detach(item, self, key)
            dict.clear(self)
            if targets:
                put_again(self)
            return
        for key in list(self):
            del self[key]

    def setdefault(self, key: _K, default: Any = None) -> Any:
        """As of a dict; what is given back is what stands in it."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kw: Any) -> None:
        """As of a dict; nothing has changed when one of the values is refused."""
        new = dict(*args, **kw)
        taking = _Taking(self, "what comes into the dict")
        for key, value in new.items():
            taking.take_key(key)
            new[key] = taking.take(value, 0, key)
        taking.link()
        for key, value in new.items():
            put(self, self, self._own(key), value)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self


class LiveSet(set[_T]):
    """A set in a live object: a set in every way, whose changes its object sees."""

    __slots__ = ("_pbLinks", "_pbOdd")

    _pbOps: ClassVar[None] = None

    def __init__(self, items: Iterable[_T] = ()) -> None:
        set.__init__(self)
        self._pbLinks = NO_LINKS
        self._pbOdd = False
        self._change(set(items), set())

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return set, (set(self),)  # a copy of it is a plain set

    def _change(self, come: AbstractSet[Any], gone: AbstractSet[Any]) -> None:
        """Let *come*, of which none is in it, in, and *gone*, all of which are, out."""
        if not come and not gone:
            return
        targets = observed(self)
        taking = _Taking(self, "what comes into the set")
        for item in come:
            taking.take_member(item)
        taking.link()
        set.difference_update(self, gone)
        set.update(self, come)
        if targets and len(gone) > FEW and len(gone) > len(self):
            put_again(self)
            return
        for ops, paths in targets.items():
            if gone:
                ops.change(paths, self, "discard", gone)
            if come:
                ops.change(paths, self, "add", come)

    def _become(self, new: set[Any]) -> None:
        self._change(new - set(self), set(self) - new)

    def add(self, item: _T) -> None:
        """As of a set."""
        if item not in self:
            self._change({item}, set())

    def discard(self, item: object) -> None:
        """As of a set."""
        if item in self:
            own: set[object] = {item} if type(item) is str else {one for one in self if one == item}
            self._change(set(), own)  # 1 for True, say

    def remove(self, item: _T) -> None:
        """As of a set."""
        if item not in self:
            raise KeyError(item)
        self.discard(item)

    def pop(self) -> _T:
        """As of a set."""
        if not self:
            return set.pop(self)
        item = next(iter(self))
        self._change(set(), {item})
        return item

    def clear(self) -> None:
        """As of a set."""
        self._become(set())

    def update(self, *others: Iterable[Any]) -> None:
        """As of a set."""
        self._become(set(self).union(*others))

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """As of a set."""
        self._become(set(self).intersection(*others))

    def difference_update(self, *others: Iterable[Any]) -> None:
        """As of a set."""
        self._become(set(self).difference(*others))

    def symmetric_difference_update(self, other: Iterable[Any]) -> None:
        """As of a set."""
        self._become(set(self).symmetric_difference(other))

    def __ior__(self, other: AbstractSet[Any]) -> Self:  # type: ignore[override,misc]
        self._become(set(self) | other)
        return self

    def __iand__(self, other: AbstractSet[Any]) -> Self:  # type: ignore[misc]
        self._become(set(self) & other)
        return self

    def __isub__(self, other: AbstractSet[Any]) -> Self:  # type: ignore[misc]
        self._become(set(self) - other)
        return self

    def __ixor__(self, other: AbstractSet[Any]) -> Self:  # type: ignore[override,misc]
        self._become(set(self) ^ other)
        return self


def _on_a_plain_set(name: str) -> Any:
    """The method *name*, whose result is a plain set: set's own makes one of the same class."""
    method = getattr(set, name)

    def call(self: Any, *args: Any) -> Any:
        return method(set(self), *args)

    call.__name__, call.__doc__ = name, method.__doc__
    return call


for _name in (
    *("copy", "union", "intersection", "difference", "symmetric_difference"),
    *("__or__", "__and__", "__sub__", "__xor__"),
):
    setattr(LiveSet, _name, _on_a_plain_set(_name))

_MAKERS: dict[type, Callable[[_Taking, Any, int], Any]] = {
    list: _Taking._make_list,
    dict: _Taking._make_dict,
    set: _Taking._make_set,
}

for _live, _plain in ((LiveList, list), (LiveDict, dict), (LiveSet, set)):
    NODES.add(_live)
    treat_as(_live, _plain)  # in ordinary calls they cross as what they are
