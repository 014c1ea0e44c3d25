"""A bare client: speaks the wire with as little as possible, so that the server is measured.

Its frames are encoded beforehand and masked with zeros, which costs the server what any mask
does. It counts answers by searching for their names and acknowledges as a client has to.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import time
from typing import cast
from urllib.parse import urlsplit

import orjson

ACK_EVERY = 32


def masked(payload: bytes) -> bytes:
    """One WebSocket text frame of a client's."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 65536:
        head = bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class Client(asyncio.Protocol):
    """One connection that keeps a number of calls in flight."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.opened = False
        self.buffer = b""
        self.request = 0
        self.received = 0
        self.unacknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {self.load.path} HTTP/1.1\r\nHost: {self.load.host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: pb.json.1\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        if not self.opened:
            head, separator, data = data.partition(b"\r\n\r\n")
            if not separator:
                self.buffer = head
                return
            assert b" 101 " in head, head
            self.opened = True
            if self.load.pbweb:
                self.transport.write(masked(b'["version",1]'))
            self.call(self.load.in_flight)
        self.buffer = b""
        answers = self.parse(data)
        if answers:
            self.load.answered += answers
            if not self.load.ending:
                self.call(answers)

    def parse(self, data: bytes) -> int:
        """How many answers are in the whole frames of *data*; the rest is kept."""
        at, answers, end = 0, 0, len(data)
        while at + 2 <= end:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + size > end:
                break
            answers += data.count(self.load.mark, start, start + size)
            at = start + size
        self.buffer = data[at:]
        return answers

    def call(self, number: int) -> None:
        frames = []
        tail = self.load.tail
        for _ in range(number):
            self.request += 1
            frames.append(b'["message",%d%b' % (self.request, tail))
        if self.load.pbweb:
            self.received += number if self.request > self.load.in_flight else 0
            self.unacknowledged += number
            if self.unacknowledged >= ACK_EVERY:
                self.unacknowledged = 0
                frames.append(b'["ack",%d,%d]' % (self.received, self.request))
        if self.load.batches:
            text = frames[0] if len(frames) == 1 else b"[" + b",".join(frames) + b"]"
            self.transport.write(masked(text))
        else:
            self.transport.write(b"".join(map(masked, frames)))


class Load:
    """All connections of one load."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        url = urlsplit(arguments.url)
        self.host, self.path = url.netloc, url.path
        self.address, self.port = url.hostname, url.port
        self.pbweb = arguments.what == "pbweb"
        self.batches = arguments.batches
        self.in_flight = arguments.in_flight
        payload = orjson.dumps([arguments.payload])
        self.tail = b',"root","%b",%b]' % (arguments.method.encode(), payload)
        self.mark = b'"answer",' if self.pbweb else b'"message",'
        self.answered = 0
        self.ending = False

    async def run(self, connections: int, seconds: float, pid: int) -> dict[str, float]:
        """Warm up, then count calls, seconds, and CPU seconds of the server."""
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Client(self), self.address, self.port)
            for _ in range(connections)
        ]
        await asyncio.sleep(min(0.5, seconds / 4))
        calls, cpu, clock = self.answered, cpu_seconds(pid), time.perf_counter()
        await asyncio.sleep(seconds)
        result = {
            "calls": self.answered - calls,
            "cpu": cpu_seconds(pid) - cpu,
            "seconds": time.perf_counter() - clock,
        }
        self.ending = True
        for transport, _ in made:
            transport.abort()
        return result


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run one load and print its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["raw", "pbweb"])
    parser.add_argument("url")
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--method", default="echo")
    parser.add_argument("--payload", type=orjson.loads, default='"hello network"')
    arguments = parser.parse_args()
    if isinstance(arguments.payload, str) and arguments.payload.startswith('"'):
        arguments.payload = orjson.loads(arguments.payload)
    import uvloop

    result = uvloop.run(
        Load(arguments).run(arguments.connections, arguments.seconds, arguments.pid)
    )
    print(orjson.dumps(result).decode())


if __name__ == "__main__":
    main()
