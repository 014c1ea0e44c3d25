"""CHANGELOG has the form that it says it has, and its facts are the packages' own."""

import json
import re
import tomllib
from datetime import date

from packaging.specifiers import SpecifierSet
from packaging.version import Version

import pbweb
from tests.packages.conftest import CONSUMERS, PROJECT

TEXT = (PROJECT / "CHANGELOG.md").read_text()
HEADINGS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_what_is_not_released_stands_first_and_the_newest_release_next() -> None:
    assert HEADINGS[:2] == ["Compatibility", "[Unreleased]"]
    releases = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\S+)", text) for text in HEADINGS[2:]]
    found = [(Version(it[1]), date.fromisoformat(it[2])) for it in releases if it]
    assert len(found) == len(releases)
    assert found == sorted(found, reverse=True)
    assert all(version <= Version(pbweb.__version__) for version, _ in found)


def test_the_sections_are_those_of_keep_a_changelog() -> None:
    assert set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) <= KINDS


def test_the_supported_versions_are_the_packages_own() -> None:
    """The table has no version that the packages refuse, and the oldest one that they take."""
    table = dict(re.findall(r"^\| ([\w., ]+?) \| (.+?) \|", TEXT, re.MULTILINE))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    python = table["Python"].split()[0]
    assert SpecifierSet(project["requires-python"]) == SpecifierSet(f">={python}")
    engines = json.loads((PROJECT / "client_js" / "package.json").read_text())["engines"]
    assert engines == {"node": f">={table['Node.js'].split()[0]}"}
    consumers = json.loads((CONSUMERS / "package.json").read_text())["dependencies"]
    assert consumers["typescript"] == f"~{table['TypeScript'].split()[0]}.0"
