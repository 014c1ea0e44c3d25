"""Every bound of pbweb in one frozen record, each with the attack that it stops.

The ones in `ANNOUNCED` stand in the ``version`` frame and are exactly the ones enforced
(protocol section 7). Sizes are bytes, times seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

__all__ = ["ANNOUNCED", "DEFAULT", "Limits"]

ANNOUNCED = (
    "message",
    "depth",
    "batch",
    "calls",
    "references",
    "streams",
    "digits",
    "control",
)

MAY_BE_NONE = ("drain", "resume_window")
"""Limits that may be 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one side accepts from its peer.

    Raises:
        ValueError: a limit is not a positive number.
    """

    message: int = 1_048_576
    """Bytes of one WebSocket message: memory, and time spent in one parse."""
    depth: int = 100
    """Nesting of one argument or result: recursion in codec and application."""
    batch: int = 4096
    """Frames in one message: time spent in one turn of the loop."""
    calls: int = 256
    """Calls in progress: tasks and answers that are kept."""
    references: int = 1024
    """Numbered objects in each direction: the tables, and what they keep alive."""
    streams: int = 64
    """Open streams."""
    digits: int = 1024
    """Decimal digits of an integer: conversion takes quadratic time."""
    control: int = 20
    """WebSocket pings and pongs and the frames ``ping`` and ``pong``, a second."""

    window: int = 1_048_576
    """Bytes sent and not yet acknowledged: replay, flow control and slow readers in one."""
    window_frames: int = 4096
    """Frames sent and not yet acknowledged."""
    answers: int = 8_388_608
    """Bytes of answers that wait for a slow reader; one more is replaced by an error."""
    pushes: int = 8_388_608
    """Bytes of calls without an answer, and of updates of caches, that wait for a slow client."""
    updates: int = 1_048_576
    """Bytes of updates of one live object that wait for a slow reader, where it gets them all."""
    copy_weight: int = 4_194_304
    """Items and characters of one copy of a live object, which its owner may make larger."""
    connections: int = 20_000
    """Connections of one endpoint: memory, and the files that a process may have open."""
    connections_per_address: int = 1000
    """Connections of one address, or 64 bits of an IPv6 one, but this machine's own."""
    handshakes: int = 100
    """Upgrades that one address may ask for in a second: time spent on openings."""
    fragments: int = 64
    """WebSocket fragments of one message: each costs a turn of the parser."""
    slice: int = 16_384
    """Bytes handled for one connection before the others get their turn."""
    first_frame: float = 10.0
    """Seconds from the TCP connection to the ``version`` frame: silent sockets."""
    login: float = 30.0
    """Seconds to a login, where one is required: strangers who hold connections."""
    login_message: int = 65_536
    """Bytes of one message before the first login, where one is required."""
    login_calls: int = 16
    """Calls in progress before the first login, where one is required: strangers' memory."""
    login_failures: int = 10
    """Failed logins of one connection, which is closed then: guessed passwords."""
    login_failures_per_address: int = 100
    """The same of one address in a minute, over all its connections: who guesses opens others."""
    logins: int = 4
    """Logins of one connection whose credentials are checked at a time: others wait."""
    message_time: float = 30.0
    """Seconds for a message that was begun: slow loris."""
    heartbeat: float = 15.0
    """Seconds without traffic after which a side sends ``ping``."""
    pong: float = 10.0
    """Seconds to wait for any answer to ``ping``."""
    stall: float = 10.0
    """Seconds a write may not move, or a full window not be acknowledged: slow readers."""
    grace: float = 5.0
    """Seconds for the closing handshake and for methods that were cancelled."""

    drain: float = 10.0
    """Seconds that calls in progress have when the server stops."""

    resume_window: float = 60.0
    """Seconds that a session outlives a lost connection; 0: it ends with it.

    There is no window before a login where one is required.
    """
    away: int = 10_000
    """Sessions without a connection, of one endpoint, and as many that are over and remembered."""
    away_bytes: int = 268_435_456
    """Bytes that those keep for their peers."""
    away_per_identity: int = 8
    """Such sessions of one identity: the oldest goes when there is one more."""
    away_per_address: int = 64
    """Such sessions of one address, or 64 bits of an IPv6 one: log in, drop it, and again."""
    resume_failures: int = 5
    """Wrong secrets of one address in a minute; for more the connection is closed: guesses."""

    blocked: float = 0.1
    """Seconds that one of our own methods may hold up the event loop before the log names it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = int if field.type == "int" else (int, float)
            least = 0 if field.name in MAY_BE_NONE else 1e-300
            if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < inf:
                number = "whole number" if kind is int else "number"
                if not least:
                    number += " or 0"
                raise ValueError(
                    f"the limit {field.name!r} must be a positive {number}, not {value!r}"
                )

    def announce(self) -> dict[str, int]:
        """The limits as they stand in the ``version`` frame."""
        return {name: getattr(self, name) for name in ANNOUNCED}

    def announced_by(self, peer: Mapping[str, Any]) -> Limits:
        """These limits with those that the peer announced; what is no number is ignored."""
        known = {
            name: peer[name] for name in ANNOUNCED if type(peer.get(name)) is int and peer[name] > 0
        }
        if all(getattr(self, name) == value for name, value in known.items()):
            return self  # as a rule: one record for many sessions
        return replace(self, **known)


DEFAULT = Limits()
