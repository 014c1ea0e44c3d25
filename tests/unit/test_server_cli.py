"""`pbweb_server.cli`: the words of the commands, and the variables of `serve`."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import pbweb as pb
from pbweb.checkers import FilePasswordDB
from pbweb.limits import DEFAULT, Limits
from pbweb_server import cli
from pbweb_server.settings import Settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
OPTIONS = [option for option in cli.serve.params if isinstance(option, cli.Setting)]


@pytest.fixture(autouse=True)
def no_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in OPTIONS:
        monkeypatch.delenv(str(option.envvar), raising=False)


def parsed(*arguments: str) -> Settings:
    context = cli.serve.make_context("pbweb serve", ["module:Root", *arguments])
    return Settings(**context.params)


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(cli.pbweb, arguments, env=variables, prog_name="pbweb")


def test_the_defaults_are_those_of_the_settings() -> None:
    assert parsed() == Settings(target="module:Root")


def test_all_options() -> None:
    assert parsed(
        *("--host", "0.0.0.0", "--port", "0", "--pages", "x", "--origin", "https://a"),
        *("--origin", "https://b", "--limit", "calls=5", "--limit", "stall=0.5"),
        *("--mask-errors", "--unsafe-tracebacks", "--allow-host", "pb.example", "--reload"),
        *("--trust-proxy", "10.0.0.0/8", "--log-level", "debug", "--authenticate", "module:who"),
    ) == Settings(
        target="module:Root",
        host="0.0.0.0",
        port=0,
        pages=Path("x"),
        authenticate="module:who",
        origin=("https://a", "https://b"),
        allow_host=("pb.example",),
        trust_proxy=("10.0.0.0/8",),
        limit=(("calls", 5), ("stall", 0.5)),
        mask_errors=True,
        unsafe_tracebacks=True,
        reload=True,
        log_level="debug",
    )


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_can_be_set(name: str) -> None:
    whole = isinstance(getattr(DEFAULT, name), int)
    found = parsed("--limit", f"{name}={77 if whole else 7.5}")
    assert found.limit == ((name, 77 if whole else 7.5),)


BAD = [
    *(("limit", text) for text in ("calls", "calls=", "calls=x", "calls=0", "calls=-1")),
    *(("limit", text) for text in ("calls=1.5", "stall=nan", "stall=inf", "stall=0")),
    *(("limit", text) for text in ("nosuch=1", "__init__=1")),
    *(("port", text) for text in ("-1", "65536", "x", "1.5", "²")),
    *(("trust-proxy", text) for text in ("10.0.0.0/99", "proxy.example")),
    *(("origin", text) for text in ("https://a.example/", "a.example")),
    *(("allow-host", text) for text in ("http://a.example", "a.example:80", "[::1]", "a/b")),
    ("log-level", "loud"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_named_with_where_it_came_from(name: str, text: str) -> None:
    result = run("serve", "module:Root", f"--{name}", text)
    assert result.exit_code == 2
    assert f"Invalid value for '--{name}': " in result.stderr
    assert text.partition("=")[0] in result.stderr
    assert "PBWEB_" not in result.stderr
    variable = f"PBWEB_{name.upper().replace('-', '_')}"
    result = run("serve", "module:Root", **{variable: text})
    assert result.exit_code == 2
    assert f"Invalid value for {variable}: " in result.stderr
    assert text.partition("=")[0] in result.stderr
    assert f"--{name}" not in result.stderr


@pytest.mark.parametrize("text", ["calls", "calls=", "calls=x", "calls=1.5"])
def test_a_limit_that_is_no_number_is_shown_as_one_that_is(text: str) -> None:
    said = run("serve", "module:Root", "--limit", text).stderr
    assert "the limit 'calls' is a whole number, as calls=256" in said


@pytest.mark.parametrize("host", ["a.example", "10.0.0.7", "::1", "*"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert parsed("--allow-host", host).allow_host == (host,)


def test_every_option_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "PBWEB_TARGET": "other:Root",
        "PBWEB_HOST": "::1",
        "PBWEB_PORT": "9000",
        "PBWEB_PAGES": "a folder",
        "PBWEB_AUTHENTICATE": "module:who",
        "PBWEB_ORIGIN": "https://a https://b",
        "PBWEB_REQUIRE_ORIGIN": "1",
        "PBWEB_ALLOW_HOST": "a.example b.example",
        "PBWEB_URL_SECRETS": "yes",
        "PBWEB_TRUST_PROXY": "*",
        "PBWEB_LIMIT": "calls=64 depth=50",
        "PBWEB_MASK_ERRORS": "yes",
        "PBWEB_UNSAFE_TRACEBACKS": "1",
        "PBWEB_RELOAD": "true",
        "PBWEB_LOG_LEVEL": "error",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert Settings(**cli.serve.make_context("pbweb serve", []).params) == Settings(
        target="other:Root",
        host="::1",
        port=9000,
        pages=Path("a folder"),
        authenticate="module:who",
        origin=("https://a", "https://b"),
        require_origin=True,
        allow_host=("a.example", "b.example"),
        url_secrets=True,
        trust_proxy=("*",),
        limit=(("calls", 64), ("depth", 50)),
        mask_errors=True,
        unsafe_tracebacks=True,
        reload=True,
        log_level="error",
    )
    assert sorted(given) == sorted(f"PBWEB_{field.name.upper()}" for field in fields(Settings))
    assert parsed("--limit", "calls=1").limit == (("calls", 1),), "the option goes first"
    for name in given:
        monkeypatch.setenv(name, "")
    assert parsed() == Settings(target="module:Root"), "empty is as if it was not there"


@pytest.mark.parametrize("arguments", [[], ["--nosuch"], ["module:Root", "more"]])
def test_words_that_are_none(arguments: list[str]) -> None:
    result = run("serve", *arguments)
    assert result.exit_code == 2
    assert "pbweb serve --help" in result.stderr


def test_a_target_that_is_none_ends_with_2() -> None:
    result = run("serve", "nosuchmodule:Root", "--log-level", "error")
    assert result.exit_code == 2
    assert result.stderr.startswith("pbweb: ")


def test_what_cannot_authenticate_ends_with_2() -> None:
    roots = "tests.integration.roots"
    for name, said in (("nosuch", "has no 'nosuch'"), ("NOT_A_ROOT", "is no function")):
        result = run("serve", f"{roots}:IntegrationRoot", "--authenticate", f"{roots}:{name}")
        assert result.exit_code == 2
        assert said in result.stderr


def test_the_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"pbweb {pb.__version__}\n")


# --------------------------------------------------------------- what it says


def test_the_help_shows_every_variable() -> None:
    text = " ".join(run("serve", "--help").stdout.split())
    for option in OPTIONS:
        assert option.opts[0] in text
        assert f"env var: {option.envvar}" in text
    assert "env var: PBWEB_TARGET" in text


def row(option: click.Option) -> str:
    """The line of the document's table for *option*."""
    with click.Context(cli.serve) as context:
        default = option.get_default(context)
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    shown: Any = " ".join(default) if isinstance(default, tuple) else default
    said = f"`{shown}`" if shown not in (None, "", False) else ""
    escaped = value.replace("|", "\\|")
    return f"| `{option.opts[0]}{escaped}` | `{option.envvar}` | {said} | {option.help} |"


