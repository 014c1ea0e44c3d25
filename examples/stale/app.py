"""What happens to calls and references when the server goes.

pbweb serve examples.stale.app:StaleRoot
"""

import asyncio

import pbweb as pb


class Visit(pb.Referenceable):
    """The root of one connection, so that it can end that connection and no other."""

    def __init__(self, broker: pb.Broker) -> None:
        self.broker = broker

    async def remote_waitForever(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            print("a call that nobody waits for any more was cancelled")

    def remote_goAway(self) -> None:
        self.broker.disconnect(reason="the server has had enough")


class StaleRoot(pb.Root):
    def rootObject(self, broker: pb.Broker) -> Visit:
        broker.notifyOnDisconnect(lambda: print("a visitor has gone"))
        return Visit(broker)
