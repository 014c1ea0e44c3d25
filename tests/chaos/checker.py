"""Holds the histories of all sides against what pbweb promises (docs/chaos.md)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.chaos.history import Line

MOST = 20  # violations of one kind that are told one by one


@dataclass
class Silence:
    """Who was not heard of, and after how many seconds each end of a connection had noticed."""

    victim: str
    waits: dict[str, list[float]]

    def longest(self, watchers: str) -> float:
        """Seconds, of the ends that are the ``server``'s, or of those of ``clients``."""
        return max(self.waits[watchers], default=0.0)

    def __str__(self) -> str:
        seen = [
            f"by the {watchers} after {min(waits):.1f} to {max(waits):.1f} s"
            for watchers, waits in self.waits.items()
            if waits
        ]
        return f"{self.victim} not heard of: noticed {' and '.join(seen)}"


@dataclass
class Verdict:
    """What was found."""

    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    outages: list[float] = field(default_factory=list)
    """Seconds after which sessions were resumed."""
    noticed: list[Silence] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds from a server's return after it was killed to what became of each lost call."""
    returns: list[list[float]] = field(default_factory=list)
    """For each such return, the seconds after which each connection had a new session."""

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {what}" for what, number in sorted(self.counts.items()))
        noticed = [str(silence) for silence in self.noticed]
        if self.waits:
            noticed.append(
                f"lost calls were told of until {max(self.waits):.1f} s after a server's return, "
                f"all had new sessions after {max(map(max, self.returns), default=0.0):.1f} s"
            )
        return "\n".join([counts, *noticed, *self.violations])


