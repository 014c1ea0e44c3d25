"""What one process saw, one JSON line each; the file outlives a process that is killed.

Every line names its writer in ``who``, the time in ``t``, and what happened in ``ev``:

========= ====================================================================================
invoke    ``call``: its id, ``SESSION/NUMBER``; ``kind``; ``ordered``: whether it gets control in
          the order of the numbers; ``may``: it may be stopped before it gets control;
          ``only``: it has no answer
run       the first step of the method of ``call``
ok        the answer came; ``after``: ``[SESSION, NUMBER]``, the last call that this side must have
          had before
fail      ``call`` failed as it was to; ``ran``: whether it must have got control (None: it may)
info      ``call`` was lost; ``outcome`` says what is known
session   ``session`` ended: ``closed``, when nothing was left to do, or ``lost``
resumed   ``session`` was, after ``seconds``
owed      a notice that must come once, ``key``; ``notice``: it came
digest    the state of ``of`` when nothing goes on any more; ``value``
tables    what stands in the tables when all is over, ``left``
wrong     something that the writer itself saw to be wrong, ``text``
killed    the process ``victim`` was killed: it owes nothing any more
silent    ``victim`` is not heard of any more, and nobody is told; so many ends of connections,
          ``watchers``, have to notice; ``heard``: it is again
away      the writer has noticed that a connection is lost
up        a server listens again that was killed
========= ====================================================================================
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class History:
    """Writes lines to the end of a file, each at once."""

    def __init__(self, path: Path, who: str) -> None:
        self.lines = 0
        self.only: frozenset[str] = frozenset()
        """What is written, if not all is."""
        self._who = who
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, ev: str, **facts: Any) -> None:
        if self.only and ev not in self.only:
            return
        now = round(time.time(), 3)
        line = json.dumps({"ev": ev, "who": self._who, "t": now, **facts}, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")
        self.lines += 1

    def close(self) -> None:
        os.close(self._file)


def read(folder: Path) -> dict[str, Iterator[Line]]:
    """The lines of each history in *folder*."""
    return {path.name: _lines(path) for path in sorted(folder.glob("*.jsonl"))}


def _lines(path: Path) -> Iterator[Line]:
    with path.open() as file:
        for text in file:
            yield json.loads(text)
