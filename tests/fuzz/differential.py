"""Whether the two decoders agree: Python's and JavaScript's, on one message.

The peer of the vectors is made in both languages, fed the message, and has to send the same: the
same error to the same call, the same close, the same value back. What a language cannot tell apart
(docs/protocol.md, section 3) is taken to be equal: 1 and 1.0, a set and a frozenset, a moment
in another zone or with microseconds.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pbweb as pb
from tests.fuzz.targets import SMALL, decode
from tests.unit.vectors import PeerUnderTest, read, same

HERE = Path(__file__).parent
UNCOMPARED = ("decref", "decache", "pong")
"""What goes at another time or, for two pings in a message, once."""
REFUSED = {
    "CancelledError", "DeadReferenceError", "InsecureJelly", "LimitExceeded", "NoSuchMethod",
}  # fmt: skip
"""What a call is refused with: where it has two faults, either may be told."""
OTHER_METHODS = {"drop", "keep", "askObserver", "left", "getNote", "stopped"}
"""What the fixtures of the two languages have not both, or do otherwise when it is misused."""
EXACT = 2**53
_FORM = re.compile(r'"(date|time|datetime|timedelta|decimal)"')


class JavaScript:
    """The JavaScript side: one process for all messages."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", str(HERE / "decoder.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def sent(self, message: str) -> list[Any]:
        """What the peer under test sends when it is fed *message*."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"message": message, "limits": SMALL}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process is gone: {message!r}"
        said: dict[str, list[Any]] = json.loads(line)
        faults = [fault for fault in said["faults"] if "the peer's call" not in fault]
        assert not faults, faults
        return said["sent"]


def sent_by_python(message: str) -> list[Any]:
    """As `JavaScript.sent`."""
    peer = PeerUnderTest(**SMALL)
    sent = peer.feed(message.encode())
    faults = [report for report in peer.runtime.reports if "a fault in" in report[0]]
    assert not faults, faults
    peer.session.end("the next one comes")
    peer.runtime.run()
    return json.loads(json.dumps(sent))  # type: ignore[no-any-return]


def difference(javascript: JavaScript, message: str) -> str | None:
    """In what the two sides differ about *message*, if they do."""
    if not _is_comparable(message):
        return None
    theirs, ours = javascript.sent(message), sent_by_python(message)
    one, other = list(map(_verdict, theirs)), list(map(_verdict, ours))
    one = sorted((frame for frame in one if frame[0] not in UNCOMPARED), key=_order)
    other = sorted((frame for frame in other if frame[0] not in UNCOMPARED), key=_order)
    if any(frame[0] == "error" and frame[2] == "raised" for frame in other):
        return None  # JavaScript looks neither at the number of arguments nor at what they are
    closes = [[frame for frame in sent if frame[0] == "close"] for sent in (one, other)]
    if closes[0] and closes[0] == closes[1]:
        return None  # counts are looked at before a message in Python, in their place in JavaScript
    if any(frame[0] == "error" for frame in other) and _FORM.search(message):
        return None
    # In Python a call that cannot be made is refused before the answers are there that it names.
    either = '"answer"' in message
    if len(one) == len(other) and all(
        _agree(*both) or (either and both[0][:2] == both[1][:2] == ["error", both[0][1]])
        for both in zip(one, other, strict=True)
    ):
        return None
    return f"{message}\n  JavaScript: {theirs}\n  Python:     {ours}"


def _is_comparable(message: str) -> bool:
    """Whether the languages have to agree about *message*.

    Keywords are one more argument in JavaScript, logins are Python's, and so are names with two
    underscores. In JavaScript keys that are digits come first, 1.0 and 1 are one number, integers
    above 2^53 are rounded, dates and decimals are texts of a form, what nobody looks at may not
    be too deep either, and a number that is too large, or a path that cannot be, is seen only
    where it is used. In Python a call that cannot be made is refused before the answers are there
    that it names. No peer that keeps the rules sends any of these.
    """
    try:
        parsed = json.loads(message)
    except ValueError:
        return True
    names = re.search(r'"(__|\\u005f)', message, re.IGNORECASE) and '"state"' in message
    if names or re.search(r'"\d+" *:', message) or _depth(parsed) > SMALL["depth"]:
        return False
    if _has_odd(parsed) or ('"SoldOut"' in message and '"item"' not in message):
        return False
    if '"answer"' in message and ('"callBack"' in message or '"wait"' in message):
        return False
    frames = [parsed] if parsed and type(parsed) is list and type(parsed[0]) is str else parsed
    for frame in frames if type(frames) is list else ():
        if type(frame) is not list or not frame or type(frame[0]) is not str:
            continue
        if "'path'" in str(frame[2:3]) and frame[0] == "message":
            return False
        if frame[0] != "answer" and any(type(item) is float for item in frame):
            return False
        if frame[0] == "message" and (
            "portal" in frame[2:3]
            or (len(frame) > 3 and str(frame[3]) in OTHER_METHODS)
            or (len(frame) > 5 and frame[5])
        ):
            return False
    return True


def _has_odd(value: Any) -> bool:
    """Numbers that JavaScript rounds, and failures whose parents do not begin with their type."""
    if type(value) in (int, float):
        return abs(value) >= EXACT
    if type(value) is dict:
        if value.get("$") == "failure" and type(value.get("parents")) is list:
            return value["parents"][:1] != [value.get("type")]
        value = list(value.values())
    return type(value) is list and any(map(_has_odd, value))


def _depth(value: Any) -> int:
    inner = value.values() if type(value) is dict else value if type(value) is list else ()
    return 1 + max(map(_depth, inner), default=0)


def _order(frame: list[Any]) -> tuple[str, str]:
    """A coroutine of Python's starts a turn later: only what is of one kind has an order."""
    return frame[0], "" if frame[0] == "close" else str(frame[1])


def _verdict(frame: list[Any]) -> list[Any]:
    """What of *frame* has to be the same: of a failure its type, of a close its code."""
    if frame[0] == "error":
        kind = frame[2]["type"]
        if kind in REFUSED:
            kind = "refused"
        elif kind.startswith("builtins.") or kind in ("TypeError", "RangeError", "Error"):
            kind = "raised"
        return [*frame[:2], kind]
    return frame[:2] if frame[0] == "close" else frame


def _agree(one: list[Any], other: list[Any]) -> bool:
    if one == other and repr(one) == repr(other):
        return True
    if [*one[:2], len(one)] != [*other[:2], len(other)] or one[0] != "answer":
        return False
    try:
        values = [decode(json.dumps(frame[2]).encode()) for frame in (one, other)]
    except pb.Error:  # a value with references: these are compared as they are written
        return _written(one) == _written(other)
    return same(*map(alike, values))


def _written(value: Any) -> Any:
    """JSON in which a number is written in one way."""
    if type(value) is dict:
        if value.get("$") in ("int", "float") and type(value.get("value")) is str:
            return float(value["value"])
        kind = "set" if value.get("$") == "frozenset" else value.get("$")
        if kind == "set" and type(value.get("items")) is list:
            return {"$": "set", "items": sorted(map(_written, value["items"]), key=repr)}
        return {key: kind if key == "$" else _written(item) for key, item in value.items()}
    return list(map(_written, value)) if type(value) is list else value


def alike(value: Any, made: dict[int, Any] | None = None) -> Any:
    """*value* without what JavaScript does not know; what is shared in it still is."""
    made = {} if made is None else made
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, float) and value.is_integer() and str(value) != "-0.0":
        return int(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, tuple):
        return tuple(alike(item, made) for item in value)
    if isinstance(value, set | frozenset):
        # a set can be an item of its own only by way of something that cannot be in a set
        return frozenset(alike(item, made) for item in value)
    if isinstance(value, list):
        items: list[Any] = []
        made[id(value)] = items
        items.extend(alike(item, made) for item in value)
        return items
    if isinstance(value, dict):
        entries: dict[Any, Any] = {}
        made[id(value)] = entries
        entries.update((alike(key, made), alike(item, made)) for key, item in value.items())
        return entries
    if hasattr(value, "__dict__") and not isinstance(value, type) and not _is_scalar(value):
        copy = object.__new__(type(value))
        made[id(value)] = copy
        for name, item in vars(value).items():
            object.__setattr__(copy, name, item if name == "_remote" else alike(item, made))
        return copy
    return value


