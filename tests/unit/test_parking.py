"""pbweb.parking: which sessions are found again, by whom, and how many."""

import orjson
import pytest

import pbweb as pb
from pbweb.parking import REMEMBERED, Parking, Principal, _hashed
from pbweb.resuming import REPLAY_SLICE, Asked, Refusal
from pbweb.runtime import Options
from pbweb.session import Session
from pbweb.testing import SteppedRuntime, frames_of
from tests.unit.alone import MESSAGE, Alone

ME = Principal("me", "http://here", "1.2.3.4")


class Lot:
    """A parking with sessions that have no peer but the test."""

    def __init__(self, **limits):
        self.runtime = SteppedRuntime()
        self.limits = pb.Limits(**{"resume_window": 60, **limits})
        self.moved = []
        numbers = iter(range(1000))
        self.parking = Parking(
            self.limits,
            self.runtime.clock,
            lambda found, young: self.moved.append((found, young)),
            lambda size: f"{size} bytes {next(numbers)}",
        )
        self.secrets = {}

    def young(self, principal=ME):
        session = Session(
            self.runtime,
            Options(self.limits, pb.Registry()),
            lambda: None,
            is_server=True,
            software="lot",
            door=self.parking,
        )
        self.parking.expect(session, principal)
        return session

    def live(self, principal=ME):
        session = self.young(principal)
        session.receive(b'["version",1]')
        session.messages()
        if session.id:
            self.secrets[session.id] = self.secret(session)
        return session

    def secret(self, session):
        return f"32 bytes {int(session.id.rpartition(' ')[2]) + 1}"

    def away(self, principal=ME):
        session = self.live(principal)
        session.detach("lost")
        return session

    def ask(self, session, principal=ME, secret=None, received=0, sent=0):
        asked = Asked(session.id, secret or self.secrets[session.id], received, sent)
        return self.parking.resume(self.young(principal), asked)


def test_without_a_window_nothing_is_kept():
    lot = Lot(resume_window=0)
    session = lot.live()
    assert session.lasts == 0
    assert session.id == ""
    session.detach("lost")
    assert session.state == "ended"
    assert not any(lot.parking.statistics().values())


def test_a_session_that_is_away_goes_over_to_the_new_connection():
    lot = Lot()
    session = lot.away()
    assert lot.parking.statistics()["away"] == 1
    assert lot.ask(session) is session
    assert session.state == "live"
    assert [found for found, _ in lot.moved] == [session]
    assert lot.parking.statistics() == {
        "sessions": 1,
        "away": 0,
        "bytes_away": 0,
        "remembered": 0,
    }


def test_a_session_whose_connection_is_not_known_to_be_lost_goes_over_too():
    lot = Lot()
    session = lot.live()
    assert lot.ask(session) is session
    assert session.state == "live"


@pytest.mark.parametrize("begin", [Lot.live, Lot.away])
def test_what_is_still_to_be_sent_when_a_session_goes_over_weighs_nothing(begin):
    lot = Lot(away_bytes=10)
    session = begin(lot)
    session.broker.send(["decref", 1, 1])
    assert lot.ask(session) is session
    assert session.state == "live"
    assert session.kept_bytes > 10
    assert lot.parking.statistics()["bytes_away"] == 0


@pytest.mark.parametrize(
    "principal",
    [
        Principal("you", "http://here", "1.2.3.4"),
        Principal("me", "http://there", "1.2.3.4"),
        Principal("me", None, "1.2.3.4"),
        Principal(None, "http://here", "1.2.3.4"),
    ],
)
def test_somebody_else_is_told_that_there_is_no_such_session(principal):
    lot = Lot()
    session = lot.away()
    assert lot.ask(session, principal) == Refusal("unknown")
    assert session.state == "detached"
    session.end("over")
    assert lot.ask(session, principal) == Refusal("unknown")


def test_an_identity_that_cannot_be_compared_is_nobodys():
    class Odd:
        def __eq__(self, other):
            raise ValueError("no")

        __hash__ = None

    lot = Lot()
    session = lot.away(Principal(Odd()))
    assert lot.ask(session, Principal(Odd())) == Refusal("unknown")


def test_another_address_may_come_back():
    lot = Lot()
    session = lot.away()
    assert lot.ask(session, Principal("me", "http://here", "9.9.9.9")) is session


@pytest.mark.parametrize("secret", ["", "x", "32 bytes 999", "\ud800"])
def test_a_wrong_secret_changes_nothing(secret):
    lot = Lot()
    session = lot.away()
    asked = Asked(session.id, secret, 0, 0)
    assert lot.parking.resume(lot.young(), asked) == Refusal("unknown")
    assert session.state == "detached"
    assert lot.ask(session) is session


