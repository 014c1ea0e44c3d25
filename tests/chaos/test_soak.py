"""A few hundred sessions of `make soak`: nothing of them is left."""

from tests.chaos.soak import soak


async def test_sessions_that_have_ended_are_left_nowhere():
    assert await soak(6, seed=1)
