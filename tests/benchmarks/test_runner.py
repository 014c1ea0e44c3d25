"""Rounds take turns; what fails is told, and the rest goes on."""

import os
import sys

from .jobs import Job, Size
from .rows import Row
from .runner import on_the_cores_of_the_load, run_row, steps_of, told
from .servers import COMMANDS, ROOT, Cores, Failed

CORES = Cores.of_this_machine()


def printing(text: str) -> Job:
    return Job((sys.executable, "-c", f"print('''{text}''')"))


def run(jobs, rounds=3):
    steps = []
    measured = run_row(Row("r", "a row", jobs), Size(rounds=rounds), CORES, steps.append)
    return measured, steps


def test_systems_take_turns():
    jobs = {"pbweb": printing('{{"cpu": 2}}'), "limit1": printing('{{"cpu": 4}}')}
    measured, steps = run(jobs)
    assert steps == ["pbweb", "limit1"] * 3
    assert measured.rounds == [{"pbweb": {"cpu": 2.0}, "limit1": {"cpu": 4.0}}] * 3
    assert measured.failures == {}


def test_a_row_says_how_often_it_is_worth_measuring():
    jobs = {"pbweb": printing('{{"cpu": 2}}')}
    assert len(run(jobs, rounds=5)[0].rounds) == 5
    row = Row("r", "a row", jobs, rounds=1)
    assert len(run_row(row, Size(rounds=5), CORES, lambda name: None).rounds) == 1


def test_what_fails_twice_is_left_out_and_the_others_go_on(tmp_path):
    counted = tmp_path / "counted"
    failing = f"open({str(counted)!r}, 'a').write('x'); raise SystemExit('no such thing')"
    jobs = {"twisted": Job((sys.executable, "-c", failing)), "pbweb": printing('{{"cpu": 2}}')}
    measured, _ = run(jobs)
    assert measured.failures == {"twisted": "no such thing"}
    assert measured.rounds == [{"pbweb": {"cpu": 2.0}}] * 3
    assert counted.read_text() == "xx"


def test_what_failed_once_is_no_failure(tmp_path):
    seen = tmp_path / "seen"
    once = (
        "import pathlib, sys\n"
        f"seen = pathlib.Path({str(seen)!r})\n"
        "if not seen.exists():\n"
        "    seen.touch()\n"
        "    sys.exit('not yet')\n"
        "print('{{\"cpu\": 1}}')"
    )
    measured, _ = run({"pbweb": Job((sys.executable, "-c", once))})
    assert measured.failures == {}
    assert measured.rounds == [{}, {"pbweb": {"cpu": 1.0}}, {"pbweb": {"cpu": 1.0}}]


def test_a_command_that_is_missing_or_prints_nonsense_is_a_failure():
    jobs = {"twisted": Job(("/no/such/command",)), "pbweb": printing("nonsense")}
    measured, _ = run(jobs | {"limit1": printing("[1]")}, rounds=2)
    assert "no object" in measured.failures["limit1"]
    assert "No such file" in measured.failures["twisted"]
    assert "no JSON" in measured.failures["pbweb"]


def test_a_server_that_does_not_start_is_a_failure(monkeypatch):
    monkeypatch.setitem(COMMANDS, "broken", [sys.executable, "-c", "import nowhere"])
    measured, _ = run({"pbweb": Job((sys.executable, "-c", "print(1)"), "broken")}, rounds=2)
    assert "nowhere" in measured.failures["pbweb"]


def test_a_command_may_measure_all_systems_itself():
    said = '[{{"pbweb": {{"cpu": 1}}, "capnweb": {{"cpu": 2}}}}]'
    job = printing(said)
    row = Row("r", "a row", {"pbweb": job, "capnweb": job}, at_once=True)
    measured = run_row(row, Size(), CORES, lambda name: None)
    assert measured.rounds == [{"pbweb": {"cpu": 1}, "capnweb": {"cpu": 2}}]
    assert steps_of(row, Size()) == 1
    job = Job((sys.executable, "-c", "raise SystemExit('no such thing')"))
    row = Row("r", "a row", {"pbweb": job, "capnweb": job}, at_once=True)
    measured = run_row(row, Size(), CORES, lambda name: None)
    assert measured.failures == {"pbweb": "no such thing", "capnweb": "no such thing"}


def test_a_mistake_in_a_row_is_a_failure_of_that_row_alone():
    measured, _ = run({"pbweb": Job((sys.executable, "{no_such_word}"))})
    assert measured.rounds == []
    assert "no_such_word" in measured.failures["pbweb"]


def test_a_reason_names_no_folder_of_this_machine():
    assert told(Failed(f"Traceback\n  {ROOT}/tests/x.py went wrong")) == "tests/x.py went wrong"


def test_the_cores_are_given_back():
    before = os.sched_getaffinity(0)
    with on_the_cores_of_the_load(CORES):
        assert os.sched_getaffinity(0) == CORES.load
    assert os.sched_getaffinity(0) == before
