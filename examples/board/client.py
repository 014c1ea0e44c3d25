"""Watches the board, or adds a card to it: python examples/board/client.py [URL] [TEXT]

Without a text it prints what anybody changes, until it is interrupted.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import pbweb as pb


def show(line: str) -> None:
    """Print what somebody else made up, without anything that a terminal would obey."""
    print("".join(char if char.isprintable() else " " for char in line), flush=True)


def show_changes(changes: Sequence[Any]) -> None:
    """All that one turn of the server's loop has changed: ``path``, ``op`` and what it is about."""
    for change in changes:
        place = ".".join(map(str, change.path))
        what = {"splice": change.items, "add": change.items, "discard": change.items}
        show(f"* {place} {change.op} {what.get(change.op, change.value)}")


def show_board(board: pb.LiveCopy) -> None:
    for column in board.columns:
        show(f"{column['title']}: {', '.join(card['text'] for card in column['cards'])}")


async def main(url: str = "ws://localhost:8000/pb", text: str | None = None) -> None:
    async with pb.connect(url) as connection:
        desk = await connection.getRootObject()
        joined = await desk.callRemote("join")
        board = joined["board"]
        show(f"{board.title}, {len(board.people)} here")
        show_board(board)
        board.subscribe(show_changes)
        if text is None:
            await connection.wait_closed()
        else:
            await desk.callRemote("add", 0, text)  # when it is answered, the copy has changed
            show_board(board)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
