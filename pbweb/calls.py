"""A call of the peer's that is in progress, and what it may have ended with."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from .flavors import BoundMethod, Entrance
from .methods import Method

if TYPE_CHECKING:
    from .runtime import Handle

__all__ = ["Call", "Failed", "Seen"]


class Call:
    """A call that is in progress: waiting for answers, running, or waiting for room."""

    __slots__ = (
        "answering",
        "before",
        "context",
        "dependents",
        "ended",
        "entrance",
        "key",
        "method",
        "name",
        "perspective",
        "request",
        "revoked",
        "start",
        "started",
        "stop",
        "task",
        "timer",
        "waits",
        "weight",
    )

    def __init__(self, request: int, key: int, name: str) -> None:
        self.request = request
        self.key = key
        self.name = name
        self.task: Any = None
        self.timer: Handle | None = None
        self.context: Context | None = None  # has its deadline in it
        self.start: Callable[[], None] | None = None  # when the answers that it names are there
        self.waits = 0
        self.started = False  # its first step was made, or there is none to make
        self.stop: str | None = None  # why it is to be stopped
        self.answering = False  # it has ended, its answer waits for room
        self.ended = False
        self.dependents: list[Callable[[Any], None]] | None = None
        self.method: BoundMethod | None = None  # what it calls, if that is known already
        self.perspective: Any = None  # the avatar who calls
        self.entrance: Entrance | None = None  # stands for the avatar, in a login
        self.revoked = False  # the avatar's login has ended meanwhile
        self.before: int | None = None  # it is held: frames received before its message
        self.weight = 0  # of the call while it is held, of its answer while that waits

    def one_is_there(self) -> None:
        """One of the things that it waits for has come."""
        self.waits -= 1
        if self.waits == 0 and self.start is not None:
            start, self.start = self.start, None
            start()

    def called_by(self, method: Method) -> None:
        """What it calls is known, and so who calls."""
        if type(method) is BoundMethod:
            self.method, self.perspective, self.entrance = (
                method,
                method.perspective,
                method.entrance,
            )
        else:
            self.perspective = self.entrance = None


class Failed:
    """An answer that was a failure, for calls that hang on it."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Seen:
    """An answer that was made for an avatar, for calls that name it."""

    __slots__ = ("perspective", "value")

    def __init__(self, value: Any, perspective: Any) -> None:
        self.value = value
        self.perspective = perspective
