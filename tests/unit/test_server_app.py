"""`pbweb_server.app`: what a target is, and what the application answers beside endpoints."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pbweb as pb
from pbweb.asgi import Endpoint
from pbweb_server.app import BadTarget, application, load

NAME = "pbweb_test_target"


class Good(pb.Root):
    def __init__(self, number: int = 1) -> None:
        self.number = number


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Any]:
    made: Any = types.ModuleType(NAME)
    made.__file__ = str(tmp_path / "app.py")
    sys.modules[NAME] = made
    yield made
    del sys.modules[NAME]


@pytest.mark.parametrize("target", [Good, Good(), lambda: Good()])
def test_a_root_a_class_or_a_factory_is_served_at_pb(module: Any, target: object) -> None:
    module.Target = target
    loaded = load(f"{NAME}:Target")
    assert loaded.roots == {"/pb": target}
    assert loaded.page is None


def test_several_by_their_paths(module: Any) -> None:
    module.SEVERAL = {"/a/pb": Good, "/b/pb": Good()}
    assert load(f"{NAME}:SEVERAL").roots == module.SEVERAL


def test_a_name_with_dots(module: Any) -> None:
    module.Outer = types.SimpleNamespace(Inner=Good)
    assert load(f"{NAME}:Outer.Inner").roots == {"/pb": Good}


def test_the_page_beside_the_module(module: Any, tmp_path: Path) -> None:
    module.Target = Good
    (tmp_path / "index.html").write_text("<p>")
    assert load(f"{NAME}:Target").page == tmp_path / "index.html"


@pytest.mark.parametrize(
    "target", [5, "text", None, object(), pb.Referenceable, {"pb": Good}, {1: Good}, {"/pb": 5}]
)
def test_what_is_no_root(module: Any, target: object) -> None:
    module.Target = target
    with pytest.raises(BadTarget):
        load(f"{NAME}:Target")


@pytest.mark.parametrize(
    "name", ["", ":", NAME, f"{NAME}:", ":Target", f"{NAME}:Nosuch", "no.such:X", ".a:X"]
)
def test_a_name_that_leads_nowhere(module: Any, name: str) -> None:
    with pytest.raises(BadTarget):
        load(name)


def test_a_module_that_is_missing_inside_the_target_is_a_fault_of_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pbweb_test_broken.py").write_text("import nosuchmodule_of_theirs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nosuchmodule_of_theirs"):
        load("pbweb_test_broken:Root")


def test_pages_that_are_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for pages in (tmp_path / "nosuch", tmp_path / "file"):
        with pytest.raises(BadTarget, match="--pages"):
            application({"/pb": Endpoint(Good)}, pages=pages)


def test_pages_take_the_place_of_the_page(tmp_path: Path) -> None:
    def paths(**options: Path) -> list[str]:
        routes = application({"/pb": Endpoint(Good)}, **options).routes
        return [route.path for route in routes]  # type: ignore[attr-defined]

    base = ["/healthz", "/readyz", "/pb", "/pb"]
    page = tmp_path / "index.html"
    page.write_text("<p>")
    assert paths() == base
    assert paths(page=page) == [*base, "/", "/favicon.ico"]
    assert paths(page=page, pages=tmp_path) == [*base, ""]
