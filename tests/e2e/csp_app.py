"""pbweb mounted into a Starlette application whose pages allow no inline code and no eval."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import pbweb as pb
from examples.echo.app import EchoRoot

POLICY = "default-src 'self'; require-trusted-types-for 'script'"

PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8"><title>strict</title>
    <link rel="icon" href="/icon.svg">
    <script type="module" src="/page.js"></script>
  </head>
  <body><output></output><p></p></body>
</html>
"""

SCRIPT = """
import { connect } from "/pb/pbweb.js";

const connection = await connect("/pb/"); // what a Mount answers; "/pb" it does not
const root = await connection.getRootObject();
const answer = await root.callRemote("echo", ["under", new Map([[1, "policy"]])]);
document.querySelector("output").textContent = `${answer[0]} ${answer[1].get(1)}`;
try {
  await root.callRemote("refuse");
} catch (error) {
  document.querySelector("p").textContent = `${error.type}: ${error.message}`;
}
await connection.close();
document.body.dataset.state = "done";
"""


HTML = "<img src=x onerror=\"document.title='hurt'\"><script>document.title='hurt'</script>"


class Refusing(EchoRoot):
    def remote_refuse(self) -> None:
        raise pb.Error(HTML)


class WithPolicy:
    """Sets the header on every response, the library's files included."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", self.policy.encode())
                message["headers"] = [*message["headers"], header]
            await send(message)

        await self.app(scope, receive, send_with_policy)


async def page(request: Request) -> Response:
    return Response(PAGE, media_type="text/html")


async def script(request: Request) -> Response:
    return Response(SCRIPT, media_type="text/javascript")


async def icon(request: Request) -> Response:
    return Response('<svg xmlns="http://www.w3.org/2000/svg"/>', media_type="image/svg+xml")


app = WithPolicy(
    Starlette(
        routes=[
            Route("/", page),
            Route("/page.js", script),
            Route("/icon.svg", icon),
            Mount("/pb", pb.endpoint(Refusing())),
        ]
    ),
    POLICY,
)
