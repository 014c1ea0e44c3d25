"""Gets an object from the server and calls it: python examples/references/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        one = await connection.getRootObject()

        two = await one.callRemote("getTwo")
        print("two is a", type(two).__name__)
        print("two.three(12) =", await two.callRemote("three", 12))

        # The same in one round trip: the second call names the answer of the first.
        print("in one trip:", await one.callRemote("getTwo").callRemote("three", 12))

        # The sugared form of callRemote("three", 5).
        print("pb.remote(two).three(5) =", await pb.remote(two).three(5))

        # The server may forget its Two now; without this, when Python collects the reference.
        two.release()
        try:
            await two.callRemote("three", 12)
        except pb.DeadReferenceError as error:
            print("after release():", type(error).__name__)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
