"""How many connections an endpoint has, in all and of one address, and how fast new ones come.

Asked before the upgrade, so that one too many costs no session; those that are open are never
closed for a new one. Loopback is counted in all only: what comes from there is this machine's own,
or a proxy's that does not say for whom (`pbweb serve --trust-proxy` believes one that does).
"""

from __future__ import annotations

from collections.abc import Callable

from .limits import Limits

__all__ = ["Admission", "network_of"]

TOO_MANY, TOO_FAST = 503, 429


class Admission:
    """The connections of one endpoint.

    Args:
        limits: how many there may be.
        clock: seconds that only rise.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._open = 0
        self._by_network: dict[str | bytes, int] = {}
        self._asked: dict[str | bytes, int] = {}  # handshakes of this second
        self._second = 0.0

    def statistics(self) -> dict[str, int]:
        """How many connections are open, and of how many addresses that are counted."""
        return {"connections": self._open, "addresses": len(self._by_network)}

    def refusal(self, address: str) -> tuple[int, str] | None:
        """Why one more connection of *address* is refused: an HTTP status and a reason; or None.

        Each question counts as a handshake.
        """
        limits, network = self._limits, _counted(address)
        if self._open >= limits.connections:
            return TOO_MANY, f"connections: {self._open} are open, more are not allowed"
        if network is None:
            return None
        now = self._clock()
        if now - self._second >= 1:
            self._second = now
            self._asked.clear()
        asked = self._asked[network] = self._asked.get(network, 0) + 1
        if asked > limits.handshakes:
            return TOO_FAST, (
                f"handshakes: more than {limits.handshakes} in a second are not answered to "
                f"{_shown(address)}"
            )
        if self._by_network.get(network, 0) >= limits.connections_per_address:
            return TOO_MANY, (
                f"connections_per_address: {limits.connections_per_address} of {_shown(address)} "
                "are open, more are not allowed; if that is a proxy, let it send X-Forwarded-For "
                "and name it with `pbweb serve --trust-proxy`"
            )
        return None

    def enter(self, address: str) -> None:
        """A connection of *address* was not refused."""
        self._open += 1
        network = _counted(address)
        if network is not None:
            self._by_network[network] = self._by_network.get(network, 0) + 1

    def leave(self, address: str) -> None:
        """One that has entered is gone."""
        self._open -= 1
        network = _counted(address)
        if network is not None:
            left = self._by_network[network] = self._by_network[network] - 1
            if not left:
                del self._by_network[network]


def network_of(address: str) -> str | bytes:
    """*address*; of IPv6 its first 64 bits, since one who connects has all that begin with them."""
    return _known(address)[0]


def _counted(address: str) -> str | bytes | None:
    """What *address* is counted as by itself; None for what is not."""
    network, is_counted = _known(address)
    return network if is_counted else None


def _known(address: str) -> tuple[str | bytes, bool]:
    # Clients import this too, and need none of it.
    from ipaddress import IPv6Address, ip_address  # noqa: PLC0415

    try:
        known = ip_address(address)
    except ValueError:  # none at all, as that of a Unix socket
        return address, False
    if not isinstance(known, IPv6Address):
        return address, not known.is_loopback
    if known.ipv4_mapped is not None:
        return address, not known.ipv4_mapped.is_loopback
    return known.packed[:8], not known.is_loopback


def _shown(address: str) -> str:
    return ascii(address[:60])[1:-1]
