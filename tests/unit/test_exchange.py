"""pbweb.exchange: handshake, batches, counts, the close."""

import orjson
import pytest

import pbweb as pb
from pbweb.exchange import cut_reason
from pbweb.testing import frames_of
from tests.unit.alone import MESSAGE, VERSION, Alone, opened
from tests.unit.vectors import PeerUnderTest


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


def test_a_root_that_cannot_be_made_ends_the_session_with_1011():
    def fails(session):
        raise ValueError("the secret of the factory")

    alone = Alone(opened=fails)
    sent = alone.feed(VERSION, MESSAGE)
    assert sent[-1][:2] == ["close", 1011]
    assert "secret" not in sent[-1][2]
    [(_, error)] = alone.runtime.reports
    assert isinstance(error, ValueError)


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
    assert alone.sent() == [["close", code, "why", reconnect, 0]]
    assert alone.session.ended
    assert alone.session.closing == (code, "why")


def test_close_says_in_which_range_of_seconds_to_connect_again():
    alone = opened()
    alone.session.close(1012, "why", [1.0, 2.5])
    assert alone.sent() == [["close", 1012, "why", [1.0, 2.5], 0]]


def test_close_says_how_much_was_handled_and_what_comes_behind_it_is_not():
    alone = opened()
    alone.feed(MESSAGE, ["message", 2, "root", "echo", [2]])
    alone.session.close(1012)
    assert alone.feed(["message", 3, "root", "echo", [3]]) == [["close", 1012, "", True, 2]]


@pytest.mark.parametrize("wrong", [["ack", 7, 1], ["answer", 7, 1]])
def test_close_says_nothing_of_it_when_something_is_left_out(wrong):
    alone = opened()
    close = alone.feed(MESSAGE, wrong, ["message", 2, "root", "echo", [2]])[-1]
    assert close == ["close", 4400, close[2], False]


def test_close_says_nothing_of_it_while_a_method_has_not_got_control():
    alone = opened()
    alone.session.receive(orjson.dumps(["message", 1, "root", "wait"]))
    alone.session.close(1012)
    sent = [frame for message in alone.session.messages() for frame in frames_of(message)]
    assert sent == [["close", 1012, "", True]]
    alone.runtime.run()


def test_a_count_in_a_close_that_cannot_be():
    alone = opened()
    assert alone.feed(["close", 1000, "", False, 1])[0][:2] == ["close", 4400]


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


@pytest.mark.parametrize(("calls", "taken"), [(3, 3), ("x", 7), (0, 7), (None, 7), (99, 7)])
def test_how_many_calls_a_server_takes_before_a_login(calls, taken):
    alone = Alone(is_server=False, calls=7)
    said = {"login": 1000, "login_calls": calls, "limits": {"calls": 7}}
    alone.feed(["version", 1, said])
    limits = alone.session.broker.peer_limits
    assert (limits.message, limits.calls) == (1000, taken)
    alone.session.broker.logged_in()
    assert alone.session.broker.peer_limits.calls == 7


def binary(message, *attachments):
    """A binary message (section 8)."""
    parts = [orjson.dumps(message), *attachments]
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


@pytest.mark.parametrize(
    ("message", "attachments"),
    [
        ([["message", 0, "root", "echo", [{"$": "bytes", "at": 0}]], ["ack", 0, 1]], [b"x"]),
        (["decref", 1, 1], [b"x"]),
        (["message", 0, "root", "echo", [1]], [b"x"]),
        (["message", 0, "root", "echo", [{"$": "bytes", "at": 0}]], []),
    ],
)
def test_a_binary_message_is_one_frame_with_a_place_for_each_of_its_bytes(message, attachments):
    alone = opened()
    alone.session.receive(binary(message, *attachments), binary=True)
    assert alone.sent()[-1][:2] == ["close", 4400]


def test_frames_before_and_behind_one_with_bytes_keep_their_place():
    alone = Alone()
    alone.feed(["version", 1, {"binary": True}])
    root = alone.session.broker.remoteForName("x")
    for value in (1, 2, b"y" * 5000, 3):
        root.callRemoteOnly("a", value)
    before, beside, behind = alone.session.messages()
    assert [frame[4] for frame in orjson.loads(before[0])] == [[1], [2]]
    assert beside[1]
    assert beside[0].endswith(b"y" * 5000)
    assert orjson.loads(behind[0])[4] == [3]
