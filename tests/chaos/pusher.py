"""Pushes a megabyte a second to whoever asks, for `test_slow_readers.py`: `pbweb serve` has it."""

import asyncio
import time
from typing import Any

import pbweb as pb

PIECE = 50_000  # bytes
AT_ONCE = 30  # pieces under way: more than the window holds


class Pusher(pb.Root):
    """One for all."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, float]] = []

    def rootObject(self, broker: Any) -> pb.Referenceable:
        begun = time.monotonic()

        def ended() -> None:
            self.ends.append((broker.runtime.ending.code, time.monotonic() - begun))

        broker.notifyOnDisconnect(ended)
        return self

    async def remote_push(self, to: Any) -> None:
        """Until the session ends; a piece waits while too many before it were not taken."""
        room = asyncio.Semaphore(AT_ONCE)
        while True:
            await room.acquire()
            taken = to.callRemote("take", "x" * PIECE)
            taken.then_call(lambda promise: (promise.error(), room.release()))
            await asyncio.sleep(PIECE / 1e6)

    def remote_echo(self, value: object) -> object:
        return value

    def remote_ends(self) -> list[tuple[int, float]]:
        """The codes with which sessions have ended, and the seconds after which they did."""
        return self.ends
