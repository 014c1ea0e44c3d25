"""What was measured, as text: the page of the documentation, and the table of README."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from .results import Result, Results, Verdict, verdict
from .rows import NOT_YET, PARTS, ROWS, TEXTS, Goal, Row

STANDING = Path(__file__).with_name("standing.toml")
BEGIN, END = "<!-- benchmark table -->", "<!-- /benchmark table -->"

COMPARED = {
    "a": "a: one after the other",
    "b": "b: 64 in flight",
    "c": "c: 100 connections, 8 each",
}
SYSTEMS = ("pbweb", "limit1", "capnweb", "twisted", "socketio", "picows")

INTRODUCTION = """\
`make bench` measures all of this, beside other systems in the same run, and writes this page and
its plots; `make bench BENCH_ARGS="--only b"` measures some rows again, `--quick` tries whether all
of it runs. `docs/benchmarks.json` has the figures of every round.

The server has one core, the load the other. What is compared is the CPU time of the server's
process per call, user and system, which a shared machine disturbs less than the clock. The systems
of a row take turns; a ratio is the median over the rounds of the two figures of the same round.
**limit1** is the raw echo, what any server on this stack must at least do for a call: uvicorn,
Starlette, `orjson.loads`, `orjson.dumps`. The load is a bare client that speaks each system's wire,
so that the server is what is measured: pbweb's `pb.json.1` with its acknowledgements, Cap'n Web's
push, pull and release, Twisted PB's banana over TCP, Socket.IO's events with acknowledgements.
Where it says *our clients*, the frames of one turn go as one batch, as both clients of pbweb send
them.
"""

NOTHING_SAID = "nobody has found out yet."


def page(results: Results, standing: dict[str, str]) -> str:
    """`docs/benchmarks.md`."""
    parts = [
        "# The figures\n",
        INTRODUCTION,
        machine(results),
        "## Beside others\n",
        "Server CPU per call as a multiple of limit1's; less is better.\n",
        comparison(results),
        "![Server CPU per call beside others](images/bench-cpu.svg)\n",
    ]
    for part, title in PARTS.items():
        rows = [row for row in ROWS if row.part == part]
        parts += [f"## {title}\n", *part_of_page(part, rows, results)]
    parts += missed(results, standing)
    parts += ["## Not measured here\n"]
    parts += ["\n".join(f"- {what}: {why}" for what, why in NOT_YET.items()) + "\n"]
    return "\n".join(parts)


def machine(results: Results) -> str:
    """On what it was measured."""
    about = results.about
    if not about:
        return "Nothing has been measured yet.\n"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"Measured on {about['machine']}. {versions}.\n"


def part_of_page(part: str, rows: list[Row], results: Results) -> list[str]:
    """The tables and plots of one part."""
    if part == "latency":
        tables = [line for row in rows for line in percentiles(row, results.rows.get(row.key))]
        return [*tables, "![Latency](images/bench-latency.svg)\n"]
    made = [goals(rows, results)]
    if part in ("speed", "growth"):
        made += [absolutes(rows, results)]
    if part == "growth":
        made += ["![Cost per call as things grow a hundredfold](images/bench-growth.svg)\n"]
    if part == "memory":
        idle = next(row for row in rows if row.key == "idle")
        made += ["An idle connection:\n", figures_of(idle, results.rows.get("idle"))]
        made += ["![Memory of an idle connection](images/bench-memory.svg)\n"]
    return made


# ------------------------------------------------------------------ tables


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    heads = list(head)
    made = [heads, ["---"] * len(heads), *map(list, lines)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in made) + "\n"


def comparison(results: Results) -> str:
    """Each system beside limit1, under the three loads."""
    lines = []
    for system in SYSTEMS:
        cells = [_compared(results.rows.get(key), system) for key in COMPARED]
        lines.append([f"**{TEXTS[system]}**" if system == "pbweb" else TEXTS[system], *cells])
    return table(["server CPU per call, of limit1's", *COMPARED.values()], lines)


def _compared(result: Result | None, system: str) -> str:
    if result is None:
        return "not measured"
    if system in result.failures:
        return "failed"
    ratio = result.ratio(system, "limit1", "cpu")
    return "not measured" if ratio is None else number(ratio)


def goals(rows: list[Row], results: Results) -> str:
    """Each goal of *rows*, with what was measured."""
    lines = []
    for row in rows:
        result = results.rows.get(row.key)
        for at, goal in enumerate(row.goals):
            judged = verdict(row, goal, result)
            title = row.title if at == 0 else goal.figure
            if at == 0 and goal.figure:
                title = f"{row.title}: {goal.figure}"
            lines.append([title, said(row, judged, result), bound(row, goal) + mark(judged)])
    return table(["", "measured", "goal"], lines)


def absolutes(rows: list[Row], results: Results) -> str:
    """What was measured of each system, in a row's unit."""
    lines = [
        [row.title, cell(absolute(row, results.rows[row.key]))]
        for row in rows
        if row.key in results.rows
    ]
    return "The medians of the rounds:\n\n" + table(["", "figures"], lines) if lines else ""


