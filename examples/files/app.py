"""Files of any size, up and down, in constant memory: streams of bytes, in chunks.

pbweb serve examples.files.app:FilesRoot
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pbweb as pb

CHUNK = 65_536  # bytes of one item of a stream
PIECE = 1_048_576  # bytes that are written or read in one go, in a thread
MOST = 2 * 1024**3  # bytes that the files of everybody may take together
FILES = 20  # of one visitor


class FileError(pb.Error):
    """What somebody is told who asked for what cannot be."""


@dataclass
class Stored:
    """A file that was uploaded; nobody but its visitor reaches it, and it goes with them."""

    name: str
    file: IO[bytes]
    size: int = 0
    crc32: int = 0
    sha256: str = ""


async def pieces(chunks: pb.RemoteStream) -> AsyncIterator[bytes]:
    """What comes in *chunks*, in pieces that are worth the way to a thread."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        if not isinstance(chunk, bytes):
            raise FileError("a file is a stream of bytes")
        waiting.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


class FilesRoot(pb.Root):
    """One for each visitor."""

    used = 0  # bytes of the files of all visitors

    def __init__(self) -> None:
        self.files: dict[int, Stored] = {}
        self.uploads = 0
        self.last_crc32 = 0

    def rootObject(self, broker: pb.Broker) -> FilesRoot:
        broker.notifyOnDisconnect(self.clear)
        return self

    def clear(self) -> None:
        for number in list(self.files):
            self.drop(self.files.pop(number))

    @staticmethod
    def drop(stored: Stored) -> None:
        stored.file.close()
        FilesRoot.used -= stored.size

    # ------------------------------------------------------------------------ up

    async def remote_upload(self, name: str, chunks: pb.RemoteStream) -> dict[str, Any]:
        """Store a file, and say what it was. Who cancels the call leaves nothing behind."""
        if len(self.files) >= FILES:
            raise FileError(f"{FILES} files are kept for you, more are not")
        stored = Stored(str(name)[:200], tempfile.TemporaryFile())  # noqa: SIM115 it stays
        digest = hashlib.sha256()

        def store(piece: bytes) -> None:
            digest.update(piece)
            stored.crc32 = zlib.crc32(piece, stored.crc32)
            stored.file.write(piece)

        try:
            async with chunks:
                async for piece in pieces(chunks):
                    if FilesRoot.used + len(piece) > MOST:
                        raise FileError(f"there is no room: all files have {MOST} bytes at most")
                    FilesRoot.used += len(piece)
                    stored.size += len(piece)
                    await asyncio.to_thread(store, piece)
            stored.file.flush()
        except BaseException:
            self.drop(stored)
            raise
        stored.sha256 = digest.hexdigest()
        self.uploads += 1
        self.files[self.uploads] = stored
        return self.describe(self.uploads)

    def describe(self, number: int) -> dict[str, Any]:
        stored = self.files[number]
        return {
            "number": number,
            "name": stored.name,
            "size": stored.size,
            "crc32": stored.crc32,
            "sha256": stored.sha256,
        }

    def remote_delete(self, number: int) -> None:
        stored = self.files.pop(number, None)
        if stored is not None:
            self.drop(stored)

    # ---------------------------------------------------------------------- down

    async def remote_download(self, number: int) -> AsyncIterator[bytes]:
        """The bytes of a file that was uploaded."""
        stored = self.files.get(number)
        if stored is None:
            raise FileError("there is no such file")
        handle = os.dup(stored.file.fileno())  # of its own: the file may be deleted meanwhile
        try:
            self.last_crc32 = 0
            for at in range(0, stored.size, PIECE):
                piece = await asyncio.to_thread(os.pread, handle, PIECE, at)
                for chunk in self.chunks(piece):
                    yield chunk
        finally:
            os.close(handle)

    async def remote_generate(self, size: int) -> AsyncIterator[bytes]:
        """*size* bytes that nobody has stored."""
        self.last_crc32 = 0
        block = hashlib.shake_128(b"pbweb").digest(PIECE)
        for at in range(0, size, PIECE):
            for chunk in self.chunks(block[: size - at]):
                yield chunk

    def chunks(self, piece: bytes) -> list[bytes]:
        self.last_crc32 = zlib.crc32(piece, self.last_crc32)
        return [piece[at : at + CHUNK] for at in range(0, len(piece), CHUNK)]

    def remote_checksum(self) -> int:
        """The CRC-32 of what was downloaded last, to be compared."""
        return self.last_crc32

    # -------------------------------------------------------------------- memory

    def remote_memory(self) -> dict[str, int]:
        """What the server's process takes, and what it took at most, in bytes (Linux)."""
        found = {}
        for line in Path("/proc/self/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in ("VmRSS", "VmHWM"):
                found[key] = int(value.split()[0]) * 1024
        return {"now": found.get("VmRSS", 0), "most": found.get("VmHWM", 0)}
