"""pbweb.opening: whose request opens a session, looked at before the upgrade."""

from socket import gethostname

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pbweb.admission import Admission
from pbweb.limits import DEFAULT
from pbweb.opening import Gate, address_of, headers_of, network_of
from tests.unit.paired import LogRecords

GOOD = {"host": "example.test", "sec-websocket-protocol": "pb.json.1"}


def request(*, secure=False, kind="websocket", query="", server=("192.0.2.1", 80), **given):
    """The scope of a request with the headers *given*; a list is one of several."""
    changed = {name.replace("_", "-"): value for name, value in given.items()}
    headers = [
        (name.encode(), one.encode())
        for name, value in {**GOOD, **changed}.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return {
        "type": kind,
        "scheme": "wss" if secure else "ws",
        "path": "/pb",
        "query_string": query.encode(),
        "headers": headers,
        "client": ("198.51.100.7", 4000),
        "server": server,
    }


def gate(**options):
    given = {"hosts": None, "origins": (), "require_origin": False, "url_secrets": False}
    given["admission"] = Admission(DEFAULT, lambda: 0.0)
    return Gate(**{**given, **options})


def refused(the_gate=None, **given):
    found = (the_gate or gate()).refusal(request(**given))
    return found and found[0]


# ---------------------------------------------------------------- the origin


def test_a_client_without_an_origin_may_connect_unless_one_is_required():
    assert refused() is None
    strict = gate(require_origin=True)
    assert refused(strict) == 403
    assert refused(strict, origin="http://evil.test") == 403
    assert refused(strict, origin="http://example.test") is None


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://example.test", "example.test", False),
        ("http://example.test:80", "example.test", False),
        ("http://example.test", "example.test:80", False),
        ("https://example.test", "example.test", True),
        ("https://example.test:443", "example.test", True),
        ("http://example.test:8000", "example.test:8000", False),
        ("http://EXAMPLE.test", "example.TEST", False),
        ("http://[::1]:8000", "[::1]:8000", False),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", False),
    ],
)
def test_the_same_host_may_connect(origin, host, secure):
    assert refused(origin=origin, host=host, secure=secure) is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://other.test",
        "https://example.test",
        "http://example.test:8000",
        "http://example.test:443",
        "http://example.test:0",
        "http://www.example.test",
        "http://example.test.evil.test",
        "http://evilexample.test",
        "http://example.tes",
        "http://evil.test/example.test",
        "http://example.test/",
        "http://user@example.test",
        "http://@example.test",
        "http://example.test.",
        "http://exam\tple.test",
        " http://example.test",
        "null",
        "",
        "file://",
        "example.test",
        "//example.test",
        "ws://example.test",
        "http://example.test:99999",
        "http://[",
        "*",
        "http://example.test?x",
        "http://example.test#x",
        "http://example.test, http://example.test",
        "http://" + "x" * 10_000,
    ],
)
@pytest.mark.parametrize("secure", [False])
def test_another_origin_is_403(origin, secure):
    assert refused(origin=origin, secure=secure) == 403
    assert refused(gate(origins=["http://pages.test"]), origin=origin, secure=secure) == 403


def test_http_for_https_is_another_origin():
    assert refused(origin="http://example.test", secure=True) == 403
    assert refused(origin="http://example.test:443", secure=True) == 403


def test_origins_can_be_allowed():
    some = gate(origins=["https://pages.test", "http://localhost:3000"])
    assert refused(some, origin="https://pages.test") is None
    assert refused(some, origin="https://pages.test:443") is None
    assert refused(some, origin="http://localhost:3000") is None
    assert refused(some, origin="http://example.test") is None
    assert refused(some, origin="http://pages.test") == 403
    assert refused(some, origin="https://more.pages.test") == 403
    assert refused(gate(origins="*"), origin="http://evil.test") is None


@pytest.mark.parametrize(
    "origin", ["https://pages.test/", "pages.test", "", "https://a.test,https://b.test", "null"]
)
def test_an_origin_that_is_none_is_no_option(origin):
    with pytest.raises(ValueError, match="is no origin, as http://localhost:3000"):
        gate(origins=[origin])


@pytest.mark.parametrize("options", [{"origins": "https://pages.test"}, {"hosts": "pages.test"}])
def test_one_text_is_no_list(options):
    with pytest.raises(TypeError, match="are lists"):
        gate(**options)


def plain(origin):
    """What two origins that are the same have in common, found in another way."""
    scheme, _, host = origin.lower().partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return scheme, host.removesuffix(default)


PARTS = st.sampled_from(
    [*("http", "https", "ws", "://", ":", "//", "/", "a", "A", "b", ".", "@", "?", "#", "\\"),
     *("80", "443", "0", "08", "[", "]", "[::1]", " ", "\t", "\x00", "\xe0", "null", "*", ",")]
)  # fmt: skip
HOSTS = st.sampled_from(["a", "A:80", "a:443", "b.a", "[::1]:80", "a.", "a:8000"]) | st.lists(
    PARTS, max_size=4
).map("".join)


@given(origin=st.lists(PARTS, max_size=8).map("".join), host=HOSTS, secure=st.booleans())
@example(origin="http://a:80", host="A", secure=False)
@example(origin="https://[::1]", host="[::1]:443", secure=True)
@example(origin="http://a:", host="a", secure=False)
@example(origin="http://a@b", host="b", secure=False)
@settings(max_examples=500)
def test_whatever_gets_in_is_of_the_very_origin(origin, host, secure):
    found = refused(origin=origin, host=host, secure=secure)
    assert found in (None, 400, 403)
    if found is None:
        assert plain(origin) == plain(f"{'https' if secure else 'http'}://{host}")


