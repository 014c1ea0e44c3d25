"""Every test here runs on asyncio's loop and on uvloop, which `pbweb serve` uses."""

import asyncio
import gc
import inspect
from collections.abc import Callable

import pytest
import uvloop


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
        async with asyncio.timeout(60):
            await pyfuncitem.obj(**arguments)
        gc.collect()  # a task whose exception nobody took says so when it is collected
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=pyfuncitem.funcargs["loop_factory"]) as runner:
        runner.run(main())
    assert not faults
    return True
