"""What the runtimes call."""

from typing import Any

import pbweb as pb


class Root(pb.Root):
    """Gives back what it gets, and calls what it is given."""

    def remote_echo(self, value: Any) -> Any:
        return value

    async def remote_callBack(self, target: pb.RemoteReference, value: Any) -> Any:
        return await target.callRemote("print", value)
