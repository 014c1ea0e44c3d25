"""The checker sees each kind of violation, and nothing in a history that is as it should be."""

import pytest

from tests.chaos.checker import check
from tests.chaos.history import History, read

C, S = "c1/1", "s/c1/1"


def invoke(call, who="c1", **more):
    return {"ev": "invoke", "who": who, "call": call, "kind": "note", "ordered": True, **more}


def run(call, who="server"):
    return {"ev": "run", "who": who, "call": call}


def ok(call, who="c1", **more):
    return {"ev": "ok", "who": who, "call": call, **more}


def info(call, outcome):
    return {"ev": "info", "who": "c1", "call": call, "outcome": outcome}


def fail(call, *, ran):
    return {"ev": "fail", "who": "c1", "call": call, "ran": ran}


def ended(how):
    return {"ev": "session", "who": "c1", "session": C, "end": how}


def owed(key, who="server"):
    return {"ev": "owed", "who": who, "key": key}


def notice(key):
    return {"ev": "notice", "who": "server", "key": key}


def digest(who, value):
    return {"ev": "digest", "who": who, "of": "pond", "value": value}


ONE, TWO = f"{C}/1", f"{C}/2"
TOLD = f"{S}/1"


def violations(client, server=()):
    return check({"c1.jsonl": client, "server.jsonl": server}).violations


def test_a_good_history_has_no_violations(tmp_path):
    client = [
        owed("c1/1 gone", who="c1"),
        invoke(ONE),
        run(TOLD, "c1"),
        ok(ONE, after=[S, 1]),
        invoke(TWO),
        fail(TWO, ran=None),
        invoke(f"{C}/3", only=True),
        ended("closed"),
        {"ev": "notice", "who": "c1", "key": "c1/1 gone"},
        digest("c1", "a"),
        {"ev": "tables", "who": "c1", "left": {}},
    ]
    server = [
        run(ONE),
        invoke(TOLD, "server"),
        ok(TOLD, "server"),
        run(f"{C}/3"),
        digest("server", "a"),
    ]
    for name, lines in (("c1", client), ("server", server)):
        history = History(tmp_path / f"{name}.jsonl", name)
        for line in lines:
            history.add(line["ev"], **{k: v for k, v in line.items() if k not in ("ev", "who")})
        history.close()
    verdict = check(read(tmp_path))
    assert verdict.violations == []
    assert verdict.counts["calls"] == 4
    assert verdict.counts["executions"] == 3
    assert verdict.counts["sessions closed"] == 1


def test_nobody_need_be_told_the_truth_by_who_was_killed():
    killed = {"ev": "killed", "who": "conductor", "victim": "c1"}
    lines = [owed("gone", who="c1"), invoke(ONE), killed]
    assert violations(lines, [run(ONE)]) == []
    assert len(violations(lines[:2], [run(ONE)])) == 2


BAD = {
    "executed twice": ("R1", [invoke(ONE), ok(ONE)], [run(ONE), run(ONE)]),
    "executed twice, in two processes": ("R1", [invoke(ONE), ok(ONE), run(ONE)], [run(ONE)]),
    "executed and never called": ("R1", [], [run(ONE)]),
    "answered and not executed": ("R2", [invoke(ONE), ok(ONE)], []),
    "an error of a method that did not run": ("R2", [invoke(ONE), fail(ONE, ran=True)], []),
    "lost in a session that was resumed": (
        "R2",
        [invoke(ONE), info(ONE, "unknown"), ended("closed")],
        [run(ONE)],
    ),
    "without an answer and lost": ("R2", [invoke(ONE, only=True), ended("closed")], []),
    "the server's call lost": (
        "R2",
        [ended("closed")],
        [invoke(TOLD, "server", only=True)],
    ),
    "never settled": ("R3", [invoke(ONE)], [run(ONE)]),
    "settled twice": ("R3", [invoke(ONE), ok(ONE), ok(ONE)], [run(ONE)]),
    "not_executed, but it was": ("R4", [invoke(ONE), info(ONE, "not_executed")], [run(ONE)]),
    "refused here, but it was executed": ("R4", [invoke(ONE), fail(ONE, ran=False)], [run(ONE)]),
    "executed, but it was not": ("R4", [invoke(ONE), info(ONE, "executed_answer_lost")], []),
    "no label": ("R4", [invoke(ONE), info(ONE, None)], []),
    "misordered": (
        "R6",
        [invoke(ONE), invoke(TWO), ok(ONE), ok(TWO)],
        [run(TWO), run(ONE)],
    ),
    "an answer before a call that was made before it": (
        "R6",
        [invoke(ONE), ok(ONE, after=[S, 1]), run(TOLD, "c1")],
        [run(ONE), invoke(TOLD, "server"), ok(TOLD, "server")],
    ),
    "left in a table": ("R13", [{"ev": "tables", "who": "c1", "left": {"held": 1}}], []),
    "a notice that did not come": ("R14", [], [owed("gone")]),
    "a notice that came twice": ("R14", [], [owed("gone"), notice("gone"), notice("gone")]),
    "a notice that was not due": ("R14", [], [notice("gone")]),
    "caches that differ": ("R15", [digest("c1", "a")], [digest("server", "b")]),
    "what a process saw itself": ("seen", [{"ev": "wrong", "who": "c1", "text": "3 is 4"}], []),
    "a call that the test made twice": ("history", [invoke(ONE), invoke(ONE), ok(ONE)], [run(ONE)]),
}


