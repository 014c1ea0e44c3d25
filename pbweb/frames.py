"""The wire's vocabulary: frames, batches, and the check of their envelopes.

Protocol section 1. A frame stays the plain list that the JSON parser made; nothing here
knows a session or an object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from .errors import ProtocolError
from .version import __version__

__all__ = [
    "COUNTS",
    "MAX_INTEGER",
    "PROTOCOL",
    "SOFTWARE",
    "UNCOUNTED",
    "VERSION",
    "WITHOUT_BYTES",
    "Frame",
    "check",
    "check_attachments",
    "join_attachments",
    "parse",
    "split_attachments",
    "split_batch",
]

Frame = list[Any]

PROTOCOL = "pb.json.1"
"""The WebSocket subprotocol."""
VERSION = 1
SOFTWARE = f"pbweb-py/{__version__}"
"""What this side calls itself in its `version` frame."""
MAX_INTEGER = 2**53 - 1
"""The largest whole number that every JSON parser reads exactly."""

UNCOUNTED = frozenset({"version", "ack", "ping", "pong", "close"})
"""Frames without a number."""
COUNTS = frozenset({"ack", "ping", "pong"})
"""Frames that carry ``received`` and ``sent``."""

_COUNTED = 8192  # bytes up to which counting brackets costs less than writing once more
_WRITER_DEPTH = 254  # orjson.dumps refuses what is nested deeper


def parse(data: bytes, depth: int) -> tuple[Any, bool]:
    """The JSON of a message, and whether a value in it may be nested deeper than *depth*.

    Whether it may is found without a walk: text with few brackets cannot be deep, and
    other text is written once more inside so many lists that the writer's own limit
    tells. True only says that each frame must be looked at.

    Raises:
        ProtocolError: 1007 for bytes that are no UTF-8, 4400 for text that is no JSON.
    """
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode()
        except UnicodeDecodeError:
            raise ProtocolError("the message is not UTF-8", code=1007) from None
        raise ProtocolError(f"the message is not JSON that may be sent: {error}") from None
    if len(data) <= 2 * depth:
        return message, False
    if len(data) <= _COUNTED:
        brackets = data.count(b"[") + data.count(b"{") - 1
        if type(message) is list and message and type(message[0]) is list:
            brackets -= len(message)  # a batch: one for each frame
        if brackets <= depth:
            return message, False
    return message, _is_deep(message, depth + 1)  # the frame is one


def _is_deep(nested: Any, depth: int) -> bool:
    for _ in range(_WRITER_DEPTH - depth):
        nested = [nested]
    try:
        orjson.dumps(nested)
    except TypeError:
        return True
    return False


def split_batch(message: Any, batch: int) -> list[Frame]:
    """The frames of a parsed message, a single frame or a batch.

    Raises:
        ProtocolError: 4413 for a batch of more than *batch* frames, 4400 for what is neither.
    """
    if type(message) is not list or not message:
        raise ProtocolError("the message is neither a frame nor a batch of frames")
    if type(message[0]) is str:
        return [message]
    if type(message[0]) is not list:
        raise ProtocolError("a frame begins with its name, a batch with a frame")
    if len(message) > batch:
        raise ProtocolError(
            f"batch: {len(message)} frames in one message, {batch} are allowed", code=4413
        )
    return message


def check(frame: Any) -> str:
    """The name of *frame*, if its envelope is right. A name that is unknown is right.

    Raises:
        ProtocolError: 4400: no frame, or wrong types or counts of items.
    """
    if type(frame) is list and frame:
        name = frame[0]
        # Most frames are these two, which are looked at in half the time here.
        if len(frame) == 5 and name == "message":
            _, request, target, method, args = frame
            if (
                type(request) is int
                and 0 <= request <= MAX_INTEGER
                and type(target) is type(method) is str
                and type(args) is list
            ):
                return "message"
        elif len(frame) == 3 and name == "answer":
            request = frame[1]
            if type(request) is int and 0 < request <= MAX_INTEGER:
                return "answer"
        if type(name) is str:
            checker = _CHECKERS.get(name)
            if checker is None or checker(frame):
                return name
            raise ProtocolError(f"the items of a frame {name!r} do not fit")
    raise ProtocolError("a member of the batch is no frame")


def _is_id(value: Any, lowest: int = 1) -> bool:
    return type(value) is int and lowest <= value <= MAX_INTEGER


def _is_target(target: Any) -> bool:
    kind = type(target)
    if kind is int:
        return bool(target) and -MAX_INTEGER <= target <= MAX_INTEGER
    if kind is dict:
        return target.get("$") == "answer" and is_answer(target)
    return kind is str


def is_answer(tagged: dict[str, Any]) -> bool:
    """Whether ``{"$": "answer", …}`` has an id and, if any, a path of keys and indexes."""
    path = tagged.get("path", [])
    return (
        _is_id(tagged.get("id"))
        and type(path) is list
        and all(type(item) is str or _is_id(item, 0) for item in path)
    )


def _message(frame: Frame) -> bool:
    length = len(frame)
    return (
        4 <= length <= 7
        and type(frame[1]) is int
        and 0 <= frame[1] <= MAX_INTEGER
        and (type(frame[2]) is str or _is_target(frame[2]))
        and type(frame[3]) is str
        and (length < 5 or type(frame[4]) is list)
        and (length < 6 or type(frame[5]) is dict)
        and (length < 7 or (type(frame[6]) is dict and _deadline(frame[6])))
    )


def _deadline(opts: dict[str, Any]) -> bool:
    return type(opts.get("deadline", 0)) in (int, float)


def _cachemessage(frame: Frame) -> bool:
    return len(frame) < 7 and _message(frame) and _is_id(frame[2])


def _answer(frame: Frame) -> bool:
    return 2 <= len(frame) <= 3 and _is_id(frame[1])


def _error(frame: Frame) -> bool:
    return len(frame) == 3 and _is_id(frame[1]) and type(frame[2]) is dict


def _one_id(frame: Frame) -> bool:
    return len(frame) == 2 and _is_id(frame[1])


def _pairs(frame: Frame) -> bool:
    return len(frame) >= 3 and len(frame) % 2 == 1 and all(map(_is_id, frame[1:]))


def _counts(frame: Frame) -> bool:
    return len(frame) == 3 and _is_id(frame[1], 0) and _is_id(frame[2], 0)


def _version(frame: Frame) -> bool:
    return (
        2 <= len(frame) <= 3
        and type(frame[1]) is int
        and (len(frame) < 3 or type(frame[2]) is dict)
    )


def _close(frame: Frame) -> bool:
    return (
        4 <= len(frame) <= 5
        and _is_id(frame[1])
        and type(frame[2]) is str
        and (type(frame[3]) is bool or _is_range(frame[3]))
        and (len(frame) < 5 or _is_id(frame[4], 0))
    )


def _is_range(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) == 2
        and all(type(seconds) in (int, float) and seconds >= 0 for seconds in value)
    )


def _did_not_understand(frame: Frame) -> bool:
    return len(frame) == 2 and type(frame[1]) is str


_CHECKERS: dict[str, Callable[[Frame], bool]] = {
    "version": _version,
    "message": _message,
    "answer": _answer,
    "error": _error,
    "cancel": _one_id,
    "decref": _pairs,
    "cachemessage": _cachemessage,
    "decache": _pairs,
    "uncache": _one_id,
    "ack": _counts,
    "ping": _counts,
    "pong": _counts,
    "close": _close,
    "didNotUnderstand": _did_not_understand,
}


WITHOUT_BYTES = frozenset(_CHECKERS) - {"message", "answer", "cachemessage"}
"""Frames in which no ``bytes`` can stand, so that none may be beside them (section 8)."""


def join_attachments(frame: bytes, attachments: list[bytes]) -> bytes:
    """One frame and its bytes as one binary message (protocol section 8)."""
    parts = [len(frame).to_bytes(4, "little"), frame]
    for attachment in attachments:
        parts += (len(attachment).to_bytes(4, "little"), attachment)
    return b"".join(parts)


def check_attachments(frame: Frame, number: int) -> None:
    """See that each of the attachments beside *frame* stands in it once (protocol section 8).

    Raises:
        ProtocolError: 4400: one does not, or there is no such attachment.
    """
    left = set(range(number))
    waiting: list[Any] = [frame]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            if value.get("$") == "bytes" and "at" in value:
                at = value["at"]
                if type(at) is not int or at not in left:
                    raise ProtocolError("bytes that are not beside the frame, or used twice")
                left.discard(at)
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
    if left:
        raise ProtocolError("bytes beside the frame that stand nowhere in it")


def split_attachments(data: bytes) -> tuple[bytes, list[memoryview]]:
    """The JSON of a binary message, and views of its attachments (protocol section 8).

    Raises:
        ProtocolError: 4400: the lengths do not add up.
    """
    view = memoryview(data)
    parts: list[memoryview] = []
    at = 0
    while at < len(view):
        end = at + 4 + int.from_bytes(view[at : at + 4], "little")
        if end > len(view) or at + 4 > len(view):
            raise ProtocolError("the lengths in a binary message do not add up")
        parts.append(view[at + 4 : end])
        at = end
    if not parts:
        raise ProtocolError("a binary message without a frame")
    return bytes(parts[0]), parts[1:]
