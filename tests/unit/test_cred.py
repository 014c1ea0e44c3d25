"""pbweb.cred: logging in, several times on one connection, and how logins end."""

import asyncio
import gc
import logging
import weakref
from contextlib import suppress
from typing import Any

import orjson
import pytest

import pbweb as pb
from pbweb import cred
from pbweb.checkers import AllowAnonymousAccess, CallableChecker, IdentityChecker
from pbweb.testing import SteppedRuntime, frames_of, stepped_pair
from tests.unit.paired import LogRecords, run_paired

SECRET = "hunter2-do-not-tell"
USERS = {"alice": SECRET, "bob": f"{SECRET}-too"}


class Note(pb.Viewable):
    def view_author(self, perspective):
        return perspective.name


class User(pb.Avatar):
    def __init__(self, name, mind):
        self.name, self.mind = name, mind
        self.note = Note()
        self.future = None

    def perspective_whoami(self):
        return self.name

    async def perspective_whoami_later(self):
        await asyncio.sleep(0)
        return self.name

    def perspective_note(self):
        return self.note

    def perspective_thing(self):
        return Thing()

    async def perspective_notes(self):
        try:
            while True:
                yield self.note
        finally:
            self.closed = True

    async def perspective_read(self, stream):
        return [item.perspective is self async for item in stream]

    async def perspective_wait(self):
        await self.future()

    def perspective_echo(self, value):
        return value

    async def perspective_tell(self, value):
        return await self.mind.callRemote("tell", value)

    def perspective_is_mind(self, reference):
        return reference is self.mind

    def perspective_self(self):
        return self

    @staticmethod
    def perspective_static(number):
        return number

    def remote_whoami(self):
        raise AssertionError("another prefix")

    def view_whoami(self, perspective):
        raise AssertionError("another prefix")

    def whoami(self):
        raise AssertionError("no prefix")


class Thing(pb.Referenceable):
    def remote_touch(self):
        return "touched"


class Page(pb.Referenceable):
    def remote_tell(self, value):
        return value


class Realm:
    """Counts who comes and goes."""

    def __init__(self):
        self.minds, self.left, self.avatars = [], [], []

    def requestAvatar(self, avatarId, mind, *interfaces):
        assert interfaces == (pb.IPerspective,)
        self.minds.append(mind)
        avatar = User("anonymous" if avatarId is pb.ANONYMOUS else avatarId, mind)
        self.avatars.append(avatar)
        return pb.IPerspective, avatar, lambda: self.left.append(avatar.name)

    def forget(self):
        self.minds.clear()
        for avatar in self.avatars:
            avatar.mind = None


def check_password(credentials):
    if USERS.get(credentials.username) != credentials.password:
        raise pb.UnauthorizedLogin(f"{credentials.password} is wrong")
    return credentials.username


class Tokens:
    """A checker of tokens ``name:seconds``."""

    credentialInterfaces = (pb.Token,)

    async def requestAvatarId(self, credentials):
        await asyncio.sleep(0)
        name, _, seconds = credentials.token.partition(":")
        if name not in USERS:
            raise pb.UnauthorizedLogin
        return pb.ExpiringAvatarId(name, float(seconds)) if seconds else name


def portal(realm, *more, **options):
    passwords = CallableChecker(pb.UsernamePassword, check_password)
    return pb.Portal(realm, [passwords, Tokens(), *more], **options)


def logged_in(body, *more, login_required=None, logged=0, **options):
    """Run *body* with a pair and its realm; nobody is in when it is over."""
    realm = Realm()

    async def run(both):
        await body(both, realm)
        realm.forget()

    root = portal(realm, *more, login_required=login_required)
    records = run_paired(root, run, logged=logged, **options)
    assert len(realm.left) == len(realm.avatars)
    assert not root.leaving
    return records


ALICE = pb.UsernamePassword("alice", SECRET)
BOB = pb.UsernamePassword("bob", USERS["bob"])


def test_who_logs_in_holds_the_avatar():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        assert await alice.callRemote("whoami") == "alice"
        assert await alice.callRemote("whoami_later") == "alice"
        assert await alice.callRemote("static", 3) == 3
        assert realm.minds == [None]
        note = await alice.callRemote("note")
        assert note is await alice.callRemote("note")
        assert await note.callRemote("author") == "alice"

    logged_in(body)


def test_the_items_of_a_stream_are_as_the_avatar_sees_them():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        bob = await both.client.login(BOB)
        for user, name in ((alice, "alice"), (bob, "bob")):
            async with await user.callRemote("notes") as notes:
                note = await anext(notes)
                assert await note.callRemote("author") == name

        async def pages():
            yield Page()

        assert await alice.callRemote("read", pages()) == [True]
        assert await bob.callRemote("read", pages()) == [True]

    logged_in(body)


def test_a_stream_ends_with_the_login_of_the_avatar_that_gave_it():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        notes = await alice.callRemote("notes")
        await anext(notes)
        alice.release()
        await both.quiet()
        assert realm.avatars[0].closed
        notes.release()

    logged_in(body)


def test_calls_need_not_wait_for_the_login():
    async def body(both, realm):
        login = both.client.login(ALICE, Page())
        answers = [
            login.callRemote("whoami"),
            login.callRemote("note").callRemote("author"),
            login.callRemote("tell", "hello"),
            login.callRemote("tell", login.callRemote("whoami")),
        ]
        assert [await answer for answer in answers] == ["alice", "alice", "hello", "alice"]
        first = [frame[0] for frame in frames_of(both.to_server.messages[1])]
        assert first == 7 * ["message"]

    logged_in(body)


