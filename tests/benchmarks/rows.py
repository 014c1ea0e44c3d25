"""Every row that is measured, as data: what runs, which of its figures counts, and the goal."""

from __future__ import annotations

from dataclasses import dataclass, field

from .jobs import Job, client, idle, javascript, load, module, once, parked, slow_reader

TEXTS = {
    "pbweb": "pbweb",
    "mounted": "pbweb, mounted",
    "limit1": "limit1",
    "twisted": "Twisted PB",
    "capnweb": "Cap'n Web",
    "socketio": "python-socketio",
    "picows": "picows echo",
    "binary": "a binary echo on the same server",
}
"""How the measured systems are called."""

PARTS = {
    "speed": "Speed",
    "growth": "As connections, references and calls grow",
    "latency": "Latency",
    "memory": "Size and memory",
    "ease": "Ease",
}


@dataclass(frozen=True)
class Goal:
    """What a figure should be.

    Attributes:
        bound: the most, or the least, that *own* may be.
        of: of which measurement the bound is a multiple; None if it is the figure's own unit.
        own: the measurement that is looked at.
        figure: which of its figures; the row's own by default.
        least: whether the bound is the least.
    """

    bound: float
    of: str | None = None
    own: str = "pbweb"
    figure: str = ""
    least: bool = False


@dataclass(frozen=True)
class Row:
    """One line: the same work done by some systems in turns.

    Attributes:
        figure: the figure of the jobs that is shown and compared.
        unit: what it is in.
        rounds: how often it is measured, at most; None for as often as the run says.
        fresh: whether each measurement has a server of its own, as memory needs it.
        in_quick_run: whether `--quick` measures it too.
        at_once: whether its one command measures all systems in turns itself, and prints a list:
            for each round, the figures by system.
    """

    key: str
    title: str
    jobs: dict[str, Job]
    goals: tuple[Goal, ...] = ()
    part: str = "speed"
    figure: str = "cpu"
    unit: str = "µs"
    rounds: int | None = None
    fresh: bool = False
    in_quick_run: bool = True
    at_once: bool = False
    also: tuple[str, ...] = field(default=())
    """Further figures that are shown."""


SHAPES = (
    "small, 64 in a batch",
    "small, one after the other",
    "1 KiB of JSON, one after the other",
    "1 KiB of JSON, 64 in a batch",
    "references, 64 in a batch",
)
"""What the JavaScript clients are asked to call."""

A = ()
B = ("--in-flight", "64")
C = ("--connections", "100", "--in-flight", "8")
BATCHES = ("--batches",)
ASYNC = (*BATCHES, "--method", "aecho")
MANY = ("--connections", "{many}")


def limit1(goal: float) -> tuple[Goal, ...]:
    """At most so much of limit1."""
    return (Goal(goal, "limit1"),)


def everybody(*arguments: str) -> dict[str, Job]:
    """The same load on each system, ours with our clients' batches."""
    return {
        "pbweb": load("pbweb", "pbweb", *arguments, *BATCHES),
        "limit1": load("limit1", "raw", *arguments),
        "twisted": load("twisted", "twisted", *arguments),
        "capnweb": load("capnweb", "capnweb", *arguments),
        "socketio": load("socketio", "socketio", *arguments),
        "picows": load("picows", "raw", *arguments),
    }


def beside_limit1(server: str, *shared: str, own: tuple[str, ...] = BATCHES) -> dict[str, Job]:
    """The same load on a server of ours, with *own* to say beside, and on limit1."""
    return {
        "pbweb": load(server, "pbweb", *shared, *own),
        "limit1": load("limit1", "raw", *shared),
    }


def to_all(wire: str) -> dict[str, Job]:
    """One message to each of many: by *wire* from a server of ours, and as others do it."""
    return {
        "pbweb": load("pbweb", wire, "--fan-out", *MANY),
        "limit1": load("limit1", "raw listener", "--fan-out", *MANY),
        "socketio": load("socketio", "socketio listener", "--fan-out", *MANY),
    }


TO_ALL = (Goal(0.65, "limit1"), Goal(0.1, "socketio"))


def growing(load_of: dict[str, tuple[str, ...]], wire: str = "pbweb") -> dict[str, Job]:
    """pbweb under loads of several sizes."""
    return {
        f"pbweb ({size})": load("pbweb", wire, *arguments, *BATCHES)
        for size, arguments in load_of.items()
    }


def within(few: str, many: str) -> tuple[Goal, ...]:
    """What grew a hundredfold may cost a fifth more a call."""
    return (Goal(1.2, f"pbweb ({few})", own=f"pbweb ({many})"),)


