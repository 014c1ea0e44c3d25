"""A board of cards that several people work on at once: a live object, and nothing else.

pbweb serve examples.board.app:BoardRoot
"""

import itertools

import pbweb as pb

TEXT = 280  # characters of a card
CARDS = 200  # on the board
PEOPLE = 50
NAMES = (
    *("Heron", "Otter", "Newt", "Swan", "Frog", "Teal"),
    *("Beaver", "Crane", "Toad", "Grebe", "Carp", "Snipe"),
)


class BoardError(pb.Error):
    """What somebody is told who asked for what cannot be."""


@pb.live
class Card:
    id: int
    text: str
    by: str  # the name of who added it


@pb.live
class Column:
    title: str
    cards: list[Card]


@pb.live
class Person:
    name: str
    holds: int | None = None  # the card in their hand


@pb.live(name="board.Board")
class Board:
    """Every change of it, however deep, is in all copies at the end of the loop's turn."""

    title: str
    columns: list[Column]
    people: dict[str, Person]

    def find(self, card_id: object) -> tuple[Column, Card]:
        for column in self.columns:
            for card in column.cards:
                if card.id == card_id:
                    return column, card
        raise BoardError("that card is gone")

    def count(self) -> int:
        return sum(len(column.cards) for column in self.columns)


def check_text(text: object) -> str:
    if isinstance(text, str) and 0 < len(text.strip()) <= TEXT:
        return text.strip()
    raise BoardError(f"a card has 1 to {TEXT} characters")


class Desk(pb.Referenceable):
    """What one peer may do; each has a desk of its own, from joining until it goes."""

    def __init__(self, root: "BoardRoot", broker: pb.Broker) -> None:
        self.board = root.board
        self.numbers = root.numbers
        self.broker = broker
        self.me: Person | None = None
        self.key = ""

    def remote_join(self) -> dict[str, object]:
        """The board, and the key under which its ``people`` have who asks."""
        if self.me is None:
            if len(self.board.people) == PEOPLE:
                raise BoardError(f"{PEOPLE} people are here already")
            number = next(self.numbers)
            self.key, self.me = str(number), Person(self._free_name(number))
            self.board.people[self.key] = self.me
            self.broker.notifyOnDisconnect(self._leave)
        return {"board": self.board, "you": self.key}

    def remote_add(self, column: object, text: object) -> int:
        """Put a new card at the end of a column; returns its id."""
        cards = self._column(column).cards
        if self.board.count() >= CARDS:
            raise BoardError(f"the board is full: it has {CARDS} cards")
        card = Card(next(self.numbers), check_text(text), self.me.name if self.me else "a guest")
        cards.append(card)
        return card.id

    def remote_edit(self, card_id: object, text: object) -> None:
        self.board.find(card_id)[1].text = check_text(text)

    def remote_remove(self, card_id: object) -> None:
        column, card = self.board.find(card_id)
        column.cards.remove(card)

    def remote_move(self, card_id: object, column: object, index: object) -> None:
        """Put a card into a column, so that *index* cards are above it."""
        target = self._column(column)
        source, card = self.board.find(card_id)
        if type(index) is not int or not 0 <= index <= len(target.cards):
            raise BoardError("a card's place is a number, and not behind the last card")
        self.remote_hold(None)
        source.cards.remove(card)
        target.cards.insert(index, card)

    def remote_hold(self, card_id: object) -> None:
        """Show the others which card is in one's hand; None for none."""
        if self.me is not None:
            self.me.holds = None if card_id is None else self.board.find(card_id)[1].id

    def _column(self, index: object) -> Column:
        if type(index) is int and 0 <= index < len(self.board.columns):
            return self.board.columns[index]
        raise BoardError("there is no such column")

    def _free_name(self, number: int) -> str:
        taken = {person.name for person in self.board.people.values()}
        return next((name for name in NAMES if name not in taken), f"Guest {number}")

    def _leave(self) -> None:
        del self.board.people[self.key]


class BoardRoot(pb.Root):
    """One board for all, and a desk for each."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.board = Board(
            "Build a nest",
            [
                Column("To do", self._cards("Choose a tree", "Invite the neighbours")),
                Column("Doing", self._cards("Collect twigs", "Line it with moss")),
                Column("Done", self._cards("Learn to fly")),
            ],
            {},
        )

    def rootObject(self, broker: pb.Broker) -> pb.Referenceable:
        return Desk(self, broker)

    def _cards(self, *texts: str) -> list[Card]:
        return [Card(next(self.numbers), text, "Wren") for text in texts]
