"""Values to JSON and back (protocol section 2).

Plain JSON data is never walked: `dumps` hands it to the JSON library whole, and a message
without a ``"$"`` key is decoded when the parser is done. What needs a tag is walked, exactly.

What a value means to a session (references, promises, failures) is not known here: the
`Flavors` that the broker passes in turn such objects into tagged values and back.
"""

from __future__ import annotations

import base64
import binascii
import gc
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from itertools import compress, count
from math import isfinite
from typing import Any, NoReturn, Protocol
from uuid import UUID

import orjson

from .errors import InsecureJelly, LimitExceeded, ProtocolError, type_name
from .frames import MAX_INTEGER
from .limits import Limits

__all__ = ["Flavors", "Jellier", "Pending", "Unjellier", "goes_as_it_is", "has_tags", "introductions", "snapshot"]

Json = Any
Tagged = dict[str, Any]

_SHORT = 4096  # characters of a string that is not looked at twice
ATTACH_ABOVE = 1024
"""Bytes from which on a ``bytes`` value is attached to its frame (protocol section 8)."""

_OPTIONS = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_CONTAINERS = frozenset({list, dict, tuple})
_FLOATS = frozenset({float})
_PLAIN_SCALARS = frozenset({bool, type(None)})
_NEVER_REFERENCES = frozenset({"then", "toJSON"})  # an await or JSON.stringify would call them


class Flavors(Protocol):
    """Turns objects that mean something to a session into tagged values and back."""

    def jelly(self, value: Any, jellier: Jellier) -> Tagged | None:
        """The tagged value for *value*, or None if it is of no flavor."""

    def unjelly(self, tag: str, tagged: Tagged, unjellier: Unjellier) -> Any:
        """The object for *tagged*. Raises InsecureJelly for a tag that is unknown."""


def has_tags(data: bytes) -> bool:
    """Whether a tagged value may stand in the text; the rare byte is searched for first."""
    return (b"$" in data and b'"$"' in data) or (b"\\" in data and b"\\u0024" in data)


def introductions(frame: Json) -> Iterable[Any]:
    """The ids of every object in *frame* that would introduce one of the sender's objects."""
    waiting = [frame]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            if value.get("$") in ("remote", "stream", "cache", "cached"):
                yield value.get("id")
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)


def snapshot(value: Any) -> Any:
    """A copy of the containers in *value*: what the peer would have sent back."""
    copies: dict[int, Any] = {}

    def copied(item: Any) -> Any:
        kind = type(item)
        if kind not in _CONTAINERS:
            return item
        if id(item) not in copies:
            if kind is dict:
                copies[id(item)] = made = {}
                made.update((key, copied(inner)) for key, inner in item.items())
            else:
                copies[id(item)] = made_list = []
                made_list.extend(map(copied, item))
        return copies[id(item)]

    return copied(value)


