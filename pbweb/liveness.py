"""Whether the peer is there: its first frame, its silence, pings and pongs (protocol section 6)."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from .errors import ProtocolError
from .limits import Limits
from .runtime import LATE, Handle, Runtime

__all__ = ["DEAD", "Liveness"]

DEAD = 0.2
"""Seconds for the closing handshake with a peer from which nothing has come for too long."""

BACK = 5.0  # seconds that a peer has to answer when this side goes on
WAITING = 5.0  # seconds of silence after which a peer is asked that a call waits for
ANSWER = 5.0  # seconds that it has to answer then
LOOK = 2.5  # seconds after which a side that may wait looks again
EARLY = 0.96  # of a heartbeat: timers are a little late, and the peer is to be asked within it
OFF = 3600.0  # seconds of a heartbeat from which on nobody is asked at all
PARTS = 3  # of a heartbeat: so often it is looked whether something has come


class Liveness:
    """What one connection of a session hears.

    Args:
        runtime: see `runtime.Runtime`.
        limits: how long silence may last, and how many pings a second may bring.
        wake: called when there is a ping or a pong to be sent.
        close: called with a code and a reason when nothing comes.
        is_closing: whether it is of no interest any more.
        is_waiting: whether a call waits for the peer, which is then asked earlier; None: never
            earlier.
    """

    __slots__ = (
        "_beat",
        "_close",
        "_control",
        "_control_since",
        "_deadline",
        "_due",
        "_first_frame",
        "_is_closing",
        "_is_waiting",
        "_limits",
        "_looked",
        "_patience",
        "_runtime",
        "_seen",
        "_since",
        "_unsent",
        "_wake",
        "heard",
        "heartbeat",
        "owed",
    )

    def __init__(
        self,
        runtime: Runtime,
        limits: Limits,
        wake: Callable[[], None],
        close: Callable[[int, str], None],
        is_closing: Callable[[], bool],
        is_waiting: Callable[[], bool] | None = None,
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._wake = wake
        self._close = close
        self._is_closing = is_closing
        self._is_waiting = is_waiting
        self.heard = 0
        """How often something has come since the peer's ``version``, which is the first."""
        self.heartbeat = limits.heartbeat
        """Seconds of silence after which the peer is asked."""
        self.owed: list[bytes] = []
        """Which of ``ping`` and ``pong`` are to be sent."""
        self._beat: Handle | None = None
        self._due = 0.0  # when it is to be looked next
        self._looked = 0.0  # when it was looked last
        self._seen = 0  # what `heard` was then
        self._since = 0.0  # nothing has come since then, or a little later
        self._deadline: float | None = None  # until when the peer that was asked may answer
        self._patience = 0.0  # how long that is
        self._unsent = 0  # bytes that had not reached it when it was asked
        self._first_frame: Handle | None = None
        self._control = 0
        self._control_since = 0.0

    def expect(self) -> None:
        """A connection begins: the peer's ``version`` has to come."""
        self.heard = 0
        self._first_frame = self._runtime.call_later(self._limits.first_frame, self._nothing_came)

    def greeted(self) -> None:
        """The peer's ``version`` has come."""
        if self._first_frame is not None:
            self._first_frame.cancel()
            self._first_frame = None

    def begin(self) -> None:
        """From now on the peer is asked when it is silent."""
        self._since = self._looked = self._runtime.clock()
        self._seen, self._deadline = self.heard, None
        if self.heartbeat <= OFF:
            self._plan()

    def _nothing_came(self) -> None:
        self._first_frame = None
        self._close(4408, f"no first frame within {self._limits.first_frame:g} s")

    def traffic(self) -> None:
        """Bytes have moved that are no whole message yet: the peer is there (section 6)."""
        if self.heard:
            self.heard += 1

    def _plan(self, seconds: float = inf) -> None:
        """Look again, in so many seconds at most: no frame has to look at the clock."""
        most = self.heartbeat / PARTS
        seconds = min(seconds, most if self._is_waiting is None else min(most, LOOK))
        self._due = self._looked + seconds
        self._beat = self._runtime.call_later(seconds, self._look)

    def _look(self) -> None:
        if self._is_closing():
            return
        last, self._looked = self._looked, self._runtime.clock()
        now, is_late = self._looked, self._looked - self._due > LATE
        waiting = self._is_waiting is not None and self._is_waiting()
        most = EARLY * self.heartbeat
        most = min(WAITING, most) if waiting else most
        if self.heard != self._seen:
            self._seen, self._since, self._deadline = self.heard, last, None
            self._plan()
        elif is_late:  # what has come meanwhile may not have been read yet
            self._ask(BACK)
        elif self._deadline is not None and now >= self._deadline:
            if self._is_sending():
                self._ask(self._patience)
                return
            self._close(4408, f"no answer to a ping within {self._patience:g} s")
        elif self._deadline is None and now - self._since >= most:
            self._ask(ANSWER if waiting else self._limits.pong)
        else:
            until = self._since + most if self._deadline is None else self._deadline
            self._plan(until - now)

    def _is_sending(self) -> bool:
        """Whether what was written before the ping is still on its way, and moves."""
        return self._runtime.unsent() < self._unsent

    def _ask(self, seconds: float) -> None:
        """Ask the peer, which has so many seconds to send anything."""
        self._patience = seconds = min(seconds, self._limits.pong)
        self._deadline = self._looked + seconds
        self._unsent = self._runtime.unsent()
        self.owed.append(b"ping")
        self._wake()
        self._plan(seconds)

    def pinged(self) -> None:
        """The peer asks."""
        self.owed.append(b"pong")
        self._wake()

    def count_control(self) -> None:
        """One more ping or pong, of the WebSocket or of ours.

        Raises:
            ProtocolError: there are too many of them (4429).
        """
        now = self._runtime.clock()
        if now - self._control_since >= 1:
            self._control_since, self._control = now, 0
        self._control += 1
        if self._control > self._limits.control:
            raise ProtocolError(
                f"control: more than {self._limits.control} pings and pongs in a second", code=4429
            )

    def lose(self) -> None:
        """The connection is gone, and what is owed on it."""
        self.stop()
        self.heard = 1
        self.owed.clear()

    def stop(self) -> None:
        """Nothing is waited for any more."""
        for timer in (self._first_frame, self._beat):
            if timer is not None:
                timer.cancel()
        self._first_frame = self._beat = None
