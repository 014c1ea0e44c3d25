"""What `make demo` serves, and beside it a Root to play with and the server's own tables."""

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


class Keeper(pb.Root):
    """Holds what it is given, and hands out what it has, until it is told to let go."""

    def __init__(self) -> None:
        self.same = Thing()
        self.kept: list[object] = []

    def remote_keep(self, *things: object) -> None:
        self.kept += things

    def remote_drop(self) -> None:
        self.kept.clear()

    def remote_same(self) -> Thing:
        return self.same

    def remote_make(self, number: int) -> list[Thing]:
        return [Thing() for _ in range(number)]

    def remote_echo(self, value: object) -> object:
        return value


def tables(broker: pb.Broker) -> dict[str, Any]:
    return {
        **broker.statistics(),
        "handed_out_counts": {
            str(luid): export.count for luid, export in broker.exports.numbered.items()
        },
        "held_counts": {
            str(luid): held.count
            for luid, held in broker.imports._held.items()
            if isinstance(luid, int)
        },
    }


class Tables(pb.Root):
    def remote_tables(self) -> list[dict[str, Any]]:
        """The tables of each session that is not over."""
        return [tables(broker) for broker in brokers if not broker.disconnected]


SERVICES = {path: Watched(root()) for path, root in demo.SERVICES.items()} | {
    "/keeper/pb": Watched(Keeper()),
    "/tables/pb": Tables,
}