@pytest.mark.parametrize("name", BAD)
def test_each_violation_is_seen(name):
    promise, client, server = BAD[name]
    [violation] = violations(client, server)
    assert violation.startswith(f"{promise}: ")


def test_many_violations_are_counted():
    lines = [invoke(f"{C}/{number}") for number in range(1, 100)]
    found = violations(lines)
    assert len(found) == 21
    assert found[-1] == "R3: and 79 more"


def test_labels_of_what_may_be_stopped_before_it_starts():
    lost = info(ONE, "executed_answer_lost")
    assert violations([invoke(ONE, may=True), lost]) == []
    assert violations([invoke(ONE), info(ONE, "unknown")]) == []
    assert violations([invoke(ONE), info(ONE, "unknown")], [run(ONE)]) == []


def silence(watchers, *aways):
    """A server that is silent from 100 to 120; who noticed it, and when."""
    lines = [{"ev": "silent", "who": "conductor", "t": 100, "victim": "server"}]
    lines[0]["watchers"] = watchers
    lines.append({"ev": "heard", "who": "conductor", "t": 120, "victim": "server"})
    return lines, [{"ev": "away", "who": who, "t": at} for who, at in aways]


def test_how_long_each_end_took_to_notice_a_silence():
    lines, aways = silence(2, ("c1", 99), ("c1", 108), ("c2", 109.5), ("c1", 121))
    verdict = check({"conductor.jsonl": lines, "c1.jsonl": aways})
    assert verdict.violations == []
    [seen] = verdict.noticed
    assert seen.longest("clients") == 9.5
    assert seen.longest("server") == 0
    assert str(seen) == "server not heard of: noticed by the clients after 8.0 to 9.5 s"


def test_who_did_not_notice_a_silence():
    lines, aways = silence(2, ("c1", 108), ("c2", 121))
    [violation] = check({"conductor.jsonl": lines, "c1.jsonl": aways}).violations
    assert violation.startswith("R8: 1 of 2 had noticed: ")


def test_how_long_after_a_killed_servers_return_all_was_known_and_everybody_there():
    killed = [
        {"ev": "killed", "who": "conductor", "victim": "server-1", "t": 100},
        {"ev": "up", "who": "conductor", "victim": "server-1", "t": 102},
        {"ev": "killed", "who": "conductor", "victim": "server-2", "t": 110},
    ]
    client = [
        {**owed("c1/1 disconnect", "c1"), "t": 90},
        invoke(ONE),
        {**info(ONE, "unknown"), "t": 102.25},
        {**owed("c1/2 disconnect", "c1"), "t": 102.5},
        {**owed("c1/3 disconnect", "c1"), "t": 103},  # lost for another reason
        {**owed("c2/1 disconnect", "c1"), "t": 104},
        invoke(TWO),
        {**info(TWO, "unknown"), "t": 110.5},  # while it was away
    ]
    verdict = check({"conductor.jsonl": killed, "c1.jsonl": client})
    assert verdict.waits == [0.25]
    assert verdict.returns == [[0.5, 2]]