def test_each_resume_makes_a_new_secret_and_the_one_before_holds_until_something_comes():
    lot = Lot()
    session = lot.away()
    old = lot.secrets[session.id]
    assert lot.ask(session) is session
    session.detach("lost in the answer")
    assert lot.ask(session, secret=old) is session  # as often as needed
    session.detach("lost in the answer")
    assert lot.ask(session, secret=old) is session
    session.messages()
    session.receive(b'["ack",0,0]')
    session.detach("lost")
    assert lot.ask(session, secret=old) == Refusal("unknown")


def test_the_new_secret_holds_at_once():
    lot = Lot()
    session = lot.away()
    lot.ask(session)
    made = lot.parking._places[session.id].secret
    session.detach("lost")
    [new] = [f"32 bytes {n}" for n in range(20) if _hashed(f"32 bytes {n}") == made]
    assert lot.ask(session, secret=new) is session


def test_when_the_window_is_over_it_says_so_for_a_while_to_who_has_the_secret():
    lot = Lot()
    session = lot.away()
    lot.runtime.advance(59)
    assert session.state == "detached"
    lot.runtime.advance(2)
    assert session.state == "ended"
    assert lot.ask(session) == Refusal("expired", 0)
    assert lot.ask(session, secret="wrong") == Refusal("unknown")
    lot.runtime.advance(REMEMBERED * 60)
    assert lot.ask(session) == Refusal("unknown")


def test_a_session_that_was_ended_says_no_more_than_that():
    lot = Lot()
    session = lot.live()
    session.close(4410, "out")
    session.messages()
    assert lot.ask(session) == Refusal("ended", None)


def test_a_client_that_lacks_what_it_acknowledged_gets_a_gap():
    lot = Lot()
    session = lot.live()
    session.broker.send(["decref", 1, 1])
    session.messages()
    session.receive(b'["ack",1,0]')
    session.detach("lost")
    assert lot.ask(session, received=0) == Refusal("gap", 0)
    assert session.state == "ended"


@pytest.mark.parametrize(("received", "sent"), [(2, 0), (0, -1)])
def test_counts_that_cannot_be_end_the_session(received, sent):
    lot = Lot()
    session = lot.live()
    session.receive(b'["message",0,"root","x"]')
    session.detach("lost")
    with pytest.raises(pb.ProtocolError):
        lot.ask(session, received=received, sent=sent)
    assert session.state == "ended"
    assert session.closing[0] == 4400


def test_the_oldest_of_one_identity_goes_first():
    lot = Lot(away_per_identity=2)
    sessions = [lot.away() for _ in range(3)]
    assert [session.state for session in sessions] == ["ended", "detached", "detached"]
    assert lot.ask(sessions[0]) == Refusal("overflow", 0)
    other = lot.away(Principal("you"))
    assert other.state == "detached"
    assert sessions[1].state == "detached"


def test_the_oldest_of_one_address_goes_first():
    lot = Lot(away_per_address=2)
    sessions = [lot.away(Principal(n, None, "1.1.1.1")) for n in range(3)]
    assert [session.state for session in sessions] == ["ended", "detached", "detached"]


@pytest.mark.parametrize(
    ("addresses", "ended"),
    [
        (["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"], 1),  # all of one subscriber
        (["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"], 0),
        (["::ffff:1.1.1.1", "::ffff:1.1.1.2", "::ffff:1.1.1.3"], 0),
        (["fe80::1%eth0", "fe80::2%eth0", "fe80::3%eth1"], 1),
        (["", "", ""], 1),
    ],
)
def test_addresses_of_one_network_of_ipv6_are_one(addresses, ended):
    lot = Lot(away_per_address=2)
    sessions = [lot.away(Principal(n, None, address)) for n, address in enumerate(addresses)]
    assert [session.state for session in sessions] == ["ended"] * ended + ["detached"] * (3 - ended)


def test_the_oldest_of_all_goes_first():
    lot = Lot(away=2)
    sessions = [lot.away(Principal(n, None, str(n))) for n in range(3)]
    assert [session.state for session in sessions] == ["ended", "detached", "detached"]


def test_the_oldest_goes_when_all_keep_too_much():
    lot = Lot(away_bytes=1000)
    first, second = (lot.away(Principal(n, None, str(n))) for n in range(2))
    for session in (first, second):
        session.broker.send(["decref", *range(1, 200)])
        assert not session.messages()
    assert (first.state, second.state) == ("ended", "detached")
    assert lot.parking.statistics()["bytes_away"] == second.kept_bytes > 500


