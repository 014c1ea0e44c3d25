"""pbweb.session: handshake, batches, counts, acknowledgements, the window, heartbeat, the end."""

import orjson
import pytest

import pbweb as pb
from pbweb.runtime import Options
from pbweb.session import ACK_FRAMES, Session, cut_reason
from pbweb.testing import SteppedRuntime, frames_of, stepped_pair
from tests.unit.vectors import FixtureRoot, PeerUnderTest


class Alone:
    """A session whose peer is the test; nothing is fed to it before."""

    def __init__(self, *, is_server=True, opened=None, **limits):
        self.runtime = SteppedRuntime()
        self.woken = 0

        def wake():
            self.woken += 1

        def publish(session):
            session.broker.setNameForLocal("root", FixtureRoot(self.runtime))

        self.session = Session(
            self.runtime,
            Options(pb.Limits(**limits), pb.Registry()),
            wake,
            is_server=is_server,
            software="alone",
            opened=opened or publish,
        )

    def feed(self, *frames):
        self.session.receive(orjson.dumps(frames[0] if len(frames) == 1 else frames))
        return self.sent()

    def sent(self):
        self.runtime.run()
        return [frame for message in self.session.messages() for frame in frames_of(message)]


VERSION = ["version", 1]
MESSAGE = ["message", 1, "root", "echo", [1]]


def opened(**options):
    alone = Alone(**options)
    alone.feed(VERSION)
    return alone


# -------------------------------------------------------------- handshake


def test_a_server_says_its_version_after_the_clients():
    alone = Alone(calls=7, heartbeat=33)
    assert alone.sent() == []
    [version] = alone.feed(["version", 1, {"software": "x"}])
    assert version[:2] == ["version", 1]
    assert version[2] == {
        "software": "alone",
        "window": 0,
        "resumed": False,
        "heartbeat": 33,
        "binary": True,
        "limits": pb.Limits(calls=7).announce(),
    }


def test_a_client_says_its_version_first_and_calls_ride_with_it():
    alone = Alone(is_server=False)
    root = alone.session.broker.remoteForName("root")
    root.callRemoteOnly("one")
    root.callRemoteOnly("two")
    [message] = alone.session.messages()
    assert [frame[0] for frame in frames_of(message)] == ["version", "message", "message"]


def test_the_first_call_costs_no_round_trip():
    alone = Alone()
    sent = alone.feed(VERSION, MESSAGE)
    assert [frame[0] for frame in sent] == ["version", "answer"]


def test_a_close_may_be_the_first_frame():
    alone = Alone(is_server=False)
    alone.sent()
    assert alone.feed(["close", 4426, "version 2 is spoken here", False]) == []
    assert alone.session.ended
    assert alone.session.closing[0] == 4426


@pytest.mark.parametrize("frame", [MESSAGE, ["ack", 0, 0], ["ping", 0, 0], ["hello"]])
def test_anything_else_first_is_4400(frame):
    alone = Alone()
    sent = alone.feed(frame)
    assert [frame[:2] for frame in sent] == [["close", 4400]]
    alone = Alone()
    assert alone.feed(frame, VERSION)[-1][:2] == ["close", 4400]


def test_a_second_version_is_4400():
    assert opened().feed(VERSION)[-1][:2] == ["close", 4400]
    assert Alone().feed(VERSION, VERSION)[-1][:2] == ["close", 4400]


@pytest.mark.parametrize("number", [0, 2, -1, 6, 2**53 - 1])
def test_another_version_is_4426_and_gets_only_close(number):
    alone = Alone()
    [close] = alone.feed(["version", number])
    assert close[:2] == ["close", 4426]
    assert "1" in close[2]
    assert alone.session.ended


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"limits": 5, "binary": 1, "heartbeat": "x", "software": None},
        {"limits": {"calls": "x", "depth": None}, "session": 1, "window": "x"},
        {"unknown": [1]},
    ],
)
def test_what_a_version_says_wrongly_is_ignored(said):
    alone = Alone()
    assert alone.feed(["version", 1, said])[0][0] == "version"
    assert alone.session.broker.peer_limits == pb.Limits()
    assert alone.session.broker.peer_binary is False


