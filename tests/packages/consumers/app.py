"""The server of somebody who has installed the wheel."""

import pbweb as pb


class Two(pb.Referenceable):
    def remote_three(self, number: int) -> int:
        return number * 3


class One(pb.Root):
    def remote_getTwo(self) -> Two:
        return Two()

    async def remote_takeTwo(self, two: pb.RemoteReference) -> int:
        result: int = await two.callRemote("print", 12)
        return result
