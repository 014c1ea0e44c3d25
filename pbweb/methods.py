"""What a name from the wire calls on an object (protocol section 1, dispatch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from inspect import getattr_static, isroutine, signature
from typing import Any

from .caching import RemoteCache
from .errors import NoSuchMethod, WrongArguments
from .flavors import CALLABLES, Dispatcher, Referenceable, Root
from .promises import RemotePromise
from .references import RemoteReference

__all__ = ["find_method", "find_observer", "hint_for", "wrong_arguments"]

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
        if isinstance(object, Dispatcher):
            method = object.method(name)
            if method is not None:
                return method
    elif type(object) is RemoteReference:
        return _relay(name)
    elif isinstance(object, CALLABLES) and name == "call":
        return _call_function
    error = NoSuchMethod(f"no method {name[:64]!a}: {_way_out(object, name)}")
    error.missing = (type(object), name)
    raise error


def find_observer(copy: RemoteCache, name: str) -> Method:
    """The method of the copy of a cache that an update of *name* calls.

    Raises:
        NoSuchMethod: there is nothing of that name with the right prefix.
    """
    method = type(copy).observeMethods.get(name)
    if method is None:
        raise NoSuchMethod(
            f"no method {name[:64]!a}: the class of the copy has to define it as "
            f"observe_{_plain(name)}"
        )
    return method


def _way_out(object: Any, name: str) -> str:
    """What the caller is told: the same whatever else the object has."""
    if isinstance(object, CALLABLES):
        return "a function's only method is 'call'"
    if not isinstance(object, Referenceable):
        return "this is a value, not an object to be called"
    if name.startswith("remote_"):
        return "callers leave the prefix remote_ out"
    return f"the object's class has to define it as remote_{_plain(name)}"


def _plain(name: str) -> str:
    return ascii(name[:64])[1:-1]


def hint_for(error: NoSuchMethod) -> str | None:
    """For the log: what the author of the class may have meant. The peer is not told what there is.

    One of few texts for each class, whatever names a peer tries.
    """
    if error.missing is None:
        return None
    cls, name = error.missing
    if not issubclass(cls, Referenceable) or name.startswith(("_", "remote_")):
        return None
    if not hasattr(Root, name) and isroutine(getattr_static(cls, name, None)):
        return (
            f"a peer called {cls.__qualname__}.{name}, which lacks the prefix: "
            f"rename it to remote_{name} if peers may call it"
        )
    close = get_close_matches(name[:64], cls.remoteMethods, 1, 0.7)
    if close:
        return (
            f"a peer called what {cls.__qualname__} does not have, but is spelled nearly as "
            f"remote_{close[0]}"
        )
    return None


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
