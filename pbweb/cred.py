"""Logging in: a `Portal` gives each peer who proves who it is the reference of an `Avatar`.

The words are PB's (Twisted's ``cred``): a peer brings `Credentials`, a *checker* says whose they
are, and the *realm* gives the avatar for that id. A login is a call of the root, so there may be
several on one connection, and calls on the avatar need not wait for it.
Protocol section 9.
"""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, dataclass_transform

from .annotations import Misfit, check_for
from .errors import InsecureJelly, LimitExceeded, UnauthorizedLogin, type_name
from .flavors import (
    BoundMethod,
    Copyable,
    Dispatcher,
    Entrance,
    Referenceable,
    Root,
    Viewable,
    methods_with_prefix,
)
from .guesses import Guesses
from .references import RemoteReference, dead_reference

if TYPE_CHECKING:
    from .broker import Broker
    from .runtime import Handle

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "Avatar",
    "Checker",
    "Credentials",
    "ExpiringAvatarId",
    "IPerspective",
    "Login",
    "Portal",
    "Realm",
    "Token",
    "UpgradeIdentity",
    "UsernamePassword",
    "place_of",
]

ANONYMOUS: tuple[()] = ()
"""The avatar id of who logs in without a name."""

WANTED = "requestAvatar returns (interface, avatar, logout)"
EXPIRED = "was of a login that has expired"


class IPerspective:
    """What `Realm.requestAvatar` is asked for: an avatar that a peer holds by reference."""


class Avatar:
    """What one who has logged in may do: the peer calls its ``perspective_*`` methods.

    An avatar crosses by a login alone, to the session that logged in. It is the perspective of
    the calls on it: `Viewable` objects in their results become its `ViewPoint` references, and
    what was handed out for it is dead when its login ends.
    """

    perspectiveMethods: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        for other in (Referenceable, Viewable, Copyable):
            if issubclass(cls, other):
                raise TypeError(
                    f"{cls.__qualname__} is an Avatar and a {other.__name__}: "
                    "an avatar crosses by a login alone"
                )
        cls.perspectiveMethods = methods_with_prefix(cls, "perspective_")


# ------------------------------------------------------------------ credentials


@dataclass_transform(frozen_default=True)
class Credentials:
    """What a peer brings to a login; a subclass is a frozen dataclass with a kind.

    ``class ApiKey(pb.Credentials, kind="apikey"): key: str`` goes over the wire as the kind
    ``"apikey"`` and the fields ``{"key": …}``, which are checked against their annotations
    when they arrive. What the fields hold is in no ``repr``.
    """

    kind: ClassVar[str] = ""
    """What the credentials are called on the wire."""

    _checks: ClassVar[Mapping[str, Any] | None] = None

    def __init_subclass__(cls, *, kind: str = "", **kw: Any) -> None:
        super().__init_subclass__(**kw)
        cls.kind = kind or cls.kind
        cls._checks = None
        cls.__repr__ = Credentials.__repr__  # type: ignore[method-assign]
        dataclass(frozen=True, repr=False)(cls)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def toFields(self) -> dict[str, Any]:
        """The fields as they stand in the frame."""
        return {name: getattr(self, name) for name in self._checked()}

    @classmethod
    def _checked(cls) -> Mapping[str, Any]:
        """The checks of the fields that cross, by their names."""
        if cls._checks is None:
            hints = typing.get_type_hints(cls, include_extras=True)
            named = [one.name for one in fields(cls) if one.init]  # type: ignore[arg-type]
            cls._checks = {name: check_for(hints[name]) for name in named}
        return cls._checks

    @classmethod
    def fromFields(cls, given: Any) -> Credentials:
        """The credentials that a peer brings.

        Raises:
            UnauthorizedLogin: they are not what the annotations say.
        """
        checks = cls._checked()
        if type(given) is not dict or set(given) - set(checks):
            raise UnauthorizedLogin
        try:
            return cls(**{name: checks[name](given[name], _no_charge) for name in given})
        except (Misfit, TypeError, ValueError):  # of another type, missing, or refused by the class
            raise UnauthorizedLogin from None


