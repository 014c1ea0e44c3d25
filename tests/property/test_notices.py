"""However a session ends, whoever is to be told is told once, whatever the others do.

10,000 ends (promise R14 of the design), on a clock that stands still: told later is not told.
"""

from collections import Counter
from functools import partial
from random import Random

import pbweb as pb
from pbweb.checkers import AllowAnonymousAccess
from pbweb.errors import DeadReferenceError
from tests.property.resumable import ResumablePair

ENDS = 10_000
LIMITS = pb.Limits(resume_window=60, heartbeat=1e9)


class Fault(Exception):
    """What callbacks raise that are told."""


class Told:
    """Counts who was told in one session, and does harm meanwhile."""

    def __init__(self, random):
        self.random = random
        self.times = Counter()
        self.raised = 0
        self.refused = 0

    def hear(self, what):
        self.times[what] += 1
        if self.random.random() < 0.3:
            self.raised += 1
            raise self.random.choice((Fault, SystemExit, KeyError))(what)

    def again(self, broker):
        """A callback of *broker* that asks to be told once more of the end that it is told of."""
        try:
            broker.notifyOnDisconnect(partial(self.again, broker))
        except DeadReferenceError:
            self.refused += 1
        self.hear("again")


class Watched(pb.Cacheable):
    """Has observers, of which one may be handed over twice."""

    def __init__(self, told):
        self.told = told
        self.begun = 0

    def getStateToCacheAndObserveFor(self, perspective, observer):
        self.begun += 1
        return {}

    def stoppedObserving(self, perspective, observer):
        observer.callRemoteOnly("see", "what is told to nobody")
        self.told.hear(("stoppedObserving", id(self)))


class Seen(pb.RemoteCache):
    """The copy of a `Watched`."""


class Visitor(pb.Avatar):
    """Hands over what is observed."""

    def __init__(self, told):
        self.told = told
        self.watched = [Watched(told), Watched(told)]

    def perspective_watch(self):
        return [*self.watched, self.watched[0]]

    def perspective_thing(self):
        return pb.Referenceable()


class Realm:
    """Gives each session two avatars."""

    def __init__(self, told):
        self.told = told
        self.avatars = []

    def requestAvatar(self, avatarId, mind, *interfaces):
        avatar = Visitor(self.told)
        self.avatars.append(avatar)
        return pb.IPerspective, avatar, lambda: self.told.hear(("logout", id(avatar)))


def by_a_cut(both):
    """Both sides lose the connection for good."""
    both.client.end("cut")
    both.server.end("cut")


def by_the_client(both):
    both.client.close(1000, "the client has enough")


def by_the_server(both):
    both.server.broker.disconnect(4410, "the server has enough")


def by_a_fault(both):
    both.server.receive(b"[")


def by_the_window(both):
    """The connection breaks, and nobody comes back in time."""
    both.cut()
    both.runtime.advance(LIMITS.resume_window)


WAYS = [by_a_cut, by_the_client, by_the_server, by_a_fault, by_the_window]


def one_end(random, way):
    """Set all up that is to be told, end the session by *way*, and count."""
    told = Told(random)
    realm = Realm(told)
    portal = pb.Portal(realm, [AllowAnonymousAccess()])
    both = ResumablePair(
        lambda session: session.broker.setNameForLocal("root", portal.rootObject(session.broker)),
        limits=LIMITS,
    )
    both.client.broker.options.registry.setUnjellyableForClass(Watched, Seen)
    both.settle()
    root = both.client.broker.remoteForName("root")
    logins = [root.callRemote("login", "anonymous", {}) for _ in range(2)]
    watches = [login.callRemote("watch") for login in logins]
    thing = logins[0].callRemote("thing")
    both.settle()
    reference = thing.result()
    watched = [promise.result() for promise in watches]
    assert all(first is again for first, _, again in watched)

    for broker in (both.client.broker, both.server.broker):
        callbacks = [partial(told.hear, name) for name in ("first", "second")]
        callbacks.insert(random.randrange(3), partial(told.again, broker))
        for callback in callbacks:
            broker.notifyOnDisconnect(callback)
        broker.notifyOnDisconnect(never)
        broker.dontNotifyOnDisconnect(never)
    reference.notifyOnDisconnect(lambda of: told.hear(("of a reference", of is reference)))
    expected = {"again": 2, "first": 2, "second": 2, ("of a reference", True): 1}
    expected |= {("logout", id(avatar)): 1 for avatar in realm.avatars}
    expected |= {
        ("stoppedObserving", id(each)): 1 for avatar in realm.avatars for each in avatar.watched
    }
    assert len(expected) == 10
    assert not told.times

    way(both)
    both.runtime.run()
    both.flush()
    both.deliver(to_server=True)
    both.deliver(to_server=False)
    assert both.server.ended, way
    if way is not by_a_cut:
        both.client_loses()
        both.client.end("and so has the other side")
    assert told.times == expected, way
    assert told.refused == 2
    assert len(both.runtime.reports) == told.raised, way

    both.client.end("again")
    both.server.end("again")
    for each in watched:
        each[0].release()
    reference.release()
    both.runtime.advance(2 * LIMITS.resume_window)
    assert told.times == expected, way


def never():
    raise AssertionError("it was taken back")


def test_ten_thousand_ends_of_sessions_are_told_once():
    random = Random(14)
    for number in range(ENDS):
        one_end(random, WAYS[number % len(WAYS)])