def test_the_limits_of_the_peer_hold_for_what_is_sent():
    alone = Alone()
    alone.feed(["version", 1, {"limits": {"calls": 3, "depth": 5, "references": 2}}])
    broker = alone.session.broker
    assert (broker.peer_limits.calls, broker.peer_limits.depth) == (3, 5)
    assert broker.exports.limit == 2


@pytest.mark.parametrize(
    ("said", "held"), [(20, 20), (1, 1), (0, 15), (-5, 15), (True, 15), (1e9, 15)]
)
def test_a_client_takes_the_heartbeat_of_the_server(said, held):
    alone = Alone(is_server=False)
    alone.sent()
    alone.feed(["version", 1, {"heartbeat": said}])
    alone.runtime.advance(held - 0.5)
    assert "ping" not in [frame[0] for frame in alone.sent()]
    alone.runtime.advance(1)
    assert "ping" in [frame[0] for frame in alone.sent()]


def test_no_first_frame_in_time_is_4408():
    alone = Alone(first_frame=2)
    alone.runtime.advance(1.9)
    assert alone.session.closing is None
    alone.runtime.advance(0.2)
    assert alone.session.closing[0] == 4408
    assert alone.sent() == []  # a timeout is no news for a peer that is gone
    assert alone.session.closing == (4408, "no first frame within 2 s")
    assert alone.runtime.timers() == 0


def test_a_root_that_cannot_be_made_ends_the_session_with_1011():
    def fails(session):
        raise ValueError("the secret of the factory")

    alone = Alone(opened=fails)
    sent = alone.feed(VERSION, MESSAGE)
    assert sent[-1][:2] == ["close", 1011]
    assert "secret" not in sent[-1][2]
    [(_, error)] = alone.runtime.reports
    assert isinstance(error, ValueError)


# ----------------------------------------------------------------- batches


def test_all_frames_of_a_turn_are_one_batch():
    peer = PeerUnderTest()
    peer.session.receive(orjson.dumps([["message", n, "root", "echo", [n]] for n in range(1, 6)]))
    messages = peer.session.messages()
    assert len(messages) == 1
    assert frames_of(messages[0]) == [["answer", n, n] for n in range(1, 6)]


def test_a_single_frame_is_no_batch():
    peer = PeerUnderTest()
    peer.session.receive(orjson.dumps(MESSAGE))
    [(data, binary)] = peer.session.messages()
    assert (data, binary) == (b'["answer",1,1]', False)


def test_none_of_a_message_is_handled_if_one_envelope_is_wrong():
    for wrong in ([], ["message"], 5, [["answer", 1]], ["ack", 0, 99]):
        alone = opened()
        sent = alone.feed(MESSAGE, wrong)
        assert [frame[:2] for frame in sent] == [["close", 4400]]


def test_frames_after_a_disconnect_of_the_application_are_still_handled():
    alone = opened()

    class End(pb.Root):
        def remote_end(self):
            alone.session.broker.disconnect()

    alone.session.broker.setNameForLocal("end", End())
    sent = alone.feed(["message", 1, "end", "end"], ["message", 2, "root", "echo", [5]])
    assert [frame[0] for frame in sent] == ["answer", "answer", "close"]
    assert sent[-1][1] == 4410


def test_nothing_is_handled_behind_a_protocol_error():
    alone = opened()
    sent = alone.feed(
        ["message", 2, "root", "echo"],
        ["message", 1, "root", "echo"],
        ["message", 3, "root", "echo"],
    )
    assert [frame[0] for frame in sent] == ["answer", "close"]


def test_a_batch_is_split_at_the_peers_limits():
    alone = Alone()
    alone.feed(["version", 1, {"limits": {"batch": 4}}])
    root = alone.session.broker.remoteForName("x")
    for n in range(11):
        root.callRemoteOnly("a", n)
    messages = alone.session.messages()
    assert [frame[4][0] for m in messages for frame in frames_of(m)] == list(range(11))
    assert max(len(frames_of(message)) for message in messages) <= 4


