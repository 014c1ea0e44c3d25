"""What one session has handed out and what it holds (protocol section 3).

Each side counts how often it handed out an object; the other side gives the count back
when its one RemoteReference for it is released or collected.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from types import MethodType
from typing import TYPE_CHECKING, Any

from .errors import DeadReferenceError, LimitExceeded, ProtocolError
from .flavors import Dispatcher, Ended, Entrance, Releasable, ViewPoint
from .targets import Target

if TYPE_CHECKING:
    from .broker import Broker
    from .promises import RemotePromise

__all__ = ["Exports", "Imports", "RemoteReference", "dead_reference"]

HeldKey = int | str | tuple[int | str, int]
"""A luid or name; with the id() of the avatar in whose calls it came, if there is one."""

NOTHING_THERE = (
    "the reference names nothing: it was released or revoked, its login has ended, or it is not of "
    "this session"
)


def dead_reference() -> DeadReferenceError:
    """The one error for all ids that name nothing."""
    return DeadReferenceError(NOTHING_THERE)


class RemoteReference(Target, Releasable):
    """An object of the peer's, to be called with `callRemote`.

    There is one for each object and session, and for each avatar in whose calls it came. When it
    is released, or nobody holds it any more, the peer may let go of the object; when the session
    goes, it is dead.
    """

    __slots__ = ("__weakref__", "_dead", "broker", "key", "luid", "perspective")

    def __init__(
        self, broker: Broker, luid: int | str, key: HeldKey, perspective: Any = None
    ) -> None:
        self.broker = broker
        self.luid = luid
        self.key = key
        self.perspective = perspective
        """The avatar in whose call this came; what passes through it is as that one sees it."""
        self._dead = False

    def __repr__(self) -> str:
        state = " (dead)" if self.isDead() else ""
        return f"<RemoteReference {self.luid!r}{state}>"

    def __call__(self, /, *args: Any, **kw: Any) -> RemotePromise:
        """Call a function of the peer's: ``callRemote("call", …)``."""
        return self.broker.outgoing.call(self, "call", args, kw)

    def isDead(self) -> bool:
        """Whether the reference was released or its session is gone."""
        return self._dead or self.broker.disconnected

    def release(self) -> None:
        """Give the object back now; calls in progress go on. Doing it again is harmless."""
        if not self._dead:
            self._dead = True
            self.broker.release(self)

    def notifyOnDisconnect(self, callback: Callable[[RemoteReference], object]) -> None:
        """Call *callback* with this reference, once, when the session goes.

        Raises:
            DeadReferenceError: it is gone already.
        """
        self.broker.notify(callback, self)

    def dontNotifyOnDisconnect(self, callback: Callable[[RemoteReference], object]) -> None:
        """Undo `notifyOnDisconnect`.

        Raises:
            ValueError: *callback* was not registered.
        """
        self.broker.dont_notify(callback, self)


Made = tuple[Any, Callable[[bool], None]]
"""What the peer calls in place of a value; and what is called when it can no more, with whether it
ever could."""


class _Export:
    """How often an object was handed out, and for whom."""

    __slots__ = ("count", "ended", "key", "perspectives")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.count = 0
        self.perspectives: dict[int, Any] | None = {}  # by id(); None: for nobody in particular
        self.ended: Callable[[bool], None] | None = None
        """Called when the peer can use it no more, with whether it ever could."""


def _key(object: Any) -> Any:
    """What makes two values the same object: bound methods and view points are made anew."""
    kind = type(object)
    if kind is MethodType:
        return (id(object.__self__), id(object.__func__))
    if kind is ViewPoint:
        return ("view", id(object.perspective), id(object.object))
    return id(object)


