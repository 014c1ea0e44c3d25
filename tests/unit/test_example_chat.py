"""The rooms of examples/chat, with as many people as a test needs, all in one process."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

import pbweb as pb
from examples.chat import app
from examples.chat.app import BACKLOG, HISTORY, NAME, TEXT, ChatRoot
from pbweb.testing import Pair, pair, tables
from tests.unit.paired import MINUTE, LogRecords, read_all

CHAT_ERROR = "examples.chat.app.ChatError"


class Listener(pb.Referenceable):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def remote_welcome(self, you: str, people: list[str], history: list[Any]) -> None:
        said = [tuple(message[:2]) for message in history]
        self.events.append(("welcome", you, people, said))

    def remote_said(self, who: str, text: str, at: datetime) -> None:
        self.events.append(("said", who, text))

    def remote_came(self, who: str) -> None:
        self.events.append(("came", who))

    def remote_went(self, who: str) -> None:
        self.events.append(("went", who))

    def remote_missed(self) -> None:
        self.events.append(("missed",))

    def texts(self) -> list[str]:
        return [event[2] for event in self.events if event[0] == "said"]


class Person:
    """Somebody with a connection of their own."""

    def __init__(self, both: Pair) -> None:
        self.both = both
        self.listener = Listener()
        self.seat: Any = None

    async def join(self, name: Any, room: Any = "lobby", listener: Any = None) -> None:
        root = await self.both.client.getRootObject()
        self.seat = await root.callRemote("join", room, name, listener or self.listener)

    async def say(self, text: Any) -> None:
        await self.seat.callRemote("say", text)

    async def leave(self) -> None:
        await self.seat.callRemote("leave")


class Chat:
    """A root, and people who are connected to it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.root = ChatRoot()
        self.people: list[Person] = []
        self._stack = stack

    async def person(self, name: str | None = None, room: int = 4096) -> Person:
        """Somebody, who may have *room* events on the way that they have not taken."""
        limits = pb.Limits(window_frames=room)
        person = Person(await self._stack.enter_async_context(pair(self.root, limits=limits)))
        self.people.append(person)
        if name is not None:
            await person.join(name)
            await self.quiet()
        return person

    async def quiet(self) -> None:
        await self.people[0].both.quiet()

    async def assert_empty(self) -> None:
        """Everybody leaves, and nothing is left of it on any side."""
        for person in self.people:
            person.both.to_client.let_go()
            if person.seat is not None and not person.seat.isDead():
                await person.leave()
            person.seat = None
        await self.quiet()
        assert self.root.rooms == {}
        for person in self.people:
            if not person.both.client.broker.disconnected:
                await person.both.assert_idle()
                assert not person.both.server.broker._when_dead


def run_chat(body: Callable[[Chat], Awaitable[None]], logged: int = 0) -> None:
    async def main() -> None:
        async with asyncio.timeout(MINUTE), AsyncExitStack() as stack:
            chat = Chat(stack)
            await body(chat)
            await chat.assert_empty()
        for person in chat.people:
            for side in person.both:
                assert not any(tables(side.session).values()), tables(side.session)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with LogRecords() as records:
        asyncio.run(main())
    assert len(records) == logged, [record.getMessage() for record in records]


def test_who_joins_is_told_what_happens_from_then_on() -> None:
    async def body(chat: Chat) -> None:
        ada = await chat.person("Ada")
        await ada.say("anybody here?")
        ben = await chat.person("Ben")
        await ben.say("me")
        await ben.leave()
        ben.seat = None
        await chat.quiet()
        assert ada.listener.events == [
            ("welcome", "Ada", ["Ada"], []),
            ("said", "Ada", "anybody here?"),
            ("came", "Ben"),
            ("said", "Ben", "me"),
            ("went", "Ben"),
        ]
        assert ben.listener.events == [
            ("welcome", "Ben", ["Ada", "Ben"], [("Ada", "anybody here?")]),
            ("said", "Ben", "me"),
        ]

    run_chat(body)