def test_the_mind_is_of_the_avatars_perspective():
    async def body(both, realm):
        page = Page()
        alice = await both.client.login(ALICE, page)
        (mind,) = realm.minds
        assert mind.perspective is realm.avatars[0]
        assert await alice.callRemote("is_mind", page)
        note = await mind.callRemote("tell", realm.avatars[0].note)  # there and back
        assert type(note) is pb.ViewPoint
        assert note.perspective is realm.avatars[0]
        # who logs in twice with one object has two minds
        bob = await both.client.login(BOB, page)
        assert realm.minds[1].perspective is realm.avatars[1]
        assert await bob.callRemote("is_mind", page)
        assert not await alice.callRemote("is_mind", await bob.callRemote("note"))
        assert both.client.broker.statistics()["handed_out"] == 1

    logged_in(body)


def test_references_in_calls_that_do_not_wait_for_the_login_are_the_avatars_too():
    async def body(both, realm):
        page = Page()
        login = both.client.login(pb.Token("alice"), page)
        kept = login.callRemote("is_mind", page)
        assert await kept
        await login

    logged_in(body)


def test_what_came_in_credentials_is_of_the_avatars_perspective():
    """A stream and a cache too: what comes through them later is as the avatar sees it."""
    bags = []

    class Bag(pb.Credentials, kind="bag"):
        stream: Any
        shelf: Any
        again: Any

    class Shelf(pb.Cacheable):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            self.observer = observer
            return {}

    class ShelfCopy(pb.RemoteCache):
        def observe_put(self, reference):
            self.seen = reference

    registry = pb.Registry()
    registry.setUnjellyableForClass(Shelf, ShelfCopy)

    def look(credentials):
        bags.append(credentials)
        return "alice"

    async def body(both, realm):
        async def pages():
            yield Page()

        shelf, stream = Shelf(), pages()
        await both.client.login(Bag(stream, shelf, stream))
        [bag] = bags
        assert bag.stream is bag.again
        assert bag.stream.perspective is realm.avatars[0]
        [page] = [item async for item in bag.stream]
        assert page.perspective is realm.avatars[0]
        await shelf.observer.callRemote("put", Page())
        assert bag.shelf.seen.perspective is realm.avatars[0]
        # what another brought stays as it is
        other = Shelf()
        await both.client.login(Bag(None, other, None))
        await shelf.observer.callRemote("put", Page())
        assert bag.shelf.seen.perspective is realm.avatars[0]
        await other.observer.callRemote("put", Page())
        assert bags[1].shelf.seen.perspective is realm.avatars[1]
        bags.clear()

    logged_in(body, CallableChecker(Bag, look), registry=registry)


def test_several_logins_on_one_connection():
    async def body(both, realm):
        alice, bob, again = await asyncio.gather(
            both.client.login(ALICE), both.client.login(BOB), both.client.login(ALICE)
        )
        assert len({alice, bob, again}) == 3
        names = [await one.callRemote("whoami") for one in (alice, bob, again)]
        assert names == ["alice", "bob", "alice"]
        alice.release()
        await both.quiet()
        assert realm.left == ["alice"]
        assert await again.callRemote("whoami") == "alice"

    logged_in(body)


def test_anonymous_logins_are_for_who_allows_them():
    async def refused(both, realm):
        with pytest.raises(pb.UnauthorizedLogin):
            await both.client.login(pb.Anonymous())

    logged_in(refused, logged=1)

    async def body(both, realm):
        guest = await both.client.login(pb.Anonymous())
        assert await guest.callRemote("whoami") == "anonymous"
        assert not both.server.broker.login_due

    logged_in(body, AllowAnonymousAccess())


def test_what_the_upgrade_proved_can_log_in():
    async def body(both, realm):
        assert await both.client.login(pb.UpgradeIdentity()).callRemote("whoami") == "carol"

    logged_in(body, IdentityChecker(), identity="carol")

    async def mapped(both, realm):
        assert await both.client.login(pb.UpgradeIdentity()).callRemote("whoami") == "dave"

    logged_in(mapped, IdentityChecker(lambda identity: identity["name"]), identity={"name": "dave"})

    async def nobody(both, realm):
        root = both.root
        for fields in ({}, {"identity": "carol"}):
            with pytest.raises(pb.UnauthorizedLogin):
                await root.callRemote("login", "identity", fields)

    logged_in(nobody, IdentityChecker(), logged=2)


def test_credentials_of_ones_own():
    class ApiKey(pb.Credentials, kind="apikey"):
        key: str
        version: int = 1

    async def check(credentials):
        await asyncio.sleep(0)
        return f"robot-{credentials.version}" if credentials.key == SECRET else None

    async def body(both, realm):
        assert await both.client.login(ApiKey(SECRET)).callRemote("whoami") == "robot-1"
        assert await both.client.login(ApiKey(SECRET, 2)).callRemote("whoami") == "robot-2"
        with pytest.raises(pb.UnauthorizedLogin):
            await both.client.login(ApiKey("wrong"))
        with pytest.raises(pb.UnauthorizedLogin):
            await both.root.callRemote("login", "apikey", {"key": SECRET, "version": "2"})

    logged_in(body, CallableChecker(ApiKey, check), logged=2)
    assert SECRET not in repr(ApiKey(SECRET))


# ------------------------------------------------------------------------ the boundary


@pytest.mark.parametrize("name", ["perspective_whoami", "logout", "requestAvatar", "end", "method"])
def test_only_the_prefix_of_perspectives_leads_into_an_avatar(name):
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        with pytest.raises(pb.NoSuchMethod):
            await alice.callRemote(name)
        with pytest.raises(pb.NoSuchMethod):
            await both.root.callRemote(name)

    logged_in(body)


