"""pbweb.checkers: passwords in memory and in files, signed tokens, and functions."""

import asyncio
import base64
import hmac
import json
import os
import stat
import subprocess
import sys
import threading
import time

import argon2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import pbweb as pb
from pbweb import checkers
from pbweb.checkers import (
    AllowAnonymousAccess,
    CallableChecker,
    FilePasswordDB,
    IdentityChecker,
    InMemoryUsernamePasswordDatabase,
    TokenChecker,
    set_password,
)

QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
MINUTE = 60.0  # a bound for what hangs, never waited for


async def ask(checker, credentials):
    found = checker.requestAvatarId(credentials)
    return await found if hasattr(found, "__await__") else found


def asked(checker, *credentials):
    """The avatar id, or None for a refusal."""

    async def main():
        try:
            async with asyncio.timeout(MINUTE):
                return await ask(checker, *credentials)
        except pb.UnauthorizedLogin:
            return None

    return asyncio.run(main())


def login(checker, name, password):
    return asked(checker, pb.UsernamePassword(name, password))


# ---------------------------------------------------------------------- passwords


def test_passwords_in_memory():
    checker = InMemoryUsernamePasswordDatabase(
        {"alice": "wonder", "bob": QUICK.hash("builder")}, hasher=QUICK
    )
    assert checker.credentialInterfaces == (pb.UsernamePassword,)
    assert login(checker, "alice", "wonder") == "alice"
    assert login(checker, "bob", "builder") == "bob"
    for name, password in (
        ("alice", "builder"),
        ("alice", ""),
        ("Alice", "wonder"),
        ("", ""),
        ("carol", "wonder"),
        ("bob", QUICK.hash("builder")),
        ("alice", "\ud800"),
        ("\ud800", "wonder"),
        ("alice", 1025 * "w"),
        (1025 * "a", "wonder"),
    ):
        assert login(checker, name, password) is None, (name, password)
    assert "wonder" not in repr(vars(checker))


class Counting:
    """A hasher that says what it was given to verify."""

    def __init__(self):
        self.verified = []

    def hash(self, password):
        return QUICK.hash(password)

    def verify(self, known, password):
        self.verified.append(argon2.extract_parameters(known))
        return QUICK.verify(known, password)


def test_an_unknown_name_is_as_much_work_as_a_wrong_password(tmp_path):
    slow = argon2.PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    path = tmp_path / "passwords"
    path.write_text(f"alice:{slow.hash('wonder')}\n")
    checker = FilePasswordDB(path, hasher=(hasher := Counting()))
    assert login(checker, "alice", "wrong") is None
    assert login(checker, "nobody", "wrong") is None
    known, unknown = hasher.verified
    assert known == unknown == argon2.extract_parameters(slow.hash("x"))
    # also where hashes are of different kinds: the time tells neither who is there nor of which
    path.write_text(f"alice:{slow.hash('wonder')}\nbob:{QUICK.hash('builder')}\n")
    hasher.verified.clear()
    assert login(checker, "alice", "wonder") == "alice"
    assert login(checker, "bob", "builder") == "bob"
    for name in ("alice", "bob", "nobody"):
        assert login(checker, name, "wrong") is None
    kinds = [argon2.extract_parameters(one.hash("x")) for one in (slow, QUICK)]
    assert hasher.verified == 5 * kinds
    hasher.verified[:] = [known, unknown]
    # and where nobody is known at all
    path.write_text("")
    assert login(checker, "nobody", "wrong") is None
    assert hasher.verified[2] == argon2.extract_parameters(QUICK.hash("x"))


def test_hashing_holds_up_neither_the_loop_nor_more_threads_than_there_are():
    class Blocking(Counting):
        def __init__(self):
            super().__init__()
            self.going, self.most = 0, 0
            self.lock, self.event = threading.Lock(), threading.Event()
            self.begun = threading.Semaphore(0)

        def verify(self, known, password):
            with self.lock:
                self.going += 1
                self.most = max(self.most, self.going)
            self.begun.release()
            assert self.event.wait(MINUTE)
            with self.lock:
                self.going -= 1
            return QUICK.verify(known, password)

    checker = InMemoryUsernamePasswordDatabase({"alice": "wonder"}, hasher=(hasher := Blocking()))
    alice = pb.UsernamePassword("alice", "wonder")
    room = checkers.WORKERS + checkers.MAX_WAITING

    async def main():
        async with asyncio.timeout(MINUTE):
            tasks = [asyncio.create_task(ask(checker, alice)) for _ in range(room)]
            for _ in range(checkers.WORKERS):
                while not hasher.begun.acquire(blocking=False):
                    await asyncio.sleep(0)  # the loop goes on all the time
            for _ in range(2):
                with pytest.raises(pb.LimitExceeded, match="too many passwords"):
                    await ask(checker, alice)
            # one that is cancelled leaves its work behind, which counts until it is done
            tasks[0].cancel()
            await asyncio.sleep(0)
            with pytest.raises(pb.LimitExceeded, match="too many passwords"):
                await ask(checker, alice)
            hasher.event.set()
            assert await asyncio.gather(*tasks[1:]) == (room - 1) * ["alice"]
            assert await ask(checker, alice) == "alice"
        assert hasher.most == checkers.WORKERS

    asyncio.run(main())
    assert checkers._PASSWORDS.jobs == 0


