"""pbweb.watchdog: what blocks the loop is named. Nothing here waits for a time to pass: a method
blocks until the log has named it, and whoever waits waits for an entry or for a thread's end."""

import asyncio
import logging
import threading

import pytest

import pbweb as pb
from pbweb import watchdog
from pbweb.asgi import Endpoint
from pbweb.watchdog import Watchdog
from tests.unit.paired import MINUTE

SECONDS = 0.02


class Log(logging.Handler):
    """What is logged, from whatever thread; who waits for an entry is woken."""

    def __init__(self):
        super().__init__()
        self.texts = []
        self._changed = threading.Condition()

    def emit(self, record):
        with self._changed:
            self.texts.append(record.getMessage())
            self._changed.notify_all()

    def wait_for(self, number):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.texts) >= number, MINUTE)


@pytest.fixture
def log():
    log = Log()
    logger = logging.getLogger("pbweb")
    logger.addHandler(log)
    yield log
    logger.removeHandler(log)


class Blocking(pb.Referenceable):
    def __init__(self, wait):
        self.wait = wait

    def remote_block(self):
        self.inner()

    def inner(self):
        self.wait()

    async def remote_block_in_a_task(self):
        await asyncio.sleep(0)
        self.wait()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "pbweb-watchdog"]


def run(body):
    """Run *body*; when its loop is gone, so is the thread."""

    async def main():
        async with asyncio.timeout(MINUTE):
            await body()

    asyncio.run(main())
    for thread in threads():
        thread.join(MINUTE)
    assert not threads()


@pytest.mark.parametrize("name", ["remote_block", "remote_block_in_a_task"])
def test_a_method_that_blocks_is_named_while_it_does_and_when_it_ends(log, name):
    async def body():
        Watchdog(SECONDS).arm()
        result = getattr(Blocking(lambda: log.wait_for(1)), name)()
        if result is not None:
            await result
        await asyncio.to_thread(log.wait_for, 2)

    run(body)
    first, second = log.texts
    assert first.startswith(f"Blocking.{name} has blocked the event loop for ")
    assert " ms and goes on, at line " in first
    assert "of test_watchdog.py: nobody is served meanwhile" in first
    assert "asyncio.to_thread" in first
    assert second.startswith(f"Blocking.{name} blocked the event loop for ")
    assert int(second.rstrip(" ms").rpartition(" ")[2]) >= 1000 * SECONDS


class Looking(Watchdog):
    """Lets a test wait until it has looked for a method."""

    def __init__(self):
        super().__init__(SECONDS)
        self.looked = threading.Event()

    def _name(self, loop_thread, asked):
        found = super()._name(loop_thread, asked)
        self.looked.set()
        return found


def test_what_no_peer_called_is_not_named(log):
    async def body():
        watch = Looking()
        watch.arm()
        Blocking(lambda: watch.looked.wait(MINUTE)).inner()

    run(body)
    assert log.texts == []


def test_one_method_is_named_once_a_minute(log, monkeypatch):
    async def body():
        watch = Looking()
        watch.arm()
        Blocking(lambda: log.wait_for(1)).remote_block()
        await asyncio.to_thread(log.wait_for, 2)
        watch.looked.clear()
        watch.arm()
        Blocking(lambda: watch.looked.wait(MINUTE)).remote_block()
        assert len(log.texts) == 2
        await asyncio.sleep(0)  # the sign of life
        monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.0)
        watch.arm()
        Blocking(lambda: log.wait_for(3)).remote_block()

    run(body)


def test_the_thread_ends_when_nothing_comes_and_is_started_again(monkeypatch):
    monkeypatch.setattr(watchdog, "WATCH_SECONDS", 0.0)

    async def body():
        watch = Watchdog(SECONDS)
        for _ in range(2):
            watch.arm()
            for thread in threads():
                await asyncio.to_thread(thread.join, MINUTE)
            assert not threads()
            assert not watch.armed

    run(body)


def test_while_it_is_armed_there_is_one_thread():
    async def body():
        watch = Watchdog(SECONDS)
        watch.arm()
        watch.arm()
        assert len(threads()) == 1

    run(body)


def test_an_endpoint_watches_while_its_peers_call():
    async def body():
        app = Endpoint(pb.Root, limits=pb.Limits(blocked=SECONDS))
        connection = app.connect()
        assert not threads()
        connection.receive([(b'["version",1]', False)])
        assert len(threads()) == 1
        assert connection.watchdog.armed
        connection.session.end("over")
        connection.lost("over")

    run(body)
