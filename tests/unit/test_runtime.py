"""pbweb.runtime: what both runtimes promise, asyncio's and the stepped one."""

import asyncio
import contextvars

import pytest

from pbweb.connection import Connection
from pbweb.flavors import Registry
from pbweb.limits import Limits
from pbweb.runtime import Options
from pbweb.testing import SteppedRuntime


def on_stepped(body, *, eager):
    runtime = SteppedRuntime(eager=eager)
    body(runtime)
    runtime.run()


def on_asyncio(body):
    async def main():
        runtime = Connection(Options(Limits(), Registry()), is_server=True, software="test")
        body(runtime)
        for _ in range(20):
            await asyncio.sleep(0)
        runtime.session.end("over")

    asyncio.run(main())


RUNTIMES = pytest.mark.parametrize(
    "run",
    [
        pytest.param(on_asyncio, id="asyncio"),
        pytest.param(lambda body: on_stepped(body, eager=False), id="stepped"),
        pytest.param(lambda body: on_stepped(body, eager=True), id="stepped and eager"),
    ],
)


@RUNTIMES
def test_what_is_spawned_starts_before_what_is_given_to_soon_later(run):
    log = []

    def body(runtime):
        async def work(name):
            log.append(name)

        tasks.append(runtime.spawn(work("one"), None))
        runtime.soon(log.append, "two")
        tasks.append(runtime.spawn(work("three"), None))
        runtime.soon(log.append, "four")

    tasks = []
    run(body)
    assert [name for name in log if name in ("one", "two", "four")] == ["one", "two", "four"]
    assert log.index("three") < log.index("four")


@RUNTIMES
def test_a_coroutine_runs_in_the_context_that_it_is_given(run):
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    def body(runtime):
        async def work():
            seen.append(variable.get())

        context = contextvars.copy_context()
        context.run(variable.set, "set")
        tasks.append(runtime.spawn(work(), context))
        tasks.append(runtime.spawn(work(), None))

    tasks = []
    run(body)
    assert seen == ["set", "unset"]


@RUNTIMES
def test_a_future_lets_go_who_waits(run):
    seen = []

    def body(runtime):
        future = runtime.future()

        async def work():
            await future
            seen.append(future.done())

        tasks.append(runtime.spawn(work(), None))
        assert not future.done()
        runtime.soon(future.set_result, None)

    tasks = []
    run(body)
    assert seen == [True]


@RUNTIMES
def test_a_cancelled_task_sees_cancelled(run):
    seen = []

    def body(runtime):
        async def work():
            try:
                await runtime.future()
            except BaseException as error:
                seen.append(type(error) is runtime.cancelled)

        task = runtime.spawn(work(), None)
        tasks.append(task)
        runtime.soon(task.cancel)

    tasks = []
    run(body)
    assert seen == [True]


def test_the_options_of_a_side():
    registry = Registry()
    options = Options(Limits(), registry)
    assert options.registry is registry
    assert (options.mask_errors, options.unsafe_tracebacks) == (False, False)
    options = Options(Limits(), registry, mask_errors=True, unsafe_tracebacks=True)
    assert (options.mask_errors, options.unsafe_tracebacks) == (True, True)
