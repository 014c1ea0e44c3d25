"""Names in the log what blocks the event loop.

A thread asks the loop for a sign of life while peers are calling, and sleeps in between. When
none comes in time it looks where the loop's thread is. So a call pays nothing for being
watched, and a method that never returns is named as well. There is one for each loop, whatever
number of endpoints are in it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType
from weakref import WeakValueDictionary

from .logs import logger

__all__ = ["Watchdog", "watchdog"]

WATCH_SECONDS = 2.0  # that the loop is watched after a message of a peer's
QUIET_SECONDS = 60.0  # in which one method is named once

LOOP = frozenset({"asyncio.base_events", "asyncio.events", "asyncio.runners"})
"""Modules of the loop itself: what called it has nothing to do with what it runs."""

NOT_THE_APPLICATION = sys.stdlib_module_names | {
    *("pbweb", "pbweb_server", "starlette", "uvicorn", "uvloop", "websockets")
}


class Watchdog:
    """Watches an event loop.

    Args:
        seconds: how long the loop may be held up; what takes half as long again is named for
            certain.
    """

    __slots__ = ("__weakref__", "_alive", "_lock", "_named", "_step", "_thread", "armed")

    def __init__(self, seconds: float) -> None:
        self._step = seconds / 2
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._alive = threading.Event()
        self._named: dict[CodeType, float] = {}
        self.armed = False  # a message has come since the loop was looked after anew

    def arm(self) -> None:
        """Watch the running loop for a while. For each message of a peer's, if not `armed`."""
        with self._lock:
            self.armed = True
            if self._thread is None:
                here = (asyncio.get_running_loop(), threading.get_ident())
                self._thread = threading.Thread(
                    target=self._watch, args=here, name="pbweb-watchdog", daemon=True
                )
                self._thread.start()

    def _watch(self, loop: asyncio.AbstractEventLoop, loop_thread: int) -> None:
        """The thread's work; it ends when no messages come any more, or the loop stops."""
        while self._is_wanted(loop):
            until = time.monotonic() + WATCH_SECONDS
            while loop.is_running() and time.monotonic() < until:
                self._ask(loop, loop_thread)

    def _is_wanted(self, loop: asyncio.AbstractEventLoop) -> bool:
        with self._lock:
            wanted = self.armed and loop.is_running()
            self.armed = False
            if not wanted:
                self._thread = None
            return wanted

    def _ask(self, loop: asyncio.AbstractEventLoop, loop_thread: int) -> None:
        """Ask for one sign of life; say who prevents it."""
        asked = time.monotonic()
        self._alive.clear()
        try:
            loop.call_soon_threadsafe(self._alive.set)
        except RuntimeError:  # it is closed
            return
        for _ in range(2):
            self._nap()
            if self._alive.is_set():
                return
        method = self._name(loop_thread, asked)
        while loop.is_running() and not self._alive.is_set():
            self._nap()
        if method is not None:
            logger.warning("%s blocked the event loop for %d ms", method, _since(asked))

    def _nap(self) -> None:
        """Give the loop time for its sign."""
        time.sleep(self._step)

    def _name(self, loop_thread: int, asked: float) -> str | None:
        """What of the application's the loop's thread is in, as the log was told of it."""
        found = _outermost(sys._current_frames().get(loop_thread))
        if found is None or self._was_named(found.f_code):
            return None
        method = found.f_code.co_qualname
        logger.warning(
            "%s has blocked the event loop for %d ms and goes on, at line %d of %s: nobody is "
            "served meanwhile. Await what it waits for, or have it run in a thread: pb.in_thread.",
            method,
            _since(asked),
            found.f_lineno,
            Path(found.f_code.co_filename).name,
        )
        return method

    def _was_named(self, code: CodeType) -> bool:
        now = time.monotonic()
        if now - self._named.get(code, -QUIET_SECONDS) < QUIET_SECONDS:
            return True
        self._named[code] = now
        return False


def _outermost(frame: FrameType | None) -> FrameType | None:
    """Where the loop has come to code of the application's, if *frame* came of that.

    That is a method which a peer called, or what pbweb asks of an object (``getStateToCopy``,
    ``observe_*``, ``logout``), or a task of the application's own.
    """
    found = None
    while frame is not None and (name := frame.f_globals.get("__name__", "")) not in LOOP:
        if name.partition(".")[0] not in NOT_THE_APPLICATION:
            found = frame
        frame = frame.f_back
    return found


_OF_LOOPS: WeakValueDictionary[tuple[int, float], Watchdog] = WeakValueDictionary()
"""By the id() of the loop, and the seconds: each is there while a connection of the loop is."""


def watchdog(seconds: float) -> Watchdog:
    """The watchdog of the running loop."""
    key = id(asyncio.get_running_loop()), seconds
    found = _OF_LOOPS.get(key)
    if found is None:
        found = _OF_LOOPS[key] = Watchdog(seconds)
    return found


def _since(moment: float) -> float:
    """Milliseconds since *moment*."""
    return 1000 * (time.monotonic() - moment)
