"""`python -m tests.chaos`: one run, with what the options say (see `conductor.Plan`).

With ``--full`` runs of all kinds, one after the other, until there were so many calls, or so many
seconds have passed; the first that fails ends it. This is `make chaos`.
"""

import argparse
import asyncio
import dataclasses
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.chaos.conductor import Outcome, Plan, perform
from tests.chaos.network import why_not


def plans(seed: int) -> Iterator[Plan]:
    """One after the other, of all kinds: most weather, some of each other trouble."""
    both = {"python": 6, "node": 6}
    all_of_them = {**both, "chromium": 3}
    while True:
        yield Plan(seed, 60_000, weather="rough", seconds=900, **all_of_them)
        yield Plan(seed, 6_000, weather="fatal", window=1, seconds=600, **all_of_them)
        # outages of more than half the window, and none that is longer
        yield Plan(seed, 6_000, weather="long", window=4, seconds=600, **all_of_them)
        yield Plan(seed, 20_000, weather="rough", kills=5, deaths=5, seconds=600, **both)
        yield Plan(seed, 8_000, weather="calm", window=60, stops=1, seconds=600, **both)
        if not why_not():
            yield Plan(seed, 8_000, weather="calm", window=60, cables=1, seconds=600, **both)
        seed += 1


def perform_many(seed: int, calls: int, seconds: float) -> bool:
    """Whether all went well; a failure is told as that of a single run."""
    print(f"the first seed is {seed}; without namespaces: {why_not() or 'no'}", flush=True)
    end = time.monotonic() + seconds
    total: Counter[str] = Counter()
    outages: list[float] = []
    for plan in plans(seed):
        outcome = asyncio.run(perform(plan))
        print(f"\n{outcome}", flush=True)
        if not outcome.passed:
            return False
        total += _figures(outcome)
        outages += [wait for wait in outcome.verdict.outages if wait > plan.window / 2]
        if total["calls"] >= calls or time.monotonic() > end:
            break
    figures = ", ".join(f"{number:,} {what}" for what, number in sorted(total.items()))
    print(f"\nin all: {figures}; {len(outages)} resumes after more than half the window")
    return True


def _figures(outcome: Outcome) -> Counter[str]:
    return outcome.verdict.counts + Counter({"faults": outcome.faults.total(), "runs": 1})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for field in dataclasses.fields(Plan):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    parser.add_argument("--full", action="store_true")
    options = vars(parser.parse_args())
    if options.pop("full"):
        seed = options["seed"] or random.SystemRandom().randrange(1, 1_000_000)
        passed = perform_many(seed, options["calls"], options["seconds"])
    else:
        outcome = asyncio.run(perform(Plan(**options)))
        print(outcome)
        passed = outcome.passed
    sys.exit(not passed)


if __name__ == "__main__":
    main()
