"""The property tests have what the unit tests have: no limits in time, quick collections."""

from tests.unit.conftest import quick_collections

__all__ = ["quick_collections"]
