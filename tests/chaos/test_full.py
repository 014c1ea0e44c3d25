"""What `make chaos` demands: it goes on until it has it, and fails where it has less."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import full
from tests.chaos.checker import Silence, Verdict
from tests.chaos.conductor import Outcome, Plan
from tests.chaos.full import CALLS, DEMANDED, KINDS, Tally, batches

KILLED = Plan(weather="calm", kills=2)


def outcome(plan, *, faults=0, **facts):
    counts = Counter({"calls": 1000, "unknown": 3, "not_executed": 4, "executed_answer_lost": 5})
    return Outcome(plan, Verdict(counts=counts, **facts), Counter(reset=faults), Path())


def test_what_a_run_has_is_counted_for_each_figure():
    tally = Tally(CALLS)
    assert tally.add(outcome(Plan(window=4), faults=7, outages=[1.9, 2.1, 3])) == []
    assert tally.add(outcome(KILLED, waits=[0.5], returns=[[0.1], [0.7]])) == []
    stopped = [Silence(victim, {"server": [], "clients": []}) for victim in ("server", "node")]
    assert tally.add(outcome(Plan(weather="calm", stops=1), noticed=stopped)) == []
    expected = {
        "calls": 3000,
        "calls under faults": 1000,
        "faults": 7,
        "resumes after more than half the window": 2,
        "lost calls": 36,
        "kills": 2,
        "silences of the server": 1,
        "silences of clients": 1,
        "runs": 3,
    }
    assert {what: tally.seen[what] for what in expected} == expected
    assert "told of within 0.50 s, and all had new sessions within 0.70 s" in str(tally)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"waits": [2.01], "returns": [[0.1]]}, "told: after 2.01 s, of which 2 are allowed"),
        ({"returns": [[0.1, 11.5]]}, "back: after 11.50 s, of which 10 are allowed"),
        ({"noticed": [Silence("server", {"clients": [16.5], "server": []})]}, "clients: after 16"),
        ({"noticed": [Silence("node", {"clients": [], "server": [26.5]})]}, "server: after 26"),
    ],
)
def test_what_takes_longer_than_is_promised_is_told(facts, said):
    [problem] = Tally(CALLS).add(outcome(KILLED, **facts))
    assert problem.startswith(said)
    assert Tally(CALLS).add(outcome(Plan(weather="rough", kills=2), **facts)) == []


def test_less_than_is_demanded_is_told():
    tally = Tally(CALLS)
    tally.seen += Counter(DEMANDED)
    assert tally.missing() == []
    tally.seen["kills"] = 3
    assert tally.missing() == ["only 3 of 50 kills"]
    assert tally.lacks(["kills"])
    assert not tally.lacks(["faults"])


def test_of_fewer_calls_less_is_demanded():
    assert Tally(CALLS // 10).demanded["kills"] == 5
    assert min(Tally(1).demanded.values()) == 1  # of nothing there may be none


def test_each_kind_is_done_once_and_then_what_is_lacking(monkeypatch):
    monkeypatch.setattr(full, "why_not", lambda: "")
    tally = Tally(CALLS)
    todo = batches(1, tally)
    first = [next(todo) for _ in KINDS]
    seeds = [plan.seed for batch in first for plan in batch]
    assert seeds == list(range(1, len(seeds) + 1))
    assert [len(batch) for batch in first] == [1, 1, 1, 1, 1, full.AT_ONCE, full.AT_ONCE, 1]
    tally.seen += Counter(DEMANDED)
    tally.seen["lost calls"] = 4_999
    [again] = next(todo)
    assert again.weather == "fatal"
    tally.seen["lost calls"] = 5_000
    assert next(todo, None) is None


def test_where_no_cable_can_be_pulled_none_is_demanded(monkeypatch):
    monkeypatch.setattr(full, "why_not", lambda: "no rights")
    tally = Tally(CALLS)
    assert "cables pulled" not in tally.demanded
    tally.seen += Counter(DEMANDED)
    assert not any(plan.cables for batch in batches(1, tally) for plan in batch)
