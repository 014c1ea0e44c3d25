"""A board, which the test changes through another connection."""

from typing import Any

import pbweb as pb


class Board(pb.Cacheable):
    pbType = "pb.live"

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"title": "Plan", "cards": [{"text": "tea"}]}
        self.observers: list[pb.RemoteCacheObserver] = []

    def getStateToCacheAndObserveFor(
        self, perspective: object, observer: pb.RemoteCacheObserver
    ) -> Any:
        self.observers.append(observer)
        return ["shop.Board", self.state]

    def stoppedObserving(self, perspective: object, observer: pb.RemoteCacheObserver) -> None:
        self.observers.remove(observer)

    def change(self, *ops: list[Any]) -> None:
        for observer in self.observers:
            observer.callRemoteOnly("update", list(ops))


class Boards(pb.Root):
    def __init__(self) -> None:
        self.board = Board()

    def remote_getBoard(self) -> Board:
        return self.board

    def remote_rename(self, title: str) -> None:
        self.board.state["title"] = title
        self.board.change([["title"], "set", title])

    def remote_add(self, text: str) -> None:
        cards = self.board.state["cards"]
        self.board.change([["cards"], "splice", len(cards), 0, [{"text": text}]])
        cards.append({"text": text})

    def remote_write(self, at: int, text: str) -> None:
        self.board.state["cards"][at]["text"] = text
        self.board.change([["cards", at, "text"], "set", text])

    def remote_watchers(self) -> int:
        return len(self.board.observers)
