"""The vectors of the wire as the protocol's examples: they are what both languages' tests run.

``{vectors} scenarios`` shows the scenarios whose names stand in it, one a line, as what goes up to
the peer under test and down from it; ``{values}`` makes a table of vectors of values. A name that
is none of a vector's is an error of the build.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"
LONGEST = 100  # characters of an expression in the table


class _FromVectors(SphinxDirective):
    has_content = True

    def named(self, file: str) -> list[dict[str, Any]]:
        """The vectors of *file* that the lines of the directive name."""
        path = VECTORS / f"{file}.json"
        self.env.note_dependency(str(path))
        by_name = {vector["name"]: vector for vector in json.loads(path.read_text())}
        for line in self.content:
            if line not in by_name:
                raise self.error(f"{path.name} has no vector {line!r}")
        return [by_name[line] for line in self.content]


class Vectors(_FromVectors):
    """Scenarios, or single messages (``frames``), as text."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        file = self.arguments[0]
        shown = []
        for vector in self.named(file):
            text = scenario(vector) if file == "scenarios" else message(vector)
            block = nodes.literal_block(text, text, language="text")
            shown.append(nodes.container("", _caption(vector["name"]), block, classes=["vector"]))
        return shown


class Values(_FromVectors):
    """A table: the value in Python, on the wire, in JavaScript."""

    def run(self) -> list[nodes.Node]:
        rows = ["| Python | on the wire | JavaScript |", "| --- | --- | --- |"]
        for vector in self.named("values"):
            cells = [vector["python"], vector["wire"], vector["javascript"]]
            rows.append("| " + " | ".join(_cell(text, vector) for text in cells) + " |")
        holder = nodes.container(classes=["values"])
        self.state.nested_parse(StringList(rows, source="values"), self.content_offset, holder)
        return [holder]


def scenario(vector: dict[str, Any]) -> str:
    """The steps of a scenario: → is sent to the peer under test, ← is its answer."""
    lines = []
    if "limits" in vector:
        lines.append(f"  limits: {_json(vector['limits'])}")
    for step in vector["steps"]:
        for frames in (step.get("receive"), step.get("send")):
            if frames:
                arrow = "→" if "receive" in step else "←"
                lines.append(f"{arrow} {_json(frames if len(frames) > 1 else frames[0])}")
        if "close" in step:
            lines.append(f"← closes with {step['close']}")
    return "\n".join(lines)


def message(vector: dict[str, Any]) -> str:
    """One message, and what becomes of the session."""
    end = "" if vector["valid"] else f"\n← closes with {vector['close']}"
    return f"→ {vector['message']}{end}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _caption(name: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.emphasis("", name[0].upper() + name[1:]))


def _cell(text: str, vector: dict[str, Any]) -> str:
    if len(text) > LONGEST:
        raise ValueError(f"the vector {vector['name']!r} is too long for a table")
    return "`` " + text.replace("|", "\\|") + " ``"


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("vectors", Vectors)
    app.add_directive("values", Values)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
