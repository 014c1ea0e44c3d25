"""`LiveCopy`: a live object of the peer's, which changes here as it changes there.

The receiver's half of `live`. The state is a tree that never changes (`trees`); an update puts
the next one in its place, or, where it does not fit, changes nothing. Protocol section 2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from .caching import CacheImport, RemoteCache, import_of
from .errors import DeadReferenceError, InsecureJelly
from .flavors import BUILT_IN, LIVE
from .trees import Change, FrozenDict, Tree, tree_of

__all__ = ["LiveCopy"]

MOST_CHANGES = 1000
"""Changes that wait for one who iterates; when there are more, it gets the whole state."""

Listener = Callable[[list[Change]], object]


class _Core:
    """What all instances of one copy share: there is a new one when it was let go and came back."""

    __slots__ = ("ends", "kept", "listeners", "tree", "type")

    def __init__(self, type: str, tree: Tree) -> None:
        self.type = type
        self.tree = tree
        self.listeners: list[Listener] = []
        self.ends: list[Callable[[], object]] = []  # of those who iterate
        self.kept: LiveCopy | None = None  # a copy that somebody listens to is not collected


class LiveCopy(RemoteCache):
    """The copy of a peer's live object. Its attributes are those of the object: ``board.title``.

    Lists and objects in it are frozen: they cannot be changed here, only replaced by an update.
    To have methods of its own, register a subclass of it for the object's type name
    (`setUnjellyableForClass`). It is given back when it is released, or when nobody holds it and
    nobody listens to it; when the session goes it stays as it is.
    """

    _core: _Core

    def __getattr__(self, name: str) -> Any:
        core = self.__dict__.get("_core")
        if core is not None and name in core.tree.root:
            return core.tree.root[name]
        raise AttributeError(f"{self!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(f"{name!r} of a copy cannot be set here: its owner changes it")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        core = self.__dict__.get("_core")
        return f"<{type(self).__qualname__} of {core.type!a}>" if core else object.__repr__(self)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *map(str, self.snapshot())]

    def snapshot(self) -> FrozenDict[str, Any]:
        """The state now: frozen, and the same object as long as nothing has changed.

        What an update left alone is the same in the next one.
        """
        root: FrozenDict[str, Any] = self._core.tree.root
        return root

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call *listener* after each update, with the list of its changes.

        What a listener raises is logged, and hurts nobody else.

        Returns:
            A function that ends it; calling it again is harmless.
        """
        core = self._core
        mine = [listener]  # the same one may listen twice

        def heard(changes: list[Change]) -> None:
            if mine:
                listener(changes)

        def stop() -> None:
            mine.clear()
            if heard in core.listeners:
                core.listeners.remove(heard)
            if not core.listeners:
                core.kept = None

        core.listeners.append(heard)
        core.kept = self
        return stop

    async def changes(self) -> AsyncIterator[list[Change]]:
        """The changes of each update, or of all that came since the last one was taken.

        Ends when the copy is released or its session goes. A reader that is so slow that 1000
        changes wait gets one ``reset`` in their place.

        Raises:
            DeadReferenceError: the session is gone already.
        """
        core, broker = self._core, self._import().broker
        waiting: list[Change] = []
        ready = broker.runtime.future()
        over = False

        def heard(changes: list[Change]) -> None:
            waiting.extend(changes)
            if len(waiting) > MOST_CHANGES:
                waiting[:] = [Change((), "reset", core.tree.root)]
            wake()

        def end() -> None:
            nonlocal over
            over = True
            wake()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        broker.notifyOnDisconnect(end)
        core.ends.append(end)
        stop = self.subscribe(heard)
        try:
            while True:
                await ready
                ready = broker.runtime.future()
                taken, waiting[:] = waiting[:], []
                if taken:
                    yield taken
                if over:
                    return
        finally:
            stop()
            core.ends.remove(end)
            if not broker.disconnected:
                broker.dontNotifyOnDisconnect(end)

    def release(self) -> None:
        """Give the object back: no listener is called any more. Doing it again is harmless."""
        core = self.__dict__.get("_core")
        if core is not None:
            core.listeners.clear()
            core.kept = None
            for end in list(core.ends):
                end()
        super().release()

    def __enter__(self) -> Self:
        return self

    # ---------------------------------------------------------- from the peer

    def setCopyableState(self, state: Any) -> None:
        """Take the type's name and the state; become what is registered for that name.

        Raises:
            InsecureJelly: it is no such pair.
            LimitExceeded: it weighs more than the limit ``copy_weight``, or than one message.
        """
        if type(state) is not list or len(state) != 2 or type(state[0]) is not str:
            raise InsecureJelly("the state of a live object is its type's name and its attributes")
        cache = self._import()
        tree = tree_of(state[1], cache.broker.limits)
        known = cache.broker.options.registry.classes.get(state[0])
        if isinstance(known, type) and issubclass(known, LiveCopy):
            cache.become(self, known)
        self._core = _Core(state[0], tree)

    def observe_update(self, ops: Any) -> None:
        """Some changes of the owner's; nothing has changed if one of them does not fit.

        Raises:
            InsecureJelly: one does not fit.
            LimitExceeded: the copy would weigh more than the limit ``copy_weight``, or than one
                message; or updates of large lists come so fast that they take too much time.
        """
        core, caches = self._core, self._import().broker.caches
        caches.check_copied()
        tree, changes = core.tree.updated(ops, caches.broker.limits)
        caches.copied += tree.copied
        if changes:
            self._become(tree, changes)

    def observe_reset(self, state: Any) -> None:
        """The whole state, when there were too many updates; raises as `observe_update`."""
        tree = tree_of(state, self._import().broker.limits)
        self._become(tree, [Change((), "reset", tree.root)])

    def _become(self, tree: Tree, changes: list[Change]) -> None:
        core = self._core
        core.tree = tree
        for listener in list(core.listeners):
            try:
                listener(changes)
            except Exception as error:  # the others are to be told all the same
                report = self._import().broker.runtime.report
                report(f"a listener of {core.type[:64]!a} failed", error)

    def _import(self) -> CacheImport:
        cache = import_of(self)
        if cache is None:
            raise DeadReferenceError("this is the copy of nothing: only a session makes them")
        return cache


BUILT_IN[LIVE] = LiveCopy
