"""The scripts' figures, by round."""

import re

from .javascript_clients import by_round
from .rows import SHAPES
from .servers import HERE


def test_figures_are_turned_from_shapes_to_rounds():
    results = {
        "small": {"ratio": 0.5, "rounds": {"pbweb": [1.0, 2.0], "capnweb": [3.0, 4.0]}},
        "large": {"ratio": 0.5, "rounds": {"pbweb": [5.0, 6.0], "capnweb": [7.0, 8.0]}},
    }
    assert by_round(results) == [
        {"pbweb": {"small": 1.0, "large": 5.0}, "capnweb": {"small": 3.0, "large": 7.0}},
        {"pbweb": {"small": 2.0, "large": 6.0}, "capnweb": {"small": 4.0, "large": 8.0}},
    ]


def test_the_rows_ask_for_the_shapes_that_the_scripts_measure():
    script = (HERE / "javascript" / "calls.js").read_text()
    shapes = re.findall(r'^  "([^"]+)": \{ batch: \d+', script, re.MULTILINE)
    assert sorted(shapes) == sorted(SHAPES)
