"""Ratios and verdicts, and the JSON in which figures are kept."""

import pytest

from .jobs import Job
from .results import Result, Results, verdict
from .rows import Goal, Row

ROW = Row("a", "a row", {"pbweb": Job(("x",)), "limit1": Job(("x",))}, (Goal(0.5, "limit1"),))
ROUNDS = [
    {"pbweb": {"cpu": 4.0}, "limit1": {"cpu": 10.0}},
    {"pbweb": {"cpu": 12.0}, "limit1": {"cpu": 20.0}},
    {"pbweb": {"cpu": 2.0}, "limit1": {"cpu": 10.0}},
]


def result(rounds=ROUNDS, failures=None):
    return Result(rounds, failures or {}, "2026-11-24")


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    assert result().ratio("pbweb", "limit1", "cpu") == pytest.approx(0.4)
    assert result().middle("pbweb", "cpu") == 4.0


def test_rounds_that_lack_one_side_or_have_nothing_of_it_are_left_out():
    rounds = [*ROUNDS, {"pbweb": {"cpu": 99.0}}, {"pbweb": {"cpu": 9.0}, "limit1": {"cpu": 0.0}}]
    assert result(rounds).ratio("pbweb", "limit1", "cpu") == pytest.approx(0.4)
    assert result([{}]).ratio("pbweb", "limit1", "cpu") is None
    assert result([{}]).middle("pbweb", "cpu") is None


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal(0.4, "limit1"), True),
        (Goal(0.39, "limit1"), False),
        (Goal(0.41, "limit1", least=True), False),
        (Goal(0.4, "limit1", least=True), True),
        (Goal(4.0), True),
        (Goal(3.9), False),
        (Goal(1.0, "nobody"), None),
    ],
)
def test_a_goal_is_met_or_missed_or_was_not_measured(goal, met):
    assert verdict(ROW, goal, result()).met is met


def test_a_figure_is_judged_as_it_is_shown():
    rounds = [{"pbweb": {"cpu": 0.20004}, "limit1": {"cpu": 1.0}}]
    assert verdict(ROW, Goal(0.2, "limit1"), result(rounds)).met is True
    rounds = [{"pbweb": {"cpu": 0.2006}, "limit1": {"cpu": 1.0}}]
    assert verdict(ROW, Goal(0.2, "limit1"), result(rounds)).met is False


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "docs" / "benchmarks.json"
    assert Results.read(path).rows == {}
    kept = Results({"machine": "one"}, {"a": result(failures={"socketio": "why"})})
    kept.write(path)
    assert Results.read(path) == kept


def test_a_row_that_is_measured_again_takes_the_place_of_the_old_one_alone(tmp_path):
    path = tmp_path / "benchmarks.json"
    Results({}, {"a": result(), "b": result()}).write(path)
    again = Results.read(path)
    again.rows["a"] = result([{}])
    again.write(path)
    assert Results.read(path).rows == {"a": result([{}]), "b": result()}
