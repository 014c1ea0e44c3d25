"""The plots, as SVG with matplotlib; runs in the peers' environment, which has that.

One grey for all text and lines is readable on white and on black, so there is one file for both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .report import COMPARED, SYSTEMS
from .results import Result, Results
from .rows import GROWTH, LATENCY, TEXTS

INK = "#767b83"
OWN = "#2f81f7"
OTHER = "#9aa0a8"
COLOURS = {
    "pbweb": OWN,
    "limit1": "#8b949e",
    "capnweb": "#d29922",
    "twisted": "#a371f7",
    "socketio": "#db6d28",
    "picows": "#2ea043",
    "mounted": "#6cb6ff",
}
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pbweb",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.transparent": True,
    "figure.constrained_layout.use": True,
}


# ------------------------------------------------------------- what is drawn


def cpu_bars(results: Results) -> dict[str, dict[str, float]]:
    """By load and system: multiples of limit1."""
    return {
        title: _known({each: results.rows[key].ratio(each, "limit1", "cpu") for each in SYSTEMS})
        for key, title in COMPARED.items()
        if key in results.rows
    }


def latency_lines(results: Results) -> dict[str, dict[str, list[float]]]:
    """By row and system: the percentiles, in microseconds."""
    made = {}
    for row in LATENCY:
        result = results.rows.get(row.key)
        if result is not None:
            names = (row.figure, *row.also)
            lines = {each: _all(result, each, names) for each in row.jobs}
            made[row.title] = {each: line for each, line in lines.items() if line}
    return made


def _all(result: Result, system: str, names: tuple[str, ...]) -> list[float]:
    values = [result.middle(system, name) for name in names]
    return [value for value in values if value is not None] if None not in values else []


def memory_bars(results: Results) -> dict[str, float]:
    """By system: KiB of an idle connection."""
    result = results.rows.get("idle")
    if result is None:
        return {}
    return _known({each: result.middle(each, "pss") for each in TEXTS})


def growth_bars(results: Results) -> dict[str, float]:
    """By what grew: how much more a call costs then."""
    grown = {}
    for row in GROWTH:
        result = results.rows.get(row.key)
        if result is not None:
            goal = row.goals[0]
            grown[row.title] = result.ratio(goal.own, goal.of or "", row.figure)
    return _known(grown)


def _known(values: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


# -------------------------------------------------------------- drawing it


def draw_cpu(plt: Any, results: Results) -> Any:
    """Bars for each of the three loads."""
    loads = cpu_bars(results)
    figure, axes = plt.subplots(
        1, max(1, len(loads)), figsize=(11, 3.2), squeeze=False, sharex=True
    )
    for number, (axis, (title, bars)) in enumerate(zip(axes[0], loads.items(), strict=False)):
        _bars(axis, {TEXTS[name]: value for name, value in bars.items()}, _colours(bars))
        axis.set_title(title, fontsize=11)
        if number:
            axis.set_yticklabels([])
    figure.supxlabel("server CPU per call, as a multiple of limit1", fontsize=10, color=INK)
    return figure


def draw_latency(plt: Any, results: Results) -> Any:
    """A line for each system, over the percentiles."""
    rows = latency_lines(results)
    figure, axes = plt.subplots(1, max(1, len(rows)), figsize=(11, 4), squeeze=False)
    for axis, (title, lines) in zip(axes[0], rows.items(), strict=False):
        for name, values in lines.items():
            width = 2.6 if name == "pbweb" else 1.4
            label = TEXTS[name]
            axis.plot(values, marker="o", color=COLOURS[name], label=label, linewidth=width)
        axis.set_xticks(range(4), ["p50", "p95", "p99", "p99.9"])
        axis.set_yscale("log")
        axis.set_title(_wrapped(title), fontsize=11)
        axis.set_ylabel("microseconds")
        axis.grid(axis="y", color=INK, alpha=0.25, linewidth=0.6)
    if rows:
        axes[0][0].legend(labelcolor=INK, fontsize=9)
    return figure


def draw_memory(plt: Any, results: Results) -> Any:
    """A bar for each system."""
    bars = memory_bars(results)
    figure, axis = plt.subplots(figsize=(8, 3))
    _bars(axis, {TEXTS[name]: value for name, value in bars.items()}, _colours(bars))
    axis.set_xlabel("KiB of an idle connection with its session")
    return figure


def draw_growth(plt: Any, results: Results) -> Any:
    """A bar for each thing that grew a hundredfold."""
    bars = growth_bars(results)
    figure, axis = plt.subplots(figsize=(9, 2.8))
    _bars(axis, {_wrapped(title): value for title, value in bars.items()}, [OWN] * len(bars))
    axis.axvline(1.2, color=INK, linestyle="--", linewidth=1)
    axis.set_xlabel("cost of a call with many, of that with few; at most 1.2")
    return figure


def _colours(bars: dict[str, float]) -> list[str]:
    return [COLOURS.get(name, OTHER) for name in bars]


def _bars(axis: Any, bars: dict[str, float], colours: list[str]) -> None:
    drawn = axis.barh(list(bars), list(bars.values()), color=colours, height=0.65)
    axis.bar_label(drawn, fmt="%.2g", padding=3, color=INK, fontsize=10)
    axis.margins(x=0.18)
    axis.invert_yaxis()


def _wrapped(title: str) -> str:
    at = title.find(", ")
    return title if at < 0 else f"{title[: at + 1]}\n{title[at + 2 :]}"


DRAWN = {
    "cpu": draw_cpu,
    "latency": draw_latency,
    "memory": draw_memory,
    "growth": draw_growth,
}


def main(folder: Path) -> None:
    """Draw all plots from the figures in *folder* into its ``images``."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    results = Results.read(folder / "benchmarks.json")
    images = folder / "images"
    images.mkdir(exist_ok=True)
    with plt.rc_context(SETTINGS):
        for name, draw in DRAWN.items():
            figure = draw(plt, results)
            figure.savefig(images / f"bench-{name}.svg", metadata={"Date": None})
            plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