SPEED = [
    Row("a", "a: one call after the other", everybody(*A), limit1(0.75)),
    Row(
        "b",
        "b: 64 in flight, our clients (batches)",
        everybody(*B),
        (
            Goal(0.2, "limit1"),
            Goal(0.07, "twisted"),
            Goal(0.18, "capnweb"),
            Goal(0.045, "socketio"),
        ),
    ),
    Row(
        "b frame",
        "b: 64 in flight, a message a frame",
        beside_limit1("pbweb", *B, own=()),
        limit1(0.45),
    ),
    Row("c", "c: 100 connections, 8 in flight each, our clients", everybody(*C), limit1(0.35)),
    Row(
        "b async",
        "b: async methods that do not wait",
        beside_limit1("pbweb", *B, own=ASYNC),
        limit1(0.45),
    ),
    Row(
        "c async",
        "c: async methods that do not wait",
        beside_limit1("pbweb", *C, own=ASYNC),
        limit1(0.65),
    ),
    Row("a mounted", "a: mounted under stock uvicorn", beside_limit1("mounted", *A), limit1(1.2)),
    Row("b mounted", "b: mounted, our clients", beside_limit1("mounted", *B), limit1(0.3)),
    Row("c mounted", "c: mounted, our clients", beside_limit1("mounted", *C), limit1(0.4)),
    Row(
        "chain",
        "a pipelined chain of 5 calls, 20 ms away each way",
        {
            name: module("chain", name, "--port", "{port}", server=name)
            for name in ("pbweb", "twisted", "capnweb")
        },
        (Goal(1),),
        figure="round trips",
        unit="round trips",
        also=("ms",),
        rounds=1,
    ),
    Row(
        "ring",
        "the server calls an object of the client's, 64 in flight",
        {
            name: load(name, f"{name} ring", *B, *BATCHES)
            for name in ("pbweb", "twisted", "capnweb")
        },
        (Goal(0.2, "twisted"), Goal(0.33, "capnweb")),
    ),
    Row(
        "hand out",
        "hand out an object, call it, release it, 64 in flight",
        {
            name: load(name, f"{name} hand out", *B, *BATCHES)
            for name in ("pbweb", "twisted", "capnweb")
        },
        (Goal(0.15, "twisted"), Goal(0.2, "capnweb")),
    ),
    Row(
        "payload 1 KiB a",
        "1 KiB of plain JSON both ways, one call after the other",
        beside_limit1("pbweb", *A, "--payload", "1 KiB"),
        limit1(0.6),
    ),
    Row(
        "payload 1 KiB b",
        "1 KiB of plain JSON both ways, 64 in flight",
        beside_limit1("pbweb", *B, "--payload", "1 KiB"),
        limit1(0.6),
    ),
    Row(
        "payload 64 KiB",
        "64 KiB of plain JSON both ways, 4 in flight",
        beside_limit1("pbweb", "--in-flight", "4", "--payload", "64 KiB"),
        limit1(1.0),
    ),
    Row(
        "payload 1 MiB",
        "1 MiB of plain JSON both ways, one call after the other",
        beside_limit1("pbweb", *A, "--payload", "1 MiB"),
        limit1(1.0),
    ),
    Row(
        "bytes",
        "1 MiB of bytes both ways, one call after the other",
        {
            "pbweb": load("pbweb", "pbweb bytes", "--payload", "bytes of 1 MiB"),
            "binary": load("binary", "raw bytes", "--payload", "bytes of 1 MiB"),
            "limit1": load("limit1", "raw bytes", "--payload", "bytes of 1 MiB"),
        },
        (Goal(1.1, "binary"),),
    ),
    Row(
        "fan-out",
        "one message to 1,000 clients (a Group), a delivery",
        to_all("pbweb listener"),
        TO_ALL,
    ),
    Row(
        "live updates",
        "one change of a live object that 1,000 clients observe, a delivery",
        to_all("pbweb observer"),
        TO_ALL,
    ),
    Row(
        "bookkeeping",
        "numbering, acknowledging and keeping frames, inside the process, 64 calls a message",
        {"pbweb": module("bookkeeping", "--rounds", "{loops}")},
        (Goal(10),),
        figure="batch percent",
        unit="% of a call",
        also=("batch with", "batch without", "single percent", "single with", "single without"),
        rounds=3,
    ),
    Row(
        "python client a",
        "the Python client, one call after the other",
        {"pbweb": client("pbweb"), "twisted": client("twisted")},
        (Goal(2.5, "twisted", least=True),),
        figure="rate",
        unit="calls/s",
    ),
    Row(
        "python client b",
        "the Python client, 64 in flight",
        {"pbweb": client("pbweb", *B), "twisted": client("twisted", *B)},
        (Goal(8, "twisted", least=True),),
        figure="rate",
        unit="calls/s",
    ),
    *(
        Row(
            f"javascript {where.lower()}",
            f"the JavaScript client in {where}, encoding and decoding",
            javascript(where.lower()),
            tuple(Goal(0.5, "capnweb", figure=shape) for shape in SHAPES),
            figure=SHAPES[0],
            at_once=True,
        )
        for where in ("Node", "Chromium")
    ),
]