def test_what_waits_for_a_thread_that_will_not_come_no_longer_counts():
    workers = checkers._Workers("things")
    go = threading.Event()

    async def main():
        async with asyncio.timeout(MINUTE):
            tasks = [
                asyncio.create_task(workers.do(go.wait, MINUTE))
                for _ in range(checkers.WORKERS + 1)
            ]
            await asyncio.sleep(0)
            assert workers.jobs == checkers.WORKERS + 1
            workers._threads.shutdown(wait=False, cancel_futures=True)
            go.set()
            *_, last = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(last, asyncio.CancelledError)

    asyncio.run(main())
    assert workers.jobs == 0


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(ImportError, match=r"argon2-cffi is not installed.*pbweb\[cred\]"):
        InMemoryUsernamePasswordDatabase({})


def test_passwords_in_a_file_that_changes(tmp_path):
    path = tmp_path / "passwords"
    path.write_text(f"# the staff\n\nalice:{QUICK.hash('wonder')}\n bob:{QUICK.hash('x')} \n")
    checker = FilePasswordDB(path, hasher=QUICK)
    assert login(checker, "alice", "wonder") == "alice"
    assert login(checker, "bob", "x") == "bob"
    before = path.stat()
    path.write_text(
        f"alice:{QUICK.hash('other')}\nbroken\ncarol:no hash\n#dave:{QUICK.hash('x')}\n"
    )
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert login(checker, "alice", "wonder") is None
    assert login(checker, "alice", "other") == "alice"
    for name in ("bob", "broken", "carol", "#dave", "dave", "# the staff", ""):
        assert login(checker, name, "x") is None
        assert login(checker, name, "no hash") is None
    path.unlink()
    assert login(checker, "alice", "other") is None
    path.write_bytes(b"\xff\xfe")
    assert login(checker, "alice", "other") is None
    path.write_text(f"alice:{QUICK.hash('again')}\n")
    assert login(checker, "alice", "again") == "alice"
    with pytest.raises(FileNotFoundError):
        FilePasswordDB(tmp_path / "missing")


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path):
    path = tmp_path / "passwords"
    path.write_text(f"alice:{QUICK.hash('wonder')}\n")
    checker = FilePasswordDB(path, hasher=QUICK)
    first = checker._hashes()
    assert checker._hashes() is first
    path.write_text("")
    assert checker._hashes() == {}


def test_lines_by_which_nobody_can_log_in_are_named_in_the_log(tmp_path, caplog):
    path = tmp_path / "passwords"
    path.write_text(f"# ours\nbob:hunter2\n\nalice:{QUICK.hash('wonder')}\nhunter3\n")
    checker = FilePasswordDB(path, hasher=QUICK)
    assert login(checker, "alice", "wonder") == "alice"
    assert login(checker, "bob", "hunter2") is None
    (record,) = caplog.records  # once for each time that the file is read
    assert "passwords: nobody can log in by line 2, 5, " in record.getMessage()
    assert "hunter" not in record.getMessage()


