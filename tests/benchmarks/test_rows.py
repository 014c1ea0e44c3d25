"""The rows fit together."""

from .report import read_standing
from .rows import PARTS, ROWS
from .servers import COMMANDS
from .wires import WIRES


def test_keys_are_unique():
    keys = [row.key for row in ROWS]
    assert len(set(keys)) == len(keys)


def test_every_goal_is_about_something_that_is_measured():
    for row in ROWS:
        assert row.part in PARTS
        for goal in row.goals:
            assert goal.own in row.jobs
            assert goal.of is None or goal.of in row.jobs


def test_every_job_meets_a_server_and_speaks_a_wire():
    for row in ROWS:
        for job in row.jobs.values():
            assert job.server is None or job.server in COMMANDS
            if "tests.benchmarks.load" in job.command:
                assert job.command[3] in WIRES


def test_what_stands_in_the_way_stands_in_the_way_of_a_row():
    assert set(read_standing()) <= {row.key for row in ROWS}
