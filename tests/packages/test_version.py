"""The version stands in one place, and in the places that `make version` writes from it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import pbweb
from tests.packages.conftest import PROJECT

WRITTEN = (
    "pbweb/version.py",
    "client_js/package.json",
    "client_js/package-lock.json",
    "client_js/src/version.js",
    "client_js/types/version.d.ts",
)


def said(folder: Path) -> dict[str, str]:
    """The version that each of the files has."""
    python, package, lock, *modules = [(folder / name).read_text() for name in WRITTEN]
    root = json.loads(lock)
    assert root["version"] == root["packages"][""]["version"]
    found = [re.findall(r'"(.+)"', text)[-1] for text in (python, *modules)]
    versions = [found[0], json.loads(package)["version"], root["version"], *found[1:]]
    return dict(zip(WRITTEN, versions, strict=True))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What `make version` changes, and what it needs for that."""
    for name in (*WRITTEN, "Makefile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def make_version(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    make = ["make", "--no-print-directory", "version", f"V={version}"]
    return subprocess.run(make, cwd=folder, capture_output=True, text=True, timeout=60)


def test_all_places_agree() -> None:
    assert set(said(PROJECT).values()) == {pbweb.__version__}


def test_it_is_written_into_all_places_and_nothing_else_is(copy: Path) -> None:
    before = {path: path.read_text() for path in copy.rglob("*") if path.is_file()}
    ended = make_version(copy, "12.34.56")
    assert ended.returncode == 0, ended.stderr
    assert set(said(copy).values()) == {"12.34.56"}
    for path, text in before.items():
        assert path.read_text().replace("12.34.56", pbweb.__version__) == text
    assert {path for path in copy.rglob("*") if path.is_file()} == set(before)


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3rc1", "1.2.3; true"])
def test_what_is_no_version_is_refused(copy: Path, version: str) -> None:
    ended = make_version(copy, version)
    assert ended.returncode != 0
    assert "make version V=1.2.3" in ended.stderr
    assert set(said(copy).values()) == {pbweb.__version__}


def test_it_is_nowhere_else_in_what_people_read() -> None:
    """Prose would be forgotten; CHANGELOG has the versions that were."""
    pages = [path for path in PROJECT.glob("docs/**/*.md") if "node_modules" not in path.parts]
    for path in (PROJECT / "README.md", PROJECT / "client_js" / "README.md", *pages):
        assert not re.search(
            rf"(?<![\d.]){re.escape(pbweb.__version__)}(?![\d.])", path.read_text()
        ), path
