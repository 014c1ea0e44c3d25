"""What `make dist` makes, and an environment in which the wheel is installed."""

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CONSUMERS = Path(__file__).resolve().parent / "consumers"


def run(*command: str | Path, cwd: Path = PROJECT) -> str:
    """What a program says that does not know of this checkout; one that fails is a failure."""
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def only(folder: Path, pattern: str) -> Path:
    """The one file of *folder* that has this name."""
    [found] = folder.glob(pattern)
    return found


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all packages, as the command makes them."""
    folder = tmp_path_factory.mktemp("dist")
    run("make", "--no-print-directory", "dist", f"DIST={folder}")
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    return only(dist, "*.whl")


@pytest.fixture(scope="session")
def sdist(dist: Path) -> Path:
    return only(dist, "*.tar.gz")


@pytest.fixture(scope="session")
def npm_package(dist: Path) -> Path:
    return only(dist, "*.tgz")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel in it.

    What pbweb depends on comes from this environment, so that no registry is needed; a line in a
    .pth file brings no editable installations along.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    (packages / "dependencies.pth").write_text(site.getsitepackages()[0] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return python.parent


@pytest.fixture(scope="session")
def node_project(npm_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the npm package; it has no dependencies, so no registry."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    run("npm", "install", "--offline", "--no-audit", "--no-fund", npm_package, cwd=folder)
    return folder
