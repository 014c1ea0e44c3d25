"""Peers that log in as they should not: too often, too long, as others (protocol section 9)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import argon2
import pytest

import pbweb as pb
from pbweb.checkers import AllowAnonymousAccess, CallableChecker, InMemoryUsernamePasswordDatabase
from tests.hostile.canary import MARK
from tests.hostile.kit import Gateway, Peer, gateway, read_head, until, upgrade, with_limits

SECRET = f"{MARK}hunter2"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Counting:
    """A quick hasher that counts what it was given."""

    def __init__(self) -> None:
        self.verified = 0

    def hash(self, password: str) -> str:
        return QUICK.hash(password)

    def verify(self, known: str, password: str) -> bool:
        self.verified += 1
        return QUICK.verify(known, password)


class Thing(pb.Referenceable):
    def remote_touch(self) -> str:
        return "touched"


class User(pb.Avatar):
    def perspective_thing(self) -> Thing:
        return Thing()

    async def perspective_wait(self) -> None:
        await asyncio.Event().wait()

    def perspective_echo(self, value: object) -> object:
        return value


class Hall(pb.Root):
    """The canary talks to the root; the portal is beside it, for all but the canary."""

    def __init__(self, *checkers: Any, login_required: bool = False) -> None:
        self.hasher = Counting()
        passwords = InMemoryUsernamePasswordDatabase({"alice": SECRET}, hasher=self.hasher)
        tokens = CallableChecker(pb.Token, self.check_token)
        self.portal = pb.Portal(self, [passwords, tokens, *checkers], login_required=login_required)
        self.came, self.left, self.peers = 0, 0, 0
        self.going, self.most = 0, 0
        self.event = asyncio.Event()

    def rootObject(self, broker: pb.Broker) -> pb.Referenceable:
        self.peers += 1
        if self.peers > 1:
            broker.setNameForLocal("portal", self.portal.rootObject(broker))
        return self

    def remote_echo(self, value: object) -> object:
        return value

    def check_token(self, credentials: pb.Token) -> object:
        name, _, seconds = credentials.token.partition(":")
        return pb.ExpiringAvatarId(name, float(seconds)) if seconds else None

    async def check_slowly(self, _: object) -> object:
        self.going += 1
        self.most = max(self.most, self.going)
        try:
            await self.event.wait()
        finally:
            self.going -= 1
        raise pb.UnauthorizedLogin

    def requestAvatar(self, avatarId: object, mind: object, interface: object) -> object:
        self.came += 1
        return interface, User(), self.leave

    def leave(self) -> None:
        self.left += 1


def login(request: int, *args: object) -> list[Any]:
    return ["message", request, "portal", "login", list(args)]


async def enter(peer: Peer, seconds: float = 1000) -> int:
    """Log in; the avatar's luid."""
    request = peer.sent + 1
    peer.send(login(request, "token", {"token": f"alice:{seconds}"}))
    luid: int = (await peer.answer(request))[2]["id"]
    return luid


async def fails(peer: Peer, frame: list[Any], type: str = "UnauthorizedLogin") -> str:
    peer.send(frame)
    name, _, failure = await peer.answer(frame[1])
    assert (name, failure["type"]) == ("error", type), failure
    text: str = failure["message"]
    return text


async def test_a_flood_of_logins_is_checked_a_few_at_a_time_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hall = Hall()
    hall.portal.registerChecker(CallableChecker(pb.Anonymous, hall.check_slowly))
    async with gateway(hall) as gate, await gate.peer() as peer:
        peer.send(*(login(request, "anonymous", {}) for request in range(1, 201)))
        await until(lambda: hall.going == 4)
        await gate.check_canary()
        assert hall.most == 4
        hall.event.set()
        code, said = await peer.closed()
        assert code == 4401
        assert said is not None
        assert said[2] == "login_failures: 10 logins have failed"
        assert hall.most == 4
        await until(lambda: hall.going == 0)
    assert sum("a login failed" in record.getMessage() for record in caplog.records) == 10


