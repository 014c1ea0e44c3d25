"""What the runtimes call."""

from collections.abc import AsyncIterator
from typing import Any

import pbweb as pb


class Pond(pb.Cacheable):
    """Its copies are told of every frog."""

    pbType = "Pond"

    def __init__(self) -> None:
        self.frogs = ["kermit"]
        self.observers: list[pb.RemoteCacheObserver] = []

    def getStateToCacheAndObserveFor(
        self, perspective: object, observer: pb.RemoteCacheObserver
    ) -> Any:
        self.observers.append(observer)
        return {"frogs": self.frogs}

    def stoppedObserving(self, perspective: object, observer: pb.RemoteCacheObserver) -> None:
        self.observers.remove(observer)


class PondCopy(pb.RemoteCache):
    frogs: list[str]

    def observe_add(self, frog: str) -> int:
        self.frogs.append(frog)
        return len(self.frogs)


pb.setUnjellyableForClass("Pond", PondCopy)


class Root(pb.Root):
    """Gives back what it gets, and calls what it is given."""

    def __init__(self) -> None:
        self.pond = Pond()
        self.held: PondCopy | None = None
        self.ended = 0

    def remote_getPond(self) -> Pond:
        return self.pond

    def remote_addFrog(self, frog: str) -> list[int]:
        self.pond.frogs.append(frog)
        for observer in self.pond.observers:
            observer.callRemoteOnly("add", frog)
        return [len(self.pond.frogs), len(self.pond.observers)]

    def remote_isPond(self, value: Any) -> bool:
        return value is self.pond

    def remote_hold(self, pond: PondCopy) -> PondCopy:
        self.held = pond
        return pond

    def remote_frogs(self) -> list[str]:
        assert self.held is not None
        return self.held.frogs

    def remote_letGo(self) -> None:
        assert self.held is not None
        self.held.release()

    async def remote_count(self, to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                yield number
        finally:
            self.ended += 1

    def remote_ended(self) -> int:
        return self.ended

    async def remote_sizes(self, stream: pb.RemoteStream) -> int:
        """What the chunks of bytes have together, or the numbers."""
        return sum([len(x) if isinstance(x, bytes) else x async for x in stream])

    def remote_echo(self, value: Any) -> Any:
        return value

    async def remote_callBack(self, target: pb.RemoteReference, value: Any) -> Any:
        return await target.callRemote("print", value)
