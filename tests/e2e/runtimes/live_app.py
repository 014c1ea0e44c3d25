"""Live objects that change at random, and the question whether a copy is what they are."""

import asyncio
from datetime import date
from random import Random
from typing import Any

import pbweb as pb

KEYS = ["a", "b", "0", "__proto__", "$", 1, 2]
MEMBERS = [1, "one", (1, 2), (1, (2, 3)), date(2026, 1, 2), None]


@pb.live
class Card:
    text: str
    tags: set[Any]
    more: Any = None


@pb.live
class Board:
    title: str
    cards: list[Any]
    notes: dict[Any, Any]


def value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(3 if depth > 2 else 7)
    if kind < 3:
        return random.choice([random.randrange(100), "text", None, True, 2**70, 1.5])
    if kind == 3:
        return [value(random, depth + 1) for _ in range(random.randrange(3))]
    if kind == 4:
        return {random.choice(KEYS): value(random, depth + 1) for _ in range(random.randrange(3))}
    if kind == 5:
        return set(random.sample(MEMBERS, random.randrange(4)))
    return Card("card", set(random.sample(MEMBERS, 2)), value(random, depth + 1))


def change(random: Random, target: Any) -> None:
    """Change something in *target*, a live object or a container in one."""
    if isinstance(target, Board | Card):
        name = random.choice(["cards", "notes"] if isinstance(target, Board) else ["tags", "more"])
        if name == "more" and random.randrange(2):
            target.more = value(random)
        elif random.randrange(4) == 0:
            setattr(target, "title" if isinstance(target, Board) else "text", f"{name} new")
        else:
            change(random, getattr(target, name))
    elif isinstance(target, list):
        change_list(random, target)
    elif isinstance(target, dict):
        inside = [one for one in target.values() if isinstance(one, Card | list | dict | set)]
        if inside and random.randrange(2):
            change(random, random.choice(inside))
        elif target and random.randrange(4) == 0:
            del target[random.choice(list(target))]
        else:
            target[random.choice(KEYS)] = value(random)
    elif isinstance(target, set):
        getattr(target, random.choice(["add", "discard"]))(random.choice(MEMBERS))


def change_list(random: Random, target: list[Any]) -> None:
    inside = [one for one in target if isinstance(one, Card | list | dict | set)]
    if inside and random.randrange(2):
        change(random, random.choice(inside))
        return
    at = random.randrange(len(target) + 1)
    action = random.randrange(5)
    if action == 0:
        target.insert(at, value(random))
    elif action == 1 and at < len(target):
        del target[at]
    elif action == 2 and at < len(target):
        target[at] = value(random)
    elif action == 3 and target:
        target.append(target.pop(0))
    else:
        target[at : at + 2] = [value(random)]


def plain(one: Any) -> Any:
    """What a copy of *one* is made of, once it is back from JavaScript."""
    if isinstance(one, Board | Card):
        return {key: plain(item) for key, item in one.pbState().items()}
    if isinstance(one, dict):
        return {key: plain(item) for key, item in one.items()}
    if isinstance(one, list):
        return [plain(item) for item in one]
    return set(one) if isinstance(one, set) else one


SHARED = Board("Plan", ["a card"], {})


class Boards(pb.Root):
    def rootObject(self, connection: object) -> "Boards":
        return Boards()

    def remote_begin(self, seed: int) -> Board:
        self.random = Random(seed)
        self.board = Board("Plan", [value(self.random) for _ in range(3)], {})
        return self.board

    def remote_change(self, times: int) -> None:
        for _ in range(times):
            change(self.random, self.board)

    def remote_isSame(self, snapshot: Any) -> list[str]:
        """Nothing, or what the two are."""
        expected = plain(self.board)
        return [] if snapshot == expected else [repr(snapshot), repr(expected)]

    def remote_getShared(self) -> Board:
        return SHARED

    async def remote_flood(self, times: int, size: int) -> None:
        """Change it in so many turns of the loop."""
        for at in range(times):
            SHARED.title = f"{at}".ljust(size)
            await asyncio.sleep(0)
