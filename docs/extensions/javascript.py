"""The reference of the JavaScript client, from the comments and types in its source.

``{javascript}`` describes what stands in it, names that ``pbweb.js`` exports, one a line. TypeDoc
reads the source (docs/typedoc/describe.mjs), and fails when something there is not documented.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).resolve().parents[1]
SOURCE = DOCS.parent / "client_js" / "src"

Described = dict[str, Any]


def describe() -> dict[str, Described]:
    """What ``pbweb.js`` exports, by its names.

    Raises:
        ExtensionError: there is no Node.js, or something is not documented.
    """
    node = shutil.which("node")
    if node is None:
        raise ExtensionError("the reference of the JavaScript client needs Node.js")
    command = [node, str(DOCS / "typedoc" / "describe.mjs")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode != 0:
        raise ExtensionError(f"the JavaScript client cannot be described:\n{ended.stderr}")
    return {one["name"]: one for one in json.loads(ended.stdout)}


class JavaScript(SphinxDirective):
    """Descriptions, in the directives of Sphinx's own domain for JavaScript."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        for path in SOURCE.glob("*.js"):
            self.env.note_dependency(str(path))
        kept = self.env.temp_data  # as long as this page is read
        if "javascript" not in kept:
            kept["javascript"] = describe()
        known = kept["javascript"]
        lines: list[str] = []
        for name in self.content:
            if name not in known:
                raise self.error(f"pbweb.js exports no {name!r}")
            lines += _whole(known[name])
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(SOURCE)), self.content_offset, holder)
        return holder.children


def _whole(one: Described) -> list[str]:
    """A class, function or type, as Markdown."""
    kind, name = one["kind"], one["name"]
    if kind == "function":
        return _directive("function", name + _parameters(one), _body(one))
    if kind == "class":
        inside = [f"Extends `{base}`.\n" for base in one["extends"]]
        inside += _body(one)
        made = one["constructor"]
        if made is not None:
            inside += _fields(made["parameters"])
        for member in one["members"]:
            inside += _member(member)
        return _directive("class", name + (_parameters(made) if made else ""), inside, depth=5)
    inside = [_sentence(one["text"]), ""]
    inside += [_property(member) for member in one["members"]]
    if one["type"]:
        inside += [f"`{one['type']}`", ""]
    return _directive("data", name, inside)


def _member(member: Described) -> list[str]:
    if member["kind"] == "method":
        name = member["name"].replace("[dispose]", "[Symbol.dispose]")
        return _directive("method", name + _parameters(member), _body(member))
    shown = [f"Type: `{member['type']}`"] if member["type"] else []
    return _directive("attribute", member["name"], [member["text"], "", *shown])


def _body(one: Described) -> list[str]:
    lines = [one["text"], ""]
    if one.get("parameters") is not None:
        lines += _fields(one["parameters"])
        if one["type"] not in ("", "void") or one["returns"]:
            kind = f"`{one['type']}`" if one["type"] else ""
            lines += [_flat(f":returns: {kind} {one['returns']}"), ""]
    return lines


def _parameters(one: Described) -> str:
    shown = ""
    for number, parameter in enumerate(one.get("parameters") or ()):
        name = parameter["name"].lstrip("_")
        comma = ", " if number else ""
        shown += f"[{comma}{name}]" if parameter["optional"] else comma + name
    return f"({shown})"


def _fields(parameters: list[Described]) -> list[str]:
    """The parameters that have more to say than their name."""
    lines = []
    for parameter in parameters:
        said = [f"`{parameter['type']}`"] if parameter["type"] else []
        said += [parameter["text"]] if parameter["text"] else []
        if said:
            name = parameter["name"].removeprefix("...").lstrip("_")
            lines.append(_flat(f":param {name}: {', '.join(said)}"))
    return [*lines, ""] if lines else []


def _property(member: Described) -> str:
    mark = ", may be left out" if member["optional"] else ""
    text = f": {member['text']}" if member["text"] else ""
    return _flat(f"- `{member['name']}` (`{member['type']}`{mark}){text}")


def _directive(kind: str, signature: str, body: list[str], depth: int = 4) -> list[str]:
    fence = "`" * depth
    return [f"{fence}{{js:{kind}}} {signature}", *"\n".join(body).splitlines(), fence, ""]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _flat(text: str) -> str:
    return " ".join(text.split())


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("javascript", JavaScript)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
