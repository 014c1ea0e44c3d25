"""One run: a server, clients, a proxy before each connection, and the judgement of what they wrote.

What a run was made of stands in its `Plan`; a run that fails keeps its folder and tells the command
that does it again.
"""

import asyncio
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pbweb as pb
from tests.chaos.checker import Verdict, check
from tests.chaos.history import History, read
from tests.chaos.network import Network
from tests.chaos.proxy import FaultProxy, calm, fault_proxy, weather
from tests.integration.process import PROJECT, Process, free_port, pbweb

BUILD = PROJECT / "build" / "chaos"
EVERYBODY = ("server", "cable", "packets")  # whose silence befalls all connections
SHARES: dict[str, dict[str, Any] | None] = {
    "calm": None,
    # sessions live through all of it
    "rough": {"most": 25_000, "longest": 0.3},
    # outages of most of the window of four seconds
    "long": {
        "most": 25_000,
        "longest": 3.2,
        "weights": {"refuse": 6, "reset": 2, "cut": 2, "half_close": 0, "silence": 0},
    },
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
        kills: how often the server is killed with SIGKILL and started again.
        deaths: how often the process of a client is, and another takes its place.
        stops: how often the server is stopped with SIGSTOP, and so often each client.
        cables: how often the cable is pulled behind which the clients are, and packets are
            swallowed; with 0 there is none.
        outage: after how many seconds at most who is stopped goes on, and the cable is plugged in
            again; that is done as soon as all have noticed.
        heartbeat, pong: these limits of both sides.
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
    deaths: int = 0
    stops: int = 0
    cables: int = 0
    outage: float = 60.0
    heartbeat: float = 15.0
    pong: float = 10.0
    seconds: float = 300.0

    @property
    def has_victims(self) -> bool:
        """Whether somebody is killed or not heard of."""
        return bool(self.kills or self.deaths or self.stops or self.cables)

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
    """`pbweb serve` with the app of these runs; one port through all its processes.

    Args:
        more: limits that no plan has.
    """

    def __init__(self, folder: Path, plan: Plan, host: str = "localhost", **more: float) -> None:
        self.host = host
        self.port = free_port()
        self._folder = folder
        limits = {
            "resume_window": plan.window,
            "heartbeat": plan.heartbeat,
            "pong": plan.pong,
            **more,
        }
        self._options = [f"--limit={name}={value:g}" for name, value in limits.items()]
        if host != "localhost":
            self._options += ["--host", host]
        self.process: Process | None = None
        self._logs: list[str] = []

    def start(self) -> None:
        command = pbweb("serve", "tests.chaos.app:Office", "--port", str(self.port))
        env = {"CHAOS_HISTORY": str(self._folder / "server.jsonl")}
        self.process = Process([*command, *self._options], env=env)
        self.process.wait_for(r"^pbweb serves ")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def who(self) -> str:
        return f"server-{self.pid}"

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal and wait for its end; what it said is kept."""
        if self.process is not None:
            if number != signal.SIGKILL:
                self.process.signal(number)
                self.process.end()
            self.process.kill()
            self._logs.append(self.process.output)
            self.process = None
        (self._folder / "server.log").write_text("\n".join(self._logs))


class ClientProcess:
    """Some connections in a process of their own, each through a proxy."""

    def __init__(self, kind: str, command: Callable[[str], list[str]], folder: Path) -> None:
        self.kind = kind
        self.name = kind
        self.is_done = False
        self.generation = 0
        self._command = command
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._started = asyncio.Event()

    async def tell(self) -> None:
        """Write a line: no more calls than were asked for, and, when it is done, to the end."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.log"

    async def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(self.name), cwd=PROJECT, stdin=PIPE, stdout=PIPE, stderr=log
            )
        self._started.set()

    async def done(self) -> None:
        """Wait until its calls are settled, or those of who took its place."""
        while not self.is_done:
            await self._started.wait()
            process = self._process
            is_done = await self._says("done")
            self.is_done = is_done and process is self._process

    async def _says(self, word: str) -> bool:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if line.strip().decode() == word:
            return True
        if self._started.is_set():
            raise AssertionError(f"{self.name} ended:\n{self._log.read_text()}")
        return False  # it was killed

    async def finish(self) -> None:
        """Let it compare, close and end."""
        assert self._process is not None
        await self.tell()
        await self._says("closed")
        await self._process.wait()

    async def stop(self) -> None:
        """Kill it."""
        self._started.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def replace(self) -> None:
        """Another one in its place, with calls of its own."""
        self.generation += 1
        self.name = f"{self.kind}-{self.generation}"
        self.is_done = False
        await self.start()


