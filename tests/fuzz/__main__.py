"""``python -m tests.fuzz --seconds 600``: every fuzzer in turn, for so many seconds each."""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run the fuzzers; the first that finds a fault ends it with 1."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    for script in sorted(HERE.glob("fuzz_*.py")):
        print(f"{script.name} for {seconds} s", flush=True)
        ended = subprocess.run(
            [sys.executable, str(script), f"-max_total_time={seconds}", "-print_final_stats=1"],
            check=False,
            timeout=seconds + 300,
        )
        if ended.returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
