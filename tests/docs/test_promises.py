"""docs/promises.md: every promise has its row, with tests, commands and figures that are there."""

import re

import pytest

from tests.chaos.full import DEMANDED
from tests.docs.named import PROJECT, look_up

TEXT = (PROJECT / "docs" / "promises.md").read_text()
MAKEFILE = (PROJECT / "Makefile").read_text()

ROWS = {
    name: [cell.strip() for cell in cells.split(" | ")]
    for name, cells in re.findall(r"^\| (R\d+) \| (.*) \|$", TEXT, re.MULTILINE)
}


def test_every_promise_has_a_row() -> None:
    assert list(ROWS) == [f"R{number}" for number in range(1, 24)]


@pytest.mark.parametrize("promise", ROWS)
def test_every_row_names_tests_and_a_command_that_are_there(promise: str) -> None:
    assert len(ROWS[promise]) == 5
    assert all(ROWS[promise])
    assert "@" not in "".join(ROWS[promise])
    _, bounded, full, *_ = ROWS[promise]
    named = re.findall(r"`([^`]+)`", bounded)
    assert named or bounded.startswith("the same")
    for name in named:
        look_up(promise, name, r"def {0}\(|^{0} =")
    [target] = re.findall(r"^`make (\w+)`$", full)
    assert f"\n{target}:" in MAKEFILE


@pytest.mark.parametrize(
    ("promise", "figure"),
    [
        ("R1", "calls under faults"),
        ("R1", "faults"),
        ("R2", "resumes after more than half the window"),
        ("R4", "lost calls"),
        ("R6", "calls"),
        ("R7", "kills"),
        ("R8", "silences of the server"),
        ("R8", "silences of clients"),
        ("R8", "cables pulled"),
        ("R8", "packets swallowed"),
        ("R15", "updates"),
    ],
)
def test_the_figures_are_those_that_a_full_run_demands(promise: str, figure: str) -> None:
    assert f"{DEMANDED[figure]:,}" in ROWS[promise][3]


def test_no_call_is_made_again_by_itself() -> None:
    """R5: one place on each side writes the frame of a call, and nothing there tries again."""
    for name in ("pbweb/outgoing.py", "pbweb/promises.py", "client_js/src/outgoing.js"):
        assert not re.search(r"retr(y|ies)|try again|again", (PROJECT / name).read_text())
