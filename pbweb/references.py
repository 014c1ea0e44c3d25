"""What one session has handed out and what it holds (protocol section 3).

Each side counts how often it handed out an object; the other side gives the count back
when its one RemoteReference for it is released or collected.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from .errors import DeadReferenceError, LimitExceeded, ProtocolError
from .targets import Target

if TYPE_CHECKING:
    from .broker import Broker
    from .promises import RemotePromise

__all__ = ["Exports", "Imports", "RemoteReference"]

NOTHING_THERE = "the reference names nothing: it was released, or is not of this session"


class RemoteReference(Target):
    """An object of the peer's, to be called with `callRemote`.

    There is one for each object and session. When it is released, or nobody holds it any
    more, the peer may let go of the object; when the session goes, it is dead.
    """

    __slots__ = ("__weakref__", "_dead", "broker", "luid")

    def __init__(self, broker: Broker, luid: int | str) -> None:
        self.broker = broker
        self.luid = luid
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

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


class _Export:
    """How often an object was handed out."""

    __slots__ = ("count", "key")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.count = 0


def _key(object: Any) -> Any:
    """What makes two values the same object: a bound method is made anew at each access."""
    if type(object) is MethodType:
        return (id(object.__self__), id(object.__func__))
    return id(object)


class Exports:
    """Our objects that the peer may call, by luid and by name."""

    __slots__ = ("_luids", "_next", "limit", "numbered", "objects")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.numbered: dict[int, _Export] = {}
        self.objects: dict[int | str, Any] = {}  # all of them, by luid or name
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
            raise DeadReferenceError(NOTHING_THERE) from None

    def hand_out(self, object: Any) -> int | str:
        """The id under which *object* goes out once more.

        Raises:
            LimitExceeded: the peer holds as many objects as are allowed.
        """
        key = _key(object)
        luid = self._luids.get(key)
        if luid is None:
            if len(self.numbered) >= self.limit:
                raise LimitExceeded(
                    f"references: {self.limit} objects are handed out, more are not allowed; "
                    "release() those that are not needed"
                )
            luid = self._luids[key] = self._next
            self._next += 1
            self.numbered[luid] = _Export(key)
            self.objects[luid] = object
        if type(luid) is int:
            self.numbered[luid].count += 1
        return luid

    def take_back(self, luids: Sequence[int]) -> None:
        """Undo `hand_out`: the frame did not go out, and nobody has seen the new luids in it."""
        for luid in reversed(luids):
            self.decref(luid, 1)
            if luid == self._next - 1 and luid not in self.numbered:
                self._next = luid

    def decref(self, luid: int, count: int) -> None:
        """The peer gives back *count* of the times it was handed *luid*.

        Raises:
            ProtocolError: it was not handed it so often.
        """
        export = self.numbered.get(luid)
        if export is None or export.count < count:
            held = export.count if export else 0
            raise ProtocolError(f"decref of {luid} by {count}, it was handed out {held} times")
        export.count -= count
        if not export.count:
            del self.numbered[luid], self.objects[luid]
            if self._luids.get(export.key) == luid:
                del self._luids[export.key]

    def clear(self) -> None:
        """Forget everything: the session is gone."""
        self.numbered.clear()
        self.objects.clear()
        self._luids.clear()


class _Held(weakref.ref[RemoteReference]):
    """A weak reference to a RemoteReference, with how often the peer handed it to us."""

    __slots__ = ("count", "luid")

    count: int
    luid: int | str


class Imports:
    """The peer's objects that we hold."""

    __slots__ = ("_broker", "_held", "_numbered", "_wake", "dropped", "limit")

    def __init__(self, broker: Broker, limit: int, wake: Callable[[], None]) -> None:
        self._broker = broker
        self._wake = wake
        self.limit = limit
        self._held: dict[int | str, _Held] = {}
        self._numbered = 0
        # Filled by the garbage collector, at any time and in any thread; emptied by `give_back`.
        self.dropped: list[_Held] = []

    def __len__(self) -> int:
        return self._numbered

    def reference(self, luid: int | str) -> RemoteReference:
        """The one RemoteReference for *luid*; being here does not count it."""
        held = self._held.get(luid)
        reference = held() if held is not None else None
        if reference is None:
            reference = RemoteReference(self._broker, luid)
            new = _Held(reference, self._collected)
            new.luid = luid
            new.count = held.count if held is not None else 0
            if held is None and type(luid) is int:
                self._numbered += 1
            self._held[luid] = new
        return reference

    def count(self, luids: Iterable[int]) -> None:
        """The frame with *luids* was taken: each is one time more that we were handed it."""
        for luid in luids:
            self._held[luid].count += 1

    def check_room(self, luid: int) -> None:
        """Raises LimitExceeded if *luid* is one object more than one session may hand us."""
        if luid not in self._held and len(self) >= self.limit:
            raise LimitExceeded(
                f"references: {self.limit} objects of one peer are held, more are not taken; "
                "release() those that are not needed"
            )

    def release(self, reference: RemoteReference) -> list[int]:
        """Forget *reference*: the pairs of a ``decref``, empty for a name."""
        held = self._held.get(reference.luid)
        if held is None or held() is not reference:
            return []
        return self._forget(held)

    def give_back(self) -> list[int]:
        """The pairs of a ``decref`` for all that was garbage collected since."""
        pairs: list[int] = []
        while self.dropped:
            held = self.dropped.pop()
            # Handed to us again meanwhile? Then the count went over to the new reference.
            if self._held.get(held.luid) is held:
                pairs += self._forget(held)
        return pairs

    def _forget(self, held: _Held) -> list[int]:
        del self._held[held.luid]
        if isinstance(held.luid, str):
            return []
        self._numbered -= 1
        if not held.count:
            return []
        return [held.luid, held.count]

    def _collected(self, held: weakref.ref[RemoteReference]) -> None:
        self.dropped.append(held)  # type: ignore[arg-type]
        self._wake()

    def clear(self) -> None:
        """Forget everything: the session is gone."""
        self._held.clear()
        self.dropped.clear()
        self._numbered = 0
