"""A real server, a real browser: every process that these fixtures start, they end by its id."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Frame, Page, expect, sync_playwright

from tests.e2e.chromium import PROJECT, find_chromium

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SECONDS = 60.0  # for what takes milliseconds on a quiet machine
SERVER_GOES = r"net::ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)"
"""What a page says of a server that is killed: not there, or gone in the midst of an answer."""


class Gateway:
    """A server in a process of its own."""

    def __init__(self, command: list[str], port: int, log: Path, cwd: Path = PROJECT) -> None:
        self.address = f"localhost:{port}"
        self.page = f"http://{self.address}"
        self.port = port
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def log(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self, path: str) -> None:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.page + path, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        pytest.fail(f"{self.page}{path} did not answer; the server said:\n{self.log()}")

    def wait_for_log(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.log():
            assert time.monotonic() < deadline, f"no {text!r} in the log:\n{self.log()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """As an operator does it; a server that does not end by itself is a failure."""
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            pytest.fail(f"the server did not end on SIGTERM; it said:\n{self.log()}")


def environment() -> dict[str, str]:
    """What a started program needs to find the checkout, installed or not."""
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "server")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pbweb_command() -> list[str]:
    """The installed command of this Python, or the same without an installation."""
    script = shutil.which("pbweb", path=str(Path(sys.executable).parent))
    return (
        [script] if script else [sys.executable, "-c", "from pbweb_server.cli import main; main()"]
    )


Start = Callable[..., Gateway]


@contextmanager
def starting(log_folder: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(
            *arguments: str,
            port: int = 0,
            command: list[str] | None = None,
            ready: str = "/readyz",
            cwd: Path = PROJECT,
        ) -> Gateway:
            port = port or free_port()
            command = command or [*pbweb_command(), "serve"]
            log = log_folder / f"{port}-{time.monotonic_ns()}.log"
            gateway = Gateway([*command, *arguments, "--port", str(port)], port, log, cwd)
            stack.callback(gateway.stop)
            gateway.wait_until_ready(ready)
            return gateway

        yield start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers for one test: start("examples.echo.app:EchoRoot")."""
    with starting(tmp_path) as starter:
        yield starter


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """What `make demo` serves."""
    with starting(tmp_path_factory.mktemp("demo")) as starter:
        yield starter("examples.demo:SERVICES", "--pages", "examples")


def run_client(path: str, *arguments: str) -> list[str]:
    """The lines that a Python client prints; one that complains about anything fails."""
    command = [sys.executable, "-W", "error", path, *arguments]
    ended = subprocess.run(
        command, cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout.splitlines()


# Not for the whole session: while Playwright is there an event loop runs in this thread, and the
# tests of other folders start loops of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    assert chromium, "no Chromium here; run: make chromium"
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


class Complaints:
    """What a page said on its console and did not catch; a test may expect some of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.expected: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"not caught: {error}"))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.seen.append(f"{message.type}: {message.text} ({message.location['url']})")

    def unexpected(self) -> list[str]:
        return [
            line
            for line in self.seen
            if not any(re.search(pattern, line) for pattern in self.expected)
        ]


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A tab of its own; the test fails when the page complained of anything."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        complaints.watch(page)
        yield page
        page.close()  # as a tab is: a context that goes alone is a browser that was killed
    assert complaints.unexpected() == []


@pytest.fixture
def other_page(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A second visitor's tab."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        complaints.watch(page)
        yield page
        page.close()


def complaints_of_axe(place: Page | Frame) -> list[str]:
    """What axe-core finds: contrast, roles, names, order, and whatever else a machine can tell."""
    results = Axe().run(place, options={"resultTypes": ["violations"], "iframes": False})
    return [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]
