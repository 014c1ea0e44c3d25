"""`python -m tests.chaos.soak SECONDS`: one server, and clients that come and go all the time.

Each client makes calls, gets references, caches and streams, and goes: three in ten of their links
are reset, and half of those sessions are resumed, the others run out; the rest goes with a close.
What the server holds is looked at once a second; its memory may not rise,
and at the end no session may be left in it. This is `make soak`.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

import pbweb as pb
from tests.chaos.conductor import Plan, Server
from tests.chaos.history import History
from tests.chaos.python_client import OwnPond, Them

AT_ONCE = 8
MOST_SLOPE = 0.1  # MiB a minute, of runs of ten minutes and more


class Soak:
    """The clients, and what was seen of the server."""

    def __init__(self, seed: int, history: History) -> None:
        self._chance = random.Random(seed)
        self._history = history
        self.sessions = 0
        self.calls = 0
        self.resumed = 0
        self.samples: list[tuple[float, float, int]] = []
        """Seconds, MiB, open files."""

    async def client(self, url: str, end: float) -> None:
        while time.monotonic() < end:
            try:
                await self._session(url)
            except (pb.Error, OSError):  # reset before it was there
                continue

    async def _session(self, url: str) -> None:
        self.sessions += 1
        comes_back = self._chance.random() < 0.5
        connection = await pb.connect(url, resume=comes_back)
        root = await connection.getRootObject()
        begun = [
            root.callRemote("begin", "-", f"soak/{self.sessions}", Them(self._history)),
            root.callRemote("getPond", "-"),
            root.callRemote("getBoard", "-"),
            root.callRemote("watch", "-", OwnPond()),
        ]
        await asyncio.gather(*begun)
        for _ in range(10):
            things = [root.callRemote("make", "-").callRemote("number", "-") for _ in range(3)]
            stream = [number async for number in root.callRemote("count", "-", 20)]
            await asyncio.gather(*things, root.callRemote("change", "-", len(stream)))
            self.calls += 8
        if self._chance.random() < 0.3:
            connection._link._transport.abort()  # the way back is cut as well
            if not comes_back:
                await connection.wait_closed()
                return
            await root.callRemote("change", "-", 0)
            self.resumed += 1
        await connection.close()

    async def watch(self, pid: int, url: str, end: float) -> None:
        process, begun = psutil.Process(pid), time.monotonic()
        while time.monotonic() < end:
            size = process.memory_info().rss / 2**20
            self.samples.append((time.monotonic() - begun, size, process.num_fds()))
            await asyncio.sleep(1)
            if len(self.samples) % 10 == 0:
                await self.census(url)

    async def census(self, url: str) -> dict[str, Any]:
        """What is left of sessions that have ended; the application keeps them no longer."""
        async with pb.connect(url) as connection:
            return await (await connection.getRootObject()).callRemote("census")

    def slope(self) -> float:
        """MiB a minute, of the last two thirds."""
        late = self.samples[len(self.samples) // 3 :]
        line = statistics.linear_regression([s[0] for s in late], [s[1] for s in late])
        return line.slope * 60


async def soak(seconds: float, seed: int) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="pbweb-soak-"))
    os.environ["CHAOS_NO_WIRE"] = "1"  # which the server would keep in its memory
    server = Server(folder, Plan(window=2.0))
    server.start()
    try:
        run = Soak(seed, History(Path("/dev/null"), "soak"))
        url = f"ws://localhost:{server.port}/pb"
        end = time.monotonic() + seconds
        clients = [run.client(url, end) for _ in range(AT_ONCE)]
        await asyncio.gather(run.watch(server.pid, url, end), *clients)
        while (census := await run.census(url))["alive"]:
            await asyncio.sleep(0.1)
        files = psutil.Process(server.pid).num_fds()
        slope = run.slope()
        print(
            f"{run.sessions:,} sessions, {run.resumed:,} resumed, {run.calls:,} calls; "
            f"left: {census['left'] or 'nothing'}; "
            f"open files {run.samples[0][2]} at first and {files} at last; "
            f"memory {run.samples[0][1]:.1f} MiB at first, {run.samples[-1][1]:.1f} at last, "
            f"{slope:+.2f} MiB a minute"
        )
        is_flat = seconds < 600 or slope < MOST_SLOPE
        return not census["left"] and files <= run.samples[0][2] + AT_ONCE and is_flat
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(not asyncio.run(soak(float(sys.argv[1]), int((sys.argv[2:] or ["1"])[0]))))
