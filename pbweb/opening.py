"""Whether a request may open a session: its host, its origin, its URL and its subprotocol.

All of it is looked at before the upgrade, from the ASGI scope, under `pbweb serve` as well
(docs/security.md, threats A1 to A4 and A8).
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, MutableMapping
from functools import cache
from socket import gethostname
from typing import Any
from urllib.parse import urlsplit

from .admission import Admission
from .frames import PROTOCOL
from .logs import is_secret, logger, shown

__all__ = ["LOOPBACK", "Gate", "address_of", "headers_of", "network_of", "origin_of"]

Scope = MutableMapping[str, Any]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The names of this machine for itself."""

LINES = 10  # of one cause that are logged in SECONDS, each once
SECONDS = 60.0
KEYS = 100  # of a URL's query that are looked at
LONGEST_ORIGIN = 300
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]+))?")


class Gate:
    """What may open a session.

    Args:
        hosts: which ``Host`` headers are answered, without port; "*" for all. None: at a
            loopback address of this machine its names, which no page elsewhere can take; else all.
        origins: which pages may connect, as ``scheme://host[:port]``, beside those of the same
            host; "*" for all.
        require_origin: refuse what says no origin, as programs do that are no browser.
        url_secrets: take URLs with what looks like a secret in their query.
        admission: how many connections there may be, and how fast they may come.

    Raises:
        TypeError: *hosts* or *origins* is a text, and not several.
        ValueError: one of *origins* is none.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str] | None,
        origins: Iterable[str],
        require_origin: bool,
        url_secrets: bool,
        admission: Admission,
    ) -> None:
        if isinstance(hosts, str) or (isinstance(origins, str) and origins != "*"):
            raise TypeError("hosts and origins are lists, as origins=['https://example.com']")
        self._admission = admission
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._origins = frozenset(map(origin_of, origins))
        self._require_origin = require_origin
        self._url_secrets = url_secrets
        self.refused: Counter[str] = Counter()
        """How many were refused for their host, origin, url or subprotocol, or as too many."""
        self._since = 0.0
        self._texts: defaultdict[str, set[str]] = defaultdict(set)  # that were logged in a minute
        self._left_out: Counter[str] = Counter()

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The HTTP status and the reason for which an upgrade is refused, or None; it is logged."""
        return (
            self._full(scope)
            or self.host_refusal(scope)
            or self._origin_refusal(scope)
            or self._url_refusal(scope)
            or self._subprotocol_refusal(scope)
        )

    def _full(self, scope: Scope) -> tuple[int, str] | None:
        full = self._admission.refusal(network_of(address_of(scope)))
        return None if full is None else self._refuse(*full, scope)

    def host_refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The same for the host alone, which is looked at for pages too (DNS rebinding)."""
        hosts = headers_of(scope, "host")
        if len(hosts) == 1 and self._is_served(hosts[0], scope):
            return None
        if not hosts and scope["type"] == "http":  # no browser sent that
            return None
        reason = (
            f"the host {shown(', '.join(hosts))} is not served here; "
            "allow it with hosts=[…] or `pbweb serve --allow-host`"
        )
        return self._refuse(400, "host", reason, scope)

    def _is_served(self, host: str, scope: Scope) -> bool:
        allowed = self._hosts
        if allowed is None:
            allowed = _own_names(scope)
        if allowed is None or "*" in allowed:
            return True
        try:
            parts = urlsplit(f"//{host}")
            _ = parts.port  # raises for what is no number
        except ValueError:
            return False
        name = (parts.hostname or "").rstrip(".")
        return parts.netloc == host and "@" not in host and name in allowed

    def _origin_refusal(self, scope: Scope) -> tuple[int, str] | None:
        origins = headers_of(scope, "origin")
        if not origins:
            if not self._require_origin:
                return None
            reason = "no origin was said; require_origin or `--require-origin` asks for one"
            return self._refuse(403, "origin", reason, scope)
        secure = scope.get("scheme") in ("wss", "https")
        here = f"{'https' if secure else 'http'}://{headers_of(scope, 'host')[0]}"
        if len(origins) == 1 and self._may_connect(origins[0], here):
            return None
        reason = (
            f"the origin {shown(', '.join(origins))} may not connect to {shown(here, 100)}; "
            "allow it with `pbweb serve --origin` or origins=[…]"
        )
        return self._refuse(403, "origin", reason, scope)

    def _may_connect(self, origin: str, here: str) -> bool:
        if "*" in self._origins:
            return True
        normal = _normal_origin(origin)
        return normal != "" and (normal == _normal_origin(here) or normal in self._origins)

    def _url_refusal(self, scope: Scope) -> tuple[int, str] | None:
        query = scope.get("query_string", b"").decode("latin-1")
        if not query or self._url_secrets:
            return None
        for pair in query.replace(";", "&").split("&", KEYS)[:KEYS]:
            key = pair.partition("=")[0]
            if is_secret(key):
                reason = (
                    f"the URL has {shown(key)}, which looks like a secret, and URLs end up in logs "
                    "and histories: log in by a message, or send a cookie or a header; "
                    "url_secrets=True or `pbweb serve --url-secrets` takes it"
                )
                return self._refuse(400, "url", reason, scope)
        return None

    def _subprotocol_refusal(self, scope: Scope) -> tuple[int, str] | None:
        # Of those that the server has parsed: uvicorn's wsproto class leaves the header out.
        offered = scope.get("subprotocols") or [
            name.strip()
            for value in headers_of(scope, "sec-websocket-protocol")
            for name in value.split(",")
        ]
        if PROTOCOL in offered:
            return None
        reason = f"the subprotocol {PROTOCOL} has to be offered, as pbweb's clients do"
        return self._refuse(400, "subprotocol", reason, scope)

    def _refuse(self, status: int, cause: str, reason: str, scope: Scope) -> tuple[int, str]:
        """A page is told nothing of it, so the log is where its author sees why, once a minute."""
        self.refused[cause] += 1
        now = time.monotonic()
        if now - self._since > SECONDS:
            self._since = now
            self._sum_up()
        texts = self._texts[cause]
        if reason in texts or len(texts) >= LINES:
            self._left_out[cause] += 1
        else:
            texts.add(reason)
            what = "an upgrade" if scope["type"] == "websocket" else "a request"
            address = shown(address_of(scope)) if address_of(scope) else "nobody knows where"
            logger.warning("%s from %s was refused with %d: %s", what, address, status, reason)
        return status, reason

    def _sum_up(self) -> None:
        for cause, count in self._left_out.items():
            logger.warning("… and %d more were refused for their %s", count, cause)
        self._left_out.clear()
        self._texts.clear()


def _own_names(scope: Scope) -> frozenset[str] | None:
    """The hosts that mean the loopback address which a request came to; None at any other."""
    try:
        address = ipaddress.ip_address(str((scope.get("server") or ("",))[0]))
    except ValueError:  # a UNIX socket, or nothing is known
        return None
    mapped = getattr(address, "ipv4_mapped", None) or address
    return _names_of_this_machine() | {str(mapped)} if mapped.is_loopback else None


@cache
def _names_of_this_machine() -> frozenset[str]:
    """Its host name too, which some systems have for 127.0.1.1."""
    return frozenset((*LOOPBACK, gethostname().lower()))


def headers_of(scope: Mapping[str, Any], name: str) -> list[str]:
    """All values of the header *name*, which is in lower case."""
    wanted = name.encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key == wanted]


def address_of(scope: Mapping[str, Any]) -> str:
    """The address of the peer, or the one that a trusted proxy names; "" if there is none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def network_of(address: str) -> bytes | None:
    """Whose connections and guesses at logins are counted together.

    That is *address*, or of IPv6 its first 64 bits, since one subscriber has them all.

    None for this machine, from where a proxy may speak for all, and for what is no address.
    """
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return None
    known = getattr(known, "ipv4_mapped", None) or known
    return None if known.is_loopback else known.packed[:8]


def origin_of(text: str) -> str:
    """*text*, ``scheme://host[:port]`` or "*", as it is compared.

    Raises:
        ValueError: it is none.
    """
    normal = _normal_origin(text)
    if not normal:
        raise ValueError(
            f"{text!r} is no origin, as http://localhost:3000 or https://example.com: "
            "a scheme, a host and maybe a port, with nothing behind it"
        )
    return normal


def _normal_origin(origin: str) -> str:
    """*origin* as ``scheme://host:port``, "*" as it is, and "" for what is no origin."""
    if origin == "*":
        return origin
    parts = _ORIGIN.fullmatch(origin.lower()) if len(origin) <= LONGEST_ORIGIN else None
    if parts is None:
        return ""
    scheme, host, port = parts.groups()
    return f"{scheme}://{host}:{port or _DEFAULT_PORTS[scheme]}"
