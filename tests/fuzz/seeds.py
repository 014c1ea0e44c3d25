"""The vectors, as inputs of the fuzzers' targets."""

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"


def texts_of(name: str) -> list[str]:
    """The vectors as inputs of the target *name*."""

    def read(file: str) -> Any:
        return json.loads((VECTORS / f"{file}.json").read_text())

    if name == "values":
        return [one["wire"] for file in ("values", "rejected_values") for one in read(file)]
    if name == "client":
        return ["\n".join(map(line_of, vector["steps"])) for vector in read("resume")]
    version = ['["version",1]'] if name == "resume" else []
    texts = [
        [json.dumps(step["receive"]) for step in vector["steps"] if "receive" in step]
        for vector in read("scenarios")
    ]
    texts += [[one["message"]] for one in read("frames")]
    return ["\n".join(version + text) for text in texts]


def line_of(step: dict[str, Any]) -> str:
    """A step of `resume.json` as a line for the target `client`."""
    if "receive" in step:
        return json.dumps(step["receive"])
    if "lose" in step:
        return f"~{step['lose']}"
    return "+" if "back" in step else "*"
