"""Processes that are killed and stopped, cables that are pulled, with the same judgement after."""

import pytest

from tests.chaos.conductor import Plan
from tests.chaos.network import why_not
from tests.chaos.test_chaos import passing

BOTH = {"python": 3, "node": 3}
SHORT = {"window": 120.0, "heartbeat": 1.0, "pong": 0.5}


async def test_a_killed_server_repeats_nothing_and_every_waiter_is_told():
    outcome = await passing(Plan(seed=3, calls=3000, weather="calm", kills=3, **BOTH))
    counts = outcome.verdict.counts
    assert counts["sessions lost"] >= 2 * 6  # one that was not begun again is not lost again
    assert len(outcome.verdict.waits) >= 3
    assert max(outcome.verdict.waits) < 10


async def test_killed_clients_leave_nothing_in_the_server():
    outcome = await passing(Plan(seed=4, calls=3000, weather="calm", deaths=3, window=1, **BOTH))
    assert outcome.verdict.counts["sessions closed"] == 6


async def test_who_is_stopped_is_noticed_in_time_and_goes_on_later():
    outcome = await passing(Plan(seed=5, calls=3000, weather="calm", stops=1, **BOTH, **SHORT))
    noticed = outcome.verdict.noticed
    assert {silence.victim for silence in noticed} == {"server", "python", "node"}
    assert outcome.verdict.counts["sessions lost"] == 0
    assert outcome.verdict.counts["resumes"] >= 6


@pytest.mark.skipif(bool(why_not()), reason=why_not())
async def test_a_cable_that_is_pulled_and_packets_that_disappear():
    outcome = await passing(Plan(seed=6, calls=3000, weather="calm", cables=1, **BOTH, **SHORT))
    noticed = outcome.verdict.noticed
    assert {silence.victim for silence in noticed} == {"cable", "packets"}
    assert outcome.verdict.counts["sessions lost"] == 0
