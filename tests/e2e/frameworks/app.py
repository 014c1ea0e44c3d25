"""A board, which the pages of the test change."""

import pbweb as pb


@pb.live
class Card:
    text: str


@pb.live
class Board:
    title: str
    cards: list[Card]


class Boards(pb.Root):
    def __init__(self) -> None:
        self.board = Board("Plan", [Card("tea")])
        self.brokers: list[pb.Broker] = []

    def rootObject(self, broker: pb.Broker) -> "Boards":
        self.brokers.append(broker)
        return self

    def remote_getBoard(self) -> Board:
        return self.board

    def remote_rename(self, title: str) -> None:
        self.board.title = title

    def remote_add(self, text: str) -> None:
        self.board.cards.append(Card(text))

    def remote_write(self, at: int, text: str) -> None:
        self.board.cards[at].text = text

    def remote_watchers(self) -> int:
        return sum(one.statistics()["caches_handed_out"] for one in self.brokers)
