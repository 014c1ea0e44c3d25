"""`pbweb serve` in a process of its own, ended by its id."""

import asyncio
import http.client
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 60.0  # for what takes a second on a quiet machine


class Process:
    """A server and what it says."""

    def __init__(
        self, command: list[str], cwd: Path = PROJECT, env: Mapping[str, str] | None = None
    ) -> None:
        path = os.pathsep.join([str(PROJECT), str(PROJECT / "server")])
        self._popen = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {}), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0
        self.pid = self._popen.pid

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self.lines.append(line)
            self._fresh.put(line)
        self._fresh.put(None)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line with *pattern*."""
        while True:
            line = self._fresh.get(timeout=SECONDS)
            assert line is not None, f"the process ended and said:\n{self.output}"
            found = re.search(pattern, line)
            if found:
                return found

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        code = self._popen.wait(SECONDS)
        self._reader.join(SECONDS)
        assert self._popen.stdout is not None
        self._popen.stdout.close()
        return code

    def kill(self) -> None:
        """End it and what it started, which would hold its output open."""
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return


def pbweb(*arguments: str) -> list[str]:
    """The installed command of this Python, or the same without an installation."""
    script = shutil.which("pbweb", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "pbweb_server"]
    return [*command, *arguments]


def ask(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """The status, the headers by their lower-case names, and the body of the answer."""
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()
    finally:
        connection.close()


@contextmanager
def running(command: list[str], cwd: Path = PROJECT) -> Iterator[Process]:
    process = Process(command, cwd)
    try:
        yield process
    finally:
        process.kill()
        print(process.output)  # pytest shows it beside a test that failed


@contextmanager
def serving(
    *arguments: str, command: list[str] | None = None, cwd: Path = PROJECT
) -> Iterator[Process]:
    """`pbweb serve`, or another *command* that does it, on any port, when it listens."""
    with running([*(command or pbweb("serve")), *arguments, "--port", "0"], cwd) as process:
        found = process.wait_for(r"^pbweb serves http://(?:localhost|127\.0\.0\.1):(\d+)$")
        process.port = int(found[1])
        yield process
