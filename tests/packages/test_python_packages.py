"""The wheel and the sdist: what is in them, and what PyPI shows of them."""

import re
import sys
import tarfile
import tomllib
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from readme_renderer import markdown
from trove_classifiers import classifiers

import pbweb
from tests.packages.conftest import PROJECT, only, run

DIST_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
PACKED = {
    "pbweb": "pbweb",
    "server/pbweb_server": "pbweb_server",
    "client_js/src": "pbweb/_client_js",
}


def sources(folder: str) -> set[str]:
    """What a folder of the checkout has to hand over, by its path in there."""
    kinds = (".py", ".js", ".typed")
    paths = [path for path in (PROJECT / folder).rglob("*") if path.suffix in kinds]
    assert paths
    return {path.relative_to(PROJECT / folder).as_posix() for path in paths}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Metadata:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Metadata.from_email(archive.read(name), validate=True)


def test_the_wheel_holds_both_packages_and_the_client_and_nothing_else(wheel: Path) -> None:
    expected = {f"{to}/{path}" for folder, to in PACKED.items() for path in sources(folder)}
    assert {"pbweb/py.typed", "pbweb_server/py.typed", "pbweb/_client_js/pbweb.js"} <= expected
    info = f"pbweb-{pbweb.__version__}.dist-info"
    expected |= {f"{info}/{name}" for name in DIST_INFO}
    assert sorted(zipfile.ZipFile(wheel).namelist()) == sorted(expected)


def test_the_sdist_holds_what_the_wheel_is_built_from_and_nothing_else(sdist: Path) -> None:
    expected = {f"{folder}/{path}" for folder in PACKED for path in sources(folder)}
    expected |= {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
    expected |= {"PKG-INFO", ".gitignore"}  # hatchling's own
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
    assert sorted(names) == sorted(expected)


def test_the_checkout_and_the_sdist_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path)
    assert only(tmp_path, "*.whl").read_bytes() == wheel.read_bytes()


def test_the_metadata_is_valid_and_whole(metadata: Metadata) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert (metadata.name, str(metadata.version)) == ("pbweb", pbweb.__version__)
    assert metadata.summary == project["description"]
    assert (metadata.license_expression, metadata.license_files) == ("MIT", ["LICENSE"])
    assert str(metadata.requires_python) == project["requires-python"]
    assert set(metadata.classifiers or ()) <= set(classifiers)
    assert "Typing :: Typed" in (metadata.classifiers or ())
    needed = [line for line in metadata.requires_dist or () if "extra" not in str(line.marker)]
    assert len(needed) == len(project["dependencies"])


class Targets(HTMLParser):
    """What a page links to and shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src", "srcset")]


def test_readme_is_shown_on_pypi_without_dead_links(metadata: Metadata) -> None:
    assert metadata.description_content_type == "text/markdown"
    page = markdown.render(metadata.description or "")
    assert page is not None
    assert re.search(r"<h1[^>]*>pbweb", page)
    fences = re.findall(r"^ *```", (PROJECT / "README.md").read_text(), re.MULTILINE)
    assert page.count("<pre") == len(fences) // 2
    dead = [target for target in Targets(page).found if not target.startswith(("https://", "#"))]
    assert dead == []
