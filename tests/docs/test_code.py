"""The code of the documentation: of some pages all of it is run, of all others it is read."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.docs.follower import (
    BIN,
    ONLY_NAMED,
    PROJECT,
    Follower,
    blocks,
    caption,
    commands,
    in_node,
    language,
    node,
)
from tests.e2e.conftest import browser  # noqa: F401

DOCS = PROJECT / "docs"
FOLLOWED = sorted([DOCS / "index.md", *DOCS.glob("tutorial/*.md"), *DOCS.glob("howto/*.md")])
READ = sorted(
    path
    for path in [*DOCS.rglob("*.md"), PROJECT / "README.md", PROJECT / "ARCHITECTURE.md"]
    if path not in FOLLOWED and "node_modules" not in path.parts
)


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("page", FOLLOWED, ids=name)
def test_a_reader_who_follows_the_page_gets_there(
    page: Path,
    tmp_path: Path,
    browser: Browser,  # noqa: F811
) -> None:
    assert blocks(page), "there is nothing to do on this page"
    with Follower(page, tmp_path, browser) as follower:
        follower.follow()


def scripts(page: Path) -> Iterator[tuple[str, str]]:
    """The JavaScript of *page*, that in its HTML too, with the place."""
    for block in blocks(page):
        if language(block) == "js":
            yield f"{name(page)}:{block.line}", str(block.parsed)
        elif language(block) == "html":
            for script in re.findall(r"<script[^>]*>(.*?)</script>", block.parsed, re.DOTALL):
                yield f"{name(page)}:{block.line}", script


@pytest.mark.parametrize("page", READ, ids=name)
def test_python_of_the_other_pages_compiles(page: Path) -> None:
    for block in blocks(page):
        if language(block) == "python":
            compile(
                "\n" * block.line + block.parsed,
                str(page),
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            )


@pytest.mark.parametrize("page", [*READ, *FOLLOWED], ids=name)
def test_commands_exist(page: Path) -> None:
    for block in blocks(page):
        if language(block) == "sh":
            for words in commands(block):
                command = words[0].rpartition("/")[2]
                assert command in ONLY_NAMED or (
                    shutil.which(command, path=str(BIN)) or shutil.which(command)
                ), f"{name(page)}:{block.line}: {command}"


def test_javascript_of_the_other_pages_is_javascript() -> None:
    found = [(where, script) for page in READ for where, script in scripts(page)]
    assert found
    for where, script in found:
        try:
            node(in_node(script), "--check")
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from None


def test_files_have_names() -> None:
    """A page of HTML is a file; everything else that is no file runs by itself."""
    for page in FOLLOWED:
        for block in blocks(page):
            assert language(block) != "html" or caption(block), f"{name(page)}:{block.line}"
