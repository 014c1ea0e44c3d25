"""pbweb.annotations: which values fit which annotations, and what is made of them."""

import enum
import typing
from collections import abc
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NewType, Optional, Union
from uuid import UUID

import pytest

from pbweb.annotations import Misfit, check_for
from pbweb.errors import LimitExceeded


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Thing:
    pass


class Part(Thing):
    pass


@dataclass
class Nested:
    name: str


Price = NewType("Price", Decimal)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UUID_TEXT = "12345678-1234-5678-1234-567812345678"


class Looked:
    """Counts what a check looks at."""

    def __init__(self, most=1000):
        self.items = 0
        self.most = most

    def __call__(self, items):
        self.items += items
        if self.items > self.most:
            raise LimitExceeded("message: too much")


def check(annotation, value):
    return check_for(annotation)(value, Looked())


def misfit(annotation, value):
    with pytest.raises(Misfit) as caught:
        check(annotation, value)
    return caught.value


FITS = [
    (str, "text"),
    (int, 3),
    (int, 2**70),
    (float, 1.5),
    (bool, True),
    (bytes, b"\0"),
    (None, None),
    (Decimal, Decimal("1.10")),
    (Price, Decimal("1.10")),
    (datetime, NOW),
    (date, date(2026, 1, 2)),
    (time, time(1, 2)),
    (timedelta, timedelta(1)),
    (UUID, UUID(UUID_TEXT)),
    (Color, Color.RED),
    (Any, Thing),
    (object, [1]),
    (Thing, Part()),
    (Nested, Nested("a")),
    (list, [1, "a"]),
    (list[int], [1, 2]),
    (list[list[str]], [["a"], []]),
    (typing.List[int], [1]),  # noqa: UP006
    (abc.Sequence[int], [1]),
    (abc.Mapping[str, int], {"a": 1}),
    (dict, {1: "a"}),
    (dict[str, list[int]], {"a": [1]}),
    (dict[int, bool], {1: True}),
    (set, {1}),
    (set[int], {1}),
    (frozenset[str], frozenset({"a"})),
    (Optional[int], None),  # noqa: UP045
    (int | None, 3),
    (Union[str, int], 3),  # noqa: UP007
    (Literal["a", 1], 1),
    (Annotated[int, "a note"], 3),
    (Final[int], 3),
]


@pytest.mark.parametrize(("annotation", "value"), FITS, ids=lambda it: repr(it)[:40])
def test_what_fits_stays_as_it_is(annotation, value):
    assert check(annotation, value) is value


@pytest.mark.parametrize(
    ("annotation", "value", "made"),
    [
        (float, 3, 3.0),
        (UUID, UUID_TEXT, UUID(UUID_TEXT)),
        (Color, "red", Color.RED),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[Color, ...], ["blue"], (Color.BLUE,)),
        (tuple, [1, "a"], (1, "a")),
        (list[tuple[int, float]], [[1, 2]], [(1, 2.0)]),
        (set[int], frozenset({1}), {1}),
        (frozenset[int], {1}, frozenset({1})),
        (frozenset, {1}, frozenset({1})),
        (dict[str, Color], {"a": "red"}, {"a": Color.RED}),
        (dict[UUID, int], {UUID_TEXT: 1}, {UUID(UUID_TEXT): 1}),
        (Color | None, "red", Color.RED),
        (str | UUID, UUID_TEXT, UUID_TEXT),
        (UUID | str, UUID_TEXT, UUID_TEXT),
        (float | int, 3, 3),
        (float | None, 3, 3.0),
    ],
)
def test_what_has_no_word_on_the_wire_is_made_again(annotation, value, made):
    found = check(annotation, value)
    assert found == made
    assert type(found) is type(made)


def test_a_list_is_made_in_place_since_it_may_stand_elsewhere():
    value = ["red"]
    assert check(list[Color], value) is value == [Color.RED]


@pytest.mark.parametrize(
    ("annotation", "value", "wanted", "came", "path"),
    [
        (int, "3", "int", "str", ""),
        (int, True, "int", "bool", ""),
        (int, 3.0, "int", "float", ""),
        (float, "3", "float", "str", ""),
        (float, 10**400, "float", "int", ""),
        (float, True, "float", "bool", ""),
        (bool, 1, "bool", "int", ""),
        (str, None, "str", "NoneType", ""),
        (str, b"", "str", "bytes", ""),
        (date, NOW, "date", "datetime", ""),
        (None, 0, "None", "int", ""),
        (UUID, "no", "UUID", "str", ""),
        (UUID, 5, "UUID", "int", ""),
        (Color, "green", "Color", "str", ""),
        (Color, [], "Color", "list", ""),
        (Part, Thing(), "Part", "Thing", ""),
        (list[int], (1,), "list", "tuple", ""),
        (list[int], [1, "a"], "int", "str", "[1]"),
        (list[list[int]], [[1], [2, None]], "int", "NoneType", "[1][1]"),
        (dict[str, int], {"a": 1, "b": "c"}, "int", "str", "['b']"),
        (dict[str, int], {1: 1}, "str", "int", "[1]"),
        (dict[str, int], [], "dict", "list", ""),
        (tuple[int, str], [1], "tuple of 2", "list", ""),
        (tuple[int, str], [1, 2], "str", "int", "[1]"),
        (tuple[int, ...], "12", "tuple", "str", ""),
        (set[int], [1], "set", "list", ""),
        (set[int], {"a"}, "int", "str", "[0]"),
        (int | None, "3", "int or None", "str", ""),
        (Literal["a", 1], True, "one of 'a', 1", "bool", ""),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(annotation, value, wanted, came, path):
    found = misfit(annotation, value)
    assert (found.wanted, found.came, found.path) == (wanted, came, path)


def test_a_long_key_does_not_make_a_long_path():
    assert len(misfit(dict[str, int], {"x" * 1000: None}).path) < 70


def test_an_alias_of_a_later_python():
    class TypeAliasType:  # as of Python 3.12
        __value__ = list[int]

    assert check(TypeAliasType(), [1]) == [1]


class Callback(typing.Protocol):
    def call(self) -> None: ...


class Shape(typing.TypedDict):
    side: int


@pytest.mark.parametrize(
    "annotation",
    [
        typing.TypeVar("T"),
        abc.Callable[[int], str],
        type[int],
        abc.Iterator[int],
        Callback,
        Shape,
        list[Callback],
        int | Callback,
    ],
    ids=repr,
)
def test_what_cannot_be_checked_is_told_at_once(annotation):
    with pytest.raises(TypeError, match="cannot be checked"):
        check_for(annotation)


def test_an_annotation_made_of_itself_is_told_at_once():
    class TypeAliasType:
        pass

    alias = TypeAliasType()
    alias.__value__ = list[alias]
    with pytest.raises(TypeError, match="has no end"):
        check_for(alias)


def test_what_is_looked_at_is_counted_each_time():
    looked = Looked()
    inner = [1, 2, 3]
    check_for(list[list[int]])([inner, inner], looked)
    assert looked.items == 8
    with pytest.raises(LimitExceeded):
        check_for(list[list[list[int]]])([[inner] * 20] * 20, Looked())


def test_a_list_inside_itself_is_looked_at_as_deep_as_its_annotation():
    value: list[Any] = []
    value.append(value)
    assert misfit(list[list[list[int]]], value).path == "[0][0][0]"