def test_one_that_keeps_too_much_alone_goes_too():
    lot = Lot(away_bytes=100)
    session = lot.away()
    session.broker.send(["decref", *range(1, 200)])
    assert not session.messages()
    assert session.state == "ended"
    assert lot.parking.statistics()["bytes_away"] == 0


def test_what_is_remembered_is_bounded():
    lot = Lot(away=3)
    sessions = [lot.live(Principal(n)) for n in range(10)]
    for session in sessions:
        session.end("over")
    assert lot.parking.statistics()["remembered"] == 3
    assert lot.ask(sessions[-1], Principal(9)) == Refusal("ended", None)
    assert lot.ask(sessions[0], Principal(0)) == Refusal("unknown")


def test_an_identity_that_cannot_be_hashed_is_bounded_by_its_address():
    lot = Lot(away_per_identity=1, away_per_address=2)
    sessions = [lot.away(Principal({"name": "me"}, None, "x")) for _ in range(3)]
    assert [session.state for session in sessions] == ["ended", "detached", "detached"]
    assert lot.ask(sessions[2], Principal({"name": "me"}, None, "y")) is sessions[2]


def test_a_connection_that_never_said_anything_is_forgotten():
    lot = Lot()
    session = lot.young()
    lot.parking.forget(session)
    assert not lot.parking._principals


def test_a_server_that_stops_ends_what_is_away_and_what_goes_away_then():
    lot = Lot()
    away, live = lot.away(), lot.live()
    told = []
    away.broker.notifyOnDisconnect(lambda: told.append("away"))
    live.broker.notifyOnDisconnect(lambda: told.append("live"))
    lot.parking.close()
    assert (away.state, live.state, told) == ("ended", "live", ["away"])
    live.detach("lost")
    assert (live.state, told) == ("ended", ["away", "live"])
    statistics = lot.parking.statistics()
    assert (statistics["sessions"], statistics["away"], statistics["bytes_away"]) == (0, 0, 0)


def test_who_guesses_secrets_is_closed_with_4429_and_the_right_one_still_holds():
    lot = Lot()
    session = lot.away()
    for _ in range(5):
        assert lot.ask(session, secret="wrong") == Refusal("unknown")
    for principal in (ME, Principal("you", None, ME.address)):
        with pytest.raises(pb.ProtocolError, match="resume_failures: 5 wrong") as found:
            lot.ask(session, principal, secret="wrong")
        assert found.value.code == 4429
    assert lot.ask(session, Principal("me", "http://here", "9.9.9.9"), secret="x").why == "unknown"
    assert lot.ask(session) is session
    session.detach("lost")
    lot.runtime.advance(61)  # which the session does not outlive
    assert lot.ask(session, secret="wrong") == Refusal("unknown")


def test_secrets_of_sessions_that_are_over_are_guesses_too_and_unknown_ids_are_none():
    lot = Lot()
    session = lot.live()
    session.end("over")
    for _ in range(5):
        assert lot.ask(session, secret="wrong") == Refusal("unknown")
    for _ in range(20):  # as all clients ask after a restart
        assert lot.parking.resume(lot.young(), Asked("x", "y", 0, 0)) == Refusal("unknown")
    with pytest.raises(pb.ProtocolError):
        lot.ask(session, secret="wrong")
    assert lot.ask(session) == Refusal("ended", None)


def test_as_many_addresses_are_watched_as_sessions_are_remembered():
    lot = Lot(away=3)
    session = lot.away()
    for number in range(10):
        lot.ask(session, Principal("you", None, f"10.0.0.{number}"), secret="wrong")
    assert len(lot.parking._failures) == 3
    lot.parking.close()
    assert not lot.parking._failures


@pytest.mark.parametrize("answer", [False, None, 1, True])
def test_the_application_is_asked_whether_the_client_may_come_back(answer):
    lot = Lot()
    session = lot.away()
    session.broker.may_resume = lambda: answer
    assert (lot.ask(session) is session) == bool(answer)
    if not answer:
        assert session.ending.code == 4410
        assert lot.ask(session) == Refusal("ended", None)


def test_nobody_comes_back_where_that_cannot_be_found_out():
    lot = Lot()
    session = lot.away()
    session.broker.may_resume = lambda: 1 / 0
    assert lot.ask(session) == Refusal("ended", None)
    [(what, _)] = lot.runtime.reports
    assert what == "may_resume failed"


