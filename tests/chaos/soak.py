"""`python -m tests.chaos.soak SECONDS`: one server, and clients that come and go all the time.

Each client makes calls, gets references, caches and streams, and goes: three in ten of their links
are reset, and half of those sessions are resumed, the others run out; the rest goes with a close.
What the server holds is looked at once a second. It goes on until the seconds are over and there
were as many sessions as are demanded of so many seconds. This is `make soak`.
"""

import asyncio
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

import pbweb as pb
from tests.chaos.checker import Verdict, check
from tests.chaos.conductor import Plan, Server
from tests.chaos.history import History, read
from tests.chaos.python_client import OwnPond, Them

AT_ONCE = 8
SESSIONS_A_SECOND = 50_000 / 1800  # the figure of R13 in the time of R19 (docs/promises.md)
CALLS_A_SECOND = 1_000_000 / 1800
WARM = 300.0  # seconds after which memory may not rise any more
MOST_SLOPE = 0.1  # MiB a minute, of runs of twice that and more
SECONDS = 60.0  # for what takes milliseconds on a quiet machine


class Soak:
    """The clients, and what was seen of the server."""

    def __init__(self, seconds: float, seed: int, history: History) -> None:
        self._chance = random.Random(seed)
        self._history = history
        self._end = time.monotonic() + seconds
        self._least = seconds * SESSIONS_A_SECOND
        self.sessions = 0
        self.calls = 0
        self.cut = 0
        self.resumed = 0
        self.samples: list[tuple[float, float, int]] = []
        """Seconds, MiB, open files."""
        self.tasks: list[int] = []

    def goes_on(self) -> bool:
        """Whether the time is not over, or there were too few sessions."""
        return time.monotonic() < self._end or self.sessions < self._least

    async def client(self, url: str) -> None:
        while self.goes_on():
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
            self.cut += 1
            connection._link._transport.abort()  # the way back is cut as well
            if not comes_back:
                await connection.wait_closed()
                return
            await root.callRemote("change", "-", 0)
            self.resumed += 1
        await connection.close()

    async def watch(self, pid: int, url: str) -> None:
        process, begun = psutil.Process(pid), time.monotonic()
        while self.goes_on():
            size = process.memory_info().rss / 2**20
            self.samples.append((time.monotonic() - begun, size, process.num_fds()))
            await asyncio.sleep(1)
            if len(self.samples) % 10 == 0:
                self.tasks.append((await self.census(url))["tasks"])

    async def census(self, url: str) -> dict[str, Any]:
        """What is left of sessions that have ended; the application keeps them no longer."""
        async with pb.connect(url) as connection:
            return await (await connection.getRootObject()).callRemote("census")

    async def last_census(self, url: str, tasks: int) -> dict[str, Any]:
        """The same when all sessions have ended and no more than so many tasks are there."""
        end = time.monotonic() + SECONDS
        while (census := await self.census(url))["alive"] or census["tasks"] > tasks:
            if time.monotonic() > end:
                break
            await asyncio.sleep(0.1)
        return census

    def slope(self) -> float:
        """MiB a minute, from `WARM` on, or, of a short run, of the last two thirds."""
        late = [sample for sample in self.samples if sample[0] >= WARM]
        if not self.is_long:
            late = self.samples[len(self.samples) // 3 :]
        line = statistics.linear_regression([s[0] for s in late], [s[1] for s in late])
        return line.slope * 60

    @property
    def is_long(self) -> bool:
        return self.samples[-1][0] >= 2 * WARM


async def _ends(folder: Path) -> Verdict:
    """What the server has written of ends, when each was told of or time is over."""
    end = time.monotonic() + SECONDS
    while (verdict := check(read(folder))).violations and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return verdict


async def soak(seconds: float, seed: int) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="pbweb-soak-"))
    os.environ["CHAOS_ENDS_ONLY"] = "1"
    server = Server(folder, Plan(window=2.0))
    server.start()
    try:
        run = Soak(seconds, seed, History(Path("/dev/null"), "soak"))
        url = f"ws://localhost:{server.port}/pb"
        tasks = (await run.census(url))["tasks"]
        process = psutil.Process(server.pid)
        files = process.num_fds()
        await asyncio.gather(run.watch(server.pid, url), *(run.client(url) for _ in range(AT_ONCE)))
        census = await run.last_census(url, tasks)
        ends = await _ends(folder)
        slope = run.slope()
        print(
            f"{run.sessions:,} sessions, {run.cut:,} cut, {run.resumed:,} of them resumed, "
            f"{run.calls:,} calls; left: {census['left'] or 'nothing'}; "
            f"{ends.counts['notices']:,} notices of an end; "
            f"tasks {tasks} at first, {max(run.tasks, default=0)} at most, {census['tasks']} at "
            f"last; open files {files} at first and {process.num_fds()} at last; "
            f"memory {run.samples[0][1]:.1f} MiB at first, {run.samples[-1][1]:.1f} at last, "
            f"{slope:+.2f} MiB a minute"
        )
        problems = [*ends.violations]
        if census["left"] or census["alive"] or census["tasks"] > tasks:
            problems.append(f"R13: {census} is left, and there were {tasks} tasks")
        if process.num_fds() > files + AT_ONCE:
            problems.append("R19: files stay open")
        if run.is_long and slope >= MOST_SLOPE:
            problems.append(f"R19: memory rises by {slope:.2f} MiB a minute")
        if run.calls < seconds * CALLS_A_SECOND:
            problems.append(f"R19: only {run.calls:,} of {seconds * CALLS_A_SECOND:,.0f} calls")
        print("\n".join(problems))
    finally:
        server.stop()
    shutil.rmtree(folder)
    return not problems


if __name__ == "__main__":
    sys.exit(not asyncio.run(soak(float(sys.argv[1]), int((sys.argv[2:] or ["1"])[0]))))
