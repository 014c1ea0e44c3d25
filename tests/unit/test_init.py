"""The package's names, and its version."""

import ast
import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pbweb
from pbweb.version import __version__

PUBLIC = {
    "ANONYMOUS",
    "Anonymous",
    "Avatar",
    "Broker",
    "Cacheable",
    "CallbackPageCollector",
    "CancelledError",
    "ConnectFailed",
    "Connection",
    "Copyable",
    "Credentials",
    "DeadReferenceError",
    "Endpoint",
    "Error",
    "Group",
    "ExpiringAvatarId",
    "IPerspective",
    "FilePager",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "LiveCopy",
    "NoSuchMethod",
    "PBConnectionLost",
    "Portal",
    "PageCollector",
    "Pager",
    "ProtocolError",
    "Realm",
    "Referenceable",
    "Registry",
    "RemoteCache",
    "RemoteCacheObserver",
    "RemoteCopy",
    "RemoteError",
    "RemotePromise",
    "RemoteReference",
    "RemoteStream",
    "Root",
    "Token",
    "UnauthorizedLogin",
    "UpgradeIdentity",
    "UsernamePassword",
    "StringPager",
    "ViewPoint",
    "Viewable",
    "WrongArguments",
    "__version__",
    "checkers",
    "connect",
    "copyable",
    "endpoint",
    "live",
    "getAllPages",
    "in_loop",
    "in_thread",
    "remote",
    "revocable",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
}
MODULES = sorted(module.name for module in pkgutil.iter_modules(pbweb.__path__, "pbweb."))


def test_the_public_names_are_exactly_these():
    assert set(pbweb.__all__) == PUBLIC
    assert len(pbweb.__all__) == len(PUBLIC)
    for name in PUBLIC:
        named = getattr(pbweb, name)
        module = getattr(named, "__module__", None) or getattr(named, "__name__", "pbweb")
        assert module.startswith("pbweb")


def test_an_import_brings_no_server_and_no_client():
    heavy = {"websockets", "uvicorn", "starlette", "uvloop", "httptools", "hashlib"}
    loaded = f"import sys, pbweb; print(sorted({heavy} & set(sys.modules)))"
    assert _python(loaded) == "[]"
    assert _python("import pbweb; print(pbweb.connect.__module__)") == "pbweb.client"
    with pytest.raises(AttributeError, match="'pbweb' has no attribute 'disconnect'"):
        _ = pbweb.disconnect
    assert pbweb.__getattr__("checkers") is importlib.import_module("pbweb.checkers")


def _python(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_nothing_else_stands_in_the_package_but_its_modules():
    modules = {name.removeprefix("pbweb.") for name in MODULES}
    others = {name for name in vars(pbweb) if not name.startswith("_")}
    assert others - PUBLIC <= modules


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_says_it_has_it_has(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), public


@pytest.mark.parametrize("name", MODULES)
def test_every_module_and_every_public_name_is_documented(name):
    tree = ast.parse(Path(importlib.import_module(name).__file__).read_text())
    assert ast.get_docstring(tree) or name == "pbweb.version"
    public = set(getattr(importlib.import_module(name), "__all__", ()))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in public:
            if "overload" in map(ast.unparse, node.decorator_list):
                continue
            assert ast.get_docstring(node), f"{name}.{node.name}"


def test_there_is_one_version():
    assert pbweb.__version__ == __version__
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "pbweb/version.py"


def test_the_names_of_pb_keep_its_spelling():
    for cls, names in {
        pbweb.RemoteReference: ("callRemote", "notifyOnDisconnect", "dontNotifyOnDisconnect"),
        pbweb.Connection: ("getRootObject", "remoteForName", "setNameForLocal"),
        pbweb.Broker: ("setNameForLocal", "remoteForName", "notifyOnDisconnect"),
        pbweb.Root: ("rootObject",),
        pbweb.Error: ("getErrorMessage", "check", "trap"),
        pbweb.Copyable: (
            "getStateToCopy",
            "getStateToCopyFor",
            "getTypeToCopy",
            "getTypeToCopyFor",
        ),
        pbweb.RemoteCopy: ("setCopyableState",),
        pbweb.Registry: ("setUnjellyableForClass", "setUnjellyableFactoryForClass"),
    }.items():
        for name in names:
            assert callable(getattr(cls, name))
