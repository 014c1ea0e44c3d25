"""What a call costs inside the process is measured on calls that are answered."""

import asyncio

from . import inside


def test_both_sides_answer_what_is_fed_to_them(capsys):
    asyncio.run(inside.main(runs=1))
    lines = capsys.readouterr().out.splitlines()
    assert [line[:24].strip() for line in lines[1:]] == ["one call", "64 frames", "64 in a batch"]
    assert all(float(figure) > 0 for line in lines[1:] for figure in line[24:].split())
