"""Peers that resume what is not theirs, or with what cannot be (threats E1 to E8)."""

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager

import pytest

import pbweb as pb
from tests.hostile.kit import TEXT, gateway, read_head, until, upgrade, with_limits, ws_frame

LIMITS = with_limits(resume_window=60)
SECRETS: list[str] = []


class Root(pb.Root):
    def __init__(self) -> None:
        self.noted: list[int] = []

    def remote_echo(self, value):
        return value

    def remote_note(self, number):
        self.noted.append(number)
        return number


PEERS: list = []


@asynccontextmanager
async def attacked(root, **options):
    """A gateway whose peers are cut off at the end, and their sessions ended."""
    PEERS.clear()
    async with gateway(root, **options) as gate:
        yield gate
        for peer in PEERS:
            await peer.cut()
        await until(lambda: len(gate.endpoint.connections) == 1)
        for place in list(gate.endpoint.parking._places.values()):
            if place.session.detached:
                place.session.end("enough")


async def newcomer(gate):
    peer = await gate.peer(greet=False)
    PEERS.append(peer)
    return peer


async def begin(gate):
    """A peer with a session of its own, and what the server said of it."""
    peer = await newcomer(gate)
    peer.greet()
    said = (await peer.next("version"))[2]
    SECRETS.append(said["secret"])
    return peer, said


async def resume(gate, said, received=0, sent=0, **changes):
    """A peer that asks for the session of *said*, and the server's version if there is one."""
    asked = {"session": said["session"], "secret": said["secret"], "received": received}
    peer = await newcomer(gate)
    peer.greet(resume={**asked, "sent": sent, **changes})
    peer.received, peer.sent = received, sent
    return peer


async def answer(peer):
    said = (await peer.next("version"))[2]
    SECRETS.append(said.get("secret", ""))
    return said


async def end(*peers):
    for peer in peers:
        peer.send(["close", 1000, "", False])
        await peer.closed()


def away(gate):
    return gate.endpoint.parking.statistics()["away"]


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "x" * 64},
        {"secret": ""},
        {"secret": "\x00"},
        {"session": "x"},
        {"session": "__proto__"},
    ],
)
async def test_a_wrong_secret_or_session_is_one_that_is_unknown(changes):
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        thief = await resume(gate, said, **changes)
        if "" in changes.values():
            assert (await thief.closed())[0] == 4400
        else:
            refused = await answer(thief)
            assert (refused["resumed"], refused["why"]) == (False, "unknown")
            assert "received" not in refused
            assert refused["session"] != said["session"]
            await end(thief)
        first.send(["message", 1, "root", "echo", [1]])
        assert (await first.answer(1))[2] == 1  # its connection is still its own
        await end(first)


async def test_the_secret_of_another_session_is_wrong():
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        second, other = await begin(gate)
        thief = await resume(gate, said, secret=other["secret"])
        assert (await answer(thief))["why"] == "unknown"
        await end(first, second, thief)


async def test_who_is_somebody_else_gets_nothing_even_with_the_secret():
    async with attacked(
        Root(),
        limits=LIMITS,
        authenticate=lambda request: request.headers.get("x-user"),
        origins=["http://one", "http://two"],
    ) as gate:

        async def peer(user, origin):
            raw = await gate.raw()
            PEERS.append(raw)
            headers = [("X-User", user), ("Origin", origin)]
            raw.send_bytes(upgrade(gate.host, headers=headers))
            assert (await read_head(raw.reader))[0] == 101
            return raw

        first = await peer("me", "http://one")
        first.greet()
        said = (await first.next("version"))[2]
        await first.cut()
        await until(lambda: away(gate) == 1)
        asked = {"session": said["session"], "secret": said["secret"], "received": 0, "sent": 0}
        for user, origin in [("you", "http://one"), ("me", "http://two")]:
            other = await peer(user, origin)
            other.greet(resume=asked)
            assert (await answer(other))["why"] == "unknown"
            await end(other)
        again = await peer("me", "http://one")
        again.greet(resume=asked)
        assert (await answer(again))["resumed"] is True
        await end(again)