def proof_of(credentials: Any) -> tuple[str, dict[str, Any]]:
    """The kind and the fields of *credentials*, which a peer would refuse without a reason.

    Raises:
        TypeError: they are none, or a field is not what its annotation says.
    """
    cls = type(credentials)
    if not isinstance(credentials, Credentials):
        raise TypeError(
            f"credentials are pb.UsernamePassword(…), pb.Token(…), pb.Anonymous() or of a class "
            f"of your own, not {cls.__name__}"
        )
    if not cls.kind:
        raise TypeError(f"{type_name(cls)} has no kind: class {cls.__name__}(…, kind=…) gives one")
    given = credentials.toFields()
    for name, check in cls._checked().items():
        try:
            check(given[name], _no_charge)
        except Misfit as error:  # its text has no value
            where = f"{cls.__name__}.{name}{error.path}"
            raise TypeError(f"{where} must be {error.wanted}, not {error.came}") from None
    return cls.kind, given


def _no_charge(_items: int) -> None:
    """A frame with credentials is short, and looked at once."""


class UsernamePassword(Credentials, kind="password"):
    """A name and a password. It goes as it is: the connection has to be encrypted (wss://)."""

    username: str
    password: str


class Token(Credentials, kind="token"):
    """A signed token, as a JWT."""

    token: str


class Anonymous(Credentials, kind="anonymous"):
    """No proof at all."""


class UpgradeIdentity(Credentials, kind="identity"):
    """What the upgrade proved already: see ``authenticate`` of `pbweb.endpoint`."""

    identity: Any = field(default=None, init=False)
    """`Broker.identity`, at the server."""


# ------------------------------------------------------------ checkers and realms


@dataclass(frozen=True, slots=True)
class ExpiringAvatarId:
    """What a checker gives whose proof holds for a time only."""

    avatarId: Any
    seconds: float
    """How long from now; after it the login ends, unless it was renewed."""


class Checker(Protocol):
    """Says whose credentials are."""

    @property
    def credentialInterfaces(self) -> Sequence[type[Credentials]]:
        """The classes of credentials that it can say something about."""

    def requestAvatarId(self, credentials: Any, /) -> Any:
        """The avatar id for *credentials*, an `ExpiringAvatarId`, or an awaitable of one.

        Raises:
            UnauthorizedLogin: they are not good.
        """


class Realm(Protocol):
    """Gives the avatars of an application."""

    def requestAvatar(self, avatarId: Any, mind: Any, interface: Any, /) -> Any:
        """An avatar for *avatarId*: ``(interface, avatar, logout)``, or an awaitable of that.

        Args:
            avatarId: what the checker said; `ANONYMOUS` for an anonymous login.
            mind: a reference to the client's own object, or None.
            interface: `IPerspective`, which is to be returned as the first.

        *logout* is called without arguments, exactly once, when the login has ended: the
        client released or dropped the avatar's reference, or its session went, or what it had
        proved has expired. It may be an ``async`` function.

        A realm may have a function ``may_resume(avatarId, avatar)`` beside it. It is called when
        the client comes back after its connection was lost (protocol section 6), for each login
        of its session. If it returns False, or fails, the session ends: an account was blocked,
        a password changed. It must not wait for anything.
        """


