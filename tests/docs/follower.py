"""Follows a page of the documentation as a reader would, block by block, in a folder of its own.

- A block with a ``:caption:`` is a file of that name.
- ``sh``: ``pbweb serve`` and ``uvicorn`` start a server, ``python``, ``pytest`` and ``node`` run to
  their end; other commands only have to exist.
- ``python`` without a caption is a cell: what it prints is kept, names live on in the page.
- ``js`` without a caption runs in Node; one that imports nothing goes on from the one before.
- ``html`` is opened in Chromium when a ``text`` comes before any other code: that is what it says
  on its console or, if it says nothing there, what it shows.
- ``text`` behind one of these is what was printed; ``…`` stands for anything.

``localhost:8000`` stands for the server that the page started last.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from playwright.sync_api import Browser
from sybil import Document, Example
from sybil.parsers.myst import CodeBlockParser

from tests.e2e.conftest import SECONDS, Gateway, environment, free_port

PROJECT = Path(__file__).resolve().parents[2]
CLIENT = PROJECT / "client_js"
LANGUAGES = ("python", "sh", "js", "html", "json", "text")
BIN = Path(sys.executable).parent
ONLY_NAMED = {"make", "npm", "pip", "git", "docker", "source", "cd"}
"""Commands that readers know and that change more than the page's folder: they are not run."""


def blocks(page: Path) -> list[Example]:
    """The code of *page* in its order."""
    parsers = [CodeBlockParser(language, _kept) for language in LANGUAGES]
    return list(Document.parse(str(page), *parsers).examples())


def _kept(_example: Example) -> None:
    """The evaluator that the library wants."""


def language(block: Example) -> str:
    return str(block.region.lexemes["arguments"])


def caption(block: Example) -> str | None:
    return (block.region.lexemes.get("options") or {}).get("caption")


def commands(block: Example) -> list[list[str]]:
    """The commands of a block of shell, without comments."""
    joined = block.parsed.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


