"""What is run for one figure: a command that prints JSON, beside a server or without one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from .servers import PEERS, PEERS_PYTHON


@dataclass(frozen=True)
class Job:
    """A command that prints its figures as a JSON object.

    In its words ``{url}``, ``{port}`` and ``{pid}`` stand for the server's, and the names of `Size`
    for what the run says.
    """

    command: tuple[str, ...]
    server: str | None = None

    def words(self, values: dict[str, Any]) -> list[str]:
        """The command with *values* put in."""
        return [word.format(**values) for word in self.command]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: how often each row is measured.
        seconds: how long one load is counted.
        many: connections, where there are many.
        idle: connections that do nothing.
        loops: repetitions inside a process.
        calls: made by a client of JavaScript in a round.
        stalled: seconds that readers stall; the server closes them after 10.
    """

    rounds: int = 5
    seconds: float = 1.5
    many: int = 1000
    idle: int = 5000
    loops: int = 3000
    calls: int = 12_800
    stalled: float = 13.0


QUICK = Size(rounds=1, seconds=0.3, many=100, idle=300, loops=200, calls=640, stalled=1.0)


def module(name: str, *arguments: str, server: str | None = None) -> Job:
    """A module of this folder."""
    return Job((sys.executable, "-m", f"tests.benchmarks.{name}", *arguments), server)


def load(server: str, wire: str, *arguments: str) -> Job:
    """Microseconds of the server's CPU per call, and more: see `load`."""
    where = ("{url}", "--pid", "{pid}", "--seconds", "{seconds}")
    return module("load", wire, *where, *arguments, server=server)


def idle(server: str, wire: str) -> Job:
    """KiB per idle connection: see `idle`."""
    where = ("{url}", "--pid", "{pid}", "--connections", "{idle}")
    return module("idle", wire, *where, server=server)


def parked() -> Job:
    """KiB per session without a connection: see `parked`."""
    where = ("{url}", "--pid", "{pid}", "--sessions", "{idle}")
    return module("parked", *where, server="parking")


def slow_reader(way: str, clients: int) -> Job:
    """MiB per client that does not read: see `slow_reader`."""
    where = ("{url}", "--pid", "{pid}", "--seconds", "{stalled}", "--clients", str(clients))
    return module("slow_reader", way, *where, server="pbweb")


def client(what: str, *arguments: str) -> Job:
    """Calls a second of a real client with its own server."""
    seconds = ("--seconds", "{seconds}")
    if what == "pbweb":
        return module("python_client", "calls", "{url}", *seconds, *arguments, server="pbweb")
    script = str(PEERS / "twisted_pb.py")
    command = (PEERS_PYTHON, script, "calls", "--port", "{port}", *seconds, *arguments)
    return Job(command, "twisted")


def javascript(where: str) -> dict[str, Job]:
    """Microseconds of both JavaScript clients per call: see `javascript_clients`."""
    job = module("javascript_clients", where, "--rounds", "{rounds}", "--calls", "{calls}")
    return {"pbweb": job, "capnweb": job}


def once(what: str) -> Job:
    """What needs no server: see `once`."""
    return module("once", what)
