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
BACKLOG = 64  # events that wait for one person


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
        self.missed = 0
        self.waiting: deque[tuple[Any, ...]] = deque()
        self.delivery: asyncio.Task[None] | None = None
        listener.notifyOnDisconnect(self.leave)

    def remote_say(self, text: object) -> None:
        if not isinstance(text, str) or not 0 < len(text := text.strip()) <= TEXT:
            raise ChatError(f"a message has 1 to {TEXT} characters")
        self.room.say(self, text)

    def remote_leave(self) -> None:
        self.leave()

    def leave(self, _listener: object = None) -> None:
        """Get up, or be gone; doing it again changes nothing."""
        if not self.room.remove(self):
            return
        self.waiting.clear()
        if self.delivery is not None:
            self.delivery.cancel()
        if not self.listener.isDead():
            self.listener.dontNotifyOnDisconnect(self.leave)

    def tell(self, *event: Any) -> None:
        """Have the listener called; this waits for nothing and keeps at most BACKLOG events."""
        if len(self.waiting) == BACKLOG:
            self.waiting.popleft()
            self.missed += 1
        self.waiting.append(event)
        if self.delivery is None:
            # In a context of its own: the calls must not inherit the deadline of whoever spoke.
            loop = asyncio.get_running_loop()
            self.delivery = loop.create_task(self._deliver(), context=Context())

    async def _deliver(self) -> None:
        """Hand over what waits, all at once, and when it is taken what has come meanwhile."""
        try:
            while self.waiting:
                events = list(self.waiting)
                self.waiting.clear()
                if self.missed:
                    events.insert(0, ("missed", self.missed, self.room.people()))
                    self.missed = 0
                await asyncio.gather(*(self.listener.callRemote(*event) for event in events))
        except pb.Error:  # a listener that fails cannot follow what goes on here
            self.leave()
        finally:
            self.delivery = None


class Room:
    """Who is there and what was said; everybody is told everything in one order."""

    def __init__(self, name: str, rooms: dict[str, "Room"]) -> None:
        self.name = name
        self.rooms = rooms
        self.seats: dict[str, Seat] = {}  # by names in lower case
        self.history: deque[tuple[str, str, datetime]] = deque(maxlen=HISTORY)

    def people(self) -> list[str]:
        return [seat.name for seat in self.seats.values()]

    def tell(self, *event: Any) -> None:
        for seat in self.seats.values():
            seat.tell(*event)

    def add(self, name: str, listener: pb.RemoteReference) -> Seat:
        if name.casefold() in self.seats:
            raise ChatError(f"{name} is in the room already: take another name")
        if len(self.seats) == PEOPLE:
            raise ChatError(f"the room is full: {PEOPLE} people are there")
        if not self.seats and len(self.rooms) == ROOMS:
            raise ChatError(f"{ROOMS} rooms are open: join one of them")
        self.rooms[self.name.casefold()] = self
        self.tell("came", name)
        seat = self.seats[name.casefold()] = Seat(self, name, listener)
        seat.tell("welcome", name, self.people(), list(self.history))
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
        ``said(who, text, at)``, ``came(who)``, ``went(who)``; and ``missed(number, people)`` when
        it was too slow: so many events were left out, and these people are there now.
        """
        room_name, name = check_name("a room's", room), check_name("a person's", name)
        if not isinstance(listener, pb.RemoteReference):
            raise ChatError("who joins brings an object of theirs, to be told what happens")
        found = self.rooms.get(room_name.casefold()) or Room(room_name, self.rooms)
        return found.add(name, listener)