class Checker:
    """Reads the lines, then judges."""

    def __init__(self) -> None:
        self.invoked: dict[str, Line] = {}
        self.settled: dict[str, Line] = {}
        self.runs: Counter[str] = Counter()
        self.sessions: dict[str, str] = {}
        self.owed: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.owed_by: dict[str, str] = {}
        self.digests: dict[str, dict[str, str]] = defaultdict(dict)
        self.killed: set[str] = set()
        self.outages: list[float] = []
        self.ups: list[float] = []
        self.silences: list[Line] = []
        self.aways: list[Line] = []
        self.kills: list[float] = []
        self.begun: list[Line] = []
        self.found: dict[str, list[str]] = defaultdict(list)
        self._last: dict[tuple[str, str], int] = {}  # the last call that ran, by file and session
        self._unchecked: list[tuple[str, str, int]] = []  # runs whose order is to be looked at

    def wrong(self, promise: str, text: str) -> None:
        self.found[promise].append(text)

    def read(self, name: str, lines: Iterable[Line]) -> None:
        """The history *name*, in its own order."""
        for line in lines:
            getattr(self, f"on_{line['ev']}")(name, line)

    def on_invoke(self, name: str, line: Line) -> None:
        if line["call"] in self.invoked:
            self.wrong("history", f"{line['call']} was called twice by the test itself")
        self.invoked[line["call"]] = line

    def on_run(self, name: str, line: Line) -> None:
        self.runs[line["call"]] += 1
        session, number = _parts(line["call"])
        self._unchecked.append((name, session, number))
        key = (name, session)
        self._last[key] = max(number, self._last.get(key, 0))

    def on_ok(self, name: str, line: Line) -> None:
        if line.get("after"):
            session, number = line["after"]
            if self._last.get((name, session), 0) < number:
                self.wrong("R6", f"the answer to {line['call']} came before {session}/{number}")
        self.settle(line)

    def on_fail(self, name: str, line: Line) -> None:
        self.settle(line)

    def on_info(self, name: str, line: Line) -> None:
        self.settle(line)

    def settle(self, line: Line) -> None:
        if line["call"] in self.settled:
            self.wrong("R3", f"{line['call']} was settled twice")
        self.settled[line["call"]] = line

    def on_session(self, name: str, line: Line) -> None:
        self.sessions[line["session"]] = line["end"]

    def on_resumed(self, name: str, line: Line) -> None:
        self.outages.append(line["seconds"])

    def on_owed(self, name: str, line: Line) -> None:
        self.owed[line["key"]] += 1
        self.owed_by[line["key"]] = line["who"]
        if line["key"].endswith(" disconnect"):
            self.begun.append(line)

    def on_notice(self, name: str, line: Line) -> None:
        self.notices[line["key"]] += 1

    def on_digest(self, name: str, line: Line) -> None:
        self.digests[line["of"]][line["who"]] = line["value"]

    def on_tables(self, name: str, line: Line) -> None:
        if line["left"]:
            self.wrong("R13", f"{line['who']} has left {line['left']}")

    def on_wrong(self, name: str, line: Line) -> None:
        self.wrong("seen", f"{line['who']}: {line['text']}")

    def on_killed(self, name: str, line: Line) -> None:
        self.killed.add(line["victim"])
        if line["victim"].startswith("server"):
            self.kills.append(line["t"])

    def on_silent(self, name: str, line: Line) -> None:
        self.silences.append(line)

    def on_heard(self, name: str, line: Line) -> None:
        self.silences.append(line)

    def on_away(self, name: str, line: Line) -> None:
        self.aways.append(line)

    def on_up(self, name: str, line: Line) -> None:
        self.ups.append(line["t"])

    # ------------------------------------------------------------- judging

    def judge(self) -> Verdict:
        self._check_order()
        for call, line in self.invoked.items():
            self._check_call(call, line)
        for call in self.runs.keys() - self.invoked.keys():
            self.wrong("R1", f"{call} was executed, and nobody called it")
        for key in self.owed.keys() | self.notices.keys():
            owes = self.owed[key] and self.owed_by[key] not in self.killed
            if self.notices[key] > self.owed[key] or (owes and self.notices[key] < self.owed[key]):
                self.wrong("R14", f"{key}: {self.notices[key]} notices, {self.owed[key]} due")
        for of, values in self.digests.items():
            if len(set(values.values())) > 1:
                self.wrong("R15", f"{of} differs: {values}")
        noticed = self._noticed()
        return Verdict(
            _shorten(self.found),
            self._count(),
            self.outages,
            noticed,
            self._waits(),
            self._returns(),
        )

    def _check_order(self) -> None:
        last: dict[tuple[str, str], int] = {}
        for name, session, number in self._unchecked:
            line = self.invoked.get(f"{session}/{number}")
            if line is None or not line.get("ordered"):
                continue
            before = last.get((name, session), 0)
            if number < before:
                self.wrong("R6", f"{session}/{number} got control after {session}/{before}")
            last[name, session] = max(number, before)

    def _check_call(self, call: str, line: Line) -> None:
        runs, end = self.runs[call], self.settled.get(call)
        if runs > 1:
            self.wrong("R1", f"{call} ({line['kind']}) was executed {runs} times")
        is_kept = self.sessions.get(_parts(call)[0].removeprefix("s/")) == "closed"
        if line.get("only"):
            if is_kept and not runs:
                self.wrong("R2", f"{call} ({line['kind']}) was not executed")
        elif end is None:
            if line["who"] not in self.killed:
                self.wrong("R3", f"{call} ({line['kind']}) was never settled")
        elif end["ev"] == "info":
            self._check_label(call, line, end["outcome"], runs, is_kept=is_kept)
        else:
            ran = end["ev"] == "ok" or end["ran"]
            if (ran and not runs) or (ran is False and runs):
                promise = "R2" if ran else "R4"
                self.wrong(promise, f"{call} ({line['kind']}): {end}, executed {runs} times")

    def _check_label(
        self, call: str, line: Line, outcome: str, runs: int, *, is_kept: bool
    ) -> None:
        if is_kept:
            self.wrong("R2", f"{call} ({line['kind']}) was lost in a session that was not")
        if outcome == "not_executed" and runs:
            self.wrong("R4", f"{call} ({line['kind']}) is {outcome}, and was executed")
        elif outcome == "executed_answer_lost" and not runs and not line.get("may"):
            self.wrong("R4", f"{call} ({line['kind']}) is {outcome}, and was not executed")
        elif outcome not in ("not_executed", "executed_answer_lost", "unknown"):
            self.wrong("R4", f"{call} has the outcome {outcome!r}")

    def _noticed(self) -> list[Silence]:
        return [
            self._silence(begin, end)
            for begin, end in zip(self.silences[::2], self.silences[1::2], strict=False)
        ]

    def _silence(self, begin: Line, end: Line) -> Silence:
        silence = Silence(begin["victim"], {"server": [], "clients": []})
        for away in self.aways:
            if begin["t"] <= away["t"] <= end["t"]:
                watchers = "server" if away["who"].startswith("server") else "clients"
                silence.waits[watchers].append(away["t"] - begin["t"])
        number = sum(map(len, silence.waits.values()))
        if number < begin["watchers"]:
            self.wrong("R8", f"{number} of {begin['watchers']} had noticed: {silence}")
        return silence

    def _waits(self) -> list[float]:
        waits = []
        for end in self.settled.values():
            up = _last_before(self.ups, end.get("t", 0))
            is_down = _last_before(self.kills, end.get("t", 0)) > up
            if end["ev"] == "info" and up and not is_down and not end["who"].startswith("server"):
                waits.append(end["t"] - up)
        return waits

    def _returns(self) -> list[list[float]]:
        """The first new session of each connection after each return."""
        first: dict[float, dict[str, float]] = {up: {} for up in self.ups}
        for line in self.begun:
            up = _last_before(self.ups, line["t"])
            is_down = _last_before(self.kills, line["t"]) > up
            if up and not is_down:
                connection = line["key"].partition("/")[0]
                first[up].setdefault(connection, line["t"] - up)
        return [list(waits.values()) for waits in first.values() if waits]

    def _count(self) -> Counter[str]:
        counts = Counter({"calls": len(self.invoked), "executions": self.runs.total()})
        for end in self.settled.values():
            counts[end["outcome"] if end["ev"] == "info" else end["ev"]] += 1
        counts.update(f"sessions {end}" for end in self.sessions.values())
        counts["resumes"] = len(self.outages)
        counts["notices"] = self.notices.total()
        kinds = Counter(line["kind"] for line in self.invoked.values())
        counts["updates"] = kinds["change"]
        counts["digests"] = sum(map(len, self.digests.values()))
        return counts


def _last_before(times: Iterable[float], end: float) -> float:
    return max((at for at in times if at <= end), default=0.0)


def check(histories: Mapping[str, Iterable[Line]]) -> Verdict:
    """Judge all *histories* of one run."""
    checker = Checker()
    for name, lines in histories.items():
        checker.read(name, lines)
    return checker.judge()


def _parts(call: str) -> tuple[str, int]:
    session, _, number = call.rpartition("/")
    return session, int(number)


def _shorten(found: Mapping[str, list[str]]) -> list[str]:
    shown = []
    for promise, texts in sorted(found.items()):
        shown += [f"{promise}: {text}" for text in texts[:MOST]]
        if len(texts) > MOST:
            shown.append(f"{promise}: and {len(texts) - MOST} more")
    return shown
