"""Exceptions to wire failures and back (protocol section 4)."""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Callable
from typing import Any

from . import errors
from .errors import Error, InsecureJelly, RemoteError, parent_names, type_name
from .flavors import Maker, Registry

__all__ = ["MESSAGE_BYTES", "Fill", "failure_for", "from_failure", "is_expected"]

MESSAGE_BYTES = 1024
"""Where a failure's message is cut."""

Fill = Callable[[BaseException, Maker, dict[str, Any]], None]
"""Gives an exception the ``state`` of the failure that it is made from."""

_OWN = {
    type_name(cls): cls
    for cls in (
        Error,
        errors.NoSuchMethod,
        errors.WrongArguments,
        errors.InsecureJelly,
        errors.DeadReferenceError,
        errors.PBConnectionLost,
        errors.CancelledError,
        errors.LimitExceeded,
        errors.UnauthorizedLogin,
        errors.ProtocolError,
    )
}


def is_expected(error: BaseException) -> bool:
    """Whether *error* is just sent and not logged where it was raised."""
    return isinstance(error, Error)


def failure_for(
    error: BaseException, *, message: str | None = None, with_traceback: bool = False
) -> dict[str, Any]:
    """The tagged value for *error*; one that came from a peer goes on as it came.

    Args:
        message: stands in the place of the error's own text.
        with_traceback: whether the peer may see where the error was raised.
    """
    kind, parents, traceback = _names_of(error)
    failure: dict[str, Any] = {
        "$": "failure",
        "type": _clean(kind),
        "message": _cut(_clean(_text_of(error) if message is None else message)),
        "parents": [_clean(name) for name in parents],
    }
    if traceback is not None:
        failure["traceback"] = _clean(traceback)
    elif with_traceback:
        failure["traceback"] = _clean("".join(tracebacks.format_exception(error)))
    return failure


def from_failure(
    tagged: dict[str, Any], registry: Registry, fill: Fill | None = None
) -> BaseException:
    """The exception for a tagged ``failure``: of the nearest class that is registered here.

    Args:
        fill: called for an exception whose very type is registered and takes a state.

    Raises:
        InsecureJelly: the failure lacks keys or has wrong types in them.
    """
    kind, message, parents = tagged.get("type"), tagged.get("message"), tagged.get("parents")
    traceback = tagged.get("traceback")
    if (
        type(kind) is not str
        or type(message) is not str
        or type(parents) is not list
        or not all(type(name) is str for name in parents)
        or not (traceback is None or type(traceback) is str)
    ):
        raise InsecureJelly("a failure needs strings 'type' and 'message', and a list 'parents'")
    names = parents if kind in parents else [kind, *parents]
    cls = _OWN.get(kind) or _registered(names, registry)
    error = _instance(cls)
    error.args = (message,)
    if fill is not None and "state" in tagged and cls is registry.classes.get(kind):
        maker = registry.makers.get(kind)
        if maker is not None and isinstance(error, cls):
            fill(error, maker, tagged)
    if cls is errors.PBConnectionLost and tagged.get("outcome") == "not_executed":
        error.outcome = "not_executed"  # type: ignore[attr-defined]
    if isinstance(error, Error):
        return error.came_as(kind, message, names, traceback)
    error.__cause__ = RemoteError(message).came_as(kind, message, names, traceback)
    return error


def _instance(cls: type[BaseException]) -> BaseException:
    """An exception of *cls*, whose ``__init__`` did its work at the other side."""
    try:
        return cls.__new__(cls)
    except Exception:  # whatever a class of the application's asks for there
        return RemoteError()


def _registered(names: list[str], registry: Registry) -> type[BaseException]:
    for name in names:
        cls = registry.classes.get(name)
        if cls is not None and issubclass(cls, BaseException):
            return cls
    return RemoteError


def _names_of(error: BaseException) -> tuple[str, list[str], str | None]:
    """Type, parents and traceback: of the failure that *error* was made from, else its own."""
    if isinstance(error, Error) and error._remote is not None:
        kind, _, parents, traceback = error._remote
        return kind, parents, traceback
    return type_name(type(error)), parent_names(type(error)), None


def _text_of(error: BaseException) -> str:
    """The error's text, whatever its class does when it is asked."""
    try:
        return str(error.getErrorMessage() if isinstance(error, Error) else error)
    except BaseException as fault:  # it ends as this call's failure, no other way
        return f"<the text of the exception cannot be had: {type(fault).__name__}>"


def _clean(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(text: str) -> str:
    return text.encode()[:MESSAGE_BYTES].decode(errors="ignore")