def test_an_avatar_crosses_by_a_login_alone():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        with pytest.raises(pb.InsecureJelly, match="a login hands out its reference"):
            await alice.callRemote("self")
        assert await alice.callRemote("echo", alice) is alice  # as the login that it is of

    logged_in(body, logged=1)
    for other in (pb.Referenceable, pb.Viewable, pb.Copyable):
        with pytest.raises(TypeError, match="crosses by a login alone"):
            type("Both", (pb.Avatar, other), {})


@pytest.mark.parametrize("mind", [1, "root", [], {"a": 1}, True])
def test_a_mind_that_is_no_reference_is_refused(mind):
    async def body(both, realm):
        with pytest.raises(pb.InsecureJelly, match="mind"):
            await both.client.login(ALICE, mind)
        with pytest.raises(pb.InsecureJelly, match="mind"):
            await both.client.login(ALICE, both.root)  # the server's own

    logged_in(body)


# ------------------------------------------------------------------------ failing


BAD = [
    ("password", {"username": "alice", "password": "wrong"}),
    ("password", {"username": "nobody", "password": SECRET}),
    ("password", {"username": "alice"}),
    ("password", {"username": "alice", "password": SECRET, "more": 1}),
    ("password", {"username": ["alice"], "password": SECRET}),
    ("password", {"username": "alice", "password": None}),
    ("password", ["alice", SECRET]),
    ("password", None),
    ("password", "alice"),
    ("token", {"token": "nobody"}),
    ("token", {"token": 7}),
    ("token", {"token": "alice:0"}),
    ("token", {"token": "alice:-1"}),
    ("anonymous", {}),
    ("identity", {}),
    ("", {}),
    ("checkers", {}),
    (["password"], {"username": "alice", "password": SECRET}),
    (None, {}),
    (7, {}),
    ({"a": 1}, {}),
]


@pytest.mark.parametrize(("kind", "fields"), BAD)
def test_all_failed_logins_look_the_same(kind, fields):
    async def body(both, realm):
        with pytest.raises(pb.UnauthorizedLogin) as caught:
            await both.root.callRemote("login", kind, fields)
        assert (caught.value.type, caught.value.message, caught.value.parents) == (
            "UnauthorizedLogin",
            "the login failed",
            ["UnauthorizedLogin", "pb.Error"],
        )
        assert caught.value.traceback is None or "wrong" not in caught.value.traceback
        assert not realm.avatars

    logged_in(body, logged=1, unsafe_tracebacks=True)


def test_a_checker_that_fails_is_a_failed_login_and_tells_nothing():
    def broken(credentials):
        raise KeyError(credentials.password)

    async def body(both, realm):
        with pytest.raises(pb.UnauthorizedLogin, match="the login failed"):
            await both.client.login(pb.UsernamePassword("alice", f"{SECRET}!"))
        assert await both.client.login(ALICE).callRemote("whoami") == "alice"

    records = logged_in(body, CallableChecker(pb.UsernamePassword, broken), logged=2)
    text = records[0].getMessage()
    assert "CallableChecker raised KeyError at" in text
    assert "test_cred.py" in text


def test_credentials_that_their_class_refuses_are_a_failed_login_and_tell_nothing():
    class Pin(pb.Credentials, kind="pin"):
        pin: str

        def __post_init__(self):
            int(self.pin)

    async def body(both, realm):
        with pytest.raises(pb.UnauthorizedLogin, match="the login failed"):
            await both.root.callRemote("login", "pin", {"pin": SECRET})

    records = logged_in(body, CallableChecker(Pin, lambda _: "alice"), logged=1)
    assert SECRET not in logging.Formatter().format(records[0])


def test_secrets_are_in_no_log_repr_or_error():
    assert SECRET not in f"{ALICE!r} {ALICE} {pb.Token(SECRET)!r} {pb.UsernamePassword}"
    formatter = logging.Formatter()

    async def body(both, realm):
        wrong = pb.UsernamePassword("alice", f"{SECRET}-wrong")
        for credentials in (wrong, pb.Token(f"{SECRET}-token")):
            with pytest.raises(pb.UnauthorizedLogin) as caught:
                await both.client.login(credentials)
            assert SECRET not in "".join(map(str, (caught.value, caught.value.traceback)))
        await both.root.callRemote("login", "password", SECRET, SECRET, SECRET, SECRET)

    with pytest.raises(pb.WrongArguments) as caught:
        logged_in(body, unsafe_tracebacks=True)
    assert SECRET not in str(caught.value)
    with LogRecords() as records:
        with pytest.raises(pb.WrongArguments):
            logged_in(body, unsafe_tracebacks=True)
        told = "".join(map(formatter.format, records))
    assert "a login failed, 2 on this connection" in told
    assert SECRET not in told


def test_too_many_failed_logins_close_the_connection():
    async def body(both, realm):
        for _ in range(2):
            with pytest.raises(pb.UnauthorizedLogin):
                await both.client.login(pb.UsernamePassword("alice", "wrong"))
        alice = await both.client.login(ALICE)  # does not make up for them
        with pytest.raises(pb.UnauthorizedLogin):
            await both.client.login(pb.UsernamePassword("alice", "wrong"))
        await both.quiet()
        assert both.to_client.closed == (4401, "login_failures: 3 logins have failed")
        assert alice.isDead()

    logged_in(body, limits=pb.Limits(login_failures=3), idle=False, logged=3)


