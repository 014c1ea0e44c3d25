"""Whether the peer is there: its first frame, its silence, pings and pongs (protocol section 6)."""

from __future__ import annotations

from collections.abc import Callable

from .errors import ProtocolError
from .limits import Limits
from .runtime import Handle, Runtime

__all__ = ["Liveness"]


class Liveness:
    """What one connection of a session hears.

    Args:
        runtime: see `runtime.Runtime`.
        limits: how long silence may last, and how many pings a second may bring.
        wake: called when there is a ping or a pong to be sent.
        close: called with a code and a reason when nothing comes.
        is_closing: whether it is of no interest any more.
    """

    __slots__ = (
        "_beat",
        "_close",
        "_control",
        "_control_since",
        "_first_frame",
        "_is_closing",
        "_limits",
        "_pinged",
        "_runtime",
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
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._wake = wake
        self._close = close
        self._is_closing = is_closing
        self.heard = 0
        """How often something has come since the peer's ``version``, which is the first."""
        self.heartbeat = limits.heartbeat
        """Seconds of silence after which the peer is asked."""
        self.owed: list[bytes] = []
        """Which of ``ping`` and ``pong`` are to be sent."""
        self._pinged = False
        self._beat: Handle | None = None
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
        self._beat = self._runtime.call_later(self.heartbeat, self._check, self.heard)

    def _nothing_came(self) -> None:
        self._first_frame = None
        self._close(4408, f"no first frame within {self._limits.first_frame:g} s")

    def traffic(self) -> None:
        """Bytes have moved that are no whole message yet: the peer is there (section 6)."""
        if self.heard:
            self.heard += 1

    def _check(self, heard: int) -> None:
        if self._is_closing():
            return
        if self.heard != heard:
            self._pinged = False
            self.begin()
        elif self._pinged:
            self._close(4408, f"no answer to a ping within {self._limits.pong:g} s")
        else:
            self._pinged = True
            self.owed.append(b"ping")
            self._wake()
            self._beat = self._runtime.call_later(self._limits.pong, self._check, heard)

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
        self._pinged = False
        self.owed.clear()

    def stop(self) -> None:
        """Nothing is waited for any more."""
        for timer in (self._first_frame, self._beat):
            if timer is not None:
                timer.cancel()
        self._first_frame = self._beat = None
