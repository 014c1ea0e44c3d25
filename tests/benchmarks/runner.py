"""Measures rows, round by round, the systems of a row taking turns."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .jobs import Job, Size
from .results import Figures, Result, Round
from .rows import Row
from .servers import ROOT, Cores, Failed, Server, figures, serving

MOST_FAILURES = 2
MORE_SECONDS = 150.0  # beside what is counted


class Servers:
    """The servers of a row, started when they are first needed."""

    def __init__(self, cores: Cores) -> None:
        self.cores = cores
        self.running: dict[str, tuple[Server, ExitStack]] = {}

    def get(self, what: str) -> Server:
        """The server called *what*. Raises Failed if it does not start."""
        if what not in self.running:
            stack = ExitStack()
            self.running[what] = (stack.enter_context(serving(what, self.cores)), stack)
        return self.running[what][0]

    def end(self, what: str | None) -> None:
        """Stop one, so that the next to ask for it gets a fresh one."""
        if what in self.running:
            self.running.pop(what)[1].close()

    def end_all(self) -> None:
        """Stop all."""
        for what in list(self.running):
            self.end(what)


@contextmanager
def on_the_cores_of_the_load(cores: Cores) -> Iterator[None]:
    """This process, and what it starts, leave the server's core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.load)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(job: Job, servers: Servers, size: Size) -> Figures:
    """Run one job that prints its figures.

    Raises:
        Failed: it has none.
    """
    said = printed(job, servers, size)
    if not isinstance(said, dict):
        raise Failed(f"the figures are no object: {str(said)[:300]}")
    return {name: float(value) for name, value in said.items()}


def printed(job: Job, servers: Servers, size: Size) -> Any:
    """What one job prints, as JSON.

    Raises:
        Failed: it failed, or printed something else.
    """
    values = dataclasses.asdict(size)
    if job.server is not None:
        server = servers.get(job.server)
        values |= {"url": server.url, "port": server.port, "pid": server.pid}
    said = figures(job.words(values), size.seconds + MORE_SECONDS + size.stalled)
    try:
        return json.loads(said)
    except ValueError:
        raise Failed(f"the figures are no JSON: {said[:300]!r}") from None


def run_row(row: Row, size: Size, cores: Cores, step: Callable[[str], None]) -> Result:
    """Measure *row*; what fails twice is left out, and the reason kept.

    Never raises for a row that cannot be measured: the others are to be measured all the same.

    Args:
        step: is told before each measurement what comes.
    """
    servers = Servers(cores)
    try:
        if row.at_once:
            return run_at_once(row, size, servers, step)
        return run_in_turns(row, size, servers, step)
    except Exception as error:
        return Result([], dict.fromkeys(row.jobs, told(error)), today())
    finally:
        servers.end_all()


def run_in_turns(row: Row, size: Size, servers: Servers, step: Callable[[str], None]) -> Result:
    """Round by round, one system after the other."""
    reasons: dict[str, list[str]] = {}
    rounds: list[Round] = []
    for _ in range(rounds_of(row, size)):
        rounds.append({})
        for name, job in row.jobs.items():
            step(name)
            if len(reasons.get(name, ())) >= MOST_FAILURES:
                continue
            try:
                rounds[-1][name] = measure(job, servers, size)
            except Failed as error:
                reasons.setdefault(name, []).append(told(error))
                servers.end(job.server)
            if row.fresh:
                servers.end(job.server)
    failures = {
        name: said[-1]
        for name, said in reasons.items()
        if not any(name in measured for measured in rounds)
    }
    return Result(rounds, failures, today())


def run_at_once(row: Row, size: Size, servers: Servers, step: Callable[[str], None]) -> Result:
    """All rounds and systems by the one command that the row has."""
    step(" and ".join(row.jobs))
    try:
        rounds = printed(next(iter(row.jobs.values())), servers, size)
    except Failed as error:
        return Result([], dict.fromkeys(row.jobs, told(error)), today())
    return Result(rounds, {}, today())


def rounds_of(row: Row, size: Size) -> int:
    """How often *row* is measured."""
    return min(size.rounds, row.rounds or size.rounds)


def steps_of(row: Row, size: Size) -> int:
    """How many measurements *row* is."""
    return 1 if row.at_once else len(row.jobs) * rounds_of(row, size)


def today() -> str:
    """The day."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def told(error: Exception) -> str:
    """Why, in one line, without the folder where this lies."""
    lines = str(error).replace(f"{ROOT}/", "").replace(str(ROOT), "").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "no reason was given"