def test_a_message_is_split_at_the_peers_limit_of_its_size():
    alone = Alone()
    alone.feed(["version", 1, {"limits": {"message": 1000}}])
    root = alone.session.broker.remoteForName("x")
    for n in range(20):
        root.callRemoteOnly("a", n, "y" * 300)
    messages = alone.session.messages()
    assert max(len(data) for data, _ in messages) <= 1000
    assert [frame[4][0] for m in messages for frame in frames_of(m)] == list(range(20))


def test_messages_at_the_limit_of_their_size_and_one_past_it():
    alone = opened(message=1000)
    frame = b'["message",1,"root","echo",["%b"]]' % (b"x" * 968)
    assert len(frame) == 1000
    alone.session.receive(frame)
    assert alone.sent()[0][0] in ("answer", "error")
    assert alone.session.closing is None
    alone.session.receive(b" " + frame)
    assert alone.session.closing[0] == 1009


def test_a_batch_at_its_limit_and_one_past_it():
    alone = opened(batch=3)
    assert len(alone.feed(["hello"], ["hello"], ["hello"])) == 3
    assert alone.feed(*[["hello"]] * 4)[-1][:2] == ["close", 4413]


# --------------------------------------------------------- counts and acks


def test_counted_frames_are_counted_and_the_others_are_not():
    alone = opened()
    assert alone.session.received == 0
    alone.feed(MESSAGE, ["hello"], ["didNotUnderstand", "x"], ["ack", 0, 3], ["ping", 0, 3])
    assert alone.session.received == 3
    assert alone.session.closing is None


@pytest.mark.parametrize("name", ["ack", "ping", "pong"])
@pytest.mark.parametrize("sent", [0, 1, 3, 99])
def test_a_count_of_what_was_sent_that_differs_is_4400(name, sent):
    alone = opened()
    got = alone.feed(MESSAGE, ["hello"], [name, 0, sent])
    assert [frame[:2] for frame in got] == [["close", 4400]]
    assert alone.session.received == 0


@pytest.mark.parametrize("received", [2, 99])
def test_acknowledging_what_was_never_sent_is_4400(received):
    alone = opened()
    alone.feed(MESSAGE)
    assert alone.session.sent == 1
    assert alone.feed(["ack", received, 1])[-1][:2] == ["close", 4400]


def test_acknowledging_less_than_before_is_4400():
    alone = opened()
    alone.feed(MESSAGE)
    alone.feed(["ack", 1, 1])
    assert alone.feed(["ack", 0, 1])[-1][:2] == ["close", 4400]


def test_an_ack_is_owed_after_250_ms():
    alone = opened()
    alone.feed(MESSAGE)
    alone.runtime.advance(0.2)
    assert alone.sent() == []
    alone.runtime.advance(0.1)
    assert alone.sent() == [["ack", 1, 1]]
    alone.runtime.advance(5)
    assert alone.sent() == []


def test_an_ack_is_owed_after_32_frames_and_is_the_last_of_its_batch():
    alone = opened()
    frames = [["message", n, "root", "echo", [n]] for n in range(1, ACK_FRAMES + 1)]
    assert ACK_FRAMES == 32
    assert alone.feed(*frames[:-1])[-1][0] == "answer"
    sent = alone.feed(frames[-1])
    assert sent[-1] == ["ack", 32, 32]
    assert [frame[0] for frame in sent].count("ack") == 1


def test_an_ack_is_owed_after_64_kib():
    alone = opened()
    assert alone.feed(["message", 0, "root", "echo", ["x" * 60_000]]) == []
    assert alone.feed(["message", 0, "root", "echo", ["x" * 6_000]]) == [["ack", 2, 0]]


def test_an_ack_is_not_acknowledged():
    alone = opened()
    alone.feed(MESSAGE)
    alone.runtime.advance(0.3)
    alone.sent()
    for _ in range(50):
        assert alone.feed(["ack", 1, 1]) == []
    alone.runtime.advance(1)
    assert alone.sent() == []