def test_a_password_is_set_in_a_file(tmp_path):
    path = tmp_path / "passwords"
    set_password(path, "alice", "wonder")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    set_password(path, "bob", "builder")
    path.write_text(f"# kept\n{path.read_text()}")
    set_password(path, "alice", "other")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    checker = FilePasswordDB(path)
    assert login(checker, "alice", "other") == "alice"
    assert login(checker, "bob", "builder") == "bob"
    lines = path.read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["# kept", "bob", "alice"]
    assert "other" not in path.read_text()
    set_password(path, "bob", None)
    assert login(checker, "bob", "builder") is None
    with pytest.raises(KeyError, match="bob"):
        set_password(path, "bob", None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["passwords"]
    link = tmp_path / "link"
    link.symlink_to(path)
    set_password(link, "carol", "x")
    assert link.is_symlink()
    assert login(checker, "carol", "x") == "carol"


@pytest.mark.parametrize("name", ["", " alice", "alice ", "#alice", "a:b", "a\nb", 1025 * "a"])
def test_a_name_that_cannot_stand_in_a_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        set_password(tmp_path / "passwords", name, "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("password", ["", 1025 * "x"])
def test_a_password_that_nobody_could_log_in_with_is_refused(tmp_path, password):
    with pytest.raises(ValueError, match="1 to 1024"):
        set_password(tmp_path / "passwords", "alice", password)


def test_a_file_is_left_as_it_was_when_it_cannot_be_replaced(tmp_path, monkeypatch):
    path = tmp_path / "passwords"
    set_password(path, "alice", "wonder")
    before = path.read_text()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="no space"):
        set_password(path, "alice", "other")
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["passwords"]


# ------------------------------------------------------------------------- tokens

SECRET = 8 * "a secret of many bytes, "
MUST = {"audience": "board", "issuer": "https://login.example"}


def token(key=SECRET, algorithm="HS256", *, seconds=60, headers=None, **claims):
    said = {
        "sub": "alice",
        "aud": "board",
        "iss": "https://login.example",
        "exp": time.time() + seconds,
        **claims,
    }
    said = {name: value for name, value in said.items() if value is not None}
    return pb.Token(jwt.encode(said, key, algorithm, headers=headers))


def test_a_token_is_good_until_it_expires():
    checker = TokenChecker(SECRET, algorithms=["HS256"], **MUST)
    assert checker.credentialInterfaces == (pb.Token,)
    found = asked(checker, token())
    assert found.avatarId == "alice"
    assert 55 < found.seconds <= 60
    assert asked(checker, token(aud=["other", "board"])).avatarId == "alice"


@pytest.mark.parametrize(
    "bad",
    [
        {"seconds": -1},
        {"exp": None},
        {"aud": None},
        {"aud": "other"},
        {"iss": None},
        {"iss": "https://evil.example"},
        {"sub": None},
        {"nbf": 4_000_000_000},  # in the year 2096
        {"key": 8 * "another secret of many "},
        {"algorithm": "HS512"},
    ],
)
def test_a_token_that_is_not_good_is_refused(bad):
    checker = TokenChecker(SECRET, algorithms=["HS256"], **MUST)
    assert asked(checker, token(**bad)) is None


@pytest.mark.parametrize(
    "text", ["", "a.b.c", "a", "...", 20_000 * "x", "\ud800", jwt.encode({"sub": "x"}, "", "none")]
)
def test_what_is_no_token_is_refused(text):
    assert asked(TokenChecker(SECRET, algorithms=["HS256"], **MUST), pb.Token(text)) is None


def test_the_claims_may_say_more_than_a_name():
    checker = TokenChecker(
        SECRET,
        algorithms=["HS256"],
        leeway=30,
        avatarId=lambda claims: (claims["sub"], claims.get("role")),
        **MUST,
    )
    found = asked(checker, token(role="admin", seconds=-10))
    assert found.avatarId == ("alice", "admin")
    assert 10 < found.seconds <= 20
    nobody = TokenChecker(SECRET, algorithms=["HS256"], avatarId=lambda _: None, **MUST)
    assert asked(nobody, token()) is None


def key_set(**keys):
    made = []
    for name, key in keys.items():
        text = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())
        made.append({**json.loads(text), "kid": name, "alg": "ES256", "use": "sig"})
    return {"keys": made}


def test_a_key_set_has_the_key_that_the_token_names():
    one, two, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    checker = TokenChecker(key_set(one=one, two=two), algorithms=["ES256"], **MUST)
    for key, name in ((one, "one"), (two, "two")):
        found = asked(checker, token(key, "ES256", headers={"kid": name}))
        assert found.avatarId == "alice"
    for key, headers in (
        (one, {"kid": "two"}),
        (other, {"kid": "one"}),
        (one, {"kid": "three"}),
        (one, None),
    ):
        assert asked(checker, token(key, "ES256", headers=headers)) is None
    # with one key there is nothing to choose
    only = TokenChecker(key_set(one=one), algorithms=["ES256"], **MUST)
    assert asked(only, token(one, "ES256")).avatarId == "alice"
    # a public key is no secret, whatever the token says
    public = one.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = token(one, "ES256", headers={"kid": "one"}).token.split(".")
    head = _base64(json.dumps({"alg": "HS256", "kid": "one"}).encode())
    signed = _base64(hmac.digest(public, f"{head}.{body}".encode(), "sha256"))
    for checker in (only, TokenChecker(public, algorithms=["ES256"], **MUST)):
        assert asked(checker, pb.Token(f"{head}.{body}.{signed}")) is None


