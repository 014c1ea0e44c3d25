"""docs/security.md: every threat has its row, and every row names tests that are there."""

import re

import pytest

from tests.docs.named import PROJECT, look_up

TEXT = (PROJECT / "docs" / "security.md").read_text()
SECTIONS = {"A": 12, "B": 14, "C": 21, "D": 15, "E": 10, "F": 7, "G": 12, "H": 6}
NOT_YET = {"H4", "H5", "H6"}  # of several nodes, which there are not

ROWS = dict(re.findall(r"^\| ([A-H]\d+) \|(.*)\|$", TEXT, re.MULTILINE))


def test_every_threat_has_a_row() -> None:
    expected = [
        f"{letter}{number}" for letter, most in SECTIONS.items() for number in range(1, most + 1)
    ]
    assert list(ROWS) == expected


@pytest.mark.parametrize("threat", ROWS)
def test_every_row_names_tests_that_are_there(threat: str) -> None:
    cells = [cell.strip() for cell in ROWS[threat].split(" | ")]
    assert len(cells) == 3, "a bar inside a cell would hide what is behind it"
    assert all(cells)
    named = re.findall(r"`([^`]+)`", cells[2])
    assert named or threat in NOT_YET
    for name in named:
        look_up(threat, name)
