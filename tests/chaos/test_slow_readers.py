"""Clients that read nothing of what is pushed to them, and others that are served meanwhile (R9).

With PBWEB_FULL=1, which `make chaos` sets, a hundred of each, and the figures are held.
"""

import asyncio
import os
import statistics
import time

import psutil

import pbweb as pb
from tests.integration.process import serving
from tests.integration.test_shutdown import raw, url

FULL = bool(os.environ.get("PBWEB_FULL"))
EACH = 100 if FULL else 10
MOST_EACH = 3.5  # MiB of the server's memory
CLOSED = 12.0 + 2.0  # seconds, one until the window is full, and one for a busy machine
MOST_WAIT = 0.5  # seconds (R10)
APP = "tests.chaos.pusher:Pusher"
LIMITS = ("--limit=handshakes=10000",) if FULL else ("--limit=handshakes=10000", "--limit=stall=1")


async def echo(root, waits, over):
    """Call again and again; the seconds that each took are put into *waits*."""
    while not over.is_set():
        begun = time.monotonic()
        assert await root.callRemote("echo", "x") == "x"
        waits.append(time.monotonic() - begun)
        await asyncio.sleep(0.05)


async def echoes(roots, condition):
    """The seconds that calls took until *condition* came about."""
    waits, over = [], asyncio.Event()
    tasks = [asyncio.ensure_future(echo(root, waits, over)) for root in roots]
    await condition
    over.set()
    await asyncio.gather(*tasks)
    assert len(waits) >= len(roots)
    return statistics.quantiles(waits, n=100)[98]


async def scene(process):
    server = psutil.Process(process.pid)
    connections = [await pb.connect(url(process)) for _ in range(EACH)]
    roots = [await connection.getRootObject() for connection in connections]
    undisturbed = await echoes(roots, asyncio.sleep(3 if FULL else 0))
    base = most = server.memory_info().rss
    stalled = []
    for _ in range(EACH):
        peer = await raw(process, ["message", 1, "root", "push", [{"$": "remote", "id": 1}]])
        peer.reader._transport.pause_reading()
        stalled.append(peer)

    async def all_are_closed():
        nonlocal most
        while len(await roots[0].callRemote("ends")) < EACH:
            most = max(most, server.memory_info().rss)
            await asyncio.sleep(0.02)

    disturbed = await echoes(roots, all_are_closed())
    ends = await roots[0].callRemote("ends")
    assert [code for code, _ in ends] == [4440] * EACH
    seconds = max(seconds for _, seconds in ends)
    each = (most - base) / EACH / 2**20
    print(
        f"{EACH} readers that stall: {each:.2f} MiB each, closed after {seconds:.1f} s; p99 of "
        f"{EACH} others {undisturbed * 1000:.1f} ms before and {disturbed * 1000:.1f} meanwhile"
    )
    assert all(connection.status == "connected" for connection in connections)
    if FULL:
        assert each <= MOST_EACH
        assert seconds <= CLOSED
        assert disturbed < MOST_WAIT
    for peer in stalled:
        await peer.cut()
    await asyncio.gather(*(connection.close() for connection in connections))


def test_who_does_not_read_is_closed_and_others_are_served_meanwhile():
    with serving(APP, *LIMITS) as process:
        asyncio.run(scene(process))
    assert "Traceback" not in process.output