class Portal(Root):
    """The root of a server where peers log in: what `pbweb.endpoint` is given.

    Nothing else can be reached at it but what ``names`` of the endpoint publishes.

    Args:
        realm: gives the avatars.
        checkers: say whose credentials are; those of one kind are asked in their order.
        login_required: close connections that have no login in time, and take short messages
            only before it; by default unless anybody may log in (``Anonymous``).

    Raises:
        TypeError: *realm* or a checker is none.
        ValueError: two classes of credentials are of one kind.
    """

    def __init__(
        self,
        realm: Realm,
        checkers: Iterable[Checker] = (),
        *,
        login_required: bool | None = None,
    ) -> None:
        if not callable(getattr(realm, "requestAvatar", None)):
            raise TypeError(f"a realm has a method requestAvatar, {realm!r} has none")
        self.realm = realm
        self.login_required = login_required
        self.checkers: dict[str, tuple[type[Credentials], list[Checker]]] = {}
        self.leaving: set[Login] = set()
        """The logins whose ``logout`` is still going on."""
        self.guesses = Guesses()
        if not isinstance(checkers, Iterable):
            raise TypeError(f"the checkers of a portal are a list, not {checkers!r}")
        for checker in checkers:
            self.registerChecker(checker)

    def registerChecker(self, checker: Checker) -> None:
        """Ask *checker* too, after those that are there. Raises as `Portal` does."""
        kinds = getattr(checker, "credentialInterfaces", None)
        if not kinds or not callable(getattr(checker, "requestAvatarId", None)):
            raise TypeError(
                f"a checker has credentialInterfaces and requestAvatarId, not {checker!r}; "
                "checkers.CallableChecker makes one of a function"
            )
        for cls in kinds:
            if not (isinstance(cls, type) and issubclass(cls, Credentials) and cls.kind):
                raise TypeError(f"{cls!r} is no class of credentials with a kind")
            known, asked = self.checkers.setdefault(cls.kind, (cls, []))
            if known is not cls:
                raise ValueError(
                    f"{type_name(known)} and {type_name(cls)} are both of the kind {cls.kind!r}"
                )
            asked.append(checker)

    def rootObject(self, broker: Broker) -> Referenceable:
        """What the peer of *broker* finds as ``root``: where it logs in."""
        required = self.login_required
        if required is None:
            required = Anonymous.kind not in self.checkers
        return _Door(self, broker, required)


# ---------------------------------------------------------------------- logging in


