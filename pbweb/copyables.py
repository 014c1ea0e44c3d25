"""`copyable`: dataclasses, msgspec Structs and pydantic models as Copyables.

Their fields are the state. It is checked against the annotations when it arrives: a dataclass's
by `annotations`, the others' by their own libraries, which are not needed for anything else.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol, TypeVar, overload

from .annotations import Check, Misfit, check_for
from .errors import InsecureJelly, type_name
from .flavors import REGISTRY, Charge, Copyable, Maker, Referenceable, Registry, RemoteCopy

__all__ = ["copyable"]

_C = TypeVar("_C", bound=type)


@overload
def copyable(cls: _C, /) -> _C: ...
@overload
def copyable(*, name: str | None = None, registry: Registry = ...) -> Callable[[_C], _C]: ...


def copyable(cls: Any = None, /, *, name: str | None = None, registry: Registry = REGISTRY) -> Any:
    """Make a dataclass, msgspec Struct or pydantic model cross by value, with its fields as state.

    The class is a Copyable then, and is registered for its own type name, so that both sides
    may use the same class. What arrives is checked against the annotations: a field that is
    missing (and has no default), that is unknown or that has another type is an `InsecureJelly`
    failure of that call, which names the type and the field. Hooks of PB's that the class
    defines itself (``getStateToCopyFor``, …) stay.

    Args:
        name: the type's name on the wire; by default ``module.qualname``.
        registry: where it is registered; by default the application's one.

    Raises:
        TypeError: *cls* is none of these, or an annotation of it cannot be checked.
    """
    if cls is None:
        return lambda cls: _make_copyable(cls, name, registry)
    return _make_copyable(cls, name, registry)


def _make_copyable(cls: Any, name: str | None, registry: Registry) -> Any:
    if isinstance(cls, type) and issubclass(cls, Referenceable):
        raise TypeError(f"{cls.__qualname__} crosses as a reference already: it is a Referenceable")
    if name is not None:
        cls.pbType = name
    cls.pbFields = fields = _fields_of(cls)
    for hook, (default, ours) in _HOOKS.items():
        if getattr(cls, hook, default) is default:
            setattr(cls, hook, ours)
    if cls.setCopyableState is _set_fields:
        cls.pbMaker = fields.maker()
    registry.setUnjellyableForClass(cls, cls)
    return cls


def _get_fields(self: Any) -> dict[str, Any]:
    return {name: getattr(self, name) for name in self.pbFields.names if hasattr(self, name)}


def _set_fields(self: Any, state: Any) -> None:
    self.pbFields.maker().fill(self, state, lambda _: None)


_HOOKS: dict[str, tuple[Any, Any]] = {
    "getStateToCopyFor": (Copyable.getStateToCopyFor, Copyable.getStateToCopyFor),
    "getStateToCopy": (Copyable.getStateToCopy, _get_fields),
    "getTypeToCopyFor": (Copyable.getTypeToCopyFor, Copyable.getTypeToCopyFor),
    "getTypeToCopy": (Copyable.getTypeToCopy, Copyable.getTypeToCopy),
    "setCopyableState": (RemoteCopy.setCopyableState, _set_fields),
}
"""PB's hooks: what stands there when the class has none of its own, and what it gets."""


class _Fields(Protocol):
    """The fields of a class, and how it is made of them."""

    names: tuple[str, ...]

    def maker(self) -> Maker: ...


def _fields_of(cls: Any) -> _Fields:
    if isinstance(cls, type):
        if hasattr(cls, "__struct_fields__"):
            return _StructFields(cls)
        if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
            return _ModelFields(cls)
        if "__dataclass_fields__" in vars(cls):
            return _DataclassFields(cls)
    raise TypeError(
        f"pb.copyable takes a dataclass, a msgspec Struct or a pydantic model, not {cls!r}: "
        "put @dataclass under it, or let the class inherit from pb.Copyable and pb.RemoteCopy"
    )


