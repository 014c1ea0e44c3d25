"""pbweb.limits: the figures of the protocol, what is announced, what is refused."""

import dataclasses

import pytest

from pbweb.limits import ANNOUNCED, DEFAULT, MAY_BE_NONE, Limits

PROTOCOL_SECTION_7 = {
    "message": 1048576,
    "depth": 100,
    "batch": 4096,
    "calls": 256,
    "references": 1024,
    "streams": 64,
    "digits": 1024,
    "control": 20,
}


def test_the_announced_limits_are_those_of_the_protocol():
    assert DEFAULT.announce() == PROTOCOL_SECTION_7
    assert set(ANNOUNCED) == set(PROTOCOL_SECTION_7)


def test_the_other_bounds_have_the_figures_of_the_protocol():
    assert (DEFAULT.window, DEFAULT.window_frames) == (1_048_576, 4096)
    assert (DEFAULT.login, DEFAULT.login_message) == (30, 65_536)
    assert (DEFAULT.first_frame, DEFAULT.heartbeat, DEFAULT.pong, DEFAULT.stall) == (10, 15, 10, 10)


def test_what_is_set_is_announced():
    assert Limits(calls=3).announce() == {**PROTOCOL_SECTION_7, "calls": 3}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, True, "1", None, [1], float("-inf")])
def test_no_limit_takes_what_is_no_positive_number(name, value):
    if value == 0 and name in MAY_BE_NONE:
        assert getattr(Limits(**{name: value}), name) == 0
        return
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ANNOUNCED)
def test_what_is_counted_is_a_whole_number(name):
    with pytest.raises(ValueError, match="whole number"):
        Limits(**{name: 1.5})


@pytest.mark.parametrize("name", ["stall", "first_frame", "heartbeat", "pong"])
def test_times_may_be_parts_of_seconds(name):
    assert getattr(Limits(**{name: 0.25}), name) == 0.25
    assert getattr(Limits(**{name: 3}), name) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_time_is_a_finite_number(value):
    with pytest.raises(ValueError, match="stall"):
        Limits(stall=value)


def test_limits_do_not_change_and_take_only_names():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT.calls = 5
    with pytest.raises(TypeError):
        Limits(5)
    with pytest.raises(TypeError):
        Limits(call=5)


def test_the_peers_numbers_take_the_place_of_ours():
    got = DEFAULT.announced_by({"calls": 7, "depth": 200, "window": 5, "unknown": 3})
    assert (got.calls, got.depth) == (7, 200)
    assert got.window == DEFAULT.window
    assert got.message == DEFAULT.message


@pytest.mark.parametrize("value", [0, -1, 1.5, "7", None, True, [7], {"a": 1}])
def test_what_the_peer_announces_wrongly_is_ignored(value):
    assert DEFAULT.announced_by({"calls": value}) == DEFAULT
