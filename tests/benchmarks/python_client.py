"""pbweb's Python client as a command: how many calls a second it makes, and a pipelined chain."""

from __future__ import annotations

import argparse
import asyncio
import time

import orjson
import uvloop

import pbweb as pb


async def count_calls(root: pb.RemoteReference, in_flight: int, seconds: float) -> dict[str, float]:
    """How many calls a second come about with *in_flight* at a time."""
    counted = 0

    async def again() -> None:
        nonlocal counted
        while True:
            await root.callRemote("echo", "hello network")
            counted += 1

    tasks = [asyncio.ensure_future(again()) for _ in range(in_flight)]
    await asyncio.sleep(seconds / 4)
    calls, began = counted, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (counted - calls) / (time.perf_counter() - began)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"rate": rate}


async def chain(root: pb.RemoteReference, length: int) -> dict[str, float]:
    """The seconds of a chain of calls, each on what the one before returns."""
    await root.callRemote("echo", "warm")
    began = time.perf_counter()
    link = root.callRemote("next" if length > 1 else "echo", *(() if length > 1 else (1,)))
    for at in range(1, length):
        link = link.callRemote("echo", 1) if at == length - 1 else link.callRemote("next")
    await link
    return {"seconds": time.perf_counter() - began}


async def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Connect, do what is asked, close."""
    async with pb.connect(f"{arguments.url}/pb") as connection:
        root = await connection.getRootObject()
        if arguments.what == "calls":
            return await count_calls(root, arguments.in_flight, arguments.seconds)
        return await chain(root, arguments.length)


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("what", choices=["calls", "chain"])
    made.add_argument("url")
    made.add_argument("--in-flight", type=int, default=1)
    made.add_argument("--seconds", type=float, default=2.0)
    made.add_argument("--length", type=int, default=5)
    return made


def main() -> None:
    """Print the figures as JSON."""
    print(orjson.dumps(uvloop.run(run(parser().parse_args()))).decode())


if __name__ == "__main__":
    main()
