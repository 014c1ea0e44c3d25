"""The vectors of the wire, run against Python; and that JavaScript runs the same ones."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import pbweb as pb
from tests.unit.vectors import PeerUnderTest, evaluate, read, same

PROJECT = Path(__file__).parents[2]
ANSWERS = "an answer to a request"  # these are no fault in a call's arguments alone

RAN: set[str] = set()


def ids(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in vectors])


def values_for(language: str, way: str) -> list[dict[str, Any]]:
    return [vector for vector in read("values") if language in vector[way]]


@ids(values_for("python", "encodes"))
def test_encodes(vector):
    RAN.add(f"encodes: {vector['name']}")
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote(
        "echo", evaluate(vector["python"])
    )
    [frame] = peer.sent()
    assert same(frame[4], [json.loads(vector["wire"])]), frame
    peer.session.end("over")
    assert promise.error() is not None


@ids(values_for("python", "decodes"))
def test_decodes(vector):
    RAN.add(f"decodes: {vector['name']}")
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote("get")
    peer.sent()
    peer.feed(f'["answer",1,{vector["wire"]}]')
    assert same(promise.result(), evaluate(vector["python"])), promise.result()


@ids(read("rejected_values"))
def test_rejects(vector):
    RAN.add(f"rejects: {vector['name']}")
    peer = PeerUnderTest()
    sent = peer.feed(f'["message",1,"root","echo",[{vector["wire"]}]]')
    sent += peer.feed('["message",2,"root","echo",[1]]')
    failed, answered = (frame for frame in sent if frame[0] not in ("decref", "decache"))
    assert (failed[0], failed[1], failed[2]["type"]) == ("error", 1, vector["error"])
    assert answered == ["answer", 2, 1]
    assert not [error for _, error in peer.runtime.reports if error is not None]
    assert peer.session.broker.statistics()["held"] == 0


@ids([vector for vector in read("rejected_values") if not vector["name"].startswith(ANSWERS)])
def test_rejects_in_an_answer(vector):
    RAN.add(f"rejects, in an answer: {vector['name']}")
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote("get")
    peer.sent()
    peer.feed(f'["answer",1,{vector["wire"]}]')
    error = promise.error()
    assert error is not None
    assert error.type == vector["error"]
    assert peer.session.closing is None
    assert not any(peer.session.broker.statistics().values())


@ids(read("frames"))
def test_frames(vector):
    RAN.add(f"frames: {vector['name']}")
    peer = PeerUnderTest()
    sent = peer.feed(vector["message"])
    if vector["valid"]:
        assert peer.session.closing is None
    else:
        assert [frame[:2] for frame in sent] == [["close", vector["close"]]]
        assert peer.session.ended
    assert not [error for _, error in peer.runtime.reports if error is not None]


GIVES = ("decref", "decache")


def pairs_of(frames: list[Any]) -> set[tuple[str, int, int]]:
    return {
        (frame[0], luid, count)
        for frame in frames
        if frame[0] in GIVES
        for luid, count in zip(frame[1::2], frame[2::2], strict=True)
    }


def check_frame(frame: Any, expected: Any) -> None:
    if expected[0] == "error":
        assert frame[:2] == expected[:2]
        failure = expected[2]
        assert frame[2]["type"] == failure["type"]
        if "message" in failure:
            assert frame[2]["message"] == failure["message"]
        if "state" in failure:
            assert frame[2]["state"] == failure["state"]
        parents = failure.get("parents", [])
        assert frame[2]["parents"][: len(parents)] == parents
    else:
        assert frame == expected


def check_frames(sent: list[Any], expected: list[Any]) -> None:
    """What is given back goes anywhere in the batch: Python's collector does it at its end."""
    assert pairs_of(sent) >= pairs_of(expected)
    sent = [frame for frame in sent if frame[0] not in GIVES]
    expected = [frame for frame in expected if frame[0] not in GIVES]
    assert len(sent) == len(expected), (sent, expected)
    for frame, one in zip(sent, expected, strict=True):
        check_frame(frame, one)


