"""JSON to values (protocol section 2): the other half of `jelly`.

A message without a ``"$"`` key is decoded when the parser is done; only one with tagged
values, or one that may be nested too deep, is walked, in place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Protocol

from .caching import CacheImport
from .errors import Error, InsecureJelly, LimitExceeded, ProtocolError
from .flavors import Maker, Viewable, ViewPoint, is_copyable
from .jelly import CONTAINERS, NEVER_REFERENCES, Json, Tagged, is_reference, plain_type
from .limits import Limits

__all__ = ["Flavors", "Pending", "Unjellier", "has_tags", "introductions", "snapshot"]


MAX_KEY_PARTS = 65_536
MAX_CLASHES = 100  # keys of one dict, or members of one set
_DOLLAR, _BACKSLASH = b"$\\"


class Flavors(Protocol):
    """Turns tagged values that mean something to a session into objects."""

    def unjelly(self, tag: str, tagged: Tagged, unjellier: Unjellier, depth: int) -> Any:
        """The object for *tagged*. Raises InsecureJelly for a tag that is unknown."""

    def maker(self, name: str) -> Maker:
        """How copies of the type *name* are made. Raises InsecureJelly if they cannot be."""

    def report_fault(self, what: str, fault: BaseException) -> None:
        """Write what a class of the application's raised to the log."""


def has_tags(data: bytes) -> bool:
    """Whether a tagged value may stand in the text; the rare byte is searched for first."""
    return (_DOLLAR in data and b'"$"' in data) or (_BACKSLASH in data and b"\\u0024" in data)


_COUNTED_BY = {"remote": "decref", "stream": "decref", "cache": "decache", "cached": "decache"}


def introductions(frame: Json) -> Iterable[tuple[str, Any]]:
    """What would introduce objects of the sender's: the frame that gives each back, and its id."""
    waiting = [frame]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            tag = value.get("$")
            if type(tag) is str and tag in _COUNTED_BY:
                yield _COUNTED_BY[tag], value.get("id")
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)


def snapshot(
    value: Any,
    charge: Callable[[int], None] | None = None,
    start_copy: Callable[[Any], tuple[Any, Any, Callable[[Any], Any]]] | None = None,
    perspective: Any = None,
) -> Any:
    """A copy of the containers in *value*: what the peer would have sent back.

    Args:
        charge: told of each container, before it is copied, its number of items and one more.
        start_copy: gives the state of a copyable object, the copy without it, and what
            makes the copy of the state.
        perspective: the avatar that the value was made for.
    """
    copies: dict[int, Any] = {}
    keep: list[Any] = []  # states, so that no other object gets the id of one

    def copied(item: Any) -> Any:
        kind = plain_type(item)
        if kind not in CONTAINERS:
            if isinstance(item, Viewable):
                return ViewPoint(perspective, item)
            if hasattr(kind, "__aiter__"):
                raise InsecureJelly("a stream cannot be passed on by name: await it first")
            if start_copy is None or not is_copyable(kind) or isinstance(item, BaseException):
                return item
            if id(item) not in copies:
                state, copies[id(item)], fill = start_copy(item)
                keep.append(state)
                copies[id(item)] = fill(copied(state))
            if copies[id(item)] is None:
                raise InsecureJelly("a copy that is made of its complete state is inside itself")
            return copies[id(item)]
        if id(item) not in copies:
            if charge is not None:
                charge(1 + len(item))
            if kind is dict:
                made: dict[Any, Any] = {}
                copies[id(item)] = made
                made.update((key, copied(inner)) for key, inner in item.items())
            else:
                made_list: list[Any] = []
                copies[id(item)] = made_list
                made_list.extend(map(copied, item))
        return copies[id(item)]

    return copied(value)


class Pending:
    """Stands in a decoded value for an answer that is not there yet."""

    __slots__ = ("path", "request")

    def __init__(self, request: int, path: list[str | int]) -> None:
        self.request = request
        self.path = path


class _Spread:
    """Sees that the keys of one container do not all have one hash, which takes quadratic time.

    A peer can choose numbers so; of text it cannot.
    """

    __slots__ = ("_clashes", "_hashes")

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._clashes = 0

    def add(self, key: Any) -> None:
        """Raises InsecureJelly: too many keys clash."""
        if type(key) is str:
            return
        number = hash(key)
        if number not in self._hashes:
            self._hashes.add(number)
            return
        self._clashes += 1
        if self._clashes > MAX_CLASHES:
            raise InsecureJelly("too many keys or members of a set are the same, or have one hash")


