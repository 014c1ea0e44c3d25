"""`live`: caches without hooks. What changes in a live object changes in every copy of it.

The owner's half: a class decorator, and what a live object that is observed does with its
changes. They are gathered until the end of the loop's turn, encoded once, and sent to each
observer from where it stands. `live_copies` has what they arrive at.
Protocol section 2, *Live objects*.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, dataclass_transform, overload

import orjson

from .caching import Cacheable, RemoteCacheObserver
from .errors import LimitExceeded, type_name
from .flavors import LIVE, Referenceable, Viewable, is_copyable
from .frames import Frame
from .jelly import Encoded, Jellier
from .limits import DEFAULT
from .shared import Shared, SharedFrames, encode_shared
from .tracking import NO_LINKS, NODES, LiveSet, Ops, drop, plain, put

if TYPE_CHECKING:
    from .broker import Broker
    from .runtime import Runtime

__all__ = ["Live", "live"]

Delivery = Literal["latest", "all"]

_C = TypeVar("_C", bound=type)
_OPTIONS = (
    orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
)
FRAME = 64
"""Bytes of a cachemessage around its values, at most."""

_DEF = b'"$":"def"'

KEPT = 4096
"""Bytes of updates that are kept for a slow observer even if the state is smaller."""


@overload
def live(cls: _C, /) -> _C: ...
@overload
def live(*, name: str | None = None, delivery: Delivery = "latest") -> Callable[[_C], _C]: ...


@dataclass_transform(eq_default=False, field_specifiers=(dataclasses.field,))
def live(cls: Any = None, /, *, name: str | None = None, delivery: Delivery = "latest") -> Any:
    """Make the objects of a class live: whoever is handed one has a copy that follows it.

    The class has annotated fields, like a dataclass; it is made one if it is none yet. Setting
    a field, and changing lists, dicts, sets and other live objects in it, at any depth, reaches
    all copies at the end of the loop's turn, as one update of the smallest differences, and
    before any answer or call that is made after it. At the peer it is a `LiveCopy`.

    A plain list, dict or set that is put into a live object is *copied*: from then on what
    stands in the object is the live one (``board.cards``), and changing the original changes
    nothing. Fields whose names begin with an underscore stay here. Values are not checked
    against the annotations; one that cannot cross is refused where it is set.

    Args:
        name: the type's name for the peer; by default ``module.qualname``.
        delivery: what a peer that reads slowly gets: ``"latest"``, what it lacks as one update
            or the whole state, whichever is smaller; or ``"all"``, every update for itself, up
            to the limit ``updates``, past which its session ends with 4440.

    Raises:
        TypeError: the class cannot be made live.
    """
    if delivery not in ("latest", "all"):
        raise TypeError(f"delivery is 'latest' or 'all', not {delivery!r}")
    if cls is None:
        return lambda cls: _make_live(cls, name, delivery)
    return _make_live(cls, name, delivery)


def _make_live(cls: Any, name: str | None, delivery: Delivery) -> Any:
    if not isinstance(cls, type):
        raise TypeError(f"pb.live takes a class, not {cls!r}")
    refuse = _why_not(cls)
    if refuse:
        raise TypeError(f"{cls.__qualname__} cannot be made live: {refuse}")
    if "__dataclass_fields__" not in vars(cls):
        cls = dataclasses.dataclass(eq=False, init="__init__" not in vars(cls))(cls)
    bases = (cls,) if issubclass(cls, Live) else (cls, Live)
    about = {key: getattr(cls, key) for key in ("__module__", "__qualname__", "__doc__")}
    made: Any = type(cls)(cls.__name__, bases, about)
    made.pbType = name or vars(cls).get("pbType") or f"{cls.__module__}.{cls.__qualname__}"
    made._pbDelivery = delivery
    made._pbNames = tuple(
        field.name for field in dataclasses.fields(made) if not field.name.startswith("_")
    )
    made._pbFields = frozenset(made._pbNames)
    return made


def _why_not(cls: type) -> str | None:
    if issubclass(cls, (Referenceable, Viewable)) or is_copyable(cls):
        return "it crosses as a reference or a copy already"
    if issubclass(cls, Cacheable) and not issubclass(cls, Live):
        return "it is a Cacheable with hooks of its own already"
    for name in ("__setattr__", "__delattr__"):
        if getattr(cls, name) not in (getattr(object, name), getattr(Live, name)):
            frozen = getattr(vars(cls).get("__dataclass_params__"), "frozen", False)
            return "nothing in it can change" if frozen else f"it has its own {name}"
    if not cls.__dictoffset__:
        return "its attributes have no dict; leave slots=True and __slots__ out"
    if not any(vars(parent).get("__annotations__") for parent in cls.__mro__):
        return "it has no annotated fields"
    return None


class Live(Cacheable):
    """What `live` adds to a class."""

    __slots__ = ()

    _pbDelivery: ClassVar[Delivery] = "latest"
    _pbNames: ClassVar[tuple[str, ...]] = ()
    _pbFields: ClassVar[frozenset[str]] = frozenset()
    _pbLinks: dict[Any, Any] = NO_LINKS
    _pbOdd: bool = False
    _pbOps: _Log | None = None

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        NODES.add(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._pbFields:
            put(self, self.__dict__, name, value)
        else:
            self._check_other(name)
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name not in self._pbFields:
            self._check_other(name)
            object.__delattr__(self, name)
        elif name not in self.__dict__:
            raise AttributeError(name)
        elif hasattr(type(self), name):  # what is read from now on
            put(self, self.__dict__, name, getattr(type(self), name))
        else:
            drop(self, self.__dict__, name)

    def _check_other(self, name: str) -> None:
        if name.startswith("_") or hasattr(getattr(type(self), name, None), "__set__"):
            return
        raise AttributeError(
            f"{type_name(type(self))} has no field {name!r}, and nobody else would see it: "
            "annotate it in the class, or begin its name with an underscore to keep it here"
        )

    def __getstate__(self) -> dict[str, Any]:
        """For `copy` and `pickle`: neither where it stands nor who observes it."""
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_pb")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if name in self._pbFields:
                setattr(self, name, value)
            else:
                self.__dict__[name] = value

    def pbState(self) -> dict[str, Any]:
        """The fields that it has."""
        values = self.__dict__
        return {name: values[name] for name in self._pbNames if name in values}

    def getTypeToCopyFor(self, perspective: Any) -> str:
        """See `Cacheable`: every live object crosses as one type."""
        return LIVE

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: RemoteCacheObserver) -> Any:
        """See `Cacheable`."""
        log = self._pbOps
        if log is None:
            log = _Log(self, observer.broker.runtime)
        return log.join(observer)

    def stoppedObserving(self, perspective: Any, observer: RemoteCacheObserver) -> None:
        """See `Cacheable`."""
        assert self._pbOps is not None  # while anybody observes
        self._pbOps.leave(observer)


# ------------------------------------------------------------- encoding


def _live_leaf(value: Any) -> Any:
    """What the JSON library does not know in a tree that is not odd."""
    if type(value) is LiveSet:
        return {"$": "set", "items": list(value)}
    return value.pbState()  # of a live object: that is all there is


def _encode(value: Any, odd: bool) -> Shared | None:
    """*value*, of live objects, containers and all, as an argument; None if it is per session.

    Raises:
        InsecureJelly: it cannot be encoded for anybody.
    """
    if odd:
        return encode_shared([_all_plain(value)], {}, DEFAULT)
    return Shared(b"[%b]" % orjson.dumps(value, _live_leaf, _OPTIONS), b"{}", DEFAULT)


def _all_plain(value: Any) -> Any:
    """As `plain`, also of the lists that operations are."""
    return [_all_plain(item) for item in value] if type(value) is list else plain(value)


_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]')


def _depth_of(text: bytes) -> int:
    """How deep the containers in the JSON *text* are nested."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        if found[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif not found[0].startswith(b'"'):
            depth -= 1
    return deepest


