"""`make bench`: server time per call, side by side with a raw echo, taking turns.

The server has one core, the load the other. What is compared is CPU time of the server per
call, which a shared machine disturbs less than the clock; the figure is the median over the
rounds of pbweb's time divided by limit1's time of the same round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = ROOT / "docs" / "benchmarks.md"


NOTE = """\
Where a goal is missed, this stands in the way: with one call in flight most of the time goes
into waking the process on the other core, which both sides pay alike; the parser of the WebSocket
library has the largest single part of what is left of one call (about a third); and looking
whether a list stands twice in the data, so that it arrives as one, costs more than writing its
JSON. `python -m tests.benchmarks.inside` shows a call's cost without socket and kernel, for both.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table: a server under a load, and the goal for it."""

    name: str
    server: str
    load: tuple[str, ...]
    limit1: tuple[str, ...]
    goal: float


A = ("--in-flight", "1")
B = ("--in-flight", "64")
C = ("--connections", "100", "--in-flight", "8")
KIB = (
    "--payload",
    orjson.dumps([{"id": i, "name": f"item {i}", "ok": True} for i in range(25)]).decode(),
)

ROWS = [
    Row("a: one call after the other", "pbweb", A, A, 0.75),
    Row("b: 64 in flight, our clients (batches)", "pbweb", (*B, "--batches"), B, 0.2),
    Row("b: 64 in flight, a message a frame", "pbweb", B, B, 0.45),
    Row("c: 100 connections, 8 in flight each, our clients", "pbweb", (*C, "--batches"), C, 0.35),
    Row("b: async methods", "pbweb", (*B, "--batches", "--method", "aecho"), B, 0.45),
    Row("c: async methods", "pbweb", (*C, "--batches", "--method", "aecho"), C, 0.65),
    Row("a: mounted under stock uvicorn", "mounted", A, A, 1.2),
    Row("b: mounted, our clients", "mounted", (*B, "--batches"), B, 0.3),
    Row("c: mounted, our clients", "mounted", (*C, "--batches"), C, 0.4),
    Row("payload of 1 KiB, one call after the other", "pbweb", (*A, *KIB), (*A, *KIB), 0.6),
]


@contextmanager
def serving(what: str, core: int | None) -> Iterator[tuple[int, str]]:
    """A server process on a core of its own: its id and URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.apps", what],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        line = process.stdout.readline()
        port = line.rpartition(":")[2].strip()
        if not port.isdigit():
            raise SystemExit(f"the server {what} did not start: {line!r}")
        yield process.pid, f"ws://127.0.0.1:{port}/pb"
    finally:
        process.terminate()
        process.wait(timeout=30)


def measure(what: str, pid: int, url: str, load: tuple[str, ...], seconds: float) -> float:
    """Microseconds of the server's CPU per call."""
    kind = "raw" if what == "limit1" else "pbweb"
    command = [sys.executable, "-m", "tests.benchmarks.load", kind, url, "--pid", str(pid)]
    output = subprocess.run(
        [*command, "--seconds", str(seconds), *load],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    ).stdout
    result = orjson.loads(output)
    if not result["calls"]:
        raise SystemExit(f"no call was answered: {what} {load}")
    return float(result["cpu"]) / float(result["calls"]) * 1e6


def run(rounds: int, seconds: float, only: str) -> list[tuple[Row, float, float, float]]:
    """Each row's ratio, with pbweb's and limit1's microseconds per call."""
    rows = [row for row in ROWS if only in row.name]
    cores = sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, set(cores[1:]))
    figures: dict[str, list[tuple[float, float]]] = {row.name: [] for row in rows}
    with (
        serving("limit1", core) as limit1,
        serving("pbweb", core) as own,
        serving("mounted", core) as mounted,
    ):
        servers = {"pbweb": own, "mounted": mounted}
        for number in range(rounds):
            for row in rows:
                print(f"\rround {number + 1} of {rounds}: {row.name:<60}", end="", file=sys.stderr)
                first = measure("limit1", *limit1, row.limit1, seconds)
                second = measure(row.server, *servers[row.server], row.load, seconds)
                figures[row.name].append((second, first))
    print("\r" + " " * 80 + "\r", end="", file=sys.stderr)
    return [
        (
            row,
            median(own / raw for own, raw in figures[row.name]),
            median(own for own, _ in figures[row.name]),
            median(raw for _, raw in figures[row.name]),
        )
        for row in rows
    ]


def table(results: list[tuple[Row, float, float, float]]) -> str:
    """The results in Markdown."""
    lines = [
        "| | of limit1 | goal | µs a call | limit1, µs a call |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.name} | {ratio:.2f} | {row.goal:g}{'' if ratio <= row.goal else ' (missed)'} "
        f"| {own:.1f} | {raw:.1f} |"
        for row, ratio, own, raw in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write it where the documentation shows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    arguments = parser.parse_args()
    result = table(run(arguments.rounds, arguments.seconds, arguments.only))
    print(result)
    if arguments.write:
        python = ".".join(map(str, sys.version_info[:3]))
        RESULTS.write_text(
            "# The figures\n\n"
            "Server CPU per call (user and system time of the process), as a multiple of limit1: a "
            "raw echo behind uvicorn and Starlette with orjson, measured in turns in the same run, "
            f"median of {arguments.rounds} rounds of {arguments.seconds:g} s, Python {python}, the "
            "server on one core and a bare client on the other. `make bench` makes this table.\n\n"
            f"{result}\n\n{NOTE}"
        )


if __name__ == "__main__":
    main()
