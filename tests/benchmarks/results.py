"""What was measured, as it is kept in JSON, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .rows import Goal, Row

Figures = dict[str, float]
Round = dict[str, Figures]
"""The figures of each system that was measured in a round."""


@dataclass(frozen=True)
class Result:
    """One row's figures.

    Attributes:
        rounds: by round, system and figure.
        failures: why a system has none, by its name.
        when: the day.
    """

    rounds: list[Round]
    failures: dict[str, str]
    when: str

    def values(self, system: str, figure: str) -> list[float]:
        """A figure in all rounds that have it."""
        return [each[system][figure] for each in self.rounds if figure in each.get(system, {})]

    def middle(self, system: str, figure: str) -> float | None:
        """The median of a figure over the rounds; None if it was not measured."""
        values = self.values(system, figure)
        return median(values) if values else None

    def ratio(self, own: str, of: str, figure: str) -> float | None:
        """The median, over the rounds, of one system's figure divided by another's."""
        pairs = [
            each[own][figure] / each[of][figure]
            for each in self.rounds
            if each.get(own, {}).get(figure) and each.get(of, {}).get(figure)
        ]
        return median(pairs) if pairs else None


@dataclass(frozen=True)
class Verdict:
    """What became of a goal: the figure, and whether it holds; None where nothing was measured."""

    goal: Goal
    value: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached, as the figure is shown: with two digits."""
        if self.value is None:
            return None
        shown = float(f"{self.value:.3g}")
        return shown >= self.goal.bound if self.goal.least else shown <= self.goal.bound


def verdict(row: Row, goal: Goal, result: Result | None) -> Verdict:
    """Compare *result* with *goal*."""
    if result is None:
        return Verdict(goal, None)
    figure = goal.figure or row.figure
    if goal.of is None:
        return Verdict(goal, result.middle(goal.own, figure))
    return Verdict(goal, result.ratio(goal.own, goal.of, figure))


@dataclass
class Results:
    """All that is known: rows that were measured now or before, and on what."""

    about: dict[str, Any]
    rows: dict[str, Result]

    @classmethod
    def read(cls, path: Path) -> Results:
        """What *path* holds; nothing if it is not there."""
        if not path.is_file():
            return cls({}, {})
        kept = json.loads(path.read_text())
        return cls(kept["about"], {key: Result(**row) for key, row in kept["rows"].items()})

    def write(self, path: Path) -> None:
        """Keep all in *path*."""
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "about": self.about,
            "rows": {
                key: {"when": row.when, "failures": row.failures, "rounds": row.rounds}
                for key, row in self.rows.items()
            },
        }
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        fresh.replace(path)