def test_a_ping_is_answered_with_both_counts():
    alone = opened()
    assert alone.feed(MESSAGE, ["ping", 0, 1]) == [["answer", 1, 1], ["pong", 1, 1]]
    assert alone.feed(["ping", 1, 1]) == [["pong", 1, 1]]


def test_an_answer_is_forgotten_when_its_receipt_was_acknowledged():
    alone = opened()
    alone.feed(MESSAGE)
    assert alone.feed(["message", 2, "root", "echo", [{"$": "answer", "id": 1}]]) == [
        ["answer", 2, 1]
    ]
    alone.feed(["ack", 1, 2])
    [error] = alone.feed(["message", 3, "root", "echo", [{"$": "answer", "id": 1}]])
    assert error[2]["type"] == "DeadReferenceError"
    [answer] = alone.feed(["message", 4, "root", "echo", [{"$": "answer", "id": 2}]])
    assert answer == ["answer", 4, 1]


# --------------------------------------------------------------- the window


def call_many(alone, number, value=None):
    """Calls without answer, all in one batch that the peer never acknowledges."""
    root = alone.session.broker.remoteForName("x")
    for n in range(number):
        root.callRemoteOnly("a", n, value)


def test_calls_are_held_back_when_the_window_is_full_and_go_in_their_order():
    alone = opened(window_frames=10)
    call_many(alone, 25)
    sent = []
    got = alone.sent()
    while got:
        assert len(got) <= 10
        sent += got
        got = alone.feed(["ack", len(sent), 0])
    assert [frame[4][0] for frame in sent] == list(range(25))
    assert alone.session.closing is None


def test_answers_calls_and_what_else_waits_for_room_go_in_the_order_in_which_they_were_made():
    alone = opened(window_frames=2)
    broker = alone.session.broker
    call_many(alone, 2)
    broker.when_room(lambda: broker.send(["uncache", 7]))
    assert alone.feed(MESSAGE) == [["message", 0, "x", "a", [n, None]] for n in range(2)]
    call_many(alone, 1)
    alone.feed(["message", 2, "root", "fail", ["no"]])
    broker.when_room(lambda: broker.send(["uncache", 8]))
    sent, number = [], 2
    while got := alone.feed(["ack", number, 2]):
        assert len(got) <= 2
        sent += got
        number += len(got)
    names = [frame[0] for frame in sent]
    assert names == ["uncache", "answer", "message", "error", "uncache"]
    assert alone.session.closing is None


def test_what_comes_into_line_behind_a_new_cache_that_waited_there_goes_out_too():
    class Pond(pb.Cacheable):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            return {}

    alone = opened(window_frames=1)
    broker = alone.session.broker

    def hand_over_and_more():
        frame = ["message", 0, "x", "a"]
        broker.send_encoded(frame, lambda jellier: frame.append([jellier.encode(Pond())]))
        broker.when_room(lambda: broker.send(["uncache", 8]))

    broker.when_room(lambda: broker.send(["uncache", 7]))
    broker.when_room(hand_over_and_more)
    sent = alone.sent()
    for number in (1, 2):
        sent += alone.feed(["ack", number, 0])
    assert [frame[0] for frame in sent] == ["uncache", "message", "uncache"]
    assert broker.line is None


def test_what_waits_for_the_peers_limit_of_calls_holds_up_nothing_else():
    alone = Alone()
    alone.feed(["version", 1, {"limits": {"calls": 1}}])
    broker = alone.session.broker
    root = broker.remoteForName("x")
    for name in ("a", "b", "c"):
        root.callRemote(name).then_call(lambda promise: promise.error())
    broker.when_room(lambda: broker.send(["uncache", 7]))
    assert [frame[-1] for frame in alone.feed(MESSAGE)] == ["a", 7, 1]
    assert [frame[3] for frame in alone.feed(["answer", 1])] == ["b"]
    assert [frame[3] for frame in alone.feed(["answer", 2])] == ["c"]


