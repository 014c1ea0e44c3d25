"""One run: a server, clients, a proxy before each connection, and the judgement of what they wrote.

What a run was made of stands in its `Plan`; a run that fails keeps its folder and tells the command
that does it again.
"""

import asyncio
import dataclasses
import json
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pbweb as pb
from tests.chaos.checker import Verdict, check
from tests.chaos.history import History, read
from tests.chaos.proxy import FaultProxy, fault_proxy, weather
from tests.integration.process import PROJECT, Process, free_port, pbweb

BUILD = PROJECT / "build" / "chaos"
SHARES: dict[str, dict[str, Any]] = {
    # sessions live through all of it
    "rough": {"most": 25_000, "longest": 0.3},
    # what takes longer than the window, and openings that come a second time: sessions are lost
    "fatal": {
        "most": 25_000,
        "longest": 2.5,
        "weights": {"refuse": 4, "silence": 2, "duplicate": 2},
    },
}


@dataclass(frozen=True)
class Plan:
    """What a run is made of.

    Args:
        calls: of all clients together; the server's own come on top.
        python, node, chromium: connections of each.
        window: the server's `resume_window`, in seconds.
        weather: a name of `SHARES`.
        kills: how often the server is killed and started again.
        seconds: after which the run has failed.
    """

    seed: int = 0
    calls: int = 2000
    python: int = 2
    node: int = 0
    chromium: int = 0
    window: float = 8.0
    weather: str = "rough"
    kills: int = 0
    seconds: float = 300.0

    @property
    def command(self) -> str:
        """Does it again."""
        options = [
            f"--{field.name} {getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return " ".join([".venv/bin/python -m tests.chaos", *options])


@dataclass
class Outcome:
    """What a run gave."""

    plan: Plan
    verdict: Verdict
    faults: Counter[str]
    folder: Path

    @property
    def passed(self) -> bool:
        return not self.verdict.violations

    def __str__(self) -> str:
        faults = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.faults.items()))
        text = f"{self.plan.command}\n{self.faults.total():,} faults: {faults}\n{self.verdict}"
        if self.passed:
            return text
        return f"{text}\nhistories, faults and logs: {self.folder}"


class Server:
    """`pbweb serve` with the app of these runs; one port through all its processes."""

    def __init__(self, folder: Path, window: float, *options: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = ["--limit", f"resume_window={window:g}", *options]
        self.process: Process | None = None
        self._logs: list[str] = []

    def start(self) -> None:
        command = pbweb("serve", "tests.chaos.app:Office", "--port", str(self.port))
        env = {"CHAOS_HISTORY": str(self._folder / "server.jsonl")}
        self.process = Process([*command, *self._options], env=env)
        self.process.wait_for(r"^pbweb serves ")

    @property
    def who(self) -> str:
        assert self.process is not None
        return f"server-{self.process.pid}"

    def stop(self) -> None:
        """Kill it with SIGKILL; what it said is kept."""
        if self.process is not None:
            self.process.kill()
            self._logs.append(self.process.output)
            self.process = None
        (self._folder / "server.log").write_text("\n".join(self._logs))


class ClientProcess:
    """Some connections in a process of their own, each through a proxy."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self._command = command
        self._log = folder / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command, cwd=PROJECT, stdin=PIPE, stdout=PIPE, stderr=log
            )

    async def says(self, word: str) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if line.strip().decode() != word:
            raise AssertionError(f"{self.name} ended:\n{self._log.read_text()}")

    async def finish(self) -> None:
        """Let it compare, close and end."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.says("closed")
        await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Run:
    """The parts of one run while it goes on."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.server = Server(folder, plan.window)
        self.proxies: dict[str, FaultProxy] = {}
        self.clients: list[ClientProcess] = []
        self.history = History(folder / "conductor.jsonl", "conductor")

    async def go(self, stack: AsyncExitStack) -> None:
        stack.callback(self.history.close)
        stack.callback(self.server.stop)
        self.server.start()
        for kind, make in (("python", _python), ("node", _node)):
            if getattr(self.plan, kind):
                await self._add(stack, kind, make)
        stack.push_async_callback(self._stop_clients)
        await asyncio.gather(*(client.start() for client in self.clients))
        await asyncio.gather(*(client.says("done") for client in self.clients))
        for proxy in self.proxies.values():
            proxy.calm()
        await asyncio.gather(*(client.finish() for client in self.clients))
        await self.census()

    async def _add(self, stack: AsyncExitStack, kind: str, make: Any) -> None:
        urls = []
        plan = self.plan
        for number in range(getattr(plan, kind)):
            name = f"{kind}.{number}"
            scenario = weather(f"{plan.seed}/{name}", **SHARES[plan.weather])
            proxy = await stack.enter_async_context(fault_proxy(self.server.port, scenario))
            self.proxies[name] = proxy
            urls.append(f"ws://localhost:{proxy.port}/pb")
        calls = plan.calls // (plan.python + plan.node + plan.chromium)
        path = self.folder / f"{kind}.jsonl"
        self.clients.append(ClientProcess(kind, make(plan, kind, urls, calls, path), self.folder))

    async def _stop_clients(self) -> None:
        for client in self.clients:
            await client.stop()

    async def census(self) -> None:
        """When the sessions that are away have ended, nothing may be left in the server."""
        async with pb.connect(f"ws://localhost:{self.server.port}/pb") as connection:
            root = await connection.getRootObject()
            while True:
                census = await root.callRemote("census")
                if not census["alive"]:
                    break
                await asyncio.sleep(0.05)
        self.history.add("tables", left=census["left"])


def _python(plan: Plan, name: str, urls: list[str], calls: int, path: Path) -> list[str]:
    options = ["--name", name, "--seed", str(plan.seed), "--calls", str(calls)]
    return [
        *[sys.executable, "-m", "tests.chaos.python_client", *options],
        *["--history", str(path), "--urls", *urls],
    ]


def _node(plan: Plan, name: str, urls: list[str], calls: int, path: Path) -> list[str]:
    options = ["--name", name, "--seed", str(plan.seed), "--calls", str(calls)]
    script = str(PROJECT / "tests" / "chaos" / "node_client.mjs")
    return ["node", script, *options, "--history", str(path), *urls]


async def perform(plan: Plan) -> Outcome:
    """Do what *plan* says; the folder stays if anything was wrong."""
    BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{plan.weather}-{plan.seed}-", dir=BUILD))
    run = Run(plan, folder)
    problem = ""
    try:
        async with asyncio.timeout(plan.seconds), AsyncExitStack() as stack:
            await run.go(stack)
    except TimeoutError:
        problem = f"hard end: the run was not over after {plan.seconds:g} s"
    except AssertionError as error:
        problem = str(error)
    faults: Counter[str] = Counter()
    for proxy in run.proxies.values():
        faults += proxy.counts
    struck = {name: proxy.struck for name, proxy in run.proxies.items()}
    (folder / "faults.json").write_text(json.dumps(struck, indent=1))
    verdict = check(read(folder))
    if problem:
        verdict.violations.insert(0, problem)
    outcome = Outcome(plan, verdict, faults, folder)
    (folder / "outcome.txt").write_text(f"{outcome}\n")
    if outcome.passed:
        shutil.rmtree(folder)
    return outcome
