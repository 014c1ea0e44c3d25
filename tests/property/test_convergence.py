"""However often connections break, every copy becomes what its original is.

1,000 rounds with 20 observers (promise R15 of the design). In each, objects of all kinds change at
random, and connections are cut at any byte; sessions are resumed at once or some rounds later, and
now and then one ends and another begins. At the end of a round who is connected has, digest by
digest, what the owner has; and each update of a hook has come once, in its order.
"""

from hashlib import sha256
from random import Random

import orjson

import pbweb as pb
from pbweb.testing import SteppedRuntime, _acknowledge_now
from pbweb.tracking import plain
from tests.property.resumable import ResumablePair

ROUNDS = 1_000
OBSERVERS = 20
LIMITS = pb.Limits(resume_window=60, heartbeat=1e9)


@pb.live
class Board:
    """Gets to slow readers as the latest state."""

    title: str
    cards: list
    labels: dict


@pb.live(delivery="all")
class Ledger:
    """Gets to slow readers as every update."""

    lines: list
    total: int


class Journal(pb.Cacheable):
    """Told by hand: each entry has a number."""

    def __init__(self):
        self.entries = []
        self.observers = []

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.observers.append(observer)
        return list(self.entries)

    def stoppedObserving(self, perspective, observer):
        self.observers.remove(observer)

    def write(self, text):
        self.entries.append(text)
        for observer in self.observers:
            observer.callRemoteOnly("write", len(self.entries) - 1, text)


class JournalCopy(pb.RemoteCache):
    def setCopyableState(self, state):
        self.entries = state

    def observe_write(self, number, text):
        assert number == len(self.entries), "an update was left out, or came twice"
        self.entries.append(text)


class World(pb.Root):
    """The originals, and how they change."""

    def __init__(self, random):
        self.random = random
        self.board = Board("", [], {})
        self.ledger = Ledger([], 0)
        self.journal = Journal()

    def remote_all(self):
        return [self.board, self.ledger, self.journal]

    def change(self, number):
        random, board, ledger = self.random, self.board, self.ledger
        what = random.randrange(9)
        if what == 0:
            board.title = f"title {number}"
        elif what == 1:
            board.cards.append({"text": f"card {number}", "votes": [number]})
        elif what == 2 and board.cards:
            random.choice(board.cards)["votes"].append(number)
        elif what == 3 and board.cards:
            at = random.randrange(len(board.cards))
            board.cards.insert(random.randrange(len(board.cards)), board.cards.pop(at))
        elif what == 4 and len(board.cards) > 5:
            del board.cards[random.randrange(len(board.cards)) :: 2]
        elif what == 5:
            board.labels[f"label {random.randrange(10)}"] = number
        elif what == 6 and board.labels:
            board.labels.pop(random.choice(sorted(board.labels)))
        elif what == 7:
            ledger.total += number
            ledger.lines.append(number)
            del ledger.lines[:-8]
        else:
            self.journal.write(f"entry {number}")

    def digests(self):
        return [digest(plain(self.board)), digest(plain(self.ledger)), digest(self.journal.entries)]


def digest(value):
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Observer:
    """One client with its copies, on a connection that breaks."""

    def __init__(self, world, runtime):
        self.both = ResumablePair(
            lambda session: session.broker.setNameForLocal("root", world),
            limits=LIMITS,
            runtime=runtime,
        )
        self.both.client.broker.options.registry.setUnjellyableForClass(Journal, JournalCopy)
        promise = self.both.client.broker.remoteForName("root").callRemote("all")
        self.both.settle()
        self.copies = promise.result()
        self.away = 0  # rounds that it stays away

    def digests(self):
        board, ledger, journal = self.copies
        return [digest(board.snapshot()), digest(ledger.snapshot()), digest(journal.entries)]

    def breaks(self, random):
        """Lose the connection, with all but some bytes of what is on its way."""
        self.both.runtime.run()
        self.both.flush()
        self.both.cut(up=random.randrange(200), down=random.randrange(2000))

    def acknowledges(self):
        for session in (self.both.client, self.both.server):
            _acknowledge_now(session)
        self.both.settle()

    def ends(self):
        self.both.client.end("it has seen enough")
        self.both.server.end("it has seen enough")


def test_copies_become_what_their_originals_are():
    random = Random(15)
    runtime = SteppedRuntime()
    world = World(random)
    observers = [Observer(world, runtime) for _ in range(OBSERVERS)]
    everybody = list(observers)
    compared = broken = 0
    for number in range(ROUNDS):
        for _ in range(random.randrange(1, 6)):
            world.change(number)
            if random.random() < 0.3:
                runtime.run()  # another turn, another update
        for one in observers:
            if one.away:
                one.away -= 1
            elif random.random() < 0.2:
                broken += 1
                one.breaks(random)
                one.away = random.randrange(4)
        if random.random() < 0.05:
            at = random.randrange(OBSERVERS)
            observers[at].ends()
            observers[at] = Observer(world, runtime)
            everybody.append(observers[at])
        wanted = world.digests()
        for one in observers:
            if not one.away:
                one.both.settle()
                if random.random() < 0.3:
                    one.acknowledges()
                assert not one.both.server.ended, one.both.server.closing
                assert one.digests() == wanted, number
                compared += 1
    assert compared > ROUNDS * OBSERVERS / 2
    assert broken > ROUNDS
    resumed = sum(one.both.changes["client"].count("live") for one in everybody)
    assert broken - len(everybody) <= resumed <= broken  # an observer may be away when it ends
    assert runtime.reports == []
    for one in observers:
        one.ends()
    assert world.journal.observers == []
    assert world.board._pbOps is None
    assert world.ledger._pbOps is None
