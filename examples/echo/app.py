"""The smallest server: a root object with one method.

pbweb serve examples.echo.app:EchoRoot
"""

import pbweb as pb


class EchoRoot(pb.Root):
    """Callers reach the methods that begin with remote_, and nothing else."""

    def remote_echo(self, value: object) -> object:
        print("echoing:", value)
        return value
