"""The checkers that applications use: passwords, signed tokens, and functions of one's own.

Hashing and keys are the business of libraries, which ``pip install pbweb[cred]`` brings:
argon2-cffi for passwords, PyJWT for tokens. They are imported when the first checker that needs
them is made.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any

from .cred import (
    ANONYMOUS,
    Anonymous,
    Credentials,
    ExpiringAvatarId,
    Token,
    UpgradeIdentity,
    UsernamePassword,
)
from .errors import LimitExceeded, UnauthorizedLogin
from .logs import logger

__all__ = [
    "AllowAnonymousAccess",
    "CallableChecker",
    "FilePasswordDB",
    "IdentityChecker",
    "InMemoryUsernamePasswordDatabase",
    "TokenChecker",
    "set_password",
]


WORKERS = 4
"""Passwords that are hashed at a time: each takes a core, and 64 MiB as argon2-cffi has it.

And as many tokens whose keys may have to be fetched, in threads of their own."""
MAX_WAITING = 64
"""Passwords, and tokens, that wait for that: more are refused, whoever brings them."""
MAX_PASSWORD = 1024
"""Characters of a password and of a name; longer ones are no good, whatever they are."""
MAX_TOKEN = 16_384
"""Characters of a token."""


def _library(module: str, package: str) -> Any:
    """A library that not everybody has. Raises ImportError, which says how to get it."""
    try:
        return import_module(module)
    except ImportError as missing:
        raise ImportError(
            f"{package} is not installed, which this checker needs: pip install 'pbweb[cred]'"
        ) from missing


class AllowAnonymousAccess:
    """Lets everybody in who brings `Anonymous`, as `ANONYMOUS`."""

    credentialInterfaces = (Anonymous,)

    def requestAvatarId(self, credentials: Anonymous) -> Any:
        """See `cred.Checker`."""
        return ANONYMOUS


class CallableChecker:
    """Asks *function*, which takes the credentials and gives the avatar id, or an awaitable of it.

    It raises `UnauthorizedLogin`, or gives None, for credentials that are not good; and
    an `ExpiringAvatarId` for what is good for a time only.

    Args:
        kinds: the class of the credentials, or several.
        function: runs in the event loop; what takes long belongs into ``asyncio.to_thread``.
    """

    def __init__(
        self,
        kinds: type[Credentials] | Iterable[type[Credentials]],
        function: Callable[[Any], Any],
    ) -> None:
        if not isinstance(kinds, Iterable) and not isinstance(kinds, type):
            raise TypeError(f"CallableChecker takes a class of credentials first, not {kinds!r}")
        if not callable(function):
            raise TypeError(f"CallableChecker asks a function, not {function!r}")
        self.credentialInterfaces = (kinds,) if isinstance(kinds, type) else tuple(kinds)
        self._function = function

    async def requestAvatarId(self, credentials: Credentials) -> Any:
        """See `cred.Checker`."""
        found = self._function(credentials)
        return _somebody(await found if hasattr(type(found), "__await__") else found)


class IdentityChecker:
    """Takes what ``authenticate`` of the endpoint found out when the connection was opened.

    Args:
        avatarId: gives the avatar id for a `Broker.identity`; by default it is the identity.
    """

    credentialInterfaces = (UpgradeIdentity,)

    def __init__(self, avatarId: Callable[[Any], Any] | None = None) -> None:
        self._avatar_id = avatarId

    def requestAvatarId(self, credentials: UpgradeIdentity) -> Any:
        """See `cred.Checker`."""
        identity = _somebody(credentials.identity)
        return identity if self._avatar_id is None else _somebody(self._avatar_id(identity))


def _somebody(found: Any) -> Any:
    if found is None:
        raise UnauthorizedLogin
    return found


# ---------------------------------------------------------------------- passwords


class _Workers:
    """A few threads for what would hold up the event loop, and a bound for what waits for them."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._threads: ThreadPoolExecutor | None = None
        self.jobs = 0
        """What is worked on, or waits for it."""

    async def do(self, work: Callable[..., Any], *args: Any) -> Any:
        """What *work* gives.

        Raises:
            LimitExceeded: too much waits for a thread already.
        """
        if self.jobs >= WORKERS + MAX_WAITING:
            raise LimitExceeded(f"logins: too many {self._what} are being checked, try again later")
        self.jobs += 1
        threads = self._threads = self._threads or ThreadPoolExecutor(
            WORKERS, f"pbweb-{self._what}"
        )
        job = asyncio.get_running_loop().run_in_executor(threads, work, *args)
        job.add_done_callback(self._done)  # a login that is cancelled leaves its work behind
        return await asyncio.shield(job)

    def _done(self, job: asyncio.Future[Any]) -> None:
        self.jobs -= 1
        if not job.cancelled():
            job.exception()  # is looked at, also if nobody waits for it any more


