"""The reference is complete: of both languages, of the limits, of the wire's examples."""

import inspect
import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

import pbweb
import pbweb.testing
from pbweb.limits import DEFAULT

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
sys.path.insert(0, str(DOCS))

from extensions.javascript import describe  # noqa: E402

CLASSES = [name for name in pbweb.__all__ if inspect.isclass(getattr(pbweb, name))]
MACHINERY = {"Broker", "Connection", "endpoint"}
"""Most of them is for other modules. What the reference lists of them has to be there."""
FOR_OTHER_MODULES = {
    "Endpoint": {"connect", "forget", "identify", "refusal"},
    "Error": {"came_as"},
    "LiveCopy": {"observe_reset", "observe_update", "setCopyableState"},
    "PageCollector": {"remote_gotPages"},
    "Portal": {"rootObject"},
    "Referenceable": {"remoteMethods"},
    "Registry": {"cache_class", "maker"},
    "RemotePromise": {"settle", "then_call"},
    "RemoteStream": {"perspective"},
    "Root": {"remoteMethods"},
    "ViewPoint": {"method", "serves"},
}


@pytest.fixture(scope="session")
def inventory(built: Path) -> dict[str, set[str]]:
    """The names that the reference has, by their domain."""
    found = InventoryFile.loads((built / "objects.inv").read_bytes(), uri="").data
    names: dict[str, set[str]] = {}
    for kind, items in found.items():
        names.setdefault(kind.partition(":")[0], set()).update(items)
    return names


def test_python_is_complete(inventory: dict[str, set[str]]) -> None:
    names = [f"pbweb.{name}" for name in pbweb.__all__]
    names += [f"pbweb.testing.{name}" for name in pbweb.testing.__all__]
    assert [name for name in names if name not in inventory["py"]] == []


@pytest.mark.parametrize("name", sorted({*CLASSES} - MACHINERY))
def test_every_method_in_python_is_there_or_is_for_other_modules(
    name: str, inventory: dict[str, set[str]]
) -> None:
    cls = getattr(pbweb, name)
    for member, value in vars(cls).items():
        if member.startswith("_") or not (inspect.isroutine(value) or isinstance(value, property)):
            continue
        documented = f"pbweb.{cls.__name__}.{member}" in inventory["py"]
        assert documented != (member in FOR_OTHER_MODULES.get(name, set())), member


def test_javascript_is_complete(inventory: dict[str, set[str]]) -> None:
    described = describe()  # fails when one is not documented in the source
    assert set(described) <= inventory["js"]
    for one in described.values():
        for member in one["members"] if one["kind"] == "class" else ():
            name = member["name"].replace("[dispose]", "[Symbol.dispose]")
            assert f"{one['name']}.{name}" in inventory["js"]
    exported = re.findall(r"export \{([^}]*)\}", (PROJECT / "client_js/src/pbweb.js").read_text())
    names = {name.strip() for names in exported for name in names.split(",") if name.strip()}
    assert names <= set(described)


def test_the_table_of_limits_is_the_record() -> None:
    """Every limit has its row, with the number that it has."""
    page = (DOCS / "limits.md").read_text()
    rows: dict[str, str] = {}
    for names, values in re.findall(r"^\| (`[a-z_`, ]+`) \| ([^|]+) \|", page, re.MULTILINE):
        for name, value in zip(names.split(", "), values.split(", ") * 2, strict=False):
            rows[name.strip("`")] = value
    assert sorted(rows) == sorted(field.name for field in fields(DEFAULT))
    units = {"KiB": 1024, "MiB": 1024**2}
    for name, shown in rows.items():
        found = re.match(r"([\d,.]+)(?: (\w+))?", shown.strip())
        assert found is not None, name
        number = float(found[1].replace(",", "")) * units.get(found[2] or "", 1)
        assert number == getattr(DEFAULT, name), name


def test_the_protocol_shows_vectors_of_every_kind() -> None:
    """Its examples are drawn from the vectors when it is built; here, that there are some."""
    page = (DOCS / "protocol.md").read_text()
    shown = re.findall(r"```\{vectors\} (\w+)\n(.*?)```", page, re.DOTALL)
    names = [name for _, lines in shown for name in lines.splitlines()]
    assert {file for file, _ in shown} == {"scenarios", "frames"}
    vectors = json.loads((PROJECT / "tests/vectors/scenarios.json").read_text())
    assert len({vector["name"] for vector in vectors} & set(names)) >= 15
