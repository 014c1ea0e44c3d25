"""The server calls objects and functions that live at the caller's side.

pbweb serve examples.callbacks.app:One
"""

import pbweb as pb


class One(pb.Root):
    async def remote_takeTwo(self, two: pb.RemoteReference) -> object:
        """The caller waits for this call while it answers ours: neither holds up the other."""
        print("One.takeTwo was given", two)
        return await two.callRemote("print", 12)

    async def remote_countDown(self, start: int, report: pb.RemoteReference) -> str:
        """A plain function crosses as a reference too; calling it here runs it there."""
        for number in range(start, 0, -1):
            await report(number)
        return "lift-off"
