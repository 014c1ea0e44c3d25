"""`pbweb_server.serving`: what a signal does; the rest is tried with processes."""

import signal
from typing import Any

import pytest

from pbweb_server import serving


def signalled(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> list[tuple[bool, bool]]:
    """Whether the server should end, and at once, after each signal."""
    armed: list[tuple[float, bool]] = []
    monkeypatch.setattr(
        serving.faulthandler,
        "dump_traceback_later",
        lambda *seconds, **options: armed.append((*seconds, options["exit"])),
    )
    server: Any = serving.Server.__new__(serving.Server)
    server.should_exit = server.force_exit = False
    server._captured_signals = []
    seen = []
    for number in numbers:
        server.handle_exit(number, None)
        seen.append((server.should_exit, server.force_exit))
    assert armed[0] == (15.0, True)
    assert not server._captured_signals  # uvicorn would raise them again, and end with their code
    return seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_in_order_and_the_second_at_once(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    assert signalled(monkeypatch, number, number) == [(True, False), (True, True)]


def test_ctrl_c_and_the_supervisors_signal_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = signalled(monkeypatch, signal.SIGINT, signal.SIGTERM)
    assert seen == [(True, False), (True, False)]
