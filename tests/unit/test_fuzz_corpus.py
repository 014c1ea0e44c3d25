"""The fuzzers' corpus and all vectors are replayed in every run, without a fuzzer."""

import json
from pathlib import Path

import pytest

from pbweb.parking import Principal
from pbweb.window import Window
from tests.fuzz import resuming
from tests.fuzz.seeds import texts_of
from tests.fuzz.targets import TARGETS, session, values
from tests.unit.vectors import read

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


def inputs(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param(name, path, id=f"{name}-{path.name}")
        for name in TARGETS
        for path in inputs(name)
    ],
)
def test_what_the_fuzzers_found_is_no_fault(name, path):
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_there_is_a_corpus(name):
    assert len(inputs(name)) >= 10


def test_the_vectors_are_no_fault_either():
    for vector in read("values") + read("rejected_values"):
        wire = vector["wire"]
        values(wire.encode())
        session(f'["message",1,"root","echo",[{wire}]]\n["answer",1,{wire}]'.encode())
    for vector in read("frames"):
        TARGETS["values"](vector["message"].encode())
        session(vector["message"].encode())


@pytest.mark.parametrize("name", TARGETS)
def test_the_vectors_are_inputs_of_each_target(name):
    texts = texts_of(name)
    assert len(texts) > 20
    for text in texts:
        TARGETS[name](text.encode())


def test_the_scenarios_are_no_fault_in_any_order():
    for vector in read("scenarios"):
        batches = [json.dumps(step["receive"]) for step in vector["steps"] if "receive" in step]
        for order in (batches, batches[::-1], batches + batches):
            session("\n".join(order).encode())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_can_fail(name, monkeypatch):
    """The laws are looked at: with a broken codec or broker each target raises."""
    if name == "values":
        monkeypatch.setattr("tests.fuzz.targets.encode", lambda value: b"5")
        data = b"[1]"
    else:
        monkeypatch.setattr("pbweb.incoming.Incoming.message", lambda *_: 1 / 0)
        data = (
            b'["version",1]\n["message",1,"root","echo"]'
            if name != "session"
            else b'["message",1,"root","echo"]'
        )
    with pytest.raises(AssertionError):
        TARGETS[name](data)


def test_the_corpus_reaches_what_it_is_for(monkeypatch):
    """Sessions are resumed and refused in it, so that the fuzzers begin behind the handshake."""
    moved, refused, resumed = [], [], []

    def move(self, found, young, move=resuming.Server.move):
        moved.append(found)
        move(self, found, young)

    def refuse(self, old, said, refuse=resuming.Client.refused):
        refused.append(old)
        return refuse(self, old, said)

    def resume(self, received, sent, resume=Window.resume):
        resumed.append(received)
        resume(self, received, sent)

    monkeypatch.setattr(resuming.Server, "move", move)
    monkeypatch.setattr(resuming.Client, "refused", refuse)
    for path in inputs("resume"):
        resuming.server(path.read_bytes())
    assert len(moved) >= 15
    monkeypatch.setattr(Window, "resume", resume)
    for path in inputs("client"):
        resuming.client(path.read_bytes())
    assert len(resumed) >= 3
    assert len(refused) >= 2


def test_a_session_that_went_to_somebody_else_would_be_seen(monkeypatch):
    monkeypatch.setattr(Principal, "is_same", lambda *_: True)
    with pytest.raises(AssertionError, match="somebody else"):
        resuming.server((CORPUS / "resume" / "stranger_with_the_secret").read_bytes())
