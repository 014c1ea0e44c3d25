"""`pbweb call`: one call from the shell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

import pbweb as pb
from pbweb.failures import failure_for
from pbweb.flavors import Charge, Maker
from pbweb.jelly import Jellier, Tagged
from pbweb.limits import Limits
from pbweb.logs import printable

__all__ = ["CallFailed", "call"]

TERMINAL_LINE = 10_000  # characters
OPEN_SECONDS = 10.0
"""For the connection, where no timeout is given."""


class CallFailed(Exception):
    """No answer; the text says why. `code` is what the process ends with."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def call(
    url: str,
    method: str,
    args: Sequence[Any],
    kw: dict[str, Any],
    timeout: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> str:
    """The answer of the root at *url*, as JSON.

    Args:
        url: ``ws://``, ``wss://``, ``http://`` or ``https://``.
        method: its name; with dots, each name is called on what the one before returns.
        timeout: seconds for the connection, and again for the call.

    Raises:
        CallFailed: 1: the method raised, or did not answer in time. 2: *url* is none. 3: there
            is no connection, or it went.
    """
    try:
        return asyncio.run(_call(url, method, args, kw, timeout, headers))
    except (pb.ConnectFailed, pb.PBConnectionLost, pb.ProtocolError) as error:
        raise CallFailed(3, _on_a_terminal(str(error))) from None
    except pb.Error as error:
        trace = f"\n{error.traceback.rstrip()}" if error.traceback else ""
        raise CallFailed(1, _on_a_terminal(f"{error.type}: {error.message}{trace}")) from None
    except TimeoutError as error:
        raise CallFailed(1, str(error)) from None


async def _call(
    url: str,
    method: str,
    args: Sequence[Any],
    kw: dict[str, Any],
    timeout: float | None,
    headers: Mapping[str, str] | None,
) -> str:
    # As a page does it: the scheme says whether there is TLS, and it is a WebSocket anyway.
    address = f"ws{url[4:]}" if url.startswith(("http://", "https://")) else url
    try:
        opening = pb.connect(
            address, headers=headers, open_timeout=timeout or OPEN_SECONDS, registry=_AnyType()
        )
        connection = await opening
    except ValueError as error:
        raise CallFailed(2, str(error)) from None
    try:
        target: Any = await connection.getRootObject()
        *first, last = method.split(".")
        for name in first:
            target = target.call(name, timeout=timeout)
        return shown(await target.call(last, args, kw, timeout=timeout))
    finally:
        await connection.close()


def shown(value: Any) -> str:
    """*value* as the JSON that docs/protocol.md has for it; references with the peer's ids."""
    limits = Limits(depth=200, digits=1 << 20)
    text = orjson.dumps(Jellier(_Shown(), limits).encode(value)).decode()
    return text if text.isprintable() else "".join(map(_in_json, text))


def _in_json(char: str) -> str:
    """*char* as it may stand in a string of JSON on a terminal."""
    if char.isprintable():
        return char
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _on_a_terminal(text: str) -> str:
    """The lines of *text*, without anything that a terminal would obey."""
    return "\n".join(printable(line, TERMINAL_LINE) for line in text.split("\n"))


class _Copy(pb.Copyable):
    """A copy of any type, as the peer sent it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = None


class _Cache(pb.RemoteCache):
    """The copy of a cache of any type, as the peer sent it."""

    state: Any = None

    def setCopyableState(self, state: Any) -> None:
        self.state = state


class _AnyType(pb.Registry):
    """Takes copies and caches of all types, which are only shown here."""

    def cache_class(self, name: str) -> type[_Cache]:
        return type(name, (_Cache,), {})

    def maker(self, name: str) -> Maker:
        def fill(blank: _Copy, state: Any, _charge: Charge) -> _Copy:
            blank.state = state
            return blank

        return Maker(lambda: _Copy(name), fill)


class _Shown:
    """References, copies, caches, and exceptions that were returned, as the peer sent them."""

    def copied(self, value: _Copy, perspective: Any) -> tuple[str, Any]:
        return value.name, value.state

    def cached(self, value: pb.Cacheable, jellier: Jellier) -> None:
        """Nothing here is anybody's own."""

    def jelly(self, value: Any, jellier: Jellier) -> Tagged | None:
        if isinstance(value, pb.RemoteReference):
            return {"$": "remote", "id": value.luid}
        if isinstance(value, _Cache):
            state = jellier.encode_more(value.state)
            name, luid = type(value).__name__, value.__cache__.luid
            return {"$": "cache", "type": name, "id": luid, "state": state}
        return failure_for(value) if isinstance(value, BaseException) else None
