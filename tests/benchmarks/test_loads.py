"""Every load of every row that meets a server of ours still runs against it. Nothing is timed."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from . import bookkeeping, chain, idle, parked, python_client, slow_reader
from .jobs import QUICK, Job
from .load import Failed, load_of, parser, percentiles
from .rows import ROWS
from .runner import Servers
from .servers import Cores

OURS = ("limit1", "pbweb", "mounted", "binary")
SIZE = asdict(replace(QUICK, many=20, idle=20))
ALL = [(row.key, name, job) for row in ROWS for name, job in row.jobs.items()]
LOADS = [one for one in ALL if "tests.benchmarks.load" in one[2].command and one[2].server in OURS]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    every = frozenset(Cores.of_this_machine().server | Cores.of_this_machine().load)
    started = Servers(Cores(every, every))
    yield started
    started.end_all()


def words(job: Job, servers: Servers) -> list[str]:
    """What stands behind the module's name."""
    server = servers.get(job.server)
    values = SIZE | {"url": server.url, "port": server.port, "pid": server.pid}
    return job.words(values)[3:]


@pytest.mark.parametrize(
    "job", [job for _, _, job in LOADS], ids=[f"{key}-{name}" for key, name, _ in LOADS]
)
def test_a_load_has_its_calls_answered(job, servers):
    arguments = parser().parse_args(words(job, servers))
    calls = 40 if "MiB" not in arguments.payload else 3

    async def run() -> int:
        return await load_of(arguments).run_calls(calls)

    assert asyncio.run(run()) >= calls


def test_a_load_that_gets_no_upgrade_says_what_the_server_said(servers):
    arguments = parser().parse_args(["raw bytes", servers.get("pbweb").url, "--pid", "1"])

    async def run() -> None:
        await load_of(arguments).run_calls(1)

    with pytest.raises(Failed, match="no upgrade"):
        asyncio.run(run())


def test_percentiles_are_those_of_the_sorted_times():
    times = [number / 1e6 for number in range(1000, 0, -1)]
    assert percentiles(times) == pytest.approx({"p50": 501, "p95": 951, "p99": 991, "p99.9": 1000})


@pytest.mark.parametrize("what", ["pbweb", "mounted", "limit1"])
def test_idle_connections_have_their_session(what, servers):
    async def run() -> int:
        opened = await idle.open_many(
            20, "raw" if what == "limit1" else "pbweb", servers.get(what).url
        )
        await idle.close(opened)
        return sum(one.wire.ready for one in opened)

    assert asyncio.run(run()) == 20


@pytest.mark.parametrize("way", slow_reader.WAYS)
def test_a_slow_reader_is_looked_at(way, servers):
    server = servers.get("pbweb")
    arguments = ["--pid", str(server.pid), "--clients", "1", "--seconds", "0"]
    given = slow_reader.parser().parse_args([way, server.url, *arguments])
    assert set(asyncio.run(slow_reader.run(given))) == {"rss", "pss"}


def test_sessions_are_parked(servers):
    server = servers.get("parking")
    arguments = ["--pid", str(server.pid), "--sessions", "20", "--before", "5"]
    given = parked.parser().parse_args([server.url, *arguments])
    assert set(asyncio.run(parked.run(given))) == {"rss", "pss"}


def test_a_chain_is_one_round_trip(servers):
    port = servers.get("pbweb").port
    assert asyncio.run(chain.run("pbweb", port, 5))["round trips"] == 1


def test_the_python_client_makes_calls(servers):
    given = python_client.parser().parse_args(["calls", servers.get("pbweb").url, "--seconds", "0"])
    assert set(asyncio.run(python_client.run(given))) == {"rate"}


@pytest.mark.parametrize("calls", [1, 64])
def test_a_bare_session_answers_and_keeps_no_books(calls):
    whole, bare = (
        bookkeeping.opened(bookkeeping.Session),
        bookkeeping.opened(bookkeeping.BareSession),
    )
    made = {}
    for session in (whole, bare):
        made[session] = []
        for message in bookkeeping.batches(1, calls):
            session.receive(message)
            made[session] += session.messages()
    answers = b"".join(data for data, _ in made[bare])
    assert answers.count(b'"hello network"') == bookkeeping.CALLS
    assert b'"ack"' in b"".join(data for data, _ in made[whole])
    assert b'"ack"' not in answers
    assert (whole.received, whole.sent) == (64, 64)
    assert (bare.received, bare.sent, bare.window.kept, bare.receipts.timer) == (0, 0, [], None)
    assert not bare.broker.answering.named


def test_what_bookkeeping_costs_is_measured_on_sessions_that_live():
    assert min(*bookkeeping.cost(64, 3), *bookkeeping.cost(1, 3)) > 0


def test_every_job_is_a_module_of_this_folder_or_a_peer():
    for _, _, job in ALL:
        if job.command[0] == sys.executable:
            assert job.command[1:3] == ("-m", job.command[2])
            assert job.command[2].startswith("tests.benchmarks.")
