"""What the JavaScript clients of pbweb and Cap'n Web spend on a call, in Node and in Chromium.

The scripts in `javascript/` measure, in turns; this prints their figures as `runner` wants them.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .servers import HERE, Failed, figures

SECONDS = 300.0


def command(where: str, rounds: int, calls: int) -> list[str]:
    """What measures *where*."""
    numbers = [str(rounds), str(calls)]
    if where == "node":
        return ["node", str(HERE / "javascript" / "node.mjs"), *numbers]
    return [sys.executable, "-m", "tests.benchmarks.javascript.chromium", *numbers]


def by_round(results: dict[str, Any]) -> list[dict[str, dict[str, float]]]:
    """The figures by round, system and shape of the calls."""
    rounds = min(len(each) for shape in results.values() for each in shape["rounds"].values())
    systems = next(iter(results.values()))["rounds"]
    return [
        {
            system: {name: shape["rounds"][system][number] for name, shape in results.items()}
            for system in systems
        }
        for number in range(rounds)
    ]


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", choices=["node", "chromium"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=12_800)
    given = parser.parse_args()
    try:
        said = figures(command(given.where, given.rounds, given.calls), SECONDS)
    except Failed as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(by_round(json.loads(said)["results"])))


if __name__ == "__main__":
    main()
