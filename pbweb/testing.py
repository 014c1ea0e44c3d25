"""The test kit: two connected sides in one process, and a wire that can be held, stepped and cut.

With an event loop, for applications::

    async with pair(MyRoot()) as both:
        assert await both.root.callRemote("echo", 1) == 1
        await both.assert_idle()

Without one, for the pure half: `SteppedRuntime` has a clock and a queue that move only when
they are told to, `stepped_pair` two sessions that run on it.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from itertools import count
from typing import Any

import orjson

from .connection import Connection
from .flavors import REGISTRY, Referenceable, Registry, Root
from .frames import Frame, split_attachments
from .limits import DEFAULT, Limits
from .references import RemoteReference
from .runtime import Handle, Options
from .session import Message, Session

__all__ = [
    "Pair",
    "SteppedCancelled",
    "SteppedPair",
    "SteppedRuntime",
    "Way",
    "pair",
    "stepped_pair",
    "tables",
]

MOST_TURNS = 100_000  # of a loop that does not come to rest
SOFTWARE = "pbweb-testing"

AnyRoot = Referenceable | type[Root] | Callable[[], Root]


def frames_of(message: Message) -> list[Frame]:
    """The frames of one message as it went over, for assertions about the wire."""
    data, binary = message
    parsed = orjson.loads(split_attachments(data)[0] if binary else data)
    return [parsed] if isinstance(parsed[0], str) else parsed


def tables(session: Session) -> dict[str, int]:
    """How much stands in every table of *session*: all zero when it is idle, or has ended."""
    broker = session.broker
    backlog = broker.answering.backlog
    return {
        **broker.statistics(),
        "answers_by_name": len(broker.answering.named),
        "attachments": len(broker.attachments),
        "calls_unanswered": len(broker.outgoing._waiting),
        "calls_unstarted": 0 if broker.disconnected else broker.incoming.starting,
        "frames_to_send": len(broker.outbox),
        "live_to_send": len(broker.dirty),
        "frames_unacknowledged": len(session.window.kept),
        "bytes_unacknowledged": session.window.kept_bytes if not session.ended else 0,
        "waiting_for_room": len(broker.line or ()),
        "bytes_of_answers": backlog.answers if backlog is not None else 0,
        "bytes_of_calls_held": backlog.held_bytes if backlog is not None else 0,
        "identities": len(broker.exports._luids)
        - sum(type(name) is str for name in broker.exports.objects),
        "cache_identities": len(broker.watched._by_object),
        "numbers_of_caches": broker.exports.others,
        "frames_being_encoded": broker._encoding,
    }


def _acknowledge_now(session: Session) -> None:
    """Send the ``ack`` that is owed, without waiting for its time."""
    if session.receipts.timer is not None:
        session.receipts.timer.cancel()
        session.receipts.time_is_up()


def _assert_idle(sides: Mapping[str, Session]) -> None:
    for name, session in sides.items():
        left = {table: number for table, number in tables(session).items() if number}
        if left:
            raise AssertionError(f"the {name} is not idle: {left}")


def _publisher(root: AnyRoot | None, names: Mapping[str, Any] | None) -> Callable[[Session], None]:
    def opened(session: Session) -> None:
        made = root() if callable(root) and not isinstance(root, Referenceable) else root
        if isinstance(made, Root):
            made = made.rootObject(session.broker)
        if made is not None:
            session.broker.setNameForLocal("root", made)
        for name, value in (names or {}).items():
            session.broker.setNameForLocal(name, value)

    return opened


class Way:
    """What goes from one side to the other: recorded, and delivered in its order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        """All that was written, as pairs of the bytes and whether the message is binary."""
        self.waiting: deque[Message] = deque()
        """What was written and is not delivered yet."""
        self.closed: tuple[int, str] | None = None
        self._held = False
        self._full = False
        self._delivering = False
        self._context = copy_context()  # as of a socket: what is delivered is no call's business
        self.sender: Connection
        self.receiver: Connection

    @property
    def frames(self) -> list[Frame]:
        """All frames that were written, in their order; parsed anew at each access."""
        return [frame for message in self.messages for frame in frames_of(message)]

    # ------------------------------------------------- for the one who tests

    def hold(self) -> None:
        """Deliver nothing until `let_go`; `step` delivers one message all the same."""
        self._held = True

    def let_go(self) -> None:
        """Deliver what was held, and what comes, again."""
        self._held = False
        self._soon()

    def step(self) -> Message:
        """Deliver one message now, and return it.

        Raises:
            IndexError: none is waiting.
        """
        message = self.waiting.popleft()
        self.receiver.receive([message])
        self._deliver_close()
        return message

    def fill(self) -> None:
        """Be a socket whose buffer is full: the sender holds back what it has to send."""
        self._full = True

    def drain(self) -> None:
        """Be writable again."""
        self._full = False
        self.sender.flush()

    # -------------------------------------------- `connection.Link`, for the sender

    def writable(self) -> bool:
        """See `connection.Link`."""
        return not self._full

    def write(self, messages: list[Message]) -> None:
        """See `connection.Link`."""
        self.messages += messages
        self.waiting += messages
        self._soon()

    def carry(self, connection: Connection) -> None:
        """See `connection.Link`."""
        self.sender = connection

    def close(self, code: int, reason: str) -> None:
        """See `connection.Link`."""
        if self.closed is None:
            self.closed = (code, reason)
            self._soon()

    def unsent(self) -> int:
        """See `connection.Link`."""
        return sum(len(data) for data, _ in self.waiting)

    def abort(self) -> None:
        """See `connection.Link`."""
        self.waiting.clear()
        self.close(1006, "")

    def _soon(self) -> None:
        if not self._delivering and not self._held:
            self._delivering = True
            asyncio.get_running_loop().call_soon(self._deliver, context=self._context)

    def _deliver(self) -> None:
        self._delivering = False
        if self._held:
            return
        messages = list(self.waiting)
        self.waiting.clear()
        if messages:
            self.receiver.receive(messages)
        self._deliver_close()

    def _deliver_close(self) -> None:
        if self.closed is not None and not self.waiting:
            code, reason = self.closed
            self.receiver.session.detach(f"the peer closed with {code} {reason}", code)
            self.sender.lost("the connection was closed")
            self.receiver.lost("the connection was closed")