def test_two_origins_are_403():
    assert refused(origin=["http://example.test", "http://example.test"]) == 403
    assert refused(origin=["http://example.test", "http://evil.test"]) == 403


# ------------------------------------------------------------------ the host


@pytest.mark.parametrize("host", [[], ["example.test", "example.test"]])
def test_not_exactly_one_host_is_400(host):
    assert refused(host=host) == 400


def test_hosts_can_be_limited():
    some = gate(hosts=["Example.test", "localhost"])
    for host in ("example.test", "EXAMPLE.TEST", "localhost:8000", "example.test."):
        assert refused(some, host=host) is None
    for host in ("other.test", "", "[", "example.test.evil.test", "127.0.0.1", "a@localhost"):
        assert refused(some, host=host) == 400
    assert refused(gate(hosts=["*"]), host="other.test", server=("127.0.0.1", 80)) is None


@pytest.mark.parametrize("server", ["127.0.0.1", "::1", "127.9.9.9", "::ffff:127.0.0.1"])
def test_a_loopback_address_answers_to_the_names_of_this_machine_only(server):
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "localhost."):
        assert refused(host=host, server=(server, 8000)) is None
    for host in ("evil.test", "evil.test:8000", "localhost.evil.test", "192.0.2.1", "127.0.0.2"):
        assert refused(host=host, server=(server, 8000)) == 400


def test_a_loopback_address_answers_to_itself():
    assert refused(host="127.9.9.9:8000", server=("127.9.9.9", 8000)) is None
    assert refused(host=f"{gethostname()}:8000", server=("127.0.1.1", 8000)) is None


@pytest.mark.parametrize("server", [("192.0.2.1", 80), ("/run/pb.sock", None), None, ("", 0)])
def test_at_other_addresses_all_hosts_are_answered(server):
    assert refused(server=server) is None


def test_pages_are_for_the_same_hosts_and_those_who_say_none():
    some = gate(hosts=["localhost"])

    def answered(**given):
        return some.host_refusal(request(kind="http", **given)) is None

    assert answered(host="localhost:80")
    assert answered(host=[])
    assert not answered(host="evil.test")
    assert not answered(host=["localhost", "localhost"])
    assert refused(some, host=[]) == 400


# ------------------------------------------------------------------- the URL


@pytest.mark.parametrize(
    "query",
    [
        "token=x",
        "room=5&access_token=x",
        "a=1;password=x",
        "%74oken=x",
        "secret",
        "apiKey=x",
        "API_KEY=x",
        "X-Auth-Token=x",
        "sessionId=x",
        "jwt=x",
    ],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(query):
    status, reason = gate().refusal(request(query=query))
    assert status == 400
    assert "=x" not in reason
    assert "--url-secrets" in reason
    assert refused(gate(url_secrets=True), query=query) is None


def test_of_a_query_without_end_the_beginning_is_looked_at():
    assert refused(query="a&" * 99 + "token=x") == 400
    assert refused(query="a&" * 30_000 + "token=x") is None


@pytest.mark.parametrize("query", ["", "room=5", "author=x", "tokenizer=x", "q=token", "x=1&&"])
def test_other_urls_are_not(query):
    assert refused(query=query) is None


# ----------------------------------------------------------- the subprotocol


@pytest.mark.parametrize("offered", [[], "", "pb.json.2", "PB.JSON.1", "xpb.json.1", "pb.json"])
def test_without_the_subprotocol_it_is_400(offered):
    assert refused(sec_websocket_protocol=offered) == 400


@pytest.mark.parametrize("offered", ["pb.json.1", "other, pb.json.1", ["other", "pb.json.1"]])
def test_with_the_subprotocol(offered):
    assert refused(sec_websocket_protocol=offered) is None


def test_a_server_may_have_parsed_the_subprotocols():
    scope = request(sec_websocket_protocol=[])
    assert gate().refusal({**scope, "subprotocols": ["pb.json.1"]}) is None
    assert gate().refusal({**scope, "subprotocols": ["other"]})[0] == 400


# ------------------------------------------------------------------- the log


def test_the_reason_cannot_break_a_log():
    _, reason = gate().refusal(request(origin="http://x\n\x1b[31m" + "y" * 5000))
    assert reason.isprintable()
    assert len(reason) < 500


def test_a_refusal_is_logged_once_a_minute_and_counted(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    one = gate()
    with LogRecords() as records:
        for _ in range(30):
            one.refusal(request(origin="http://evil.test"))
        one.refusal(request(host=[]))
        assert len(records) == 2
        for number in range(30):
            one.refusal(request(origin=f"http://evil{number}.test"))
        assert len(records) == 2 + 9
        now += 61
        one.refusal(request(origin="http://evil\n.test"))
    texts = [record.getMessage() for record in records]
    assert texts[-2] == "… and 50 more were refused for their origin"
    assert texts[-1].startswith(
        "an upgrade from '198.51.100.7' was refused with 403: the origin 'http://evil\\n.test' may "
        "not connect to 'http://example.test'; allow it with `pbweb serve --origin` or origins=[…]"
    )
    assert one.refused == {"origin": 61, "host": 1}


# ------------------------------------------------------------- what is asked


def test_what_a_scope_says():
    scope = request(origin=["a", "b"])
    assert headers_of(scope, "origin") == ["a", "b"]
    assert headers_of(scope, "cookie") == []
    assert address_of(scope) == "198.51.100.7"
    assert address_of({**scope, "client": None}) == ""


def test_networks():
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") != network_of("192.0.2.8")
    assert (
        network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    )
    for here in (
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "",
        "/run/pb.sock",
        "unknown",
    ):
        assert network_of(here) is None
