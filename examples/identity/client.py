"""Gives the server its own object back: python examples/identity/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


class Mine(pb.Referenceable):
    """An object of this client's."""


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        one = await connection.getRootObject()

        two = await one.callRemote("getTwo")
        again = await one.callRemote("getTwo")
        print("handed out twice, one reference here:", two is again)
        print("the server's Two comes home as itself:", await one.callRemote("checkTwo", two))

        mine = Mine()
        print("an object of ours is not that Two:", not await one.callRemote("checkTwo", mine))
        back = await one.callRemote("giveBack", [mine, {"deep": mine}])
        print("ours comes home as itself:", back[0] is mine and back[1]["deep"] is mine)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
