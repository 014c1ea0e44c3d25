"""RemotePromise: what a call will return, to be awaited, called, or passed on meanwhile.

Protocol sections 1 (pipelining, cancel) and 2 (`answer`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Self

from .errors import InsecureJelly
from .targets import Target

if TYPE_CHECKING:
    from .broker import Broker

__all__ = ["PromisedItem", "RemotePromise", "follow", "remote"]

Path = tuple[str | int, ...]


def follow(value: Any, path: Sequence[str | int]) -> Any:
    """What stands at *path* in data: keys of plain dicts and indexes of lists, nothing else.

    Raises:
        InsecureJelly: the path leads nowhere.
    """
    for item in path:
        kind = type(value)
        if (kind is dict and type(item) is str and item in value) or (
            kind in (list, tuple) and type(item) is int and 0 <= item < len(value)
        ):
            value = value[item]
        else:
            raise InsecureJelly(f"the path {list(path)!r} leads nowhere in the answer")
    return value


class RemotePromise(Target):
    """The result of a call that is on its way; await it, call it, or pass it as an argument.

    Calls on it and arguments of it are sent at once and wait at the other side, so that a
    chain costs one round trip. A task that is cancelled while it awaits cancels the call,
    unless another one awaits it too.
    """

    __slots__ = (
        "_after",
        "_error",
        "_seen",
        "_value",
        "_waiters",
        "behind",
        "broker",
        "cancelling",
        "done",
        "hangs",
        "perspective",
        "pipelined",
        "request",
        "target",
        "timeout",
        "timer",
    )

    def __init__(self, broker: Broker, target: Any = None) -> None:
        self.broker = broker
        self.target = target  # keeps the reference for as long as the call is in progress
        self.perspective = None if target is None else target.perspective
        self.request = 0  # not sent yet
        self.done = False
        """Whether the answer is there, or the failure."""
        self.cancelling = False
        self.hangs = False  # an argument of the call was an answer that was not there yet
        self.pipelined = 0  # calls that were sent to this by name and are not answered
        self.behind: deque[Callable[[], None]] | None = None  # local ones that wait for these
        self.timer: Any = None
        self.timeout = (0.0, 0.0)  # the timer's: seconds, and when they are over
        self._value: Any = None
        self._error: BaseException | None = None
        self._seen = False
        self._waiters: list[Any] | None = None
        self._after: list[Callable[[RemotePromise], None]] | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done:
            future = self.broker.runtime.future()
            if self._waiters is None:
                self._waiters = [future]
            else:
                self._waiters.append(future)
            try:
                yield from future
            except BaseException:
                self._waiters = [waiter for waiter in self._waiters or () if waiter is not future]
                if not self._waiters:
                    self._seen = True
                    self.cancel()
                raise
        return self.result()

    def __aiter__(self) -> PromisedStream:
        """The items of the stream that the call returns: ``async for`` need not await it first."""
        return PromisedStream(self)

    def __getitem__(self, key: str | int) -> PromisedItem:
        """What will stand under *key* in the answer, a plain dict or list."""
        return PromisedItem(self, (key,))

    def __repr__(self) -> str:
        state = "pending" if not self.done else "failed" if self._error else "done"
        return f"<RemotePromise {self.request} {state}>"

    def __del__(self) -> None:
        if self._error is not None and not self._seen:
            self.broker.outgoing.unhandled(self._error)

    def result(self) -> Any:
        """The value of a promise that is done; raises what the call failed with."""
        self._seen = True
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._value

    def error(self) -> BaseException | None:
        """What the call failed with, if it did; the failure counts as handled then."""
        self._seen = True
        return self._error

    @property
    def failed(self) -> bool:
        """Whether it is done, with a failure; that does not count as handled by this."""
        return self._error is not None

    def cancel(self) -> None:
        """Tell the other side that the answer is not wanted any more (protocol ``cancel``).

        The promise is done when it answers, as a rule with a `CancelledError`.
        """
        if not self.done and not self.cancelling:
            self.cancelling = True
            self.broker.outgoing.cancel(self)

    def then_call(self, callback: Callable[[RemotePromise], None]) -> None:
        """Call *callback* with this promise when it is done, at once if it is."""
        if self.done:
            callback(self)
        else:
            self._after = [*(self._after or ()), callback]

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """The call ended; whatever comes later changes nothing."""
        if self.done:
            return
        self.done = True
        self.target = None
        self._value = value
        self._error = error
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self._waiters is not None:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters = None
        if self._after is not None:
            callbacks, self._after = self._after, None
            for callback in callbacks:
                callback(self)


class PromisedItem(Target):
    """A part of the data that a promise will bring; to be awaited, called, or passed on."""

    __slots__ = ("path", "promise")

    def __init__(self, promise: RemotePromise, path: Path) -> None:
        self.promise = promise
        self.path = path

    @property
    def broker(self) -> Broker:  # type: ignore[override]
        """The broker of the promise."""
        return self.promise.broker

    @property
    def perspective(self) -> Any:
        """The avatar that the call of the promise is made for."""
        return self.promise.perspective

    def __getitem__(self, key: str | int) -> PromisedItem:
        return PromisedItem(self.promise, (*self.path, key))

    def __await__(self) -> Generator[Any, None, Any]:
        return follow((yield from self.promise.__await__()), self.path)

    def __aiter__(self) -> PromisedStream:
        return PromisedStream(self)


class PromisedStream:
    """Reads the stream that a promise will bring."""

    __slots__ = ("_promise", "_stream")

    def __init__(self, promise: Awaitable[Any]) -> None:
        self._promise: Awaitable[Any] | None = promise
        self._stream: Any = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._promise is not None:
            value, self._promise = await self._promise, None
            if not hasattr(type(value), "__aiter__"):
                raise TypeError(f"the call returned no stream, but {type(value).__name__}")
            self._stream = aiter(value)
        if self._stream is None:  # closed before it was there
            raise StopAsyncIteration
        return await anext(self._stream)

    async def aclose(self) -> None:
        """See `RemoteStream.aclose`."""
        self._promise = None  # what it brings is given back when it comes
        if self._stream is not None:
            await self._stream.aclose()


class _Methods:
    """Makes ``remote(ref).three(12)`` of ``ref.callRemote("three", 12)``."""

    __slots__ = ("_target",)

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., RemotePromise]:
        if name.startswith("__"):
            raise AttributeError(name)
        target = self._target

        def method(*args: Any, **kw: Any) -> RemotePromise:
            promise: RemotePromise = target.callRemote(name, *args, **kw)
            return promise

        return method


def remote(target: Any) -> Any:
    """The methods of a reference or promise as attributes: ``await remote(ref).three(12)``."""
    return _Methods(target)
