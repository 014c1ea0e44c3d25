"""`pbweb_server.cli`: the arguments of the command."""

import argparse
import signal
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import pbweb as pb
from pbweb.limits import DEFAULT, Limits
from pbweb_server import cli


def parsed(*arguments: str) -> argparse.Namespace:
    return cli.parser().parse_args(["serve", "module:Root", *arguments])


def test_the_defaults() -> None:
    found = parsed()
    assert (found.target, found.host, found.port) == ("module:Root", "127.0.0.1", 8000)
    assert (found.pages, found.origin, found.limit) == (None, [], [])
    assert not found.mask_errors
    assert not found.unsafe_tracebacks
    assert found.authenticate is None


def test_all_options() -> None:
    found = parsed(
        *("--host", "0.0.0.0", "--port", "0", "--pages", "x", "--origin", "https://a"),
        *("--origin", "https://b", "--limit", "calls=5", "--limit", "stall=0.5"),
        *("--mask-errors", "--unsafe-tracebacks", "--allow-host", "pb.example"),
        *("--authenticate", "module:who"),
    )
    assert (found.host, found.port, found.pages) == ("0.0.0.0", 0, Path("x"))
    assert found.origin == ["https://a", "https://b"]
    assert found.limit == [("calls", 5), ("stall", 0.5)]
    assert found.mask_errors
    assert found.unsafe_tracebacks
    assert found.allow_host == ["pb.example"]
    assert found.authenticate == "module:who"


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_can_be_set(name: str) -> None:
    whole = isinstance(getattr(DEFAULT, name), int)
    found = parsed("--limit", f"{name}={77 if whole else 7.5}")
    limits = Limits(**dict(found.limit))
    assert getattr(limits, name) == (77 if whole else 7.5)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--limit", text] for text in ("", "calls", "calls=", "calls=x", "calls=0", "calls=-1")),
        *(["--limit", text] for text in ("calls=1.5", "stall=nan", "stall=inf", "stall=0")),
        *(["--limit", text] for text in ("nosuch=1", "__init__=1")),
        *(["--port", text] for text in ("-1", "65536", "x", "")),
        ["--log-level", "loud"],
        ["--nosuch"],
    ],
)  # fmt: skip
def test_what_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_target_that_is_none_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["serve", "nosuchmodule:Root", "--log-level", "error"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("pbweb: ")


def test_what_cannot_authenticate_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    roots = "tests.integration.roots"
    for name, said in (("nosuch", "has no 'nosuch'"), ("NOT_A_ROOT", "is no function")):
        arguments = ["serve", f"{roots}:IntegrationRoot", "--authenticate", f"{roots}:{name}"]
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
        assert said in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"pbweb {pb.__version__}\n"


def test_the_first_signal_stops_in_order_and_the_second_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    armed: list[tuple[float, bool]] = []
    monkeypatch.setattr(
        cli.faulthandler,
        "dump_traceback_later",
        lambda *seconds, **options: armed.append((*seconds, options["exit"])),
    )
    server: Any = cli.Server.__new__(cli.Server)
    server.should_exit = server.force_exit = False
    server._captured_signals = []
    server.handle_exit(signal.SIGTERM, None)
    assert (server.should_exit, server.force_exit) == (True, False)
    server.handle_exit(signal.SIGTERM, None)
    assert (server.should_exit, server.force_exit) == (True, True)
    assert armed[0] == (15.0, True)
    assert not server._captured_signals  # uvicorn would raise them again, and end with their code