def shown(row: Row, result: Result, name: str) -> str:
    """A system's figure, or that there is none."""
    value = result.middle(name, row.figure)
    return "?" if value is None else number(value)


def said(row: Row, judged: Verdict, result: Result | None) -> str:
    """The figure that a goal is about."""
    goal = judged.goal
    if judged.value is None:
        failures = {} if result is None else result.failures
        reasons = [
            f"{TEXTS.get(name, name)}: {failures[name]}"
            for name in (goal.own, goal.of)
            if name in failures
        ]
        return "failed: " + cell("; ".join(reasons)) if reasons else "not measured"
    if goal.of is None:
        return in_unit(number(judged.value), row.unit)
    return f"{number(judged.value)} of {TEXTS.get(goal.of, goal.of)}"


def bound(row: Row, goal: Goal) -> str:
    """What a goal asks for."""
    value = f"{goal.bound:g}"
    shown = in_unit(value, row.unit) if goal.of is None else value
    return f"at {'least' if goal.least else 'most'} {shown}"


def mark(judged: Verdict) -> str:
    """Whether it is reached."""
    return {True: ": met", False: ": **missed**", None: ""}[judged.met]


def absolute(row: Row, result: Result) -> str:
    """What was measured of each system, in one line."""
    made = [f"{TEXTS.get(name, name)} {shown(row, result, name)}" for name in row.jobs]
    made = [line for line in made if not line.endswith("?")]
    if row.at_once and made:
        made[0] = f"{row.figure}: {made[0]}"
    failed = [f"{TEXTS.get(name, name)} failed: {why}" for name, why in result.failures.items()]
    return f"{row.unit}: " + ", ".join([*made, *further(row, result), *failed])


def further(row: Row, result: Result) -> list[str]:
    """The further figures of a row that has one system only."""
    if len(row.jobs) > 1:
        return []
    values = {figure: result.middle("pbweb", figure) for figure in row.also}
    return [f"{figure} {number(value)}" for figure, value in values.items() if value is not None]


def percentiles(row: Row, result: Result | None) -> list[str]:
    """The table of one latency row."""
    names = (row.figure, *row.also)
    if result is None:
        return [f"{_sentence(row.title)}: not measured.\n"]
    return [f"{_sentence(row.title)}, microseconds:\n", figures_of(row, result, names)]


def figures_of(row: Row, result: Result | None, names: tuple[str, ...] = ()) -> str:
    """Several figures of each system."""
    names = names or (row.figure, *row.also)
    if result is None:
        return f"{_sentence(row.title)}: not measured.\n"
    lines = []
    for system in row.jobs:
        values = [result.middle(system, name) for name in names]
        why = cell(result.failures.get(system, "not measured"))
        cells = [why if value is None else number(value) for value in values]
        lines.append([TEXTS.get(system, system), *cells])
    heads = names if row.part == "latency" else [f"{name}, {row.unit}" for name in names]
    return table(["", *heads], lines)


def _sentence(title: str) -> str:
    return title[0].upper() + title[1:]


def number(value: float) -> str:
    """With as many digits as mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def in_unit(value: str, unit: str) -> str:
    """A figure with its unit, "1 round trip" too."""
    return f"{value} {unit.removesuffix('s') if value == '1' and len(unit) > 8 else unit}"


def cell(text: str) -> str:
    """*text*, so that it stays within its cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


# ------------------------------------------------------- what is in the way


def missed(results: Results, standing: dict[str, str]) -> list[str]:
    """What stands in the way of each goal that is missed."""
    lines = []
    for row in ROWS:
        judged = [verdict(row, goal, results.rows.get(row.key)) for goal in row.goals]
        if any(each.met is False for each in judged):
            why = " ".join(standing.get(row.key, NOTHING_SAID).split())
            lines.append(f"- **{row.title}**: {why}")
    if not lines:
        return []
    return [
        "## What stands in the way\n",
        "Of the goals that are missed:\n",
        "\n".join(lines) + "\n",
    ]


def read_standing(path: Path = STANDING) -> dict[str, str]:
    """What is known to stand in the way, by the key of its row."""
    return {key: str(text) for key, text in tomllib.loads(path.read_text()).items()}


def filled(text: str, content: str) -> str:
    """*text* with *content* between the markers, if it has them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n\n{content}\n{end}{after}" if begin and end else text