def test_everybody_sees_one_order() -> None:
    async def body(chat: Chat) -> None:
        people = [await chat.person(name) for name in ("Ada", "Ben", "Cem")]
        said = [
            person.seat.callRemote("say", f"{number}") for number in range(20) for person in people
        ]
        await asyncio.gather(*said)
        await chat.quiet()
        orders = [
            [event for event in person.listener.events if event[0] == "said"] for person in people
        ]
        assert orders[0] == orders[1] == orders[2]
        assert sorted(orders[0]) == sorted(
            ("said", name, f"{number}") for number in range(20) for name in ("Ada", "Ben", "Cem")
        )
        for name in ("Ada", "Ben", "Cem"):  # and each person's own in theirs
            mine = [text for _, who, text in orders[0] if who == name]
            assert mine == [f"{number}" for number in range(20)]

    run_chat(body)


def test_rooms_know_nothing_of_each_other() -> None:
    async def body(chat: Chat) -> None:
        ada, ben = await chat.person(), await chat.person()
        await ada.join("Ada", " Kitchen ")
        await ben.join("Ada", "garden")  # a name is taken in one room only
        await ada.say("tea?")
        await chat.quiet()
        assert ben.listener.texts() == []
        root = await ben.both.client.getRootObject()
        assert await root.callRemote("rooms") == {"Kitchen": 1, "garden": 1}
        del root

    run_chat(body)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (" Ada ", "Ada"),
        ("Ada  \t Lovelace", "Ada Lovelace"),
        ("\uff21\uff44\uff41", "Ada"),  # letters of full width
        ("<b>Ada</b>", "<b>Ada</b>"),  # whoever shows it shows text
        ("x" * NAME, "x" * NAME),
        ("Gül 🌹", "Gül 🌹"),
    ],
)
def test_a_name_is_trimmed(given: str, shown: str) -> None:
    async def body(chat: Chat) -> None:
        person = await chat.person(given)
        assert person.listener.events == [("welcome", shown, [shown], [])]

    run_chat(body)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "x" * (NAME + 1),
        "ﷺ" * 2,
        "A\x1b[2J",
        "Ada\u202e",
        "A\u200bda",
        "A\0",
        7,
        None,
        ["A"],
    ],
)
def test_a_name_that_cannot_be_seen_or_is_too_long_is_refused(name: Any) -> None:
    async def body(chat: Chat) -> None:
        person = await chat.person()
        for names in ((name, "lobby"), ("Ada", name)):
            with pytest.raises(pb.RemoteError, match="characters") as caught:
                await person.join(*names)
            assert caught.value.type == CHAT_ERROR

    run_chat(body)


@pytest.mark.parametrize("second", ["Ada", "ADA", " ada ", "\uff41\uff44\uff41"])
def test_a_name_is_taken_once(second: str) -> None:
    async def body(chat: Chat) -> None:
        ada, other = await chat.person("Ada"), await chat.person()
        with pytest.raises(pb.RemoteError, match="in the room already"):
            await other.join(second)
        await ada.leave()
        ada.seat = None
        await other.join(second)

    run_chat(body)


@pytest.mark.parametrize("text", ["", "   \n ", "x" * (TEXT + 1), 7, None, {"text": "hello"}])
def test_a_message_that_is_no_text_or_too_long_is_refused(text: Any) -> None:
    async def body(chat: Chat) -> None:
        ada = await chat.person("Ada")
        with pytest.raises(pb.RemoteError, match=f"1 to {TEXT} characters"):
            await ada.say(text)
        await ada.say("x" * TEXT)
        await chat.quiet()
        assert ada.listener.texts() == ["x" * TEXT]

    run_chat(body)


