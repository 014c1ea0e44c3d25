"""A session that calls all the time beside an attack, and what an attack may not leave behind."""

import asyncio
import ctypes
import gc
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import psutil

import pbweb as pb
from pbweb.testing import pair

LONGEST_WAIT = 0.5  # seconds between two answers of a canary (reliability.md, R10)
TRACED = 5.0  # so many times as long under a tracer (coverage), which slows down each line
PAUSE = 0.005  # seconds between an answer and the next call
GROWTH = 16 << 20  # bytes that a process may have more than before a test, once all is collected
BLOCKS = 20_000  # and objects of Python's
MARK = "MARK-"  # begins what may stand in no frame and no log, wherever a test puts it


class Singer(pb.Referenceable):
    """What a canary calls."""

    def remote_sing(self, number: int) -> int:
        return number


class Clock:
    """Seconds, without those in which this thread could have run and others had the processor.

    So what a busy machine takes away is no fault of the server's: what it waits for in vain, and
    what it computes, is.
    """

    def __init__(self) -> None:
        self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def __call__(self) -> float:
        queued = int(os.pread(self._file, 100, 0).split()[1])
        return time.monotonic() - queued / 1e9

    def close(self) -> None:
        os.close(self._file)


class Canary:
    """Calls *singer* again and again until it is hushed."""

    born: ClassVar[list["Canary"]] = []  # those of this test

    def __init__(self, singer: pb.RemoteReference) -> None:
        self._singer = singer
        self._over = asyncio.Event()
        self._first = asyncio.Event()
        self.songs = 0
        self.longest = 0.0
        self._task = asyncio.create_task(self._sing())
        self.born.append(self)

    async def _sing(self) -> None:
        clock = Clock()
        last = clock()
        try:
            while not self._over.is_set():
                async with asyncio.timeout(60):
                    assert await self._singer.callRemote("sing", self.songs) == self.songs
                self.songs += 1
                self._first.set()
                now = clock()
                self.longest = max(self.longest, now - last)
                last = now
                await asyncio.sleep(PAUSE)
        finally:
            self._first.set()
            clock.close()

    async def begun(self) -> None:
        """Wait for the first answer."""
        await self._first.wait()

    async def hush(self) -> None:
        """Let the last call be answered. AssertionError or what the call raised if it failed."""
        self._over.set()
        await self._task
        assert self.songs > 0
        most = LONGEST_WAIT * (TRACED if sys.gettrace() else 1)
        assert self.longest < most, f"the canary waited {self.longest:.3f} s"


@asynccontextmanager
async def singing(singer: pb.RemoteReference) -> AsyncIterator[Canary]:
    """A canary that sings throughout the block, and has to be well at its end."""
    canary = Canary(singer)
    await canary.begun()
    try:
        yield canary
    except BaseException:
        canary._task.cancel()  # the block's own failure says more
        raise
    await canary.hush()


@asynccontextmanager
async def bystander() -> AsyncIterator[Canary]:
    """A canary whose server is in this process but not under attack: for attacks on clients."""
    async with pair(Singer()) as both, singing(both.root) as canary:
        yield canary


# ------------------------------------------------------------- what is left behind


class Ear(logging.Handler):
    """Hears all that is logged, down to the level DEBUG."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self.texts.append(text if len(text) < 20_000 else text[:10_000] + text[-10_000:])
        if record.name == "asyncio" and record.levelno >= logging.ERROR:
            self.faults.append(self.texts[-1])


@contextmanager
def listening() -> Iterator[Ear]:
    """Hear what pbweb and asyncio log."""
    ear = Ear()
    loggers = [logging.getLogger(name) for name in ("pbweb", "asyncio", "uvicorn")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.addHandler(ear)
    loggers[0].setLevel(logging.DEBUG)
    try:
        yield ear
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.removeHandler(ear)
            one.setLevel(level)


class Secrets:
    """What no log may say: the sessions' secrets, and what the tests have marked."""

    told: ClassVar[set[str]] = set()

    @classmethod
    def note(cls, message: Any) -> None:
        """Note the secret that a server's ``version`` gives away to its client."""
        secret = message[2].get("secret") if len(message) > 2 else None
        if isinstance(secret, str) and secret:
            cls.told.add(secret)

    @classmethod
    def in_text(cls, text: str) -> bool:
        return MARK in text or any(secret in text for secret in cls.told)


def memory() -> tuple[int, int]:
    """Bytes of this process, and Python's objects, when what can be given back is."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss, sys.getallocatedblocks()


@contextmanager
def nothing_left() -> Iterator[None]:
    """After the block no secret was logged, asyncio has no complaints, and memory is back."""
    Canary.born.clear()
    Secrets.told.clear()
    size, blocks = memory()
    with listening() as ear:
        yield
    size_now, blocks_now = memory()
    said = [text for text in ear.texts if Secrets.in_text(text)]
    assert not said, said
    assert not ear.faults, ear.faults
    assert size_now - size < GROWTH, f"{(size_now - size) >> 10} KiB are left"
    assert blocks_now - blocks < BLOCKS, f"{blocks_now - blocks} blocks are left"


__all__ = ["MARK", "Canary", "Secrets", "Singer", "bystander", "nothing_left", "singing"]