class Exports:
    """Our objects that the peer may call, by luid and by name."""

    __slots__ = ("_luids", "_next", "limit", "numbered", "objects", "others")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.numbered: dict[int, _Export] = {}
        self.objects: dict[int | str, Any] = {}  # all of them, by luid or name
        self.others = 0  # objects with a number of this series that are kept elsewhere: caches
        self._luids: dict[Any, int | str] = {}
        self._next = 1

    def publish(self, name: str, object: Any) -> None:
        """Let the peer reach *object* by *name*; an earlier one of that name is gone."""
        if name in self.objects:
            self._luids.pop(_key(self.objects[name]), None)
        self.objects[name] = object
        self._luids[_key(object)] = name

    def find(self, luid: int | str) -> Any:
        """The object of a luid or name.

        Raises:
            DeadReferenceError: there is none.
        """
        try:
            return self.objects[luid]
        except KeyError:
            raise dead_reference() from None

    def hand_out(
        self, object: Any, perspective: Any = None, make: Callable[[Any], Made] | None = None
    ) -> int | str:
        """The id under which *object* goes out once more.

        Args:
            perspective: the avatar that it is handed out for.
            make: makes what the peer is to call in place of *object*.

        Raises:
            LimitExceeded: the peer holds as many objects as are allowed.
        """
        key = _key(object)
        luid = self._luids.get(key)
        if luid is None:
            number = self.number()
            export = _Export(key)
            if make is not None:
                try:
                    object, export.ended = make(object)
                except LimitExceeded:
                    self.unnumber(number)
                    raise
            luid = self._luids[key] = number
            self.numbered[luid] = export
            self.objects[luid] = object
        if type(luid) is int:
            export = self.numbered[luid]
            export.count += 1
            if isinstance(object, Dispatcher) and object.perspective is not None:
                perspective = object.perspective  # whoever passes it on
            if perspective is None:
                export.perspectives = None
            elif export.perspectives is not None:
                export.perspectives[id(perspective)] = perspective
        return luid

    def has(self, object: Any) -> bool:
        """Whether the peer can reach *object*."""
        return _key(object) in self._luids

    def revoke(self, perspective: Any) -> None:
        """What was handed out for the avatar *perspective* alone names nothing any more.

        The peer still gives back what it was handed.
        """
        for luid, export in list(self.numbered.items()):
            if export.perspectives is not None:
                export.perspectives.pop(id(perspective), None)
                if not export.perspectives:
                    self._forget(luid, export)

    def _forget(self, luid: int, export: _Export, was_seen: bool = True) -> None:
        """*luid* names nothing any more."""
        self.objects.pop(luid, None)
        if self._luids.get(export.key) == luid:
            del self._luids[export.key]
        ended, export.ended = export.ended, None
        if ended is not None:
            ended(was_seen)

    def number(self) -> int:
        """The luid of one object more.

        Raises:
            LimitExceeded: the peer holds as many objects as are allowed.
        """
        if len(self.numbered) + self.others >= self.limit:
            raise LimitExceeded(
                f"references: {self.limit} objects are handed out, more are not allowed; "
                "release() those that are not needed"
            )
        self._next += 1
        return self._next - 1

    def take_back(self, luid: int) -> None:
        """Undo the last `hand_out`, of *luid*: the frame did not go out, nobody has seen it."""
        self.decref(luid, 1, was_seen=False)
        if luid not in self.numbered:
            self.unnumber(luid)

    def unnumber(self, luid: int) -> None:
        """Undo the last `number`, *luid*, which nobody has seen."""
        if luid == self._next - 1:
            self._next = luid

    def decref(self, luid: int, count: int, *, was_seen: bool = True) -> None:
        """The peer gives back *count* of the times it was handed *luid*.

        Args:
            was_seen: False when it never had it.

        Raises:
            ProtocolError: it was not handed it so often.
        """
        export = self.numbered.get(luid)
        if export is None or export.count < count:
            held = export.count if export else 0
            raise ProtocolError(f"decref of {luid} by {count}, it was handed out {held} times")
        export.count -= count
        if not export.count:
            del self.numbered[luid]
            object = self.objects.get(luid)
            self._forget(luid, export, was_seen)
            if isinstance(object, Dispatcher):
                object.handedBack()

    def clear(self) -> None:
        """Forget everything: the session is gone."""
        self.numbered.clear()
        self.objects.clear()
        self._luids.clear()


def _held_key(luid: int | str, perspective: Any) -> HeldKey:
    return luid if perspective is None else (luid, id(perspective))


class _Held(weakref.ref[Any]):
    """A weak reference to what stands for a luid, with how often the peer handed it to us.

    It does not keep the avatar, which may hold the very reference: while that is there, it keeps
    the avatar's id from being another's.
    """

    __slots__ = ("count", "entrance", "key", "kind", "luid")

    count: int
    kind: Callable[..., Any]
    luid: int | str
    key: HeldKey
    entrance: Entrance | None  # kept, so that no other gets its id