async def test_a_flood_that_is_cancelled_ends_too() -> None:
    hall = Hall()
    hall.portal.registerChecker(CallableChecker(pb.Anonymous, hall.check_slowly))
    async with gateway(hall) as gate, await gate.peer() as peer:
        for request in range(1, 11):
            peer.send(login(request, "anonymous", {}))
            await until(lambda: hall.going == 1)
            peer.send(["cancel", request])
            assert (await peer.answer(request))[2]["type"] == "CancelledError"
        assert (await peer.closed())[0] == 4401
        await gate.check_canary()
        await until(lambda: hall.going == 0)


async def test_guesses_are_counted_and_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hall = Hall()
    async with gateway(hall) as gate, await gate.peer() as peer:
        guesses = [
            ("password", {"username": "alice", "password": f"{SECRET}!"}),
            ("password", {"username": f"{SECRET}!", "password": "x"}),
            ("password", {"username": "alice", "password": [f"{SECRET}!"]}),
            ("password", {"username": "alice", "password": SECRET, "role": "admin"}),
            ("Password", {"username": "alice", "password": SECRET}),
            ("anonymous", {}),
            ("identity", {}),
            ({"$": "dict", "items": []}, {}),
            ("__class__", {}),
        ]
        texts = {
            await fails(peer, login(request, *guess)) for request, guess in enumerate(guesses, 1)
        }
        assert texts == {"the login failed"}
        peer.send(login(10, "token", {"token": "alice"}))
        assert (await peer.closed())[0] == 4401
        assert hall.came == 0
    assert SECRET not in caplog.text


async def test_guesses_over_many_connections_are_counted_by_their_address() -> None:
    """After 100 in a minute nothing of that address is looked at, and others log in."""
    hall = Hall()

    async def come(gate: Gateway, address: str) -> Peer:
        peer = await gate.raw()
        peer.send_bytes(upgrade(gate.host, headers=[("X-Forwarded-For", f"6.6.6.6, {address}")]))
        assert (await read_head(peer.reader))[0] == 101
        peer.greet()
        await peer.next("version")
        return peer

    async with gateway(hall) as gate:
        codes: list[int | None] = []
        for _ in range(20):  # each with 10 guesses
            async with await come(gate, "192.0.2.7") as peer:
                for request in range(1, 11):
                    guess = {"username": "alice", "password": f"guess {request}"}
                    peer.send(login(request, "password", guess))
                code, said = await peer.closed()
                assert said is not None
                codes.append(code)
        assert codes == [4401] * 10 + [4429] * 10
        assert said[2] == "login_failures_per_address: 100 logins have failed in a minute"
        assert said[3] is not False, "whoever mistyped may come back"
        assert hall.hasher.verified == 100
        async with await come(gate, "192.0.2.8") as other:
            await enter(other)
        async with await gate.peer() as other:  # of this machine: of any client of a proxy's
            await enter(other)


async def test_a_huge_password_is_not_hashed() -> None:
    hall = Hall()
    async with gateway(hall) as gate, await gate.peer() as peer:
        for request, (name, password) in enumerate(
            (("alice", "x" * 900_000), ("a" * 900_000, "x"), ("alice", SECRET + 1024 * " ")), 1
        ):
            frame = login(request, "password", {"username": name, "password": password})
            await fails(peer, frame)
        assert hall.hasher.verified == 0
        await fails(peer, login(4, "password", {"username": "nobody", "password": SECRET}))
        assert hall.hasher.verified == 1


@pytest.mark.parametrize(
    "mind",
    [0, "root", [], {}, {"$": "local", "id": "root"}, {"$": "copy", "type": "x", "state": 1}],
)
async def test_a_mind_that_is_no_reference(mind: object) -> None:
    hall = Hall()
    async with gateway(hall) as gate, await gate.peer() as peer:
        await fails(peer, login(1, "token", {"token": "alice:9"}, mind), "InsecureJelly")
        assert hall.came == 0


