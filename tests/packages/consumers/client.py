"""The client of somebody who has installed the wheel; prints where it found pbweb, and results."""

import asyncio
import sys

import pbweb as pb


class Mine(pb.Referenceable):
    def remote_print(self, number: int) -> int:
        return number


async def main(url: str) -> None:
    async with pb.connect(url) as connection:
        one = await connection.getRootObject()
        print(await one.callRemote("getTwo").callRemote("three", 12))
        print(await one.callRemote("takeTwo", Mine()))


print(pb.__file__)
asyncio.run(main(sys.argv[1]))