# -------------------------------------------------------------- delivery


class _Segment:
    """The operations of one seal: encoded, or their values if each session encodes its own."""

    __slots__ = ("begins", "ops", "size")

    def __init__(self, ops: list[list[Any]], odd: bool, begins: int) -> None:
        self.begins = begins  # so many bytes of operations were sealed before
        shared = _encode(ops, odd)
        self.ops: Shared | list[Any]
        if shared is None:
            values: list[Any] = _all_plain(ops)
            self.ops, self.size = values, _size_about(values)
        else:
            self.ops, self.size = shared, shared.size


def _size_about(ops: list[Any]) -> int:
    try:
        return len(orjson.dumps(ops, lambda _: None, orjson.OPT_NON_STR_KEYS))
    except TypeError:
        return 1024 * len(ops)


_Update = SharedFrames | list[Any]
"""Operations that are sent together: encoded, or their values."""


class _Observer:
    """One peer's copy: what it has, and how it gets the rest."""

    __slots__ = ("broker", "late", "lines", "log", "observer", "position", "stale")

    def __init__(self, log: _Log, observer: RemoteCacheObserver, position: int) -> None:
        self.log = log
        self.observer = observer
        self.broker: Broker = observer.broker
        self.position = position  # the number of the first segment that it has not got
        self.lines = 0  # entries in the broker's line for room
        self.late = False  # it has waited there
        self.stale = False  # an update could not be sent: it needs the whole state

    def deliver(self) -> None:
        """Send what it lacks, now: something that must not come before it is to be sent."""
        self.log.deliver(self)


