"""README's first steps, run as they stand there: the server, the page, the Python program."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

from playwright.sync_api import Page

from tests.e2e.chromium import PROJECT
from tests.e2e.conftest import Complaints, Start, environment

README = (PROJECT / "README.md").read_text()


def block(language: str, beginning: str) -> str:
    """The one block of README in *language* that begins so."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = [text for text in blocks if text.startswith(beginning)]
    return found


def test_the_first_steps_work_as_they_stand_in_readme(
    start: Start, page: Page, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expected = [r"404 .*/favicon\.ico"]  # a page of two lines has no icon
    (tmp_path / "app.py").write_text(block("python", "# app.py"))
    (tmp_path / "index.html").write_text("<!doctype html>\n" + block("html", "<script"))
    gateway = start("app:One", cwd=tmp_path)

    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    with page.expect_console_message(lambda message: message.text == "12"):
        page.goto(gateway.page)
    assert [text for text in printed if text in ("36", "12")] == ["36", "12"]

    body = textwrap.indent(block("python", "async with pb.connect"), "    ")
    program = (
        f"import asyncio\nimport pbweb as pb\nasync def main():\n{body}\nasyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program.replace("localhost:8000", gateway.address)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == ("36\n", "")
