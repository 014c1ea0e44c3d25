"""What a peer that reads slowly costs: answers that wait for room, and calls held back for them.

Protocol section 6, *Slow readers*. Answers wait in the broker's line; here is only how much they
weigh. While they weigh more than a quarter of the window no further call of the peer's gets
control: it is held, in its order, and not acknowledged, so that its caller holds back what comes
behind it. That goes on in any case, since what waits hangs on nothing but the peer's reading.
"""

from __future__ import annotations

from collections import deque
from gc import get_referents
from itertools import compress
from typing import Any, Generic, Protocol, TypeVar

from .flavors import is_copyable
from .jelly import plain_type
from .limits import DEFAULT, Limits
from .streams import Items

__all__ = ["Backlog", "weight_of"]

ITEM = 8
"""What anything weighs, beside its characters or bytes."""

_TEXTS = frozenset({str, bytes, bytearray})
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
_SCALARS = frozenset({int, float, bool, type(None)})


class _Held(Protocol):
    before: int | None  # None: it is held no longer, though it may stand in the line still


C = TypeVar("C", bound=_Held)


class Backlog(Generic[C]):
    """The accounts of one session, while something waits.

    Attributes:
        answers: bytes of the answers that wait for room.
        held: the calls that wait for those, in their order.
        held_bytes: bytes of those calls.
    """

    __slots__ = ("_hard", "_most_bytes", "_most_frames", "_soft", "answers", "held", "held_bytes")

    def __init__(self, limits: Limits) -> None:
        self._soft = limits.window // 4
        self._hard = limits.answers
        # a client's window, as a rule
        self._most_bytes = max(limits.window, DEFAULT.window)
        self._most_frames = max(limits.window_frames, DEFAULT.window_frames)
        self.answers = 0
        self.held: deque[C] = deque()
        self.held_bytes = 0

    def is_slow(self) -> bool:
        """Whether so much waits that no further call gets control."""
        return self.answers > self._soft

    def has_room(self, weight: int) -> bool:
        """Whether an answer of so many bytes may wait too; one may in any case."""
        return not self.answers or self.answers + weight <= self._hard

    def is_full(self) -> bool:
        """Whether more than half as much waits as may: the other half is for what runs."""
        return 2 * self.answers > self._hard

    def may_hold(self) -> bool:
        """Whether one more call may be held: a client that keeps to its own window is let."""
        return self.held_bytes < self._most_bytes and len(self.held) < self._most_frames

    def is_over(self) -> bool:
        """Whether nothing waits any more."""
        return not self.answers and not self.held

    def hold(self, call: C, weight: int) -> None:
        """Let *call* wait behind the others."""
        self.held.append(call)
        self.held_bytes += weight

    def first(self) -> C | None:
        """The call that is held longest."""
        while self.held and self.held[0].before is None:
            self.held.popleft()
        return self.held[0] if self.held else None


def weight_of(value: Any, most: int) -> int:
    """About how many bytes *value* takes on the wire; more than *most* are not counted.

    Goes down level by level, with the loops inside the interpreter's C code.
    """
    weight = 0
    seen: set[int] = set()
    level = [value]
    while level and weight <= most:
        types = list(map(type, level))
        weight += ITEM * len(level)
        present = set(types)
        if not present.isdisjoint(_TEXTS):
            weight += sum(map(len, compress(level, map(_TEXTS.__contains__, types))))
        below: list[Any] = []
        if not present.isdisjoint(_CONTAINERS):
            containers = {id(one): one for one in level if type(one) in _CONTAINERS}
            fresh = [one for key, one in containers.items() if key not in seen]
            seen.update(containers)
            below = get_referents(*fresh)
        if not present <= _TEXTS | _CONTAINERS | _SCALARS:
            for one in level:
                weight += _look_into(one, below, seen)
        level = below
    return weight


def _look_into(one: Any, below: list[Any], seen: set[int]) -> int:
    """What an object weighs by itself; what it is made of comes to *below*."""
    if isinstance(one, Items):
        return one.weight
    kind = type(one)
    if kind not in _CONTAINERS and id(one) not in seen:
        seen.add(id(one))
        if plain_type(one) in _CONTAINERS:
            below += get_referents(one)
        elif is_copyable(kind):
            below.append(getattr(one, "__dict__", None))
    return 0
