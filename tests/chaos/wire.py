"""The last messages of one process, both ways, beside its history: to explain a violation by."""

from collections import deque
from pathlib import Path
from typing import Any

from pbweb.connection import Connection
from pbweb.websocket import WebSocketLink
from tests.chaos.history import History

MOST = 20_000  # messages
LONGEST = 4_000  # bytes of one


class Wire:
    """Listens to every connection of this process."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._messages: deque[tuple[int, int, str, bytes]] = deque(maxlen=MOST)
        receive, write = Connection.receive, WebSocketLink.write

        def heard(connection: Any, messages: Any) -> None:
            for data, _ in messages:
                self._note(connection, "<", data)
            receive(connection, messages)

        def written(link: Any, messages: Any) -> None:
            for data, _ in messages:
                self._note(link._connection, ">", data)
            write(link, messages)

        Connection.receive, WebSocketLink.write = heard, written  # type: ignore[method-assign]

    def _note(self, connection: Any, way: str, data: bytes) -> None:
        key = id(connection.session)
        self._messages.append((self._history.lines, key, way, bytes(data[:LONGEST])))

    def save(self, path: Path) -> None:
        """Write them: how many lines the history had, which session, which way, what."""
        with path.open("wb") as file:
            for lines, key, way, data in self._messages:
                file.write(b"%d %x %s " % (lines, key & 0xFFFFFF, way.encode()) + data + b"\n")
