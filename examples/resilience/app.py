"""Calls and a live board that go on while connections break.

pbweb serve examples.resilience.app:ResilienceRoot
"""

import asyncio
import itertools
from collections import Counter, OrderedDict

import pbweb as pb

WORK = 0.8  # seconds that a call takes
BEAT = 1.0  # seconds between two steps of the counter, and two calls of a page
CRASH = 1.0  # seconds until a session is forgotten
PEOPLE = 50
NOTES = 6  # on the board
RECORDS = 200  # of pages, the newest
NUMBERS = 500  # of one page's calls that are told apart, the newest
KEY = 64  # characters of what a page calls itself
NAMES = ("Heron", "Otter", "Newt", "Swan", "Frog", "Teal", "Beaver", "Crane", "Toad", "Grebe")


class ResilienceError(pb.Error):
    """What somebody is told who asked for what cannot be."""


@pb.live
class Note:
    by: str
    number: int


@pb.live(name="resilience.Board")
class Board:
    """What all pages show."""

    beats: int
    people: list[str]
    notes: list[Note]


class Record:
    """What was really done for one page, whatever the page was told; it outlives its sessions."""

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()  # how often, by the numbers of the page's calls
        self.calls = 0  # of the page's that were done
        self.twice = 0  # of these, what was done before
        self.asked = 0  # calls of the server's on the page's object
        self.answered = 0
        self.sessions = 0

    def note(self, number: int) -> None:
        self.calls += 1
        self.twice += self.done[number] > 0
        self.done[number] += 1
        if len(self.done) > NUMBERS:
            del self.done[min(self.done)]


class Visit(pb.Referenceable):
    """The root of one session: it can break that session and no other."""

    def __init__(self, root: "ResilienceRoot", broker: pb.Broker) -> None:
        self.root = root
        self.broker = broker
        self.name = ""
        self.record = Record()
        self.beating: asyncio.Task[None] | None = None
        self.under_way: set[asyncio.Future[None]] = set()  # the work of calls

    def remote_join(self, key: object, listener: pb.RemoteReference) -> dict[str, object]:
        """The board, the name under which one is there, and the how many-th session this is.

        Args:
            key: what the page calls itself, also in a later session.
            listener: an object of the page's, whose ``beat`` is called with 1, 2, 3 … and with how
                many of the page's calls were done, and how many of them twice.
        """
        if not isinstance(key, str) or len(key) > KEY or self.beating is not None:
            raise ResilienceError(f"one joins once, with a key of at most {KEY} characters")
        self.name = self.root.come()
        self.record = self.root.record_of(key)
        self.record.sessions += 1
        self.beating = asyncio.create_task(self._beat(listener))
        self.broker.notifyOnDisconnect(self._leave)
        sessions = self.record.sessions
        return {"board": self.root.board, "you": self.name, "sessions": sessions}

    async def remote_work(self, number: object) -> dict[str, int]:
        """Put a note on the board, and answer a moment later: how often this was done, and all."""
        if self.beating is None or type(number) is not int:
            raise ResilienceError("who has joined works, with a number")
        self.record.note(number)
        self.root.write(self.name, number)
        work = asyncio.ensure_future(asyncio.sleep(WORK))
        self.under_way.add(work)
        work.add_done_callback(self.under_way.discard)
        await work
        record = self.record
        return {"times": record.done[number], "calls": record.calls, "twice": record.twice}

    def remote_record(self) -> dict[str, object]:
        """What was done in this page's sessions so far."""
        record = self.record
        return {
            "calls": record.calls,
            "twice": record.twice,
            "numbers": sorted(record.done),
            "asked": record.asked,
            "answered": record.answered,
        }

    async def remote_restart(self) -> None:
        """End this session as a server ends all of them that is told to stop: answers first."""
        while self.under_way:
            await asyncio.wait(self.under_way)
        self.broker.disconnect(1012, "The server restarts.")

    def remote_crash(self) -> None:
        """Forget this session a moment from now, as a server does all of them that is killed."""
        asyncio.get_running_loop().call_later(CRASH, self.broker.disconnect, 1012)

    async def _beat(self, listener: pb.RemoteReference) -> None:
        """One call after the other; while the page is away, the one that was made waits."""
        record = self.record
        while True:
            await asyncio.sleep(BEAT)
            record.asked += 1
            call = listener.callRemote("beat", record.asked, record.calls, record.twice)
            try:
                record.answered += await call == record.asked
            except (pb.PBConnectionLost, pb.DeadReferenceError):
                return

    def _leave(self) -> None:
        if self.beating is not None:
            self.beating.cancel()
        self.root.go(self.name)


class ResilienceRoot(pb.Root):
    """One board for all, and a visit for each session."""

    def __init__(self) -> None:
        self.board = Board(0, [], [])
        self.records: OrderedDict[str, Record] = OrderedDict()
        self.numbers = itertools.count(1)
        self.counting: asyncio.Task[None] | None = None

    def rootObject(self, broker: pb.Broker) -> pb.Referenceable:
        return Visit(self, broker)

    def come(self) -> str:
        """Somebody is there: their name. The counter runs while anybody is."""
        people = self.board.people
        if len(people) == PEOPLE:
            raise ResilienceError(f"{PEOPLE} people are here already")
        name = next((name for name in NAMES if name not in people), f"Guest {next(self.numbers)}")
        people.append(name)
        if self.counting is None:
            self.counting = asyncio.create_task(self._count())
        return name

    def go(self, name: str) -> None:
        self.board.people.remove(name)
        if not self.board.people and self.counting is not None:
            self.counting.cancel()
            self.counting = None

    def record_of(self, key: str) -> Record:
        record = self.records.pop(key, None) or Record()
        self.records[key] = record
        while len(self.records) > RECORDS:
            self.records.popitem(last=False)
        return record

    def write(self, name: str, number: int) -> None:
        self.board.notes.append(Note(name, number))
        del self.board.notes[:-NOTES]

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self.board.beats += 1
