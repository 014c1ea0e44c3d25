"""What `make chaos` does: runs of all kinds, until all `DEMANDED` figures are reached.

They are those of docs/promises.md.
"""

import asyncio
import dataclasses
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.chaos.conductor import Outcome, Plan, perform
from tests.chaos.network import why_not

CALLS = 500_000
DEMANDED = {
    "calls under faults": CALLS,  # R1
    "faults": 2_000,  # R1
    "resumes after more than half the window": 100,  # R2
    "lost calls": 5_000,  # R4
    "calls": 2 * CALLS,  # R6
    "updates": 20_000,  # R15
    "kills": 50,  # R7
    "silences of the server": 20,  # R8, and so on
    "silences of clients": 20,
    "cables pulled": 20,
    "packets swallowed": 20,
}
"""What has been seen when all is over, of so many calls; with less calls less is demanded."""

TOLD, BACK = 1.0, 10.0  # seconds after a killed server's return (R7)
NOTICED = {"clients": 15.0, "server": 25.0}  # seconds of silence (R8): calls wait in the clients
LATE = 1.0  # seconds that a busy machine may take on top
AT_ONCE = 4  # runs that wait more than they work

BOTH = {"python": 6, "node": 6}
ALL = {**BOTH, "chromium": 3}
FEW = {"python": 3, "node": 3, "calls": 2_000, "window": 120.0, "weather": "calm"}
KINDS = {
    Plan(calls=60_000, seconds=900, **ALL): ("calls under faults", "faults"),
    Plan(calls=12_000, weather="fatal", window=1, seconds=900, **ALL): ("lost calls",),
    # outages of more than half the window, and none that is longer
    Plan(calls=6_000, weather="long", window=4, seconds=600, **ALL): (
        "resumes after more than half the window",
    ),
    Plan(calls=20_000, kills=5, deaths=5, seconds=600, **BOTH): (),
    Plan(calls=5_000, weather="calm", kills=10, seconds=600, **BOTH): ("kills",),
    Plan(stops=2, seconds=900, **FEW): ("silences of the server", "silences of clients"),
    Plan(cables=2, seconds=900, **FEW): ("cables pulled", "packets swallowed"),
    Plan(calls=100_000, weather="calm", seconds=600, **BOTH): ("calls",),
}
"""Runs of each kind, and for which figures they are; each is done at least once."""


class Tally:
    """What all runs have shown, and what of it was out of bounds."""

    def __init__(self, calls: int) -> None:
        self.seen: Counter[str] = Counter()
        self.worst = dict.fromkeys(("told", "back", *NOTICED), 0.0)
        share = calls / CALLS
        self.demanded = {what: math.ceil(most * share) for what, most in DEMANDED.items()}
        if why_not():
            del self.demanded["cables pulled"], self.demanded["packets swallowed"]

    def lacks(self, figures: Iterable[str]) -> bool:
        """Whether more is demanded of any of *figures*."""
        return any(self.seen[what] < self.demanded.get(what, 0) for what in figures)

    def add(self, outcome: Outcome) -> list[str]:
        """Count what *outcome* has; which bounds it does not keep."""
        plan, verdict, counts = outcome.plan, outcome.verdict, outcome.verdict.counts
        victims = Counter(silence.victim for silence in verdict.noticed)
        self.seen += counts
        self.seen += Counter(
            {
                "runs": 1,
                "faults": outcome.faults.total(),
                "calls under faults": counts["calls"] if outcome.faults.total() else 0,
                "resumes after more than half the window": sum(
                    wait > plan.window / 2 for wait in verdict.outages
                ),
                "lost calls": sum(
                    counts[outcome]
                    for outcome in ("unknown", "executed_answer_lost", "not_executed")
                ),
                "silences of the server": victims["server"],
                "silences of clients": victims["python"] + victims["node"],
                "cables pulled": victims["cable"],
                "packets swallowed": victims["packets"],
            }
        )
        if plan.weather != "calm":
            return []
        self.seen["kills"] += len(verdict.returns)
        waits = {
            "told": (max(verdict.waits, default=0.0), TOLD + LATE),
            "back": (max(map(max, verdict.returns), default=0.0), BACK),
        }
        for watchers, most in NOTICED.items():
            longest = max((one.longest(watchers) for one in verdict.noticed), default=0.0)
            waits[watchers] = (longest, most + LATE)
        self.worst = {what: max(self.worst[what], wait) for what, (wait, _) in waits.items()}
        return [
            f"{what}: after {wait:.2f} s, of which {most:g} are allowed"
            for what, (wait, most) in waits.items()
            if wait > most
        ]

    def missing(self) -> list[str]:
        """Which figures are not reached."""
        return [
            f"only {self.seen[what]:,} of {most:,} {what}"
            for what, most in self.demanded.items()
            if self.seen[what] < most
        ]

    def __str__(self) -> str:
        seen = ", ".join(f"{number:,} {what}" for what, number in sorted(self.seen.items()))
        worst = self.worst
        return (
            f"in all: {seen}\n"
            f"after a killed server's return lost calls were told of within {worst['told']:.2f} s, "
            f"and all had new sessions within {worst['back']:.2f} s; silences were noticed by "
            f"clients within {worst['clients']:.1f} s, by servers within {worst['server']:.1f} s"
        )


def batches(seed: int, tally: Tally) -> Iterator[list[Plan]]:
    """Runs to be done at once: each kind, and then those for figures that are not reached."""
    is_first = True
    while is_first or tally.missing():
        for kind, figures in KINDS.items():
            if kind.cables and why_not():
                continue
            if is_first or tally.lacks(figures):
                number = AT_ONCE if kind.stops or kind.cables else 1
                yield [dataclasses.replace(kind, seed=seed + more) for more in range(number)]
                seed += number
        is_first = False


def perform_many(seed: int, calls: int, seconds: float) -> bool:
    """Whether all went well and was enough; a failure is told as that of a single run."""
    print(f"the first seed is {seed}; without namespaces: {why_not() or 'no'}", flush=True)
    end = time.monotonic() + seconds
    tally = Tally(calls)
    # processes: a namespace is a thread's
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        for batch in batches(seed, tally):
            if time.monotonic() > end:
                break
            for outcome in pool.map(_performed, batch):
                print(f"\n{outcome}", flush=True)
                problems = tally.add(outcome)
                if problems or not outcome.passed:
                    print("\n".join(problems))
                    return False
    missing = tally.missing()
    print("\n".join(["", str(tally), *missing]))
    return not missing


def _performed(plan: Plan) -> Outcome:
    return asyncio.run(perform(plan))
