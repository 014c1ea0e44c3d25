"""Objects that one side owns and the other sees change: Cacheable, RemoteCache, and who updates it.

The first time that a `Cacheable` is handed to a peer its state goes along, and it gets a
`RemoteCacheObserver` for this peer, through which it tells what changes. The peer has one
`RemoteCache` of it, however often it is handed over. Protocol sections 1, 2 and 3.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .errors import (
    DeadReferenceError,
    InsecureJelly,
    LimitExceeded,
    ProtocolError,
    type_name,
)
from .flavors import (
    Entrance,
    Maker,
    Named,
    Referenceable,
    Releasable,
    RemoteCopy,
    Viewable,
    methods_with_prefix,
)
from .frames import MAX_INTEGER

if TYPE_CHECKING:
    from .broker import Broker
    from .jelly import Jellier, Tagged
    from .promises import RemotePromise
    from .unjelly import Unjellier

__all__ = [
    "CacheExports",
    "CacheImport",
    "CacheImports",
    "Cacheable",
    "RemoteCache",
    "RemoteCacheObserver",
    "import_of",
]

MAX_COPIED = 67_108_864
"""Items of lists and dicts that updates of live objects copy, at once: about 0.2 seconds."""
COPIED_A_SECOND = 67_108_864
"""And from then on."""

NO_CACHE = "the copy of a cache names nothing: it was given back, or is not of this session"


class Cacheable(Named):
    """An object whose state the peer gets a copy of, and is told about every change.

    The state must not have been changed by the hooks of other objects that are handed over in
    the same message.
    """

    __slots__ = ()

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        for other in (Referenceable, Viewable):
            if issubclass(cls, other):
                raise TypeError(
                    f"{cls.__qualname__} is a Cacheable and a {other.__name__}: "
                    "an object crosses in one way only"
                )

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: RemoteCacheObserver) -> Any:
        """The state for a peer that gets the object now, and keep *observer* to tell changes by.

        Both in one step: what is changed after it has to be told through *observer*, and nothing
        can be told before. Called once for each session, until that gives the object back.

        Args:
            perspective: the peer's avatar; None without a login.

        Returns:
            Any value that can cross; what `RemoteCache.setCopyableState` expects.
        """
        raise NotImplementedError(
            f"{type_name(type(self))} has to define getStateToCacheAndObserveFor"
        )

    def stoppedObserving(self, perspective: Any, observer: RemoteCacheObserver) -> None:
        """Forget *observer*: the peer gave the object back, or its session has ended.

        Called exactly once for each call of `getStateToCacheAndObserveFor` that returned.
        """


class RemoteCacheObserver:
    """Tells one peer what has changed in one Cacheable; made by the broker.

    Two of one session, Cacheable and perspective are equal, as in PB.
    """

    __slots__ = ("_export", "broker", "cached", "perspective")

    def __init__(self, export: CacheExport, broker: Broker, perspective: Any) -> None:
        self._export = export
        self.broker = broker
        self.cached = export.cached
        self.perspective = perspective

    def __repr__(self) -> str:
        return f"<RemoteCacheObserver of {type_name(type(self.cached))} {self._export.luid}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RemoteCacheObserver)
            and self.broker is other.broker
            and self.cached is other.cached
            and self.perspective is other.perspective
        )

    def __hash__(self) -> int:
        return hash((id(self.broker), id(self.cached)))

    @property
    def luid(self) -> int:
        """The id of the Cacheable in the session."""
        return self._export.luid

    @property
    def seen_by(self) -> Any:
        """The avatar that updates are made for, which is *perspective* as a rule.

        When that has logged out, it is another one for whom the object was handed over as well.
        """
        return self._export.seen_by

    def callRemote(self, _name: str, /, *args: Any, **kw: Any) -> RemotePromise:
        """Call ``observe_NAME`` of the peer's copy; the promise is of what it returns.

        It need not be awaited. Updates go out in the order in which they were made, with the
        answers and calls of this side; one that waits for room has the arguments as they were.

        Raises:
            ProtocolError: the state is not handed over yet.

        Raises (when awaited):
            DeadReferenceError: the peer has given the object back.
            PBConnectionLost: the session went before the answer came.
            InsecureJelly, LimitExceeded: an argument cannot be sent.
            Error: what the method raised.
        """
        self._export.check_begun()
        return self.broker.outgoing.update(self._export, _name, args, kw)

    def callRemoteOnly(self, _name: str, /, *args: Any, **kw: Any) -> None:
        """As `callRemote`, without an answer; nothing happens if the peer gave the object back.

        Raises:
            ProtocolError: the state is not handed over yet.
            InsecureJelly, LimitExceeded: an argument cannot be sent.
        """
        self._export.check_begun()
        self.broker.outgoing.update_only(self._export, _name, args, kw)


class CacheExport:
    """A Cacheable of ours that one peer has a copy of."""

    __slots__ = (
        "announced",
        "begun",
        "cached",
        "count",
        "luid",
        "observer",
        "perspectives",
        "seen_by",
        "state",
        "stopped",
    )

    def __init__(self, cached: Cacheable, luid: int, broker: Broker, perspective: Any) -> None:
        self.cached = cached
        self.luid = luid
        self.observer = RemoteCacheObserver(self, broker, perspective)
        self.seen_by = perspective
        self.perspectives: dict[int, Any] | None = {}  # as of `references.Exports`
        self.count = 0  # how often it was handed out
        self.begun = False  # the state was given, the observer is known
        self.state: tuple[str, Any] | None = None  # the type's name and the state, until it is sent
        self.announced = False  # that was encoded
        self.stopped = False  # the peer has it no more

    def handed_for(self, perspective: Any) -> None:
        """It is handed out for the avatar *perspective*; None is for nobody in particular."""
        if perspective is None:
            self.perspectives = None
        elif self.perspectives is not None:
            self.perspectives[id(perspective)] = perspective

    def revoke(self, perspective: Any) -> bool:
        """The avatar *perspective* has logged out; whether nobody is left who may see it."""
        if self.perspectives is None:
            return False
        self.perspectives.pop(id(perspective), None)
        if self.seen_by is perspective and self.perspectives:
            self.seen_by = next(iter(self.perspectives.values()))
        return not self.perspectives

    def check_begun(self) -> None:
        """Raises ProtocolError while the state is being asked for."""
        if not self.begun:
            raise ProtocolError(
                f"an update of {type_name(type(self.cached))} before its state was handed over: "
                "let getStateToCacheAndObserveFor return first"
            )


class CacheExports:
    """Our Cacheables that the peer has copies of."""

    __slots__ = ("_broker", "_by_luid", "_by_object")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._by_luid: dict[int, CacheExport] = {}
        self._by_object: dict[int, CacheExport] = {}

    def __len__(self) -> int:
        return len(self._by_luid)

    def find(self, luid: Any) -> Cacheable:
        """Our own object, coming home (``lcache``).

        Raises:
            InsecureJelly: *luid* is none.
            DeadReferenceError: it was not handed out as a cache.
        """
        export = self._by_luid.get(_checked("lcache", luid))
        if export is None or export.stopped:
            raise DeadReferenceError(NO_CACHE)
        return export.cached

    def begin(self, value: Cacheable, jellier: Jellier) -> tuple[str, Any] | None:
        """The type and the state of *value* for a peer that does not have it; None if it does.

        Whatever hooks do while a frame with a new cache is encoded, nothing goes out before it.

        Raises:
            LimitExceeded: the peer holds as many objects as are allowed.
        """
        export = self._by_object.get(id(value))
        if export is not None:
            assert export.begun  # while its state is asked for nothing else is encoded
            return export.state  # until it is sent
        broker = self._broker
        perspective = jellier.perspective
        export = CacheExport(value, broker.exports.number(), broker, perspective)
        self._by_luid[export.luid] = self._by_object[id(value)] = export
        broker.exports.others += 1
        if not jellier.begun:
            broker.hold_line()
        jellier.begun.append(export)
        name = value.getTypeToCopyFor(perspective)
        state = value.getStateToCacheAndObserveFor(perspective, export.observer)
        export.begun = True
        export.state = name, state
        return export.state

    def tag(self, value: Cacheable, jellier: Jellier) -> Tagged:
        """The tagged value by which *value* is handed out once more; its state is not in it."""
        export = self._by_object[id(value)]
        export.count += 1
        export.handed_for(jellier.perspective)
        jellier.handed.append(export)
        if export.announced:
            return {"$": "cached", "id": export.luid}
        assert export.state is not None
        export.announced = True
        return {"$": "cache", "type": export.state[0], "id": export.luid}

    @staticmethod
    def sent(begun: Iterable[CacheExport]) -> None:
        """The frame that *begun* stand in goes out."""
        for export in begun:
            export.state = None

    def take_back(self, begun: list[CacheExport]) -> None:
        """The frame that *begun* stand in does not go out: the peer has nothing to observe."""
        for export in reversed(begun):
            if not export.stopped and self._by_luid.get(export.luid) is export:
                self._forget(export)
                self._broker.exports.unnumber(export.luid)
        for export in begun:
            self._stop(export)

    def decache(self, luid: int, count: int) -> None:
        """The peer gives back *count* of the times it was handed *luid*.

        Raises:
            ProtocolError: it was not handed it so often.
        """
        export = self._by_luid.get(luid)
        if export is None or export.count < count:
            held = export.count if export else 0
            raise ProtocolError(f"decache of {luid} by {count}, it was handed out {held} times")
        export.count -= count
        if not export.count:
            self._forget(export)
            self._broker.send(["uncache", luid])
            self._stop(export)

    def revoke(self, perspective: Any) -> None:
        """What was handed out for the avatar *perspective* alone is told no more changes.

        The peer still gives back what it was handed.
        """
        for export in list(self._by_luid.values()):
            if export.announced and export.revoke(perspective):
                self._unlink(export)
                self._stop(export)

    def clear(self) -> None:
        """Forget everything: the session is gone, and so is every observer."""
        exports = list(self._by_luid.values())
        self._by_luid.clear()
        self._by_object.clear()
        self._broker.exports.others = 0
        for export in exports:
            self._stop(export)

    def _forget(self, export: CacheExport) -> None:
        del self._by_luid[export.luid]
        self._unlink(export)
        self._broker.exports.others -= 1

    def _unlink(self, export: CacheExport) -> None:
        """The next time that the object is handed out it is new to the peer."""
        if self._by_object.get(id(export.cached)) is export:
            del self._by_object[id(export.cached)]

    def _stop(self, export: CacheExport) -> None:
        if export.stopped or not export.begun:
            return
        export.stopped = True
        export.state = None
        try:
            export.cached.stoppedObserving(export.observer.perspective, export.observer)
        except BaseException as error:  # sys.exit() too: no peer may end the process by a release
            what = f"stoppedObserving of {type_name(type(export.cached))} failed"
            self._broker.runtime.report(what, error)


class RemoteCache(RemoteCopy, Releasable):
    """The copy of a peer's `Cacheable`, which the peer keeps up to date by ``observe_*`` methods.

    Registered with `setUnjellyableForClass`. Made with ``__init__()``, then `setCopyableState`
    takes the state. There is one for each object and session. When it is released, or nobody
    holds it any more, the peer stops telling what changes; when the session goes, it stays as
    it is. The session keeps its attributes for as long as the peer may still tell changes, so
    one that can be reached from its own attributes has to be released.
    """

    __slots__ = ("__cache__", "__dict__", "__weakref__")

    __cache__: CacheImport

    observeMethods: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        for other in (Referenceable, Viewable):
            if issubclass(cls, other):
                raise TypeError(
                    f"{cls.__qualname__} is a RemoteCache and a {other.__name__}: "
                    "an object crosses in one way only"
                )
        if vars(cls).get("__slots__"):
            raise TypeError(
                f"{cls.__qualname__} is a RemoteCache, which keeps its state in attributes "
                "without __slots__"
            )
        cls.observeMethods = methods_with_prefix(cls, "observe_")

    def release(self) -> None:
        """Give the object back now; it is told no more changes. Doing it again is harmless."""
        cache = import_of(self)
        if cache is not None:
            cache.release()


class _Held(weakref.ref[RemoteCache]):
    """A weak reference to a copy, which knows what it was a copy of."""

    __slots__ = ("cache",)

    cache: CacheImport


class CacheImport:
    """A Cacheable of the peer's that we have a copy of."""

    __slots__ = (
        "_imports",
        "_made_of",
        "attributes",
        "count",
        "held",
        "luid",
        "perspective",
        "taken",
    )

    def __init__(
        self, imports: CacheImports, luid: int, cls: type[RemoteCache], perspective: Any
    ) -> None:
        self._imports = imports
        self._made_of = cls
        self.luid = luid
        self.perspective = perspective  # the avatar in whose call it came
        self.count = 0  # how often it was handed to us; 0: given back, or not taken yet
        self.taken = False  # a frame with it was decoded as a whole
        self.attributes: dict[str, Any] = {}
        self.held: _Held | None = None

    def make(self) -> RemoteCache:
        """A new copy, which shares its attributes with those that went before (PB's borg)."""
        copy = self._made_of.__new__(self._made_of)
        copy.__dict__ = self.attributes
        copy.__cache__ = self
        self.held = _Held(copy, self._imports.collected)
        self.held.cache = self
        return copy

    def become(self, copy: RemoteCache, cls: type[RemoteCache]) -> None:
        """Let *copy*, the one that there is, be of *cls*, and those that come after it."""
        copy.__class__ = self._made_of = cls

    @property
    def broker(self) -> Broker:
        """The broker of the session that it came over."""
        return self._imports.broker

    def copy(self) -> RemoteCache:
        """The one copy."""
        copy = self.held() if self.held is not None else None
        if copy is None:
            return self.make()
        self.attributes = vars(copy)  # a class may put another dict in place
        return copy

    def release(self) -> None:
        """See `RemoteCache.release`."""
        self._imports.release(self)

    def home(self, broker: Broker, path: str) -> Tagged:
        """The tagged value that is the very object to its owner.

        Raises:
            DeadReferenceError: it was given back, or its session is gone.
            InsecureJelly: the peer of *broker* does not own it.
        """
        owner = self._imports.broker
        if not self.count or owner.disconnected:
            raise DeadReferenceError(f"{path} is the copy of a cache that was given back")
        if owner is not broker:
            raise InsecureJelly(
                f"{path} is the copy of a cache whose owner is the peer of another session: "
                "only to that can it be sent"
            )
        return {"$": "lcache", "id": self.luid}