class Pair:
    """A client and a server connected in memory; unpacks into its two Connections."""

    def __init__(self, client: Connection, server: Connection, up: Way, down: Way) -> None:
        self.client = client
        """The client's Connection."""
        self.server = server
        """The server's Connection."""
        self.to_server = up
        """The `Way` of what the client writes."""
        self.to_client = down
        """The `Way` of what the server writes."""

    @property
    def root(self) -> RemoteReference:
        """The client's reference to the server's root."""
        return self.client.remoteForName("root")

    def __iter__(self) -> Iterator[Connection]:
        return iter((self.client, self.server))

    def hold(self) -> None:
        """Hold both ways."""
        self.to_server.hold()
        self.to_client.hold()

    def let_go(self) -> None:
        """Let go of both ways."""
        self.to_server.let_go()
        self.to_client.let_go()

    def cut(self, why: str = "the connection was cut") -> None:
        """Lose the connection at once, with all that is on its way."""
        for way in (self.to_server, self.to_client):
            way.waiting.clear()
        self.client.lost(why)
        self.server.lost(why)

    async def quiet(self) -> None:
        """Wait until nothing is on its way (but what is held) and nobody has a turn to take.

        What waits for a timer, for a socket or for a future that nobody sets stays waiting.

        Raises:
            RuntimeError: somebody goes on for ever.
        """
        loop = asyncio.get_running_loop()
        # asyncio's own queue says exactly when nobody is ready; another loop gets many turns
        ready = getattr(loop, "_ready", None)
        for turn in range(MOST_TURNS):
            await asyncio.sleep(0)
            if not ready and (ready is not None or turn > 200):
                return
        raise RuntimeError(f"the loop did not come to rest within {MOST_TURNS} turns")

    async def assert_idle(self) -> None:
        """Collect garbage, let all of it be given back and acknowledged, and look at the tables.

        Raises:
            AssertionError: something stands in a table of a side.
        """
        await self.quiet()
        while gc.collect():
            await self.quiet()
        for _ in range(10):  # what is acknowledged may let go of more, which is given back
            quiet = all(connection.session.receipts.timer is None for connection in self)
            if quiet and not gc.collect():
                break
            for connection in self:
                _acknowledge_now(connection.session)
            await self.quiet()
        _assert_idle({"client": self.client.session, "server": self.server.session})


