"""What all of these tests stand on, and the property tests with them."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is no fault: no example has a limit in time.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def quick_collections() -> Iterator[None]:
    """Collecting garbage is quick when what was there before the tests is left out."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