_PASSWORDS = _Workers("passwords")
_TOKENS = _Workers("tokens")


NOBODY = ""
"""Stands for the parameters of a checker's own hasher, among those of hashes."""


def _parameters_of(text: str) -> str:
    """What is before the salt in an argon2 hash: all that its time hangs on."""
    return text.rsplit("$", 2)[0]


class _PasswordChecker(ABC):
    """Passwords against argon2 hashes. A name that is unknown costs as much as a wrong password.

    Where hashes have different parameters, each login costs as much as one of each together.
    """

    credentialInterfaces = (UsernamePassword,)

    def __init__(self, hasher: Any) -> None:
        self._argon2 = _library("argon2", "argon2-cffi")
        self._hasher = self._argon2.PasswordHasher() if hasher is None else hasher
        self._stand_ins: dict[str, str] = {}  # hashes of what nobody knows, by their parameters
        self._parameters: tuple[Mapping[str, str], list[str]] | None = None  # of which hashes

    async def requestAvatarId(self, credentials: UsernamePassword) -> str:
        """See `cred.Checker`: the avatar id is the name."""
        name, password = credentials.username, credentials.password
        if len(name) > MAX_PASSWORD or len(password) > MAX_PASSWORD:
            raise UnauthorizedLogin
        if not await _PASSWORDS.do(self._is_right, name, password):
            raise UnauthorizedLogin
        return name

    def _is_right(self, name: str, password: str) -> bool:
        """In a worker thread: one hash of each kind is looked at, whoever *name* is."""
        hashes = self._hashes()
        known = hashes.get(name)
        right = False
        for parameters in self._kinds(hashes):
            is_own = known is not None and _parameters_of(known) == parameters
            try:
                self._hasher.verify(known if is_own else self._stand_ins[parameters], password)
                right = right or is_own
            except (self._argon2.exceptions.VerificationError, UnicodeEncodeError):
                pass
        return right

    @abstractmethod
    def _hashes(self) -> Mapping[str, str]:
        """The hash of each name's password."""

    def _kinds(self, hashes: Mapping[str, str]) -> list[str]:
        """The parameters in *hashes*, one for all as a rule; there is a stand-in for each."""
        if self._parameters is None or self._parameters[0] is not hashes:
            examples = {_parameters_of(one): one for one in hashes.values()}
            for parameters, one in examples.items():
                if parameters not in self._stand_ins:
                    hasher = self._argon2.PasswordHasher
                    hasher = hasher.from_parameters(self._argon2.extract_parameters(one))
                    self._stand_ins[parameters] = hasher.hash(token_hex())
            self._parameters = hashes, list(examples) or [self._default()]
        return self._parameters[1]

    def _default(self) -> str:
        """The parameters where nobody is known."""
        if NOBODY not in self._stand_ins:
            self._stand_ins[NOBODY] = self._hasher.hash(token_hex())
        return NOBODY

    def _is_hash(self, text: str) -> bool:
        try:
            self._argon2.extract_parameters(text)
        except self._argon2.exceptions.InvalidHashError:
            return False
        return True


