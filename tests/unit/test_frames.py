"""pbweb.frames: text to frames, envelopes, attachments. The vectors have the envelopes' table."""

import orjson
import pytest

from pbweb.errors import ProtocolError
from pbweb.frames import (
    MAX_INTEGER,
    check,
    check_attachments,
    is_answer,
    join_attachments,
    parse,
    split_attachments,
    split_batch,
)


def nested(levels):
    return b"[" * levels + b"]" * levels


def test_text_is_parsed():
    assert parse(b'["answer",1,{"a":[1,2]}]', 100) == (["answer", 1, {"a": [1, 2]}], False)


@pytest.mark.parametrize(
    "text", [b"", b"[", b"[1,]", b"nul", b"[NaN]", b"[1] [2]", b"\xef\xbb\xbf[]"]
)
def test_what_is_no_json_is_4400(text):
    with pytest.raises(ProtocolError) as caught:
        parse(text, 100)
    assert caught.value.code == 4400


@pytest.mark.parametrize("text", [b'["\xff"]', b"\xff", b'["\xed\xa0\x80"]', b'["\xc3"]'])
def test_what_is_no_utf8_is_1007(text):
    with pytest.raises(ProtocolError) as caught:
        parse(text, 100)
    assert caught.value.code == 1007


def test_a_lone_surrogate_written_as_an_escape_is_4400():
    with pytest.raises(ProtocolError) as caught:
        parse(b'["\\ud800"]', 100)
    assert caught.value.code == 4400


@pytest.mark.parametrize("depth", [1, 2, 20, 100])
@pytest.mark.parametrize(
    "around",
    [
        (b'["answer",1,', b"]"),
        (b'[["answer",1,', b"]]"),
        (b'[["answer",2],["answer",1,', b"],[]]"),
        (b'["answer",1,[],', b"]"),
        (b'["message",1,"root","echo",[', b"]]"),
        (b'["a","b","c","d","e","f","g","h","i",', b"]"),
    ],
)
def test_what_is_too_deep_is_always_seen(depth, around):
    before, after = around
    assert parse(before + nested(depth + 1) + after, depth)[1]
    long = b'"' + b"x" * 10_000 + b'",'
    assert parse(before + long + nested(depth + 1) + after, depth)[1]


@pytest.mark.parametrize("depth", [250, 252, 253, 254, 400])
def test_a_limit_of_depth_beyond_that_of_the_writer(depth):
    assert not parse(b'["answer",1,' + nested(250) + b"]", depth)[1]
    assert parse(b'["answer",1,' + nested(depth + 1) + b"]", depth)[1]


@pytest.mark.parametrize("depth", [1, 20, 100])
def test_what_is_not_too_deep_costs_no_walk(depth):
    assert not parse(b'["answer",1,' + nested(depth) + b"]", depth)[1]
    long = b"[" + b"1," * 10_000
    assert not parse(b'["answer",1,' + long + (nested(depth - 1) or b"1") + b"]]", depth)[1]
    flat = b"[" + b",".join([b'["answer",1,[[]]]'] * 500) + b"]"
    assert not parse(flat, max(depth, 3))[1]


def test_brackets_in_strings_are_no_depth():
    text = orjson.dumps(["answer", 1, "[" * 500])
    assert parse(text, 100)[1] in (True, False)
    assert parse(text, 100)[0][2] == "[" * 500


def test_what_the_parser_itself_cannot_read_is_4400():
    with pytest.raises(ProtocolError) as caught:
        parse(nested(2000), 100)
    assert caught.value.code == 4400


def test_a_message_is_a_frame_or_a_batch():
    assert split_batch(["ack", 1, 2], 5) == [["ack", 1, 2]]
    assert split_batch([["ack", 1, 2], ["hello"]], 5) == [["ack", 1, 2], ["hello"]]


@pytest.mark.parametrize("message", [None, 5, "ack", {}, {"a": 1}, [], [5], [None, "ack"], [{}]])
def test_what_is_neither_is_4400(message):
    with pytest.raises(ProtocolError) as caught:
        split_batch(message, 5)
    assert caught.value.code == 4400


def test_a_batch_at_its_limit_and_one_past_it():
    assert len(split_batch([["hello"]] * 5, 5)) == 5
    with pytest.raises(ProtocolError, match="batch") as caught:
        split_batch([["hello"]] * 6, 5)
    assert caught.value.code == 4413


