"""pbweb.pipeline: calls that name answers, as their arguments or their target."""

import pytest

import pbweb as pb
from pbweb import pipeline
from tests.unit.notes import Note
from tests.unit.paired import run_paired
from tests.unit.vectors import PeerUnderTest


class Copies(pb.Root):
    def __init__(self):
        self.note = Note(text="mine", marks=[1])
        self.given = []

    def remote_note(self):
        return self.note

    def remote_keep(self, *things):
        self.given = things


def copies(**factories):
    registry = pb.Registry()
    registry.setUnjellyableForClass(Note, Note)
    for name, factory in factories.items():
        registry.setUnjellyableFactoryForClass(name, factory)
    return registry


def test_a_copy_that_is_passed_on_by_name_is_a_copy_as_well():
    root = Copies()

    async def body(both):
        note = both.root.callRemote("note")
        await both.root.callRemote("keep", note, [note])
        one, two = root.given
        assert one is two[0]
        assert type(one) is Note
        assert one is not root.note
        assert vars(one) == {**vars(root.note), "told": True}
        assert one.marks is not root.note.marks

    run_paired(root, body, registry=copies())


def test_a_copy_that_is_passed_on_by_name_has_to_be_of_a_type_that_is_known():
    root = Copies()

    async def body(both):
        note = both.root.callRemote("note")
        keeping = both.root.callRemote("keep", note)
        with pytest.raises(pb.InsecureJelly, match="no class is registered"):
            await keeping
        with pytest.raises(pb.InsecureJelly, match="no class is registered"):
            await note

    run_paired(root, body, registry=pb.Registry())


def test_what_the_class_of_a_copy_raises_fails_the_call_that_names_it():
    def factory(state):
        raise KeyError("factory")

    async def body(both):
        note = both.root.callRemote("note")
        with pytest.raises(pb.Error, match="'factory'"):
            await both.root.callRemote("keep", note)
        note.error()

    run_paired(Copies(), body, registry=copies(Note=factory), logged=2)


def test_a_call_that_names_two_answers_fails_once_with_the_first():
    peer = PeerUnderTest()
    peer.feed_frames([["message", number, "root", "fail", [f"no {number}"]] for number in (1, 2)])
    names = [{"$": "answer", "id": number} for number in (1, 2)]
    [[kind, request, failure]] = peer.feed_frames([["message", 3, "root", "add", names]])
    assert (kind, request, failure["message"]) == ("error", 3, "no 1")
    assert peer.session.broker.statistics()["calls_in_progress"] == 0


def test_answers_are_copied_by_name_at_the_limit_and_one_past_it(monkeypatch):
    monkeypatch.setattr(pipeline, "MAX_COPIED", 20)
    monkeypatch.setattr(pipeline, "COPIED_A_SECOND", 4)
    peer = PeerUnderTest()
    peer.feed_frames([["message", 1, "root", "echo", [list(range(19))]]])

    def kind_of(request):
        name = {"$": "answer", "id": 1}
        [frame] = peer.feed_frames([["message", request, "root", "kind", [name]]])
        return frame[2] if frame[0] == "answer" else frame[2]["message"]

    assert [kind_of(2), kind_of(3)[:8]] == ["list", "message:"]
    peer.runtime.advance(1)
    assert kind_of(4) == "list"


def test_the_answer_to_a_streams_next_is_not_passed_on_by_name():
    peer = PeerUnderTest()
    [[_, _, stream]] = peer.feed_frames([["message", 1, "root", "count", [3]]])
    peer.feed_frames([["message", 2, stream["id"], "next", [1]]])
    name = {"$": "answer", "id": 2}
    [[kind, request, failure]] = peer.feed_frames([["message", 3, "root", "kind", [name]]])
    assert (kind, request, failure["type"]) == ("error", 3, "InsecureJelly")
    assert "cannot be passed on by name" in failure["message"]
