"""What docs/howto/live.md says about React, Svelte and Vue, with these, in a page."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import PROJECT, Gateway, Start

HERE = Path(__file__).resolve().parent / "frameworks"
HOWTO = PROJECT / "docs" / "howto" / "live.md"
FRAMEWORKS = ["react", "svelte", "vue"]
BLOCK = re.compile(r"(?ms)^```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)^```$")

INDEX = """
<!doctype html>
<link rel="icon" href="data:,">
<div id="react"></div><div id="svelte"></div><div id="vue"></div>
<script type="module" src="main.js"></script>
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, made of the code of the how-to and of main.jsx."""
    folder = tmp_path_factory.mktemp("frameworks")
    section = HOWTO.read_text().partition("\n## In a page")[2]
    files = dict(BLOCK.findall(section))
    del files["index.html"]  # the page without any of them
    assert set(files) == {"Board.jsx", "live.js", "Board.svelte", "useLive.js", "Board.vue"}
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "index.html").write_text(INDEX)
    shutil.copy(HERE / "main.jsx", folder)
    node = shutil.which("node")
    assert node, "there is no node here"
    ended = subprocess.run(
        [node, str(HERE / "build.mjs"), str(folder)], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return folder


@pytest.fixture
def server(start: Start, pages: Path) -> Gateway:
    return start("tests.e2e.frameworks.app:Boards", "--pages", str(pages))


def shown(page: Page, title: str, cards: list[str]) -> None:
    for framework in FRAMEWORKS:
        expect(page.locator(f"#{framework} h1")).to_have_text(title)
        expect(page.locator(f"#{framework} li")).to_have_text(cards)


def test_all_three_show_what_changes_until_they_are_taken_away(
    server: Gateway, page: Page, browser: Browser
) -> None:
    with browser.new_context() as context:
        other = context.new_page()
        for tab in (page, other):
            tab.goto(server.page)
            shown(tab, "Plan", ["tea"])
        assert page.evaluate("change('watchers')") == 2
        other.evaluate("Promise.all([change('rename', 'Shop'), change('add', 'cup')])")
        shown(page, "Shop", ["tea", "cup"])
        page.evaluate("change('write', 0, 'green tea')")
        for tab in (page, other):
            shown(tab, "Shop", ["green tea", "cup"])
        other.evaluate("leave()")
        for framework in FRAMEWORKS:
            expect(other.locator(f"#{framework} *")).to_have_count(0)
        assert page.evaluate("change('watchers')") == 1
        other.evaluate("change('rename', 'Still there')")
        shown(page, "Still there", ["green tea", "cup"])


def test_vue_puts_no_proxy_in_the_place_of_what_is_live(server: Gateway, page: Page) -> None:
    page.goto(server.page)
    shown(page, "Plan", ["tea"])
    assert page.evaluate("isItself()") is True