class Lines:
    """Those of one kind that are written from now on, in the histories *paths*."""

    def __init__(self, ev: str, paths: Iterable[Path]) -> None:
        self._mark = f'"ev":"{ev}"'.encode()
        self._from = {path: path.stat().st_size if path.exists() else 0 for path in paths}

    def count(self) -> int:
        """How many there were."""
        number = 0
        for path, begin in self._from.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(begin)
                number += file.read().count(self._mark)
        return number

    async def come(self, number: int) -> None:
        """Wait for so many; the run has a hard end."""
        while self.count() < number:
            await asyncio.sleep(0.02)


class Run:
    """The parts of one run while it goes on."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.network = Network() if plan.cables else None
        self.server = Server(folder, plan, self.network.here if self.network else "localhost")
        self.proxies: dict[str, FaultProxy] = {}
        self.clients: list[ClientProcess] = []
        self.history = History(folder / "conductor.jsonl", "conductor")

    async def go(self, stack: AsyncExitStack) -> None:
        stack.callback(self.history.close)
        stack.callback(self.server.stop)
        if self.network is not None:
            stack.enter_context(self.network)
        self.server.start()
        for kind, make in (("python", _python), ("node", _node), ("chromium", _chromium)):
            if getattr(self.plan, kind):
                await self._add(stack, kind, make)
        stack.push_async_callback(self._stop_clients)
        await asyncio.gather(*(client.start() for client in self.clients))
        killer = asyncio.ensure_future(self.strike())
        stack.callback(killer.cancel)
        await asyncio.gather(killer, *(client.done() for client in self.clients))
        for proxy in self.proxies.values():
            proxy.calm()
        await asyncio.gather(*(client.finish() for client in self.clients))
        await self.census()

    async def strike(self) -> None:
        """Kill the server and clients, or stop them, one after the other.

        Each when enough has happened since all were back; the clients make calls as long as this
        goes on.
        """
        chance = random.Random(self.plan.seed)
        plan = self.plan
        if not plan.has_victims:
            return
        victims: list[Callable[[], Coroutine[Any, Any, None]]] = []
        victims += [self._restart] * plan.kills
        victims += [partial(self._replace, chance)] * plan.deaths
        victims += [partial(self._stop, victim) for victim in self._stopped()]
        victims += [self._pull, self._swallow] * plan.cables
        chance.shuffle(victims)
        while any(self._written(client.name) < 20_000 for client in self.clients):
            await asyncio.sleep(0.02)  # all are in the midst of it
        for victim in victims:
            size = self._written("server") + chance.randrange(20_000, 60_000)
            while self._written("server") < size:
                await asyncio.sleep(0.02)
            await victim()
        for client in self.clients:
            await client.tell()

    @property
    def url(self) -> str:
        """Where the server is, without a proxy."""
        return f"ws://{self.server.host}:{self.server.port}/pb"

    def _written(self, who: str) -> int:
        """Bytes of its history."""
        path = self.folder / f"{who}.jsonl"
        return path.stat().st_size if path.exists() else 0

    async def _restart(self) -> None:
        """Kill the server and start it again; then wait until all have begun again."""
        begun = Lines("owed", [self._path(client) for client in self.clients])
        self.history.add("killed", victim=self.server.who)
        await asyncio.to_thread(self.server.stop)
        await asyncio.to_thread(self.server.start)
        self.history.add("up", victim=self.server.who)
        await begun.come(sum(map(self._connections, self.clients)))

    def _stopped(self) -> list[str]:
        return ["server", *(client.kind for client in self.clients)] * self.plan.stops

    async def _stop(self, victim: str) -> None:
        """Stop a process with SIGSTOP, and let it go on."""
        pids = {client.kind: client.pid for client in self.clients}
        pids["server"] = self.server.pid
        stop, go_on = (partial(os.kill, pids[victim], n) for n in (signal.SIGSTOP, signal.SIGCONT))
        await self._outage(victim, stop, go_on)

    async def _pull(self) -> None:
        assert self.network is not None
        await self._outage("cable", self.network.pull, self.network.plug)

    async def _swallow(self) -> None:
        assert self.network is not None
        await self._outage("packets", self.network.swallow, self.network.deliver)

    async def _outage(
        self, victim: str, begin: Callable[[], None], undo: Callable[[], None]
    ) -> None:
        """Until all have noticed who is not heard of any more; then until all are back."""
        cut = [client for client in self.clients if victim in (client.kind, *EVERYBODY)]
        connections = sum(self._connections(client) for client in cut)
        watchers = [] if victim == "server" else [self.folder / "server.jsonl"]
        watchers += [self._path(client) for client in cut] if victim in EVERYBODY else []
        expected = connections * (2 if victim in ("cable", "packets") else 1)
        noticed = Lines("away", watchers)
        back = Lines("resumed", [self._path(client) for client in cut])
        self.history.add("silent", victim=victim, watchers=expected)
        begin()
        end = time.monotonic() + self.plan.outage
        while noticed.count() < expected and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self.history.add("heard", victim=victim)
        undo()
        if noticed.count() >= expected:  # else there is nothing to come back from
            await back.come(connections)

    def _connections(self, client: ClientProcess) -> int:
        number: int = getattr(self.plan, client.kind)
        return number

    def _path(self, client: ClientProcess, generation: int | None = None) -> Path:
        name = client.name if generation is None else f"{client.kind}-{generation}"
        return self.folder / f"{name}.jsonl"

    async def _replace(self, chance: random.Random) -> None:
        client = chance.choice([client for client in self.clients if not client.is_done])
        self.history.add("killed", victim=client.name)
        await client.stop()
        begun = Lines("owed", [self._path(client, client.generation + 1)])
        await client.replace()
        await begun.come(self._connections(client))

    async def _add(self, stack: AsyncExitStack, kind: str, make: Any) -> None:
        urls = []
        plan = self.plan
        for number in range(getattr(plan, kind)):
            if self.network is not None:
                urls.append(self.url)
                continue
            name = f"{kind}.{number}"
            share = SHARES[plan.weather]
            scenario = weather(f"{plan.seed}/{name}", **share) if share else calm
            proxy = await stack.enter_async_context(fault_proxy(self.server.port, scenario))
            self.proxies[name] = proxy
            urls.append(f"ws://localhost:{proxy.port}/pb")
        until_told = ["--until-told"] if plan.has_victims else []
        calls = plan.calls // (plan.python + plan.node + plan.chromium)

        def command(name: str) -> list[str]:
            prefix = [] if self.network is None else self.network.command
            path = self.folder / f"{name}.jsonl"
            return [*prefix, *make(plan, name, urls, calls, path), *until_told]

        self.clients.append(ClientProcess(kind, command, self.folder))

    async def _stop_clients(self) -> None:
        for client in self.clients:
            await client.stop()

    async def census(self) -> None:
        """When the sessions that are away have ended, nothing may be left in the server."""
        async with pb.connect(self.url) as connection:
            root = await connection.getRootObject()
            while True:
                census = await root.callRemote("census")
                if not census["alive"]:
                    break
                await asyncio.sleep(0.05)
        self.history.add("tables", left=census["left"])


def _python(plan: Plan, name: str, urls: list[str], calls: int, path: Path) -> list[str]:
    options = ["--name", name, "--seed", str(plan.seed), "--calls", str(calls)]
    options += ["--heartbeat", str(plan.heartbeat), "--pong", str(plan.pong)]
    return [
        *[sys.executable, "-m", "tests.chaos.python_client", *options],
        *["--history", str(path), "--urls", *urls],
    ]


def _node(plan: Plan, name: str, urls: list[str], calls: int, path: Path) -> list[str]:
    options = ["--name", name, "--seed", str(plan.seed), "--calls", str(calls)]
    script = str(PROJECT / "tests" / "chaos" / "node_client.mjs")
    return ["node", script, *options, "--history", str(path), *urls]


def _chromium(plan: Plan, name: str, urls: list[str], calls: int, path: Path) -> list[str]:
    options = ["--name", name, "--seed", str(plan.seed), "--calls", str(calls)]
    command = [sys.executable, "-m", "tests.chaos.chromium_client", *options]
    return [*command, "--history", str(path), *urls]


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
