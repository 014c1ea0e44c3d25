"""Observers of live objects without a session: what they are sent is applied to a tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from pbweb.jelly import Encoded, Jellier
from pbweb.limits import DEFAULT, Limits
from pbweb.testing import SteppedRuntime
from pbweb.trees import Change, Tree, tree_of
from pbweb.unjelly import Unjellier

ROOMY = Limits(copy_weight=10**9, message=10**9)


def decoded(text: bytes) -> Any:
    """What the JSON *text* of one value stands for."""
    return Unjellier(None, DEFAULT, None).decode(orjson.loads(text))  # type: ignore[arg-type]


class NoSession:
    """The flavors of a session in which nothing but copies is of a flavor."""

    def jelly(self, _value: Any, _jellier: Jellier) -> None:
        return None

    def copied(self, value: Any, _perspective: Any) -> tuple[str, Any]:
        return value.getTypeToCopy(), value.getStateToCopy()


class Line:
    """As much of a broker as an observer needs: a line for room, which is there or not."""

    def __init__(self, runtime: SteppedRuntime, limits: Limits = DEFAULT) -> None:
        self.runtime = runtime
        self.limits = self.peer_limits = limits
        self.queued = 0
        self.dirty: dict[Any, None] = {}
        self.has_room = True
        self.express: Callable[[Any, int], bool] | None = None
        self.waiting: deque[Callable[[], object]] = deque()
        self.frames: list[Any] = []
        self.sent: Callable[[Any], None] = self.frames.append
        self.closed: tuple[int, str] | None = None

    def when_room(self, function: Callable[[], object]) -> None:
        if self.has_room and not self.waiting:
            function()
        else:
            self.waiting.append(function)

    def make_room(self, entries: int = 1_000_000) -> None:
        """Let *entries* of the line go."""
        while self.waiting and entries:
            entries -= 1
            self.waiting.popleft()()

    def send(self, frame: Any) -> None:
        self.sent(frame)

    def send_encoded(self, frame: Any, fill: Callable[[Jellier], None], _: Any = None) -> None:
        fill(Jellier(NoSession(), self.peer_limits))
        self.send(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason

    def flush_dirty(self) -> None:
        while self.dirty:
            next(iter(self.dirty)).deliver()


class Copy:
    """One peer's copy of *original*; equal to `RemoteCacheObserver` as far as a log sees."""

    luid = 7
    seen_by = None

    def __init__(self, original: Any, line: Line) -> None:
        self.original = original
        self.broker = line
        line.sent = self.take
        self.changes: list[list[Change]] = []
        self.names: list[str] = []
        name, state = original.getStateToCacheAndObserveFor(None, self)
        self.type = name
        text = state.data if isinstance(state, Encoded) else _encoded(state)
        self.tree: Tree = tree_of(decoded(text), ROOMY)

    def take(self, frame: Any) -> None:
        name, text = frame[3], orjson.dumps(frame[4])
        assert frame[:3] == ["cachemessage", 0, self.luid]
        (value,) = decoded(text)
        self.names.append(name)
        if name == "reset":
            self.tree = tree_of(value, ROOMY)
        else:
            assert name == "update"
            self.tree, changes = self.tree.updated(value, ROOMY)
            self.changes.append(changes)

    def leave(self) -> None:
        self.original.stoppedObserving(None, self)


def _encoded(state: Any) -> bytes:
    return orjson.dumps(Jellier(NoSession(), DEFAULT).encode(state))
