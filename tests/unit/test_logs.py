"""pbweb.logs: lines of the log with what peers sent in them, and secrets in URLs."""

import io
import logging
from pathlib import Path

import pytest

import pbweb as pb
from pbweb.logs import (
    LINE,
    PEERS_TEXT,
    Allowance,
    MaskSecrets,
    OneLine,
    Sparse,
    guard_uvicorn_logs,
    is_secret,
    logger,
    masked,
    printable,
    shown,
    wire_logger,
)
from pbweb.parking import Principal
from pbweb.resuming import Asked

PROJECT = Path(__file__).resolve().parents[2]

HOSTILE = [
    "a\nb",
    "a\r\n2026-01-01 ERROR pbweb: all is lost",
    "a\x1b[2Jb",
    "a\x9b31mb",
    "a\x00\x07\x7fb",
    "a\u202eb\u2066c\u200fd",
    "a\u2028b\u2029c\x85d",
    "a\ud800b\udfffc",
    "a\ufeffb\U000e0041",
]


@pytest.fixture
def written():
    """What a plain handler writes of the records of pbweb's logger."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def lines_of(stream):
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_of_a_peers_is_on_one_line_and_plain(text, written):
    assert printable(text).isprintable()
    assert shown(text).isascii()
    logger.warning("the peer said %s", text)
    [line] = lines_of(written)
    assert line.isprintable()
    line.encode()
    assert line.startswith("WARNING pbweb: the peer said a")


def test_long_texts_are_cut(written):
    assert shown("x" * 10**6) == "'" + "x" * PEERS_TEXT + "'..."
    assert len(shown("\ud800" * 10**6)) == PEERS_TEXT + 5
    assert len(printable("\ud800" * 10**6)) == LINE + 1
    assert shown("x" * PEERS_TEXT) == "'" + "x" * PEERS_TEXT + "'"
    logger.warning("x" * 10**6)
    [line] = lines_of(written)
    assert len(line) < LINE + 30


def test_what_is_plain_is_left_as_it_is(written):
    logger.warning("%d of %s", 5, "naïve — 日本")
    assert lines_of(written) == ["WARNING pbweb: 5 of naïve — 日本"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_of_a_traceback_can_pass_for_another_entry(text, written):
    try:
        raise ValueError(text)
    except ValueError as error:
        logger.error("it failed", exc_info=error)
    first, *more = lines_of(written)
    assert first == "ERROR pbweb: it failed"
    assert more[0] == "  Traceback (most recent call last):"
    assert "raise ValueError(text)" in " ".join(more)
    for line in more:
        assert line.startswith("  ")
        assert line.isprintable()
        line.encode()


def test_a_traceback_has_a_bound(written):
    try:
        raise ValueError("x\n" * 10**5 + "y" * 10**6)
    except ValueError as error:
        logger.error("it failed", exc_info=error)
    lines = lines_of(written)
    assert len(lines) < 130
    assert max(map(len, lines)) < LINE + 10
    assert "lines …" in written.getvalue()


def test_no_exception_is_no_traceback(written):
    logger.error("it failed", exc_info=(None, None, None))
    assert lines_of(written)[0] == "ERROR pbweb: it failed"


def test_an_allowance_is_for_each_cause_and_counts_the_rest():
    some = Allowance(2, 3)
    assert [some.take("a") for _ in range(5)] == [True, True, False, False, False]
    assert [some.take(cause) for cause in "bc"] == [True, True]
    assert [some.take(cause) for cause in "defg"] == [True, True, False, False]
    assert dict(some.left_out()) == {"a": 3, "many different things were reported": 2}
    assert list(some.left_out()) == []
    assert some.take("a")


@pytest.mark.parametrize(
    "key",
    [
        *("token", "TOKEN", "access_token", "accesstoken", "idToken", "refresh-token", "token2"),
        *("password", "user_password", "passwd", "pwd", "secret", "client_secret", "auth"),
        *("Authorization", "api_key", "apikey", "API-KEY", "jwt", "%74oken", "credentials"),
    ],
)
def test_a_key_that_looks_like_a_secret(key):
    assert is_secret(key)


@pytest.mark.parametrize(
    "key", ["", "author", "tokenize", "room", "authority", "keyboard", "passenger", "q", "1", "ä"]
)
def test_a_key_that_does_not(key):
    assert not is_secret(key)


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("/pb?token=MARK", "/pb?token=***"),
        ("/pb?room=5&password=MARK&x=1", "/pb?room=5&password=***&x=1"),
        ("GET /pb?a=1;api_key=MARK HTTP/1.1", "GET /pb?a=1;api_key=*** HTTP/1.1"),
        ("ws://host/pb?%74oken=MARK#top", "ws://host/pb?%74oken=***#top"),
        ("ws://ann:MARK@host/pb?a=b", "ws://***@host/pb?a=b"),
        ("ws://ann:MA@RK@host/@b", "ws://***@host/@b"),
        ("ws://host/pb?mail=ann@host", "ws://host/pb?mail=ann@host"),
        ("/pb?" + "a=1&" * 20_000, "/pb?***"),
        ("/" + "a" * 20_000, "/" + "a" * 20_000),
        ("/pb?room=5", "/pb?room=5"),
        ("token=MARK", "token=MARK"),  # no query
        ("no URL", "no URL"),
    ],
)
def test_secrets_in_urls_are_hidden(text, shown_as):
    assert masked(text) == shown_as


def test_the_access_log_of_uvicorn_is_masked():
    guard_uvicorn_logs()
    guard_uvicorn_logs()
    for name in ("uvicorn.access", "uvicorn.error"):
        log = logging.getLogger(name)
        assert len([one for one in log.filters if isinstance(one, MaskSecrets)]) == 1
        sparse = len([one for one in log.filters if isinstance(one, Sparse)])
        assert sparse == (name == "uvicorn.error")
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        log.addHandler(handler)
        level = log.level
        log.setLevel(logging.INFO)
        try:
            log.info('%s - "%s %s" %d', "127.0.0.1", "GET", "/pb?token=MARK", 400)
            log.info("/pb?token=MARK")
            log.info({"an": "object"})
            log.info("%(url)s %(number)d", {"url": "/pb?token=MARK", "number": 5})
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
        assert stream.getvalue().splitlines() == [
            '127.0.0.1 - "GET /pb?token=***" 400',
            "/pb?token=***",
            "{'an': 'object'}",
            "/pb?token=*** 5",
        ]


def said_at(filter, text, seconds):
    """What is written of *text* at the time *seconds*; None if nothing is."""
    record = logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, text, (), None)
    record.created = seconds
    return record.getMessage() if filter.filter(record) else None


def test_what_peers_have_uvicorn_say_is_ten_lines_a_minute_and_then_counted():
    sparse = Sparse()
    text = "ASGI callable returned without completing handshake."
    other = "Invalid HTTP request received."
    said = [said_at(sparse, text, 6000.0 + number) for number in range(50)]
    assert said == [text] * 10 + [None] * 40
    assert said_at(sparse, other, 6051.0) == other  # each has lines of its own
    assert said_at(sparse, text, 6060.0) == f"{text} (and 40 more in a minute before)"
    assert said_at(sparse, text, 6061.0) == text
    assert said_at(sparse, text, 6120.0) == text  # nothing was left out
    assert said_at(sparse, other, 6121.0) == other


@pytest.mark.parametrize("text", ["Exception in ASGI application\n", {"an": "object"}])
def test_what_else_uvicorn_says_is_all_written(text):
    sparse = Sparse()
    assert {said_at(sparse, text, 6000.0) for _ in range(50)} == {str(text)}


@pytest.mark.parametrize(
    "value",
    [
        Asked(session="s", secret="MARK", received=0, sent=0),
        Principal(identity="MARK"),
        pb.UsernamePassword("MARK", "MARK"),
        pb.Token("MARK"),
    ],
)
def test_what_is_secret_is_in_no_repr(value):
    assert "MARK" not in f"{value!r} {value} {[value]}"


def test_all_of_pbweb_logs_by_this_logger():
    """Another one would have no filter."""
    made = {
        path.name: path.read_text().count("getLogger(")
        for folder in ("pbweb", "server/pbweb_server")
        for path in (PROJECT / folder).rglob("*.py")
    }
    assert {name: count for name, count in made.items() if count} == {
        "logs.py": 4,  # its own, the one of websockets, and those of uvicorn that it guards
    }
    for one in (logger, wire_logger):
        assert any(isinstance(filter, OneLine) for filter in one.filters)
