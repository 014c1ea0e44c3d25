"""`pbweb_server.serving`: what a signal does; the rest is tried with processes."""

import signal
import socket
from typing import Any

import pytest
import uvicorn

import pbweb as pb
from pbweb_server import serving


def signalled(
    monkeypatch: pytest.MonkeyPatch, *numbers: int, is_supervised: bool = False
) -> list[tuple[bool, bool]]:
    """Whether the server should end, and at once, after each signal."""
    armed: list[tuple[float, bool]] = []
    monkeypatch.setattr(
        serving.faulthandler,
        "dump_traceback_later",
        lambda *seconds, **options: armed.append((*seconds, options["exit"])),
    )
    endpoint = pb.Endpoint(pb.Root)
    server: Any = serving.Server(
        uvicorn.Config("app"), [endpoint], pb.Limits(), is_supervised=is_supervised
    )
    assert not endpoint.stopping
    seen = []
    for number in numbers:
        server.handle_exit(number, None)
        seen.append((server.should_exit, server.force_exit))
        assert endpoint.stopping  # whatever the event loop does
    assert armed[0] == (15.0, True)
    assert armed[-1] == ((2.0 if server.force_exit else 15.0), True)
    assert not server._captured_signals  # uvicorn would raise them again, and end with their code
    return seen


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_in_order_and_the_second_at_once(
    monkeypatch: pytest.MonkeyPatch, first: int, second: int
) -> None:
    assert signalled(monkeypatch, first, second) == [(True, False), (True, True)]


def test_ctrl_c_and_the_supervisors_signal_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = signalled(monkeypatch, signal.SIGINT, signal.SIGTERM, is_supervised=True)
    assert seen == [(True, False), (True, False)]
    seen = signalled(monkeypatch, signal.SIGTERM, signal.SIGTERM, is_supervised=True)
    assert seen == [(True, False), (True, True)]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
def test_the_system_gives_up_peers_that_take_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving._give_up_in_time(listening.fileno())
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    ours, theirs = socket.socketpair()
    with ours, theirs:
        serving._give_up_in_time(ours.fileno())  # of a UNIX socket nobody needs to be told
