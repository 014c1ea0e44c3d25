"""What a name from the wire calls on an object (protocol section 1, dispatch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from .errors import NoSuchMethod, WrongArguments
from .flavors import CALLABLES
from .promises import RemotePromise
from .references import RemoteReference

__all__ = ["find_method", "wrong_arguments"]

Method = Callable[..., Any]
"""Takes the object first."""


def find_method(object: Any, name: str) -> Method:
    """The method that *name* calls on *object*.

    Raises:
        NoSuchMethod: there is nothing of that name with the right prefix.
    """
    methods = getattr(type(object), "remoteMethods", None)
    if methods is not None:
        method: Method | None = methods.get(name)
        if method is not None:
            return method
    elif type(object) is RemoteReference:
        return _relay(name)
    elif isinstance(object, CALLABLES) and name == "call":
        return _call_function
    raise NoSuchMethod(f"no method {name[:64]!a}: the object has no remote_{_plain(name)}")


def _plain(name: str) -> str:
    return ascii(name[:64])[1:-1]


def _call_function(function: Callable[..., Any], /, *args: Any, **kw: Any) -> Any:
    return function(*args, **kw)


def _relay(name: str) -> Method:
    """Call on behalf of one session what lives in another (protocol section 3)."""

    def relay(reference: RemoteReference, /, *args: Any, **kw: Any) -> RemotePromise:
        return reference.call(name, args, kw)

    return relay


def wrong_arguments(
    method: Method, object: Any, name: str, args: Sequence[Any], kw: dict[str, Any]
) -> WrongArguments | None:
    """What is wrong with the arguments, if anything is: the method cannot have started then."""
    bound = getattr(method, "takes_no_object", None)
    try:
        if bound is not None:
            signature(bound).bind(*args, **kw)  # a static or class method
        elif method is _call_function:
            signature(object).bind(*args, **kw)
        else:
            signature(method).bind(object, *args, **kw)
    except TypeError as mismatch:
        return WrongArguments(f"{_plain(name)}: {mismatch}")
    except ValueError:
        return None  # no signature can be had of it
    return None