class Unjellier:
    """Decodes the values of one frame, in place.

    `received` collects the ids of the sender's objects and `caches` its caches, to be counted when
    the whole frame was decoded; `pending` the places of answers that are not there yet.
    `perspective` is the avatar in whose call they came.
    """

    __slots__ = (
        "_defs",
        "_flavors",
        "_in_copies",
        "_key_parts",
        "_looked_at",
        "_post",
        "attachments",
        "caches",
        "keep",
        "limits",
        "pending",
        "perspective",
        "received",
    )

    def __init__(
        self,
        flavors: Flavors,
        limits: Limits,
        attachments: list[memoryview] | None = None,
        perspective: Any = None,
    ) -> None:
        self._flavors = flavors
        self.limits = limits
        self.perspective = perspective
        self.attachments = attachments
        self.received: list[int] = []
        self.caches: list[CacheImport] = []
        self.pending: list[tuple[Any, Any, Pending]] = []
        self._defs: dict[int, Any] = {}
        self._key_parts = 0
        self.keep: list[Any] = []  # holds the references until they are counted
        self._in_copies = 0  # in how many copies' states the walk stands
        self._looked_at = 0  # items that classes with annotations looked at
        self._post: list[tuple[str, Any]] = []  # copies that want to know when all is there

    def decode(self, value: Json, depth: int = 0) -> Any:
        """The value that *value*, parsed JSON, stands for.

        Args:
            depth: the nesting around it.

        Raises:
            InsecureJelly: a tag that is unknown or whose keys do not fit.
            LimitExceeded: nested too deep.
            DeadReferenceError: an object of ours that is not handed out any more.
        """
        kind = type(value)
        if kind is list:
            self._deeper(depth)
            for index, item in enumerate(value):
                if type(item) in CONTAINERS:
                    value[index] = self._place(self.decode(item, depth + 1), value, index)
            return value
        if kind is dict:
            self._deeper(depth)
            if "$" in value:
                return self._tagged(value, depth)
            for key, item in value.items():
                if type(item) in CONTAINERS:
                    if key in NEVER_REFERENCES:
                        _refuse_callable(key, item)
                    value[key] = self._place(self.decode(item, depth + 1), value, key)
        return value

    def decode_arguments(self, values: Json) -> None:
        """Decode ``args`` or ``kw`` in place: no values, so they neither count nor are tagged."""
        for key, item in enumerate(values) if type(values) is list else list(values.items()):
            if key in NEVER_REFERENCES:
                _refuse_callable(key, item)
            values[key] = self._place(self.decode(item), values, key)

    def finish(self) -> None:
        """The whole frame was decoded: the copies that ask for it are told (``postUnjelly``).

        Raises:
            Error: one of them refuses what it was given.
        """
        for name, copy in self._post:
            self.run(name, copy.postUnjelly)

    def _place(self, value: Any, container: Any, key: Any) -> Any:
        if type(value) is Pending:
            if self._in_copies:
                raise InsecureJelly("the state of a copy cannot name an answer that is to come")
            self.pending.append((container, key, value))
        return value

    def _deeper(self, depth: int) -> None:
        if depth >= self.limits.depth:
            raise LimitExceeded(f"depth: a value is nested deeper than {self.limits.depth}")

    def _tagged(self, tagged: Tagged, depth: int) -> Any:
        tag = tagged["$"]
        if type(tag) is not str:
            raise InsecureJelly(f"a tag is a string, not {type(tag).__name__}")
        known = _UNTAG.get(tag)
        if known is None:
            return self._flavors.unjelly(tag, tagged, self, depth)
        return known(self, tagged, depth)

    def text(self, tagged: Tagged, key: str = "value") -> str:
        """The string under *key* of a tagged value. Raises InsecureJelly: there is none."""
        value = tagged.get(key)
        if type(value) is not str:
            raise InsecureJelly(f"a tagged {tagged['$']!r} needs a string {key!r}")
        return value

    def _items(self, tagged: Tagged, depth: int) -> list[Any]:
        items = tagged.get("items")
        if type(items) is not list:
            raise InsecureJelly(f"a tagged {tagged['$']!r} needs a list 'items'")
        self._deeper(depth + 1)
        return items

    def _def_id(self, tagged: Tagged) -> int:
        number = tagged.get("id")
        if type(number) is not int or number < 1:
            raise InsecureJelly(f"a tagged {tagged['$']!r} needs a positive whole number 'id'")
        return number

    def _untag_def(self, tagged: Tagged, depth: int) -> Any:
        number = self._def_id(tagged)
        if number in self._defs:
            raise InsecureJelly(f"two values are defined as {number}")
        value = tagged.get("value")
        self._deeper(depth + 1)
        if type(value) is list:
            self._defs[number] = value
            return self.decode(value, depth + 1)
        if type(value) is not dict:
            raise InsecureJelly("only a list, dict, set or copy may be defined for later use")
        tag = value.get("$")
        if "$" not in value:
            self._defs[number] = value
            return self.decode(value, depth + 1)
        if tag == "dict":
            made: dict[Any, Any] = {}
            self._defs[number] = made
            return self._fill_dict(made, value, depth + 1)
        if tag == "copy":
            self._deeper(depth + 1)
            return self._untag_copy(value, depth + 1, number)
        if tag not in ("set", "frozenset"):
            raise InsecureJelly("only a list, dict, set or copy may be defined for later use")
        self._defs[number] = result = self.decode(value, depth + 1)
        return result

    def _untag_use(self, tagged: Tagged, _depth: int) -> Any:
        number = self._def_id(tagged)
        if number not in self._defs:
            raise InsecureJelly(f"the value {number} is used but not defined before")
        if self._in_copies and self.pending:
            raise InsecureJelly("the state of a copy cannot use what names answers to come")
        value = self._defs[number]
        if value is _UNMADE:
            raise InsecureJelly(
                f"the copy {number} stands inside itself, and is made of its complete state: "
                "only a class that is made without it can be there already"
            )
        return value

    def _untag_copy(self, tagged: Tagged, depth: int, number: int | None = None) -> Any:
        """A copy, which is *number* for what stands inside of it."""
        name = self.text(tagged, "type")
        maker = self._flavors.maker(name)
        blank = _UNMADE if maker.blank is None else self.run(name, maker.blank)
        if number is not None:
            self._defs[number] = blank
        copy = self.fill(name, maker, blank, tagged, depth)
        if number is not None:
            self._defs[number] = copy
        return copy

    def fill(self, name: str, maker: Maker, blank: Any, tagged: Tagged, depth: int) -> Any:
        """The copy that *maker* makes of the *blank* one and the ``state`` of *tagged*.

        Raises:
            Error: the state cannot be decoded, or is refused.
        """
        if "state" not in tagged:
            raise InsecureJelly(f"a tagged {tagged['$']!r} needs a 'state'")
        self._in_copies += 1
        state = self._place(self.decode(tagged["state"], depth + 1), None, None)
        self._in_copies -= 1
        copy = self.run(name, maker.fill, blank, state, self._look_at)
        if hasattr(type(copy), "postUnjelly"):
            self._post.append((name, copy))
        return copy

    def run(self, name: str, work: Callable[..., Any], *args: Any) -> Any:
        """Run code of the application's: what it raises is a failure of this frame alone."""
        try:
            return work(*args)
        except BaseException as fault:  # sys.exit() too
            if isinstance(fault, Error) and not isinstance(fault, ProtocolError):
                raise
            what = f"a copy of the type {name[:64]!a} cannot be made"
            self._flavors.report_fault(what, fault)
            raise InsecureJelly(f"{what}: its class raised {type(fault).__name__}") from fault

    def _look_at(self, items: int) -> None:
        """A class looks at *items* more; what is used twice is looked at twice."""
        self._looked_at += items
        if self._looked_at > self.limits.message:
            raise LimitExceeded("message: what is used again and again in copies is too much")

    def _untag_dict(self, tagged: Tagged, depth: int) -> dict[Any, Any]:
        return self._fill_dict({}, tagged, depth)

    def _fill_dict(self, made: dict[Any, Any], tagged: Tagged, depth: int) -> dict[Any, Any]:
        spread = _Spread()
        for pair in self._items(tagged, depth):
            if type(pair) is not list or len(pair) != 2:
                raise InsecureJelly("the items of a tagged 'dict' are pairs")
            self._deeper(depth + 2)
            key = self._hashable(self.decode(pair[0], depth + 3))
            spread.add(key)
            if type(pair[1]) is dict and key in NEVER_REFERENCES:
                _refuse_callable(key, pair[1])
            made[key] = self._place(self.decode(pair[1], depth + 3), made, key)
        return made

    def _untag_set(self, tagged: Tagged, depth: int) -> set[Any]:
        made: set[Any] = set()
        spread = _Spread()
        for item in self._items(tagged, depth):
            member = self._hashable(self.decode(item, depth + 2))
            spread.add(member)
            made.add(member)
        return made

    def _hashable(self, value: Any, depth: int = 0) -> Any:
        """*value* as a key or member of a set: lists become tuples.

        A list of lists that are used twice each grows without bound when it is hashed: the
        parts of a frame's keys are counted.
        """
        kind = type(value)
        if kind is list:
            self._key_parts += len(value)
            if self._key_parts > MAX_KEY_PARTS or depth > self.limits.depth:
                raise LimitExceeded("depth: a key or a member of a set is too large")
            return tuple(self._hashable(item, depth + 1) for item in value)
        if kind is Pending:
            raise InsecureJelly("a key or a member of a set cannot be hashed")
        try:
            hash(value)
        except Exception:  # whatever the class of a copy raises
            raise InsecureJelly("a key or a member of a set cannot be hashed") from None
        return value

    def _untag_frozenset(self, tagged: Tagged, depth: int) -> frozenset[Any]:
        return frozenset(self._untag_set(tagged, depth))

    def _untag_bytes(self, tagged: Tagged, _depth: int) -> bytes | memoryview:
        if "at" in tagged:
            return self._attachment(tagged["at"])
        try:
            return base64.b64decode(self.text(tagged, "base64"), validate=True)
        except (binascii.Error, ValueError):
            raise InsecureJelly("the base64 of a tagged 'bytes' is not valid") from None

    def _attachment(self, at: Any) -> bytes:
        if self.attachments is None:
            raise ProtocolError("bytes beside a text message")
        return bytes(self.attachments[at])  # a view would keep the whole message

    def _untag_int(self, tagged: Tagged, _depth: int) -> int:
        text = self.text(tagged)
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise InsecureJelly("the value of a tagged 'int' is not decimal digits")
        if len(digits) > self.limits.digits:
            raise LimitExceeded(
                f"digits: an integer has {len(digits)}, {self.limits.digits} are allowed"
            )
        try:
            return int(text)
        except ValueError:  # more digits than Python itself takes
            raise LimitExceeded(f"digits: an integer has {len(digits)}") from None

    def _untag_float(self, tagged: Tagged, _depth: int) -> float:
        text = self.text(tagged)
        special = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "-0": -0.0}
        if text in special:
            return special[text]
        if not _FLOAT.fullmatch(text) or not isfinite(value := float(text)):
            raise InsecureJelly("the value of a tagged 'float' is no number")
        return value

    def _untag_decimal(self, tagged: Tagged, _depth: int) -> Decimal:
        text = self.text(tagged)
        if len(text) > self.limits.digits:
            raise LimitExceeded(
                f"digits: a decimal has {len(text)}, {self.limits.digits} are allowed"
            )
        if not _DECIMAL.fullmatch(text):
            raise InsecureJelly("the value of a tagged 'decimal' is no number")
        try:
            return Decimal(text)
        except InvalidOperation:
            raise InsecureJelly("the value of a tagged 'decimal' is no number") from None

    def _untag_time_of(self, kind: Any, tagged: Tagged) -> Any:
        text = self.text(tagged)
        try:
            if not _ISO[kind].fullmatch(text):  # there is more in ISO 8601 than in the protocol
                raise ValueError
            return kind.fromisoformat(text)
        except ValueError:
            raise InsecureJelly(f"the value of a tagged {tagged['$']!r} is not ISO 8601") from None

    def _untag_timedelta(self, tagged: Tagged, _depth: int) -> timedelta:
        text = self.text(tagged, "seconds")
        try:
            if not _SECONDS.fullmatch(text):
                raise OverflowError
            return timedelta(microseconds=int(Decimal(text) * 1_000_000))
        except OverflowError:
            raise InsecureJelly("the seconds of a tagged 'timedelta' are no number") from None


