"""What a delivery costs is measured on clients that get it."""

import asyncio

import pytest

from . import fan_out


@pytest.mark.parametrize("way", ["Group", "live object", "callRemoteOnly"])
def test_each_way_reaches_all(way):
    assert asyncio.run(fan_out.cost(way, clients=3, runs=2)) > 0