@asynccontextmanager
async def pair(
    root: AnyRoot | None = None,
    *,
    names: Mapping[str, Any] | None = None,
    client_names: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT,
    client_limits: Limits | None = None,
    registry: Registry = REGISTRY,
    mask_errors: bool = False,
    unsafe_tracebacks: bool = False,
    identity: Any = None,
) -> AsyncIterator[Pair]:
    """A client and a server that are connected in memory; both end with the block.

    Args:
        root: what the server publishes as ``root``: a Referenceable, a Root class or a factory.
        names: further objects that the client may reach by name.
        client_names: objects that the server may reach by name.
        limits: what the server accepts, and the client too if it has no *client_limits*.
        registry, mask_errors, unsafe_tracebacks: as of `pbweb.endpoint`, for both sides.
        identity: what ``authenticate`` would have returned: the server's `Broker.identity`.
    """

    def options(limits: Limits) -> Options:
        return Options(
            limits, registry, mask_errors=mask_errors, unsafe_tracebacks=unsafe_tracebacks
        )

    up, down = Way(), Way()
    server = Connection(
        options(limits),
        is_server=True,
        software=SOFTWARE,
        opened=_publisher(root, names),
        link=down,
    )
    server.broker.identity = identity
    client = Connection(options(client_limits or limits), is_server=False, software=SOFTWARE)
    for name, value in (client_names or {}).items():
        client.setNameForLocal(name, value)
    up.sender, up.receiver = client, server
    down.sender, down.receiver = server, client
    client.attach(up)
    both = Pair(client, server, up, down)
    try:
        yield both
    finally:
        both.let_go()
        client.session.close()
        await both.quiet()
        both.cut("the pair ended")


# ------------------------------------------------------------------ the pure half


class SteppedCancelled(BaseException):
    """What a cancelled coroutine sees on a `SteppedRuntime`."""


class SteppedFuture:
    """A future of a `SteppedRuntime`."""

    def __init__(self) -> None:
        self._done = False
        self._waiter: SteppedTask | None = None

    def done(self) -> bool:
        """Whether it has a result."""
        return self._done

    def set_result(self, _result: None = None) -> None:
        """Let the coroutine go on that waits."""
        self._done = True
        if self._waiter is not None:
            self._waiter.wake()

    def wait(self, task: SteppedTask) -> None:
        """Wake *task* when it is done."""
        self._waiter = task

    def __await__(self) -> Generator[SteppedFuture, None, None]:
        if not self._done:
            yield self

    __iter__ = __await__


class SteppedTask:
    """A coroutine that a `SteppedRuntime` runs."""

    def __init__(
        self, runtime: SteppedRuntime, coroutine: Coroutine[Any, Any, Any], context: Context | None
    ) -> None:
        self._runtime = runtime
        self._coroutine = coroutine
        self._context = context or copy_context()
        self._cancelled = False
        self.done = False

    def wake(self) -> None:
        """Go on at the next turn."""
        self._runtime.soon(self.step)

    def cancel(self) -> None:
        """Raise `SteppedCancelled` in the coroutine, where it waits."""
        if not self.done and not self._cancelled:
            self._cancelled = True
            self.wake()

    def step(self) -> None:
        """Run the coroutine until it waits or ends."""
        if self.done:
            return
        try:
            if self._cancelled:
                self._cancelled = False
                waits_for = self._context.run(self._coroutine.throw, SteppedCancelled())
            else:
                waits_for = self._context.run(self._coroutine.send, None)
        except (StopIteration, SteppedCancelled):
            self.done = True
        else:
            if waits_for is None:  # it only lets others have their turn
                self.wake()
            else:
                waits_for.wait(self)


class _Timer:
    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        self.function, self.args = bool, ()  # as asyncio's, it holds on to nothing


