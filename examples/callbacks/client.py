"""Lends the server an object and a function: python examples/callbacks/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


class Two(pb.Referenceable):
    def remote_print(self, number: int) -> str:
        print("Two.print was called by the server with", number)
        return f"printed {number}"


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        one = await connection.getRootObject()
        print("takeTwo answers:", await one.callRemote("takeTwo", Two()))

        def report(number: int) -> None:
            print("the server counts:", number)

        print("countDown answers:", await one.callRemote("countDown", 3, report))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