def _check_names(cls: type, state: Any, known: Collection[str]) -> None:
    if type(state) is not dict:
        raise InsecureJelly(
            f"the state of a {type_name(cls)} is a dict of its fields, not {type(state).__name__}"
        )
    for name in state:
        if name not in known:
            raise InsecureJelly(f"{type_name(cls)} has no field {ascii(name)[:64]}")


def _misfit(cls: type, field: str, what: str) -> InsecureJelly:
    return InsecureJelly(f"{type_name(cls)}: the field {field} {what}")


class _DataclassFields:
    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._fields = {field.name: field for field in dataclasses.fields(cls)}
        self.names: tuple[str, ...] = tuple(self._fields)
        with suppress(NameError):  # a class that is still to come: looked up when it is needed
            self._checks  # noqa: B018

    @cached_property
    def _checks(self) -> dict[str, Check]:
        cls = self._cls
        hints = typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
        return {name: self._check(name, hints[name]) for name in self.names}

    def _check(self, name: str, annotation: Any) -> Check:
        try:
            return check_for(annotation)
        except TypeError as problem:
            raise TypeError(f"the field {name} of {type_name(self._cls)}: {problem}") from None

    def maker(self) -> Maker:
        cls = self._cls
        return Maker(lambda: cls.__new__(cls), self._fill)

    def _fill(self, blank: Any, state: Any, charge: Charge) -> Any:
        _check_names(self._cls, state, self._fields)
        for name, check in self._checks.items():
            if name in state:
                try:
                    value = check(state[name], charge)
                except Misfit as misfit:
                    wanted = f"must be {misfit.wanted}, not {misfit.came}"
                    raise _misfit(self._cls, name + misfit.path, wanted) from None
            else:
                value = _default(self._cls, self._fields[name])
            object.__setattr__(blank, name, value)  # a frozen one too
        return blank


def _default(cls: type, field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise _misfit(cls, field.name, "is missing")


def _look_at_all(state: Any, charge: Charge) -> None:
    """Charge for what a library copies: a list that is used twice is copied twice."""
    waiting = [state]
    while waiting:
        value = waiting.pop()
        if type(value) in (dict, list, set, frozenset):
            charge(len(value))
            waiting.extend(value.values() if type(value) is dict else value)


class _StructFields:
    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self.names: tuple[str, ...] = cls.__struct_fields__

    def maker(self) -> Maker:
        cls = self._cls
        msgspec: Any = sys.modules["msgspec"]
        on_the_wire = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
        config = cls.__struct_config__
        tag = {} if config.tag is None else {config.tag_field: config.tag}

        def fill(_blank: Any, state: Any, charge: Charge) -> Any:
            _check_names(cls, state, on_the_wire)
            _look_at_all(state, charge)
            given = {on_the_wire[name]: value for name, value in state.items()} | tag
            try:
                return msgspec.convert(given, cls)
            except msgspec.ValidationError as error:
                raise InsecureJelly(f"{type_name(cls)}: {error}") from None

        return Maker(None, fill)


class _ModelFields:
    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self.names: tuple[str, ...] = tuple(cls.model_fields)

    def maker(self) -> Maker:
        cls = self._cls
        errors: Any = sys.modules["pydantic_core"]

        def fill(blank: Any, state: Any, charge: Charge) -> Any:
            _check_names(cls, state, cls.model_fields)
            _look_at_all(state, charge)
            try:
                return cls.__pydantic_validator__.validate_python(
                    state, self_instance=blank, by_alias=False, by_name=True
                )
            except errors.ValidationError as error:
                first = error.errors(include_url=False, include_input=False, include_context=False)
                where = ".".join(map(str, first[0]["loc"]))
                raise _misfit(cls, where, f"does not fit: {first[0]['msg']}") from None

        return Maker(lambda: cls.__new__(cls), fill)