class _Door(Dispatcher):
    """The root of one session of a `Portal`: ``login`` and ``renew``."""

    def __init__(self, portal: Portal, broker: Broker, required: bool) -> None:
        self.portal = portal
        self.broker = broker
        self.logins: list[Login] = []
        self._required = required
        self._timer: Handle | None = None
        self._failures = 0
        self._checking = 0
        self._line: deque[Any] = deque()  # futures of those that wait for their turn
        broker.expect_login(required)
        broker.may_resume = self._may_resume
        self._wait_for_login()
        broker.notifyOnDisconnect(self._lost)

    def method(self, name: str) -> BoundMethod | None:
        """See `Dispatcher`."""
        if name == "login":
            entrance = Entrance()
            return BoundMethod(_Door._login, self, (entrance,), entrance=entrance)
        if name == "renew":
            return BoundMethod(_Door._renew, self)
        return None

    async def _login(
        self, entrance: Entrance, kind: Any, fields: Any = None, mind: Any = None
    ) -> Login:
        if mind is not None and not (
            isinstance(mind, RemoteReference) and mind.broker is self.broker
        ):
            raise InsecureJelly("the mind of a login is a reference to an object of the caller's")
        avatarId, seconds = await self._check(kind, fields)
        asked = self.portal.realm.requestAvatar(avatarId, mind, IPerspective)
        given = await asked if hasattr(type(asked), "__await__") else asked
        login = Login(self, avatarId, *_looked_at(given))
        self.logins.append(login)
        if self.broker.disconnected:
            login.end()
            raise dead_reference()
        self.broker.adopt(entrance, login.perspective)
        self.broker.expect_login(False)
        self._wait_for_login()
        login.expires_in(seconds)
        return login

    async def _renew(self, avatar: Any, kind: Any, fields: Any = None) -> None:
        login = avatar if type(avatar) is Login and avatar.door is self else None
        _, seconds = await self._check(kind, fields, [login.avatarId] if login else [])
        if login is None or login.ended:
            raise dead_reference()
        login.expires_in(seconds)

    # ------------------------------------------------------------- checking

    async def _check(
        self, kind: Any, given: Any, ids: Sequence[Any] | None = None
    ) -> tuple[Any, float | None]:
        """Whose the credentials are, and for how many seconds.

        Args:
            ids: only one of these will do.

        Raises:
            UnauthorizedLogin: whatever is wrong with them; after too many the connection goes.
        """
        self._stop_guessing()
        await self._take_turn()
        good = False
        try:
            self._stop_guessing()
            found = await self._ask(kind, given)
            avatarId, seconds = found, None
            if isinstance(found, ExpiringAvatarId):
                avatarId, seconds = found.avatarId, found.seconds
            if (ids is not None and avatarId not in ids) or (seconds is not None and seconds <= 0):
                raise UnauthorizedLogin
            good = True
            return avatarId, seconds
        except UnauthorizedLogin:
            raise UnauthorizedLogin from None  # its own text is not the peer's business
        except LimitExceeded:
            good = True  # nothing was looked at
            raise
        finally:
            self._give_turn()
            if not good:  # cancelled ones too: their work was done
                self._failed(kind)

    async def _ask(self, kind: Any, given: Any) -> Any:
        cls, checkers = self._checkers_of(kind)
        if cls is None:
            raise UnauthorizedLogin
        credentials = cls.fromFields(given)
        if isinstance(credentials, UpgradeIdentity):  # not the peer's to say
            object.__setattr__(credentials, "identity", self.broker.identity)
        for checker in checkers:
            try:
                asked = checker.requestAvatarId(credentials)
                return await asked if hasattr(type(asked), "__await__") else asked
            except UnauthorizedLogin:
                continue
            except LimitExceeded:
                raise
            except Exception as error:  # of the application's own; its text may hold a secret
                what = f"{type(checker).__name__} raised {type(error).__name__}{place_of(error)}"
                self.broker.runtime.report(f"a checker failed: {what}")
        raise UnauthorizedLogin

    def _checkers_of(self, kind: Any) -> tuple[type[Credentials] | None, Sequence[Checker]]:
        return self.portal.checkers.get(kind if type(kind) is str else "", (None, ()))

    def _stop_guessing(self) -> None:
        """Look at no credentials of an address whose logins failed too often of late."""
        broker = self.broker
        limit = broker.limits.login_failures_per_address
        if self.portal.guesses.of(broker.network, broker.runtime.clock()) >= limit:
            broker.close(
                4429, f"login_failures_per_address: {limit} logins have failed in a minute"
            )
            raise LimitExceeded("login_failures_per_address: come back in a minute")

    def _failed(self, kind: Any) -> None:
        self.portal.guesses.note(self.broker.network, self.broker.runtime.clock())
        if self.broker.disconnected:
            return
        self._failures += 1
        limit = self.broker.limits.login_failures
        text = f"a login failed, {self._failures} on this connection"
        if self._checkers_of(kind)[0] is None:
            kinds = ", ".join(self.portal.checkers) or "nothing: the portal has none"
            text += f"; no checker takes its kind, they take {kinds}"
        self.broker.runtime.report(text)
        if self._failures >= limit:
            self.broker.close(4401, f"login_failures: {limit} logins have failed")

    async def _take_turn(self) -> None:
        """Wait until few enough credentials of this connection are being checked."""
        while self._checking >= self.broker.limits.logins:
            turn = self.broker.runtime.future()
            self._line.append(turn)
            try:
                await turn
            except BaseException:
                self._wake_next()  # it may have been this one's turn
                raise
        self._checking += 1

    def _give_turn(self) -> None:
        self._checking -= 1
        self._wake_next()

    def _wake_next(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    # -------------------------------------------------------------- ending

    def ended(self, login: Login, stop: str | None) -> None:
        """*login* has ended: nothing that was handed out for its avatar can be reached."""
        self.logins.remove(login)
        broker = self.broker
        if broker.disconnected:
            return
        if all(other.perspective is not login.perspective for other in self.logins):
            broker.revoke(login.perspective, stop)
        self._wait_for_login()

    def _may_resume(self) -> bool:
        """Whether the realm lets all who are logged in come back."""
        may_resume = getattr(self.portal.realm, "may_resume", None)
        return may_resume is None or all(
            may_resume(login.avatarId, login.perspective) for login in self.logins
        )

    def _wait_for_login(self) -> None:
        """Close the connection if nobody logs in in time, where somebody has to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._required and not self.logins and not self.broker.disconnected:
            self._timer = self.broker.runtime.call_later(self.broker.limits.login, self._too_late)

    def _too_late(self) -> None:
        self._timer = None
        self.broker.close(4401, f"login: none within {self.broker.limits.login:g} s")

    def _lost(self) -> None:
        self._wait_for_login()
        for login in list(self.logins):
            login.end()


class Login(Dispatcher):
    """The avatar's reference: its ``perspective_*`` methods can be called until the login ends.

    One is made for each login, and is what comes home when a peer passes the reference back.
    """

    def __init__(self, door: _Door, avatarId: Any, avatar: Avatar, logout: Any) -> None:
        self.door = door
        self.avatarId = avatarId
        self.perspective = avatar
        """The avatar."""
        self.ended = False
        self._logout = logout
        self._timer: Handle | None = None
        self._leaving: Handle | None = None

    def __repr__(self) -> str:
        return f"<Login of {self.perspective!r}{' (ended)' if self.ended else ''}>"

    def method(self, name: str) -> BoundMethod | None:
        """See `Dispatcher`."""
        if self.ended:
            raise dead_reference()
        avatar = self.perspective
        function = type(avatar).perspectiveMethods.get(name)
        return None if function is None else BoundMethod(function, avatar, (), avatar)

    def serves(self) -> type:
        """See `Dispatcher`."""
        return type(self.perspective)

    def expires_in(self, seconds: float | None) -> None:
        """The login ends in *seconds*, or not by itself if that is None."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            self._timer = self.door.broker.runtime.call_later(seconds, self.end, EXPIRED)

    def handedBack(self) -> None:
        """See `Dispatcher`: the client has released the reference, or never got it."""
        if not self.door.broker.exports.has(self):
            self.end()

    def end(self, stop: str | None = None) -> None:
        """The login is over: the avatar's references are dead, and ``logout`` runs, once.

        Args:
            stop: why calls that go on are stopped; None: they go on.
        """
        if self.ended:
            return
        self.ended = True
        self.expires_in(None)
        self.door.ended(self, stop)
        logout, self._logout = self._logout, None
        try:
            result = logout()
        except BaseException as error:  # sys.exit() too: no peer may end the process by a release
            self._report(error)
            return
        if hasattr(type(result), "__await__"):
            self.door.portal.leaving.add(self)
            self._leaving = self.door.broker.runtime.spawn(self._leave(result), None)

    async def _leave(self, result: Any) -> None:
        try:
            await result
        except (GeneratorExit, self.door.broker.runtime.cancelled):  # the loop ends
            raise
        except BaseException as error:  # as above
            self._report(error)
        finally:
            self.door.portal.leaving.discard(self)

    def _report(self, error: BaseException) -> None:
        self.door.broker.runtime.report("the logout of an avatar failed", error)


def _looked_at(given: Any) -> tuple[Avatar, Callable[[], Any]]:
    """The avatar and the logout of what a realm returned. Raises TypeError if it is wrong."""
    if type(given) is not tuple or len(given) != 3:
        raise TypeError(f"{WANTED}, not {type(given).__name__}")
    interface, avatar, logout = given
    if not callable(logout):
        raise TypeError(f"{WANTED}, and logout is a function, not {type(logout).__name__}")
    if interface is not IPerspective or not isinstance(avatar, Avatar):
        logout()
        raise TypeError(
            f"{WANTED} with pb.IPerspective and an instance of pb.Avatar, "
            f"not {type(interface).__name__} and {type(avatar).__name__}"
        )
    return avatar, logout


def place_of(error: BaseException) -> str:
    """Where *error* was raised, as " at FILE:LINE"; without its text or any value."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "" if at is None else f" at {at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
