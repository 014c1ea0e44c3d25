"""What is sent: a greeting, lists of records of three sizes, and bytes."""

from __future__ import annotations

import orjson

NAMES = ("text", "1 KiB", "64 KiB", "1 MiB", "bytes of 1 MiB")
MESSAGE = 1_048_576 - 4096
"""A mebibyte, less what a frame has around it: the whole message is to be within the limit."""


def payload(name: str) -> bytes:
    """The JSON of the argument called *name*, or the bytes themselves."""
    if name == "text":
        return b'"hello network"'
    if name == "bytes of 1 MiB":
        return bytes(range(256)) * (MESSAGE // 256)
    return records({"1 KiB": 1024, "64 KiB": 65_536, "1 MiB": MESSAGE}[name])


def records(size: int) -> bytes:
    """A list of records, as long as fit into *size* bytes of JSON."""
    made: list[bytes] = []
    left = size - 2
    while True:
        number = len(made)
        one = orjson.dumps({"id": number, "name": f"item {number}", "ok": True})
        left -= len(one) + 1
        if left < 0:
            return b"[" + b",".join(made) + b"]"
        made.append(one)