def test_too_many_failed_logins_of_an_address_are_not_looked_at():
    async def body(both, realm):
        both.server.broker.network = b"here"
        for _ in range(2):
            with pytest.raises(pb.UnauthorizedLogin):
                await both.client.login(pb.UsernamePassword("alice", "wrong"))
        with pytest.raises(pb.LimitExceeded, match="come back in a minute"):
            await both.client.login(ALICE)
        await both.quiet()
        said = "login_failures_per_address: 2 logins have failed in a minute"
        assert both.to_client.closed == (4429, said)
        assert not realm.avatars

    logged_in(body, limits=pb.Limits(login_failures_per_address=2), idle=False, logged=2)


def test_a_checker_that_has_no_room_says_so_and_the_login_has_not_failed():
    def busy(credentials):
        raise pb.LimitExceeded("logins: too many passwords are being checked, try again later")

    async def body(both, realm):
        for _ in range(3):
            with pytest.raises(pb.LimitExceeded, match="try again later"):
                await both.client.login(pb.Anonymous())
        assert both.to_client.closed is None
        assert not realm.avatars

    logged_in(body, CallableChecker(pb.Anonymous, busy), limits=pb.Limits(login_failures=1))


def test_a_checker_is_not_asked_where_another_has_no_room():
    asked = []

    def busy(credentials):
        raise pb.LimitExceeded("later")

    async def body(both, realm):
        with pytest.raises(pb.LimitExceeded, match="later"):
            await both.client.login(pb.Anonymous())
        assert asked == []

    logged_in(
        body, CallableChecker(pb.Anonymous, busy), CallableChecker(pb.Anonymous, asked.append)
    )


def test_few_logins_of_one_connection_are_checked_at_a_time():
    going, most, event = 0, 0, asyncio.Event()

    async def slow(credentials):
        nonlocal going, most
        going += 1
        most = max(most, going)
        try:
            await event.wait()
        finally:
            going -= 1
        return "carol"

    async def body(both, realm):
        logins = [both.client.login(pb.Anonymous()) for _ in range(9)]
        await both.quiet()
        assert (going, most) == (2, 2)
        logins[0].cancel()  # makes room for another
        logins[5].cancel()  # waits for its turn
        await both.quiet()
        assert (going, most) == (2, 2)
        event.set()
        found = await asyncio.gather(*logins, return_exceptions=True)
        assert [type(one) for one in found].count(pb.RemoteReference) == 7
        assert most == 2

    logged_in(
        body,
        CallableChecker(pb.Anonymous, slow),
        limits=pb.Limits(logins=2),
        logged=1,  # the one whose check was cancelled counts as failed
    )


def test_a_login_that_is_cancelled_counts_as_one_that_failed():
    async def for_ever(credentials):
        await asyncio.Event().wait()

    async def body(both, realm):
        for _ in range(3):
            login = both.client.login(pb.Anonymous())
            await both.quiet()
            login.cancel()
            with pytest.raises((pb.CancelledError, pb.PBConnectionLost)):
                await login
        await both.quiet()
        assert both.to_client.closed[0] == 4401

    logged_in(
        body,
        CallableChecker(pb.Anonymous, for_ever),
        limits=pb.Limits(login_failures=3),
        idle=False,
        logged=3,
    )


# ------------------------------------------------------------------------ realms


def with_realm(realm, body, **options):
    return run_paired(portal(realm), body, **options)


def test_a_realm_and_its_logout_may_be_asynchronous():
    gone = asyncio.Event()
    went = []

    class Slow:
        async def requestAvatar(self, avatarId, mind, interface):
            await asyncio.sleep(0)

            async def logout():
                await gone.wait()
                went.append(avatarId)

            return interface, User(avatarId, mind), logout

    async def body(both):
        alice = await both.client.login(ALICE)
        assert await alice.callRemote("whoami") == "alice"
        alice.release()
        await both.quiet()
        assert went == []
        gone.set()
        await both.quiet()
        assert went == ["alice"]

    with_realm(Slow(), body)


def test_errors_of_logouts_are_logged_and_hurt_nobody():
    class Broken:
        def requestAvatar(self, avatarId, mind, interface):
            def logout():
                raise ValueError("of a logout")

            async def later():
                raise ValueError("of a logout later")

            return interface, User(avatarId, mind), later if avatarId == "bob" else logout

    async def body(both):
        await both.client.login(BOB)
        await both.client.login(ALICE)
        gc.collect()
        await both.quiet()

    records = with_realm(Broken(), body, logged=2)
    assert {str(record.exc_info[1]) for record in records} == {"of a logout", "of a logout later"}


@pytest.mark.parametrize("later", [False, True])
def test_a_logout_that_ends_the_program_ends_nothing(later):
    """A peer that releases an avatar may not end the process."""

    class Exits:
        def requestAvatar(self, avatarId, mind, interface):
            def logout():
                raise SystemExit(3)

            async def logout_later():
                raise SystemExit(3)

            return interface, User(avatarId, mind), logout_later if later else logout

    async def body(both):
        bob = await both.client.login(BOB)
        bob.release()
        await both.quiet()
        alice = await both.client.login(ALICE)
        assert await alice.callRemote("whoami") == "alice"

    with_realm(Exits(), body, logged=2)


