"""`python -m tests.chaos`: one run, with what the options say (see `conductor.Plan`).

With ``--full`` runs of all kinds, one after the other, until there are as many of everything as
`full.DEMANDED` says; the first that fails ends it. This is `make chaos`.
"""

import argparse
import asyncio
import dataclasses
import random
import sys

from tests.chaos.conductor import Plan, perform
from tests.chaos.full import perform_many


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
