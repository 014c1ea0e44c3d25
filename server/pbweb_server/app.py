"""The gateway's application: endpoints, the JavaScript client, health, and pages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from pbweb.asgi import Endpoint
from pbweb.draining import GOING_AWAY
from pbweb.flavors import Root
from pbweb.opening import Gate

__all__ = ["BadTarget", "Target", "application", "find", "load"]

DEFAULT_PATH = "/pb"
FILE_HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
HEALTH = ("/healthz", "/readyz")  # which are asked for by address


class BadTarget(ValueError):
    """What was asked to be served cannot be; the text says why."""


class Target:
    """What ``pbweb serve MODULE:NAME`` names: roots by their paths, and the page beside them."""

    def __init__(self, roots: Mapping[str, Any], page: Path | None) -> None:
        self.roots = roots
        self.page = page


def find(name: str) -> tuple[ModuleType, Any]:
    """The module and what it has of *name*, ``module:attribute``.

    Raises:
        BadTarget: there is no such module or attribute.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute or not module_name or module_name.startswith("."):
        raise BadTarget(f"{name!r} has to be MODULE:NAME, as in examples.echo.app:EchoRoot")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise BadTarget(
                f"there is no module {error.name!r} here; run this from the folder it lies in"
            ) from None
        raise
    try:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise BadTarget(f"the module {module_name!r} has no {attribute!r}") from None
    return module, found


def load(name: str) -> Target:
    """Import what *name*, ``module:attribute``, says.

    Raises:
        BadTarget: there is no such module or attribute, or it is nothing to serve.
    """
    module, found = find(name)
    roots = dict(found) if isinstance(found, Mapping) else {DEFAULT_PATH: found}
    for path, root in roots.items():
        if not isinstance(path, str) or not path.startswith("/") or not _is_root(root):
            raise BadTarget(
                f"{name} is no pb.Root, class of one, factory, or dict of these by paths: "
                f"{path!r} is {root!r}"
            )
    page = Path(getattr(module, "__file__", "") or ".").parent / "index.html"
    return Target(roots, page if page.is_file() else None)


def _is_root(root: Any) -> bool:
    if isinstance(root, type):
        return issubclass(root, Root)
    return isinstance(root, Root) or callable(root)


def application(
    endpoints: Mapping[str, Endpoint], *, page: Path | None = None, pages: Path | None = None
) -> Starlette:
    """The ASGI application for *endpoints*, by their paths.

    Args:
        page: a file that answers ``/``. A browser that asks for an icon beside it is answered 204,
            where its console would complain of a 404.
        pages: a folder whose files are served; takes the place of *page*.

    Raises:
        BadTarget: *pages* is no folder.
    """
    routes: list[BaseRoute] = [
        Route("/healthz", _healthy),
        Route("/readyz", _ready(endpoints)),
    ]
    for path, endpoint in endpoints.items():
        routes += endpoint.routes(path)
    if pages is not None:
        if not pages.is_dir():
            raise BadTarget(f"the folder for --pages is not there: {pages}")
        routes.append(Mount("/", _Pages(directory=pages, html=True)))
    elif page is not None:
        routes += [Route("/", _page(page)), Route("/favicon.ico", _no_icon)]
    gate = next(iter(endpoints.values())).gate if endpoints else None
    return Starlette(routes=routes, middleware=[Middleware(_Hosts, gate=gate)] if gate else [])


class _Hosts:
    """Answers requests for hosts that are served here, and everybody who asks for the health."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in HEALTH:
            refused = self._gate.host_refusal(scope)
            if refused is not None:
                await PlainTextResponse(f"{refused[1]}\n", refused[0])(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Pages(StaticFiles):
    """A folder's files, but what Python and editors leave there; browsers ask for changes."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if any(part.startswith((".", "__")) for part in Path(path).parts if part != "."):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        for name, value in FILE_HEADERS.items():
            response.headers.setdefault(name, value)
        return response


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _no_icon(_request: Request) -> Response:
    return Response(status_code=204)


def _ready(endpoints: Mapping[str, Endpoint]) -> Any:
    """Whether new peers are let in: not any more when the server stops."""

    async def ready(request: Request) -> Response:
        if any(endpoint.stopping for endpoint in endpoints.values()):
            return PlainTextResponse(f"{GOING_AWAY}\n", 503)
        return await _healthy(request)

    return ready


def _page(page: Path) -> Any:
    async def index(_request: Request) -> Response:
        return FileResponse(page, headers=FILE_HEADERS)

    return index