def test_the_document_has_the_settings_as_they_are() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `--")]
    assert rows == [row(option) for option in OPTIONS]


def test_what_is_not_needed_is_not_imported() -> None:
    program = (
        "import sys\nfrom pbweb_server import cli\n"
        "assert not {'uvicorn', 'starlette', 'watchfiles'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# ----------------------------------------------------------------------- call


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ('{"a": [1]}', {"a": [1]}),
        ('"1"', "1"),
        ("one", "one"),
        ("", ""),
        ("{a: 1}", "{a: 1}"),
        ("1180591620717411303424", 2**70),
    ],
)
def test_an_argument_is_json_where_it_is_json(
    text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = called_with(monkeypatch, "ws://x", "m", text, "--kw", f"name={text}")
    assert given == ("ws://x", "m", [value], {"name": value}, None, {})


def test_the_options_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    given = called_with(
        monkeypatch,
        *("ws://x", "m", "--timeout", "1.5", "--kw", "a=b=c", "--header", "X-A: b:c", "--", "-x"),
    )
    assert given == ("ws://x", "m", ["-x"], {"a": "b=c"}, 1.5, {"X-A": "b:c"})


def called_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[Any, ...]:
    """What `pbweb call` makes of its words."""
    given: list[tuple[Any, ...]] = []
    monkeypatch.setattr("pbweb_server.calling.call", lambda *all: given.append(all))
    assert run("call", *arguments).exit_code == 0
    return given[0]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ws://x"],
        ["ws://x", "m", "--kw", "a"],
        ["ws://x", "m", "--kw", "=a"],
        ["ws://x", "m", "--header", "a"],
        ["ws://x", "m", "--timeout", "0"],
        ["ws://x", "m", "--timeout", "soon"],
        ["ws://x", "m", "-1x"],
        ["ws://x", "m", "--nosuch"],
    ],
)
def test_a_call_that_is_none(arguments: list[str]) -> None:
    result = run("call", *arguments)
    assert result.exit_code == 2
    assert "pbweb call --help" in result.stderr


def test_a_password_is_written_into_a_file(tmp_path: Path) -> None:
    file = tmp_path / "passwords"

    def passwd(*arguments: str, password: str = "") -> Result:
        return CliRunner().invoke(cli.pbweb, ["passwd", *arguments], input=password)

    def may_log_in(name: str, password: str) -> bool:
        checker = FilePasswordDB(file)
        return checker._is_right(name, password)

    done = passwd(str(file), "alice", password="wonder land\n")
    assert (done.exit_code, done.output) == (0, "")
    assert passwd(str(file), "bob", password="builder").exit_code == 0
    assert may_log_in("alice", "wonder land")
    assert may_log_in("bob", "builder")
    assert "wonder" not in file.read_text()
    assert passwd("--delete", str(file), "bob").exit_code == 0
    assert not may_log_in("bob", "builder")
    missing = passwd("--delete", str(file), "bob")
    assert (missing.exit_code, missing.output) == (1, f"pbweb: there is no 'bob' in {file}\n")
    for arguments, password, text in (
        ((str(file), "a:b"), "x", "'a:b' is no name"),
        ((str(file), "carol"), "\n", "1 to 1024 characters"),
        ((str(tmp_path / "no" / "such"), "carol"), "x", "No such file or directory"),
    ):
        refused = passwd(*arguments, password=password)
        assert refused.exit_code == 2
        assert text in refused.output


def test_a_password_is_asked_for_twice_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append({"text": text, **options})
        return "wonder"

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert cli._ask_for_password() == "wonder"
    assert asked == [{"text": "Password", "hide_input": True, "confirmation_prompt": True}]
