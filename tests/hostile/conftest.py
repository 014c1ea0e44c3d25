"""Every test here runs on asyncio's loop and on uvloop, which `pbweb serve` uses.

And beside each a canary calls all the time, which may not fail nor wait (`canary.py`).
"""

import asyncio
import gc
import inspect
from collections.abc import Callable, Iterator

import pytest
import uvloop

import pbweb as pb
from tests.hostile.canary import Canary, bystander, nothing_left
from tests.hostile.kit import gateway

MOST = 300.0  # seconds, for a test that takes ten on a quiet machine


class Quiet(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value


@pytest.fixture(scope="session", autouse=True)
def warm() -> Iterator[None]:
    """What is imported and made once is not taken for what the first test has left."""

    async def once() -> None:
        async with gateway(Quiet) as gate, await gate.peer(), bystander():
            pass

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(once())
    gc.collect()
    gc.freeze()  # so that collecting after each test costs little
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def canary(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each attack has a canary beside it, and leaves nothing behind."""
    with nothing_left():
        yield
        if inspect.iscoroutinefunction(request.node.obj):
            assert Canary.born, "no canary sang beside this test: see gateway() and bystander()"


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine function as a test. Nothing may reach the loop's exception handler."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    faults: list[str] = []
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: faults.append(
                f"{context.get('message')}: {context.get('exception')!r}"
            )
        )
        async with asyncio.timeout(MOST):
            await pyfuncitem.obj(**arguments)
        gc.collect()  # a task whose exception nobody took says so when it is collected
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=pyfuncitem.funcargs["loop_factory"]) as runner:
        runner.run(main())
    assert not faults
    return True