class CacheImports:
    """The peer's Cacheables that we have copies of."""

    __slots__ = ("_by_luid", "_copied_since", "_wake", "broker", "copied", "dropped")

    def __init__(self, broker: Broker, wake: Callable[[], None]) -> None:
        self.broker = broker
        self._wake = wake
        self.copied = 0.0
        """Items of live objects' copies that were copied for updates, without what has run out."""
        self._copied_since = 0.0
        self._by_luid: dict[int, CacheImport] = {}
        # Filled by the garbage collector, at any time and in any thread; emptied by `give_back`.
        self.dropped: list[_Held] = []

    def __len__(self) -> int:
        return len(self._by_luid)

    def __contains__(self, luid: object) -> bool:
        return luid in self._by_luid

    def adopt(self, entrance: Entrance, avatar: Any) -> None:
        """The login that came through *entrance* has its *avatar*."""
        for cache in self._by_luid.values():
            if cache.perspective is entrance:
                cache.perspective = avatar

    def find(self, luid: int) -> CacheImport:
        """What we have a copy of, which may be given back already.

        Raises:
            DeadReferenceError: there is none.
        """
        cache = self._by_luid.get(luid)
        if cache is None or not cache.taken:
            raise DeadReferenceError(NO_CACHE)
        return cache

    def unjelly(self, tagged: Tagged, unjellier: Unjellier, depth: int) -> RemoteCache:
        """The copy for a tagged ``cache`` or ``cached``.

        Raises:
            InsecureJelly: it lacks its keys, or no RemoteCache is registered for its type.
            LimitExceeded: it is one object more than one session may hand us.
            DeadReferenceError: a ``cached`` that was not handed to us before.
        """
        luid = _checked(tagged["$"], tagged.get("id"))
        cache = self._by_luid.get(luid)
        if tagged["$"] == "cache":
            if cache is not None or self.broker.imports.has(luid):
                raise InsecureJelly(f"the id {luid} of a new cache is that of an object held here")
            return self._new(luid, tagged, unjellier, depth)
        if cache is None:
            raise DeadReferenceError(NO_CACHE)
        copy = cache.copy()
        unjellier.caches.append(cache)
        unjellier.keep.append(copy)
        return copy

    def _new(self, luid: int, tagged: Tagged, unjellier: Unjellier, depth: int) -> RemoteCache:
        name = unjellier.text(tagged, "type")
        cls = self.broker.options.registry.cache_class(name)
        cache = CacheImport(self, luid, cls, unjellier.perspective)
        self._check_room()
        self._by_luid[luid] = cache  # before its state, in which it may stand
        unjellier.caches.append(cache)
        copy: RemoteCache = unjellier.run(name, _initialized, cache)
        unjellier.keep.append(copy)
        unjellier.fill(name, _FILL, copy, tagged, depth)
        cache.attributes = vars(copy)
        return copy

    def _check_room(self) -> None:
        limit = self.broker.limits.references
        if len(self.broker.imports) + len(self) >= limit:
            raise LimitExceeded(
                f"references: {limit} objects of one peer are held, more are not taken; "
                "release() those that are not needed"
            )

    def check_copied(self) -> None:
        """See that updates may take more time: each copies the lists and dicts that it changes.

        Raises:
            LimitExceeded: they took too much lately.
        """
        now = self.broker.runtime.clock()
        ran_out = (now - self._copied_since) * COPIED_A_SECOND
        self.copied, self._copied_since = max(0.0, self.copied - ran_out), now
        if self.copied >= MAX_COPIED:
            raise LimitExceeded(
                f"copy_weight: updates copied more than {COPIED_A_SECOND:,} items a second; "
                "let what changes often stand in short lists and dicts"
            )

    def take(self, caches: Iterable[CacheImport]) -> None:
        """The frame with *caches* was taken: each is one time more that we were handed it."""
        for cache in caches:
            cache.taken = True
            cache.count += 1

    def refuse(self, caches: Iterable[CacheImport]) -> None:
        """The frame with *caches* was not taken: what is new in it was never here."""
        for cache in caches:
            if not cache.taken and self._by_luid.get(cache.luid) is cache:
                self._forget(cache)

    def uncache(self, luid: int) -> None:
        """The peer has forgotten *luid*: no update of it will come any more.

        It may be one of a frame that was refused, which was never here.

        Raises:
            ProtocolError: it was not given back.
        """
        cache = self._by_luid.get(luid)
        if cache is None:
            return
        if cache.count:
            raise ProtocolError(f"uncache of {luid}, which was not given back")
        self._forget(cache)

    def _forget(self, cache: CacheImport) -> None:
        del self._by_luid[cache.luid]
        cache.held = None  # which has the cache

    def release(self, cache: CacheImport) -> None:
        """Give *cache* back."""
        pairs = self._give(cache)
        if pairs:
            self.broker.send(["decache", *pairs])

    def give_back(self) -> list[int]:
        """The pairs of a ``decache`` for all copies that were garbage collected since."""
        pairs: list[int] = []
        while self.dropped:
            held = self.dropped.pop()
            # Handed to us again meanwhile? Then there is a new copy, with the count.
            if held.cache.held is held:
                pairs += self._give(held.cache)
        return pairs

    def _give(self, cache: CacheImport) -> list[int]:
        if not cache.count or self.broker.disconnected:
            return []
        count, cache.count = cache.count, 0
        return [cache.luid, count]

    def collected(self, held: weakref.ref[RemoteCache]) -> None:
        """A copy is gone; called by the garbage collector."""
        self.dropped.append(held)  # type: ignore[arg-type]
        self._wake()

    def clear(self) -> None:
        """Forget everything: the session is gone."""
        for cache in list(self._by_luid.values()):
            self._forget(cache)
        self.dropped.clear()


def _initialized(cache: CacheImport) -> RemoteCache:
    copy = cache.make()
    copy.__init__()  # type: ignore[misc]  # as in PB: a copy is made without, a cache with it
    return copy


def _fill(copy: RemoteCache, state: Any, _charge: Callable[[int], None]) -> RemoteCache:
    copy.setCopyableState(state)
    return copy


_FILL = Maker(None, _fill)


def _checked(tag: str, luid: Any) -> int:
    if type(luid) is not int or not 0 < luid <= MAX_INTEGER:
        raise InsecureJelly(f"a tagged {tag!r} needs an 'id', a luid")
    return luid


def import_of(value: Any) -> CacheImport | None:
    """What *value* is a copy of, if it is a RemoteCache that came from a peer."""
    return getattr(value, "__cache__", None) if isinstance(value, RemoteCache) else None
