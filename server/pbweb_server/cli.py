"""The command ``pbweb``: what its words are, and where they lead.

What a command does is imported when it runs: `call` needs no server, and ``--help`` neither.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from pbweb import __version__
from pbweb.limits import ANNOUNCED, DEFAULT, Limits

from .settings import Settings

__all__ = ["Setting", "call", "main", "passwd", "pbweb", "serve"]

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class _Port(click.ParamType[int]):
    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        port = int(text) if text.isdecimal() else -1
        if not 0 <= port <= 65535:
            self.fail(f"{text!r} is no port: a number from 0 to 65535", param, ctx)
        return port


class _Limit(click.ParamType[tuple[str, float]]):
    name = "name=number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):  # click converts what it has converted once more
            return value
        name, _, text = str(value).partition("=")
        kinds = {field.name: field.type for field in fields(Limits)}
        if name not in kinds:
            self.fail(f"{name!r} is no limit; there are {', '.join(kinds)}", param, ctx)
        is_whole = kinds[name] == "int"
        try:
            number = int(text) if is_whole else float(text)
        except ValueError:
            kind = "whole number" if is_whole else "number"
            example = f"{name}={getattr(DEFAULT, name)}"
            self.fail(f"{value!r}: the limit {name!r} is a {kind}, as {example}", param, ctx)
        try:
            Limits(**{name: number})  # type: ignore[arg-type]
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        return name, number


class _Host(click.ParamType[str]):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            is_name = ":" not in text or ipaddress.ip_address(text).version == 6
        except ValueError:
            is_name = False
        if not is_name or set(text) & set("/@[]?# "):
            shape = "as example.com or 10.0.0.7, without scheme, port and path"
            self.fail(f"{text!r} is no host: {shape}", param, ctx)
        return text


class _Network(click.ParamType[str]):
    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            if text != "*":
                ipaddress.ip_network(text, strict=False)
        except ValueError:
            self.fail(f"{text!r} is no address or network, as 10.0.0.0/8, and not *", param, ctx)
        return text


class _Origin(click.ParamType[str]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from pbweb.opening import origin_of  # noqa: PLC0415

        try:
            origin_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Setting(click.Option):
    """An option that an environment variable can give too: PBWEB_ and its name."""

    def __init__(self, declarations: Sequence[str], **options: Any) -> None:
        options.setdefault("default", getattr(Settings, self._field(declarations)))
        super().__init__(declarations, show_default=True, show_envvar=True, **options)
        self.envvar = f"PBWEB_{self.name.upper()}"

    @staticmethod
    def _field(declarations: Sequence[str]) -> str:
        return declarations[0].removeprefix("--").replace("-", "_")

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Where the value came from: a bad one is named with the variable it stood in."""
        if ctx and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return str(self.envvar)
        return click.Parameter.get_error_hint(self, ctx)


def setting(declaration: str, help: str, **options: Any) -> Callable[[_Decorated], _Decorated]:
    """A `Setting` of the command below."""
    return click.option(declaration, cls=Setting, help=help, **options)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="pbweb %(version)s")
def pbweb() -> None:
    """Perspective Broker for the web."""