def test_a_logout_that_is_cancelled_with_its_loop_is_no_fault():
    runtime = SteppedRuntime()

    class Slow:
        def requestAvatar(self, avatarId, mind, interface):
            async def logout():
                await runtime.future()

            return interface, User(avatarId, mind), logout

    it = Stepped(realm=Slow(), runtime=runtime)
    it.login("alice").release()
    it.both.settle()
    [login] = it.portal.leaving
    login._leaving.cancel()
    runtime.run()
    assert not it.portal.leaving
    assert runtime.reports == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "not NoneType"),
        ([1, 2, 3], "not list"),
        ((1, 2), "not tuple"),
        ((pb.IPerspective, User("x", None), None), "logout is a function, not NoneType"),
        ((pb.IPerspective, object(), lambda: None), "not type and object"),
        ((None, User("x", None), lambda: None), "not NoneType and User"),
    ],
)
def test_what_a_realm_returns_is_looked_at(given, text):
    class Wrong:
        def requestAvatar(self, avatarId, mind, interface):
            return given

    async def body(both):
        with pytest.raises(pb.Error, match=f"requestAvatar returns .*{text}"):
            await both.client.login(ALICE)

    with_realm(Wrong(), body, logged=1)


def test_a_realm_may_refuse_with_an_error_of_its_own():
    class Strict:
        async def requestAvatar(self, avatarId, mind, interface):
            raise pb.Error("you are banned")

    async def body(both):
        with pytest.raises(pb.Error, match="you are banned"):
            await both.client.login(ALICE)

    with_realm(Strict(), body)


def test_portals_are_told_what_is_wrong_with_them():
    realm = Realm()
    with pytest.raises(TypeError, match="requestAvatar"):
        pb.Portal(object())
    for checker in (len, object(), type("C", (), {"credentialInterfaces": (pb.Token,)})()):
        with pytest.raises(TypeError, match="CallableChecker"):
            pb.Portal(realm, [checker])
    with pytest.raises(TypeError, match="the checkers of a portal are a list, not <"):
        pb.Portal(realm, AllowAnonymousAccess())
    with pytest.raises(TypeError, match="a class of credentials first, not 3"):
        CallableChecker(3, len)
    with pytest.raises(TypeError, match="asks a function, not 3"):
        CallableChecker(pb.Token, 3)
    for kinds in (int, [int], [pb.Credentials]):
        with pytest.raises(TypeError, match="no class of credentials"):
            pb.Portal(realm, [CallableChecker(kinds, len)])

    class Other(pb.Credentials, kind="token"):
        token: str

    with pytest.raises(ValueError, match="both of the kind 'token'"):
        pb.Portal(realm, [CallableChecker(pb.Token, len), CallableChecker(Other, len)])


class NoKind(pb.Credentials):
    key: str


@pytest.mark.parametrize(
    ("credentials", "text"),
    [
        ({"username": "alice"}, r"pb\.UsernamePassword\(…\), .* of your own, not dict"),
        (None, "not NoneType"),
        (NoKind("k"), r"NoKind has no kind: class NoKind\(…, kind=…\) gives one"),
        (pb.Token(SECRET.encode()), "Token.token must be str, not bytes$"),
        (pb.UsernamePassword("alice", 7), "UsernamePassword.password must be str, not int$"),
    ],
)
def test_what_is_no_proof_is_a_mistake_of_the_callers_and_counts_for_nothing(credentials, text):
    async def body(both, realm):
        with pytest.raises(TypeError, match=text) as caught:
            both.client.login(credentials)
        assert SECRET not in str(caught.value)
        alice = await both.client.login(ALICE)
        with pytest.raises(TypeError, match=text):
            both.client.renew(alice, credentials)
        with pytest.raises(TypeError, match="what login gave, not str"):
            both.client.renew("alice", ALICE)

    logged_in(body)


def test_the_log_names_the_kinds_that_somebody_checks():
    async def body(both, realm):
        with pytest.raises(pb.UnauthorizedLogin, match=r"^the login failed$"):
            await both.client.login(pb.UpgradeIdentity())

    (record,) = logged_in(body, logged=1)
    assert "1 on this connection; no checker takes its kind, they take password, token" in (
        record.getMessage()
    )


# ------------------------------------------------------------------------ logging out


def test_who_drops_the_avatar_is_logged_out():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        note = await alice.callRemote("note")
        thing = await alice.callRemote("thing")
        assert realm.left == []
        del alice
        gc.collect()
        await both.quiet()
        assert realm.left == ["alice"]
        for reference, name in ((note, "author"), (thing, "touch")):
            with pytest.raises(pb.DeadReferenceError):
                await reference.callRemote(name)

    logged_in(body)


def test_the_mind_of_a_login_that_has_ended_is_handed_nothing():
    async def body(both, realm):
        page = Page()
        alice = await both.client.login(ALICE, page)
        mind, note = realm.minds[0], realm.avatars[0].note
        await mind.callRemote("tell", note)
        alice.release()
        await both.quiet()
        assert await mind.callRemote("tell", "bye") == "bye"  # data is another thing
        for value in (note, [Thing()]):
            with pytest.raises(pb.DeadReferenceError, match="the login that this is for has ended"):
                await mind.callRemote("tell", value)
        with pytest.raises(pb.DeadReferenceError):
            mind.callRemoteOnly("tell", note)

    logged_in(body)


def test_an_avatar_that_logs_in_again_can_be_told_again():
    class Same(Realm):
        def requestAvatar(self, avatarId, mind, *interfaces):
            made = super().requestAvatar(avatarId, mind, *interfaces)
            return made[0], self.avatars[0], made[2]

    realm = Same()

    async def body(both):
        page = Page()
        (await both.client.login(ALICE, page)).release()
        await both.quiet()
        alice = await both.client.login(ALICE, page)
        for mind in realm.minds:
            note = await mind.callRemote("tell", realm.avatars[0].note)
            assert note.perspective is realm.avatars[0]
        alice.release()
        realm.forget()

    with_realm(realm, body)


