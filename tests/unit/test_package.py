"""The wheel: what people install has both packages and the JavaScript client, and serves it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: hatchling stands in the environment already."""
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    ended = subprocess.run(
        [*build, str(folder)], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_what_the_checkout_has(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source, target in (
        ("pbweb", "pbweb"),
        ("server/pbweb_server", "pbweb_server"),
        ("client_js/src", "pbweb/_client_js"),
    ):
        for path in (PROJECT / source).rglob("*"):
            if path.suffix in (".py", ".js", ".typed"):
                assert f"{target}/{path.relative_to(PROJECT / source).as_posix()}" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pbweb", "pbweb_server"}


def test_the_installed_wheel_finds_its_client(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "import pbweb, pbweb.asgi; print(pbweb.__file__); print(*pbweb.asgi.client_files())"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    module, files = ended.stdout.splitlines()
    assert Path(module).is_relative_to(tmp_path)
    assert "pbweb.js" in files.split()
