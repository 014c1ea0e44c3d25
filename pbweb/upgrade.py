"""Who asks for an upgrade: the application's say before a session begins.

What the HTTP request proves (a cookie, a header, the session of a web framework) is looked
at once, before the upgrade, by the function that `Endpoint` is given as ``authenticate``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from http import HTTPStatus
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from .cred import place_of
from .logs import logger

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.requests import HTTPConnection

__all__ = ["Authenticate", "Refused", "identify"]

Authenticate = Callable[["HTTPConnection[Any]"], Any]
"""Takes the request, gives the identity or an awaitable of it, or raises HTTPException."""


class Refused(Exception):
    """The upgrade is refused with an HTTP status, a text and further headers."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


async def identify(
    authenticate: Authenticate, scope: MutableMapping[str, Any], seconds: float
) -> Any:
    """The identity that *authenticate* finds in the request of an ASGI *scope*.

    Raises:
        Refused: it raised Starlette's HTTPException (the status is that one's), took longer
            than *seconds* (503), or failed (500, and the log says with what and where).
    """
    # Clients, which import what imports this, need no Starlette.
    from starlette.exceptions import HTTPException  # noqa: PLC0415
    from starlette.requests import HTTPConnection  # noqa: PLC0415

    try:
        async with asyncio.timeout(seconds):
            identity = authenticate(HTTPConnection(scope))
            return await identity if isawaitable(identity) else identity
    except HTTPException as refusal:
        raise _refused(refusal) from None
    except TimeoutError:
        logger.error("authenticating took longer than %g s", seconds)
        raise Refused(503, "authenticating took too long") from None
    except Exception as error:  # its text may hold what the peer proved itself by
        logger.error("authenticate raised %s%s", type(error).__name__, place_of(error))
        raise Refused(500, "authenticating failed") from None


def _refused(refusal: HTTPException) -> Refused:
    """What can be answered for *refusal*: a status that HTTP does not have becomes 403."""
    known = {int(status) for status in HTTPStatus if status >= 300}
    status = refusal.status_code if refusal.status_code in known else 403
    return Refused(status, str(refusal.detail), refusal.headers)
