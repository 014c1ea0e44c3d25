"""Arguments and frames that are encoded once for many sessions (protocol section 2).

What means something to one session only (references, promises, bytes that travel beside
their frame, the state of a copy that depends on who looks) cannot be: `encode_shared` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import orjson

from .caching import Cacheable
from .errors import LimitExceeded, NoSuchMethod
from .flavors import Copyable
from .jelly import Jellier, Json
from .limits import Limits

__all__ = ["Shared", "SharedCall", "SharedFrame", "SharedFrames", "SharedMessage", "encode_shared"]

_OF_DIGITS = (b'"$":"int"', b'"$":"decimal"')


class _OfASession(Exception):
    """The values have something in them that each session has to encode for itself."""


class _NoSession:
    """The `jelly.Flavors` of no session: what needs one is not encoded here."""

    def jelly(self, value: Any, jellier: Jellier) -> NoReturn:
        raise _OfASession

    def cached(self, value: Cacheable, jellier: Jellier) -> NoReturn:
        raise _OfASession

    def copied(self, value: Any, perspective: Any) -> tuple[str, Any]:
        cls = type(value)
        if (
            cls.getStateToCopyFor is not Copyable.getStateToCopyFor
            or cls.getTypeToCopyFor is not Copyable.getTypeToCopyFor
        ):
            raise _OfASession
        return value.getTypeToCopy(), value.getStateToCopy()


_NO_SESSION = _NoSession()


class Shared:
    """Arguments as they stand in a frame, for every peer that it `fits`."""

    __slots__ = ("args", "depth", "digits", "kw", "size")

    def __init__(self, args: bytes, kw: bytes, limits: Limits) -> None:
        self.args = args
        """The JSON array of the positional arguments."""
        self.kw = kw
        """The JSON object of those by name: ``{}`` without any."""
        self.size = len(args) + len(kw)
        """Bytes of both."""
        # few brackets cannot be deep; a scalar, inside the array or object of them all, has 0
        self.depth: int = min(limits.depth, max(map(_brackets, (args, kw))) - 1)
        tagged = any(tag in text for tag in _OF_DIGITS for text in (args, kw))
        self.digits = limits.digits if tagged else 0

    def parts(self) -> list[Json]:
        """What of the arguments stands in a frame: nothing, those by position, or both."""
        if self.kw != b"{}":
            return [orjson.Fragment(self.args), orjson.Fragment(self.kw)]
        return [orjson.Fragment(self.args)] if self.args != b"[]" else []

    def fits(self, limits: Limits) -> bool:
        """Whether a peer with *limits* surely takes the values; if not, encode them for it.

        Its limit of a whole message is for the one to look at who makes the frame.
        """
        return self.depth <= limits.depth and self.digits <= limits.digits


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def encode_shared(args: Sequence[Any], kw: dict[str, Any], limits: Limits) -> Shared | None:
    """Encode the arguments of a call once, or None if each session has to do it for itself.

    None is also for what is past *limits*: the error is each session's to give.

    Raises:
        InsecureJelly: a value cannot cross to anybody.
    """
    jellier = Jellier(_NO_SESSION, limits, attach=True)
    try:
        positional, named = jellier.encode_call(args, kw)
    except (_OfASession, LimitExceeded):
        return None
    if jellier.attachments:
        return None
    return Shared(orjson.dumps(positional), orjson.dumps(named), limits)


class SharedFrame(list[Any]):
    """A frame without answer that stands in the outboxes of many sessions, encoded once.

    Attributes:
        size: bytes of its JSON.
        message: it alone as a `SharedMessage`.
    """

    __slots__ = ("message", "size")

    def __init__(self, items: Sequence[Any]) -> None:
        super().__init__(items)
        data = orjson.dumps(self)
        self.size = len(data)
        self.message = SharedMessage(data)


class SharedMessage(list[tuple[bytes, bool]]):
    """What a session writes, when many write the same: a list of one text message.

    Attributes:
        framed: what a link made of it, for the next one of its kind.
    """

    __slots__ = ("framed",)

    def __init__(self, data: bytes) -> None:
        super().__init__([(data, False)])
        self.framed: bytes | None = None


class SharedFrames:
    """The frames of one message to many objects of any sessions: one for each id that they have.

    Args:
        kind: the frames' name, ``message`` or ``cachemessage``.
        name: what is called.
        encoded: the arguments; None if each session has to encode them for itself.
    """

    __slots__ = ("encoded", "frames", "kind", "name", "suited")

    def __init__(self, kind: str, name: str, encoded: Shared | None) -> None:
        self.kind = kind
        self.name = name
        self.encoded = encoded
        self.frames: dict[int | str, SharedFrame] = {}
        """Those that were made, by target."""
        self.suited: Limits | None = None
        """The last limits that it suited: as a rule many peers have the same record."""

    def suits(self, limits: Limits) -> bool:
        """Whether it can be sent as it is encoded to a peer with *limits*."""
        if self.encoded is None or not self.encoded.fits(limits):
            return False
        self.suited = limits
        return True

    def frame(self, target: int | str) -> SharedFrame:
        """The frame for *target*, the first time that there is one."""
        assert self.encoded is not None
        items = (self.kind, 0, target, self.name, *self.encoded.parts())
        frame = self.frames[target] = SharedFrame(items)
        return frame


class SharedCall(SharedFrames):
    """A call of one method with the same arguments on many objects, of any sessions."""

    __slots__ = ("args", "kw")

    def __init__(self, name: str, args: Sequence[Any], kw: dict[str, Any], limits: Limits) -> None:
        """Encode it, if that can be done once: see `encode_shared`.

        Raises:
            NoSuchMethod: *name* can be no method's name.
            InsecureJelly: a value cannot cross to anybody.
        """
        if type(name) is not str or not name.isascii():
            raise NoSuchMethod(f"a method's name is a string of ASCII letters, not {name!r}")
        super().__init__("message", name, encode_shared(args, kw, limits))
        self.args = args
        self.kw = kw
