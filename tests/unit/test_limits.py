"""pbweb.limits: the figures of the protocol, what is announced, what is refused."""

import dataclasses
import re
from pathlib import Path

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


# Where each limit is tried at its bound and one past it, and what docs/limits.md says of it.

ROOT = Path(__file__).parents[2]
TRIED = {
    "message": "unit/test_exchange.py:test_messages_at_the_limit_of_their_size_and_one_past_it",
    "depth": "unit/test_unjelly.py:test_depth_at_its_limit_and_one_past_it",
    "batch": "unit/test_exchange.py:test_a_batch_at_its_limit_and_one_past_it",
    "calls": "unit/test_incoming.py:test_calls_at_the_limit_and_one_past_it",
    "references": "unit/test_references.py:test_taking_references_at_the_limit_and_one_past_it",
    "streams": "unit/test_streams.py:test_so_many_streams_may_be_open_and_no_more",
    "digits": "unit/test_unjelly.py:test_digits_at_their_limit_and_one_past_it",
    "control": "unit/test_liveness.py:test_pings_at_the_limit_and_one_past_it",
    "window": "unit/test_backlog.py:test_a_window_of_bytes_at_its_limit_and_one_past_it",
    "window_frames": "unit/test_backlog.py:test_a_window_of_frames_at_its_limit_and_one_past_it",
    "answers": "unit/test_backlog.py:test_answers_at_the_limit_and_one_past_it",
    "pushes": "unit/test_backlog.py:test_a_page_that_is_pushed_to_at_the_limit_and_one_past_it",
    "updates": "unit/test_live.py:test_delivery_of_all_has_a_bound",
    "copy_weight": "unit/test_trees.py:test_a_state_may_not_weigh_too_much",
    "connections": "unit/test_admission.py:test_connections_at_the_limit_and_one_past_it",
    "connections_per_address": (
        "unit/test_admission.py:test_connections_of_one_address_at_the_limit_and_one_past_it"
    ),
    "handshakes": "unit/test_admission.py:test_handshakes_at_the_limit_and_one_past_it",
    "fragments": "unit/test_websocket.py:test_fragments_at_their_limit_and_one_past_it",
    "slice": "unit/test_websocket.py:test_reading_in_slices_keeps_the_order",
    "first_frame": "unit/test_liveness.py:test_no_first_frame_in_time_is_4408",
    "login": "unit/test_cred.py:test_where_a_login_is_required_it_has_to_come_in_time",
    "login_message": "unit/test_cred.py:test_batches_before_a_login_are_short_too",
    "login_calls": "unit/test_cred.py:test_calls_before_a_login_at_the_limit_and_one_past_it",
    "login_failures": "unit/test_cred.py:test_too_many_failed_logins_close_the_connection",
    "login_failures_per_address": (
        "hostile/test_logins.py:test_guesses_over_many_connections_are_counted_by_their_address"
    ),
    "logins": "unit/test_cred.py:test_few_logins_of_one_connection_are_checked_at_a_time",
    "message_time": "hostile/test_frames.py:test_a_message_that_is_never_finished",
    "heartbeat": "unit/test_liveness.py:test_silence_is_answered_by_a_ping_and_then_4408",
    "pong": "unit/test_liveness.py:test_silence_is_answered_by_a_ping_and_then_4408",
    "stall": "unit/test_window.py:test_a_full_window_that_is_never_acknowledged_is_4440",
    "grace": (
        "unit/test_websocket.py:"
        "test_a_peer_that_says_close_and_nothing_more_is_let_go_after_the_grace"
    ),
    "resume_window": (
        "unit/test_parking.py:"
        "test_when_the_window_is_over_it_says_so_for_a_while_to_who_has_the_secret"
    ),
    "away": "unit/test_parking.py:test_the_oldest_of_all_goes_first",
    "away_bytes": "unit/test_parking.py:test_the_oldest_goes_when_all_keep_too_much",
    "away_per_identity": "unit/test_parking.py:test_the_oldest_of_one_identity_goes_first",
    "away_per_address": "unit/test_parking.py:test_the_oldest_of_one_address_goes_first",
    "resume_failures": (
        "unit/test_parking.py:"
        "test_who_guesses_secrets_is_closed_with_4429_and_the_right_one_still_holds"
    ),
    "drain": (
        "unit/test_draining.py:"
        "test_when_the_time_is_over_methods_are_cancelled_and_their_ends_are_waited_for"
    ),
    "blocked": "unit/test_watchdog.py:test_what_blocks_is_named_while_it_does_and_when_it_ends",
}
FIELDS = [field.name for field in dataclasses.fields(Limits)]


def rows():
    """The rows of the table in docs/limits.md: the names, and the other cells."""
    for line in (ROOT / "docs" / "limits.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 5:
            yield re.findall("`([a-z_]+)`", cells[0]), cells[1:]


@pytest.mark.parametrize("name", FIELDS)
def test_each_limit_is_tried_at_its_bound_and_one_past_it(name):
    path, _, test = TRIED[name].partition(":")
    assert f"def {test}" in (ROOT / "tests" / path).read_text()


@pytest.mark.parametrize("name", FIELDS)
def test_each_limit_is_documented_with_what_happens_past_it_and_what_it_stops(name):
    [(names, cells)] = [row for row in rows() if name in row[0]]
    assert all(len(cell) > 2 for cell in cells[1:])
    default = cells[0].split(", ")[names.index(name)] if len(names) > 1 else cells[0]
    assert number(default) == getattr(DEFAULT, name), default


def number(text):
    """A default as the table has it: in bytes or a multiple, seconds, or a mere number."""
    value, _, unit = text.partition(" ")
    return float(value.replace(",", "")) * {"KiB": 1024, "MiB": 1024 * 1024}.get(unit, 1)


def test_no_limit_is_documented_that_is_none():
    assert {name for names, _ in rows() for name in names} == set(FIELDS)
