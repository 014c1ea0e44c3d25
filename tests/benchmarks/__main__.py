"""`make bench`: measures pbweb beside other systems, and writes what the documentation shows."""

from __future__ import annotations

import argparse
import dataclasses
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from . import report
from .jobs import QUICK, Size
from .results import Results
from .rows import ROWS, Row
from .runner import on_the_cores_of_the_load, run_row, steps_of
from .servers import PEERS, PEERS_PYTHON, ROOT, Cores

DOCS = ROOT / "docs"
README = ROOT / "README.md"
TRIED = ROOT / "build" / "benchmarks"
"""Where a quick run writes: its figures mean nothing."""

PEER_PACKAGES = ("Twisted", "python-socketio", "picows")
OWN_PACKAGES = ("uvicorn", "starlette", "websockets", "uvloop", "orjson")


def chosen(only: list[str], quick: bool) -> list[Row]:
    """The rows whose key is, or whose title has in it, one of *only*; without, all.

    Raises:
        SystemExit: there is no such row.
    """
    rows = [row for row in ROWS if row.in_quick_run or not quick] if not only else ROWS
    by_key = [row for row in rows if row.key in only]
    others = [word for word in only if word not in {row.key for row in rows}]
    by_title = [row for row in rows if any(word in f"{row.key} {row.title}" for word in others)]
    found = rows if not only else [row for row in rows if row in by_key or row in by_title]
    if not found:
        raise SystemExit(f"no row is called so: {only}; `--list` shows them")
    return found


def about(size: Size) -> dict[str, Any]:
    """On what is measured."""
    node = _said(["node", "--version"]).removeprefix("v")
    lock = (PEERS / "package-lock.json").read_text()
    peers = (PEERS / "requirements.txt").read_text()
    npm = dict(re.findall(r'"node_modules/(\w+)": \{\s*"version": "([^"]+)"', lock))
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", peers, re.MULTILINE))
    versions = {"Python": platform.python_version(), "Node": node}
    versions |= {name: version(name) for name in OWN_PACKAGES}
    versions |= {"capnweb": npm["capnweb"], "ws": npm["ws"]}
    versions |= {name: pinned[name] for name in PEER_PACKAGES}
    return {"machine": machine(), "versions": versions, "size": dataclasses.asdict(size)}


def machine() -> str:
    """The processor and the system."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = found[1] if found else platform.machine()
    cores = len(Cores.of_this_machine().server | Cores.of_this_machine().load)
    kernel = platform.release().split("-")[0]
    return f"{cores} core{'s' if cores > 1 else ''} of {name}, {platform.system()} {kernel}"


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run(rows: list[Row], size: Size, results: Results, into: Path) -> None:
    """Measure *rows*, and keep each as soon as it is done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    cores = Cores.of_this_machine()
    results.about = about(size)
    total = sum(steps_of(row, size) for row in rows)
    with (
        on_the_cores_of_the_load(cores),
        Progress(*columns, TimeRemainingColumn(), console=console) as progress,
    ):
        task = progress.add_task("", total=total)
        for row in rows:

            def step(name: str, row: Row = row) -> None:
                progress.update(task, advance=1, description=f"{row.key}: {name}")

            result = run_row(row, size, cores, step)
            results.rows[row.key] = result
            results.write(into / "benchmarks.json")
            console.print(f"[bold]{row.title}[/]  {report.absolute(row, result)}", highlight=False)


def write(results: Results, into: Path, readme: Path | None) -> None:
    """Write the page, the plots, and the table of README."""
    (into / "benchmarks.md").write_text(report.page(results, report.read_standing()))
    if readme is not None:
        text = readme.read_text()
        fresh = report.filled(text, report.comparison(results))
        if fresh != text:
            readme.write_text(fresh)
    subprocess.run([PEERS_PYTHON, "-m", "tests.benchmarks.plots", str(into)], cwd=ROOT, check=True)


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--only", action="append", default=[], help="a row, by key or part of title")
    made.add_argument("--missing", action="store_true", help="only rows that have no figures yet")
    made.add_argument("--quick", action="store_true", help="does it run? writes to build/")
    made.add_argument("--into", type=Path, help="the folder that is written to, in place of docs/")
    made.add_argument("--rounds", type=int, default=Size.rounds)
    made.add_argument("--seconds", type=float, default=Size.seconds, help="that a load is counted")
    made.add_argument("--list", action="store_true", help="the rows, and no more")
    made.add_argument("--write", action="store_true", help="write the page again, measure nothing")
    return made


def main() -> None:
    """Measure and write."""
    given = parser().parse_args()
    rows = chosen(given.only, given.quick)
    if given.list:
        print("\n".join(f"{row.key:24}{row.title}" for row in rows))
        return
    into = (given.into or (TRIED if given.quick else DOCS)).resolve()
    size = QUICK if given.quick else Size(rounds=given.rounds, seconds=given.seconds)
    results = Results.read(into / "benchmarks.json")
    if given.missing:
        rows = [row for row in rows if row.key not in results.rows]
    try:
        if not given.write:
            run(rows, size, results, into)
    finally:
        if results.rows:
            write(results, into, README if into == DOCS else None)
    print(f"written to {into}/benchmarks.md")
    failed = {row.key: results.rows[row.key].failures for row in rows if row.key in results.rows}
    for key, failures in failed.items():
        for name, why in failures.items():
            print(f"failed: {key}, {name}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