def test_calls_keep_their_order_when_both_limits_are_hit():
    alone = Alone(window_frames=2)
    alone.feed(["version", 1, {"limits": {"calls": 1}}])
    root = alone.session.broker.remoteForName("x")
    promises = [root.callRemote("a", n) for n in range(6)]
    promises[4].cancel()
    assert promises[4].error().type == "CancelledError"
    acknowledged, made = 0, []
    for _ in range(9):
        got = alone.feed(["ack", acknowledged, alone.session.received])
        while got:
            acknowledged += 1
            made.append(got[0][4][0])
            got = [*got[1:], *alone.feed(["answer", got[0][1]])]
    assert made == [0, 1, 2, 3, 5]
    assert alone.session.broker.statistics()["calls_waiting"] == 0


def test_what_waits_for_room_and_fails_is_logged_and_the_rest_goes():
    alone = opened(window_frames=1)
    broker = alone.session.broker
    broker.when_room(lambda: broker.send(["uncache", 1]))
    broker.when_room(lambda: 1 / 0)
    broker.when_room(lambda: broker.send(["uncache", 2]))
    assert alone.sent() == [["uncache", 1]]
    assert alone.feed(["ack", 1, 0]) == [["uncache", 2]]
    [(what, error)] = alone.runtime.reports
    assert what == "what waited for room was not sent"
    assert isinstance(error, ZeroDivisionError)
    alone.feed(["ack", 2, 0])
    with pytest.raises(ZeroDivisionError):
        broker.when_room(lambda: 1 / 0)


def test_what_waits_for_room_is_called_when_the_session_goes():
    alone = opened(window_frames=1)
    broker = alone.session.broker
    seen = []
    call_many(alone, 1)
    broker.when_room(lambda: seen.append(broker.disconnected))
    assert seen == []
    alone.session.end("over")
    assert seen == [True]
    broker.when_room(lambda: seen.append("after"))
    assert seen == [True, "after"]


def test_a_window_of_bytes():
    alone = opened(window=10_000)
    call_many(alone, 20, "y" * 1500)
    first = alone.sent()
    assert 6 <= len(first) <= 9
    second = alone.feed(["ack", len(first), 0])
    assert second[0][4][0] == len(first)


@pytest.mark.parametrize("size", [10, 300, 4000])
def test_many_short_strings_of_one_turn_fill_the_window_too(size):
    alone = opened(window=20_000, heartbeat=1000)
    root = alone.session.broker.remoteForName("x")
    for _ in range(200):
        root.callRemoteOnly("a", "y" * size, "z" * size)
    sent = 0
    while got := alone.feed(["ack", sent, 0]):
        assert sum(len(frame[4][0]) * 2 for frame in got) <= 20_000 + 2 * size
        sent += len(got)
        assert alone.session.closing is None
    assert sent == 200


def test_many_answers_of_one_turn_fill_the_window_too():
    alone = opened(window=20_000, heartbeat=1000)
    calls = [["message", n, "root", "echo", ["y" * 4000]] for n in range(1, 41)]
    answers = [frame for frame in alone.feed(*calls) if frame[0] == "answer"]
    assert alone.session.closing is None
    while len(answers) < 40:
        got = alone.feed(["ack", len(answers), 40])
        answers += [frame for frame in got if frame[0] == "answer"]
    assert [frame[1] for frame in answers] == list(range(1, 41))


def test_one_message_that_is_larger_than_the_window_passes():
    alone = Alone(window=10_000)
    alone.feed(["version", 1, {"limits": {"message": 1_000_000}}])
    root = alone.session.broker.remoteForName("x")
    root.callRemoteOnly("a", "y" * 500_000)
    root.callRemoteOnly("b")
    assert [frame[3] for frame in alone.sent()] == ["a"]
    assert alone.session.closing is None
    assert [frame[3] for frame in alone.feed(["ack", 1, 0])] == ["b"]


def test_answers_wait_for_room_and_their_calls_stay_in_progress():
    alone = opened(window_frames=3, calls=5)
    sent = alone.feed(*[["message", n, "root", "echo", [n]] for n in range(1, 6)])
    assert [frame[:2] for frame in sent if frame[0] == "answer"] == [
        ["answer", n] for n in (1, 2, 3)
    ]
    assert alone.session.broker.statistics()["calls_in_progress"] == 2
    sent = alone.feed(["ack", 2, 5])
    assert [frame[1] for frame in sent if frame[0] == "answer"] == [4, 5]
    assert alone.session.broker.statistics()["calls_in_progress"] == 0


