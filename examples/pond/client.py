"""Gets a copy of the pond and sees it change: python examples/pond/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


class SlaveDuckPond(pb.RemoteCache):
    """The copy. What the original calls on its observers is called here, with ``observe_``."""

    def count(self) -> int:
        return len(self.cacheducks)

    def setCopyableState(self, state: object) -> None:
        print(" cache - sitting, er, setting ducks")
        assert isinstance(state, list)
        self.cacheducks = state

    def observe_addDuck(self, newDuck: str) -> None:
        print(" cache - addDuck", newDuck)
        self.cacheducks.append(newDuck)

    def observe_removeDuck(self, deadDuck: str) -> None:
        print(" cache - removeDuck", deadDuck)
        self.cacheducks.remove(deadDuck)


pb.setUnjellyableForClass("pond.DuckPond", SlaveDuckPond)


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        root = await connection.getRootObject()
        pond = await root.callRemote("getPond")
        before = pond.count()
        print("the copy is there; reading it needs no call")

        # What the server tells the copy comes before the answer, as it was made before it.
        await root.callRemote("addDuck", "ugly duckling")
        print("ducks more than before:", pond.count() - before)
        await root.callRemote("removeDuck", "ugly duckling")
        print("ducks more than before:", pond.count() - before)

        print("handed over again it is the same copy:", await root.callRemote("getPond") is pond)
        print("and at the server the original:", await root.callRemote("isOriginal", pond))

        copies = await root.callRemote("copies")
        pond.release()
        print("copies fewer:", copies - await root.callRemote("copies"))
        await root.callRemote("addDuck", "another duckling")  # nobody here is told
        await root.callRemote("removeDuck", "another duckling")
        print("ducks more than before:", pond.count() - before)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