class InMemoryUsernamePasswordDatabase(_PasswordChecker):
    """Names and passwords of a program, for tests and demonstrations; see `FilePasswordDB`.

    Args:
        users: passwords by name, or their argon2 hashes; passwords are hashed at once.
        hasher: an ``argon2.PasswordHasher`` with parameters of your own.

    Raises:
        ImportError: argon2-cffi is missing.
    """

    def __init__(self, users: Mapping[str, str], *, hasher: Any = None) -> None:
        super().__init__(hasher)
        self._users = {
            name: text if self._is_hash(text) else self._hasher.hash(text)
            for name, text in users.items()
        }

    def _hashes(self) -> Mapping[str, str]:
        return self._users


class FilePasswordDB(_PasswordChecker):
    """Names and passwords from a file, which is read again when it has changed.

    A line is ``name:hash`` with an argon2 hash, as ``pbweb passwd FILE NAME`` writes it. Lines
    that begin with ``#`` are comments. A name in a line that is nothing of these cannot log in;
    the log says which lines these are, whenever the file is read.

    Raises:
        ImportError: argon2-cffi is missing.
        OSError: the file cannot be read now. Later nobody can log in while that is so.
    """

    def __init__(self, path: str | Path, *, hasher: Any = None) -> None:
        super().__init__(hasher)
        self._path = Path(path)
        self._read: tuple[Any, dict[str, str]] | None = None  # of which file, and what it says
        self._read_file()

    def _hashes(self) -> Mapping[str, str]:
        try:
            return self._read_file()
        except (OSError, UnicodeDecodeError):
            return {}

    def _read_file(self) -> Mapping[str, str]:
        with self._path.open(encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            version = (about.st_mtime_ns, about.st_size, about.st_ino)
            if self._read is None or self._read[0] != version:
                self._read = version, self._parse(file)
            return self._read[1]

    def _parse(self, lines: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        useless = []
        for number, line in enumerate(lines, 1):
            entries = [entry for entry in _entries([line]) if self._is_hash(entry[1])]
            found.update(entries)
            if not entries and line.strip() and not line.lstrip().startswith("#"):
                useless.append(str(number))
        if useless:  # by their numbers: a line may be a password that was never hashed
            logger.warning(
                "%s: nobody can log in by line %s, which is no name:hash with an argon2 hash; "
                "write it with pbweb passwd",
                self._path.name,
                ", ".join(useless[:10]),
            )
        return found


def _entries(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, colon, text = line.strip().partition(":")
        if colon and not name.startswith("#"):
            yield name, text


def set_password(path: str | Path, name: str, password: str | None) -> None:
    """Write *name* with the hash of *password* into the file of a `FilePasswordDB`.

    The file is replaced as a whole, and made (readable for its owner alone) if it is not there.

    Args:
        password: None takes *name* out of the file.

    Raises:
        ValueError: *name* or *password* cannot stand in it.
        KeyError: *name* is to be taken out, and is not there.
        ImportError: argon2-cffi is missing.
        OSError: the file cannot be read or written.
    """
    if not name or name != name.strip() or name.startswith("#") or set(name) & set(":\r\n"):
        raise ValueError(f"{name!r} is no name: it has no colon, and begins with no # or space")
    if len(name) > MAX_PASSWORD or len(password or "") > MAX_PASSWORD or password == "":
        raise ValueError(f"names and passwords have 1 to {MAX_PASSWORD} characters")
    path = Path(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if name not in dict(_entries([line]))]
    if password is not None:
        kept.append(f"{name}:{_library('argon2', 'argon2-cffi').PasswordHasher().hash(password)}")
    elif len(kept) == len(lines):
        raise KeyError(name)
    _replace(path, "".join(f"{line}\n" for line in kept))


def _replace(path: Path, text: str) -> None:
    """Put *text* in the place of the file, which nobody sees half written."""
    path = path.resolve()  # a link stays one
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


# ------------------------------------------------------------------------- tokens


class TokenChecker:
    """Signed tokens (JWT), good until their ``exp``.

    Args:
        keys: the secret or public key (PEM), a key set (a JWKS as a dict), or the URL of one,
            which is fetched every five minutes, and when a key is missing (not twice in 30 s).
        algorithms: those that are allowed, as ``["ES256"]``.
        audience: what ``aud`` has to name.
        issuer: what ``iss`` has to be.
        avatarId: gives the avatar id for the claims; by default it is ``sub``.
        leeway: seconds that the issuer's clock may differ.

    Raises:
        ImportError: PyJWT or cryptography is missing.
        ValueError: no algorithm, ``none``, secrets and public keys mixed, or no key.
    """

    credentialInterfaces = (Token,)

    def __init__(
        self,
        keys: str | bytes | Mapping[str, Any],
        *,
        algorithms: Sequence[str],
        audience: str,
        issuer: str,
        avatarId: Callable[[dict[str, Any]], Any] | None = None,
        leeway: float = 0.0,
    ) -> None:
        self._jwt = _library("jwt", "PyJWT")
        _library("cryptography", "cryptography")
        self._algorithms = _allowed(algorithms)
        self._must_be = {"audience": audience, "issuer": issuer, "leeway": leeway}
        self._avatar_id = avatarId
        self._leeway = leeway
        self._url: Any = None
        self._set: dict[str | None, Any] = {}
        if isinstance(keys, Mapping):
            self._set = self._key_set(keys)
        elif isinstance(keys, str) and keys.startswith(("https://", "http://")):
            self._url = self._jwt.PyJWKClient(keys)
        else:
            self._set = {None: keys}

    def _key_set(self, keys: Mapping[str, Any]) -> dict[str | None, Any]:
        try:
            return {key.key_id: key for key in self._jwt.PyJWKSet.from_dict(dict(keys)).keys}
        except self._jwt.PyJWTError as error:
            raise ValueError(f"the key set has no key that can be used: {error}") from None

    async def requestAvatarId(self, credentials: Token) -> ExpiringAvatarId:
        """See `cred.Checker`."""
        token = credentials.token
        if len(token) > MAX_TOKEN:
            raise UnauthorizedLogin
        try:
            key = await self._key_for(token)
            claims = self._jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                options={"require": ["exp", "aud", "iss"]},
                **self._must_be,
            )
        except (self._jwt.PyJWTError, ValueError):  # which is also what is no text
            raise UnauthorizedLogin from None
        avatarId = claims.get("sub") if self._avatar_id is None else self._avatar_id(claims)
        left = claims["exp"] + self._leeway - time.time()
        return ExpiringAvatarId(_somebody(avatarId), left)

    async def _key_for(self, token: str) -> Any:
        """The key that *token* says it is signed with."""
        if self._url is not None:  # which may be fetched
            return await _TOKENS.do(self._url.get_signing_key_from_jwt, token)
        if None in self._set:
            return self._set[None]
        named = self._jwt.get_unverified_header(token).get("kid")
        if named is None and len(self._set) == 1:
            return next(iter(self._set.values()))
        key = self._set.get(named)
        if key is None:
            raise UnauthorizedLogin
        return key


def _allowed(algorithms: Sequence[str]) -> list[str]:
    """*algorithms*, if they may stand together: a public key is no secret."""
    if isinstance(algorithms, str) or not algorithms:
        raise ValueError("algorithms is a list of those that are allowed, as ['ES256']")
    secret = [name for name in algorithms if name.startswith("HS")]
    if "none" in map(str.lower, algorithms) or (secret and len(secret) != len(algorithms)):
        raise ValueError("allow no 'none', and no HS… beside the algorithms of public keys")
    return list(algorithms)
