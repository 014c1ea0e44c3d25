"""pbweb.threads: methods that block run in a thread. Nothing here waits for a time to pass: a
thread waits for an event that the test sets, and the test for one that the thread sets."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar

import pytest

import pbweb as pb
from pbweb.threads import _Work
from tests.unit.paired import MINUTE, run_paired

NAME = ContextVar("NAME", default="nobody")


class Gate:
    """A thread waits at it until it is opened; who opens it may wait until somebody is there."""

    def __init__(self):
        self._there, self._open = threading.Event(), threading.Event()

    def pass_through(self):
        self._there.set()
        assert self._open.wait(MINUTE)

    async def reached(self):
        assert await asyncio.to_thread(self._there.wait, MINUTE)

    def open(self):
        self._open.set()


class Mill(pb.Root):
    def __init__(self):
        self.gate = Gate()
        self.log = []

    @pb.in_thread
    def remote_grind(self, grain, *, fine=False):
        self.log.append(threading.get_ident())
        return f"{'fine' if fine else 'coarse'} {grain}"

    @pb.in_thread
    def remote_wait(self):
        self.gate.pass_through()
        self.log.append("ground")
        return "flour"

    @pb.in_thread
    def remote_fail(self, error):
        raise {"pb": pb.Error("no grain"), "stop": StopIteration(), "exit": SystemExit(3)}[error]

    @pb.in_thread
    def remote_name(self):
        return NAME.get()

    async def remote_who(self, name):
        NAME.set(name)
        return await self.remote_name()

    @pb.in_thread
    def remote_tell(self, reference, *args):
        return pb.in_loop(reference.callRemote, "take", *args)

    @pb.in_thread
    def remote_call_wrongly(self, reference):
        for call in (reference.callRemote, reference.callRemoteOnly):
            try:
                call("take", 1)
            except RuntimeError as error:
                self.log.append(str(error))

    def remote_log(self):
        return len(self.log)


class Taker(pb.Referenceable):
    def __init__(self):
        self.taken = []
        self.held = None

    async def remote_take(self, *values):
        self.taken += values
        if self.held is not None:
            await self.held.wait()
        return len(self.taken)


def test_a_method_runs_in_a_thread_and_answers():
    mill = Mill()

    async def body(both):
        assert await both.root.callRemote("grind", "rye", fine=True) == "fine rye"
        assert await both.root.callRemote("grind", "oats") == "coarse oats"
        assert threading.get_ident() not in mill.log

    run_paired(mill, body)


def test_others_are_served_meanwhile():
    mill = Mill()

    async def body(both):
        waits = both.root.callRemote("wait")
        await mill.gate.reached()
        assert await both.root.callRemote("log") == 0
        mill.gate.open()
        assert await waits == "flour"

    run_paired(mill, body)


def test_arguments_that_do_not_fit_are_told_as_ever_and_nothing_is_logged():
    async def body(both):
        with pytest.raises(pb.WrongArguments, match="grind: missing a required argument: 'grain'"):
            await both.root.callRemote("grind")
        with pytest.raises(pb.WrongArguments, match="unexpected keyword argument 'coarse'"):
            await both.root.callRemote("grind", 1, coarse=True)

    run_paired(Mill(), body)


@pytest.mark.parametrize(("error", "logged"), [("pb", 0), ("stop", 1), ("exit", 1)])
def test_what_it_raises_is_that_calls_failure(error, logged):
    async def body(both):
        with pytest.raises(pb.Error):
            await both.root.callRemote("fail", error)
        assert await both.root.callRemote("grind", "rye") == "coarse rye"

    run_paired(Mill(), body, logged=logged)


def test_context_variables_are_those_of_the_call():
    async def body(both):
        assert await both.root.callRemote("who", "alice") == "alice"
        assert await both.root.callRemote("name") == "nobody"

    run_paired(Mill(), body)


def test_calls_start_in_their_order():
    started = []

    class Line(pb.Root):
        @pb.in_thread(pool=ThreadPoolExecutor(1))
        def remote_thread(self, number):
            started.append(number)

        def remote_plain(self, number):
            started.append(number)

    async def body(both):
        await asyncio.gather(*(both.root.callRemote("thread", n) for n in range(50)))
        assert started == list(range(50))

    run_paired(Line(), body)


def test_a_pool_bounds_how_many_run_and_the_rest_waits():
    gate, most, running = Gate(), [0], [0]
    lock = threading.Lock()

    class Narrow(pb.Root):
        @pb.in_thread(pool=ThreadPoolExecutor(2))
        def remote_run(self):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            gate.pass_through()
            with lock:
                running[0] -= 1

    async def body(both):
        calls = [both.root.callRemote("run") for _ in range(10)]
        await gate.reached()
        gate.open()
        await asyncio.gather(*calls)
        assert most[0] <= 2

    run_paired(Narrow(), body)


def test_one_that_was_cancelled_goes_on_stays_in_progress_and_answers():
    mill = Mill()

    async def body(both):
        call = both.root.callRemote("wait")
        await mill.gate.reached()
        call.cancel()
        await both.quiet()
        assert not call.done
        assert both.server.broker.statistics()["calls_in_progress"] == 1
        mill.gate.open()
        assert await call == "flour"
        assert mill.log == ["ground"]

    run_paired(mill, body)


def test_one_that_was_cancelled_before_it_began_never_begins():
    gate, ran = Gate(), []

    class Narrow(pb.Root):
        @pb.in_thread(pool=ThreadPoolExecutor(1))
        def remote_run(self, number):
            gate.pass_through()
            ran.append(number)

    async def body(both):
        first, second = both.root.callRemote("run", 1), both.root.callRemote("run", 2)
        await gate.reached()
        second.cancel()
        await both.quiet()
        assert both.server.broker.statistics()["calls_in_progress"] == 2  # it still has its place
        gate.open()
        await first
        with pytest.raises(pb.CancelledError, match="was cancelled by its caller"):
            await second
        assert ran == [1]

    run_paired(Narrow(), body)


def test_the_caller_gets_its_timeout_and_the_thread_goes_on():
    mill = Mill()

    async def body(both):
        late = both.root.call("wait", timeout=5)
        await both.quiet()
        both.clock.turn(5)
        with pytest.raises(TimeoutError):
            await late
        mill.gate.open()
        while both.server.broker.statistics()["calls_in_progress"]:
            await asyncio.sleep(0)

    run_paired(mill, body)
    assert mill.log in ([], ["ground"])  # it may not have begun when the time was over


def test_the_end_of_the_session_loses_the_answer_and_nothing_else():
    mill = Mill()

    async def body(both):
        call = both.root.callRemote("wait")
        await mill.gate.reached()
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await call
        mill.gate.open()
        while mill.log != ["ground"]:
            await asyncio.sleep(0)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)

    run_paired(mill, body, idle=False)


# ------------------------------------------------------------ references there


def test_a_reference_is_called_by_in_loop():
    taker = Taker()

    async def body(both):
        assert await both.root.callRemote("tell", taker, "rye", "oats") == 2
        assert taker.taken == ["rye", "oats"]

    run_paired(Mill(), body)


def test_without_it_the_error_says_how():
    mill, taker = Mill(), Taker()

    async def body(both):
        await both.root.callRemote("call_wrongly", taker)
        assert taker.taken == []

    run_paired(mill, body)
    assert len(mill.log) == 2
    for text in mill.log:
        assert "'take' is called in another thread" in text
        assert "pb.in_loop(reference.callRemote, 'take', …)" in text


def test_in_loop_ends_when_the_call_is_cancelled():
    taker = Taker()

    async def body(both):
        taker.held = asyncio.Event()
        call = both.root.callRemote("tell", taker, 1)
        while not taker.taken:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(pb.CancelledError):
            await call
        taker.held.set()

    run_paired(Mill(), body)


def test_in_loop_fails_when_the_call_was_cancelled_before():
    gate, ends = Gate(), []

    class Job(pb.Root):
        @pb.in_thread
        def remote_run(self):
            gate.pass_through()
            try:
                pb.in_loop(ends.append, "asked")
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

    async def body(both):
        call = both.root.callRemote("run")
        await gate.reached()
        call.cancel()
        await both.quiet()
        gate.open()
        with pytest.raises(pb.CancelledError):
            await call
        assert ends == ["cancelled"]

    run_paired(Job(), body)


def test_in_loop_ends_when_the_call_is_cancelled_just_as_it_asks():
    """The call was wanted when the thread looked, and is not when the loop has been asked."""
    ends = []

    class Work(_Work):
        looks = iter([False, False, True])  # before it begins, before it asks, after it has

        @property
        def cancelled(self):
            return next(self.looks)

        @cancelled.setter
        def cancelled(self, _value):
            pass

    def method():
        try:
            pb.in_loop(asyncio.Event().wait)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def body():
        async with asyncio.timeout(MINUTE):
            with pytest.raises(asyncio.CancelledError):
                await Work(method).result(None)

    asyncio.run(body())
    assert ends == ["cancelled"]


def test_a_thread_that_has_its_answer_just_as_it_is_cancelled():
    """The thread takes away what it waited for between two looks at it."""

    class Work(_Work):
        looks = iter([Future(), None])

        @property
        def asked(self):
            return next(self.looks, None)

        @asked.setter
        def asked(self, _value):
            pass

    async def body():
        work = Work(list)
        work.cancel()
        assert work.cancelled

    asyncio.run(body())


def test_in_loop_gives_back_what_the_function_returns_or_raises():
    results = []

    class Job(pb.Root):
        @pb.in_thread
        def remote_run(self):
            results.append(pb.in_loop(threading.get_ident))
            try:
                pb.in_loop(int, "x")
            except ValueError:
                results.append("raised")

    async def body(both):
        await both.root.callRemote("run")
        assert results == [threading.get_ident(), "raised"]

    run_paired(Job(), body)


def test_in_loop_is_for_threads_of_in_thread_alone():
    class Job(pb.Root):
        @pb.in_thread
        def remote_run(self):
            with pytest.raises(RuntimeError, match="call and await what you need"):
                pb.in_loop(pb.in_loop, len, "abc")  # the inner one is in the loop

    with pytest.raises(RuntimeError, match=r"for methods that pb\.in_thread runs"):
        pb.in_loop(len, "abc")

    async def body(both):
        await both.root.callRemote("run")

    run_paired(Job(), body)


# -------------------------------------------------------------- the decorator


def test_it_may_be_called_here_and_is_awaited_then():
    mill = Mill()

    async def main():
        assert await mill.remote_grind("rye") == "coarse rye"

    asyncio.run(main())
    assert Mill.remote_grind.__name__ == "remote_grind"


async def a_coroutine():
    pass


async def an_async_generator():
    yield 1


def a_generator():
    yield 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (a_coroutine, "is async: in_thread is for plain functions"),
        (an_async_generator, "is async"),
        (a_generator, "is a generator, which no call runs"),
        (staticmethod(len), "put it under @staticmethod"),
        (3, "in_thread is for functions"),
    ],
)
def test_what_cannot_run_in_a_thread(function, said):
    with pytest.raises(TypeError, match=said):
        pb.in_thread(function)


def test_static_and_class_methods():
    class Job(pb.Root):
        @staticmethod
        @pb.in_thread
        def remote_static(value):
            return [value]

        @classmethod
        @pb.in_thread
        def remote_of_class(cls, value):
            return [cls.__name__, value]

    async def body(both):
        assert await both.root.callRemote("static", 1) == [1]
        assert await both.root.callRemote("of_class", 1) == ["Job", 1]
        with pytest.raises(pb.WrongArguments):
            await both.root.callRemote("static")

    run_paired(Job(), body)
