"""Values to JSON (protocol section 2); the way back is in `unjelly`.

Plain JSON data is never walked: it goes to the JSON library whole, and checks that run in
the interpreter's C code tell whether anything was lost. What needs a tag is walked, exactly.

What a value means to a session (references, promises, failures) is not known here: the
`Flavors` that the broker passes in turn such objects into tagged values and back.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from gc import get_referents, is_tracked
from itertools import compress, count
from math import isfinite
from sys import getrefcount
from typing import Any, NoReturn, Protocol
from uuid import UUID

import orjson

from .caching import Cacheable, CacheExport, import_of
from .errors import InsecureJelly, LimitExceeded, type_name
from .flavors import is_copyable
from .frames import MAX_INTEGER
from .limits import Limits

__all__ = [
    "CONTAINERS",
    "NEVER_REFERENCES",
    "SHORT",
    "SIMPLE",
    "Encoded",
    "Flavors",
    "Jellier",
    "Json",
    "Tagged",
    "goes_as_it_is",
    "is_reference",
    "is_well_formed",
    "plain_type",
    "size_as_it_is",
    "treat_as",
    "what_to_do",
]

Json = Any
Tagged = dict[str, Any]
_Copied = tuple[Any, str, Any]  # what is copied, its type, its state

_SHORT_DIGITS = 100  # of a decimal that surely is within the limit
SHORT = 4096  # characters of a string that is not looked at twice
ATTACH_ABOVE = 1024
"""Bytes from which on a ``bytes`` value is attached to its frame (protocol section 8)."""

_OPTIONS = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
CONTAINERS = frozenset({list, dict, tuple})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_FLOATS = frozenset({float})
_PLAIN_SCALARS = frozenset({bool, type(None)})
NEVER_REFERENCES = frozenset({"then", "toJSON"})  # an await or JSON.stringify would call them


class Encoded:
    """A value that was encoded before; nothing of it belongs to a session."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Flavors(Protocol):
    """Turns objects that mean something to a session into tagged values."""

    def jelly(self, value: Any, jellier: Jellier) -> Tagged | None:
        """The tagged value for *value*, or None if it is of no flavor."""

    def copied(self, value: Any, perspective: Any) -> tuple[str, Any]:
        """The type and the state of a copyable *value*, as the peer gets to see them.

        Args:
            perspective: the avatar that the frame is for; None without a login.
        """

    def cached(self, value: Cacheable, jellier: Jellier) -> tuple[str, Any] | None:
        """The type and the state of *value*, if the peer has no copy of it yet."""