def _is_scalar(value: Any) -> bool:
    return type(value).__module__ in ("builtins", "datetime", "decimal", "uuid")


# ------------------------------------------------------------------- the messages


def of_vectors() -> list[str]:
    """All messages of the vectors, and their values in a call."""
    wires = [vector["wire"] for file in ("values", "rejected_values") for vector in read(file)]
    calls = [f'["message",1,"root","echo",[{wire}]]' for wire in wires]
    scenarios = [
        json.dumps(step["receive"])
        for vector in read("scenarios")
        if len(vector.get("languages", "12")) == 2
        for step in vector["steps"]
        if "receive" in step
    ]
    return calls + [vector["message"] for vector in read("frames")] + scenarios


class Mutator:
    """Makes messages out of those of the vectors: what is JSON in other places, and other bytes."""

    SCALARS = (
        None, True, False, 0, 1, -1, 2, 7, 1.5, -0.0, 1e300, EXACT - 1, EXACT, -EXACT, 2**64,
        "", "1", "$", "a", "id", "root", "set", "dict", "int", "float", "copy", "Point", "Item",
        "remote", "local", "def", "use", "answer", "bytes", "value", "items", "__proto__",
        "constructor", "then", "toJSON", "-0", "1e5", "NaN", "Infinity", "AAAA", "AAA", "\u2028",
        "2026-11-23T07:36:22+00:00", "2026-02-28", "23:00", "P1D", "+1", "01", "1_0", "\uff11",
    )  # fmt: skip

    PIECES = ("", "", *'"[]{},:0123456789-+.eE $\\ntu\x00\u2028\xe9', '"$":', "e400")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.texts = of_vectors()
        self.parts: list[Any] = []
        for text in self.texts:
            try:
                self._collect(json.loads(text))
            except ValueError:  # it is none on purpose
                continue
        self.tags = [part for part in self.parts if type(part) is dict and "$" in part]

    def _collect(self, value: Any) -> None:
        self.parts.append(value)
        inner = value.values() if type(value) is dict else value if type(value) is list else ()
        for item in inner:
            self._collect(item)

    def message(self) -> str:
        """The next one."""
        choose = self.random.random()
        if choose < 0.25:
            return self._bytes(self.random.choice(self.texts))
        if choose < 0.4:
            value = self._value(json.loads(json.dumps(self.random.choice(self.tags))))
            return json.dumps(["message", 1, "root", "echo", [value]])
        text = self.random.choice(self.texts)
        try:
            value = json.loads(text)
        except ValueError:
            return self._bytes(text)
        if choose < 0.7 and type(value) is list and len(value) > 4 and value[0] == "message":
            value[4] = [self._value(item) for item in value[4]] if type(value[4]) is list else []
            return self._text(value)
        return self._text(self._value(value))

    def _text(self, value: Any) -> str:
        text = json.dumps(value)
        return self._bytes(text) if self.random.random() < 0.05 else text

    def _value(self, value: Any) -> Any:
        """*value* with some places changed."""
        for _ in range(self.random.choice((1, 1, 2, 4))):
            value = self._changed(value)
        return value

    def _changed(self, value: Any) -> Any:
        some = self.random
        if type(value) is list and value and some.random() < 0.8:
            at = some.randrange(len(value))
            how = some.random()
            if how < 0.1:
                return value[:at] + value[at + 1 :]
            if how < 0.2:
                return [*value[: at + 1], value[at], *value[at + 1 :]]
            return [*value[:at], self._changed(value[at]), *value[at + 1 :]]
        if type(value) is dict and value and some.random() < 0.8:
            key = some.choice(list(value))
            how = some.random()
            if how < 0.1:
                return {name: item for name, item in value.items() if name != key}
            if how < 0.2:
                return {**value, str(some.choice(self.SCALARS)): some.choice(self.SCALARS)}
            return {**value, key: self._changed(value[key])}
        how = some.random()
        if how < 0.5:
            return some.choice(self.SCALARS)
        if how < 0.7:
            return some.choice(self.parts)
        if how < 0.9:
            return some.choice(self.tags)
        return [value] if how < 0.95 else {"a": value}

    def _bytes(self, text: str) -> str:
        """*text* with some characters changed, left out or put in."""
        for _ in range(self.random.choice((1, 1, 2, 3))):
            at = self.random.randrange(len(text) + 1)
            end = at + self.random.choice((0, 0, 1, 1, 1, 2, 5))
            new = self.random.choice(
                ("", "", *'"[]{},:0123456789-+.eE $\\ntu\x00\u2028é', '"$":', "e400")
            )
            text = text[:at] + new + text[end:]
        return text


__all__ = ["JavaScript", "Mutator", "alike", "difference", "of_vectors"]
