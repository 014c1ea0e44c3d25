"""`pbweb_server.calling`: an answer as JSON; tests/integration/test_call.py has the call."""

import json
from datetime import date

import pytest

from pbweb.errors import Error
from pbweb_server.calling import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ([1, 2.5, "ä", {"a": True}], '[1,2.5,"ä",{"a":true}]'),
        (2**70, '{"$":"int","value":"1180591620717411303424"}'),
        ({"$": 5}, '{"$":"dict","items":[["$",5]]}'),
        ({1: 2}, '{"$":"dict","items":[[1,2]]}'),
        ([b"\0"], '[{"$":"bytes","base64":"AA=="}]'),
        (date(2026, 1, 2), '{"$":"date","value":"2026-01-02"}'),
    ],
)
def test_values_stand_as_the_protocol_has_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_nothing_in_an_answer_is_obeyed_by_a_terminal() -> None:
    value = {"\x1b[2J\x9b31m\u202e\x7f\r\n": ["\U000e0041 ä 日本 \u2028"]}
    text = shown(value)
    assert text.isprintable()
    assert "ä 日本" in text
    assert json.loads(text) == value


def test_large_bytes_are_not_left_out() -> None:
    assert len(json.loads(shown(b"\0" * 30_000))["base64"]) == 40_000


def test_an_exception_that_was_returned() -> None:
    assert json.loads(shown([Error("sold out")])) == [
        {"$": "failure", "type": "pb.Error", "message": "sold out", "parents": ["pb.Error"]}
    ]
