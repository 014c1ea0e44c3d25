"""The sessions of a server that can be resumed: found again, bounded, and remembered for a while.

Protocol section 6. A session stands here from its first frame on, since a client may come back
before the server knows that its connection is gone.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import ProtocolError
from .limits import Limits
from .resuming import Asked, Refusal, Why

if TYPE_CHECKING:
    from .session import Session

__all__ = ["NOBODY", "Parking", "Principal"]

GOING_AWAY = "the server is going away"

FAILURES_SECONDS = 60.0

REMEMBERED = 10
"""For so many windows it is known why a session that is over cannot be resumed."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who opened a connection, as its upgrade tells: the same has to come back."""

    identity: Any = field(default=None, repr=False)
    origin: str | None = None
    address: str = ""

    def is_same(self, other: Principal) -> bool:
        """Whether *other* may resume a session of this one; the address may change."""
        try:
            return self.origin == other.origin and bool(self.identity == other.identity)
        except Exception:  # whatever the application's class does when it is compared
            return False

    def groups(self, limits: Limits) -> Iterator[tuple[Hashable, int]]:
        """What its sessions are counted among when they are away, and how many may be in each."""
        yield None, limits.away
        yield ("address", self.network()), limits.away_per_address
        try:
            hash(self.identity)
        except TypeError:  # it cannot be looked up; the bound of its address holds
            return
        if self.identity is not None:
            yield ("identity", self.identity), limits.away_per_identity

    def network(self) -> str | bytes:
        """Its address; of IPv6 the first 64 bits: one who connects has all that begin with them."""
        return _network_of(self.address)


NOBODY = Principal()


class _Place:
    """One session, and what proves that a client is its client."""

    __slots__ = ("before", "principal", "secret", "session", "weight")

    def __init__(self, session: Session, principal: Principal, secret: bytes) -> None:
        self.session = session
        self.principal = principal
        self.secret = secret
        self.before: bytes | None = None
        """The secret before: it holds until something comes on the new connection."""
        self.weight = 0

    def knows(self, secret: str) -> bytes | None:
        """The hash of *secret*, if it is valid; which one it is takes the same time."""
        hashed = _hashed(secret)
        now = _are_same(hashed, self.secret)
        before = _are_same(hashed, self.before or self.secret)
        return hashed if now or before else None


@dataclass(frozen=True, slots=True)
class _Tombstone:
    """What is remembered of a session that is over."""

    until: float
    why: Why
    received: int | None
    hashes: tuple[bytes, ...]
    principal: Principal


def _token(size: int) -> str:
    return os.urandom(size).hex()


# Most programs that import this have no session to find: what takes long to load is left to then.


def _are_same(one: bytes, other: bytes) -> bool:
    """Whether the hashes are the same, in a time that does not tell where they differ."""
    from hmac import compare_digest  # noqa: PLC0415

    return compare_digest(one, other)


def _network_of(address: str) -> str | bytes:
    """See `Principal.network`."""
    from ipaddress import IPv6Address, ip_address  # noqa: PLC0415

    try:
        known = ip_address(address)
    except ValueError:  # none at all, as that of a Unix socket
        return address
    if isinstance(known, IPv6Address) and known.ipv4_mapped is None:
        return known.packed[:8]
    return address