@pytest.mark.parametrize("frame", [None, 5, "ack", {}, [], [5], [[]], [None], [["ack", 1, 2]]])
def test_a_member_that_is_no_frame_is_4400(frame):
    with pytest.raises(ProtocolError) as caught:
        check(frame)
    assert caught.value.code == 4400


def test_an_unknown_name_is_a_frame_whatever_follows():
    assert check(["hello", {"a": [1]}, None]) == "hello"
    assert check([""]) == ""


@pytest.mark.parametrize("boolean", [True, False])
@pytest.mark.parametrize(
    "frame",
    [
        ["message", "X", "root", "echo"],
        ["message", 1, "X", "echo"],
        ["answer", "X"],
        ["cancel", "X"],
        ["decref", "X", 1],
        ["decref", 1, "X"],
        ["ack", "X", 0],
        ["version", "X"],
        ["close", "X", "", False],
        ["message", 1, "root", "echo", [], {}, {"deadline": "X"}],
    ],
)
def test_a_boolean_is_no_number(frame, boolean):
    def put(value):
        if type(value) is dict:
            return {key: put(item) for key, item in value.items()}
        return boolean if value == "X" else value

    with pytest.raises(ProtocolError):
        check([put(item) for item in frame])


@pytest.mark.parametrize("target", [1, -1, "root", "", MAX_INTEGER, -MAX_INTEGER])
def test_targets(target):
    assert check(["message", 1, target, "echo"]) == "message"


@pytest.mark.parametrize("target", [0, 1.5, 1.0, None, [], {}, {"$": "remote", "id": 1}, 2**53])
def test_what_is_no_target(target):
    with pytest.raises(ProtocolError):
        check(["message", 1, target, "echo"])


@pytest.mark.parametrize("path", [[], ["a"], [0], ["a", 0, ""], [MAX_INTEGER]])
def test_an_answer_with_a_path(path):
    assert is_answer({"$": "answer", "id": 1, "path": path})


@pytest.mark.parametrize("path", [None, "a", [-1], [1.5], [None], [[]], [True]])
def test_an_answer_whose_path_is_none(path):
    assert not is_answer({"$": "answer", "id": 1, "path": path})


@pytest.mark.parametrize("number", [0, -1, 2**53, 1.5, "1", None, True])
def test_an_answer_whose_id_is_none(number):
    assert not is_answer({"$": "answer", "id": number})


@pytest.mark.parametrize("attachments", [[], [b""], [b"abc"], [b"x" * 70_000, b"", b"\x00\xff"]])
def test_attachments_come_out_as_they_went_in(attachments):
    frame = b'["answer",1]'
    got, beside = split_attachments(join_attachments(frame, attachments))
    assert got == frame
    assert [bytes(one) for one in beside] == attachments


def test_the_form_of_a_binary_message():
    assert join_attachments(b"[]", [b"abc"]) == b"\x02\0\0\0[]\x03\0\0\0abc"


def test_attachments_are_views_of_the_message():
    data = join_attachments(b"[]", [b"abc"])
    [one] = split_attachments(data)[1]
    assert isinstance(one, memoryview)
    assert one.obj is data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"\x02\0\0",
        b"\x02\0\0\0",
        b"\x02\0\0\0[",
        b"\x02\0\0\0[]\x03",
        b"\x02\0\0\0[]\x03\0\0\0ab",
        b"\xff\xff\xff\xff[]",
    ],
)
def test_lengths_that_do_not_add_up_are_4400(data):
    with pytest.raises(ProtocolError) as caught:
        split_attachments(data)
    assert caught.value.code == 4400


def test_attachments_that_stand_in_the_frame_once_each():
    at = [{"$": "bytes", "at": number} for number in range(3)]
    check_attachments(["answer", 1, [at[2], {"k": at[0]}, {"$": "set", "items": [at[1]]}]], 3)
    check_attachments(["answer", 1, {"at": 7, "$": "other"}], 0)


@pytest.mark.parametrize("at", [-1, 1, None, "0", 0.0, True, [], 2**70])
def test_an_attachment_that_there_is_not_is_4400(at):
    with pytest.raises(ProtocolError, match="not beside the frame"):
        check_attachments(["answer", 1, [{"$": "bytes", "at": at}]], 1)


def test_an_attachment_that_is_used_twice_or_never_is_4400():
    at = {"$": "bytes", "at": 0}
    with pytest.raises(ProtocolError, match="twice"):
        check_attachments(["answer", 1, [at, dict(at)]], 1)
    with pytest.raises(ProtocolError, match="nowhere"):
        check_attachments(["answer", 1, [1]], 1)