_UNMADE: Any = object()
"""Stands for a copy that cannot be there before its state is."""

_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
_ZONE = r"(Z|[+-]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?"
_ISO = {
    datetime: re.compile(f"{_DAY}T{_CLOCK}{_ZONE}", re.ASCII),
    date: re.compile(_DAY, re.ASCII),
    time: re.compile(_CLOCK + _ZONE, re.ASCII),
}
_SECONDS = re.compile(r"-?\d{1,14}(\.\d{1,6})?", re.ASCII)
_DECIMAL = re.compile(
    r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf(inity)?|s?nan\d*)", re.ASCII | re.IGNORECASE
)
_FLOAT = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


def _refuse_callable(key: str, item: Json) -> None:
    if is_reference(item):
        raise InsecureJelly(f"a reference may not stand under the key {key!r}")


_UNTAG: dict[str, Callable[[Unjellier, Tagged, int], Any]] = {
    "def": Unjellier._untag_def,
    "use": Unjellier._untag_use,
    "copy": Unjellier._untag_copy,
    "dict": Unjellier._untag_dict,
    "set": Unjellier._untag_set,
    "frozenset": Unjellier._untag_frozenset,
    "bytes": Unjellier._untag_bytes,
    "int": Unjellier._untag_int,
    "float": Unjellier._untag_float,
    "decimal": Unjellier._untag_decimal,
    "datetime": lambda self, tagged, _depth: self._untag_time_of(datetime, tagged),
    "date": lambda self, tagged, _depth: self._untag_time_of(date, tagged),
    "time": lambda self, tagged, _depth: self._untag_time_of(time, tagged),
    "timedelta": Unjellier._untag_timedelta,
}