class Jellier:
    """Encodes the values of one frame.

    `attachments` holds the bytes that travel beside the frame, `handed` what was handed out in it
    (luids, and caches), `begun` the caches that are new to the peer: the broker takes them back
    when the frame does not go out; `answers` the requests that it names, whose answers are not
    there yet. `size` is about how many bytes the values take, `perspective` the avatar that they
    are made for.
    """

    __slots__ = (
        "_copies",
        "_defs",
        "_flavors",
        "_numbers",
        "_path",
        "_shared",
        "answers",
        "attach",
        "attachments",
        "begun",
        "handed",
        "in_copies",
        "limits",
        "perspective",
        "size",
    )

    def __init__(
        self, flavors: Flavors, limits: Limits, *, attach: bool = False, perspective: Any = None
    ) -> None:
        self._flavors = flavors
        self.limits = limits
        self.attach = attach
        self.perspective = perspective
        self.attachments: list[bytes] = []
        self.handed: list[int | CacheExport] = []
        self.begun: list[CacheExport] = []
        self.answers: list[int] = []
        self.size = 0
        self.in_copies = 0  # in how many copies' states the walk stands
        self._path: list[Any] = []
        self._shared: dict[int, bool] = {}
        self._defs: dict[int, int] = {}
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
            if is_well_formed(value):
                self.size += len(value)
                return value
        elif kind in CONTAINERS:
            plain = _dump_plain((value,), self.limits.depth)
            if plain is not None:
                return self._fragment(plain[0])
        elif goes_as_it_is(value):
            return value
        self._begin(value, place)
        encoded = self._walk(value, 0)
        if type(encoded) in CONTAINERS:
            return self._fragment(orjson.dumps(encoded))
        return encoded

    def encode_call(self, args: Sequence[Any], kw: dict[str, Any]) -> tuple[Json, Json]:
        """``args`` and ``kw`` of one frame, which share what stands in both; as `encode`."""
        plain = _dump_plain((args, kw), self.limits.depth + 1)
        if plain is not None:
            return self._fragment(plain[0]), self._fragment(plain[1])
        self._begin((args, kw), "args")
        encoded = orjson.dumps(self._list(args, -1))
        self._path[:] = ["kw"]
        named = {}
        for key, value in kw.items():
            self._path.append(key)
            if not is_well_formed(key):
                self._refuse("under a name with a lone surrogate, which is no text")
            named[key] = self._walk(value, 0)
            self._path.pop()
        return self._fragment(encoded), self._fragment(orjson.dumps(named))

    def _begin(self, value: Any, place: str) -> None:
        self._path = [place]
        self._copies: dict[int, _Copied] = {}  # by id(): each is asked for its state once
        self._shared = _shared_values(value, self.limits.depth + 2, self._copied)
        self._defs = {}

    def encode_more(
        self, value: Any, place: str | None = None, limits: Limits | None = None
    ) -> Json:
        """Encode, in the midst of a walk, the value that an object of a flavor stands for.

        Args:
            place: what the value is, for the path in an error; by default where the walk stands.
            limits: what it is within; by default what all is.
        """
        inner = Jellier(
            self._flavors,
            limits or self.limits,
            attach=self.attach,
            perspective=self.perspective,
        )
        inner.attachments, inner.handed, inner.begun, inner.answers, inner._numbers = (
            self.attachments,
            self.handed,
            self.begun,
            self.answers,
            self._numbers,
        )
        encoded = inner.encode(value, place or self.path())
        self.size += inner.size
        return encoded

    def _fragment(self, data: bytes) -> orjson.Fragment:
        self.size += len(data)
        return orjson.Fragment(data)

    def _walk(self, value: Any, depth: int) -> Json:
        kind = type(value)
        if kind is str:
            if not is_well_formed(value):
                self._refuse("a string with a lone surrogate, which is no text")
            return value
        if kind is int:
            return value if -MAX_INTEGER <= value <= MAX_INTEGER else self._big_integer(value)
        if kind in _PLAIN_SCALARS:
            return value
        if kind is float:
            return value if isfinite(value) else {"$": "float", "value": repr(value)}
        if kind in _WALKERS:
            return self._walk_shared(value, _WALKERS[kind], depth)
        simple = SIMPLE.get(kind)
        if simple is not None:
            self._deeper(depth)
            if kind is Decimal and len(str(value)) > self.limits.digits:
                raise LimitExceeded(
                    f"digits: the decimal at {self.path()} has more than {self.limits.digits}"
                )
            return simple(value)
        if isinstance(value, Enum):
            return self._walk(value.value, depth)
        if isinstance(value, UUID):
            return str(value)
        if kind in (bytes, bytearray, memoryview):
            self._deeper(depth)
            return self._bytes(bytes(value))
        return self._walk_flavor(value, depth)

    def _copied(self, value: Any) -> _Copied | None:
        """*value*, with its type and its state for this frame; None if no state goes along."""
        if isinstance(value, Cacheable):
            return self._cached(value)
        if not is_copyable(type(value)) or import_of(value) is not None:
            return None
        known = self._copies.get(id(value))
        if known is None:
            known = self._copies[id(value)] = (
                value,
                *self._flavors.copied(value, self.perspective),
            )
        return known

    def _cached(self, value: Cacheable) -> _Copied | None:
        """*value*, with its type and its state, if it is new to the peer; only the first time."""
        if id(value) in self._copies or import_of(value) is not None:
            return None
        new = self._flavors.cached(value, self)
        if new is None:
            return None
        known = self._copies[id(value)] = (value, *new)
        return known

    def _copy(self, value: Any, depth: int) -> Tagged:
        _, name, state = self._copies[id(value)]
        self._check_type(name)
        return {"$": "copy", "type": name, "state": self._walk_state(state, depth)}

    def _check_type(self, name: Any) -> None:
        if type(name) is not str or not is_well_formed(name):
            self._refuse(f"of the type {name!a}, which is no name")

    def _walk_state(self, state: Any, depth: int) -> Json:
        self.in_copies += 1
        encoded = self._walk(state, depth + 1)
        self.in_copies -= 1
        return encoded

    def _walk_flavor(self, value: Any, depth: int) -> Json:
        if type(value) is Encoded:
            return orjson.Fragment(value.data)
        copied = self._copies.get(id(value))
        if copied is not None and not isinstance(value, (BaseException, Cacheable)):
            return self._walk_shared(value, Jellier._copy, depth)
        self._deeper(depth)
        tagged = self._flavors.jelly(value, self)
        if tagged is None:
            self._refuse(what_to_do(value))
        if copied is not None and tagged["$"] != "cached":
            self._check_type(tagged["type"])
            tagged["state"] = self._walk_state(copied[2], depth)
        if self._path[-1] in NEVER_REFERENCES and is_reference(tagged):
            self._refuse(f"a reference under the key {self._path[-1]!r}, which a page would call")
        return tagged

    def _walk_shared(self, value: Any, write: _Write, depth: int) -> Json:
        """What *write* makes of *value*, the first time that it stands in the frame."""
        shared = self._shared.get(id(value))
        if not shared:
            self._deeper(depth)
            return write(self, value, depth)
        known = self._defs.get(id(value))
        self._deeper(depth)
        if known is not None:
            return {"$": "use", "id": known}
        number = self._defs[id(value)] = next(self._numbers)
        self._deeper(depth + 1)
        return {"$": "def", "id": number, "value": write(self, value, depth + 1)}

    def _deeper(self, depth: int) -> None:
        if depth >= self.limits.depth:
            raise LimitExceeded(
                f"depth: the value at {self.path()} is nested deeper than {self.limits.depth}"
            )

    def _list(self, value: Iterable[Any], depth: int) -> list[Json]:
        encoded: list[Json] = []
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
            if not is_well_formed(key):
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
        tag = "set" if isinstance(value, set) else "frozenset"
        return {"$": tag, "items": self._list(value, depth + 1)}

    def _big_integer(self, value: int) -> Tagged:
        # 10 ** digits has a little more than 3.32 bits a digit: cheap to see before any conversion
        try:
            text = str(value) if value.bit_length() <= 4 * self.limits.digits else ""
        except ValueError:  # more digits than Python itself writes
            text = ""
        if not 0 < len(text.removeprefix("-")) <= self.limits.digits:
            raise LimitExceeded(
                f"digits: the integer at {self.path()} has more than {self.limits.digits} digits"
            )
        return {"$": "int", "value": text}

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