@pbweb.command()
@click.argument("target", metavar="MODULE:NAME", envvar="PBWEB_TARGET")
@setting("--host", "Address to listen on.", metavar="ADDRESS")
@setting("--port", "Port to listen on, 0 for any that is free.", type=_Port())
@setting("--pages", "A folder of files to serve at /.", type=click.Path(path_type=Path))
@setting(
    "--authenticate",
    "A function that says who asks for an upgrade, or refuses it.",
    metavar="MODULE:NAME",
)
@setting(
    "--origin",
    "Pages of this origin may connect too; * for all. May be given often.",
    multiple=True,
    type=_Origin(),
    metavar="URL",
)
@setting(
    "--require-origin",
    "Refuse what says no Origin, as programs do; browsers always say it.",
    is_flag=True,
)
@setting(
    "--allow-host",
    "Answer to this Host; * for all. May be given often; by default, who comes to a loopback "
    "address has to use its names.",
    multiple=True,
    type=_Host(),
    metavar="NAME",
)
@setting(
    "--url-secrets",
    "Take URLs that have what looks like a secret in their query.",
    is_flag=True,
)
@setting(
    "--trust-proxy",
    "Believe the X-Forwarded headers of a proxy at this address; * for all. May be given often.",
    multiple=True,
    type=_Network(),
)
@setting(
    "--limit",
    f"Set a limit: {', '.join(ANNOUNCED)}, … May be given often.",
    multiple=True,
    type=_Limit(),
)
@setting(
    "--mask-errors",
    "Send the id of a log entry in the place of an unexpected error's text.",
    is_flag=True,
)
@setting("--unsafe-tracebacks", "Send tracebacks to the peer.", is_flag=True)
@setting(
    "--reload",
    "Start again when a Python file in this folder changes; needs pbweb[reload].",
    is_flag=True,
)
@setting(
    "--log-level",
    "What is logged.",
    type=click.Choice(["debug", "info", "warning", "error"]),
)
def serve(**given: Any) -> None:
    """Serve a Root: its class, an instance, a factory, or a dict of these by paths.

    MODULE:NAME says where it is, as in examples.echo.app:EchoRoot  [env var: PBWEB_TARGET].

    Every option can be given by the environment variable that stands beside it; what may be given
    often is separated by spaces there. An option on the command line goes before its variable.
    """
    from . import serving  # noqa: PLC0415
    from .app import BadTarget  # noqa: PLC0415

    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: modules of the folder where we are
    settings = Settings(**given)
    try:
        if settings.reload:
            from . import reloading  # noqa: PLC0415

            reloading.serve_and_reload(settings)
        else:
            serving.serve(settings)
    except BadTarget as error:
        _end(2, str(error))


def _named(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    """Arguments by name, from ``name=value``."""
    return dict(_pair(text, "=", "name=value") for text in given)


def _headers(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    return dict(_pair(text, ":", "Name: value") for text in given)


def _pair(text: str, sign: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name.strip():
        raise click.BadParameter(f"{text!r} is not of the form {form}")
    return name.strip(), value.strip() if sign == ":" else value


def _value(text: str) -> Any:
    """An argument: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class _Call(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A negative number is no option: with a space before it, it is the same JSON."""
        words = [f" {word}" if _is_negative(word) else word for word in args]
        return super().parse_args(ctx, words)


def _is_negative(word: str) -> bool:
    return word[:1] == "-" and word[1:2].isdecimal() and not isinstance(_value(word), str)


@pbweb.command(cls=_Call)
@click.argument("url")
@click.argument("method")
@click.argument("args", nargs=-1)
@click.option(
    "--kw", multiple=True, callback=_named, metavar="NAME=VALUE", help="An argument by name."
)
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds to wait.")
@click.option(
    "--header",
    multiple=True,
    callback=_headers,
    metavar="NAME:VALUE",
    help="A header of the upgrade.",
)
def call(
    url: str,
    method: str,
    args: tuple[str, ...],
    kw: dict[str, str],
    timeout: float | None,
    header: dict[str, str],
) -> None:
    """Call METHOD of the root at URL and print the answer as JSON.

    An argument that is JSON is passed as such, any other as a string. A METHOD with dots calls what
    the methods before return: getTwo.three 12. Put -- before strings that begin with a dash.

    What is no plain JSON is printed as the protocol has it: {"$":"remote","id":1} is a reference.

    The command ends with 1 when the call failed, 2 when it cannot be made, 3 without a connection.
    """
    from . import calling  # noqa: PLC0415

    named = {name: _value(text) for name, text in kw.items()}
    try:
        print(calling.call(url, method, list(map(_value, args)), named, timeout, header))
    except calling.CallFailed as error:
        _end(error.code, str(error))


@pbweb.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("user")
@click.option("--delete", is_flag=True, help="Take USER out of the file.")
def passwd(file: Path, user: str, delete: bool) -> None:
    """Set the password of USER in FILE, which a FilePasswordDB reads.

    The password is asked for, or it is the first line of the standard input. FILE is made if it is
    not there, and has argon2 hashes; servers see the change by themselves. Needs pbweb[cred].
    """
    from pbweb.checkers import set_password  # noqa: PLC0415

    try:
        set_password(file, user, None if delete else _ask_for_password())
    except KeyError:
        _end(1, f"there is no {user!r} in {file}")
    except (ImportError, OSError, ValueError) as error:
        _end(2, str(error))


def _ask_for_password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _end(code: int, text: str) -> None:
    print(f"pbweb: {text}", file=sys.stderr)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """The command; ends the process with 2 when it is asked for what cannot be."""
    pbweb(args=argv, prog_name="pbweb")
