"""How many round trips a chain of calls costs, each on what the one before returns, as a command.

The client of each system talks to its server through a proxy that holds everything up; the proxy
counts. What connecting costs is left out: a chain of one call, which is one round trip, is made
too, and what the longer one costs more is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import orjson

from .delay_proxy import DelayProxy
from .servers import PEERS, PEERS_PYTHON

DELAY_SECONDS = 0.02  # each way
CLIENT_SECONDS = 60.0


def command(what: str, port: int, length: int) -> list[str]:
    """The client of *what* that makes a chain of *length* calls at *port*."""
    if what == "pbweb":
        url = f"ws://127.0.0.1:{port}"
        module = "tests.benchmarks.python_client"
        return [sys.executable, "-m", module, "chain", url, "--length", str(length)]
    if what == "twisted":
        script = str(PEERS / "twisted_pb.py")
        return [PEERS_PYTHON, script, "chain", "--port", str(port), "--length", str(length)]
    return ["node", str(PEERS / "capnweb_peer.mjs"), "chain", str(port), str(length)]


async def measure(what: str, server_port: int, length: int) -> tuple[int, float]:
    """The round trips of a whole connection, and the seconds of the chain in it."""
    proxy = DelayProxy(server_port, DELAY_SECONDS)
    async with proxy.listening() as port:
        client = await asyncio.create_subprocess_exec(
            *command(what, port, length), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(client.communicate(), CLIENT_SECONDS)
    return proxy.round_trips, orjson.loads(said)["seconds"]


async def run(what: str, port: int, length: int) -> dict[str, float]:
    """The round trips of the chain, and its milliseconds."""
    single, _ = await measure(what, port, 1)
    whole, seconds = await measure(what, port, length)
    return {"round trips": whole - single + 1, "ms": seconds * 1000}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pbweb", "twisted", "capnweb"])
    parser.add_argument("--port", type=int, required=True, help="of the server")
    parser.add_argument("--length", type=int, default=5)
    given = parser.parse_args()
    print(orjson.dumps(asyncio.run(run(given.what, given.port, given.length))).decode())


if __name__ == "__main__":
    main()
