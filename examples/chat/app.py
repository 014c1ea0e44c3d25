"""A chat: rooms, and in them people whose own objects are told what happens.

pbweb serve examples.chat.app:ChatRoot
"""

import asyncio
import unicodedata
from collections import deque
from contextvars import Context
from datetime import UTC, datetime
from typing import Any

import pbweb as pb

NAME = 24  # characters of the name of a person or a room
TEXT = 2000  # characters of a message
ROOMS = 100
PEOPLE = 50  # in one room
HISTORY = 50  # messages that a newcomer is shown
BACKLOG = 64  # events that wait for one person, who does not take what was sent before


class ChatError(pb.Error):
    """What somebody is told who asked for what cannot be."""


def check_name(whose: str, name: object) -> str:
    """*name* as it is shown: trimmed, and with nothing in it that cannot be seen."""
    if isinstance(name, str) and len(name.strip()) <= NAME:
        shown = " ".join(unicodedata.normalize("NFKC", name).split())
        if shown.isprintable() and 0 < len(shown) <= NAME:
            return shown
    raise ChatError(f"{whose} name has 1 to {NAME} characters, and all of them can be seen")


class Seat(pb.Referenceable):
    """One person in one room: whoever holds the reference speaks in this name."""

    def __init__(self, room: "Room", name: str, listener: pb.RemoteReference) -> None:
        self.room = room
        self.name = name
        self.listener = listener
        self.catching_up: asyncio.Task[None] | None = None

    def remote_say(self, text: object) -> None:
        if not isinstance(text, str) or not 0 < len(text := text.strip()) <= TEXT:
            raise ChatError(f"a message has 1 to {TEXT} characters")
        self.room.say(self, text)

    def remote_leave(self) -> None:
        self.leave()

    def leave(self) -> None:
        """Get up, or be gone; doing it again changes nothing."""
        if self.room.remove(self) and self.catching_up is not None:
            self.catching_up.cancel()

    def greet(self) -> None:
        """Tell the listener what it has to know, and then all that happens."""
        room = self.room
        self.listener.callRemoteOnly("welcome", self.name, room.people(), list(room.history))
        room.listeners.add(self.listener)

    async def catch_up(self) -> None:
        """The listener was too slow: when it listens again, it is as if it had just come."""
        try:
            await self.listener.callRemote("missed")
        except pb.Error:  # it is gone, or nothing that can be told anything
            self.leave()
        else:
            self.greet()


class Room:
    """Who is there and what was said; everybody is told everything in one order."""

    def __init__(self, name: str, rooms: dict[str, "Room"]) -> None:
        self.name = name
        self.rooms = rooms
        self.seats: dict[str, Seat] = {}  # by names in lower case
        self.listeners = pb.Group(most=BACKLOG, left=self.listener_left)
        self.history: deque[tuple[str, str, datetime]] = deque(maxlen=HISTORY)

    def people(self) -> list[str]:
        return [seat.name for seat in self.seats.values()]

    def tell(self, *event: Any) -> None:
        self.listeners.callRemoteOnly(*event)

    def seat_of(self, listener: pb.RemoteReference) -> Seat | None:
        return next((seat for seat in self.seats.values() if seat.listener is listener), None)

    def listener_left(self, listener: pb.RemoteReference, why: pb.Error) -> None:
        """Its connection is gone, or too much waited for it."""
        seat = self.seat_of(listener)
        if seat is None:
            return
        if not isinstance(why, pb.LimitExceeded):
            seat.leave()
            return
        # In a context of its own: it must not inherit the deadline of whoever spoke.
        loop = asyncio.get_running_loop()
        seat.catching_up = loop.create_task(seat.catch_up(), context=Context())

    def add(self, name: str, listener: pb.RemoteReference) -> Seat:
        if name.casefold() in self.seats:
            raise ChatError(f"{name} is in the room already: take another name")
        if self.seat_of(listener) is not None:
            raise ChatError("you are in the room already: leave it first, or bring another object")
        if len(self.seats) == PEOPLE:
            raise ChatError(f"the room is full: {PEOPLE} people are there")
        if not self.seats and len(self.rooms) == ROOMS:
            raise ChatError(f"{ROOMS} rooms are open: join one of them")
        self.rooms[self.name.casefold()] = self
        self.tell("came", name)
        seat = self.seats[name.casefold()] = Seat(self, name, listener)
        seat.greet()
        return seat

    def say(self, seat: Seat, text: str) -> None:
        if self.seats.get(seat.name.casefold()) is not seat:
            raise ChatError("you are not in the room any more: join again")
        now = datetime.now(UTC)  # to the millisecond: JavaScript's Date has no more
        message = (seat.name, text, now.replace(microsecond=now.microsecond // 1000 * 1000))
        self.history.append(message)
        self.tell("said", *message)

    def remove(self, seat: Seat) -> bool:
        """Whether *seat* was still taken."""
        if self.seats.get(seat.name.casefold()) is not seat:
            return False
        del self.seats[seat.name.casefold()]
        self.listeners.discard(seat.listener)
        self.tell("went", seat.name)
        if not self.seats:
            del self.rooms[self.name.casefold()]
        return True


class ChatRoot(pb.Root):
    """The same object for all; rooms are made by the first who joins, and go with the last."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def remote_rooms(self) -> dict[str, int]:
        """How many people are in each room."""
        return {room.name: len(room.seats) for room in self.rooms.values()}

    def remote_join(self, room: object, name: object, listener: object) -> Seat:
        """Take a seat; *listener* is told of everything that happens in the room.

        Its methods: ``welcome(you, people, history)`` first of all, with the name as all see it;
        ``said(who, text, at)``, ``came(who)``, ``went(who)``; and ``missed()`` when it was too
        slow: events were left out, and ``welcome`` comes once more.
        """
        room_name, name = check_name("a room's", room), check_name("a person's", name)
        if not isinstance(listener, pb.RemoteReference):
            raise ChatError("who joins brings an object of theirs, to be told what happens")
        found = self.rooms.get(room_name.casefold()) or Room(room_name, self.rooms)
        return found.add(name, listener)
