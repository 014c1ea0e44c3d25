"""Failed logins of one address, over all of its connections (protocol section 9, threat A9).

A connection that has failed too often is closed, and whoever guesses opens another one. So a
portal counts by address as well.
"""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Guesses"]

SECONDS = 60.0
ADDRESSES = 10_000  # that are told apart; whose last failure was first goes for one more


class Guesses:
    """How many logins of each address have failed in this minute."""

    def __init__(self) -> None:
        self._since = 0.0
        self._failed: dict[Hashable, int] = {}

    def of(self, address: Hashable, now: float) -> int:
        """How many of *address* have failed; 0 for None, whose address is not known."""
        if now - self._since >= SECONDS:
            self._since = now
            self._failed.clear()
        return self._failed.get(address, 0)

    def note(self, address: Hashable, now: float) -> None:
        """One of *address* has failed."""
        if address is None:
            return
        count = self.of(address, now) + 1
        self._failed.pop(address, None)
        if len(self._failed) >= ADDRESSES:
            del self._failed[next(iter(self._failed))]
        self._failed[address] = count
