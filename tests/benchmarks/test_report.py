"""The page and the table of README, from figures."""

import pytest

from . import report
from .results import Result, Results
from .rows import ROWS

ABOUT = {"machine": "2 cores of a processor", "versions": {"Python": "3.11", "ws": "8"}}


def result(failures=None, **cpu):
    rounds = [{name: {"cpu": value} for name, value in cpu.items()}]
    return Result(rounds, failures or {}, "2026-11-24")


@pytest.fixture
def results():
    closed = {name: {"p50": 10.0, "p95": 20.0, "p99": 30.0, "p99.9": 40.0} for name in ("pbweb",)}
    return Results(
        ABOUT,
        {
            "a": result(pbweb=50.0, limit1=100.0, capnweb=110.0),
            "b": result({"socketio": "it | broke"}, pbweb=3.0, limit1=10.0, twisted=30.0),
            "latency closed": Result([closed], {}, "2026-11-24"),
            "idle": Result([{"pbweb": {"pss": 7.5, "rss": 8.5}}], {}, "2026-11-24"),
        },
    )


def lines_with(text, word):
    return [line for line in text.splitlines() if word in line]


def test_others_are_compared_as_multiples_of_limit1(results):
    table = report.comparison(results)
    assert lines_with(table, "**pbweb**") == ["| **pbweb** | 0.5 | 0.3 | not measured |"]
    assert lines_with(table, "Cap'n Web") == ["| Cap'n Web | 1.1 | not measured | not measured |"]
    assert lines_with(table, "python-socketio")[0].split(" | ")[2] == "failed"


def test_goals_are_met_or_missed_with_their_figures(results):
    page = report.page(results, {"b": "the way is\nlong"})
    first, figures = lines_with(page, "| a: one call after the other")
    assert first == "| a: one call after the other | 0.5 of limit1 | at most 0.75: met |"
    assert figures == ("| a: one call after the other | µs: pbweb 50, limit1 100, Cap'n Web 110 |")
    assert "| 0.3 of limit1 | at most 0.2: **missed** |" in page
    assert "|  | 0.1 of Twisted PB | at most 0.07: **missed** |" in page
    assert "failed: python-socketio: it \\| broke" in page


def test_a_line_for_the_terminal_has_all_figures_and_reasons(results):
    row = next(row for row in ROWS if row.key == "b")
    line = report.absolute(row, results.rows["b"])
    assert line == "µs: pbweb 3, limit1 10, Twisted PB 30, python-socketio failed: it | broke"


def test_what_stands_in_the_way_is_said_of_missed_rows_alone(results):
    page = report.page(results, {"a": "nothing of it", "b": "the way is\nlong"})
    assert "- **b: 64 in flight, our clients (batches)**: the way is long" in page
    assert "nothing of it" not in page
    assert report.NOTHING_SAID not in page
    assert report.NOTHING_SAID in report.page(results, {})


def test_percentiles_memory_and_the_machine_stand_there(results):
    page = report.page(results, {})
    assert "| pbweb | 10 | 20 | 30 | 40 |" in page
    assert "| pbweb | 7.5 | 8.5 |" in page
    assert "Measured on 2 cores of a processor. Python 3.11, ws 8." in page


def test_a_page_without_figures_says_so():
    page = report.page(Results({}, {}), {})
    assert "Nothing has been measured yet." in page
    assert "**missed**" not in page
    assert all(row.title in page or row.title[1:] in page for row in ROWS)


def test_readme_is_filled_between_its_markers_alone():
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    filled = report.filled(text, "| new |\n")
    assert filled == f"before\n{report.BEGIN}\n\n| new |\n\n{report.END}\nafter\n"
    assert report.filled(filled, "| new |\n") == filled
    assert report.filled("no markers", "| new |") == "no markers"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.2044, "0.204"), (1.0, "1"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1,234")],
)
def test_numbers_have_the_digits_that_mean_something(value, text):
    assert report.number(value) == text


def test_one_round_trip_is_one():
    assert report.in_unit("1", "round trips") == "1 round trip"
    assert report.in_unit("5", "round trips") == "5 round trips"
    assert report.in_unit("1", "s") == "1 s"