def test_a_call_whose_answer_waits_can_be_named_when_it_is_there():
    alone = opened(window_frames=2)
    alone.feed(*[["message", n, "root", "echo", [n]] for n in range(1, 5)])
    assert alone.feed(["message", 5, "root", "echo", [{"$": "answer", "id": 4}]]) == []
    sent = alone.feed(["ack", 2, 5])
    assert [frame[1] for frame in sent if frame[0] == "answer"] == [3, 4]
    assert alone.feed(["ack", 4, 5])[0] == ["answer", 5, 4]


def test_small_frames_that_cannot_wait_may_use_twice_the_bound():
    alone = opened(window_frames=10)
    for number in range(1, 21):
        alone.feed(["message", number, "root", "nowhere"])
    assert alone.session.closing is None
    alone.feed(["message", 21, "root", "nowhere"])
    assert alone.session.closing[0] == 4440


def test_a_full_window_that_is_never_acknowledged_is_4440():
    alone = opened(window_frames=5, stall=10, heartbeat=1000)
    call_many(alone, 8)
    alone.sent()
    alone.runtime.advance(9.5)
    assert alone.session.closing is None
    alone.runtime.advance(1)
    assert alone.session.closing[0] == 4440
    assert alone.sent()[-1] == ["close", 4440, "nothing was acknowledged for 10 s", True]


def test_a_full_window_that_is_acknowledged_in_parts_is_not_closed():
    alone = opened(window_frames=5, stall=10, heartbeat=1000)
    call_many(alone, 30)
    acknowledged, written = 0, len(alone.sent())
    while written < 30:
        alone.runtime.advance(9)
        acknowledged += 2
        written += len(alone.feed(["ack", acknowledged, 0]))
        assert alone.session.closing is None


def test_a_window_that_is_not_full_is_never_4440():
    alone = opened(window_frames=5, stall=1, heartbeat=1000)
    call_many(alone, 4)
    alone.sent()
    alone.runtime.advance(100)
    assert alone.session.closing is None


# -------------------------------------------------------------- heartbeat


def test_silence_is_answered_by_a_ping_and_then_4408():
    alone = opened(heartbeat=15, pong=10)
    alone.runtime.advance(14.9)
    assert alone.sent() == []
    alone.runtime.advance(0.2)
    assert alone.sent() == [["ping", 0, 0]]
    alone.runtime.advance(9.8)
    assert alone.session.closing is None
    alone.runtime.advance(0.2)
    assert alone.session.closing[0] == 4408
    assert alone.sent() == []
    assert alone.session.closing == (4408, "no answer to a ping within 10 s")


@pytest.mark.parametrize("frame", [["pong", 0, 0], ["ack", 0, 0], ["ping", 0, 0]])
def test_any_traffic_counts(frame):
    alone = opened(heartbeat=15, pong=10)
    for _ in range(10):
        alone.runtime.advance(15.1)
        alone.sent()
        alone.feed(frame)
    assert alone.session.closing is None


def test_a_busy_session_sends_no_pings():
    alone = opened(heartbeat=10)
    for number in range(1, 30):
        alone.runtime.advance(3)
        sent = alone.feed(["message", number, "root", "echo", [1]])
        assert "ping" not in [frame[0] for frame in sent]


def test_pings_at_the_limit_and_one_past_it():
    alone = opened(control=20)
    for _ in range(20):
        assert alone.feed(["ping", 0, 0]) == [["pong", 0, 0]]
    sent = alone.feed(["ping", 0, 0])
    assert sent[-1] == ["close", 4429, sent[-1][2], [5, 30]]
    assert sent[-1][2].startswith("control")
    alone = opened(control=20)
    for _ in range(3):
        for _ in range(20):
            alone.feed(["pong", 0, 0])
        alone.runtime.advance(1.1)
    assert alone.session.closing is None


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("reason", "cut"),
    [
        ("short", "short"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" * 122 + "é", "x" * 122),
        ("x" * 121 + "é", "x" * 121 + "é"),
        ("\U0001f600" * 40, "\U0001f600" * 30),
        ("a\ud800b", "a?b"),
    ],
)
def test_a_reason_is_cut_between_characters(reason, cut):
    assert cut_reason(reason) == cut
    assert len(cut_reason(reason).encode()) <= 123


