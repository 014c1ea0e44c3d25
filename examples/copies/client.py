"""Gets copies and gives copies: python examples/copies/client.py [URL]"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import pbweb as pb


class ReceiverPond(pb.RemoteCopy):
    """What the server's ponds arrive as: attributes from there, methods from here."""

    frogsAndToads: int

    def count(self) -> int:
        return self.frogsAndToads


@pb.copyable(name="pond.Animal")
@dataclass
class Animal:
    """This side's class of that name, for both directions."""

    name: str
    grams: float
    friend: Animal | None = None


class TooHeavy(pb.Error, pb.RemoteCopy):
    most: float


pb.setUnjellyableForClass("pond.FrogPond", ReceiverPond)
pb.setUnjellyableForClass("pond.TooHeavy", TooHeavy)


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        root = await connection.getRootObject()

        pond = await root.callRemote("getPond")
        print(f"a {type(pond).__name__} with {vars(pond)}, so count() is {pond.count()}")

        # What is one object there is one object here, and the other way round.
        kermit, robin = await root.callRemote("getFriends")
        print("friends of each other:", kermit.friend is robin and robin.friend is kermit)
        print("and at the server again:", await root.callRemote("areFriends", kermit, robin))

        print(await root.callRemote("sit", Animal("Hyla", 12.5)))

        try:
            await root.callRemote("sit", Animal("Hyla", "twelve"))  # type: ignore[arg-type]
        except pb.InsecureJelly as error:
            print("InsecureJelly:", error)

        try:
            await root.callRemote("sit", Animal("Bufo", 1200))
        except TooHeavy as error:
            print(f"TooHeavy: {error}, {error.most:g} g at most")

        try:
            await root.callRemote("getStork")
        except pb.InsecureJelly as error:
            print("InsecureJelly:", error)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