class Follower:
    """One reader of one page."""

    def __init__(self, page: Path, folder: Path, browser: Browser) -> None:
        self.page = page
        self.folder = folder
        self.server: Gateway | None = None
        self._browser = browser
        self._stack = ExitStack()
        self._files: dict[str, str] = {}
        self._kernel: subprocess.Popen[str] | None = None
        self._module = ""
        self._printed_before = ""
        self._printed: str | None = None
        self._unread: str | None = None  # a page that was written and not opened
        self._tab: Tab | None = None

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stack.close()
        finally:
            if self.server is not None:
                self.server.stop()

    def follow(self) -> None:
        """Do what the page says; what does not come out as it says is an AssertionError."""
        for block in blocks(self.page):
            try:
                self._take(block)
            except (AssertionError, ValueError, SyntaxError) as error:
                raise AssertionError(f"{self.page.name}:{block.line}: {error}") from None

    def _write(self) -> None:
        for name, text in self._files.items():
            (self.folder / name).write_text(self.here(text))

    def here(self, text: str) -> str:
        """*text* with the address of the server that runs."""
        return text if self.server is None else text.replace("localhost:8000", self.server.address)

    def _take(self, block: Example) -> None:
        kind, file = language(block), caption(block)
        if kind == "text":
            self._compare(str(block.parsed))
            return
        self._printed = None
        if file is not None:
            self._files[file] = str(block.parsed)
            self._write()
            if kind == "html":
                self._unread = file
            elif file.endswith(".py"):
                compile(block.parsed, file, "exec")
        elif kind != "html":
            self._unread = self._unread if kind == "sh" else None
            getattr(self, f"_{kind}")(block)

    def _compare(self, expected: str) -> None:
        printed, self._printed = self._printed, None
        if self._unread is not None:
            assert self.server is not None, "a page needs a server"
            if self._tab is not None:
                self._tab.close()
            self._tab = self._stack.enter_context(closing(Tab(self._browser, self.server.page)))
            self._unread = None
            printed = self._tab.wait_for(lambda said: matches(self.here(expected), said))
        if printed is not None:
            assert matches(self.here(expected), printed), (
                f"the page says\n{expected}\nand what was printed is\n{printed}"
            )

    # ----------------------------------------------------------------- shell

    def _sh(self, block: Example) -> None:
        for words in commands(block):
            if (words[0] == "pbweb" and words[1] == "serve") or words[0] == "uvicorn":
                self._serve(words)
            elif words[:2] == ["node", "--test"]:
                self._printed = self._run_in_node(words)
            elif words[0] in ("python", "pytest", "pbweb") and words[1:3] != ["-m", "venv"]:
                self._printed = self._run(words)
            else:
                assert words[0] in {*ONLY_NAMED, "python"}, f"nobody knows the command {words[0]}"

    def _serve(self, words: list[str]) -> None:
        if self.server is not None:
            self.server.stop()
        port = free_port()
        command = [str(BIN / words[0]), *words[1:], "--port", str(port)]
        self.server = Gateway(command, port, self.folder / f"{port}.log", self.folder)
        self.server.wait_until_ready("/pb/pbweb.js")
        self._write()

    def _run(self, words: list[str]) -> str:
        ended = subprocess.run(
            [str(BIN / words[0]), *map(self.here, words[1:])],
            cwd=self.folder,
            env={**environment(), "COLUMNS": "80"},
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def _run_in_node(self, words: list[str]) -> str:
        file = self.folder / words[2]
        file.write_text(in_node(file.read_text()))
        ended = subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, timeout=2 * SECONDS
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    # ---------------------------------------------------------------- Python

    def _python(self, block: Example) -> None:
        kernel = self._kernel = self._kernel or self._start_kernel()
        assert kernel.stdin is not None
        assert kernel.stdout is not None
        kernel.stdin.write(json.dumps(self.here(block.parsed)) + "\n")
        kernel.stdin.flush()
        answer = json.loads(kernel.stdout.readline())
        assert answer["failed"] is None, answer["failed"]
        self._printed = answer["printed"]

    def _start_kernel(self) -> "subprocess.Popen[str]":
        """It ends when its standard input does, which the stack closes first."""
        kernel = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kernel.py"))],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert kernel.stdin is not None
        self._stack.enter_context(kernel)
        self._stack.callback(kernel.stdin.close)
        return kernel

    # ------------------------------------------------------------ JavaScript

    def _js(self, block: Example) -> None:
        goes_on = not block.parsed.lstrip().startswith("import ")
        if not goes_on:
            self._module = self._printed_before = ""
        self._module += self.here(block.parsed)
        address = "" if self.server is None else self.server.page
        printed = node(_PRELUDE.replace("ADDRESS", address) + in_node(self._module) + _END)
        self._printed = printed.removeprefix(self._printed_before)
        self._printed_before = printed

    def _json(self, block: Example) -> None:
        json.loads(block.parsed)


class Tab:
    """A page that stays open, and what it says."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._context = browser.new_context()
        self.page = self._context.new_page()
        self._said: list[str] = []
        self.page.on("console", lambda message: self._said.append(message.text))
        self.page.on("pageerror", lambda error: self._said.append(f"not caught: {error}"))
        self.page.goto(url)

    def close(self) -> None:
        self._context.close()

    def wait_for(self, is_it: Callable[[str], bool]) -> str:
        """What is on the console, or else on the page, when it is what is expected."""
        deadline = time.monotonic() + SECONDS
        while True:
            said = "\n".join(self._said) or self.page.inner_text("body")
            if is_it(said) or time.monotonic() > deadline:
                return said
            self.page.wait_for_timeout(20)


def matches(expected: str, printed: str) -> bool:
    pattern = re.escape(expected.strip()).replace("…", ".*")
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


_PRELUDE = f"""\
import WebSocket from {json.dumps((CLIENT / "node_modules/ws/wrapper.mjs").as_uri())};
globalThis.WebSocket ??= WebSocket;
globalThis.location = {{ href: "ADDRESS/" }};
"""
_END = "\nprocess.exit(0);\n"


def in_node(source: str) -> str:
    """*source* with the client where it lies."""
    client = json.dumps((CLIENT / "src/pbweb.js").as_uri())
    return re.sub(r'from "(pbweb|[./]*pb/pbweb\.js)"', f"from {client}", source)


def node(source: str, *options: str) -> str:
    """What a module prints that runs in Node."""
    found = shutil.which("node")
    assert found, "there is no node here"
    ended = subprocess.run(
        [found, *options, "--input-type=module", "-"],
        input=source,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
