"""Calls the echo server: python examples/echo/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        root = await connection.getRootObject()
        print("the server says:", await root.callRemote("echo", "hello network"))
        print("and:", await root.callRemote("echo", {"numbers": [1, 2.5, 2**70], "none": None}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
