"""What an object is when it crosses the wire (PB's flavors).

Only what inherits from a flavor, and plain functions and bound methods, crosses as a
reference, and only methods with the flavor's prefix can be called through it: the
prefix is the security boundary. Protocol sections 1 (dispatch) and 3 (references).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import isroutine
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar

from .errors import type_name

if TYPE_CHECKING:
    from .broker import Broker

__all__ = [
    "CALLABLES",
    "METHOD_NAME",
    "REGISTRY",
    "Referenceable",
    "Registry",
    "Root",
    "setUnjellyableForClass",
]

METHOD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
"""A method's name on the wire, without its prefix; matched as a whole."""

CALLABLES = (FunctionType, MethodType, BuiltinFunctionType)
"""The types of plain functions and bound methods, whose one remote method is ``call``."""


def methods_with_prefix(cls: type, prefix: str) -> dict[str, Callable[..., Any]]:
    """The functions of *cls* whose names begin with *prefix*, by their names without it.

    Built from the class alone: an instance's attributes and properties are never
    looked at, so a name from the wire reaches functions that the class defines and
    nothing else.
    """
    found: dict[str, Callable[..., Any]] = {}
    for parent in reversed(cls.__mro__):
        for name, value in vars(parent).items():
            if not name.startswith(prefix) or not METHOD_NAME.fullmatch(name[len(prefix) :]):
                continue
            if isinstance(value, staticmethod | classmethod):
                found[name[len(prefix) :]] = _unbound(value, cls)
            elif isroutine(value):
                found[name[len(prefix) :]] = value
            else:
                found.pop(name[len(prefix) :], None)
    return found


def _unbound(
    value: staticmethod[..., Any] | classmethod[Any, ..., Any], cls: type
) -> Callable[..., Any]:
    """A function that takes and drops the instance, as all others in the table take it."""
    bound = value.__get__(None, cls)

    def call(_self: Any, /, *args: Any, **kw: Any) -> Any:
        return bound(*args, **kw)

    call.takes_no_object = bound  # type: ignore[attr-defined]
    return call


class Referenceable:
    """An object that crosses as a reference: the peer may call its ``remote_*`` methods.

    Anybody who holds the reference may call them, and nothing else of the object.
    """

    remoteMethods: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        cls.remoteMethods = methods_with_prefix(cls, "remote_")


class Root(Referenceable):
    """A Referenceable that can be published as the object where a peer begins."""

    def rootObject(self, broker: Broker) -> Referenceable:
        """The root for the session of *broker*: this object, or one made for the peer alone."""
        return self


class Registry:
    """Which classes of this side stand for which type names of the peer's.

    Only what is registered is ever constructed for a name that came over the wire.
    """

    __slots__ = ("classes",)

    def __init__(self) -> None:
        self.classes: dict[str, type] = {}

    def setUnjellyableForClass(self, name: str | type, cls: type) -> None:
        """Take *cls* for what the peer calls *name* (the name as the sender knows it).

        Raises:
            TypeError: *cls* is no exception class.
        """
        given: object = cls
        if not (isinstance(given, type) and issubclass(given, BaseException)):
            raise TypeError(f"only exception classes can be registered, not {cls!r}")
        self.classes[name if isinstance(name, str) else type_name(name)] = cls


REGISTRY = Registry()
"""The registry of an application that does not make its own."""

setUnjellyableForClass = REGISTRY.setUnjellyableForClass