GROWTH = [
    Row(
        "connections",
        "10 and 1,000 connections, one call after the other on each",
        growing({"10": ("--connections", "10"), "1,000": MANY})
        | {
            "limit1 (10)": load("limit1", "raw", "--connections", "10"),
            "limit1 (1,000)": load("limit1", "raw", *MANY),
        },
        within("10", "1,000"),
        part="growth",
    ),
    Row(
        "references",
        "10 and 1,000 references held and called in turn, 64 in flight",
        growing({"10": (*B, "--held", "10"), "1,000": (*B, "--held", "1000")}, "pbweb held"),
        within("10", "1,000"),
        part="growth",
    ),
    Row(
        "in flight",
        "1 and 100 calls in flight on one connection",
        growing({"1": A, "100": ("--in-flight", "100")}),
        within("1", "100"),
        part="growth",
    ),
    Row(
        "waiting",
        "2 and 190 calls that wait, beside 64 in flight",
        growing(
            {
                "2": (*B, "--held", "2", "--method", "wait"),
                "190": (*B, "--held", "190", "--method", "wait"),
            },
            "pbweb held",
        ),
        within("2", "190"),
        part="growth",
    ),
]

LATENCY = [
    Row(
        "latency closed",
        "one call after the other on one connection",
        everybody("--latency"),
        part="latency",
        figure="p50",
        also=("p95", "p99", "p99.9"),
    ),
    Row(
        "latency open",
        "2,000 calls a second on 10 connections, counted from when each was due",
        everybody("--connections", "10", "--rate", "2000"),
        part="latency",
        figure="p50",
        also=("p95", "p99", "p99.9"),
    ),
]

MEMORY = [
    Row(
        "size",
        "the JavaScript client, minified and gzipped",
        {"pbweb": once("size")},
        (Goal(9),),
        part="memory",
        figure="all",
        unit="kB",
        rounds=1,
    ),
    Row(
        "idle",
        "an idle connection with its session, 5,000 of them",
        {
            "pbweb": idle("pbweb", "pbweb"),
            "mounted": idle("mounted", "pbweb"),
            "limit1": idle("limit1", "raw"),
            "twisted": idle("twisted", "twisted"),
            "capnweb": idle("capnweb", "capnweb"),
            "socketio": idle("socketio", "socketio"),
        },
        (Goal(8),),
        part="memory",
        figure="pss",
        unit="KiB",
        also=("rss",),
        rounds=3,
        fresh=True,
    ),
    Row(
        "parked",
        "a session without a connection, kept to be resumed, 5,000 of them",
        {"pbweb": parked()},
        (Goal(8),),
        part="memory",
        figure="pss",
        unit="KiB",
        also=("rss",),
        rounds=3,
        fresh=True,
    ),
    *(
        Row(
            f"slow reader {way}",
            f"a slow reader, that {what}",
            {"pbweb": slow_reader(way, clients)},
            (Goal(3.5),),
            part="memory",
            figure="rss",
            unit="MiB",
            rounds=1,
            fresh=True,
        )
        for way, what, clients in (
            ("asks", "asks for half a megabyte 256 times", 4),
            ("is pushed to", "is pushed 1 MB a second", 20),
            ("echoes", "sends 16 kB 256 times, to be echoed", 20),
            ("echoes much", "sends 1 MB 256 times, to be echoed", 2),
        )
    ),
    Row(
        "import",
        "import time of pbweb",
        {"pbweb": once("import")},
        (Goal(0.1),),
        part="memory",
        figure="seconds",
        unit="s",
        rounds=1,
    ),
]

EASE = [
    Row(
        "demo",
        "from a fresh clone to the demo in the browser, one command",
        {"pbweb": once("demo")},
        (Goal(120),),
        part="ease",
        figure="seconds",
        unit="s",
        rounds=1,
        in_quick_run=False,
    ),
]

ROWS = [*SPEED, *GROWTH, *LATENCY, *MEMORY, *EASE]

NOT_YET = {
    "a call relayed by a gateway over NATS": "there is no cluster yet",
    "all tests": "`make test` says how long it takes; goal: 10 minutes on 2 cores",
}
"""Rows of the goals that are not measured here, and why."""
