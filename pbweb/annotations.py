"""Checks of values against annotations, made once for each class.

A value that came over the wire is what JSON and the tags of protocol section 2 can carry, so a
check also makes what they have no word for: a tuple of a list, a UUID of a string, a member of
an Enum of its value, a float of a whole number.
"""

from __future__ import annotations

import types
import typing
from collections import abc
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from operator import is_not
from typing import Any
from uuid import UUID

from .flavors import Charge

__all__ = ["Check", "Misfit", "check_for"]

Check = Callable[[Any, Charge], Any]
"""Gives the value as the annotation has it; raises Misfit. Is told how much it looks at."""

_EXACT = (str, int, bool, bytes, Decimal, datetime, date, time, timedelta, type(None))
_ORIGINS: dict[Any, Any] = {abc.Sequence: list, abc.Mapping: dict}


class Misfit(Exception):
    """A value that does not fit its annotation; `path` leads to it, as ``[2].name``."""

    def __init__(self, wanted: str, value: Any) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.came = type(value).__name__
        self.path = ""

    def within(self, key: Any) -> Misfit:
        """The same, seen from the container around it."""
        self.path = f"[{ascii(key)[:60]}]{self.path}"
        return self


def check_for(annotation: Any) -> Check:
    """The check of values for *annotation*.

    Raises:
        TypeError: there is none for such an annotation.
    """
    try:
        return _check_for(annotation)
    except RecursionError:
        raise TypeError(f"{_name(annotation)} is made of itself, and has no end") from None


def _check_for(annotation: Any) -> Check:
    annotation = _bare(annotation)
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if annotation in (Any, object):
        return _anything
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is typing.Literal:
        return _literal(arguments)
    maker = _CONTAINERS.get(_ORIGINS.get(origin or annotation, origin or annotation))
    if maker is not None:
        return maker(*arguments)
    if origin is None and isinstance(annotation, type):
        return _class(annotation)
    raise TypeError(
        f"{_name(annotation)} cannot be checked when it arrives; annotate it with a class, "
        "a list, dict, set or tuple of such, a union, a Literal, or Any"
    )


def _bare(annotation: Any) -> Any:
    """*annotation* without what says nothing about values."""
    if annotation is None:
        return type(None)
    if isinstance(annotation, typing.NewType):
        return _bare(annotation.__supertype__)
    if typing.get_origin(annotation) in (typing.Annotated, typing.Final):
        return _bare(typing.get_args(annotation)[0])
    if type(annotation).__name__ == "TypeAliasType":  # of Python 3.12, or typing_extensions
        return _bare(annotation.__value__)
    return annotation


def _name(annotation: Any) -> str:
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return "None" if annotation is type(None) else annotation.__qualname__
    return str(annotation).replace("typing.", "")


def _anything(value: Any, _charge: Charge) -> Any:
    return value


def _class(cls: type) -> Check:
    if cls is float:
        return _float
    if cls is UUID:
        return _made(cls, str)
    if issubclass(cls, Enum):
        return _made(cls, object)
    try:
        isinstance(None, cls)
    except TypeError:  # a Protocol, say
        raise TypeError(f"{_name(cls)} cannot be checked with isinstance") from None
    exact = cls in _EXACT
    wanted = _name(cls)

    def check(value: Any, _charge: Charge) -> Any:
        if type(value) is cls or (not exact and isinstance(value, cls)):
            return value
        raise Misfit(wanted, value)

    return check


def _float(value: Any, _charge: Charge) -> float:
    if type(value) is float:
        return value
    try:
        if type(value) is int:
            return float(value)
    except OverflowError:
        pass
    raise Misfit("float", value)


def _made(cls: Any, source: type) -> Check:
    """A check for what crosses as a *source* and is made a *cls* again."""

    def check(value: Any, _charge: Charge) -> Any:
        if isinstance(value, cls):
            return value
        try:
            if isinstance(value, source):
                return cls(value)
        except (TypeError, ValueError):
            pass
        raise Misfit(_name(cls), value)

    return check


def _literal(options: tuple[Any, ...]) -> Check:
    def check(value: Any, _charge: Charge) -> Any:
        for option in options:
            if type(value) is type(option) and value == option:
                return value
        raise Misfit(f"one of {', '.join(map(repr, options))}", value)

    return check


def _union(options: tuple[Any, ...]) -> Check:
    # What takes a value as it is goes before what makes another of it: 3 is an int in float | int.
    makes = [option for option in options if option in (float, UUID) or _is_enum(option)]
    checks = [check_for(one) for one in options if one not in makes] + list(map(check_for, makes))
    wanted = " or ".join(map(_name, options))

    def check(value: Any, charge: Charge) -> Any:
        for one in checks:
            try:
                return one(value, charge)
            except Misfit:
                continue
        raise Misfit(wanted, value)

    return check


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def _items(values: list[Any], check: Check, charge: Charge) -> list[Any]:
    checked = []
    for index, value in enumerate(values):
        try:
            checked.append(check(value, charge))
        except Misfit as misfit:
            raise misfit.within(index) from None
    return checked


def _list(item: Any = Any) -> Check:
    each = check_for(item)

    def check(value: Any, charge: Charge) -> Any:
        if type(value) is not list:
            raise Misfit("list", value)
        charge(len(value))
        if each is not _anything:
            value[:] = _items(value, each, charge)  # in place: it may stand elsewhere too
        return value

    return check


def _tuple(*items: Any) -> Check:
    if not items or (len(items) == 2 and items[1] is ...):
        alike = _list(*items[:1])

        def check_alike(value: Any, charge: Charge) -> Any:
            if type(value) is not list and type(value) is not tuple:
                raise Misfit("tuple", value)
            return tuple(alike(list(value), charge))

        return check_alike
    checks = [check_for(item) for item in items]

    def check(value: Any, charge: Charge) -> Any:
        if type(value) not in (list, tuple) or len(value) != len(checks):
            raise Misfit(f"tuple of {len(checks)}", value)
        pairs = iter(zip(value, checks, strict=True))
        return tuple(_items(list(pairs), lambda pair, charge: pair[1](pair[0], charge), charge))

    return check


def _dict(key: Any = Any, item: Any = Any) -> Check:
    check_key, check_item = check_for(key), check_for(item)

    def check(value: Any, charge: Charge) -> Any:
        if type(value) is not dict:
            raise Misfit("dict", value)
        charge(len(value))
        checked = {}
        for name, inner in value.items():
            try:
                checked[check_key(name, charge)] = check_item(inner, charge)
            except Misfit as misfit:
                raise misfit.within(name) from None
        value.clear()
        value.update(checked)
        return value

    return check


def _set_of(kind: Any) -> Callable[..., Check]:
    def make(item: Any = Any) -> Check:
        each = check_for(item)

        def check(value: Any, charge: Charge) -> Any:
            if type(value) not in (set, frozenset):
                raise Misfit(kind.__name__, value)
            charge(len(value))
            items = _items(list(value), each, charge)
            if type(value) is kind and not any(map(is_not, items, value)):
                return value
            return kind(items)

        return check

    return make


_CONTAINERS: dict[Any, Callable[..., Check]] = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set_of(set),
    frozenset: _set_of(frozenset),
}