async def test_anothers_avatar_can_be_neither_called_nor_renewed() -> None:
    hall = Hall()
    async with gateway(hall) as gate, await gate.peer() as peer, await gate.peer() as other:
        luid = await enter(other)
        renew = {"token": "alice:5000"}
        for request, frame in enumerate(
            (
                ["message", 1, luid, "thing"],
                ["message", 2, "portal", "renew", [{"$": "local", "id": luid}, "token", renew]],
                ["message", 3, "portal", "renew", [{"$": "answer", "id": 1}, "token", renew]],
                ["message", 4, -1, "thing"],
            ),
            1,
        ):
            assert frame[1] == request
            await fails(peer, frame, "DeadReferenceError")
        # of one's own connection, another name's
        mine = await enter(peer)
        frame = ["message", 6, "portal", "renew", [{"$": "local", "id": mine}, "token", {}]]
        frame[4][2] = {"token": "bob:5000"}
        await fails(peer, frame)
        assert (hall.came, hall.left) == (2, 0)


async def test_an_expired_avatar_and_all_that_it_gave_is_dead() -> None:
    hall = Hall()
    async with gateway(hall) as gate, await gate.peer() as peer:
        luid = await enter(peer, 0.2)
        peer.send(["message", 2, luid, "thing"], ["message", 3, luid, "wait"])
        thing = (await peer.answer(2))[2]["id"]
        name, _, failure = await peer.answer(3)
        assert (name, failure["type"]) == ("error", "CancelledError")
        assert hall.left == 1
        for request, target in enumerate((luid, thing, -1, -2), 4):
            await fails(peer, ["message", request, target, "touch"], "DeadReferenceError")
        peer.send(["decref", luid, 1, thing, 1])
        peer.acknowledge()
        await gate.check_canary()
        assert (hall.came, hall.left) == (1, 1)


async def test_who_goes_in_the_midst_of_a_login_is_logged_out_once() -> None:
    hall = Hall(AllowAnonymousAccess())
    async with gateway(hall) as gate:
        for number in range(1, 6):
            async with await gate.peer() as peer:
                peer.send(*(login(request, "anonymous", {}) for request in range(1, number + 1)))
                await peer.drain()
        await gate.only_canary()
        gate.endpoint.close()  # nobody comes back
        await until(lambda: hall.left == hall.came)


async def test_the_avatar_is_given_back_too_often() -> None:
    hall = Hall()
    async with gateway(hall) as gate, await gate.peer() as peer:
        luid = await enter(peer)
        peer.send(["decref", luid, 1], ["decref", luid, 1])
        assert (await peer.closed())[0] == 4400
        await gate.only_canary()
        assert (hall.came, hall.left) == (1, 1)


async def test_who_does_not_log_in_where_one_has_to_is_closed() -> None:
    hall = Hall(login_required=True)
    async with (
        gateway(hall, limits=with_limits(heartbeat=1000), turned=True) as gate,
        await gate.peer() as peer,
    ):
        gate.clock.turn(29.9)
        assert not gate.link(peer)._connection.session.ended
        gate.clock.turn(0.2)
        code, said = await peer.closed()
        assert code == 4401
        assert said[:4] == ["close", 4401, "login: none within 30 s", False]


async def test_long_messages_are_for_those_who_have_logged_in() -> None:
    async with gateway(Hall(login_required=True)) as gate:
        async with await gate.peer(greet=False) as peer:
            peer.greet()
            version = await peer.next("version")
            assert version[2]["login"] == 65_536
            assert version[2]["limits"]["message"] == 1_048_576
            luid = await enter(peer)
            peer.send(["message", 2, luid, "echo", ["x" * 100_000]])
            assert len((await peer.answer(2))[2]) == 100_000
            peer.acknowledge()
        async with await gate.peer() as peer:
            peer.send(login(1, "token", {"token": "x" * 65_536}))
            assert (await peer.closed())[0] == 1009