class Jellier:
    """Encodes the values of one frame.

    `attachments` holds the bytes that travel beside the frame, `handed` the ids that were
    handed out in it: the broker takes them back when the frame does not go out. `size` is
    about how many bytes the values take.
    """

    __slots__ = (
        "_defs", "_flavors", "_numbers", "_path", "_shared",
        "attach", "attachments", "handed", "limits", "size",
    )

    def __init__(self, flavors: Flavors, limits: Limits, *, attach: bool = False) -> None:
        self._flavors = flavors
        self.limits = limits
        self.attach = attach
        self.attachments: list[bytes] = []
        self.handed: list[int] = []
        self.size = 0
        self._numbers = count(1)  # of the values that stand more than once

    def encode(self, value: Any, place: str = "answer") -> Json:
        """*value* as something that `orjson.dumps` takes: a scalar, or an encoded fragment.

        Args:
            place: what the value is, for the path in an error.

        Raises:
            InsecureJelly: the value cannot cross; the text has its type and the path to it.
            LimitExceeded: it is nested too deep, or an integer has too many digits.
        """
        kind = type(value)
        if kind is str:
            if _is_well_formed(value):
                self.size += len(value)
                return value
        elif kind in _CONTAINERS:
            data = _dump_plain(value)
            if data is not None and (_is_flat(data) or _is_exact(value, self.limits.depth)):
                return self._fragment(data)
        elif goes_as_it_is(value):
            return value
        self._begin(value, place)
        encoded = self._walk(value, 0)
        if type(encoded) in _CONTAINERS:
            return self._fragment(orjson.dumps(encoded))
        return encoded

    def encode_call(self, args: Sequence[Any], kw: dict[str, Any]) -> tuple[Json, Json]:
        """``args`` and ``kw`` of one frame, which share what stands in both; as `encode`."""
        first, second = _dump_plain(args), _dump_plain(kw)
        if (
            first is not None
            and second is not None
            and ((_is_flat(first) and not kw) or _is_exact((args, kw), self.limits.depth + 2))
        ):
            return self._fragment(first), self._fragment(second)
        self._begin((args, kw), "args")
        encoded = orjson.dumps(self._list(args, -1))
        self._path = ["kw"]
        named = {}
        for key, value in kw.items():
            self._path.append(key)
            named[key] = self._walk(value, 0)
            self._path.pop()
        return self._fragment(encoded), self._fragment(orjson.dumps(named))

    def _begin(self, value: Any, place: str) -> None:
        self._path: list[Any] = [place]
        self._shared = _shared_containers(value, self.limits.depth + 2)
        self._defs: dict[int, int] = {}

    def encode_more(self, value: Any) -> Json:
        """Encode, in the midst of a walk, the value that an object of a flavor stands for."""
        inner = Jellier(self._flavors, self.limits, attach=self.attach)
        inner.attachments, inner.handed, inner._numbers = (
            self.attachments,
            self.handed,
            self._numbers,
        )
        encoded = inner.encode(value, self.path())
        self.size += inner.size
        return encoded

    def _fragment(self, data: bytes) -> orjson.Fragment:
        self.size += len(data)
        return orjson.Fragment(data)

    def _walk(self, value: Any, depth: int) -> Json:
        kind = type(value)
        if kind is str:
            if not _is_well_formed(value):
                self._refuse("a string with a lone surrogate, which is no text")
            return value
        if kind is int:
            return value if -MAX_INTEGER <= value <= MAX_INTEGER else self._big_integer(value)
        if kind in _PLAIN_SCALARS:
            return value
        if kind is float:
            return value if isfinite(value) else {"$": "float", "value": repr(value)}
        if kind in _WALKERS:
            return self._walk_container(value, kind, depth)
        simple = _SIMPLE.get(kind)
        if simple is not None:
            self._deeper(depth)
            return simple(value)
        if isinstance(value, Enum):
            return self._walk(value.value, depth)
        if isinstance(value, UUID):
            return str(value)
        if kind in (bytes, bytearray, memoryview):
            self._deeper(depth)
            return self._bytes(bytes(value))
        return self._walk_flavor(value, depth)

    def _walk_flavor(self, value: Any, depth: int) -> Tagged:
        self._deeper(depth)
        tagged = self._flavors.jelly(value, self)
        if tagged is None:
            self._refuse(_what_to_do(value))
        if self._path[-1] in _NEVER_REFERENCES and _is_reference(tagged):
            self._refuse(f"a reference under the key {self._path[-1]!r}, which a page would call")
        return tagged

    def _walk_container(self, value: Any, kind: type, depth: int) -> Json:
        shared = self._shared.get(id(value))
        if not shared:
            self._deeper(depth)
            return _WALKERS[kind](self, value, depth)
        known = self._defs.get(id(value))
        self._deeper(depth)
        if known is not None:
            return {"$": "use", "id": known}
        number = self._defs[id(value)] = next(self._numbers)
        self._deeper(depth + 1)
        return {"$": "def", "id": number, "value": _WALKERS[kind](self, value, depth + 1)}

    def _deeper(self, depth: int) -> None:
        if depth >= self.limits.depth:
            raise LimitExceeded(
                f"depth: the value at {self.path()} is nested deeper than {self.limits.depth}"
            )

    def _list(self, value: Iterable[Any], depth: int) -> list[Json]:
        encoded = []
        for index, item in enumerate(value):
            self._path.append(index)
            encoded.append(self._walk(item, depth + 1))
            self._path.pop()
        return encoded

    def _dict(self, value: dict[Any, Any], depth: int) -> Json:
        if "$" in value or not all(type(key) is str for key in value):
            return self._dict_of_pairs(value, depth)
        encoded = {}
        for key, item in value.items():
            self._path.append(key)
            if not _is_well_formed(key):
                self._refuse("a key with a lone surrogate, which is no text")
            encoded[key] = self._walk(item, depth + 1)
            self._path.pop()
        return encoded

    def _dict_of_pairs(self, value: dict[Any, Any], depth: int) -> Tagged:
        self._deeper(depth + 1)
        items = []
        for key, item in value.items():
            self._path.append(key)
            self._deeper(depth + 2)
            items.append([self._walk(key, depth + 3), self._walk(item, depth + 3)])
            self._path.pop()
        return {"$": "dict", "items": items}

    def _set(self, value: set[Any] | frozenset[Any], depth: int) -> Tagged:
        self._deeper(depth + 1)
        tag = "set" if type(value) is set else "frozenset"
        return {"$": tag, "items": self._list(value, depth + 1)}

    def _big_integer(self, value: int) -> Tagged:
        # 10 ** digits has a little more than 3.32 bits a digit: cheap to see before any conversion
        if value.bit_length() > 4 * self.limits.digits or len(str(abs(value))) > self.limits.digits:
            raise LimitExceeded(
                f"digits: the integer at {self.path()} has more than {self.limits.digits} digits"
            )
        return {"$": "int", "value": str(value)}

    def _bytes(self, value: bytes) -> Tagged:
        if self.attach and len(value) > ATTACH_ABOVE:
            self.attachments.append(value)
            return {"$": "bytes", "at": len(self.attachments) - 1}
        return {"$": "bytes", "base64": base64.b64encode(value).decode()}

    def _refuse(self, what: str) -> NoReturn:
        raise InsecureJelly(f"{self.path()} cannot be sent: it is {what}")

    def path(self) -> str:
        """Where the walk stands, as ``args[0].items[3]``."""
        return "".join(
            part if at == 0 else f"[{part}]" if type(part) is int else _key_in_path(part)
            for at, part in enumerate(self._path)
        )


