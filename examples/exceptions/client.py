"""Calls what fails, and catches it: python examples/exceptions/client.py [URL]"""

import asyncio
import sys

import pbweb as pb


class MyException(pb.Error):
    """This side's class for the server's exception of the registered name."""


class Dangerous:
    """A class that was never made fit to cross: neither side would know what to do with it."""


pb.setUnjellyableForClass("examples.exceptions.app.MyException", MyException)


async def main(url: str = "ws://localhost:8000/pb") -> None:
    async with pb.connect(url) as connection:
        one = await connection.getRootObject()

        print("a safe object:", await one.callRemote("fooMethod", "safe"))

        try:
            await one.callRemote("fooMethod", Dangerous())
        except pb.InsecureJelly as error:
            print("InsecureJelly, before anything was sent:", error)

        # A registered class is raised as itself.
        try:
            await one.callRemote("fooMethod", "panic!")
        except MyException as error:
            print("MyException:", error.getErrorMessage())

        # Any other has its name; trap() says which it is, and raises what it was not asked for.
        try:
            await one.callRemote("broken")
        except pb.Error as error:
            print("trapped", error.trap(MyException, "examples.exceptions.app.MyError"))
            print(f"  type = {error.type}, getErrorMessage() = {error.getErrorMessage()}")

        # Unexpected ones come too, with the names of their base classes.
        try:
            await one.callRemote("broken2")
        except pb.Error as error:
            print("unexpected:", error.type, "-", error.getErrorMessage())
            print("  an ArithmeticError:", bool(error.check("builtins.ArithmeticError")))

        try:
            await one.callRemote("noSuchThing")
        except pb.NoSuchMethod as error:
            print("NoSuchMethod:", error)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
