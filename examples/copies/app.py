"""Objects that cross by value: copies of what their class lets out, checked where they arrive.

pbweb serve examples.copies.app:PondRoot
"""

from __future__ import annotations

from dataclasses import dataclass

import pbweb as pb


class FrogPond(pb.Copyable):
    """A peer gets to see how many animals there are, and not how many of which."""

    pbType = "pond.FrogPond"

    def __init__(self, frogs: int, toads: int) -> None:
        self.frogs = frogs
        self.toads = toads

    def getStateToCopy(self) -> object:
        return {"frogsAndToads": self.frogs + self.toads}


@pb.copyable(name="pond.Animal")
@dataclass
class Animal:
    """Its fields are its state; what arrives is checked against these annotations."""

    name: str
    grams: float
    friend: Animal | None = None


class TooHeavy(pb.Error, pb.Copyable):
    """An error with more than a text."""

    pbType = "pond.TooHeavy"

    def __init__(self, most: float) -> None:
        super().__init__("the lily pad sinks")
        self.most = most


class Stork(pb.Copyable):
    """The clients of this example do not know this type."""

    pbType = "pond.Stork"


class PondRoot(pb.Root):
    def remote_getPond(self) -> FrogPond:
        return FrogPond(frogs=3, toads=2)

    def remote_getFriends(self) -> list[Animal]:
        kermit, robin = Animal("Kermit", 250), Animal("Robin", 90)
        kermit.friend, robin.friend = robin, kermit
        return [kermit, robin]

    def remote_areFriends(self, one: Animal, two: Animal) -> bool:
        return one.friend is two and two.friend is one

    def remote_sit(self, animal: Animal) -> str:
        if animal.grams > 300:
            raise TooHeavy(most=300)
        return f"{animal.name} sits on the lily pad"

    def remote_getStork(self) -> Stork:
        return Stork()