class SteppedRuntime:
    """A `broker.Runtime` whose queue and clock move only when they are told to.

    `reports` has what would have been logged, `unsent_bytes` is what `unsent` says.

    Args:
        eager: whether a coroutine's first step is made at once, as from Python 3.12 on.
    """

    cancelled: type[BaseException] = SteppedCancelled

    def __init__(self, *, eager: bool = False) -> None:
        self.eager = eager
        self.reports: list[tuple[str, BaseException | None]] = []
        self.unsent_bytes = 0
        self._now = 0.0
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._timer_number = count()

    # ------------------------------------------------- for the one who tests

    def step(self) -> bool:
        """Do the next thing in the queue; False if there was none."""
        if not self._queue:
            return False
        function, args = self._queue.popleft()
        function(*args)
        return True

    def run(self) -> None:
        """Do all that is in the queue and what it adds.

        Raises:
            RuntimeError: that does not end.
        """
        for _ in range(MOST_TURNS):
            if not self.step():
                return
        raise RuntimeError(f"the queue is not empty after {MOST_TURNS} steps")

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, and run what is due meanwhile."""
        end = self._now + seconds
        self.run()
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            if not timer.cancelled:
                timer.function(*timer.args)
                self.run()
        self._now = end

    def stand_still(self, seconds: float) -> None:
        """Let *seconds* pass without running anything; what is due meanwhile is late."""
        self._now += seconds

    def timers(self) -> int:
        """How many timers are running."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    # ------------------------------------------------------- `broker.Runtime`

    def spawn(self, coroutine: Coroutine[Any, Any, None], context: Context | None) -> Handle:
        """See `broker.Runtime`."""
        task = SteppedTask(self, coroutine, context)
        if self.eager:
            task.step()
        else:
            task.wake()
        return task

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """See `broker.Runtime`."""
        self._queue.append((function, args))

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> Handle:
        """See `broker.Runtime`."""
        timer = _Timer(function, args)
        heapq.heappush(self._timers, (self._now + seconds, next(self._timer_number), timer))
        return timer

    def is_here(self) -> bool:
        """See `broker.Runtime`."""
        return True

    def clock(self) -> float:
        """See `broker.Runtime`."""
        return self._now

    def unsent(self) -> int:
        """See `broker.Runtime`."""
        return self.unsent_bytes

    def future(self) -> SteppedFuture:
        """See `broker.Runtime`."""
        return SteppedFuture()

    def report(self, what: str, error: BaseException | None = None) -> str:
        """See `broker.Runtime`."""
        self.reports.append((what, error))
        return f"entry-{len(self.reports)}"


class SteppedPair:
    """Two sessions on one `SteppedRuntime`; nothing moves but by the methods here.

    `up` and `down` hold what is on its way to the server and to the client.
    """

    def __init__(self, client: Session, server: Session, runtime: SteppedRuntime) -> None:
        self.client = client
        self.server = server
        self.runtime = runtime
        self.up: deque[Message] = deque()
        self.down: deque[Message] = deque()

    def flush(self) -> None:
        """Put what the sessions have to send on its way."""
        self.up += self.client.messages()
        self.down += self.server.messages()

    def deliver(self, *, to_server: bool) -> bool:
        """Deliver one message and run what it starts; False if none was on its way."""
        way, session = (self.up, self.server) if to_server else (self.down, self.client)
        if not way:
            return False
        data, binary = way.popleft()
        session.receive(data, binary)
        self.runtime.run()
        return True

    def settle(self) -> None:
        """Run, flush and deliver until nothing moves any more; no time passes."""
        for _ in range(MOST_TURNS):
            self.runtime.run()
            self.flush()
            moved = self.deliver(to_server=True)
            moved = self.deliver(to_server=False) or moved
            if not moved:
                return
        raise RuntimeError(f"the sessions go on after {MOST_TURNS} messages")

    def cut(self, why: str = "the connection was cut") -> None:
        """Lose the connection, with all that is on its way."""
        self.up.clear()
        self.down.clear()
        self.client.end(why)
        self.server.end(why)
        self.runtime.run()

    def assert_idle(self) -> None:
        """As `Pair.assert_idle`."""
        gc.collect()
        for _ in range(10):
            self.settle()
            for session in (self.client, self.server):
                _acknowledge_now(session)
        _assert_idle({"client": self.client, "server": self.server})


def stepped_pair(
    root: AnyRoot | None = None,
    *,
    client_names: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT,
    client_limits: Limits | None = None,
    registry: Registry = REGISTRY,
    runtime: SteppedRuntime | None = None,
) -> SteppedPair:
    """Two sessions without an event loop, their handshake still to be delivered; as `pair`."""
    runtime = runtime or SteppedRuntime()

    def session(limits: Limits, opened: Callable[[Session], None] | None) -> Session:
        return Session(
            runtime,
            Options(limits, registry),
            lambda: None,
            is_server=opened is not None,
            software=SOFTWARE,
            opened=opened,
        )

    server = session(limits, _publisher(root, None))
    client = session(client_limits or limits, None)
    for name, value in (client_names or {}).items():
        client.broker.setNameForLocal(name, value)
    return SteppedPair(client, server, runtime)
