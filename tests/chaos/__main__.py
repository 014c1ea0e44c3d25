"""`python -m tests.chaos`: one run, with what the options say (see `conductor.Plan`)."""

import argparse
import asyncio
import dataclasses
import sys

from tests.chaos.conductor import Plan, perform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for field in dataclasses.fields(Plan):
        kind = type(field.default)
        parser.add_argument(f"--{field.name}", type=kind, default=field.default)
    outcome = asyncio.run(perform(Plan(**vars(parser.parse_args()))))
    print(outcome)
    sys.exit(not outcome.passed)


if __name__ == "__main__":
    main()
