"""README's first call, run as it stands there: the server, the page, the Python program."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.chromium import PROJECT
from tests.e2e.conftest import Start, environment

README = (PROJECT / "README.md").read_text()
PYTHON_LINES, HTML_LINES = 12, 6  # that make a first call, blank ones too


def block(language: str, beginning: str) -> str:
    """The one block of README in *language* that begins so."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = [text for text in blocks if text.startswith(beginning)]
    return found


def test_the_first_call_works_as_it_stands_in_readme(
    start: Start, page: Page, tmp_path: Path
) -> None:
    app, html = block("python", "# app.py"), block("html", "<!doctype html>")
    assert len(app.splitlines()) <= PYTHON_LINES
    assert len(html.splitlines()) <= HTML_LINES
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "index.html").write_text(html)
    command = block("sh", ".venv/bin/pbweb serve").split()
    assert command[:2] == [".venv/bin/pbweb", "serve"]
    gateway = start(*command[2:], cwd=tmp_path)

    page.goto(gateway.page)
    expect(page.locator("body")).to_have_text("36")

    body = textwrap.indent(block("python", "async with pb.connect"), "    ")
    program = (
        f"import asyncio\nimport pbweb as pb\nasync def main():\n{body}\nasyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program.replace("localhost:8000", gateway.address)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.stdout, ended.stderr) == ("36\n", "")


def test_the_first_call_is_formatted_as_all_our_code() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--stdin-filename", "app.py", "-"],
        input=block("python", "# app.py"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_commands_at_the_top_are_those_of_the_makefile() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", block("sh", "make demo"), re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in [*targets, *re.findall(r"`make (\w+)`", README)]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"there is no make {target}"


def test_the_benchmark_has_its_place() -> None:
    begin, end = "<!-- benchmark table -->", "<!-- /benchmark table -->"
    assert README.count(begin) == README.count(end) == 1
    assert "| **pbweb** |" in README.partition(begin)[2].partition(end)[0]