def _key_in_path(key: Any) -> str:
    if type(key) is str and key.isidentifier():
        return f".{key}"
    return f"[{ascii(key)[:60]}]"


def _what_to_do(value: Any) -> str:
    kind = type(value)
    advice = "only plain values, functions and pbweb's flavors (Referenceable, …) cross"
    for plain in (str, int, float, dict, list, tuple, set):
        if isinstance(value, plain):
            advice = f"pass {plain.__name__}(…) of it"
    return f"of the class {type_name(kind)}; {advice}"


def _is_well_formed(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def goes_as_it_is(value: Any) -> bool:
    """Whether *value* is a scalar that JSON carries exactly, and a short one if it is a string."""
    kind = type(value)
    if kind is str:
        return len(value) <= _SHORT and value.isascii()
    if kind is int:
        return bool(-MAX_INTEGER <= value <= MAX_INTEGER)
    return value is None or kind is bool or (kind is float and isfinite(value))


def _dump_plain(value: Any) -> bytes | None:
    """The JSON of *value* if it is plain data or nearly so, None if it must be walked."""
    tagged = 0

    def leaf(item: Any) -> Tagged:
        nonlocal tagged
        tagged += 1
        return _SIMPLE[type(item)](item)

    try:
        data = orjson.dumps(value, leaf, _OPTIONS)
    except (TypeError, RecursionError):
        return None
    return data if data.count(b'"$":') == tagged else None


def _is_flat(data: bytes) -> bool:
    """Whether the text is of one container without null: nothing shared, deep, or lost in it."""
    return b"null" not in data and data.count(b"[") + data.count(b"{") == 1


def _is_exact(value: Any, depth: int) -> bool:
    """Whether *value* has no shared container, no NaN, and is not deeper than *depth*.

    Goes down level by level, with every loop inside the interpreter's C code. A tagged leaf
    (a datetime, say) is a level of the text that is not seen here: it costs one of *depth*.
    """
    depth -= 1  # for a tagged leaf
    level = [value]
    seen: set[int] = set()
    total = 0
    while level:
        depth -= 1
        total += len(level)
        seen.update(map(id, level))
        if depth < 0 or len(seen) != total:
            return False
        items = gc.get_referents(*level)
        kinds = list(map(type, items))
        present = set(kinds)
        if float in present and not all(
            map(isfinite, compress(items, map(_FLOATS.__contains__, kinds)))
        ):
            return False
        level = (
            list(compress(items, map(_CONTAINERS.__contains__, kinds)))
            if present & _CONTAINERS
            else []
        )
    return True


def _shared_containers(value: Any, depth: int) -> dict[int, bool]:
    """Which lists, dicts and sets (by id) stand more than once, or in themselves.

    A tuple counts only when it stands in itself: it is a value, and `()` is shared by all.
    """
    shared: dict[int, bool] = {}
    above: set[int] = set()

    def look(item: Any) -> None:
        kind = type(item)
        if kind not in _WALKERS:
            return
        key = id(item)
        if kind in (tuple, frozenset):
            if key in above:
                shared[key] = True
                return
        elif key in shared:
            shared[key] = True
            return
        else:
            shared[key] = False
        if len(above) > depth + 1:
            raise LimitExceeded(f"depth: the value is nested deeper than {depth}")
        above.add(key)
        for inner in item.items() if kind is dict else (item,):
            for part in inner:
                look(part)
        above.discard(key)

    look(value)
    return shared


def _tag(tag: str, key: str, text: Callable[[Any], str]) -> Callable[[Any], Tagged]:
    def tagged(value: Any) -> Tagged:
        return {"$": tag, key: text(value)}

    return tagged


def _seconds(value: timedelta) -> str:
    """A decimal string of seconds, exact to the microsecond."""
    whole = value.days * 86_400 + value.seconds
    if not value.microseconds:
        return str(whole)
    total = whole * 1_000_000 + value.microseconds
    sign, total = ("-", -total) if total < 0 else ("", total)
    return f"{sign}{total // 1_000_000}.{total % 1_000_000:06}".rstrip("0")


_SIMPLE: dict[type, Callable[[Any], Tagged]] = {
    Decimal: _tag("decimal", "value", str),
    datetime: _tag("datetime", "value", datetime.isoformat),
    date: _tag("date", "value", date.isoformat),
    time: _tag("time", "value", time.isoformat),
    timedelta: _tag("timedelta", "seconds", _seconds),
}

_WALKERS: dict[type, Callable[[Jellier, Any, int], Json]] = {
    list: Jellier._list,
    tuple: Jellier._list,
    dict: Jellier._dict,
    set: Jellier._set,
    frozenset: Jellier._set,
}


class Pending:
    """Stands in a decoded value for an answer that is not there yet."""

    __slots__ = ("path", "request")

    def __init__(self, request: int, path: list[str | int]) -> None:
        self.request = request
        self.path = path


class Unjellier:
    """Decodes the values of one frame, in place.

    `received` collects the ids of the sender's objects, to be counted when the whole
    frame was decoded; `pending` the places of answers that are not there yet.
    """

    __slots__ = ("_defs", "_flavors", "_used", "attachments", "limits", "pending", "received")

    def __init__(
        self, flavors: Flavors, limits: Limits, attachments: list[memoryview] | None = None
    ) -> None:
        self._flavors = flavors
        self.limits = limits
        self.attachments = attachments
        self.received: list[int] = []
        self.pending: list[tuple[Any, Any, Pending]] = []
        self._defs: dict[int, Any] = {}
        self._used: set[int] = set()

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
                if type(item) in _CONTAINERS:
                    value[index] = self._place(self.decode(item, depth + 1), value, index)
            return value
        if kind is dict:
            self._deeper(depth)
            if "$" in value:
                return self._tagged(value, depth)
            for key, item in value.items():
                if type(item) in _CONTAINERS:
                    if key in _NEVER_REFERENCES:
                        _refuse_callable(key, item)
                    value[key] = self._place(self.decode(item, depth + 1), value, key)
        return value

    def decode_arguments(self, values: Json) -> None:
        """Decode ``args`` or ``kw`` in place: neither is a value, so neither counts nor is tagged."""
        for key, item in enumerate(values) if type(values) is list else list(values.items()):
            if key in _NEVER_REFERENCES:
                _refuse_callable(key, item)
            values[key] = self._place(self.decode(item), values, key)

    def check_attachments(self) -> None:
        """Raises ProtocolError (4400) if bytes beside the frame stand nowhere in it."""
        if self.attachments is not None and len(self._used) != len(self.attachments):
            raise ProtocolError("bytes beside the frame that stand nowhere in it")

    def _place(self, value: Any, container: Any, key: Any) -> Any:
        if type(value) is Pending:
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
            return self._flavors.unjelly(tag, tagged, self)
        return known(self, tagged, depth)

    def _text(self, tagged: Tagged, key: str = "value") -> str:
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
        if type(number) is not int:
            raise InsecureJelly(f"a tagged {tagged['$']!r} needs a whole number 'id'")
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
            raise InsecureJelly("only a list, dict or set may be defined for later use")
        tag = value.get("$")
        if "$" not in value:
            self._defs[number] = value
            return self.decode(value, depth + 1)
        if tag == "dict":
            made: dict[Any, Any] = {}
            self._defs[number] = made
            return self._fill_dict(made, value, depth + 1)
        if tag not in ("set", "frozenset"):
            raise InsecureJelly("only a list, dict or set may be defined for later use")
        self._defs[number] = result = self.decode(value, depth + 1)
        return result

    def _untag_use(self, tagged: Tagged, _depth: int) -> Any:
        number = self._def_id(tagged)
        if number not in self._defs:
            raise InsecureJelly(f"the value {number} is used but not defined before")
        return self._defs[number]

    def _untag_dict(self, tagged: Tagged, depth: int) -> dict[Any, Any]:
        return self._fill_dict({}, tagged, depth)

    def _fill_dict(self, made: dict[Any, Any], tagged: Tagged, depth: int) -> dict[Any, Any]:
        for pair in self._items(tagged, depth):
            if type(pair) is not list or len(pair) != 2:
                raise InsecureJelly("the items of a tagged 'dict' are pairs")
            self._deeper(depth + 2)
            key = _hashable(self.decode(pair[0], depth + 3))
            if type(pair[1]) is dict and key in _NEVER_REFERENCES:
                _refuse_callable(key, pair[1])
            made[key] = self._place(self.decode(pair[1], depth + 3), made, key)
        return made

    def _untag_set(self, tagged: Tagged, depth: int) -> set[Any]:
        return {
            _hashable(self.decode(item, depth + 2)) for item in self._items(tagged, depth)
        }

    def _untag_frozenset(self, tagged: Tagged, depth: int) -> frozenset[Any]:
        return frozenset(self._untag_set(tagged, depth))

    def _untag_bytes(self, tagged: Tagged, _depth: int) -> bytes | memoryview:
        if "at" in tagged:
            return self._attachment(tagged["at"])
        try:
            return base64.b64decode(self._text(tagged, "base64"), validate=True)
        except (binascii.Error, ValueError):
            raise InsecureJelly("the base64 of a tagged 'bytes' is not valid") from None

    def _attachment(self, at: Any) -> bytes:
        if self.attachments is None or type(at) is not int or not 0 <= at < len(self.attachments):
            raise ProtocolError(f"there is no attachment {at!r} beside this frame")
        if at in self._used:
            raise ProtocolError(f"the attachment {at} is used twice")
        self._used.add(at)
        return bytes(self.attachments[at])

    def _untag_int(self, tagged: Tagged, _depth: int) -> int:
        text = self._text(tagged)
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise InsecureJelly("the value of a tagged 'int' is not decimal digits")
        if len(digits) > self.limits.digits:
            raise LimitExceeded(
                f"digits: an integer has {len(digits)}, {self.limits.digits} are allowed"
            )
        return int(text)

    def _untag_float(self, tagged: Tagged, _depth: int) -> float:
        text = self._text(tagged)
        special = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "-0": -0.0}
        if text in special:
            return special[text]
        if not _FLOAT(text):
            raise InsecureJelly("the value of a tagged 'float' is no number")
        return float(text)

    def _untag_decimal(self, tagged: Tagged, _depth: int) -> Decimal:
        text = self._text(tagged)
        if len(text) > self.limits.digits:
            raise LimitExceeded(
                f"digits: a decimal has {len(text)}, {self.limits.digits} are allowed"
            )
        try:
            return Decimal(text)
        except InvalidOperation:
            raise InsecureJelly("the value of a tagged 'decimal' is no number") from None

    def _untag_time_of(self, kind: Any, tagged: Tagged) -> Any:
        try:
            return kind.fromisoformat(self._text(tagged))
        except ValueError:
            raise InsecureJelly(f"the value of a tagged {tagged['$']!r} is not ISO 8601") from None

    def _untag_timedelta(self, tagged: Tagged, _depth: int) -> timedelta:
        text = self._text(tagged, "seconds")
        try:
            if len(text) > 32 or not _FLOAT(text):
                raise InvalidOperation
            return timedelta(microseconds=int(Decimal(text) * 1_000_000))
        except (InvalidOperation, OverflowError):
            raise InsecureJelly("the seconds of a tagged 'timedelta' are no number") from None


def _FLOAT(text: str) -> bool:  # noqa: N802
    """Whether *text* is a finite decimal number and nothing else (no spaces, no underscores)."""
    return text.isascii() and not set(text) - set("0123456789+-.eE") and _parses(text)


def _parses(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _hashable(value: Any) -> Any:
    """*value* as a key or member of a set: lists become tuples, sets frozensets."""
    kind = type(value)
    if kind is list:
        return tuple(map(_hashable, value))
    if kind is set:
        return frozenset(value)
    if kind is dict or kind is Pending:
        raise InsecureJelly("a key or a member of a set cannot be hashed")
    try:
        hash(value)
    except TypeError:
        raise InsecureJelly("a key or a member of a set cannot be hashed") from None
    return value


def _is_reference(item: Json) -> bool:
    return type(item) is dict and item.get("$") in ("remote", "local", "answer")


def _refuse_callable(key: str, item: Json) -> None:
    if _is_reference(item):
        raise InsecureJelly(f"a reference may not stand under the key {key!r}")


_UNTAG: dict[str, Callable[[Unjellier, Tagged, int], Any]] = {
    "def": Unjellier._untag_def,
    "use": Unjellier._untag_use,
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

