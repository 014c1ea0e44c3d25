"""Counting, acknowledging and what is kept for it: the one bounded buffer of a session.

Protocol section 6. What was sent is kept until the peer has it: that is what a lost connection
has to deliver again, what holds back who sends more than the peer takes, and what bounds what
a slow reader costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .broker import Broker
from .errors import ProtocolError
from .frames import UNCOUNTED, Frame
from .limits import Limits
from .resuming import UNANSWERED, Kept, Message, outline, replay, split_known
from .runtime import LATE, Handle, Runtime

__all__ = ["Receipts", "Window"]

ACK_FRAMES = 32
ACK_BYTES = 65_536
ACK_SECONDS = 0.25


FEW_MESSAGES, FEW_BYTES = 16, 65_536
"""As much as may be kept as the JSON library made it: see `_trimmed`."""
MUCH = 32_768
"""Bytes of a message of which a page more or less is nothing."""


def _trimmed(message: Message) -> Message:
    """*message* without the room behind it: what `orjson.dumps` returns has 4 KiB at least."""
    data, binary = message
    return message if len(data) > MUCH else (bytes(memoryview(data)), binary)


class Receipts:
    """How many frames of the peer's have come, and how many it knows of.

    Args:
        runtime: see `runtime.Runtime`.
        wake: called when an ``ack`` is to be sent.
    """

    __slots__ = (
        "_owed_bytes",
        "_runtime",
        "_told",
        "_wake",
        "before",
        "is_due",
        "received",
        "repeats",
        "started",
        "timer",
    )

    def __init__(self, runtime: Runtime, wake: Callable[[], None]) -> None:
        self._runtime = runtime
        self._wake = wake
        self.received = 0
        self.before = 0
        """How many had come before the last message."""
        self.repeats = 0
        """How many come once more that were handled before the session was resumed."""
        self.started = 0
        """Up to which all have got control, where some have not: only these are acknowledged."""
        self._told = 0  # how many frames it knows that we have
        self._owed_bytes = 0
        self.is_due = False
        """Whether an ``ack`` is to go with what is sent next."""
        self.timer: Handle | None = None

    def came(self, received: int, size: int, frames: list[Frame], starting: int) -> list[Frame]:
        """There are *received* frames now, with a message of *size* bytes; say so soon.

        Args:
            starting: how many of the calls that came before have not got control.

        Returns:
            Those of its *frames* that were not handled before.
        """
        if not starting:
            self.started = self.received
        self.before, self.received = self.received, received
        self._owed_bytes += size
        if received - self._told >= ACK_FRAMES or self._owed_bytes >= ACK_BYTES:
            self.is_due = True
            self._wake()
        elif self.timer is None:
            self.timer = self._runtime.call_later(ACK_SECONDS, self.time_is_up)
        return self._without_repeated(frames) if self.repeats else frames

    def time_is_up(self) -> None:
        """What has come is to be acknowledged now, if it is not."""
        self.timer = None
        if self.received != self._told:
            self.is_due = True
            self._wake()

    def told(self) -> None:
        """The peer is told by what is being sent."""
        self.is_due = False
        self._told, self._owed_bytes = self.received, 0

    def more(self) -> None:
        """More may be acknowledged than before, without another frame."""
        self.is_due = True
        self._wake()

    def _without_repeated(self, frames: list[Frame]) -> list[Frame]:
        fresh = []
        for frame in frames:
            if self.repeats and frame[0] not in UNCOUNTED:
                self.repeats -= 1
            else:
                fresh.append(frame)
        return fresh

    def resume(self, handled: int) -> None:
        """The peer is told that *handled* frames have come, and sends those behind them again.

        What a ``version`` tells frees no answer of the peer's: that takes an ``ack``.
        """
        self.repeats += self.received - handled
        self.received = self.started = handled
        self._told, self._owed_bytes = self.received - 1, 0
        self.timer = self._runtime.call_later(ACK_SECONDS, self.time_is_up)

    def stop(self) -> None:
        """Nothing is to be acknowledged on this connection any more."""
        self.is_due = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Window:
    """What was sent and is not acknowledged.

    Args:
        runtime: see `runtime.Runtime`.
        limits: how much that may be.
        broker: whose calls and answers wait when there is no room.
        close: called with a code and a reason when the peer takes too little.
        overflow: called when there is no connection, and no room for what cannot wait.
    """

    __slots__ = (
        "_broker",
        "_close",
        "_forget",
        "_forget_at",
        "_forget_bytes",
        "_limits",
        "_overflow",
        "_replayed",
        "_runtime",
        "_stall_timer",
        "acked",
        "flowing",
        "hears",
        "kept",
        "kept_bytes",
        "reached",
        "sent",
    )

    def __init__(
        self,
        runtime: Runtime,
        limits: Limits,
        broker: Broker,
        close: Callable[[int, str], None],
        overflow: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._broker = broker
        self._close = close
        self._overflow = overflow
        self.hears: Receipts | None = None
        """A client's: a server that sends goes on, though it may acknowledge nothing meanwhile."""
        self.sent = 0
        self.acked = 0
        self.kept: list[Kept] = []
        self.kept_bytes = 0
        self._stall_timer: Handle | None = None
        self.flowing = True
        """Neither ended nor detached, and nothing has to be sent again."""
        self._replayed = 0  # the last frame that was written on this connection, if not flowing
        self.reached = 0
        """The last frame that was written on any connection before this one."""
        # answers that the peer has, but calls of before may name: until its count is here
        self._forget: list[Sequence[Frame]] = []
        self._forget_bytes = 0
        self._forget_at = 0

    @property
    def written(self) -> int:
        """The last frame that was written on this connection."""
        return self.sent if self.flowing else self._replayed

    # ------------------------------------------------------------------ sending

    def keep(self, frames: Sequence[Frame], message: Message) -> None:
        """What was sent is kept until it is acknowledged, and leaves less room."""
        broker, number, size = self._broker, len(frames), len(message[0])
        if self.kept_bytes > FEW_BYTES or len(self.kept) > FEW_MESSAGES:
            message = _trimmed(message)
        self.sent += number
        self.kept_bytes += size
        self.kept.append((self.sent, size, frames, message))
        broker.room_frames -= number
        broker.room_bytes -= size

    def keep_shared(self, size: int, message: Message) -> None:
        """As `keep`, for one frame that others get too and nobody answers."""
        broker = self._broker
        self.sent = sent = self.sent + 1
        self.kept_bytes += size
        self.kept.append((sent, size, UNANSWERED, message))
        frames = broker.room_frames = broker.room_frames - 1
        room = broker.room_bytes = broker.room_bytes - size
        if frames <= 0 or room <= 0:
            self.check()

    # ------------------------------------------------------------ acknowledging

    def acknowledge(self, number: int, peer_sent: int) -> None:
        """The peer has received *number* frames of ours, and had sent *peer_sent* by then.

        Raises:
            ProtocolError: that cannot be.
        """
        if not self.acked <= number <= self.written:
            raise ProtocolError(
                f"{number} frames are acknowledged, between {self.acked} and {self.written} can be"
            )
        answering = self._broker.answering
        if self._forget and peer_sent >= self._forget_at:
            forget, self._forget, self._forget_bytes = self._forget, [], 0
            for frames in forget:
                answering.acknowledged(frames)
        if number != self.acked:
            self._free(number, answering.acknowledged)
            self._broker.let_go()

    def _free(self, number: int, what: Callable[[Sequence[Frame]], None]) -> None:
        """Keep no more what the peer has, up to *number*, and do *what* with its frames."""
        self.acked = number
        whole = freed = 0
        for last, size, frames, _ in self.kept:
            if last > number:
                break
            whole += 1
            freed += size
            if frames is not UNANSWERED:
                what(frames)
        self.kept_bytes -= freed
        del self.kept[:whole]
        self._broker.room_frames = self._limits.window_frames - (self.sent - number)
        self._broker.room_bytes = self._limits.window - self.kept_bytes

    # ------------------------------------------------------------------- bounds

    def check(self) -> None:
        """A peer that lets the window run out is watched, and closed."""
        frames = self.sent - self.acked
        away = self._broker.away
        if frames > 2 * self._limits.window_frames or self.kept_bytes > self.most_bytes():
            if away:
                self._overflow()
            else:
                self._close(4440, "more than twice the window is not acknowledged")
        elif self._stall_timer is None and not away:
            self._watch_stall(self._limits.stall)

    def most_bytes(self) -> int:
        """Twice the window, which one message of the largest size has to pass."""
        return 2 * max(self._limits.window, self._broker.peer_limits.message)

    def check_queued(self, frames: int, size: int) -> None:
        """The link takes nothing now. What cannot wait may use twice the window (section 6)."""
        if frames > 2 * self._limits.window_frames or size > self.most_bytes():
            self._close(4440, "nothing was read, and too much was asked")

    def _progress(self) -> int:
        return self.acked + (0 if self.hears is None else self.hears.received)

    def _watch_stall(self, seconds: float) -> None:
        self._stall_timer = self._runtime.call_later(
            seconds, self._check_stall, self._progress(), self._runtime.clock() + seconds
        )

    def _check_stall(self, progress: int, due: float) -> None:
        self._stall_timer = None
        if self._progress() == progress and self._runtime.clock() - due > LATE:
            self._watch_stall(LATE)  # this side stood still: an ack may wait to be read
        elif self._progress() == progress:
            self._close(4440, f"nothing was acknowledged for {self._limits.stall:g} s")
        elif not self._broker.has_window():
            self.check()

    def stop(self) -> None:
        """The peer is not watched any more."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # ----------------------------------------------------------------- resuming

    def lose(self) -> None:
        """The connection is gone: all that is kept may have to be sent again."""
        self.reached = max(self.reached, self.written)
        self.flowing, self._replayed = False, 0
        self.shorten(0)

    def shorten(self, start: int) -> None:
        """Keep no more of the messages from number *start* on than a lost connection needs."""
        kept = self.kept
        kept[start:] = [
            (
                *entry[:2],
                outline(entry[2]),
                entry[3] if entry[2] is UNANSWERED else _trimmed(entry[3]),
            )
            for entry in kept[start:]
        ]

    def resume(self, received: int, peer_sent: int) -> None:
        """Go on behind what the peer has *received*; it has *peer_sent* frames in all."""
        self._replayed = received
        self._forget_at = peer_sent
        self._forget_bytes += self.kept_bytes
        self._free(received, self._forget.append)
        self._forget_bytes -= self.kept_bytes
        if self._forget_bytes > self.most_bytes():  # again and again, without an ack
            self._close(4440, "answers are not acknowledged, and could all be named")

    def again(self, room: float) -> Iterable[Message]:
        """What is to be sent again now, about *room* bytes of it."""
        for last, message in replay(self.kept, self._replayed, room):
            yield message
            self._replayed = last
        self.flowing = self._replayed == self.sent

    # ------------------------------------------------------------------ the end

    def end(self, received: int | None) -> tuple[list[Frame], list[Frame]]:
        """All is over; which frames were not handled, and of which nobody knows.

        Args:
            received: how many frames the peer says that it had.
        """
        self.reached = max(self.reached, self.written)
        self.flowing = False
        self.stop()
        known = split_known(self.kept, self.acked, self.reached, received)
        self.kept.clear()
        self._forget.clear()
        return known