@pytest.mark.parametrize("listener", ["hello", None, 7])
def test_who_joins_has_to_bring_an_object(listener: Any) -> None:
    async def body(chat: Chat) -> None:
        person = await chat.person()
        root = await person.both.client.getRootObject()
        with pytest.raises(pb.RemoteError, match="brings an object"):
            await root.callRemote("join", "lobby", "Ada", listener)
        del root

    run_chat(body)


def test_a_seat_is_no_listener() -> None:
    async def body(chat: Chat) -> None:
        ada = await chat.person("Ada")
        with pytest.raises(pb.RemoteError, match="brings an object"):
            await ada.join("Ben", listener=ada.seat)

    run_chat(body)


def test_a_newcomer_is_told_the_last_messages() -> None:
    async def body(chat: Chat) -> None:
        ada = await chat.person("Ada")
        for number in range(HISTORY + 3):
            await ada.say(f"{number}")
        ben = await chat.person("Ben")
        history = [("Ada", f"{number}") for number in range(3, HISTORY + 3)]
        assert ben.listener.events == [("welcome", "Ben", ["Ada", "Ben"], history)]

    run_chat(body)


def test_a_message_is_dated_to_the_millisecond() -> None:
    before = datetime.now(UTC)

    async def body(chat: Chat) -> None:
        ada = await chat.person("Ada")
        await ada.say("now")
        (message,) = chat.root.rooms["lobby"].history
        assert before.replace(microsecond=0) <= message[2] <= datetime.now(UTC)
        assert message[2].microsecond % 1000 == 0

    run_chat(body)


def test_who_left_cannot_speak_and_may_leave_again() -> None:
    async def body(chat: Chat) -> None:
        ada, ben = await chat.person("Ada"), await chat.person("Ben")
        await ada.leave()
        await ada.leave()
        with pytest.raises(pb.RemoteError, match="not in the room any more"):
            await ada.say("still here")
        again = await chat.person("Ada")  # the old seat is not hers
        with pytest.raises(pb.RemoteError, match="not in the room any more"):
            await ada.say("still here")
        await ada.leave()
        await chat.quiet()
        assert [event for event in ben.listener.events if event[0] != "welcome"] == [
            ("went", "Ada"),
            ("came", "Ada"),
        ]
        assert again.listener.events == [("welcome", "Ada", ["Ben", "Ada"], [])]

    run_chat(body)


def test_who_is_killed_has_left() -> None:
    async def body(chat: Chat) -> None:
        ada, ben = await chat.person("Ada"), await chat.person("Ben")
        await ben.join("Ben again", listener=Listener())  # two seats by one connection
        ben.both.cut()
        await chat.quiet()
        assert ada.listener.events[-2:] == [("went", "Ben"), ("went", "Ben again")]
        assert chat.root.rooms["lobby"].people() == ["Ada"]
        await ada.say("alone again")

    run_chat(body)


def test_who_is_killed_with_events_on_their_way_has_left() -> None:
    async def body(chat: Chat) -> None:
        ada, ben = await chat.person("Ada"), await chat.person("Ben")
        ben.both.to_client.hold()
        for number in range(10):
            await ada.say(f"{number}")
        await chat.quiet()
        assert ben.listener.texts() == []
        ben.both.cut()
        await chat.quiet()
        assert ada.listener.events[-1] == ("went", "Ben")

    run_chat(body)


