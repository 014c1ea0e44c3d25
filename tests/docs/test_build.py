"""The built pages: every link leads somewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

PROJECT = Path(__file__).resolve().parents[2]


class Page(HTMLParser):
    """The links of a page and what can be linked to on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("href", "src"):
            if given.get(name):
                self.links.append(given[name] or "")
        for name in ("id", "name"):
            if given.get(name):
                self.anchors.add(given[name] or "")


def pages(folder: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(folder.rglob("*.html"))}


def test_every_internal_link_leads_to_a_page_and_a_place_on_it(built: Path) -> None:
    found = pages(built)
    assert built / "index.html" in found
    dead = []
    for path, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (
                target in found and unquote(parts.fragment) not in found[target].anchors
            ):
                dead.append(f"{path.relative_to(built)}: {link}")
    assert dead == []


def test_every_external_link_is_an_address_of_the_web(built: Path) -> None:
    for path, page in pages(built).items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.netloc == "localhost:8000":
                assert parts.scheme == "http", f"{path.name}: {link}"
            elif parts.scheme or parts.netloc:
                assert parts.scheme in ("https", "data"), f"{path.name}: {link}"
                if parts.scheme == "https":
                    assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", parts.hostname or ""), link


def test_every_page_that_is_written_is_in_the_navigation(built: Path) -> None:
    home = Page(built / "index.html")
    linked = {urlsplit(link).path for link in home.links}
    for source in (PROJECT / "docs").rglob("*.md"):
        if "node_modules" in source.parts or source.name == "index.md":
            continue
        page = source.relative_to(PROJECT / "docs").with_suffix(".html")
        assert str(page) in linked, page


def test_the_links_of_the_files_beside_the_documentation() -> None:
    """README and others are read where they lie, so their relative links are paths."""
    for path in [
        *PROJECT.glob("*.md"),
        *PROJECT.glob("*/README.md"),
        *PROJECT.glob("*/*/README.md"),
    ]:
        if "node_modules" in path.parts or ".venv" in path.parts:
            continue
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            parts = urlsplit(link)
            if not parts.scheme and parts.path:
                assert (path.parent / parts.path).exists(), f"{path.name}: {link}"
