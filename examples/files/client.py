"""Sends a file and gets it back: python examples/files/client.py [URL [FILE]]

Without a FILE it sends 64 MB that it makes.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pbweb as pb

CHUNK = 65_536
MADE = 64_000_000


async def chunks_of(path: str | None) -> AsyncIterator[bytes]:
    """The bytes of a file, or made ones."""
    if path is None:
        for at in range(0, MADE, CHUNK):
            yield bytes(min(CHUNK, MADE - at))
        return
    with await asyncio.to_thread(open, path, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


async def main(url: str = "ws://localhost:8000/pb", path: str | None = None) -> None:
    async with pb.connect(url) as connection:
        root = await connection.getRootObject()
        name = Path(path).name if path else "zeros.bin"

        stored = await root.callRemote("upload", name, chunks_of(path))
        print(f"the server stored {stored['size']} bytes of {stored['name']}")
        print(f"sha256 {stored['sha256']}")

        size = crc32 = 0
        async for chunk in root.callRemote("download", stored["number"]):
            size += len(chunk)
            crc32 = zlib.crc32(chunk, crc32)
        print(f"it sent back {size} bytes, the same: {crc32 == stored['crc32']}")

        # A thousand million bytes are on their way; this is enough of them.
        async with await root.callRemote("generate", 10**9) as stream:
            first = await anext(stream)
        print(f"of a stream of 10^9 bytes, {len(first)} were enough")

        await root.callRemote("delete", stored["number"])
        try:
            async for _ in root.callRemote("download", stored["number"]):
                pass
        except pb.Error as error:
            print("after it was deleted:", error)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
