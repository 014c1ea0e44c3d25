"""The packages where somebody has installed them, in folders that know of no checkout."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.process import Process, ask, serving
from tests.packages.conftest import CONSUMERS, PROJECT, run

NODE = PROJECT / "tests" / "e2e" / "runtimes" / "node_modules" / ".bin" / "node"
PYRIGHT = CONSUMERS / "node_modules" / ".bin" / "pyright"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the programs that use the packages."""
    folder = tmp_path_factory.mktemp("project")
    for path in CONSUMERS.glob("*.py"):
        shutil.copy(path, folder)
    return folder


def serve_app(installed: Path) -> list[str]:
    """-E: the path to the checkout that all test servers are given is not for this one."""
    return [str(installed / "python"), "-E", str(installed / "pbweb"), "serve", "app:One"]


@pytest.fixture(scope="module")
def server(installed: Path, folder: Path) -> Iterator[Process]:
    with serving(command=serve_app(installed), cwd=folder) as process:
        yield process
    assert "Traceback" not in process.output


def test_the_installed_server_gives_out_the_client_and_all_that_it_imports(server: Process) -> None:
    found: dict[str, bytes] = {}
    wanted = ["pbweb.js"]
    while wanted:
        name = wanted.pop()
        status, _, found[name] = ask(server.port, f"/pb/{name}")
        assert status == 200, name
        imported = re.findall(r' from "\./([^"]+)";', found[name].decode())
        wanted += [name for name in imported if name not in found]
    source = PROJECT / "client_js" / "src"
    assert len(found) > 10
    assert found == {name: (source / name).read_bytes() for name in found}


def test_the_installed_python_client_calls_it(
    server: Process, installed: Path, folder: Path
) -> None:
    client = [installed / "python", "-W", "error", "client.py"]
    said = run(*client, f"ws://localhost:{server.port}/pb", cwd=folder).splitlines()
    assert Path(said[0]).is_relative_to(installed.parent)
    assert said[1:] == ["36", "12"]


def test_the_installed_npm_package_calls_it(server: Process, node_project: Path) -> None:
    shutil.copy(CONSUMERS / "client.js", node_project)
    said = run(NODE, "client.js", f"ws://localhost:{server.port}/pb", cwd=node_project).splitlines()
    assert said[0].endswith("/node_modules/pbweb/src/pbweb.js")
    assert said[1:] == ["36", "12"]


def test_the_first_steps_on_npm_s_page(installed: Path, node_project: Path, tmp_path: Path) -> None:
    """The blocks of code of the client's README, as they stand there but for the port."""
    readme = (PROJECT / "client_js" / "README.md").read_text()
    [app] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    [client] = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "app.py").write_text(app)
    with serving(command=serve_app(installed), cwd=tmp_path) as server:
        first = node_project / "first.js"
        first.write_text(client.replace("localhost:8000", f"localhost:{server.port}"))
        said = run(NODE, "first.js", cwd=node_project).splitlines()
    assert said == re.findall(r"console.log\(.*\); // (.+)", client)
    assert said == ["hello", "5"]


def test_the_installed_command_says_its_version(installed: Path, folder: Path) -> None:
    version = run(installed / "python", "-c", "import pbweb; print(pbweb.__version__)", cwd=folder)
    assert run(installed / "pbweb", "--version", cwd=folder) == f"pbweb {version}"


def test_mypy_checks_those_who_use_it(installed: Path, folder: Path) -> None:
    """Strictly: what is wrong in wrong.py has to be found, or its mark is one too many."""
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed / "python"]
    assert run(*mypy, "--cache-dir", ".mypy_cache", ".", cwd=folder).startswith("Success")


def test_pyright_checks_those_who_use_it(installed: Path, folder: Path) -> None:
    settings = {
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    said = run(PYRIGHT, "--pythonpath", installed / "python", cwd=folder)
    assert "0 errors" in said
