"""What `make demo` serves, and beside it a Root to play with and the server's own tables."""

from collections import Counter
from typing import Any

import pbweb as pb
from examples import demo

brokers: list[pb.Broker] = []


class Watched(pb.Root):
    """Another root, whose sessions can be looked into."""

    def __init__(self, root: pb.Root) -> None:
        self.root = root

    def rootObject(self, broker: pb.Broker) -> pb.Referenceable:
        brokers.append(broker)
        return self.root.rootObject(broker)


class Thing(pb.Referenceable):
    def remote_touch(self) -> str:
        return "touched"


class Pond(pb.Cacheable):
    """Tells its copies that it was stirred."""

    pbType = "keeper.Pond"

    def __init__(self) -> None:
        self.observers: list[pb.RemoteCacheObserver] = []

    def getStateToCacheAndObserveFor(
        self, perspective: object, observer: pb.RemoteCacheObserver
    ) -> object:
        self.observers.append(observer)
        return {}

    def stoppedObserving(self, perspective: object, observer: pb.RemoteCacheObserver) -> None:
        self.observers.remove(observer)


class PondOfAPage(pb.RemoteCache):
    """The server's copy of a page's own."""


pb.setUnjellyableForClass("keeper.PondOfAPage", PondOfAPage)


class Keeper(pb.Root):
    """Holds what it is given, and hands out what it has, until it is told to let go."""

    def __init__(self) -> None:
        self.same = Thing()
        self.pond = Pond()
        self.kept: list[object] = []

    def remote_keep(self, *things: object) -> None:
        self.kept += things

    def remote_drop(self) -> None:
        self.kept.clear()

    def remote_same(self) -> Thing:
        return self.same

    def remote_pond(self) -> Pond:
        return self.pond

    def remote_stir(self) -> None:
        for observer in self.pond.observers:
            observer.callRemoteOnly("stirred")

    def remote_make(self, number: int) -> list[Thing]:
        return [Thing() for _ in range(number)]

    def remote_echo(self, value: object) -> object:
        return value


def held_counts(broker: pb.Broker) -> dict[str, int]:
    """How often the server was handed each object: there is a reference for each avatar."""
    counts: Counter[str] = Counter()
    for held in broker.imports._held.values():
        if isinstance(held.luid, int):
            counts[str(held.luid)] += held.count
    return dict(counts)


def tables(broker: pb.Broker) -> dict[str, Any]:
    return {
        **broker.statistics(),
        "handed_out_counts": {
            str(luid): export.count for luid, export in broker.exports.numbered.items()
        },
        "held_counts": held_counts(broker),
        "caches_handed_out_counts": {
            str(luid): export.count for luid, export in broker.watched._by_luid.items()
        },
        "caches_held_counts": {
            str(luid): cache.count for luid, cache in broker.caches._by_luid.items()
        },
    }


class Tables(pb.Root):
    def remote_tables(self) -> list[dict[str, Any]]:
        """The tables of each session that has a connection.

        A page that a test before has closed, without letting it say so, leaves one that has none.
        """
        return [tables(broker) for broker in brokers if not broker.disconnected and not broker.away]


SERVICES = {
    path: Watched(root() if isinstance(root, type) else root)
    for path, root in demo.SERVICES.items()
} | {
    "/keeper/pb": Watched(Keeper()),
    "/tables/pb": Tables,
}