@pytest.mark.parametrize(
    "counts",
    [
        {"received": 99},
        {"received": -1},
        {"received": 1.5},
        {"received": 2**60},
        {"sent": 0},
        {"sent": -1},
        {"sent": None},
        {"secret": 5},
        {"session": ["x"]},
    ],
)
async def test_counts_and_types_that_cannot_be_are_4400(counts):
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        first.send(["message", 1, "root", "echo", [1]])
        await first.answer(1)
        await first.cut()
        await until(lambda: away(gate) == 1)
        peer = await resume(gate, said, **{"received": 1, "sent": 1, **counts})
        code, close = await peer.closed()
        assert code == close[1] == 4400
        if away(gate):  # what was asked was no question of that session
            rightful = await resume(gate, said, 1, 1)
            assert (await answer(rightful))["resumed"] is True
            await end(rightful)


@pytest.mark.parametrize("resume_as", [5, "x", [], {}, None])
async def test_a_resume_that_is_none_is_4400(resume_as):
    async with attacked(Root(), limits=LIMITS) as gate:
        peer = await newcomer(gate)
        peer.greet(resume=resume_as)
        assert (await peer.closed())[0] == 4400


async def test_a_client_that_does_not_wait_is_4400_and_changes_nothing():
    async with attacked(root := Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        asked = {"session": said["session"], "secret": said["secret"], "received": 0, "sent": 0}
        hasty = await newcomer(gate)
        hasty.send(["version", 1, {"resume": asked}], ["message", 1, "root", "note", [1]])
        assert (await hasty.closed())[0] == 4400
        first.send(["message", 1, "root", "echo", [1]])
        assert (await first.answer(1))[2] == 1
        assert root.noted == []
        await end(first)


async def test_who_sends_on_before_the_answer_was_written_is_4400():
    """What was meant for one session is not to be executed in another."""
    async with attacked(root := Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        asked = {"session": said["session"], "secret": said["secret"], "received": 0, "sent": 0}
        for secret in ("x" * 64, said["secret"]):
            hasty = await newcomer(gate)
            note = ["message", 1, "root", "note", [1]]
            both = [["version", 1, {"resume": {**asked, "secret": secret}}], note]
            hasty.send_bytes(b"".join(ws_frame(TEXT, json.dumps(frame).encode()) for frame in both))
            assert (await hasty.closed())[0] == 4400
        assert root.noted == []
        assert (await first.closed())[0] == 4409


async def test_a_gap_is_told_and_nothing_is_guessed():
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        first.send(["message", 1, "root", "echo", [1]])
        await first.answer(1)
        first.acknowledge()
        await until(lambda: any(c.session.window.acked for c in gate.attacked()))
        await first.cut()
        await until(lambda: away(gate) == 1)
        peer = await resume(gate, said, received=0, sent=1)
        refused = await answer(peer)
        assert (refused["why"], refused["received"]) == ("gap", 1)
        again = await resume(gate, said, received=1, sent=1)
        assert (await answer(again))["why"] == "gap"
        await end(peer, again)


async def test_a_frame_that_is_sent_again_by_hand_is_a_breach_and_is_not_executed():
    async with attacked(root := Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        first.send(["message", 1, "root", "note", [1]])
        await first.answer(1)
        await first.cut()
        await until(lambda: away(gate) == 1)
        peer = await resume(gate, said, received=1, sent=1)
        assert (await answer(peer))["received"] == 1
        peer.send(["message", 1, "root", "note", [1]])
        assert (await peer.closed())[0] == 4400
        assert root.noted == [1]


async def test_what_the_old_connection_still_delivers_is_nobodys():
    async with attacked(root := Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        second = await resume(gate, said)
        assert (await answer(second))["resumed"] is True
        first.send(["message", 1, "root", "note", [13]])
        code, close = await first.closed()
        assert (code, close) == (4409, None)
        second.send(["message", 1, "root", "note", [1]])
        assert (await second.answer(1))[2] == 1
        assert root.noted == [1]
        await end(second)


async def told(racer):
    """What a racer is answered."""
    try:
        return await answer(racer)
    except AssertionError:  # taken over before it was told
        assert racer.close_code == 4409
        return {"resumed": False}


async def test_of_many_that_race_one_has_the_session():
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        await first.cut()
        await until(lambda: away(gate) == 1)
        racers = await asyncio.gather(*(resume(gate, said) for _ in range(20)))
        answers = await asyncio.gather(*map(told, racers))
        assert any(said["resumed"] for said in answers)
        # the secret of before holds until something comes, so each may have had it in its turn
        ended = []
        for racer in racers:
            racer.send(["message", 1, "root", "note", [1]])
        for racer, said in zip(racers, answers, strict=True):
            if said["resumed"]:
                try:
                    await racer.answer(1)
                except AssertionError:
                    assert racer.close_code == 4409
                else:
                    ended.append(racer)
        assert len(ended) == 1


async def test_an_old_secret_is_worth_nothing_once_something_came():
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        second = await resume(gate, said)
        fresh = await answer(second)
        assert fresh["secret"] != said["secret"]
        third = await resume(gate, said)  # "the answer never arrived"
        assert (await answer(third))["resumed"] is True
        third.send(["ack", 0, 0])
        await until(lambda: not any(p.before for p in gate.endpoint.parking._places.values()))
        for old in (said["secret"], fresh["secret"]):
            thief = await resume(gate, said, secret=old)
            assert (await answer(thief))["why"] == "unknown"
            await end(thief)
        await end(third)
        await first.cut()
        await second.cut()


async def test_a_session_that_was_ended_cannot_be_resumed():
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        await end(first)
        peer = await resume(gate, said)
        refused = await answer(peer)
        assert (refused["why"], "received" in refused) == ("ended", False)
        await end(peer)


async def test_a_flood_of_sessions_that_are_dropped_is_bounded():
    async with attacked(Root(), limits=with_limits(resume_window=60, away_per_address=5)) as gate:
        for _ in range(30):
            peer, _ = await begin(gate)
            await peer.cut()
        await until(lambda: len(gate.endpoint.connections) == 1)
        assert away(gate) == 5
        statistics = gate.endpoint.parking.statistics()
        assert statistics["sessions"] == 6
        assert statistics["remembered"] == 25


async def test_who_resumes_again_and_again_without_an_ack_is_bounded():
    """Answers that could still be named are kept, whatever a resume says was received."""
    limits = with_limits(resume_window=60, window=65_536, message=65_536)
    async with attacked(Root(), limits=limits) as gate:
        peer, said = await begin(gate)
        sent = 0
        for _ in range(20):
            peer.sent = sent
            peer.send(["message", sent + 1, "root", "echo", ["x" * 30_000]])
            sent += 1
            try:
                await peer.answer(sent)
            except AssertionError:
                break
            await peer.cut()
            peer = await resume(gate, said, sent, sent)
            fresh = (await peer.next("version", "close"))[2]
            if type(fresh) is str:
                break
            said = fresh
        code, _ = await peer.closed()
        assert code == 4440
        assert sent < 12


async def test_no_secret_is_written_into_a_log(caplog):
    caplog.set_level(logging.DEBUG)
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        second = await resume(gate, said)
        fresh = await answer(second)
        second.send_ws(TEXT, json.dumps(["message", 1, "root", fresh["secret"]])[:-1].encode())
        await second.closed()
        await first.cut()
    for secret in filter(None, SECRETS):
        assert secret not in caplog.text


async def test_guessed_secrets_are_4429_after_a_few_and_who_has_the_right_one_comes_in():
    async with attacked(Root(), limits=LIMITS) as gate:
        first, said = await begin(gate)
        for number in range(8):
            thief = await resume(gate, said, secret=f"{number:064}")
            if number < 5:
                assert (await answer(thief))["why"] == "unknown"
                await end(thief)
            else:
                code, close = await thief.closed()
                assert (code, close[1], close[3]) == (4429, 4429, [5, 30])
        second = await resume(gate, said)
        assert (await answer(second))["resumed"] is True
        await end(second)
        await first.cut()


async def test_a_session_that_an_attacker_began_is_of_no_use_in_somebody_elses_page():
    """Fixation (E2): the victim's page is given the id and secret of the attacker's session."""
    async with attacked(
        Root(), limits=LIMITS, authenticate=lambda request: request.headers.get("x-user")
    ) as gate:

        async def peer(user):
            raw = await gate.raw()
            PEERS.append(raw)
            raw.send_bytes(upgrade(gate.host, headers=[("X-User", user)]))
            assert (await read_head(raw.reader))[0] == 101
            return raw

        attacker = await peer("mallory")
        # an id of the client's own choice is none
        attacker.greet(session="mine", secret="mine")
        said = (await attacker.next("version"))[2]
        assert said["session"] != "mine"
        assert said["secret"] != "mine"
        victim = await peer("alice")
        asked = {"session": said["session"], "secret": said["secret"], "received": 0, "sent": 0}
        victim.greet(resume=asked)
        theirs = await answer(victim)
        assert (theirs["resumed"], theirs["why"]) == (False, "unknown")
        assert theirs["session"] != said["session"]
        await end(attacker, victim)


async def test_a_live_connection_is_taken_over_a_thousand_times_and_one_is_current():
    """Two sockets race with one secret (E3): each call is executed once, by who has the session."""
    async with attacked(root := Root(), limits=LIMITS) as gate:
        last, said = await begin(gate)
        done = 0
        for _ in range(1000):
            racers = [await resume(gate, said, done, done) for _ in range(2)]
            answers = [await told(racer) for racer in racers]
            for racer in racers:
                racer.send(["message", done + 1, "root", "note", [done + 1]])
            winners = []
            for racer, fresh in zip(racers, answers, strict=True):
                try:
                    if fresh["resumed"]:
                        await racer.answer(done + 1)
                        winners.append((racer, fresh))
                except AssertionError:
                    assert racer.close_code == 4409, racer.close_reason
            assert len(winners) == 1
            done += 1
            await last.cut()
            last, fresh = winners[0]
            said = {**said, "secret": fresh["secret"]}
            for racer in racers:
                if racer is not last:
                    await racer.cut()
            PEERS[:] = [last]
        assert root.noted == list(range(1, done + 1))
        assert gate.endpoint.parking.statistics()["sessions"] <= 2 + 1000
        await end(last)


class Members(pb.Avatar):
    def __init__(self, realm, name):
        self.realm = realm
        self.name = name

    def perspective_whoami(self):
        return self.name


class Club(pb.Root):
    """The first peer is the canary; the others log in, and may be blocked."""

    def __init__(self):
        self.blocked: set[str] = set()
        self.logouts: list[str] = []
        names = pb.checkers.CallableChecker(pb.UsernamePassword, lambda given: given.username)
        self.portal = pb.Portal(self, [names])
        self.has_canary = False

    def rootObject(self, broker):
        if self.has_canary:
            return self.portal.rootObject(broker)
        self.has_canary = True
        return self

    def remote_echo(self, value):
        return value

    def requestAvatar(self, avatarId, _mind, _interface):
        return pb.IPerspective, Members(self, avatarId), lambda: self.logouts.append(avatarId)

    def may_resume(self, avatarId, avatar):
        assert isinstance(avatar, Members)
        return avatarId not in self.blocked


async def log_in(peer):
    fields = {"username": "ann", "password": "a"}
    peer.send(["message", 1, "root", "login", ["password", fields]])
    assert (await peer.answer(1))[0] == "answer"


async def test_before_a_login_there_is_no_window():
    async with attacked(Club(), limits=LIMITS) as gate:
        peer, said = await begin(gate)
        await peer.cut()
        await until(lambda: gate.endpoint.parking.statistics()["remembered"] == 1)
        late = await resume(gate, said)
        assert (await answer(late))["why"] == "ended"
        await end(late)


@pytest.mark.parametrize("how", ["blocked", "kicked"])
async def test_who_is_blocked_or_kicked_meanwhile_does_not_come_back(how):
    realm = Club()
    async with attacked(realm, limits=LIMITS) as gate:
        peer, said = await begin(gate)
        await log_in(peer)
        [server] = [c for c in gate.endpoint.connections if c.session.id == said["session"]]
        await peer.cut()
        await until(lambda: away(gate) == 1)
        assert realm.logouts == []
        if how == "blocked":
            realm.blocked.add("ann")
        else:
            server.broker.disconnect()
            await until(lambda: realm.logouts)
        late = await resume(gate, said, 1, 1)
        assert (await answer(late))["why"] == "ended"
        await until(lambda: realm.logouts == ["ann"])
        await end(late)


async def test_who_is_not_blocked_comes_back_logged_in():
    realm = Club()
    async with attacked(realm, limits=LIMITS) as gate:
        peer, said = await begin(gate)
        await log_in(peer)
        await peer.cut()
        await until(lambda: away(gate) == 1)
        again = await resume(gate, said, 1, 1)
        assert (await answer(again))["resumed"] is True
        again.send(["message", 2, 1, "whoami"])
        assert (await again.answer(2))[2] == "ann"
        await end(again)
        await until(lambda: realm.logouts == ["ann"])


async def test_the_wall_clock_may_jump(monkeypatch):
    """Only a clock that rises counts (E8)."""
    real = time.time
    async with attacked(Root(), limits=LIMITS) as gate:
        peer, said = await begin(gate)
        for hours in (1, -1):
            await peer.cut()
            await until(lambda: away(gate) == 1)
            monkeypatch.setattr(time, "time", lambda hours=hours: real() + hours * 3600)
            peer = await resume(gate, said)
            fresh = await answer(peer)
            assert fresh["resumed"] is True
            said = {**said, "secret": fresh["secret"]}
        await end(peer)
