"""Async iterators across the wire (protocol section 5): the side that makes the items, and the side
that reads them.

A stream is handed out as a reference is, and has two methods, ``next`` and ``stop``: all else is
calls as any other. The reader allows so many items ahead, so the producer is never further.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import copy_context
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson

from .errors import (
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    PBConnectionLost,
    WrongArguments,
)
from .failures import is_expected
from .flavors import BoundMethod, Dispatcher
from .frames import MAX_INTEGER
from .jelly import Jellier, Json, Tagged, goes_as_it_is
from .limits import Limits
from .references import HeldKey, Made, RemoteReference
from .runtime import DEADLINE

if TYPE_CHECKING:
    from .broker import Broker
    from .promises import RemotePromise
    from .runtime import Handle

__all__ = ["AHEAD", "Items", "Producer", "RemoteStream", "Streams"]

AHEAD = 64
"""Items that a reader has and has asked for at most, together."""
ASKS = 2
"""Calls of ``next`` that a reader has under way: one is answered while the other travels."""
MOST_DRAWN = 1024
"""Items that a producer has drawn and not sent at most, whatever it is asked for."""
ANSWER_BYTES = 262_144
"""About so many bytes go into one answer; one item may be larger."""
TURN = 0.01
"""Seconds that a producer which never pauses may go on before the others get their turn."""

_ENVELOPE = 128  # bytes of an answer without its items
_SCALAR = 25  # bytes that a number has at most
_LEVELS = 2  # what the answer adds to the nesting of an item


class Items:
    """The answer to a ``next``: takes what the producer has when it is encoded, and goes out."""

    __slots__ = ("_producer",)

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    @property
    def weight(self) -> int:
        """About how many bytes wait with the producer."""
        return self._producer.waiting_bytes()

    def encode(self, jellier: Jellier) -> Json:
        """The items that fit into one answer, and whether they are the last.

        Raises:
            InsecureJelly, LimitExceeded: the first of them cannot be sent; the stream ends.
        """
        return self._producer.encode_items(jellier)


class Producer(Dispatcher):
    """What the peer calls: it draws items from an async iterator, as far as it is allowed to.

    One task draws all of them and closes the iterator, so that what is around a ``yield`` (a
    timeout, a task group) stays in the task where it was entered. It starts with the first
    ``next``.
    """

    __slots__ = (
        "_broker",
        "_claimed",
        "_closers",
        "_context",
        "_credit",
        "_failure",
        "_held",
        "_items",
        "_made",
        "_over",
        "_resume",
        "_running",
        "_stopped",
        "_task",
        "_telling",
        "_typical",
        "_waiters",
        "perspective",
        "value",
    )

    def __init__(self, broker: Broker, value: Any, perspective: Any) -> None:
        self._broker = broker
        self.value = value
        self.perspective = perspective
        self._context = copy_context()
        self._items: deque[tuple[Any, int]] = deque()  # what was drawn, and about how large it is
        self._held = 0  # bytes of them
        self._typical = 256  # bytes of an item whose size cannot be seen
        self._credit = 0  # items that may still be drawn
        self._made = 0  # items that were sent
        self._task: Handle | None = None
        self._running = False  # the task has got control
        self._resume: Any = None  # what the task waits for
        self._stopped = False  # no more is wanted
        self._over = False  # the iterator has ended, or is closed
        self._failure: BaseException | None = None  # how, if nobody was told yet
        self._waiters: deque[Any] = deque()  # calls of `next`, in their order
        self._claimed = False  # an answer was made that is not encoded yet
        self._telling = False
        self._closers: list[Any] = []  # calls of `stop`

    # ------------------------------------------------------- what the peer calls

    def method(self, name: str) -> BoundMethod | None:
        """What *name* calls, on behalf of the avatar that the stream was handed out for."""
        function = _METHODS.get(name)
        return function and BoundMethod(function, self, (), self.perspective)

    def next(self, n: int) -> Items | Coroutine[Any, Any, Items]:
        """Allow *n* items more; the answer comes as soon as there is one."""
        if type(n) is not int or n < 1:
            raise WrongArguments(f"next: n is a whole number from 1 on, not {ascii(n)[:64]}")
        self._credit = min(self._credit + n, MAX_INTEGER)
        if self._task is None and not self._stopped:
            self._start()
        self._go_on()
        if self._is_ready() and not self._waiters:
            return self._claim()
        return self._next()

    async def close(self) -> None:
        """Want no more; the answer comes when the iterator is closed."""
        self.stop()
        while not self._over:
            future = self._broker.runtime.future()
            self._closers.append(future)
            await future
        failure, self._failure = self._failure, None  # of closing it
        if failure is not None:
            raise failure

    async def _next(self) -> Items:
        future = self._broker.runtime.future()
        self._waiters.append(future)
        self._tell_soon()  # something may have come before this got control
        try:
            await future
        except BaseException:
            if future in self._waiters:
                self._waiters.remove(future)
            else:
                self._claimed = False  # it is another's turn
            self._tell()
            raise
        return self._claim()

    def _is_ready(self) -> bool:
        """Whether a ``next`` can be answered now."""
        return not self._claimed and (bool(self._items) or self._over or self._stopped)

    def _claim(self) -> Items:
        """The answer. Raises what the iterator did, when nothing is before that."""
        if not self._items and self._failure is not None and not self._stopped:
            failure, self._failure = self._failure, None
            self._claimed = False
            self._tell_soon()
            raise failure
        self._claimed = True
        return Items(self)

    def _tell_soon(self) -> None:
        """Answer when the iterator pauses: what it gives without a pause goes out together."""
        if self._waiters and not self._telling:
            self._telling = True
            self._broker.runtime.soon(self._tell)

    def _tell(self) -> None:
        """The first ``next`` that waits can be answered, perhaps."""
        self._telling = False
        if self._waiters and self._is_ready():
            self._claimed = True
            self._waiters.popleft().set_result(None)

    # ------------------------------------------------------------ the answers

    def waiting_bytes(self) -> int:
        """About how many bytes of items were drawn and not sent."""
        return self._held

    def encode_items(self, jellier: Jellier) -> Json:
        """See `Items.encode`."""
        self._claimed = False
        try:
            encoded = self._encode(jellier)
        finally:
            self._go_on()
            self._tell_soon()
        done = self._stopped or (self._over and not self._items and self._failure is None)
        return {"items": encoded, "done": done}

    def _encode(self, jellier: Jellier) -> list[Json]:
        broker, items = self._broker, self._items
        limits, before = jellier.limits, jellier.size
        inner = replace(limits, depth=max(1, limits.depth - _LEVELS))
        most = min(ANSWER_BYTES, limits.message // 2)
        encoded: list[Json] = []
        size = _ENVELOPE
        while items and size < most:
            handed, begun = len(jellier.handed), len(jellier.begun)
            attached = len(jellier.attachments)
            try:
                one, bytes = _encode_one(jellier, items[0][0], f"stream[{self._made}]", inner)
                if size + bytes > limits.message:
                    raise LimitExceeded(
                        f"message: the item stream[{self._made}] has {bytes} bytes, the peer takes "
                        f"{limits.message}; yield it in parts"
                    )
            except BaseException:  # whatever the item does when it is asked
                broker.take_back(jellier, handed, begun)
                del jellier.attachments[attached:]
                if encoded:
                    break  # perhaps it can go alone; if not, what is before it goes first
                self.stop()
                raise
            self._made += 1
            self._held -= items.popleft()[1]
            encoded.append(one)
            size += bytes
        jellier.size = before  # all of it is counted once more, in one piece
        if encoded:
            self._typical = size // len(encoded)
        return encoded

    # ------------------------------------------------------------- the task

    def _start(self) -> None:
        self._context.run(DEADLINE.set, None)  # that of the call which gave the iterator
        self._task = self._broker.runtime.spawn(self._run(), self._context)
        if self._stopped and self._running and not self._over:  # while it made its first step
            self._task.cancel()

    def _go_on(self) -> None:
        if self._resume is not None and (self._stopped or self._may_draw()):
            resume, self._resume = self._resume, None
            if not resume.done():
                resume.set_result(None)

    def _may_draw(self) -> bool:
        few = self._held < ANSWER_BYTES and len(self._items) < MOST_DRAWN
        return self._credit > 0 and few

    async def _run(self) -> None:
        """The task: draws, and closes the iterator in the end."""
        self._running = True
        iterator, failure = self.value, None
        try:
            if not self._stopped:
                iterator = aiter(iterator)
                await self._draw(iterator)
        except GeneratorExit:  # the loop is gone
            raise
        except BaseException as error:  # sys.exit() too is this stream's failure alone
            failure = error
        if self._stopped:
            if isinstance(failure, self._broker.runtime.cancelled):
                failure = None
            failure = await _closed(iterator) or failure
        self._ended(failure)

    async def _draw(self, iterator: AsyncIterator[Any]) -> None:
        runtime = self._broker.runtime
        since = runtime.clock()
        while not self._stopped:
            late = runtime.clock() - since > TURN
            if late or not self._may_draw():
                self._resume = future = runtime.future()
                if late:
                    runtime.soon(self._go_on)
                await future
                since = runtime.clock()
                continue
            self._credit -= 1
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
            if not self._stopped:
                size = self._size_of(item)
                self._items.append((item, size))
                self._held += size
                self._tell_soon()

    def _size_of(self, item: Any) -> int:
        if isinstance(item, bytes | bytearray | memoryview | str):
            return len(item)
        return self._typical

    def stop(self) -> None:
        """No more is wanted: close the iterator, once. Calls that wait are told that it is done."""
        if self._stopped:
            return
        self._stopped = True
        self._items.clear()
        self._held = 0
        if self._over:
            failure, self._failure = self._failure, None
            if failure is not None and not is_expected(failure):
                self._broker.runtime.report("a stream failed that nobody reads any more", failure)
        elif self._task is not None:
            if self._running:
                self._task.cancel()
        elif self._running:
            pass  # it makes its first step, and is cancelled behind that
        elif hasattr(self.value, "aclose"):
            self._start()
        else:
            self._ended(None)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _ended(self, failure: BaseException | None) -> None:
        self._over = True
        self._failure = failure
        waiting = [closer for closer in self._closers if not closer.done()]  # none was cancelled
        self._closers.clear()
        if self._stopped and failure is not None and not waiting:
            self._failure = None
            self._broker.runtime.report("a stream could not be closed properly", failure)
        for closer in waiting:
            closer.set_result(None)
        self._tell_soon()


_METHODS: dict[str, Callable[..., Any]] = {"next": Producer.next, "stop": Producer.close}


async def _closed(iterator: Any) -> BaseException | None:
    """Close *iterator*; what it raises."""
    close = getattr(iterator, "aclose", None)
    if close is None:
        return None
    try:
        await close()
    except GeneratorExit:  # the loop is gone
        raise
    except BaseException as error:  # as above
        return error
    return None


def _encode_one(jellier: Jellier, item: Any, place: str, limits: Limits) -> tuple[Json, int]:
    """*item* as it goes out, and how many bytes it has, with those beside the frame."""
    if type(item) is not str and goes_as_it_is(item):
        return item, _SCALAR
    before, attached = jellier.size, len(jellier.attachments)
    encoded = jellier.encode_more(item, place, limits)
    if isinstance(encoded, orjson.Fragment):
        size = jellier.size - before
    else:
        data = orjson.dumps(encoded)
        encoded, size = orjson.Fragment(data), len(data)
    beside = jellier.attachments[attached:]
    return encoded, 1 + size + sum(map(len, beside)) + 4 * len(beside)


class Streams:
    """The streams that one session has handed out."""

    __slots__ = ("_broker", "_producers")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._producers: set[Producer] = set()

    def __len__(self) -> int:
        return len(self._producers)

    def jelly(self, value: Any, jellier: Jellier) -> Tagged | None:
        """The tagged value for *value*, or None if it is no async iterator.

        Raises:
            LimitExceeded: as many streams are open as are allowed.
        """
        if not hasattr(type(value), "__aiter__"):
            return None
        perspective = jellier.perspective
        luid = self._broker.exports.hand_out(
            value, perspective, lambda value: self._produce(value, perspective)
        )
        jellier.handed.append(luid)  # type: ignore[arg-type]
        return {"$": "stream", "id": luid}

    def _produce(self, value: Any, perspective: Any) -> Made:
        broker = self._broker
        limit = min(broker.limits.streams, broker.peer_limits.streams)
        if len(self._producers) >= limit:
            raise LimitExceeded(
                f"streams: {limit} are open, more are not allowed; "
                "read those that are there to their end, or close them"
            )
        producer = Producer(broker, value, perspective)
        self._producers.add(producer)

        def ended(was_seen: bool) -> None:
            self._producers.discard(producer)
            if was_seen:
                producer.stop()

        return producer, ended

    def lost(self) -> None:
        """The session is gone: every iterator is closed."""
        producers, self._producers = self._producers, set()
        for producer in producers:
            producer.stop()


# ------------------------------------------------------------------ the other side


class _Feed:
    """What has come of a stream and what was asked for.

    It does not hold the `RemoteStream`: when nobody holds that any more, the stream is given back,
    also while a ``next`` is under way.
    """

    __slots__ = (
        "_asked",
        "_broker",
        "_counts",
        "_granted",
        "_left",
        "_room",
        "_stream",
        "error",
        "items",
        "over",
        "reference",
        "stopping",
        "waiters",
    )

    def __init__(self, stream: RemoteStream, perspective: Any) -> None:
        self._broker = stream.broker
        self._stream = weakref.ref(stream)
        self.reference = RemoteReference(stream.broker, stream.luid, stream.key, perspective)
        self.items: deque[Any] = deque()
        self._counts: deque[int] = deque()  # of the answers in which they came
        self._left = 0  # of the first of these
        self._room = AHEAD  # for items that are not asked for
        self._granted = 0  # items that were asked for and have not come
        self._asked = 0  # calls of `next` under way
        self.over = False  # nothing more will come
        self.error: BaseException | None = None  # how it ended, if nobody was told yet
        self.stopping: RemotePromise | None = None  # the call of `stop`
        self.waiters: list[Any] = []

    def ask(self) -> None:
        """Ask ahead, as far as there is room."""
        if self.over or self._asked >= ASKS or not self._room:
            return
        if self._broker.disconnected:
            self.end(PBConnectionLost("the session is gone, and with it what is read"))
            return
        n = min(self._room, AHEAD // ASKS)
        self._room -= n
        self._granted += n
        self._asked += 1
        token = DEADLINE.set(None)  # what is asked ahead is for the calls of later, too
        try:
            self.reference.callRemote("next", n).then_call(self._came)
        finally:
            DEADLINE.reset(token)

    def _came(self, promise: RemotePromise) -> None:
        self._asked -= 1
        error = promise.error()
        if self.over:
            return
        if error is None:
            try:
                self._take(promise.result())
            except Error as fault:
                error = fault
        if error is not None:
            self.end(error)
        else:
            self.ask()
            self._wake()

    def _take(self, answer: Any) -> None:
        if type(answer) is not dict or type(answer.get("done")) is not bool:
            raise InsecureJelly("the answer to a stream's next has no items and done")
        items, done = answer.get("items"), answer["done"]
        if type(items) is not list or len(items) > self._granted or not (items or done):
            raise InsecureJelly("the answer to a stream's next has not the items asked for")
        self._granted -= len(items)
        if items:
            self.items.extend(items)
            self._counts.append(len(items))
            self._left = self._left or self._counts[0]
        if done:
            self.end(None)

    def take(self) -> Any:
        """The next item; when it was the last of its answer, as many more are asked for."""
        item = self.items.popleft()
        self._left -= 1
        if not self._left:
            self._room += self._counts.popleft()
            self._left = self._counts[0] if self._counts else 0
            self.ask()
        return item

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come; the producer may forget the stream."""
        if self.over:
            return
        self.over = True
        self.error = error
        stream = self._stream()
        if stream is not None:
            self._broker.release(stream)
        self._wake()

    def drop(self) -> None:
        """Nothing more is wanted."""
        self.items.clear()
        self.end(None)
        self.error = None

    def _wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class RemoteStream:
    """A stream of the peer's: an async iterator, which is read once.

    Items are asked for ahead, at most 64 of them. What the producer raises is raised behind the
    items that came before it. The stream is given back when it has ended, or when nobody holds it
    any more, as after a ``break``; `aclose`, and ``async with``, do so at once and wait until the
    producer's ``finally`` has run. A task that is cancelled while it waits for an item takes
    none with it. Protocol section 5.
    """

    __slots__ = ("__weakref__", "_feed", "_is_read", "broker", "key", "luid")

    def __init__(self, broker: Broker, luid: int, key: HeldKey, perspective: Any = None) -> None:
        self.broker = broker
        self.luid = luid
        self.key = key
        self._is_read = False
        self._feed = _Feed(self, perspective)

    @property
    def perspective(self) -> Any:
        """The avatar in whose call this came; the items are as that one sees them."""
        return self._feed.reference.perspective

    @perspective.setter
    def perspective(self, avatar: Any) -> None:
        self._feed.reference.perspective = avatar

    def __repr__(self) -> str:
        state = " (ended)" if self._feed.over else ""
        return f"<RemoteStream {self.luid}{state}>"

    def __aiter__(self) -> Self:
        """The stream itself, once.

        Raises:
            Error: somebody reads it already, or has.
        """
        if self._is_read:
            raise Error("this stream is read already, or was: a stream is read once")
        self._is_read = True
        return self

    async def __anext__(self) -> Any:
        """The next item.

        Raises:
            StopAsyncIteration: there is none.
            PBConnectionLost: the session went.
            Error: what the producer raised.
        """
        feed = self._feed
        while not feed.items:
            if feed.error is not None:
                error, feed.error = feed.error, None
                raise error
            if feed.over:
                raise StopAsyncIteration
            feed.ask()
            if feed.over:
                continue
            future = self.broker.runtime.future()
            feed.waiters.append(future)
            await future
        return feed.take()

    async def aclose(self) -> None:
        """Want no more; returns when the producer's ``finally`` has run. Again, it is harmless.

        Who calls it while another waits in it waits too. Behind `release`, and behind an item that
        could not be sent, whose error came before the producer was closed, it returns at once.

        Raises:
            Error: what the producer raised while it was closed; to the first who calls it.
        """
        feed = self._feed
        first = not feed.over
        if first:
            feed.stopping = feed.reference.callRemote("stop")
        feed.drop()
        if feed.stopping is None:
            return
        try:
            await feed.stopping
        except (DeadReferenceError, PBConnectionLost):
            return  # the producer was closed with its session
        except Error:
            if first:
                raise

    def release(self) -> None:
        """Want no more, without waiting for the producer. Doing it again is harmless."""
        self._feed.drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