def test_calls_go_on_when_their_avatar_is_released():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        later = alice.callRemote("whoami_later")
        alice.release()
        assert await later == "alice"
        assert realm.left == ["alice"]

    logged_in(body)


def test_the_end_of_the_session_logs_everybody_out_once():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        bob = await both.client.login(BOB)
        bob.release()
        await both.quiet()
        both.cut()
        assert sorted(realm.left) == ["alice", "bob"]
        assert alice.isDead()

    logged_in(body, idle=False)


def test_a_login_that_nobody_gets_is_over():
    async def body(both, realm):
        both.root.callRemoteOnly("login", "password", ALICE.toFields())
        await both.quiet()
        assert realm.left == ["alice"]

    logged_in(body)

    async def no_room(both, realm):
        alice = await both.client.login(ALICE)
        with pytest.raises(pb.LimitExceeded, match="references"):
            await both.client.login(BOB)
        assert realm.left == ["bob"]
        assert await alice.callRemote("whoami") == "alice"

    logged_in(no_room, limits=pb.Limits(references=1), logged=1)


def test_a_session_that_goes_during_a_login():
    event = asyncio.Event()
    left = []

    class Slow:
        async def requestAvatar(self, avatarId, mind, interface):
            with suppress(asyncio.CancelledError):  # makes an avatar all the same
                await event.wait()
            return interface, User(avatarId, None), lambda: left.append(avatarId)

    async def body(both):
        login = both.client.login(ALICE)
        await both.quiet()
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await login
        await both.quiet()
        assert left == ["alice"]

    with_realm(Slow(), body, idle=False)


def test_a_realm_that_ends_the_session_logs_its_avatar_out():
    class Ending(Realm):
        def requestAvatar(self, avatarId, mind, *interfaces):
            it.both.server.end("the realm has seen enough")
            return super().requestAvatar(avatarId, mind, *interfaces)

    it = Stepped(realm=Ending())
    it.root.callRemote("login", "token", {"token": "alice:60"})
    it.both.settle()
    assert it.realm.left == ["alice"]
    it.advance(61)
    assert it.realm.left == ["alice"]


def test_a_checker_that_ends_the_session_leaves_a_failed_login_of_its_address():
    class Ending(PlainTokens):
        async def requestAvatarId(self, credentials):
            it.both.server.end("the checker has seen enough")
            raise pb.UnauthorizedLogin

    it = Stepped()
    it.portal.checkers["token"][1][0] = Ending()
    it.both.server.broker.network = "there"
    it.root.callRemote("login", "token", {"token": "alice"})
    it.both.settle()
    assert it.portal.guesses.of("there", it.runtime.clock()) == 1
    assert it.runtime.reports == []  # the connection that it would be counted for is gone


def test_an_avatar_that_is_returned_to_nobody_stays_logged_in_while_it_is_held():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        alice.callRemoteOnly("echo", alice)
        await both.quiet()
        assert realm.left == []
        assert await alice.callRemote("whoami") == "alice"

    logged_in(body)


def test_an_avatar_that_is_returned_to_nobody_when_its_login_has_ended_logs_out_once():
    class Keeping(User):
        async def perspective_keep(self, other):
            await self.future
            return other

    class Keeps(Realm):
        def requestAvatar(self, avatarId, mind, *interfaces):
            made = super().requestAvatar(avatarId, mind, *interfaces)
            self.avatars[-1].__class__ = Keeping
            return made

    it = Stepped(realm=Keeps())
    alice, bob = it.login("alice:60"), it.login("bob")
    it.realm.avatars[1].future = it.runtime.future()
    bob.callRemoteOnly("keep", alice)
    it.advance(61)
    assert it.realm.left == ["alice"]
    it.realm.avatars[1].future.set_result(None)
    it.both.settle()
    assert it.realm.left == ["alice"]
    assert it.call(bob, "whoami") == "bob"


@pytest.mark.parametrize(
    ("blocked", "may"), [(None, True), ((), True), (("bob",), False), (("alice", "bob"), False)]
)
def test_the_realm_says_whether_all_who_are_logged_in_may_come_back(blocked, may):
    """Protocol section 6; tests/property has the sessions that come back."""
    it = Stepped()
    if blocked is not None:
        it.realm.may_resume = lambda avatarId, avatar: avatar.name == avatarId not in blocked
    assert it.both.server.broker.may_resume()  # nobody is logged in
    it.login("alice")
    it.login("bob")
    assert it.both.server.broker.may_resume() is may


def test_two_logins_of_one_avatar_object():
    class Shared(Realm):
        def requestAvatar(self, avatarId, mind, *interfaces):
            made = super().requestAvatar(avatarId, mind, *interfaces)
            return made[0], self.avatars[0], made[2]

    realm = Shared()

    async def body(both):
        page = Page()
        one, two = await both.client.login(ALICE, page), await both.client.login(ALICE, page)
        assert one is not two
        note = await one.callRemote("note")
        assert note is await two.callRemote("note")
        one.release()
        await both.quiet()
        assert realm.left == ["alice"]
        assert await note.callRemote("author") == "alice"
        two.release()
        await both.quiet()
        assert realm.left == ["alice", "alice"]
        with pytest.raises(pb.DeadReferenceError):
            await note.callRemote("author")
        realm.forget()

    with_realm(realm, body)


# ------------------------------------------------------------ expiring and renewing


class PlainTokens(Tokens):
    """As `Tokens`, for a runtime without asyncio."""

    async def requestAvatarId(self, credentials):
        name, _, seconds = credentials.token.partition(":")
        if name not in USERS:
            raise pb.UnauthorizedLogin
        return pb.ExpiringAvatarId(name, float(seconds)) if seconds else name