class _Log(Ops):
    """What is sealed of one live object's changes, and who observes it."""

    __slots__ = (
        "_all",
        "_first",
        "_joined",
        "_observers",
        "_root",
        "_runtime",
        "_sealed_bytes",
        "_segments",
        "_state",
        "_state_size",
    )

    def __init__(self, root: Any, runtime: Runtime) -> None:
        super().__init__()
        self._root = root
        self._runtime = runtime
        self._all = root._pbDelivery == "all"
        self._observers: dict[RemoteCacheObserver, _Observer] = {}
        self._segments: deque[_Segment] = deque()
        self._first = 0  # the number of the first of the segments
        self._sealed_bytes = 0
        self._joined: tuple[int, int, list[_Update]] | None = None  # what was sent last
        self._state: Shared | None = None  # encoded, while it holds
        self._state_size = 0

    def join(self, observer: RemoteCacheObserver) -> Any:
        """Let *observer* have all that comes; returns the state as it is now."""
        self.check_thread()
        self._seal()
        state = self._current()
        if isinstance(state, Shared):
            _check_depth(state, observer.broker)
            state = Encoded(state.args[1:-1])
        self._root._pbOps = self
        self._observers[observer] = _Observer(self, observer, self._end())
        return [self._name(), state]

    def leave(self, observer: RemoteCacheObserver) -> None:
        """Send nothing to *observer* any more; without observers nothing is noted."""
        gone = self._observers.pop(observer)
        gone.broker.dirty.pop(gone, None)
        if self._observers:
            self._trim()
        else:
            self._root._pbOps = None
            self._segments.clear()

    def _name(self) -> str:
        return type_name(type(self._root))

    # ----------------------------------------------------------- as of Ops

    def check_thread(self) -> None:
        """See `Ops.check_thread`."""
        if not self._runtime.is_here():
            raise RuntimeError(
                f"{self._name()} is observed in the event loop of another thread: "
                "change it there, by loop.call_soon_threadsafe(…)"
            )

    def opened(self) -> None:
        """See `Ops.opened`."""
        self._state = None
        self._runtime.soon(self.flush)
        for one in self._observers.values():
            one.broker.dirty[one] = None

    # ------------------------------------------------------------- sealing

    def _end(self) -> int:
        return self._first + len(self._segments)

    def _seal(self) -> None:
        """Encode what is open; if that cannot be, everybody needs the whole state."""
        if not self.ops:
            return
        try:
            segment = _Segment(self.take_ops(), self._root._pbOdd, self._sealed_bytes)
        except Exception as error:
            self._runtime.report(f"an update of {self._name()} cannot be sent", error)
            for one in self._observers.values():
                one.stale = True
            return
        self._segments.append(segment)
        self._sealed_bytes += segment.size

    def _current(self) -> Any:
        """The state as it is now, with nothing open."""
        if self._state is None:
            self._state = _encode(self._root, self._root._pbOdd)
            if self._state is None:
                return plain(self._root)
            self._state_size = self._state.size
        return self._state

    def _trim(self) -> None:
        """Forget the segments that nobody lacks, or that are more than the state would be."""
        lacked = min(one.position for one in self._observers.values())
        most = inf if self._all else max(KEPT, self._state_size)
        segments = self._segments
        while segments and (self._first < lacked or self._sealed_bytes - segments[0].begins > most):
            segments.popleft()
            self._first += 1

    # ------------------------------------------------------------- sending

    def flush(self) -> None:
        """The turn is over: everybody gets what it lacks."""
        self._seal()
        for one in list(self._observers.values()):
            if not self._express(one):
                self.deliver(one)
        if self._observers:
            self._trim()

    def _express(self, one: _Observer) -> bool:
        """Whether *one* could be sent what it lacks at once, as many others are."""
        express, begin, end = one.broker.express, one.position, self._end()
        if express is None or one.lines or one.stale or begin < self._first or begin == end:
            return False
        updates = self._ops(begin, end)
        if len(updates) > 1 or not isinstance(updates[0], SharedFrames):
            return False
        if not express(updates[0], one.observer.luid):
            return False
        one.position = end
        one.broker.dirty.pop(one, None)
        return True

    def deliver(self, one: _Observer) -> None:
        """Let what *one* lacks stand in its broker's line for room, which is mostly empty."""
        one.broker.dirty.pop(one, None)
        self._seal()
        if self._all:
            entries = self._end() - one.position - one.lines or int(one.stale)
        else:
            entries = int(not one.lines and (one.stale or one.position < self._end()))
        for _ in range(entries):
            one.lines += 1
            one.broker.when_room(partial(self._send, one))
        if one.lines:
            one.late = True
            self._check_bound(one)

    def _check_bound(self, one: _Observer) -> None:
        if not self._all or one.position == self._end():
            return
        waiting = self._sealed_bytes - self._segments[one.position - self._first].begins
        if waiting > one.broker.limits.updates:
            one.broker.close(
                4440, f"updates: {waiting} bytes of updates of one object were not read"
            )

    def _send(self, one: _Observer) -> None:
        """There is room for *one*."""
        one.lines -= 1
        if self._observers.get(one.observer) is not one:
            return
        if not self._all or one.stale:
            self._seal()
        begin, end = one.position, self._end()
        whole = one.stale or begin < self._first
        if self._all and not whole:
            end = min(begin + 1, end)
        one.position, one.stale = end, False
        try:
            if whole:
                self._post(one, "reset", self._current())
            else:
                for ops in self._ops(begin, end):
                    self._post(one, "update", ops)
        except Exception as error:  # of this peer alone: it keeps what it has until the next change
            one.stale = True
            what = f"an update of {self._name()} cannot be sent to one of its observers"
            one.broker.runtime.report(what, error)
        if one.late and not one.lines:
            one.late = False
            self._trim()

    def _ops(self, begin: int, end: int) -> list[_Update]:
        """The operations of some segments, in as few updates as can be."""
        if self._joined is not None and self._joined[:2] == (begin, end):
            return self._joined[2]
        updates: list[_Update] = []
        texts: list[bytes] = []

        def join() -> None:
            if texts:
                updates.append(_update_of(Shared(b"[[%b]]" % b",".join(texts), b"{}", DEFAULT)))
                texts.clear()

        for segment in islice(self._segments, begin - self._first, end - self._first):
            if isinstance(segment.ops, Shared) and _DEF not in segment.ops.args:
                texts.append(segment.ops.args[2:-2])
            else:  # what is defined in it has a number there
                join()
                updates.append(_update_of(segment.ops))
        join()
        self._joined = begin, end, updates
        return updates

    def _post(self, one: _Observer, name: str, value: Any) -> None:
        broker = one.broker
        if isinstance(value, SharedFrames):
            value = value.encoded
        frame: Frame = ["cachemessage", 0, one.observer.luid, name]
        if not isinstance(value, Shared):

            def fill(jellier: Jellier) -> None:
                frame.append(jellier.encode_call([value], {})[0])

            broker.send_encoded(frame, fill, one.observer.seen_by)
            return
        size = value.size + FRAME
        if size > broker.peer_limits.message:
            raise LimitExceeded(
                f"message: the frame has {size} bytes, the peer takes {broker.peer_limits.message}"
            )
        _check_depth(value, broker)
        frame.append(orjson.Fragment(value.args))
        broker.queued += value.size
        broker.send(frame)


def _update_of(ops: Shared | list[Any]) -> _Update:
    return SharedFrames("cachemessage", "update", ops) if isinstance(ops, Shared) else ops


def _check_depth(value: Shared, broker: Broker) -> None:
    limits = broker.peer_limits
    if not value.fits(limits) and _depth_of(value.args) - 1 > limits.depth:
        raise LimitExceeded(f"depth: it is nested deeper than the peer's {limits.depth}")