def what_to_do(value: Any) -> str:
    """What *value* is, which cannot cross, and what would."""
    kind = type(value)
    advice = (
        "let the class inherit from pb.Referenceable to send a reference to the object, "
        "or from pb.Copyable to send a copy of it"
    )
    if hasattr(kind, "perspectiveMethods"):
        advice = "a login hands out its reference, and nothing else: send one of its Viewables"
    if hasattr(kind, "__await__"):
        advice = "await it first"
    elif hasattr(kind, "__next__"):
        advice = "pass list(…) of it, or make it an async generator to send a stream"
    for plain in (str, int, float, dict, list, tuple, set):
        if isinstance(value, plain):
            advice = f"pass {plain.__name__}(…) of it"
    return f"of the class {type_name(kind)}; {advice}"


def is_well_formed(value: str) -> bool:
    """Whether *value* is text: without a lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def goes_as_it_is(value: Any) -> bool:
    """Whether *value* is a scalar that JSON carries exactly, and a short one if it is a string."""
    kind = type(value)
    if kind is str:
        return len(value) <= SHORT and value.isascii()
    if kind is int:
        return bool(-MAX_INTEGER <= value <= MAX_INTEGER)
    return value is None or kind is bool or (kind is float and isfinite(value))


def size_as_it_is(values: Sequence[Any]) -> int | None:
    """How many characters the strings of *values* have, or None if one does not `goes_as_it_is`."""
    size = 0
    for value in values:
        if type(value) is str and len(value) <= SHORT and value.isascii():
            size += len(value)
        elif not goes_as_it_is(value):
            return None
    return size


def _dump_plain(values: Sequence[Any], depth: int) -> list[bytes] | None:
    """The JSON of each of *values*, or None if they are not plain or nearly so, in one tree.

    The survey comes first: the JSON library would write a container once for each time it
    stands there, and thirty lists of two make 2 to the 30th.
    """
    survey = _survey(values, depth, is_tracked)
    if survey is None:
        return None
    arrays, maybe_floats = survey
    dumped = [data for value in values if (data := _dump(value)) is not None]
    text = dumped[0] if len(dumped) == 1 else b"".join(dumped)
    if len(dumped) != len(values):
        return None
    if maybe_floats and b"null" in text and not _all_finite(values):
        return None
    # More arrays than were seen? Tuples in dicts that were not looked into.
    if arrays is not None and text.count(b"[") != arrays and not _survey(values, depth, bool):
        return None
    return dumped


def _dump(value: Any) -> bytes | None:
    """The JSON of *value*, in which nothing but what a hook knows becomes a tagged value."""
    tagged = 0

    def leaf(item: Any) -> Tagged:
        nonlocal tagged
        tagged += 1
        kind = type(item)
        if kind is Decimal and len(item.as_tuple().digits) > _SHORT_DIGITS:
            raise TypeError  # the walk looks at it
        return SIMPLE[kind](item)

    try:
        data = orjson.dumps(value, leaf, _OPTIONS)
    except TypeError:
        return None
    if not tagged and b"$" not in data:  # searched for in no time
        return data
    return data if data.count(b'"$":') == tagged else None


def _survey(
    values: Sequence[Any], depth: int, looked_into: Callable[[Any], bool]
) -> tuple[int | None, bool] | None:
    """None with a shared container, or if it is deeper than *depth*; else what was not looked at.

    Goes down level by level, with every loop inside the interpreter's C code. What is held once
    stands in one place; only containers that are held more often are told apart. A tagged leaf
    (a datetime, say) is a level of the text that is not seen here: it costs one of *depth*.

    Args:
        looked_into: which containers to look into. `is_tracked` leaves out the dicts that the
            garbage collector does not track, as most records are: they hold scalars, and
            perhaps tuples of scalars.

    Returns:
        How many lists and tuples there are, if some dicts were left out; and whether there may
        be floats.
    """
    seen = set(map(id, values))
    counted = len(values)
    arrays, left_out, floats = 0, False, False
    types, containers = list(map(type, values)), list(values)
    while True:
        depth -= 1
        if depth < 1:
            return None
        arrays += len(containers) - types.count(dict)
        level = list(filter(looked_into, containers))
        left_out = left_out or len(level) != len(containers)
        if not level:
            break
        items = get_referents(*level)
        types = list(map(type, items))
        present = set(types)
        floats = floats or float in present
        if present.isdisjoint(CONTAINERS):
            break
        kept = map(CONTAINERS.__contains__, types)
        containers = list(items if present <= CONTAINERS else compress(items, kept))
        counts = list(map(getrefcount, containers))
        if max(counts) > _ALONE:
            held = list(compress(containers, map(_ALONE.__lt__, counts)))
            counted += len(held)
            seen.update(map(id, held))
            if len(seen) != counted:
                return None
    return arrays if left_out else None, floats or left_out


def _count_alone() -> int:
    """What `getrefcount` says in `_survey` of a container that stands in one place only."""
    parent: list[list[Any]] = [[]]
    items = get_referents(parent)
    containers = list(items)
    return max(map(getrefcount, containers))


_ALONE = _count_alone()


def _all_finite(values: Sequence[Any]) -> bool:
    """Whether no null in the text was a NaN or infinity; *values* are trees."""
    containers = list(values)
    while True:
        items = get_referents(*containers)
        types = list(map(type, items))
        present = set(types)
        if float in present and not all(
            map(isfinite, compress(items, map(_FLOATS.__contains__, types)))
        ):
            return False
        if present.isdisjoint(CONTAINERS):
            break
        containers = list(compress(items, map(CONTAINERS.__contains__, types)))
    return True


def _shared_values(
    value: Any, depth: int, copied: Callable[[Any], _Copied | None]
) -> dict[int, bool]:
    """Which lists, dicts, sets and copies (by id) stand more than once, or in themselves.

    A tuple counts only when it stands in itself: it is a value, and `()` is shared by all. A cache
    has an id of its own.

    Args:
        copied: gives the state of what is copyable; an exception is never written as shared.
    """
    shared: dict[int, bool] = {}
    above: set[int] = set()

    def look(item: Any) -> None:
        kind = type(item)
        found = None
        if kind not in _WALKERS:
            found = None if kind in _SCALARS else copied(item)
            if found is None:
                return
        key = id(item)
        if kind in (tuple, frozenset):
            if key in above:
                shared[key] = True
                return
        elif found is not None and isinstance(item, BaseException):
            pass
        elif key in shared:
            shared[key] = True
            return
        else:
            shared[key] = False
        if len(above) > depth + 1:
            raise LimitExceeded(f"depth: the value is nested deeper than {depth}")
        above.add(key)
        if found is not None:
            look(found[2])
        else:
            for inner in item.items() if isinstance(item, dict) else (item,):
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


SIMPLE: dict[type, Callable[[Any], Tagged]] = {
    Decimal: _tag("decimal", "value", str),
    datetime: _tag("datetime", "value", datetime.isoformat),
    date: _tag("date", "value", date.isoformat),
    time: _tag("time", "value", time.isoformat),
    timedelta: _tag("timedelta", "seconds", _seconds),
}

_Write = Callable[[Jellier, Any, int], Json]

_WALKERS: dict[type, _Write] = {
    list: Jellier._list,
    tuple: Jellier._list,
    dict: Jellier._dict,
    set: Jellier._set,
    frozenset: Jellier._set,
}


_SAME_AS: dict[type, type] = {}


def treat_as(cls: type, plain: type) -> None:
    """Let values of *cls*, a subclass of the container *plain*, cross as that does."""
    _WALKERS[cls] = _WALKERS[plain]
    _SAME_AS[cls] = plain


def plain_type(value: Any) -> type:
    """The class of *value*, or the built-in container that it crosses as."""
    kind = type(value)
    return _SAME_AS.get(kind, kind)


def is_reference(item: Json) -> bool:
    """Whether *item* is a tagged value that becomes a reference or a promise's answer."""
    return type(item) is dict and item.get("$") in ("remote", "local", "answer")
