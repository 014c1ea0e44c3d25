"""The exceptions of pbweb, named after the situation of the one who sees them.

::

    Exception
    └── Error                     pb.Error: expected, may cross the wire
        ├── RemoteError           an exception of the peer's whose class is not registered here
        ├── NoSuchMethod          the object has no such method  (also an AttributeError)
        ├── WrongArguments        the arguments do not fit       (also a TypeError)
        ├── InsecureJelly         a value that may not pass
        ├── DeadReferenceError    the reference names nothing any more
        ├── PBConnectionLost      the session went while the call was waiting
        ├── CancelledError        cancelled at the other side, or over its deadline
        ├── LimitExceeded         a limit of ``limits.py`` was broken
        ├── UnauthorizedLogin     the credentials are not good
        └── ProtocolError         the peer broke the protocol

The names on the wire, and who makes which failure, are protocol section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

__all__ = [
    "CancelledError",
    "DeadReferenceError",
    "Error",
    "InsecureJelly",
    "LimitExceeded",
    "NoSuchMethod",
    "PBConnectionLost",
    "ProtocolError",
    "RemoteError",
    "UnauthorizedLogin",
    "WrongArguments",
    "parent_names",
    "type_name",
]

_Class = type
Outcome = Literal["not_executed", "executed_answer_lost", "unknown"]


def type_name(cls: type) -> str:
    """The name of a class on the wire: its own ``pbType``, else ``module.qualname``."""
    own = cls.__dict__.get("pbType")
    return own if isinstance(own, str) else f"{cls.__module__}.{cls.__qualname__}"


def parent_names(cls: type) -> list[str]:
    """The names of *cls* and all above it, without ``object`` (protocol section 4).

    The failures that PB itself makes end with ``pb.Error``, in every language.
    """
    own = cls.__dict__.get("pbParents")
    if own is not None:
        return list(own)
    return [type_name(parent) for parent in cls.__mro__ if parent is not object]


class Error(Exception):
    """An expected error: raised by a remote method it is sent to the caller and not logged.

    On the side of the caller it tells what is known of the failure at the other side;
    raised and caught locally it says the same of itself.
    """

    pbType: ClassVar[str] = "pb.Error"
    pbParents: ClassVar[Sequence[str]] = ("pb.Error",)

    _remote: tuple[str, str, list[str], str | None] | None = None

    @property
    def type(self) -> str:
        """The qualified name of the exception's class where it was raised."""
        return self._remote[0] if self._remote else type_name(self.__class__)

    @property
    def message(self) -> str:
        """The text of the exception."""
        return self._remote[1] if self._remote else str(self)

    @property
    def parents(self) -> list[str]:
        """The names of the exception's class and all above it, the nearest first."""
        return self._remote[2] if self._remote else parent_names(self.__class__)

    @property
    def traceback(self) -> str | None:
        """The traceback at the other side, if the server was told to send it."""
        return self._remote[3] if self._remote else None

    def getErrorMessage(self) -> str:
        """The text of the exception, as PB's Failure names it."""
        return self.message

    def check(self, *types: _Class | str) -> _Class | str | None:
        """The first of *types*, classes or qualified names, that this error is, else None."""
        names = self.parents
        for wanted in types:
            if isinstance(wanted, str):
                if wanted in names:
                    return wanted
            elif isinstance(self, wanted) or type_name(wanted) in names:
                return wanted
        return None

    def trap(self, *types: _Class | str) -> _Class | str:
        """As `check`, but an error that is none of *types* is raised again.

        Raises:
            Error: this very error.
        """
        found = self.check(*types)
        if found is None:
            raise self
        return found

    def came_as(self, type: str, message: str, parents: list[str], traceback: str | None) -> Self:
        """Note what the failure that this error was made from said; returns the error itself."""
        self._remote = (type, message, parents, traceback)
        return self


class RemoteError(Error):
    """An exception of the peer's whose class is not registered here: see `type` and `parents`."""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self._remote else super().__str__()


class NoSuchMethod(Error, AttributeError):
    """The object has no method of that name with that prefix."""

    pbType = "NoSuchMethod"
    pbParents = ("NoSuchMethod", "AttributeError", "pb.Error")

    missing: tuple[_Class, str] | None = None
    """Where it was raised for a peer's call: the object's class, and the name that was called."""


class WrongArguments(Error, TypeError):
    """The arguments do not fit the method; the text says which. ``TypeError`` on the wire."""

    pbType = "TypeError"
    pbParents = ("TypeError", "pb.Error")


class InsecureJelly(Error):
    """A value that may not pass: the text has its type and the path to it."""

    pbType = "InsecureJelly"
    pbParents = ("InsecureJelly", "pb.Error")


class DeadReferenceError(Error):
    """A reference that names nothing: released, of another session, or of one that is gone."""

    pbType = "DeadReferenceError"
    pbParents = ("DeadReferenceError", "pb.Error")

    outcome: Outcome | None = None
    """``not_executed`` of a call that was not sent, since its reference was dead already."""


class PBConnectionLost(Error):
    """The session went while the call was waiting for its answer.

    `outcome` says what is known of the call: ``not_executed``, ``executed_answer_lost``
    or ``unknown`` (protocol section 6). pbweb never sends a lost call again by itself.
    """

    pbType = "PBConnectionLost"
    pbParents = ("PBConnectionLost", "pb.Error")

    outcome: Outcome = "unknown"

    def __init__(self, *args: Any, outcome: Outcome = "unknown") -> None:
        super().__init__(*args)
        self.outcome = outcome


class CancelledError(Error):
    """The call was cancelled at the other side, or ran over its deadline.

    Not `asyncio.CancelledError`: that one says that the task that waits was cancelled.
    """

    pbType = "CancelledError"
    pbParents = ("CancelledError", "pb.Error")


class LimitExceeded(Error):
    """A limit was broken; the text begins with the limit's name in ``limits.py``."""

    pbType = "LimitExceeded"
    pbParents = ("LimitExceeded", "pb.Error")


class UnauthorizedLogin(Error):
    """The credentials are not good; a peer is never told which part was wrong."""

    pbType = "UnauthorizedLogin"
    pbParents = ("UnauthorizedLogin", "pb.Error")

    def __init__(self, *args: Any) -> None:
        super().__init__(*(args or ("the login failed",)))


class ProtocolError(Error):
    """The peer broke the protocol: the connection is closed with `code` (protocol section 7)."""

    pbType = "ProtocolError"
    pbParents = ("ProtocolError", "pb.Error")

    code: int = 4400

    def __init__(self, *args: Any, code: int = 4400) -> None:
        super().__init__(*args)
        self.code = code