class Imports:
    """The peer's objects that we hold."""

    __slots__ = ("_broker", "_held", "_numbered", "_wake", "dropped", "limit", "streams")

    def __init__(self, broker: Broker, limit: int, wake: Callable[[], None]) -> None:
        self._broker = broker
        self._wake = wake
        self.limit = limit
        self._held: dict[HeldKey, _Held] = {}
        self._numbered = 0
        self.streams = 0  # how many of these are streams
        # Filled by the garbage collector, at any time and in any thread; emptied by `give_back`.
        self.dropped: list[_Held] = []

    def __len__(self) -> int:
        return self._numbered

    def reference(self, luid: int | str, perspective: Any = None) -> RemoteReference:
        """The one RemoteReference for *luid*; being here does not count it.

        Args:
            perspective: the avatar in whose call it came, or the `Entrance` of a login.
        """
        reference: RemoteReference = self.one(luid, perspective, RemoteReference)
        return reference

    def one(self, luid: int | str, perspective: Any, kind: Callable[..., Any]) -> Any:
        """What stands for *luid*: the one that is there, or a new one of *kind*.

        Raises:
            DeadReferenceError: *luid* was handed to us as something else.
        """
        key = luid if perspective is None else (luid, id(perspective))
        held = self._held.get(key)
        if held is not None and held.kind is not kind:
            raise dead_reference()
        found = held() if held is not None else None
        if found is None:
            avatar = None if type(perspective) is Entrance else perspective
            found = kind(self._broker, luid, key, avatar)
            new = _Held(found, self._collected)
            new.luid = luid
            new.key = key
            new.kind = kind
            new.entrance = perspective if type(perspective) is Entrance else None
            new.count = held.count if held is not None else 0
            if held is None and type(luid) is int:
                self._numbered += 1
                self.streams += kind is not RemoteReference
            self._held[key] = new
        return found

    def revoke(self, avatar: Any) -> None:
        """Through what came in calls of *avatar* nothing is handed out any more."""
        for held in self._held.values():
            reference = held()
            if reference is not None and reference.perspective is avatar:
                reference.perspective = Ended(avatar)

    def adopt(self, entrance: Entrance, avatar: Any) -> None:
        """The login has an avatar: the references that came in it are of its perspective."""
        for held in list(self._held.values()):
            reference, key = held(), (held.luid, id(avatar))
            if reference is None:
                continue
            before = reference.perspective
            if type(before) is Ended and before.avatar is avatar:
                reference.perspective = avatar  # it has logged in before
            elif held.entrance is entrance:
                reference.perspective = avatar
                if key not in self._held:
                    del self._held[held.key]
                    held.key = reference.key = key
                    held.entrance = None
                    self._held[key] = held

    def has(self, luid: int) -> bool:
        """Whether the peer handed us an object of this number."""
        return luid in self._held

    def count(self, luids: Iterable[int], perspective: Any = None) -> None:
        """The frame with *luids* was taken: each is one time more that we were handed it."""
        for luid in luids:
            self._held[_held_key(luid, perspective)].count += 1

    def check_room(
        self, luid: int, perspective: Any = None, others: int = 0, streams: int | None = None
    ) -> None:
        """See that *luid* is not one object more than one session may hand us.

        Args:
            perspective: the avatar in whose call it comes.
            others: how many objects of the peer's are held elsewhere.
            streams: how many streams it may; None if *luid* is none.

        Raises:
            LimitExceeded: it is.
        """
        if _held_key(luid, perspective) in self._held:
            return
        if streams is not None and self.streams >= streams:
            raise LimitExceeded(
                f"streams: {streams} of one peer are open, more are not taken; "
                "read those that are there to their end, or close them"
            )
        if len(self) + others >= self.limit:
            raise LimitExceeded(
                f"references: {self.limit} objects of one peer are held, more are not taken; "
                "release() those that are not needed"
            )

    def release(self, reference: Any) -> list[int]:
        """Forget *reference* (or stream): the pairs of a ``decref``, empty for a name."""
        held = self._held.get(reference.key)
        if held is None or held() is not reference:
            return []
        return self._forget(held)

    def give_back(self) -> list[int]:
        """The pairs of a ``decref`` for all that was garbage collected since."""
        pairs: list[int] = []
        while self.dropped:
            held = self.dropped.pop()
            # Handed to us again meanwhile? Then the count went over to the new reference.
            if self._held.get(held.key) is held:
                pairs += self._forget(held)
        return pairs

    def _forget(self, held: _Held) -> list[int]:
        del self._held[held.key]
        if isinstance(held.luid, str):
            return []
        self._numbered -= 1
        self.streams -= held.kind is not RemoteReference
        if not held.count:
            return []
        return [held.luid, held.count]

    def _collected(self, held: weakref.ref[Any]) -> None:
        self.dropped.append(held)  # type: ignore[arg-type]
        self._wake()

    def clear(self) -> None:
        """Forget everything: the session is gone."""
        self._held.clear()
        self.dropped.clear()
        self._numbered = self.streams = 0
