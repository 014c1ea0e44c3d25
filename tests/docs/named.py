"""Tests that a page names, as `file` or `file::test`; of `client_js/test/` those in `.js`."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def look_up(row: str, name: str, test_is: str = r"def {}\(") -> None:
    """See that what the row *row* of a page names is there.

    Args:
        test_is: a pattern of what *name* may be in its file, with the test's name in it.
    """
    file, _, test = name.partition("::")
    path = PROJECT / ("client_js/test" if file.endswith(".js") else "tests") / file
    assert path.is_file(), f"{row} names {file}, which is not there"
    pattern = test_is.format(test)
    is_there = not test or re.search(pattern, path.read_text(), re.MULTILINE)
    assert is_there, f"{row}: {file} has no {test}"
