"""Bounded runs of what `make chaos` does in full: real clients, a real server, faults between."""

from tests.chaos.conductor import Plan, perform


async def passing(plan):
    """The outcome of *plan*, which has to be good. There is no second try."""
    outcome = await perform(plan)
    print(outcome)
    assert outcome.passed, str(outcome)
    return outcome


async def test_calls_of_all_kinds_through_rough_weather_are_handled_once_and_in_order():
    outcome = await passing(Plan(seed=1, calls=5000, python=6, node=6))
    counts = outcome.verdict.counts
    assert counts["calls"] >= 5000
    assert counts["resumes"] >= 80
    assert outcome.faults.total() >= 160
    assert counts["sessions closed"] == 12


async def test_what_is_lost_is_labelled_and_the_labels_are_right():
    plan = Plan(seed=2, calls=1200, python=4, node=4, window=0.5, weather="fatal")
    outcome = await passing(plan)
    counts = outcome.verdict.counts
    assert counts["sessions lost"] >= 5
    assert counts["unknown"] + counts["executed_answer_lost"] + counts["not_executed"] >= 50


async def test_pages_of_chromium_lose_nothing_either():
    outcome = await passing(Plan(seed=3, calls=600, python=0, chromium=2))
    counts = outcome.verdict.counts
    assert counts["calls"] >= 600
    assert counts["resumes"] >= 5
    assert counts["sessions closed"] == 2
