"""Fuzzes a server whose sessions are resumed, with any messages and losses.

    python tests/fuzz/fuzz_resume.py -max_total_time=60 [FOLDER FOR FINDS]

`make fuzz` runs it for FUZZ_SECONDS. Further options are libFuzzer's.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.fuzzer import main

if __name__ == "__main__":
    main("resume")
