"""pbweb.watchdog: what blocks the loop is named. Nothing here waits for a time to pass: a method
blocks until the log has named it, and whoever waits waits for an entry or for a thread's end. And
a thread that a slow machine lets wait blocks nothing: the watchdog is `Patient`."""

import asyncio
import contextlib
import logging
import threading
import time

import pytest

import pbweb as pb
from pbweb import watchdog
from pbweb.asgi import Endpoint
from pbweb.testing import pair
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


class Slow(pb.Copyable):
    """Blocks when a copy of it is made."""

    def __init__(self, wait):
        self.wait = wait

    def getStateToCopy(self):
        self.wait()
        return {}


class Pond(pb.Cacheable):
    pbType = "watchdog.Pond"

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observer = observer
        return {}

    def stoppedObserving(self, perspective, observer):
        pass


class PondCopy(pb.RemoteCache):
    wait = None

    def observe_fill(self):
        PondCopy.wait()


pb.setUnjellyableForClass("watchdog.Pond", PondCopy)


class Blocking(pb.Root):
    def __init__(self, wait):
        self.wait = wait

    def remote_block(self):
        self.inner()

    def inner(self):
        self.wait()

    async def remote_block_in_a_task(self):
        await asyncio.sleep(0)
        self.wait()

    async def remote_block_in_what_it_awaits(self):
        await asyncio.wait_for(self.remote_block_in_a_task(), MINUTE)

    def remote_copy(self):
        return [Slow(self.wait)]

    async def remote_update(self):
        await self.pond.observer.callRemote("fill")

    def remote_getPond(self):
        self.pond = Pond()
        return self.pond

    async def remote_start_a_task(self):
        await asyncio.create_task(self.own_task())

    async def own_task(self):
        self.wait()


class Patient(Watchdog):
    """Looks who blocks the loop only while something is known to, however slow the machine is."""

    def __init__(self):
        super().__init__(SECONDS)
        self.blocked = threading.Event()
        self._loop = asyncio.get_running_loop()

    def _nap(self):
        super()._nap()
        while not self.blocked.is_set() and not self._alive.is_set() and self._loop.is_running():
            time.sleep(0.001)

    def blocking(self, wait):
        """*wait*, known to block."""

        def known():
            self.blocked.set()
            wait()
            self.blocked.clear()

        return known


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


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("block", "Blocking.remote_block"),
        ("block_in_a_task", "Blocking.remote_block_in_a_task"),
        ("copy", "Slow.getStateToCopy"),
        ("update", "PondCopy.observe_fill"),
        ("start_a_task", "Blocking.own_task"),
    ],
)
def test_what_blocks_is_named_while_it_does_and_when_it_ends(log, called, name):
    async def body():
        watch = Patient()
        PondCopy.wait = watch.blocking(lambda: log.wait_for(1))
        async with pair(Blocking(PondCopy.wait)) as both:
            copy = await both.root.callRemote("getPond")
            watch.arm()
            with contextlib.suppress(pb.Error):  # nobody knows the type of the copy
                await both.root.callRemote(called)
            await asyncio.to_thread(log.wait_for, 2)
            del copy

    run(body)
    first, second = log.texts[:2]
    assert first.startswith(f"{name} has blocked the event loop for ")
    assert " ms and goes on, at line " in first
    assert "of test_watchdog.py: nobody is served meanwhile" in first
    assert "pb.in_thread" in first
    assert second.startswith(f"{name} blocked the event loop for ")
    assert int(second.rstrip(" ms").rpartition(" ")[2]) >= 1000 * SECONDS


def test_what_a_peer_called_is_named_whatever_it_awaits(log):
    async def body():
        watch = Patient()
        async with pair(Blocking(watch.blocking(lambda: log.wait_for(1)))) as both:
            watch.arm()
            await both.root.callRemote("block_in_what_it_awaits")
            await asyncio.to_thread(log.wait_for, 2)

    run(body)
    # before Python 3.12 wait_for runs it in a task of its own
    assert log.texts[0].startswith("Blocking.remote_block_in_")


class Looking(Patient):
    """Lets a test wait until it has looked for a method."""

    def __init__(self):
        super().__init__()
        self.looked = threading.Event()

    def _name(self, loop_thread, asked):
        found = super()._name(loop_thread, asked)
        self.looked.set()
        return found


def test_what_is_none_of_the_applications_is_not_named(log):
    async def body():
        watch = Looking()
        watch.arm()
        for function, *args in (
            (watch.blocked.set,),
            (watch.looked.wait, MINUTE),
            (watch.blocked.clear,),
        ):
            asyncio.get_running_loop().call_soon(function, *args)
        await asyncio.sleep(0)

    run(body)
    assert log.texts == []


def test_one_method_is_named_once_a_minute(log, monkeypatch):
    async def body():
        watch = Looking()
        watch.arm()
        block = asyncio.get_running_loop().call_soon
        block(Blocking(watch.blocking(lambda: log.wait_for(1))).remote_block)
        await asyncio.to_thread(log.wait_for, 2)
        watch.looked.clear()
        watch.arm()
        block(Blocking(watch.blocking(lambda: watch.looked.wait(MINUTE))).remote_block)
        await asyncio.to_thread(watch.looked.wait, MINUTE)
        assert len(log.texts) == 2
        monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.0)
        watch.arm()
        block(Blocking(watch.blocking(lambda: log.wait_for(3))).remote_block)
        await asyncio.to_thread(log.wait_for, 3)

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


def test_while_it_is_armed_there_is_one_thread(monkeypatch):
    monkeypatch.setattr(watchdog, "WATCH_SECONDS", MINUTE)

    async def body():
        watch = Watchdog(SECONDS)
        watch.arm()
        watch.arm()
        assert len(threads()) == 1

    run(body)


def test_an_endpoint_watches_while_its_peers_call(monkeypatch):
    monkeypatch.setattr(watchdog, "WATCH_SECONDS", MINUTE)

    async def body():
        app = Endpoint(pb.Root, limits=pb.Limits(blocked=SECONDS))
        connection = app.connect()
        assert not threads()
        connection.receive([(b'["version",1]', False)])
        assert len(threads()) == 1
        connection.session.end("over")
        connection.lost("over")

    run(body)


def test_endpoints_of_one_loop_have_one_watchdog():
    async def body():
        limits = pb.Limits(blocked=SECONDS)
        one, other = Endpoint(pb.Root, limits=limits), Endpoint(pb.Root, limits=limits)
        connections = [one.connect(), other.connect(), Endpoint(pb.Root).connect()]
        watches = [connection.watchdog for connection in connections]
        assert watches[0] is watches[1] is not watches[2]
        for connection in connections:
            connection.session.end("over")
            connection.lost("over")

    run(body)


def test_a_loop_that_is_closed_meanwhile_is_asked_nothing(log):
    loop = asyncio.new_event_loop()
    loop.close()
    Watchdog(SECONDS)._ask(loop, threading.get_ident())
    assert log.texts == []