def test_the_window_goes_on_while_nothing_of_what_is_sent_again_arrives():
    lot = Lot()
    session = lot.live()
    session.broker.send(["decref", 1, 1])
    session.messages()
    session.detach("it was too much")
    for _ in range(5):
        lot.runtime.advance(11)
        assert lot.ask(session) is session
        session.messages()
        secret = lot.parking._places[session.id]
        secret.before = _hashed(lot.secrets[session.id])
        session.detach("again")
    lot.runtime.advance(6)
    assert session.state == "ended"
    assert lot.ask(session).why == "expired"


def test_the_window_begins_anew_once_something_of_what_was_sent_again_has_arrived():
    lot = Lot()
    session = lot.live()
    for _ in range(2):
        session.broker.send(["decref", 1, 1])
        session.messages()
    session.detach("lost")
    lot.runtime.advance(50)
    assert lot.ask(session) is session
    session.messages()
    session.receive(b'["ack",1,0]')
    session.detach("lost")
    lot.runtime.advance(50)
    assert session.state == "detached"
    lot.runtime.advance(11)
    assert session.state == "ended"


def test_a_session_that_ends_while_it_makes_another_go_keeps_nothing():
    lot = Lot(away=1)
    first, second = lot.away(), lot.live()
    first.broker.notifyOnDisconnect(lambda: second.end("its application wants it so"))
    second.detach("lost")
    assert [first.state, second.state] == ["ended", "ended"]
    assert [lot.parking.statistics()[name] for name in ("sessions", "away", "bytes_away")] == [
        0
    ] * 3


def test_a_client_that_comes_back_to_more_than_may_be_kept_is_told_that_it_is_over():
    lot = Lot(window=1024, message=1024)
    session = lot.live()
    session.broker.send(["error", 1, {"$": "failure", "message": "x" * 5000}])
    assert lot.ask(session) == Refusal("overflow", 0)
    assert session.state == "ended"


def resuming(session, secret, received=0, sent=0):
    asked = {"session": session.id, "secret": secret, "received": received, "sent": sent}
    return orjson.dumps(["version", 1, {"resume": asked}])


def written(session):
    return [frame for message in session.messages() for frame in frames_of(message)]


def asked_to_resume(is_known):
    """A session that was away, the one of the connection that asks for it, and which goes on."""
    lot = Lot()
    session = lot.away()
    young = lot.young()
    young.receive(resuming(session, lot.secrets[session.id] if is_known else "wrong"))
    return session, young, session if is_known else young


NOTE = b'["message",1,"root","note"]'


@pytest.mark.parametrize("is_known", [True, False])
def test_who_asks_to_resume_and_does_not_wait_is_4400(is_known):
    """What was meant for one session must not be executed in another."""
    session, young, carried = asked_to_resume(is_known)
    assert (young.successor is session) is is_known
    young.receive(NOTE)
    assert carried.received == 0
    version, close = written(carried)
    assert version[2]["resumed"] is is_known
    assert close[:2] == ["close", 4400]
    assert carried.ended
    assert session.ended is is_known


@pytest.mark.parametrize("is_known", [True, False])
def test_who_asks_to_resume_and_waits_goes_on(is_known):
    _, young, carried = asked_to_resume(is_known)
    assert [frame[0] for frame in written(carried)] == ["version"]
    young.receive(NOTE)
    assert carried.received == 1
    assert carried.state == "live"
    young.receive(b'["message",2,"root","note"]')
    assert carried.received == 2


@pytest.mark.parametrize("is_known", [True, False])
def test_a_goodbye_behind_a_version_that_resumes_does_not_have_to_wait(is_known):
    _, young, carried = asked_to_resume(is_known)
    young.receive(b'["close",1000,"bye",false,0]')
    assert carried.ending.code == 1000
    assert "bye" in carried.ending.reason


def test_a_server_that_finds_no_sessions_takes_one_that_waits():
    alone = Alone()
    [version] = alone.feed(orjson.loads(resuming(alone.session, "s", 3, 4).replace(b'""', b'"x"')))
    assert (version[2]["resumed"], version[2]["why"]) == (False, "unknown")
    assert alone.feed(MESSAGE) == [["answer", 1, 1]]


