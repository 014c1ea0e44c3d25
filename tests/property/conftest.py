"""The property tests collect garbage as often as the unit tests do."""

from tests.unit.conftest import quick_collections

__all__ = ["quick_collections"]
