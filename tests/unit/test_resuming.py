"""pbweb.resuming: what is kept, and sent again byte for byte."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbweb.errors import ProtocolError
from pbweb.resuming import Asked, asked_by, counts, outline, replay, split_known, tail

GOOD = {"session": "a", "secret": "b", "received": 1, "sent": 2}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3),
    max_leaves=8,
)
FRAMES = st.lists(st.tuples(st.text(), JSON).map(list), min_size=2, max_size=6)


def test_what_a_client_asks_is_taken_as_it_says():
    assert asked_by(GOOD) == Asked("a", "b", 1, 2)
    assert asked_by({**GOOD, "more": 1, "received": 0}).received == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"session": 1},
        {"secret": None},
        {"session": ""},
        {"secret": "x" * 201},
        {"received": -1},
        {"received": 1.0},
        {"received": True},
        {"sent": 2**53},
        {"sent": "1"},
    ],
)
def test_what_no_client_may_ask_is_a_breach(wrong):
    with pytest.raises(ProtocolError):
        asked_by({**GOOD, **wrong})


@pytest.mark.parametrize("nothing", [None, [], "x", 5, {}, {"session": "a"}])
def test_what_is_no_resume_is_a_breach(nothing):
    with pytest.raises(ProtocolError):
        asked_by(nothing)


def test_counts_that_are_none_are_none():
    assert counts({"received": 3, "sent": 4}) == (3, 4)
    assert counts({"received": "3"}) == (None, None)
    assert counts({"received": -3, "sent": 1.5}) == (None, None)


@given(FRAMES, st.data())
def test_the_tail_of_a_batch_is_byte_for_byte_its_last_frames(frames, data):
    known = data.draw(st.integers(1, len(frames) - 1))
    batch = orjson.dumps(frames)
    rest, binary = tail((batch, False), known)
    assert rest == orjson.dumps(frames[known:])
    assert not binary


def test_a_batch_has_no_tail_behind_its_end():
    with pytest.raises(ValueError, match="no more frames"):
        tail((b'[["a"],["b"]]', False), 2)


def kept(*messages):
    last, made = 0, []
    for frames in messages:
        last += len(frames)
        made.append((last, 100, frames, (orjson.dumps(frames), False)))
    return made


THREE = kept([["a", 1], ["b", 2]], [["c", 3]], [["d", 4], ["e", 5]])


@pytest.mark.parametrize(("behind", "numbers"), [(0, [2, 3, 5]), (2, [3, 5]), (3, [5]), (5, [])])
def test_the_messages_behind_a_number_are_sent_again_as_they_were(behind, numbers):
    again = list(replay(THREE, behind, 10_000))
    assert [last for last, _ in again] == numbers
    assert [message for _, message in again] == [
        message for last, _, _, message in THREE if last > behind
    ]


def test_a_batch_of_which_the_peer_has_a_part_is_sent_in_part():
    assert list(replay(THREE, 4, 100)) == [(5, (b'[["e",5]]', False))]
    assert next(replay(THREE, 1, 100)) == (2, (b'[["b",2]]', False))


def test_no_more_is_sent_again_at_once_than_there_is_room_for():
    assert [last for last, _ in replay(THREE, 0, 1)] == [2]
    assert [last for last, _ in replay(THREE, 0, 101)] == [2, 3]


def test_what_was_never_written_or_not_received_was_not_handled():
    assert split_known(THREE, 0, 3, None) == ([["d", 4], ["e", 5]], [["a", 1], ["b", 2], ["c", 3]])
    assert split_known(THREE, 0, 5, 1) == ([["b", 2], ["c", 3], ["d", 4], ["e", 5]], [])
    assert split_known(THREE, 0, 5, 5) == ([], [])


def test_of_a_batch_that_was_acknowledged_in_part_the_first_frames_were_handled():
    assert split_known(THREE, 1, 4, None) == ([["e", 5]], [["b", 2], ["c", 3], ["d", 4]])
    assert split_known(THREE, 1, 4, 1) == ([["b", 2], ["c", 3], ["d", 4], ["e", 5]], [])


def test_an_outline_is_what_a_frame_is_and_its_id():
    assert outline([["answer", 1, {"big": 1}], ["decref", 1, 2]]) == [["answer", 1], ["decref", 1]]
