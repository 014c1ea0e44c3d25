"""Is left by its server: python examples/stale/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        root = await connection.getRootObject()
        root.notifyOnDisconnect(lambda ref: print("notifyOnDisconnect: the reference is dead"))

        waiting = root.callRemote("waitForever")
        root.callRemoteOnly("goAway")

        # A call in progress ends, and says what is known of it.
        try:
            await waiting
        except pb.PBConnectionLost as error:
            print("the call in progress: PBConnectionLost,", error.outcome)

        # A later one is not even tried.
        try:
            await root.callRemote("waitForever")
        except pb.DeadReferenceError:
            print("a later call: DeadReferenceError")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