@pytest.mark.parametrize(
    ("code", "reconnect"),
    [
        (1000, False),
        (1011, True),
        (1012, True),
        (1013, [5, 30]),
        (4400, False),
        (4410, False),
        (4413, False),
        (4426, False),
        (4429, [5, 30]),
        (4440, True),
    ],
)
def test_close_says_whether_to_connect_again(code, reconnect):
    alone = opened()
    alone.session.close(code, "why")
    assert alone.sent() == [["close", code, "why", reconnect]]
    assert alone.session.ended
    assert alone.session.closing == (code, "why")


def test_what_stands_in_the_outbox_goes_out_before_the_close():
    alone = opened()
    alone.session.broker.remoteForName("x").callRemoteOnly("a")
    alone.session.close()
    [message] = alone.session.messages()
    assert [frame[0] for frame in frames_of(message)] == ["message", "close"]
    assert alone.session.messages() == []


def test_the_first_reason_to_close_holds():
    alone = opened()
    alone.session.close(4410, "first")
    alone.session.close(4440, "second")
    assert alone.sent()[-1][1:3] == [4410, "first"]


def test_nothing_is_taken_after_the_end():
    alone = opened()
    alone.session.close()
    alone.sent()
    assert alone.feed(MESSAGE) == []
    assert alone.session.received == 0


def test_the_peers_close_ends_the_session():
    told = []
    alone = opened()
    alone.session.broker.notifyOnDisconnect(lambda: told.append(True))
    promise = alone.session.broker.remoteForName("x").callRemote("a")
    alone.sent()
    assert alone.feed(["close", 1000, "bye", False]) == []
    assert alone.session.ended
    assert told == [True]
    assert isinstance(promise.error(), pb.PBConnectionLost)
    assert "bye" in str(promise.error())
    assert alone.runtime.timers() == 0


def test_frames_behind_the_peers_close_do_nothing():
    alone = opened()
    assert alone.feed(["close", 1000, "bye", False], MESSAGE) == []
    assert alone.session.ended


def test_a_client_is_told_of_its_protocol_error():
    alone = Alone(is_server=False)
    promise = alone.session.broker.remoteForName("root").callRemote("a")
    alone.sent()
    alone.feed(["version", 1])
    alone.feed(["close", 4400, "what was wrong", False])
    assert isinstance(promise.error(), pb.PBConnectionLost)
    assert isinstance(promise.error().__cause__, pb.ProtocolError)


def test_an_end_leaves_no_timer():
    for end in (
        lambda session: session.end("lost"),
        lambda session: session.close(4410, "x"),
    ):
        link = stepped_pair(FixtureRoot(runtime := SteppedRuntime()), runtime=runtime)
        promise = link.client.broker.remoteForName("root").call("wait", timeout=50)
        link.settle()
        end(link.client)
        link.settle()
        link.server.end("lost")
        link.settle()
        assert promise.error() is not None
        assert link.runtime.timers() == 0


def test_a_fault_of_our_own_is_1011_and_reported(monkeypatch):
    def broken(*_):
        raise RuntimeError("a secret")

    alone = opened()
    monkeypatch.setattr(type(alone.session.broker.incoming), "message", broken)
    sent = alone.feed(MESSAGE)
    assert sent[-1] == ["close", 1011, "a fault in the broker", True]
    [(_, error)] = alone.runtime.reports
    assert isinstance(error, RuntimeError)


def test_receiving_wakes_the_shell_only_when_there_is_something_to_send():
    alone = opened()
    before = alone.woken
    alone.session.receive(orjson.dumps(["message", 0, "root", "echo", [1]]))
    assert alone.woken == before
    alone.session.receive(orjson.dumps(MESSAGE))
    assert alone.woken == before + 1
