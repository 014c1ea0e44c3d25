"""Does what each who is known may do: python examples/login/client.py [URL]"""

from __future__ import annotations

import asyncio
import sys

import pbweb as pb


class Reader(pb.Referenceable):
    """The mind: what the avatar calls when something has changed."""

    def __init__(self) -> None:
        self.out = asyncio.Event()

    def remote_show(self, notices: list[dict[str, object]]) -> None:
        print("  the board has changed, the latest is from", notices[-1]["author"])

    def remote_loggedOut(self) -> None:
        self.out.set()


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        try:
            await connection.login(pb.UsernamePassword("alice", "a guess"))
        except pb.UnauthorizedLogin as error:
            print("UnauthorizedLogin:", error)

        # Calls need not wait for the login, and one connection can have several.
        guest = connection.login(pb.Anonymous())
        alice = connection.login(pb.UsernamePassword("alice", "wonderland"))
        bob = connection.login(pb.UsernamePassword("bob", "builder"))
        print(await guest.callRemote("whoami"), await alice.callRemote("whoami"))

        try:
            await guest.callRemote("post", "I was here")
        except pb.NoSuchMethod:
            print("a guest has no method to post with")

        await alice.callRemote("post", "Tea at four")
        latest = (await bob.callRemote("read"))[-1]
        try:
            await latest["notice"].callRemote("takeDown")
        except pb.Error as error:
            print("bob tries:", error.message)

        async with asyncio.timeout(60):
            await stay_by_token(connection, await bob.callRemote("getToken", 60))

        carol = connection.login(pb.UsernamePassword("carol", "chairwoman"))
        for listed in await carol.callRemote("read"):
            if listed["author"] == "alice":
                await listed["notice"].callRemote("takeDown")
        print("carol took down what alice had posted")


async def stay_by_token(connection: pb.Connection, token: str) -> None:
    """A login by a token lasts for as long as the token does, and is renewed with another."""
    reader = Reader()
    bob = await connection.login(pb.Token(token), reader)
    print("by a token:", await bob.callRemote("whoami"))
    await connection.renew(bob, pb.Token(await bob.callRemote("getToken", 1)))
    await bob.callRemote("post", "Back in a second")
    await reader.out.wait()
    try:
        await bob.callRemote("post", "Am I?")
    except pb.DeadReferenceError:
        print("the token has expired, and the avatar is dead")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
