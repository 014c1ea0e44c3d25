"""The follower of the pages: what does not come out as a page says is a failure."""

from pathlib import Path
from typing import Any

import pytest

from tests.docs.follower import Follower, matches

NOBODY: Any = None  # in the place of a browser, for pages that need none


def follow(page: str, folder: Path) -> None:
    path = folder / "page.md"
    path.write_text(page)
    with Follower(path, folder, NOBODY) as follower:
        follower.follow()


def block(language: str, code: str, file: str = "") -> str:
    if file:
        return f"```{{code-block}} {language}\n:caption: {file}\n\n{code}\n```\n\n"
    return f"```{language}\n{code}\n```\n\n"


GOOD = [
    block("python", "x = 5") + block("python", "print(x)") + block("text", "5"),
    block("python", "import asyncio\nawait asyncio.sleep(0)\nprint('a')") + block("text", "a"),
    block("js", 'import "node:fs";\nconst x = 5;')
    + block("js", "console.log(await x);")
    + block("text", "5"),
    block("python", "NAME = 'me'", "who.py")
    + block("python", "from who import NAME\nprint(NAME)")
    + block("text", "me"),
    block("sh", "pip install pbweb") + block("json", '{"a": 1}'),
    block("python", "print('it took 5 s')") + block("text", "it took … s"),
]


@pytest.mark.parametrize("page", GOOD)
def test_what_comes_out_as_it_says(page: str, tmp_path: Path) -> None:
    follow(page, tmp_path)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (block("python", "print(5)") + block("text", "6"), "page.md:5: the page says\n6"),
        (block("python", "1 / 0"), "ZeroDivisionError"),
        (block("python", "x = "), "SyntaxError"),
        (block("python", "x = ", "app.py"), "page.md:1: invalid syntax"),
        (block("js", 'import "node:fs";\nconsole.log(5);') + block("text", "6"), "printed is\n5"),
        (block("js", 'import "node:fs";\nthrow new Error("no");'), "Error: no"),
        (block("sh", "rm -rf nothing"), "nobody knows the command rm"),
        (block("sh", "python nothing.py"), "can't open file"),
        (block("json", "{"), "page.md:1: Expecting"),
        (block("html", "<p>", "index.html") + block("text", "x"), "a page needs a server"),
    ],
)
def test_what_does_not(page: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        follow(page, tmp_path)
    assert said in str(caught.value)


def test_what_is_printed_between_cells_belongs_to_none(tmp_path: Path) -> None:
    later = "import asyncio\nasyncio.get_running_loop().call_soon(print, 'late')"
    waits = "await asyncio.sleep(0)\nprint('mine')"
    follow(
        block("python", later) + block("python", waits) + block("text", "mine"),
        tmp_path,
    )


def test_dots_stand_for_anything() -> None:
    assert matches("a … d", "a b\nc d")
    assert not matches("a … d", "a b c")
    assert not matches("a.c", "abc")
