"""The memory that sessions without a connection cost a server, as a command.

Each is opened, and its connection is dropped: it stays for its client to come back. Some are parked
first, so that what a server needs only once is not counted.
"""

from __future__ import annotations

import argparse
import asyncio

import orjson
import uvloop

from .idle import OPENING_SECONDS, SETTLE_SECONDS, close, memory, open_many
from .load import Failed

AT_ONCE = 500


async def park(number: int, url: str) -> None:
    """Open *number* sessions, some at a time, and drop their connections."""
    for done in range(0, number, AT_ONCE):
        await close(await open_many(min(AT_ONCE, number - done), "pbweb", url))


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """KiB per session."""
    await park(arguments.before, arguments.url)
    await asyncio.sleep(SETTLE_SECONDS)
    before = memory(arguments.pid)
    await park(arguments.sessions, arguments.url)
    await asyncio.sleep(SETTLE_SECONDS)
    after = memory(arguments.pid)
    return {kind: (after[kind] - before[kind]) / 1024 / arguments.sessions for kind in after}


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("url")
    made.add_argument("--pid", type=int, required=True)
    made.add_argument("--sessions", type=int, default=5000)
    made.add_argument("--before", type=int, default=AT_ONCE)
    return made


def main() -> None:
    """Print the figures as JSON."""
    try:
        figures = uvloop.run(asyncio.wait_for(run(parser().parse_args()), OPENING_SECONDS))
    except (Failed, TimeoutError) as error:
        raise SystemExit(f"the sessions could not be opened: {error!r}") from None
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
