"""What is drawn, without drawing it: matplotlib is in the peers' environment alone."""

from . import plots
from .results import Result, Results
from .rows import GROWTH

CLOSED = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "p99.9": 4.0}


def results(**rows):
    return Results({}, {key.replace("_", " "): Result([row], {}, "") for key, row in rows.items()})


def test_bars_are_multiples_of_limit1():
    bars = plots.cpu_bars(results(a={"pbweb": {"cpu": 5.0}, "limit1": {"cpu": 10.0}}))
    assert list(bars.values()) == [{"pbweb": 0.5, "limit1": 1.0}]


def test_lines_are_whole_or_not_drawn():
    lines = plots.latency_lines(results(latency_closed={"pbweb": CLOSED, "limit1": {"p50": 1.0}}))
    assert list(lines.values()) == [{"pbweb": [1.0, 2.0, 3.0, 4.0]}]


def test_growth_is_many_of_few():
    row = {"pbweb (10)": {"cpu": 2.0}, "pbweb (1,000)": {"cpu": 2.5}}
    assert plots.growth_bars(results(connections=row)) == {GROWTH[0].title: 1.25}


def test_memory_is_in_proportion_to_shared_pages():
    bars = plots.memory_bars(results(idle={"pbweb": {"pss": 7.0, "rss": 9.0}}))
    assert bars == {"pbweb": 7.0}


def test_nothing_measured_is_nothing_drawn():
    nothing = Results({}, {})
    assert plots.cpu_bars(nothing) == plots.latency_lines(nothing) == {}
    assert plots.memory_bars(nothing) == plots.growth_bars(nothing) == {}