class Stepped:
    """A portal and a client on a clock that moves when it is told to."""

    def __init__(self, *more, realm=None, runtime=None, **options):
        self.realm = realm or Realm()
        self.portal = pb.Portal(self.realm, [PlainTokens(), *more], **options)
        self.both = stepped_pair(self.portal, limits=pb.Limits(heartbeat=1e9), runtime=runtime)
        self.runtime = self.both.runtime
        self.root = self.both.client.broker.remoteForName("root")
        self.both.settle()

    def call(self, target, name, *args):
        promise = target.callRemote(name, *args)
        self.both.settle()
        return promise.result()

    def login(self, token):
        return self.call(self.root, "login", "token", {"token": token})

    def renew(self, avatar, token):
        return self.call(self.root, "renew", avatar, "token", {"token": token})

    def advance(self, seconds):
        """Let time pass; what is acknowledged late by then is not what this is about."""
        self.both.settle()
        self.runtime.advance(seconds)
        self.both.settle()

    def closed(self):
        return self.both.server.closing


def test_a_login_ends_when_what_it_proved_expires():
    it = Stepped()
    alice, bob = it.login("alice:60"), it.login("bob:3600")
    note, thing, theirs = it.call(alice, "note"), it.call(alice, "thing"), it.call(bob, "note")
    it.realm.avatars[0].future = it.runtime.future
    waiting = alice.callRemote("wait")
    on_it = waiting.callRemote("more")
    it.advance(59.9)
    assert it.call(alice, "whoami") == "alice"
    it.advance(0.2)
    assert it.realm.left == ["alice"]
    with pytest.raises(pb.CancelledError, match="a login that has expired"):
        waiting.result()
    with pytest.raises(pb.CancelledError):
        on_it.result()
    for reference, name in ((alice, "whoami"), (note, "author"), (thing, "touch")):
        with pytest.raises(pb.DeadReferenceError):
            it.call(reference, name)
    assert it.call(theirs, "author") == "bob"  # of the connection nothing else is lost
    alice.release()
    it.both.settle()
    assert it.realm.left == ["alice"]


def test_a_login_is_renewed_without_losing_anything():
    it = Stepped()
    alice = it.login("alice:60")
    note = it.call(alice, "note")
    for _ in range(5):
        it.advance(50)
        assert it.renew(alice, "alice:60") is None
    assert it.call(note, "author") == "alice"
    it.renew(alice, "alice")  # for good
    it.advance(1e6)
    assert it.call(alice, "whoami") == "alice"
    assert len(it.realm.avatars) == 1
    it.renew(alice, "alice:1")
    it.advance(1)
    assert it.realm.left == ["alice"]


def test_a_renewal_that_fails_changes_nothing():
    it = Stepped()
    alice, bob = it.login("alice:60"), it.login("bob")
    it.advance(30)
    for avatar, token in (
        (alice, "bob:9999"),  # another's
        (alice, "nobody:9999"),
        (alice, "alice:0"),
        (bob, "alice:9999"),
        (it.call(alice, "note"), "alice:9999"),  # no login
        (None, "alice:9999"),
        ({"a": 1}, "alice:9999"),
    ):
        with pytest.raises(pb.UnauthorizedLogin, match="the login failed"):
            it.renew(avatar, token)
    assert len(it.runtime.reports) == 7
    it.advance(30)
    assert it.realm.left == ["alice"]
    assert it.call(bob, "whoami") == "bob"


def test_a_login_that_has_ended_is_not_renewed():
    it = Stepped()
    alice = it.login("alice:60")
    it.advance(61)
    with pytest.raises(pb.DeadReferenceError):
        it.renew(alice, "alice:60")
    assert it.realm.left == ["alice"]


def test_a_login_that_expires_while_its_renewal_is_checked_has_ended():
    class Slow(PlainTokens):
        wait = None

        async def requestAvatarId(self, credentials):
            if self.wait is not None:
                await self.wait
            return await super().requestAvatarId(credentials)

    it = Stepped()
    slow = it.portal.checkers["token"][1][0] = Slow()
    alice = it.login("alice:60")
    slow.wait = it.runtime.future()
    renewal = it.root.callRemote("renew", alice, "token", {"token": "alice:60"})
    it.advance(61)
    slow.wait.set_result(None)
    it.both.settle()
    with pytest.raises(pb.DeadReferenceError):
        renewal.result()


def test_an_avatar_of_an_expired_login_comes_home_and_can_do_nothing():
    it = Stepped()
    alice = it.login("alice:60")
    bob = it.login("bob")
    it.both.settle()
    login = it.root.callRemote("login", "token", {"token": "alice:5"})
    it.advance(6)
    for call in (
        login.callRemote("whoami"),
        bob.callRemote("echo", login),
    ):
        it.both.settle()
        with pytest.raises(pb.DeadReferenceError):
            call.result()
    assert it.call(alice, "whoami") == "alice"


def test_no_timer_is_left_of_logins_that_have_ended():
    it = Stepped()
    before = it.runtime.timers()
    for _ in range(3):
        it.login("alice:60").release()
        it.both.settle()
    it.advance(1)  # for the acks
    assert it.runtime.timers() == before


def test_where_a_login_is_required_it_has_to_come_in_time():
    it = Stepped()
    it.advance(29.9)
    assert it.closed() is None
    it.advance(0.2)
    assert it.closed() == (4401, "login: none within 30 s")


