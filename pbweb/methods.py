"""What a name from the wire calls on an object (protocol section 1, dispatch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from inspect import getattr_static, isroutine, signature
from typing import Any

from .caching import RemoteCache
from .errors import NoSuchMethod, WrongArguments
from .flavors import (
    CALLABLES,
    BoundMethod,
    Dispatcher,
    Referenceable,
    Revocable,
    RevocableReferenceable,
    RevocableViewable,
    Root,
    Viewable,
)
from .promises import RemotePromise
from .references import RemoteReference

__all__ = ["find_method", "find_observer", "hint_for", "revocable", "wrong_arguments"]

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
        elif type(object) is RevocableReferenceable:
            return _revocable(object, name)
    elif type(object) is RemoteReference:
        return _relay(name)
    elif isinstance(object, CALLABLES) and name == "call":
        return _call_function
    cls = object.serves() if isinstance(object, Dispatcher) else type(object)
    error = NoSuchMethod(f"no method {name[:64]!a}: {_way_out(cls, name)}")
    error.missing = (cls, name)
    raise error


def _boundary(cls: type) -> tuple[str, Mapping[str, Method]] | None:
    """The prefix of the methods that peers may call, and these, by the names that they call."""
    for prefix, table in _BOUNDARIES.items():
        methods = getattr(cls, table, None)
        if methods is not None:
            return prefix, methods
    return None


_BOUNDARIES = {
    "perspective_": "perspectiveMethods",
    "view_": "viewMethods",
    "remote_": "remoteMethods",
}


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


def _way_out(cls: type, name: str) -> str:
    """What the caller is told: the same whatever else an object of *cls* has."""
    if issubclass(cls, CALLABLES):
        return "a function's only method is 'call'"
    boundary = _boundary(cls)
    if boundary is None:
        return "this is a value, not an object to be called"
    prefix, _ = boundary
    if name.startswith(prefix):
        return f"callers leave the prefix {prefix} out"
    return f"the object's class has to define it as {prefix}{_plain(name)}"


def _plain(name: str) -> str:
    return ascii(name[:64])[1:-1]


def hint_for(error: NoSuchMethod) -> str | None:
    """For the log: what the author of the class may have meant. The peer is not told what there is.

    One of few texts for each class, whatever names a peer tries.
    """
    if error.missing is None:
        return None
    cls, name = error.missing
    boundary = _boundary(cls)
    if boundary is None or issubclass(cls, Dispatcher):
        return None
    prefix, methods = boundary
    if name.startswith(("_", *_BOUNDARIES)):
        return None
    if name == "login" and issubclass(cls, Root):
        return f"a peer wants to log in, and {cls.__qualname__} is no pb.Portal"
    for other in _BOUNDARIES:
        if other != prefix and isroutine(getattr_static(cls, other + name[:64], None)):
            return (
                f"a peer called {cls.__qualname__}.{other}{name}, which has the prefix of another "
                f"kind of object: rename it to {prefix}{name} if peers may call it"
            )
    if not hasattr(Root, name) and isroutine(getattr_static(cls, name, None)):
        return (
            f"a peer called {cls.__qualname__}.{name}, which lacks the prefix: "
            f"rename it to {prefix}{name} if peers may call it"
        )
    close = get_close_matches(name[:64], methods, 1, 0.7)
    if close:
        return (
            f"a peer called what {cls.__qualname__} does not have, but is spelled nearly as "
            f"{prefix}{close[0]}"
        )
    return None


def revocable(
    object: Referenceable | Viewable | RemoteReference | Callable[..., Any],
) -> Revocable:
    """What crosses in the place of *object*, and can be cut: ``revoke()`` of what this gives.

    Hand it out as you would the object; then all references to it are dead, and those to the
    object itself are not. It comes home as itself, with the object as its `Revocable.object`.

    Raises:
        TypeError: *object* does not cross as a reference.
    """
    if isinstance(object, Viewable):
        return RevocableViewable(object)
    if isinstance(object, (Referenceable, RemoteReference, *CALLABLES)):
        return RevocableReferenceable(object)
    raise TypeError(
        f"only what crosses as a reference can be revoked, not {object!r}: "
        "let its class inherit from pb.Referenceable or pb.Viewable"
    )


def _revocable(stand_in: RevocableReferenceable, name: str) -> Method:
    """The method of what *stand_in* stands for."""
    object = stand_in.object
    method = find_method(object, name)
    if method is _call_function:
        return BoundMethod(_static(object), object)
    perspective = method.perspective if type(method) is BoundMethod else None
    return BoundMethod(method, object, (), perspective)


def _static(function: Callable[..., Any]) -> Method:
    """A method of a function, which takes it and drops it."""

    def call(_self: Any, /, *args: Any, **kw: Any) -> Any:
        return function(*args, **kw)

    call.takes_no_object = function  # type: ignore[attr-defined]
    return call


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