@ids(read("scenarios"))
def test_scenario(vector):
    RAN.add(f"scenario: {vector['name']}")
    peer = PeerUnderTest(**vector.get("limits", {}))
    sent: list[Any] = []
    for step in vector["steps"]:
        if "receive" in step:
            check_frames(sent, [])
            sent = peer.feed_frames(step["receive"])
        elif "send" in step:
            closing = sent[-1:] if sent and sent[-1][0] == "close" else []
            check_frames(sent[: len(sent) - len(closing)], step["send"])
            sent = closing
        else:
            assert sent, "no close was sent"
            assert sent[-1][:2] == ["close", step["close"]]
            assert peer.session.ended
            check_frames(sent[:-1], [])
            sent = []
    check_frames(sent, [])


@ids(read("live"))
def test_live(vector):
    RAN.add(f"live: {vector['name']}")
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote("board")
    peer.sent()
    cache = {"$": "cache", "type": "pb.live", "id": 7, "state": ["Board", vector["state"]]}
    assert peer.feed_frames([["answer", 1, cache]]) == []
    board = promise.result()
    before = board.snapshot()
    assert exactly(before) == exactly(value_of(vector["state"]))
    heard: list[Any] = []
    board.subscribe(heard.append)
    sent = peer.feed_frames([["cachemessage", 1, 7, "update", [vector["ops"]]]])
    if "error" in vector:
        assert [frame[:2] for frame in sent] == [["error", 1]]
        assert sent[0][2]["type"] == vector["error"]
        assert board.snapshot() is before
        assert heard == []
    else:
        assert sent == [["answer", 1]]
        assert exactly(board.snapshot()) == exactly(value_of(vector["result"]))
        assert exactly(before) == exactly(value_of(vector["state"]))
        assert [len(changes) for changes in heard] == ([len(vector["ops"])] if heard else [])


def value_of(wire: Any) -> Any:
    """What the parsed JSON *wire* stands for, as plain lists, dicts and sets."""
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote("value")
    peer.sent()
    peer.feed_frames([["answer", 1, wire]])
    return promise.result()


def exactly(value: Any) -> Any:
    """*value* in a form that tells 1 from True, and neither the order nor who may change it."""
    if isinstance(value, dict):
        return {exactly(key): exactly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    if isinstance(value, set | frozenset):
        return frozenset(map(exactly, value))
    if isinstance(value, pb.RemoteCopy):
        return type(value).__name__, str(vars(value))
    return type(value).__name__, value


def test_every_vector_has_a_name_of_its_own_and_says_what_it_is():
    for file, keys in {
        "values": {"name", "wire", "python", "javascript", "encodes", "decodes"},
        "rejected_values": {"name", "wire", "error"},
        "frames": {"name", "message", "valid"},
        "scenarios": {"name", "steps"},
        "live": {"name", "state", "ops"},
    }.items():
        vectors = read(file)
        assert len(vectors) > 50
        assert len({vector["name"] for vector in vectors}) == len(vectors)
        for vector in vectors:
            assert keys <= set(vector), vector
            if file == "frames":
                assert vector["valid"] == ("close" not in vector)


def of_both_languages(names: set[str]) -> set[str]:
    """*names* without those that say themselves that only one language has them."""
    alone = {
        f"{way}: {vector['name']}"
        for way in ("encodes", "decodes")
        for vector in read("values")
        if len(vector[way]) != 2
    }
    alone |= {
        f"scenario: {vector['name']}" for vector in read("scenarios") if "languages" in vector
    }
    return names - alone


def test_javascript_runs_the_same_vectors(request):
    here = Path(__file__)
    selected = {item.name for item in request.session.items if item.path == here}
    if len(selected) < 500:
        pytest.skip("only some of the vectors were to be run")
    node = shutil.which("node")
    assert node, "Node.js runs the vectors of the JavaScript client"
    ran = subprocess.run(
        [node, "--expose-gc", "--test-reporter=tap", "client_js/test/vectors.test.js"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    found = re.findall(r"^ *(not ok|ok) \d+ - (.*?)(?: # .*)?$", ran.stdout, re.MULTILINE)
    names = {re.sub(r"\\(.)", r"\1", name) for _, name in found}
    prefixes = ("encodes: ", "decodes: ", "rejects", "frames: ", "scenario: ", "live: ")
    javascript = {name for name in names if name.startswith(prefixes)}
    javascript -= {name for name in names if name.startswith(f"rejects, in an answer: {ANSWERS}")}
    assert of_both_languages(javascript) == of_both_languages(RAN)
    assert [name for verdict, name in found if verdict != "ok"] == []
    assert ran.returncode == 0, ran.stdout[-2000:]
