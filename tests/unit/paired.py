"""Runs a test's body over two connected sides, and looks at what it leaves behind."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pbweb.testing import Pair, _acknowledge_now, pair, tables
from tests.clock import Clock

MINUTE = 60.0  # a bound for what hangs, never waited for


class LogRecords(logging.Handler):
    """What the library logs."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> list[logging.LogRecord]:
        logging.getLogger("pbweb").addHandler(self)
        return self.records

    def __exit__(self, *_: object) -> None:
        logging.getLogger("pbweb").removeHandler(self)


async def read_all(both: Pair) -> None:
    """Let each side of *both* have and acknowledge all that comes, also what waited for that."""
    both.let_go()
    await both.quiet()
    while any(connection.session.receipts.timer is not None for connection in both):
        for connection in both:
            _acknowledge_now(connection.session)
        await both.quiet()


def run_paired(
    root: Any,
    body: Callable[[Pair], Awaitable[None]],
    *,
    logged: int = 0,
    idle: bool = True,
    **options: Any,
) -> list[logging.LogRecord]:
    """Run *body*; both sides' tables must be empty after it, and after the end.

    Time stands still for both sides, unless the body turns ``both.clock``.

    Args:
        logged: how many entries the library has to make in its log: exactly so many.
        idle: False for a body that ends the session itself.
    """
    unhandled: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
        async with asyncio.timeout(MINUTE):
            async with pair(root, **options) as both:
                both.clock = Clock.of(*both)
                await body(both)
                if idle:
                    await both.assert_idle()
            for connection in both:
                assert not any(tables(connection.session).values()), tables(connection.session)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks that nobody ended: {left}"

    with LogRecords() as records:
        asyncio.run(main())
    assert not unhandled, unhandled
    assert len(records) == logged, [record.getMessage() for record in records]
    return records
