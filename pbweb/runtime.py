"""What the pure half needs from outside, and how one side behaves."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, Protocol

from .flavors import Registry
from .limits import Limits

__all__ = ["DEADLINE", "LATE", "Handle", "Options", "Runtime"]

LATE = 1.0
"""Seconds by which a timer is late when this side stood still: blocked, stopped or asleep.

What the peer has sent meanwhile may not have been read when the timer is called.
"""

DEADLINE: ContextVar[float | None] = ContextVar("pbweb_deadline", default=None)
"""Until when, by the runtime's clock, the call that is being handled is wanted."""


class Handle(Protocol):
    """Something that was started and can be cancelled."""

    def cancel(self) -> object:
        """Stop it, if it has not ended."""


class Runtime(Protocol):
    """Tasks, timers, futures and the log; `Connection` is the one for asyncio."""

    @property
    def cancelled(self) -> type[BaseException]:
        """What a cancelled task sees."""

    def spawn(self, coroutine: Coroutine[Any, Any, None], context: Context | None) -> Handle:
        """Run *coroutine*, its first step before anything given to `soon` later."""

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call *function* after what was spawned or given here before."""

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> Handle:
        """Call *function* in *seconds*."""

    def is_here(self) -> bool:
        """Whether this is the thread in which all of it happens."""

    def clock(self) -> float:
        """Seconds that only rise."""

    def unsent(self) -> int:
        """Bytes that were written and have not reached the peer, as far as that is known."""

    def future(self) -> Any:
        """A future to be awaited: ``set_result(None)`` and ``done()`` are used of it."""

    def report(self, what: str, error: BaseException | None = None) -> str:
        """Write *what* to the log, with the traceback of *error*; returns the entry's id."""


class Options:
    """How one side behaves: shared by all its sessions."""

    __slots__ = ("limits", "mask_errors", "registry", "unsafe_tracebacks")

    def __init__(
        self,
        limits: Limits,
        registry: Registry,
        *,
        mask_errors: bool = False,
        unsafe_tracebacks: bool = False,
    ) -> None:
        self.limits = limits
        self.registry = registry
        self.mask_errors = mask_errors
        self.unsafe_tracebacks = unsafe_tracebacks
