"""`pbweb call` as a process: what it prints, and what it ends with."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.process import PROJECT, SECONDS, free_port, pbweb, serving
from tests.integration.test_proxies import CERTIFICATE, Caddy

ROOT = "tests.integration.roots:IntegrationRoot"


class Ended(NamedTuple):
    code: int
    said: str
    complained: str


def call(url: str, *words: str, **variables: str) -> Ended:
    ended = subprocess.run(
        pbweb("call", url, *words),
        cwd=PROJECT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ROOT) as process:
        yield process.port


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_an_answer_is_printed_as_json(port: int, scheme: str) -> None:
    value = {"text": "ä", "numbers": [1, -2.5, 2**70], "none": None}
    code, said, complained = call(f"{scheme}://localhost:{port}/pb", "echo", json.dumps(value))
    assert (code, complained) == (0, "")
    big = {"$": "int", "value": str(2**70)}
    assert json.loads(said) == {**value, "numbers": [1, -2.5, big]}


def test_references_and_paths_and_names(port: int) -> None:
    url = f"ws://localhost:{port}/pb"
    assert call(url, "counter") == (0, '{"$":"remote","id":1}\n', "")
    assert call(url, "counter.add", "-5") == (0, "-5\n", "")
    assert call(url, "echo", "--kw", "value=some text") == (0, '"some text"\n', "")


def test_copies_of_any_type_are_shown(port: int) -> None:
    code, said, complained = call(f"ws://localhost:{port}/pb", "copies")
    assert (code, complained) == (0, "")
    pond = {"$": "copy", "type": "Pond", "state": {"frogs": [1, 2]}}
    again = {"again": {"$": "use", "id": 1}}
    assert json.loads(said) == [{"$": "def", "id": 1, "value": pond}, again]


def test_what_failed_over_there_is_1(port: int) -> None:
    url = f"ws://localhost:{port}/pb"
    for words, complained in (
        (["fail"], "pbweb: builtins.ValueError: MARK-of-the-fault\n"),
        (["nosuch"], "pbweb: NoSuchMethod: no method 'nosuch'"),
        (["echo"], "pbweb: TypeError: echo: missing a required argument: 'value'\n"),
        (["nosuch.add", "1"], "pbweb: NoSuchMethod: no method 'nosuch'"),
    ):
        code, said, heard = call(url, *words)
        assert (code, said) == (1, "")
        assert heard.startswith(complained)


def test_no_answer_in_time_is_1(port: int) -> None:
    code, said, complained = call(f"ws://localhost:{port}/pb", "slow", "--timeout", "0.2")
    assert (code, said) == (1, "")
    # Both sides watch the time, and either may be the first to see that it is over.
    assert re.match("pbweb: .*(within 0.2 seconds|over its deadline)\n", complained)


def test_a_traceback_that_the_server_sends_is_shown() -> None:
    with serving(ROOT, "--unsafe-tracebacks") as process:
        code, _, complained = call(f"ws://localhost:{process.port}/pb", "fail")
    assert code == 1
    assert "in remote_fail\n" in complained


def test_nothing_in_an_error_is_obeyed_by_a_terminal(port: int) -> None:
    code, _, complained = call(f"ws://localhost:{port}/pb", "failWith", '"a\\u001b[2Jb\\u202e"')
    assert (code, complained) == (1, "pbweb: builtins.ValueError: a\\x1b[2Jb\\u202e\n")


@pytest.mark.parametrize("url", ["localhost:8000/pb", "ftp://localhost/pb", "ws://"])
def test_what_is_no_address_is_2(url: str) -> None:
    code, said, complained = call(url, "echo", "1")
    assert (code, said) == (2, "")
    assert complained == f"pbweb: {url!r} is no ws:// or wss:// URL\n"


def test_no_connection_is_3(port: int) -> None:
    nobody = free_port()
    for url, why in (
        (f"ws://localhost:{nobody}/pb", f"ws://localhost:{nobody}/pb.*nobody answers"),
        (f"http://localhost:{port}/nosuch", f"ws://localhost:{port}/nosuch.*404.*/pb"),
        (f"https://localhost:{port}/pb", f"wss://localhost:{port}/pb"),
    ):
        code, said, complained = call(url, "echo", "1")
        assert (code, said) == (3, "")
        assert complained.startswith("pbweb: ")
        assert re.search(why, complained)
        assert "Traceback" not in complained


def test_a_connection_that_is_lost_is_3() -> None:
    with serving(ROOT) as process, ThreadPoolExecutor() as threads:
        ended = threads.submit(call, f"ws://localhost:{process.port}/pb", "slow")
        process.wait_for("slow is running")
        process.signal(signal.SIGTERM)
        code, said, complained = ended.result(SECONDS)
    assert (code, said) == (3, "")
    assert complained.startswith("pbweb: ")
    assert "1012" in complained
    assert "Traceback" not in complained


def test_a_header_of_the_upgrade() -> None:
    roots = "tests.integration.roots"
    with serving(f"{roots}:Door", "--authenticate", f"{roots}:who") as process:
        url = f"ws://localhost:{process.port}/pb"
        assert call(url, "whoAmI", "--header", "X-Name: Ada") == (0, '"Ada"\n', "")
        code, _, complained = call(url, "whoAmI")
    assert code == 3
    assert "401: say your name" in complained


def test_over_tls(port: int, tmp_path: Path) -> None:
    caddy = Caddy(tmp_path, port)
    with caddy.running():
        for scheme in ("wss", "https"):
            url = f"{scheme}://{caddy.host}/app/pb"
            assert call(url, "echo", "1", SSL_CERT_FILE=str(CERTIFICATE)) == (0, "1\n", "")
        code, _, complained = call(url, "echo", "1")
        assert code == 3
        assert "certificate" in complained
