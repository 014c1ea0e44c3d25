"""Compares the two decoders, Python's and JavaScript's, on messages made from the vectors.

    python tests/fuzz/fuzz_decoders.py -max_total_time=60

`make fuzz` runs it for FUZZ_SECONDS, each time with another seed. A message about which they
differ ends it: repair one of the two, and put the message into tests/vectors/.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.differential import JavaScript, Mutator, difference


def main(seconds: float) -> int:
    """Compare for so many *seconds*; 1 if they differ."""
    seed = random.SystemRandom().randrange(2**32)
    mutator, compared, end = Mutator(seed), 0, time.monotonic() + seconds
    with JavaScript() as javascript:
        while time.monotonic() < end:
            found = difference(javascript, mutator.message())
            compared += 1
            if found is not None:
                print(f"message {compared} of seed {seed}:\n{found}")
                return 1
    print(f"{compared} messages, seed {seed}: the decoders agree")
    return 0


if __name__ == "__main__":
    named = [one.partition("=")[2] for one in sys.argv if one.startswith("-max_total_time=")]
    sys.exit(main(float(named[0]) if named else 60.0))
