"""Exceptions that cross: expected ones, unexpected ones, and objects that may not cross.

pbweb serve examples.exceptions.app:One
"""

import pbweb as pb


class MyError(pb.Error):
    """A subclass of pb.Error is expected: it is sent to the caller and not logged here."""


class MyException(pb.Error):
    """One that the clients of this example know and register by its name."""


class One(pb.Root):
    def remote_fooMethod(self, argument: str) -> str:
        if argument == "panic!":
            raise MyException("do not panic")
        return "response"

    def remote_broken(self) -> None:
        raise MyError("fall down go boom")

    def remote_broken2(self) -> float:
        """A mistake: the caller gets its type and text, and the log here gets the traceback."""
        return 1 / 0
