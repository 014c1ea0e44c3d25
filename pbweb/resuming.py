"""What both sides keep so that a session outlives its connections (protocol section 6).

A side keeps the messages that it sent until they are acknowledged, as the bytes that went out:
an argument may have been changed since, and encoding has effects. Nothing here knows a session.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from .errors import ProtocolError
from .frames import MAX_INTEGER, Frame

__all__ = [
    "UNANSWERED",
    "Asked",
    "Kept",
    "Message",
    "Refusal",
    "Why",
    "outline",
    "replay",
    "split_known",
    "tail",
]

Message = tuple[bytes, bool]
"""The bytes of a WebSocket message, and whether it is a binary one."""

Kept = tuple[int, int, Sequence[Frame], Message]
"""One message that is kept: the number of its last frame, its size, its frames, itself."""

UNANSWERED: Sequence[Any] = (("message", 0),)
"""The frames of a message that many get, as `outline` has them: nobody waits for an answer."""

Why = Literal["expired", "ended", "overflow", "unknown", "gap"]
"""Why a session cannot be resumed."""

REPLAY_SLICE = 65_536
"""Bytes that are sent again before it is asked whether the link takes more."""
LONGEST_NAME = 200  # characters of a session's id or secret

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]|,')


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client says that wants to resume."""

    session: str
    secret: str = field(repr=False)
    received: int
    sent: int


class Refusal(NamedTuple):
    """Why a session is not resumed, and how many frames of it had come, if that is known."""

    why: Why
    received: int | None = None


def asked_by(resume: Any) -> Asked:
    """The checked ``resume`` of a client's ``version``.

    Raises:
        ProtocolError: it is nothing that a client may say.
    """
    if type(resume) is dict:
        session, secret = resume.get("session"), resume.get("secret")
        received, sent = counts(resume)
        if received is not None and sent is not None and is_name(session) and is_name(secret):
            return Asked(str(session), str(secret), received, sent)
    raise ProtocolError("the resume of a version needs a session, a secret, received and sent")


def counts(said: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """``received`` and ``sent`` of a ``version``; None for what is no count."""
    received, sent = said.get("received"), said.get("sent")
    return received if is_count(received) else None, sent if is_count(sent) else None


def is_count(value: Any) -> bool:
    """Whether *value* can be a number of frames."""
    return type(value) is int and 0 <= value <= MAX_INTEGER


def is_name(value: Any) -> bool:
    """Whether *value* can be a session's id or secret."""
    return type(value) is str and 0 < len(value) <= LONGEST_NAME


def outline(frames: Sequence[Frame]) -> list[Frame]:
    """As much of *frames* as is needed when they are kept for long: what they are, and their id."""
    return [frame[:2] for frame in frames]


def replay(kept: Sequence[Kept], behind: int, room: float) -> Iterator[tuple[int, Message]]:
    """The messages with the frames behind number *behind*, about *room* bytes of them.

    Each comes with the number of its last frame.
    """
    for last, size, frames, message in islice(
        kept, bisect_right(kept, behind, key=itemgetter(0)), None
    ):
        if room <= 0:
            return
        known = behind - (last - len(frames))
        yield last, message if known <= 0 else tail(message, known)
        room -= size


def tail(message: Message, known: int) -> Message:
    """The batch *message* without its first *known* frames, byte for byte."""
    data, binary = message
    depth = 0
    for token in _TOKENS.finditer(data):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        elif token[0] == b"," and depth == 1:
            known -= 1
            if known == 0:
                return b"[" + data[token.end() :], binary
    raise ValueError("the batch has no more frames")


def split_known(
    kept: Sequence[Kept], acked: int, reached: int, received: int | None
) -> tuple[list[Frame], list[Frame]]:
    """Which frames the peer has certainly not handled, and of which nobody knows (section 6).

    Args:
        acked: how many were acknowledged: the first frames of a batch may be that was not whole.
        reached: the number of the last frame that was ever written.
        received: how many the peer says that it had, if it does.
    """
    not_handled: list[Frame] = []
    unsure: list[Frame] = []
    for last, _, frames, _ in kept:
        for number, frame in enumerate(frames, last - len(frames) + 1):
            if number > reached or (received is not None and number > received):
                not_handled.append(frame)
            elif received is None and number > acked:
                unsure.append(frame)
    return not_handled, unsure