def test_who_is_slow_holds_up_nobody_and_is_told_when_they_read_again() -> None:
    total = 3 * BACKLOG

    async def body(chat: Chat) -> None:
        ada, slow = await chat.person("Ada"), await chat.person("Slow", room=16)
        slow.both.to_client.hold()
        for number in range(total):
            await ada.say(f"{number}")
        gone = await chat.person("Gone")
        await gone.leave()
        gone.seat = None
        await chat.quiet()
        assert ada.listener.texts() == [f"{number}" for number in range(total)]
        room = chat.root.rooms["lobby"]
        assert room.people() == ["Ada", "Slow"], "the seat is kept"
        assert len(room.listeners) == 1
        assert tables(slow.both.server.session)["calls_waiting"] == 1

        told = len(slow.listener.events)
        await read_all(slow.both)
        *before, missed, welcome = slow.listener.events[told:]
        assert [event[2] for event in before] == [f"{number}" for number in range(len(before))]
        assert missed == ("missed",)
        history = [("Ada", f"{number}") for number in range(total - HISTORY, total)]
        assert welcome == ("welcome", "Slow", ["Ada", "Slow"], history)
        await ada.say("and now?")
        await chat.quiet()
        assert slow.listener.texts()[-1] == "and now?"

    run_chat(body, logged=1)


def test_who_reads_a_little_late_misses_nothing() -> None:
    async def body(chat: Chat) -> None:
        ada, slow = await chat.person("Ada"), await chat.person("Slow", room=16)
        slow.both.to_client.fill()  # as a socket whose buffer is full
        for number in range(BACKLOG):
            await ada.say(f"{number}")
        await chat.quiet()
        assert slow.listener.texts() == []
        slow.both.to_client.drain()
        await read_all(slow.both)
        assert slow.listener.texts() == [f"{number}" for number in range(BACKLOG)]

    run_chat(body)


@pytest.mark.parametrize("goes", [Person.leave, lambda person: person.both.cut()])
def test_who_is_too_slow_may_go(goes: Callable[[Person], Any]) -> None:
    async def body(chat: Chat) -> None:
        ada, slow = await chat.person("Ada"), await chat.person("Slow", room=16)
        slow.both.to_client.hold()
        for number in range(2 * BACKLOG):
            await ada.say(f"{number}")
        left = goes(slow)
        if left is not None:
            slow.both.to_client.let_go()  # it waits for the answer
            await left
        slow.seat = None
        await chat.quiet()
        assert chat.root.rooms["lobby"].people() == ["Ada"]
        assert ada.listener.events[-1] == ("went", "Slow")

    run_chat(body, logged=1)


def test_a_listener_has_one_seat_in_a_room() -> None:
    async def body(chat: Chat) -> None:
        ada = await chat.person("Ada")
        with pytest.raises(pb.RemoteError, match="in the room already"):
            await ada.join("Ada again")
        seat = ada.seat
        await ada.join("Ada", "garden")
        await ada.say("hello")
        await chat.quiet()
        assert ada.listener.texts() == ["hello"]
        await ada.leave()
        ada.seat = seat

    run_chat(body)


def test_what_is_told_does_not_inherit_the_speakers_deadline() -> None:
    async def body(chat: Chat) -> None:
        ada, ben = await chat.person("Ada"), await chat.person("Ben")
        await ada.seat.call("say", ["quick"], timeout=30.0)
        await chat.quiet()
        assert ben.listener.texts() == ["quick"]
        frames = ben.both.to_client.frames
        (said,) = [frame for frame in frames if frame[0] == "message" and frame[3] == "said"]
        assert len(said) == 5, "no options, so no deadline"

    run_chat(body)


def test_a_room_has_room_for_so_many_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PEOPLE", 2)

    async def body(chat: Chat) -> None:
        await chat.person("Ada")
        ben, cem = await chat.person("Ben"), await chat.person()
        with pytest.raises(pb.RemoteError, match="the room is full"):
            await cem.join("Cem")
        await ben.leave()
        ben.seat = None
        await cem.join("Cem")

    run_chat(body)


def test_there_are_so_many_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ROOMS", 1)

    async def body(chat: Chat) -> None:
        ada, ben = await chat.person("Ada"), await chat.person()
        with pytest.raises(pb.RemoteError, match="rooms are open"):
            await ben.join("Ben", "another")
        await ben.join("Ben", "LOBBY")
        await ada.leave()
        await ben.leave()
        ada.seat = ben.seat = None
        await ben.join("Ben", "another")

    run_chat(body)