def _hashed(secret: str) -> bytes:
    from hashlib import sha256  # noqa: PLC0415

    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Parking:
    """Where the sessions of one endpoint are found again; see `session.Door`.

    Args:
        limits: how long they stay, and how many.
        clock: seconds that only rise.
        move: called with a session and the new one whose connection it takes over.
        token: makes what nobody can guess; takes a number of bytes.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        move: Callable[[Session, Session], None],
        token: Callable[[int], str] = _token,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._move = move
        self._token = token
        self._principals: dict[Session, Principal] = {}  # of sessions that have no id yet
        self._places: dict[str, _Place] = {}
        # by what they are counted among, and by id: the one that is away longest first
        self._away: dict[Hashable, OrderedDict[str, _Place]] = {}
        self._tombstones: OrderedDict[str, _Tombstone] = OrderedDict()
        self._weight = 0
        self.is_closed = False
        """Whether the server stops, and no session stays without a connection."""
        # wrong secrets by network, and since when they are counted: the oldest first
        self._failures: OrderedDict[str | bytes, tuple[float, int]] = OrderedDict()

    def statistics(self) -> dict[str, int]:
        """How many sessions there are, how many without a connection, and what those keep."""
        return {
            "sessions": len(self._places),
            "away": len(self._away.get(None, ())),
            "bytes_away": self._weight,
            "remembered": len(self._tombstones),
        }

    def away(self) -> list[Session]:
        """The sessions that have no connection."""
        return [place.session for place in self._away.get(None, {}).values()]

    def expect(self, session: Session, principal: Principal) -> None:
        """*session* begins on a connection of *principal*'s."""
        self._principals[session] = principal

    # --------------------------------------------------- `session.Door`

    def admit(self, session: Session) -> tuple[str, str, float] | None:
        """See `session.Door`."""
        principal = self._principals.pop(session, NOBODY)
        if not self._limits.resume_window:
            return None
        name, secret = self._token(16), self._token(32)
        self._places[name] = _Place(session, principal, _hashed(secret))
        return name, secret, self._limits.resume_window

    def resume(self, session: Session, asked: Asked) -> Session | Refusal:
        """See `session.Door`.

        Raises:
            ProtocolError: the counts cannot be, or too much was guessed (4429).
        """
        principal = self._principals.get(session, NOBODY)
        place = self._places.get(asked.session)
        if place is None:
            return self._remembered(asked, principal)
        proof = place.knows(asked.secret)
        if proof is None or not place.principal.is_same(principal):
            return self._wrong(principal)
        if not place.session.may_resume():
            place.session.end("its client may not come back", 4410)
            return self._remembered(asked, principal)
        found, secret = place.session, self._token(32)
        self._back(asked.session)
        if not found.take_over(asked, secret):
            if not found.ended:
                found.why = "gap"
                found.end("the client lacks frames that it has acknowledged", 4400)
            return self._remembered(asked, principal)
        place.before, place.secret = proof, _hashed(secret)
        place.principal = principal
        self._principals.pop(session, None)
        self._move(found, session)
        return found

    def detached(self, session: Session) -> None:
        """See `session.Door`; the oldest go where there are too many."""
        if self.is_closed:
            session.end(GOING_AWAY)
            return
        place = self._places[session.id]
        for group, most in place.principal.groups(self._limits):
            away = self._away.setdefault(group, OrderedDict())
            away[session.id] = place
            if len(away) > most:
                _evict(away)
        if not session.ended:
            self.grown(session)

    def grown(self, session: Session) -> None:
        """See `session.Door`; one that is being taken over weighs nothing any more."""
        place = self._places[session.id]
        if session.id not in self._away.get(None, ()):
            return
        self._weight += session.kept_bytes - place.weight
        place.weight = session.kept_bytes
        while self._weight > self._limits.away_bytes:
            _evict(self._away[None])

    def greeted(self, session: Session) -> None:
        """See `session.Door`."""
        self._places[session.id].before = None

    def ended(self, session: Session) -> None:
        """See `session.Door`."""
        self._back(session.id)
        place = self._places.pop(session.id)
        now = self._clock()
        # what came is known to have been handled only when no connection could bring more
        at_rest = session.why != "ended" and session.is_at_rest()
        hashes = (place.secret,) if place.before is None else (place.secret, place.before)
        self._tombstones[session.id] = _Tombstone(
            now + REMEMBERED * self._limits.resume_window,
            session.why,
            session.received if at_rest else None,
            hashes,
            place.principal,
        )
        while True:  # the one just made stays
            oldest = next(iter(self._tombstones.values()))
            if oldest.until > now and len(self._tombstones) <= self._limits.away:
                break
            self._tombstones.popitem(last=False)

    # ---------------------------------------------------------------------

    def close(self) -> None:
        """The server stops: what has no connection ends now, and is told what an end brings."""
        self.is_closed = True
        self._failures.clear()
        for session in self.away():
            session.end(GOING_AWAY)

    def forget(self, session: Session) -> None:
        """The connection on which *session* was to begin is gone."""
        self._principals.pop(session, None)

    def _remembered(self, asked: Asked, principal: Principal) -> Refusal:
        tombstone = self._tombstones.get(asked.session)
        if tombstone is None or tombstone.until <= self._clock():
            return Refusal("unknown")
        hashed = _hashed(asked.secret)
        known = [_are_same(hashed, known) for known in tombstone.hashes]
        if not any(known) or not tombstone.principal.is_same(principal):
            return self._wrong(principal)
        return Refusal(tombstone.why, tombstone.received)

    def _wrong(self, principal: Principal) -> Refusal:
        """*principal* does not prove that a session is its own.

        An id that nobody knows is not counted: after a restart every client has one. Nor does
        it count against who has the right secret: many may share an address.
        """
        now, network, failures = self._clock(), principal.network(), self._failures
        since, number = failures.pop(network, (now, 0))
        if now - since >= FAILURES_SECONDS:
            since, number = now, 0
        failures[network] = since, number + 1
        if len(failures) > self._limits.away:
            failures.popitem(last=False)
        if number >= self._limits.resume_failures:
            raise ProtocolError(
                f"resume_failures: {self._limits.resume_failures} wrong secrets in a minute",
                code=4429,
            )
        return Refusal("unknown")

    def _back(self, name: str) -> None:
        """The session is away no more: it has a connection, or is over."""
        place = self._places[name]
        self._weight -= place.weight
        place.weight = 0
        for group, _ in place.principal.groups(self._limits):
            away = self._away.get(group)
            if away is not None:
                away.pop(name, None)
                if not away:
                    del self._away[group]


def _evict(away: OrderedDict[str, _Place]) -> None:
    """End the session that is away longest."""
    next(iter(away.values())).session.overflow()
