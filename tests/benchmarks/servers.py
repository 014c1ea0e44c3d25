"""The servers that are measured, each a process on a core of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / "peers"
PEERS_PYTHON = str(PEERS / ".venv" / "bin" / "python")

COMMANDS = {
    "limit1": [sys.executable, "-m", "tests.benchmarks.apps", "limit1"],
    "pbweb": [sys.executable, "-m", "tests.benchmarks.apps", "pbweb"],
    "parking": [sys.executable, "-m", "tests.benchmarks.apps", "parking"],
    "mounted": [sys.executable, "-m", "tests.benchmarks.apps", "mounted"],
    "binary": [sys.executable, "-m", "tests.benchmarks.apps", "binary"],
    "twisted": [PEERS_PYTHON, str(PEERS / "twisted_pb.py"), "serve"],
    "capnweb": ["node", str(PEERS / "capnweb_peer.mjs"), "serve"],
    "socketio": [PEERS_PYTHON, str(PEERS / "socketio_server.py")],
    "picows": [PEERS_PYTHON, str(PEERS / "picows_echo.py")],
}


class Failed(Exception):
    """Something that is measured does not run; the text says why."""


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Where a load finds it; the path is the wire's business."""
        return f"ws://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Cores:
    """Which core the server has, and which ones everything else."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first one for the server, if there is more than one."""
        every = sorted(os.sched_getaffinity(0))
        return cls(frozenset(every[:1]), frozenset(every[1:] or every))


def environment() -> dict[str, str]:
    """Where the servers and loads of this folder find their modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "server")))}


@contextmanager
def serving(what: str, cores: Cores) -> Iterator[Server]:
    """A server called *what*, while the block lasts.

    Raises:
        Failed: it did not start.
    """
    with tempfile.TemporaryFile("w+") as said:
        try:
            process = subprocess.Popen(
                COMMANDS[what],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                cwd=ROOT,
                env=environment(),
                preexec_fn=lambda: os.sched_setaffinity(0, cores.server),
            )
        except OSError as error:
            raise Failed(f"the server {what} did not start: {error}") from None
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            port = line.rpartition(":")[2].strip()
            if not port.isdigit():
                said.seek(0)
                raise Failed(f"the server {what} did not start: {line}{said.read()[-500:]}")
            yield Server(process.pid, int(port))
        finally:
            stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """End a server, in order if it can."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def figures(command: list[str], timeout: float) -> str:
    """What *command* prints, on the cores of the load.

    Raises:
        Failed: it failed, or took too long.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[0]).name} {command[1]} took more than {timeout:g} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode:
        raise Failed(done.stderr.strip()[-500:] or f"exit code {done.returncode}")
    return done.stdout
