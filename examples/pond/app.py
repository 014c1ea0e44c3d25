"""Perspective Broker's own example of a cache: a pond, of which every peer has a copy.

pbweb serve examples.pond.app:PondRoot
"""

import pbweb as pb

NAME = 24  # characters of a duck's name
DUCKS = 40  # on the pond


class PondError(pb.Error):
    """What somebody is told who asked for what cannot be."""


class MasterDuckPond(pb.Cacheable):
    """The original. Whoever has a copy of it observes it, and is told of every change."""

    pbType = "pond.DuckPond"

    def __init__(self, ducks: list[str]) -> None:
        self.observers: list[pb.RemoteCacheObserver] = []
        self.ducks = ducks

    def addDuck(self, duck: str) -> None:
        self.ducks.append(duck)
        for observer in self.observers:
            observer.callRemoteOnly("addDuck", duck)

    def removeDuck(self, duck: str) -> None:
        self.ducks.remove(duck)
        for observer in self.observers:
            observer.callRemoteOnly("removeDuck", duck)

    def getStateToCacheAndObserveFor(
        self, perspective: object, observer: pb.RemoteCacheObserver
    ) -> object:
        """What a new copy begins with; in the same breath its holder becomes an observer."""
        self.observers.append(observer)
        return self.ducks

    def stoppedObserving(self, perspective: object, observer: pb.RemoteCacheObserver) -> None:
        self.observers.remove(observer)


class PondRoot(pb.Root):
    """One pond for all."""

    def __init__(self) -> None:
        self.pond = MasterDuckPond(["Jemima", "Donald"])

    def remote_getPond(self) -> MasterDuckPond:
        return self.pond

    def remote_isOriginal(self, pond: object) -> bool:
        """Whether a copy that comes home is the pond itself."""
        return pond is self.pond

    def remote_copies(self) -> int:
        """How many peers have a copy."""
        return len(self.pond.observers)

    def remote_addDuck(self, duck: object) -> None:
        if not isinstance(duck, str) or not 0 < len(duck := duck.strip()) <= NAME:
            raise PondError(f"a duck's name has 1 to {NAME} characters")
        if duck in self.pond.ducks:
            raise PondError(f"{duck} is on the pond already")
        if len(self.pond.ducks) == DUCKS:
            raise PondError(f"the pond is full: {DUCKS} ducks are on it")
        self.pond.addDuck(duck)

    def remote_removeDuck(self, duck: str) -> None:
        if duck not in self.pond.ducks:
            raise PondError(f"{duck} is not on the pond")
        self.pond.removeDuck(duck)
