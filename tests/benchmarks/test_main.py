"""The command chooses its rows."""

import pytest

from .__main__ import chosen, parser
from .rows import ROWS


def keys(*only, quick=False):
    return [row.key for row in chosen(list(only), quick)]


def test_all_rows_are_chosen_without_a_word():
    assert keys() == [row.key for row in ROWS]
    assert "demo" not in keys(quick=True)


def test_a_key_is_exactly_that_row_and_other_words_are_searched():
    assert keys("b") == ["b"]
    assert keys("b", "a") == ["a", "b"]
    assert keys("slow reader e") == ["slow reader echoes", "slow reader echoes much"]
    assert keys("demo", quick=True) == ["demo"]


def test_a_word_that_is_nowhere_is_told():
    with pytest.raises(SystemExit, match="no row is called so"):
        keys("nowhere")


def test_rows_may_be_named_often():
    assert parser().parse_args(["--only", "a", "--only", "b"]).only == ["a", "b"]
