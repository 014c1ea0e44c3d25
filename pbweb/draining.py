"""A server that stops: nobody new, calls in progress end, and all are told when to come back.

Protocol section 6, Ending. `stop` is what ``pbweb serve`` does at a signal, and `Endpoint.drain`.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING

from .logs import logger

if TYPE_CHECKING:
    from .asgi import Endpoint
    from .connection import Connection
    from .session import Session

__all__ = ["GOING_AWAY", "back_in", "before_the_server", "stop"]

GOING_AWAY = "the server is going away"

LOOK = 0.02  # seconds between looks at what is still going on
FLUSH = 0.4  # of `Limits.grace`: for what is written to get out
LAST = 0.2  # of it: for methods that were cancelled, and logouts

CLIENTS_A_SECOND = 100
LONGEST = 60.0


def back_in(clients: int) -> list[float]:
    """The range of seconds in which *clients* are to connect again, not all at once."""
    return [1.0, min(LONGEST, 2.0 + clients / CLIENTS_A_SECOND)]


async def stop(
    endpoints: Collection[Endpoint],
    seconds: float,
    grace: float,
    is_urgent: Callable[[], bool] = lambda: False,
) -> None:
    """Stop *endpoints* in order; returns when no connection and no session is left.

    Args:
        seconds: how long calls in progress have.
        grace: how long the rest may take, in parts: see above.
        is_urgent: whether nothing is to be waited for any more; asked again and again.
    """
    for endpoint in endpoints:
        endpoint.stopping = True

    def connections() -> Iterable[Connection]:
        return [*chain.from_iterable(endpoint.connections for endpoint in endpoints)]

    async def wait(condition: Callable[[], bool], seconds: float) -> None:
        until = loop.time() + seconds
        while not condition() and not is_urgent() and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    loop = asyncio.get_running_loop()
    sessions = [connection.session for connection in connections()]
    calls = sum(map(_working, sessions))
    if calls:
        logger.info("stopping: %d calls in progress have %g seconds", calls, seconds)
    back = back_in(len(sessions))
    await wait(lambda: _end_idle(connections(), back), seconds)
    cut = _cut_short([connection.session for connection in connections()], back)
    await asyncio.sleep(0)  # what is said at the end is written
    await wait(lambda: not connections(), FLUSH * grace)
    for connection in connections():
        connection.abort()
    for endpoint in endpoints:
        cut += _cut_short(endpoint.parking.away(), back)
        endpoint.parking.close()
    await asyncio.sleep(0)
    await wait(lambda: _are_over(cut, endpoints), LAST * grace)


def _working(session: Session) -> int:
    return session.broker.incoming.working()


def _end_idle(connections: Iterable[Connection], back: list[float]) -> bool:
    """End sessions in which no call goes on; whether none is left."""
    left = False
    for connection in connections:
        session = connection.session
        if session.ended or session.detached:  # `Parking.close` is for those
            continue
        left = True
        session.broker.incoming.drain()
        if not _working(session):
            session.close(1012, GOING_AWAY, back)
    return not left


def _cut_short(sessions: Iterable[Session], back: list[float]) -> list[asyncio.Task[object]]:
    """The time is over: end *sessions*; the methods that are cancelled by it."""
    cut = []
    for session in sessions:
        if not session.ended:
            tasks = session.broker.incoming.tasks()
            cut += [task for task in tasks if isinstance(task, asyncio.Task)]
            if not session.detached:
                session.close(1012, GOING_AWAY, back)
    return cut


def _are_over(tasks: Iterable[asyncio.Task[object]], endpoints: Iterable[Endpoint]) -> bool:
    """Whether what an end brings is done: ``finally`` blocks, and logouts that are async."""
    leaving = any(getattr(endpoint.root, "leaving", ()) for endpoint in endpoints)
    return not leaving and all(task.done() for task in tasks)


@asynccontextmanager
async def before_the_server(endpoint: Endpoint) -> AsyncIterator[None]:
    """Hold a signal back from the server in which *endpoint* is, until it is drained.

    The next signal goes through at once.
    """
    loop = asyncio.get_running_loop()
    draining: set[asyncio.Task[None]] = set()
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        first, endpoint.stopping = not endpoint.stopping, True
        loop.call_soon_threadsafe(begin if first else stop_draining, number, frame)
        if not first:
            handlers[number](number, frame)

    def begin(number: int, frame: FrameType | None) -> None:
        draining.add(loop.create_task(drain(number, frame)))

    async def drain(number: int, frame: FrameType | None) -> None:
        await endpoint.drain()
        handlers[number](number, frame)

    def stop_draining(*_: object) -> None:
        for task in draining:
            task.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before):
                handlers[number] = before
                signal.signal(number, handle)
    try:
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
        stop_draining()
        await endpoint.drain()
