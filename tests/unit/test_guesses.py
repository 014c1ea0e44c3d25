"""pbweb.guesses: failed logins by address."""

from pbweb import guesses
from pbweb.guesses import Guesses


def test_each_address_has_its_own_and_a_minute_has_an_end():
    made = Guesses()
    for _ in range(3):
        made.note("a", 100)
    made.note("b", 130)
    assert [made.of(address, 159) for address in "abc"] == [3, 1, 0]
    assert [made.of(address, 160) for address in "abc"] == [0, 0, 0]
    made.note("a", 161)
    assert made.of("a", 219) == 1


def test_without_an_address_nothing_is_counted():
    made = Guesses()
    made.note(None, 100)
    assert made.of(None, 100) == 0


def test_so_many_addresses_and_no_more(monkeypatch):
    monkeypatch.setattr(guesses, "ADDRESSES", 3)
    made = Guesses()
    for address in ("a", "b", "c", "a", "d"):
        made.note(address, 100)
    assert [made.of(address, 100) for address in "abcd"] == [2, 0, 1, 1]
