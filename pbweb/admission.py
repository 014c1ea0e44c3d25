"""How many connections an endpoint has, in all and of one address, and how fast new ones come.

Asked before the upgrade, so that one too many costs no session; those that are open are never
closed for a new one. Loopback is counted in all only: what comes from there is this machine's own,
or a proxy's that does not say for whom (`pbweb serve --trust-proxy` believes one that does).
"""

from __future__ import annotations

from collections.abc import Callable

from .limits import Limits

__all__ = ["Admission"]

Refusal = tuple[int, str, str]
"""The HTTP status, the cause in one word, and the reason."""

TOO_MANY, TOO_FAST = 503, 429


class Admission:
    """The connections of one endpoint; a *network* is what `opening.network_of` gives.

    Args:
        limits: how many there may be.
        clock: seconds that only rise.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._open = 0
        self._by_network: dict[bytes, int] = {}
        self._asked: dict[bytes, int] = {}  # handshakes of this second
        self._second = 0.0

    def statistics(self) -> dict[str, int]:
        """How many connections are open, and of how many networks that are counted."""
        return {"connections": self._open, "networks": len(self._by_network)}

    def refusal(self, network: bytes | None) -> Refusal | None:
        """Why one more connection of *network* is refused, or None. Counts as a handshake."""
        limits = self._limits
        if network is not None and self._is_too_fast(network):
            return (
                TOO_FAST,
                "handshakes",
                f"handshakes: more than {limits.handshakes} in a second are not answered",
            )
        if self._open >= limits.connections:
            reason = f"connections: {limits.connections} are open, more are not allowed"
            return TOO_MANY, "connections", reason
        if network is None or self._by_network.get(network, 0) < limits.connections_per_address:
            return None
        return (
            TOO_MANY,
            "connections",
            f"connections_per_address: {limits.connections_per_address} are open from there, more "
            "are not allowed; if that is a proxy, let it send X-Forwarded-For and name it with "
            "`pbweb serve --trust-proxy`",
        )

    def _is_too_fast(self, network: bytes) -> bool:
        now = self._clock()
        if now - self._second >= 1:
            self._second = now
            self._asked.clear()
        asked = self._asked[network] = self._asked.get(network, 0) + 1
        return asked > self._limits.handshakes

    def enter(self, network: bytes | None) -> None:
        """A connection of *network* was not refused."""
        self._open += 1
        if network is not None:
            self._by_network[network] = self._by_network.get(network, 0) + 1

    def leave(self, network: bytes | None) -> None:
        """One that has entered is gone."""
        self._open -= 1
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]