@pytest.mark.parametrize(
    ("window", "is_kept"), [(0, False), (0.0, False), (60, True), (None, True)]
)
def test_a_client_that_will_not_resume_leaves_nothing_behind(window, is_kept):
    lot = Lot()
    session = lot.young()
    session.receive(orjson.dumps(["version", 1, {"window": window}]))
    [version] = written(session)
    assert ("session" in version[2], "secret" in version[2]) == (is_kept, is_kept)
    assert version[2]["window"] == (60 if is_kept else 0)
    told = []
    session.broker.notifyOnDisconnect(lambda: told.append(True))
    session.detach("lost")
    assert session.ended is not is_kept
    assert told == [] if is_kept else [True]
    assert lot.parking.statistics()["away"] == (1 if is_kept else 0)


def test_what_an_ack_says_is_no_less_than_what_was_said_when_it_was_resumed():
    """A call that has come and has not got control counts in the version, so it does later."""
    lot = Lot()
    session = lot.live()

    class Slow(pb.Root):
        async def remote_slow(self):
            return 1

    session.broker.setNameForLocal("root", Slow())
    session.receive(b'["message",1,"root","slow"]')
    assert lot.ask(session, sent=1) is session
    [version] = written(session)
    assert version[2]["received"] == 1
    session.receive(b'["ping",0,1]')
    assert written(session) == [["pong", 1, 0]]
    lot.runtime.run()
    assert written(session) == [["answer", 1, 1]]


def test_a_mebibyte_is_sent_again_as_the_link_takes_it_and_what_is_new_goes_behind_it():
    """An ack that comes meanwhile frees what was sent again, and nothing that was not yet."""
    lot = Lot()
    session = lot.live()
    root = session.broker.remoteForName("x")
    for number in range(41):
        root.callRemoteOnly("a", number, "y" * 25_000)
        assert session.messages()
    session.detach("lost")
    assert lot.ask(session) is session
    came, slices = [], 0
    while True:
        messages = session.messages()
        assert sum(len(data) for data, _ in messages) < REPLAY_SLICE + 26_000
        came += [frame for message in messages for frame in frames_of(message)]
        if not session.again:
            break
        slices += 1
        number = sum(frame[0] == "message" for frame in came)
        session.receive(orjson.dumps(["ack", number - slices % 2, 0]))
        root.callRemoteOnly("a", 40 + slices, "")
    assert slices > 10
    assert came[0][0] == "version"
    numbers = [frame[4][0] for frame in came[1:] if frame[0] == "message"]
    assert numbers == list(range(41 + slices))
    session.receive(orjson.dumps(["ack", len(numbers), 0]))
    assert session.closing is None
    assert session.kept_bytes == 0


def test_frames_are_counted_beyond_32_bits():
    lot = Lot()
    session = lot.live()
    many = 2**31 - 2
    window, receipts = session.window, session.receipts
    window.sent = window.acked = window.reached = many
    receipts.received = receipts.started = receipts._told = many

    class Echo(pb.Root):
        def remote_echo(self, value):
            return value

    session.broker.setNameForLocal("root", Echo())
    calls = [["message", number, "root", "echo", [number]] for number in range(1, 5)]
    session.receive(orjson.dumps(calls))
    assert [frame[0] for frame in written(session)] == ["answer"] * 4
    session.receive(orjson.dumps(["ack", many + 1, many + 4]))
    session.detach("lost")
    assert lot.ask(session, received=many + 3, sent=many + 5) is session
    version, answer = written(session)
    assert (version[2]["received"], version[2]["sent"]) == (many + 4, many + 4)
    assert answer == ["answer", 4, 4]
    session.receive(b'["message",5,"root","echo",[5]]')
    session.receive(orjson.dumps(["ping", many + 4, many + 5]))
    assert written(session)[-1] == ["pong", many + 5, many + 5]


def test_what_stands_behind_a_version_that_resumes_in_its_message_is_4400():
    lot = Lot()
    session = lot.away()
    young = lot.young()
    version = orjson.loads(resuming(session, lot.secrets[session.id]))
    young.receive(orjson.dumps([version, orjson.loads(NOTE)]))
    assert [frame[:2] for frame in written(young)][-1] == ["close", 4400]
    assert (young.received, session.received) == (0, 0)
    assert session.state == "detached"


def test_who_comes_too_late_is_told_why_and_how_much_had_come():
    lot = Lot()
    session = lot.live()
    session.receive(b'["message",0,"root","note"]')
    session.detach("lost")
    lot.runtime.advance(61)
    young = lot.young()
    young.receive(resuming(session, lot.secrets[session.id], sent=1))
    [version] = written(young)
    said = {name: version[2].get(name) for name in ("resumed", "why", "received")}
    assert said == {"resumed": False, "why": "expired", "received": 1}
