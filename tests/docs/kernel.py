"""Runs cells as a notebook does: one loop for all, top-level await, the loop runs in between.

Reads a JSON string with a cell's code from each line of its standard input, and answers each with
a line: {"printed": …, "failed": a traceback or null}.
"""

import ast
import asyncio
import io
import json
import sys
import traceback
from inspect import isawaitable
from typing import Any

SECONDS = 60.0  # a bound for a cell that hangs
NAMES: dict[str, Any] = {"__name__": "__main__"}


async def run(source: str) -> str | None:
    """The traceback of what *source* raised, if it did."""
    try:
        code = compile(source, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, NAMES)
        if isawaitable(result):
            async with asyncio.timeout(SECONDS):
                await result
    except Exception:
        return traceback.format_exc()
    return None


async def main() -> None:
    loop = asyncio.get_running_loop()
    answers, sys.stdout = sys.stdout, io.StringIO()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        sys.stdout = printed = io.StringIO()  # what was printed since the last cell is nobody's
        failed = await run(json.loads(line))
        answer = {"printed": printed.getvalue(), "failed": failed}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, "")
    asyncio.run(main())
