"""A clock that only the test turns: what a slow machine does to a limit is no part of a test."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from pbweb.connection import Connection


class Clock:
    """The loop that runs, but for its time: that stands still until somebody turns it.

    What is given it for a loop has its limits by this time, so a machine that is slow is no late
    peer, and hours of silence cost a test nothing. All else of the loop is the real one's.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    @classmethod
    def of(cls, *connections: Connection) -> Self:
        """One for what *connections* do from now on."""
        clock = cls()
        for connection in connections:
            connection._loop = clock  # type: ignore[assignment]
        return clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """Be the running loop of what is made in the block, which may not wait."""
        asyncio._set_running_loop(self)  # type: ignore[arg-type]
        try:
            yield
        finally:
            asyncio._set_running_loop(self._loop)

    # --------------------------------------------------------------- turning

    def turn(self, seconds: float) -> None:
        """Let *seconds* pass: call what is due meanwhile, each at its time."""
        end = self._now + seconds
        while due := [timer for timer in self._timers if timer.when() <= end]:
            timer = min(due, key=asyncio.TimerHandle.when)
            self._timers.remove(timer)
            self._now = max(self._now, timer.when())
            timer._run()
        self._now = end

    def waiting(self) -> list[str]:
        """The names of the functions whose time has not come."""
        return [timer._callback.__name__ for timer in self._timers]  # type: ignore[attr-defined]

    # ------------------------------------------------------------ as a loop

    def time(self) -> float:
        return self._now

    def call_later(
        self, seconds: float, function: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + seconds, function, *args, context=context)

    def call_at(
        self, when: float, function: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, function, args, self, context)  # type: ignore[arg-type]
        self._timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """A timer says this to its loop when it is cancelled."""
        if timer in self._timers:
            self._timers.remove(timer)

    def get_task_factory(self) -> Any:
        """One: so tasks are made by the real loop, whose they are."""
        return self._loop.get_task_factory() or asyncio.Task
