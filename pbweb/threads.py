"""`in_thread`: methods that block run in a thread, and the event loop goes on.

A call of such a method starts in its turn, as every call does, and goes on in a thread of a pool.
A thread cannot be stopped: a call that is cancelled stays in progress until its method returns,
so that the limit of calls bounds the work, and is answered with what it returned (protocol
section 1, ``cancel``). One that has not begun yet never does.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from functools import partial, wraps
from inspect import (
    isasyncgenfunction,
    iscoroutinefunction,
    isfunction,
    isgeneratorfunction,
    signature,
)
from typing import Any, ParamSpec, TypeVar, overload

__all__ = ["in_loop", "in_thread"]

Params = ParamSpec("Params")
Result = TypeVar("Result")
Pool = concurrent.futures.ThreadPoolExecutor


class _Work:
    """One call that runs in a thread."""

    __slots__ = ("asked", "begun", "cancelled", "error", "function", "loop", "thread", "value")

    def __init__(self, function: Callable[[], Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()  # the loop's
        context = copy_context()
        context.run(_WORK.set, self)
        self.function: Callable[[], Any] | None = partial(context.run, function)
        self.begun = False
        self.cancelled = False
        self.asked: concurrent.futures.Future[Any] | None = None  # the thread waits for it
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """In the thread. What the function raises is kept: a future takes no StopIteration."""
        function, self.function = self.function, None
        if self.cancelled or function is None:
            return
        self.begun = True
        try:
            self.value = function()
        except BaseException as error:  # sys.exit() too is this call's failure alone
            self.error = error

    def cancel(self) -> None:
        """It need not begin, and what it waits for in the loop is not wanted."""
        self.cancelled = True
        asked = self.asked  # the thread may have its answer at any moment, and take this away
        if asked is not None:
            asked.cancel()

    async def result(self, pool: Pool | None) -> Any:
        """Have it run, and wait until it has, whoever cancels this."""
        future = self.loop.run_in_executor(pool, self.run)
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                self.cancel()
        future.result()
        if not self.begun:
            raise asyncio.CancelledError
        if self.error is not None:
            raise self.error
        return self.value


_WORK: ContextVar[_Work | None] = ContextVar("pbweb_work", default=None)


@overload
def in_thread(function: Callable[Params, Result], /) -> Callable[Params, Awaitable[Result]]: ...


@overload
def in_thread(
    *, pool: Pool | None = None
) -> Callable[[Callable[Params, Result]], Callable[Params, Awaitable[Result]]]: ...


def in_thread(function: Any = None, /, *, pool: Pool | None = None) -> Any:
    """Run a method in a thread, since it blocks: a decorator, bare or with a *pool*.

    For ``remote_*``, ``perspective_*`` and ``view_*`` methods that are plain functions. Calls
    start in their order; several may then run at the same time, as far as the pool lets them, so
    what they share needs a lock, or a pool of one thread. Context variables are those of the
    call. Who calls the method in this program has to await it.

    One that was cancelled, is over its deadline, or whose session has ended goes on, since a
    thread cannot be stopped, unless it has not begun or asks by `in_loop`. Until it returns it is
    a call in progress; the peer gets what it returned.

    In the thread references cannot be called: see `in_loop`.

    Args:
        pool: whose threads it runs in; by default asyncio's own, as with ``asyncio.to_thread``.

    Raises:
        TypeError: it is no plain function.
    """
    if function is None:
        return partial(_decorated, pool=pool)
    return _decorated(function, pool=pool)


def _decorated(function: Any, *, pool: Pool | None) -> Callable[..., Any]:
    if not isfunction(function):
        raise TypeError(
            f"in_thread is for functions, not {function!r}: put it under @staticmethod and others"
        )
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        raise TypeError(
            f"{function.__qualname__} is async: in_thread is for plain functions; inside of it "
            "await asyncio.to_thread(…)"
        )
    if isgeneratorfunction(function):
        raise TypeError(
            f"{function.__qualname__} is a generator, which no call runs: return a list, or yield "
            "in an async function"
        )
    shape = signature(function)

    @wraps(function)
    def start(*args: Any, **kw: Any) -> Awaitable[Any]:
        shape.bind(*args, **kw)  # arguments that do not fit are told before it starts
        return _Work(partial(function, *args, **kw)).result(pool)

    return start


def in_loop(function: Callable[..., Any], /, *args: Any, **kw: Any) -> Any:
    """Call *function* in the event loop, from a method that runs in a thread, and wait for it.

    This is how such a method calls a reference: ``pb.in_loop(reference.callRemote, "print", 12)``.

    Returns:
        What *function* returned, awaited if it is awaitable.

    Raises:
        RuntimeError: this is no thread of `in_thread`.
        asyncio.CancelledError: the call was cancelled, or its session has ended.
        Exception: what *function* raised.
    """
    work = _WORK.get()
    if work is None or threading.get_ident() == work.thread:
        raise RuntimeError(
            "in_loop is for methods that pb.in_thread runs in a thread; "
            "this is none: call and await what you need"
        )

    async def ask() -> Any:
        result = function(*args, **kw)
        return await result if hasattr(type(result), "__await__") else result

    if work.cancelled:
        raise asyncio.CancelledError
    work.asked = asyncio.run_coroutine_threadsafe(ask(), work.loop)
    if work.cancelled:  # meanwhile
        work.asked.cancel()
    try:
        return work.asked.result()
    except concurrent.futures.CancelledError:
        raise asyncio.CancelledError from None
    finally:
        work.asked = None