def test_after_the_last_login_there_is_time_for_another():
    it = Stepped()
    it.advance(20)
    alice = it.login("alice:100")
    bob = it.login("bob")
    it.advance(1000)
    assert it.realm.left == ["alice"]
    bob.release()
    it.advance(29)
    assert it.closed() is None
    bob = it.login("bob")
    it.advance(1000)
    assert it.closed() is None
    bob.release()
    it.advance(31)
    assert it.closed()[0] == 4401
    assert alice.isDead()


@pytest.mark.parametrize("options", [{}, {"login_required": False}])
def test_where_no_login_is_required_there_is_no_hurry(options):
    it = Stepped(*(() if options else (AllowAnonymousAccess(),)), **options)
    assert not it.both.server.broker.login_due
    it.advance(1000)
    assert it.closed() is None


def test_who_has_not_logged_in_sends_short_messages():
    it = Stepped(AllowAnonymousAccess(), login_required=True)
    client, server = it.both.client, it.both.server
    assert client.broker.peer_limits.message == 65_536
    with pytest.raises(pb.LimitExceeded, match="takes 65536"):
        it.call(it.root, "login", "token", {"token": 70_000 * "x"})
    connection_login = it.login("alice")
    client.broker.logged_in()  # as Connection.login does
    assert client.broker.peer_limits.message == 1_048_576
    assert it.call(connection_login, "echo", 70_000 * "y") == 70_000 * "y"
    assert server.closing is None

    other = Stepped()
    long = b'["message",1,"root","login",["token",{"token":"%b"}]]' % (65_536 * b"x")
    other.both.server.receive(long)
    assert other.closed() == (
        1009,
        f"login_message: {len(long)} bytes, 65536 are allowed before a login",
    )


def test_calls_before_a_login_at_the_limit_and_one_past_it():
    it = Stepped()
    calls = [["message", n, "root", "login", ["token", {"token": "alice"}]] for n in range(1, 18)]
    it.both.server.receive(orjson.dumps(calls))
    frames = [one for message in it.both.server.messages() for one in frames_of(message)]
    refused = [frame for frame in frames if frame[0] == "error"]
    assert [frame[1] for frame in refused] == [17]
    assert refused[0][2]["message"].startswith(
        "calls: 16 are in progress, more are not allowed before a login"
    )
    it.runtime.run()


def test_a_client_holds_back_what_is_more_before_its_login():
    it = Stepped()
    login = it.root.callRemote("login", "token", {"token": "alice"})
    echoes = [login.callRemote("echo", number) for number in range(60)]
    it.both.flush()
    sent = [one for message in it.both.up for one in frames_of(message)]
    assert len([frame for frame in sent if frame[0] == "message"]) == 16
    it.both.settle()
    assert [echo.result() for echo in echoes] == list(range(60))


def test_batches_before_a_login_are_short_too():
    it = Stepped()
    login = it.root.callRemote("login", "token", {"token": "alice"})
    echoes = [login.callRemote("echo", 9000 * str(number)) for number in range(10)]
    it.both.runtime.run()
    it.both.flush()
    sizes = [len(data) for data, _ in it.both.up]
    assert max(sizes) <= 65_536 < sum(sizes)
    it.both.settle()
    assert [echo.result() for echo in echoes] == [9000 * str(number) for number in range(10)]


def test_the_connection_says_when_it_is_in():
    async def body(both, realm):
        await both.quiet()
        assert both.client.broker.peer_limits.message == 65_536
        failed = both.client.login(pb.Token("nobody"))
        with pytest.raises(pb.UnauthorizedLogin):
            await failed
        assert both.client.broker.peer_limits.message == 65_536
        alice = await both.client.login(pb.Token("alice:3600"))
        assert both.client.broker.peer_limits.message == 1_048_576
        assert await alice.callRemote("echo", 70_000 * "x") == 70_000 * "x"
        await both.client.renew(alice, pb.Token("alice:7200"))
        (login,) = both.server.broker.exports.objects["root"].logins
        assert repr(login).startswith("<Login of <tests.unit.test_cred.User")
        assert not login.ended

    logged_in(body, logged=1)


def test_the_root_of_a_portal_has_nothing_else():
    assert cred.Portal.remoteMethods == {}
    it = Stepped()
    for name in ("rootObject", "checkers", "_login", "logins", "ended", "remote_login"):
        with pytest.raises(pb.NoSuchMethod):
            it.call(it.root, name)
    for args in ((), ("token", {}, None, 1)):
        with pytest.raises(pb.WrongArguments, match=r"^login: "):
            it.call(it.root, "login", *args)


def test_hints_are_about_the_class_of_the_avatar_or_view():
    async def body(both, realm):
        alice = await both.client.login(ALICE)
        note = await alice.callRemote("note")
        for reference, name, text in (
            (alice, "whoam", "has to define it as perspective_whoam"),
            (alice, "perspective_whoami", "leave the prefix perspective_ out"),
            (note, "autor", "has to define it as view_autor"),
        ):
            with pytest.raises(pb.NoSuchMethod, match=text):
                await reference.callRemote(name)

    records = logged_in(body, logged=2)
    assert "User does not have, but is spelled nearly as perspective_whoami" in (
        records[0].getMessage()
    )
    assert "Note does not have, but is spelled nearly as view_author" in records[1].getMessage()


def test_an_avatar_that_holds_its_mind_is_not_kept_by_the_session():
    async def body(both):
        page = Page()
        gone = weakref.ref(page)
        alice = await both.client.login(ALICE, page)
        avatar = weakref.ref(realm.avatars.pop())
        realm.minds.clear()
        alice.release()
        del page, alice
        await both.assert_idle()
        assert avatar() is None
        assert gone() is None

    realm = Realm()
    with_realm(realm, body)