def _base64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_key_set_is_fetched_from_its_address():
    key = ec.generate_private_key(ec.SECP256R1())
    served = []

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(key_set(one=key)).encode()
        served.append(body)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        checker = TokenChecker(f"http://127.0.0.1:{port}/keys", algorithms=["ES256"], **MUST)
        async with asyncio.timeout(MINUTE), server:
            for _ in range(2):  # the second time it is known
                found = await ask(checker, token(key, "ES256", headers={"kid": "one"}))
                assert found.avatarId == "alice"
            with pytest.raises(pb.UnauthorizedLogin):
                await ask(checker, token(key, "ES256", headers={"kid": "unknown"}))
        # nobody is there any more, and keys that are known are still good
        assert (await ask(checker, token(key, "ES256", headers={"kid": "one"}))).avatarId == "alice"
        with pytest.raises(pb.UnauthorizedLogin):
            await ask(checker, token(key, "ES256", headers={"kid": "unknown"}))

    asyncio.run(main())
    assert 1 <= len(served) <= 2  # not for each token with a name that nobody knows


def test_keys_that_do_not_come_hold_up_nothing_but_tokens():
    key = ec.generate_private_key(ec.SECP256R1())
    go = threading.Event()

    async def main():
        checker = TokenChecker("http://127.0.0.1:1/keys", algorithms=["ES256"], **MUST)
        checker._url.fetch_data = lambda: go.wait(MINUTE) and {}
        users = InMemoryUsernamePasswordDatabase({"alice": "wonder"}, hasher=QUICK)
        room = checkers.WORKERS + checkers.MAX_WAITING
        unknown = token(key, "ES256", headers={"kid": "unknown"})
        async with asyncio.timeout(MINUTE):
            tasks = [asyncio.create_task(ask(checker, unknown)) for _ in range(room)]
            await asyncio.sleep(0)
            with pytest.raises(pb.LimitExceeded, match="too many tokens"):
                await ask(checker, unknown)
            assert await asyncio.to_thread(lambda: "here") == "here"
            assert await ask(users, pb.UsernamePassword("alice", "wonder")) == "alice"
            go.set()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(one) for one in found} == {pb.UnauthorizedLogin}

    asyncio.run(main())
    assert checkers._TOKENS.jobs == 0


@pytest.mark.parametrize(
    "algorithms", [[], "HS256", ["none"], ["HS256", "none"], ["HS256", "ES256"], ["RS256", "HS512"]]
)
def test_algorithms_that_may_not_stand_together_are_refused(algorithms):
    with pytest.raises(ValueError, match="algorithms"):
        TokenChecker(SECRET, algorithms=algorithms, **MUST)


def test_a_key_set_without_keys_is_refused():
    for keys in ({}, {"keys": []}, {"keys": [{"kty": "what"}]}):
        with pytest.raises(ValueError, match="key set"):
            TokenChecker(keys, algorithms=["ES256"], **MUST)


# ------------------------------------------------------------------------- others


def test_functions_may_be_checkers():
    class Key(pb.Credentials, kind="key"):
        key: str

    async def later(credentials):
        await asyncio.sleep(0)
        return pb.ExpiringAvatarId("robot", 5) if credentials.key == "k" else None

    checker = CallableChecker(Key, later)
    assert asked(checker, Key("k")) == pb.ExpiringAvatarId("robot", 5)
    assert asked(checker, Key("x")) is None
    plain = CallableChecker([Key, pb.Token], lambda credentials: type(credentials).__name__)
    assert plain.credentialInterfaces == (Key, pb.Token)
    assert asked(plain, pb.Token("x")) == "Token"


def test_who_is_anonymous_and_who_is_known_already():
    assert asked(AllowAnonymousAccess(), pb.Anonymous()) is pb.ANONYMOUS
    known = pb.UpgradeIdentity()
    assert asked(IdentityChecker(), known) is None
    object.__setattr__(known, "identity", {"id": 7})
    assert asked(IdentityChecker(), known) == {"id": 7}
    assert asked(IdentityChecker(lambda identity: identity["id"]), known) == 7
    assert asked(IdentityChecker(lambda _: None), known) is None


@pytest.mark.parametrize(
    ("missing", "make", "text"),
    [
        ("argon2", "FilePasswordDB('x')", "argon2-cffi is not installed"),
        ("argon2", "InMemoryUsernamePasswordDatabase({})", "argon2-cffi is not installed"),
        ("argon2", "set_password('/nowhere/x', 'a', 'b')", "argon2-cffi is not installed"),
        ("jwt", "TokenChecker('k', algorithms=['HS256'], audience='', issuer='')", "PyJWT is not"),
        (
            "cryptography",
            "TokenChecker('k', algorithms=['HS256'], audience='', issuer='')",
            "cryptography is not installed",
        ),
    ],
)
def test_libraries_that_are_missing_are_named(missing, make, text):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from pbweb.checkers import *\nAllowAnonymousAccess()\n"
        f"try: {make}\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert text in done.stdout
    assert "pip install 'pbweb[cred]'" in done.stdout


def test_the_libraries_come_when_they_are_needed():
    code = (
        "import sys, pbweb, pbweb.checkers\n"
        "print({'argon2', 'jwt', 'cryptography'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
