"""The npm package: what is in it, and that TypeScript's users can compile against it."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.packages.conftest import CONSUMERS, PROJECT

CLIENT = PROJECT / "client_js"
COMPILERS = {
    "the oldest": CONSUMERS / "node_modules" / "typescript" / "bin" / "tsc",
    "the newest": CLIENT / "node_modules" / "typescript" / "bin" / "tsc",
}
RESOLUTIONS = [("node16", "node16"), ("esnext", "bundler")]


def test_it_holds_the_modules_their_types_and_nothing_else(npm_package: Path) -> None:
    with tarfile.open(npm_package) as archive:
        names = archive.getnames()
    modules = {path.stem for path in (CLIENT / "src").iterdir()}
    assert "pbweb" in modules
    expected = {"LICENSE", "README.md", "package.json"}
    expected |= {f"src/{name}.js" for name in modules} | {f"types/{name}.d.ts" for name in modules}
    assert sorted(names) == sorted(f"package/{name}" for name in expected)


def test_nothing_is_run_or_installed_with_it(npm_package: Path) -> None:
    with tarfile.open(npm_package) as archive:
        packed = archive.extractfile("package/package.json")
        assert packed is not None
        package = json.load(packed)
    for key in ("dependencies", "peerDependencies", "optionalDependencies", "bundledDependencies"):
        assert key not in package
    assert not {"preinstall", "install", "postinstall", "prepare"} & set(package["scripts"])
    assert package["type"] == "module"


def test_its_license_is_the_project_s() -> None:
    assert (CLIENT / "LICENSE").read_text() == (PROJECT / "LICENSE").read_text()


def test_its_page_has_no_dead_links() -> None:
    """npm's page has no files beside README."""
    page = (CLIENT / "README.md").read_text()
    assert page.count("](") == page.count("](https://")


@pytest.mark.parametrize("compiler", COMPILERS.values(), ids=COMPILERS)
@pytest.mark.parametrize(("module", "resolution"), RESOLUTIONS)
def test_a_typescript_project_compiles_against_it(
    node_project: Path, tmp_path: Path, compiler: Path, module: str, resolution: str
) -> None:
    """Its declarations are checked as well, and lines that are wrong must be found."""
    for name in ("package.json", "node_modules"):
        (tmp_path / name).symlink_to(node_project / name)
    shutil.copy(CONSUMERS / "consumer.ts", tmp_path)
    options = ["--strict", "--noEmit", "--target", "es2022", "--skipLibCheck", "false"]
    options += ["--module", module, "--moduleResolution", resolution]
    ended = subprocess.run(
        ["node", str(compiler), *options, "consumer.ts"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ended.stdout, ended.returncode) == ("", 0)
