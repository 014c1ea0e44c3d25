"""pbweb.window: acknowledgements, and what waits for them."""

import gc
import tracemalloc

import orjson
import pytest

import pbweb as pb
from pbweb.shared import SharedCall
from pbweb.testing import SteppedRuntime, frames_of
from pbweb.window import ACK_FRAMES, Receipts
from tests.unit.alone import MESSAGE, Alone, opened


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
    assert alone.sent()[-1][:4] == ["close", 4440, "nothing was acknowledged for 10 s", True]


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


@pytest.mark.parametrize("is_away", [False, True])
def test_many_small_messages_that_are_kept_take_no_more_than_they_are(is_away):
    """What the JSON library returns has room for 4 KiB, which is 40 times as much."""
    alone = opened(heartbeat=1000, stall=1000)
    root = alone.session.broker.remoteForName("x")
    tracemalloc.start()
    try:
        for number in range(15 if is_away else 1000):
            root.callRemoteOnly("a", number)
            alone.sent()
        if is_away:
            alone.session.window.lose()
        gc.collect()
        filters = [tracemalloc.Filter(inclusive=True, filename_pattern="*/pbweb/*")]
        kept = tracemalloc.take_snapshot().filter_traces(filters).statistics("filename")
    finally:
        tracemalloc.stop()
    by_file = {trace.traceback[0].filename.rpartition("/")[2]: trace.size for trace in kept}
    assert by_file.get("exchange.py", 0) + by_file["window.py"] < (15 * 800 if is_away else 500_000)


def test_a_call_that_has_not_got_control_is_not_acknowledged():
    class Slow(pb.Root):
        async def remote_slow(self):
            return 1

    alone = opened(opened=lambda session: session.broker.setNameForLocal("root", Slow()))
    for first in (1, 41):
        messages = [["message", first + number, "root", "slow"] for number in range(40)]
        alone.session.receive(orjson.dumps(messages))
        written = [frame for message in alone.session.messages() for frame in frames_of(message)]
        assert written == [["ack", first - 1, first - 1]]  # what was killed now has started none
        assert alone.sent()[-1] == ["ack", first + 39, first + 39]


def share(alone, number=1):
    """Send calls that others get too."""
    frame = SharedCall("a", [1], {}, pb.Limits()).frame("x")
    for _ in range(number):
        assert alone.session.share(frame) == [(b'["message",0,"x","a",[1]]', False)]


def test_what_many_get_is_kept_for_each_and_fills_the_window_too():
    alone = opened(window_frames=3, stall=10, heartbeat=1000)
    share(alone, 2)
    alone.runtime.advance(100)
    assert alone.session.closing is None
    alone.feed(["ack", 1, 0])
    assert alone.session.window.kept_bytes == len(b'["message",0,"x","a",[1]]')
    share(alone, 2)
    alone.runtime.advance(9)
    assert alone.session.closing is None
    alone.runtime.advance(2)
    assert alone.session.closing[0] == 4440


def test_what_many_get_and_few_bytes_fill_the_window_too():
    alone = opened(window=1024, stall=10, heartbeat=1000)
    share(alone, 1024 // len(b'["message",0,"x","a",[1]]') + 1)
    alone.runtime.advance(11)
    assert alone.session.closing[0] == 4440


def test_who_acknowledges_at_last_is_not_watched_any_more():
    alone = opened(window_frames=2, stall=10, heartbeat=1000)
    call_many(alone, 2)
    alone.sent()
    alone.runtime.advance(9)
    alone.feed(["ack", 2, 0])
    alone.runtime.advance(2)
    assert alone.session.closing is None
    assert alone.runtime.timers() == 1  # the heartbeat


def test_a_side_that_stood_still_itself_waits_for_an_ack_that_may_have_come():
    alone = opened(window_frames=2, stall=10, heartbeat=1000)
    call_many(alone, 2)
    alone.sent()
    alone.runtime.stand_still(30)
    alone.runtime.advance(0.5)
    assert alone.session.closing is None
    alone.runtime.advance(1)
    assert alone.session.closing[0] == 4440


@pytest.mark.parametrize(
    ("frames", "size", "is_closed"),
    [(20, 20_000, False), (21, 0, True), (0, 20_001, True), (0, 0, False)],
)
def test_what_cannot_wait_for_a_link_that_takes_nothing_may_use_twice_the_window(
    frames, size, is_closed
):
    alone = Alone(window_frames=10, window=10_000)
    alone.feed(["version", 1, {"limits": {"message": 9000}}])
    alone.session.window.check_queued(frames, size)
    assert (alone.session.closing is not None) is is_closed
    if is_closed:
        assert alone.sent()[-1][:2] == ["close", 4440]


def away(**limits):
    """A client whose connection is lost."""
    alone = Alone(is_server=False, refused=lambda _session, _said: None, **limits)
    alone.sent()
    alone.feed(["version", 1, {"session": "s", "secret": "k", "window": 60, "binary": True}])
    alone.session.detach("lost")
    return alone


def test_more_than_is_kept_for_who_is_away_ends_the_session():
    alone = away(window_frames=10)
    for _ in range(20):
        alone.session.broker.send(["decref", 1, 1])
    alone.sent()
    assert alone.session.state == "detached"
    alone.session.broker.send(["decref", 1, 1])
    alone.sent()
    assert alone.session.state == "ended"
    assert alone.session.why == "overflow"
    assert alone.session.ending.code == 4440


def test_what_is_made_until_there_is_a_connection_may_be_too_much():
    alone = away(window_frames=10)
    for _ in range(21):
        alone.session.broker.send(["decref", 1, 1])
    alone.session.reconnect()
    assert alone.session.state == "ended"
    assert alone.sent() == []


def test_bytes_that_are_passed_on_while_nobody_is_there_go_out_as_they_are_later():
    alone = away()
    promise = alone.session.broker.remoteForName("root").callRemote("take", b"y" * 5000)
    assert alone.sent() == []
    alone.session.reconnect()
    [version] = alone.sent()
    assert version[2]["resume"] == {"session": "s", "secret": "k", "received": 0, "sent": 1}
    said = {"session": "s", "secret": "l", "window": 60, "resumed": True}
    alone.session.receive(orjson.dumps(["version", 1, {**said, "received": 0, "sent": 0}]))
    [(data, is_binary)] = alone.session.messages()
    assert is_binary
    assert data.endswith(b"y" * 5000)
    alone.feed(["answer", 1, 5])
    assert promise.result() == 5


def test_who_is_resumed_again_and_again_without_an_ack_is_closed():
    """The answers that the peer has could all still be named by what it sends again."""
    alone = away(window=10_000)
    alone.session.broker.peer_limits = pb.Limits(message=4000)
    for number in range(1, 99):
        alone.session.reconnect()
        alone.sent()
        said = {"session": "s", "secret": "k", "window": 60, "resumed": True}
        counts = {"received": number - 1, "sent": number - 1}
        alone.feed(["version", 1, {**said, **counts}])
        if alone.session.closing is not None:
            break
        alone.feed(["message", number, "root", "echo", ["x" * 3000]])
        alone.session.detach("lost")
    assert alone.session.closing[0] == 4440
    assert 6 <= number <= 9  # of 3 kB each, 20 kB may be kept


def test_what_was_handled_before_is_not_handled_again():
    runtime = SteppedRuntime()
    receipts = Receipts(runtime, lambda: None)
    assert receipts.came(3, 30, [["a"], ["b"], ["c"]], 0) == [["a"], ["b"], ["c"]]
    receipts.stop()  # with the connection
    receipts.resume(1)
    frames = [["ping", 1, 1], ["b"], ["ack", 1, 2], ["c"], ["d"]]
    assert receipts.came(4, 40, frames, 0) == [["ping", 1, 1], ["ack", 1, 2], ["d"]]
    assert receipts.came(5, 10, [["e"]], 0) == [["e"]]
    receipts.stop()
    assert runtime.timers() == 0


def test_calls_that_come_while_others_have_not_got_control_are_not_acknowledged_with_them():
    class Slow(pb.Root):
        async def remote_slow(self):
            return 1

    alone = opened(opened=lambda session: session.broker.setNameForLocal("root", Slow()))
    receive, messages = alone.session.receive, alone.session.messages
    for number in (1, 2):
        receive(orjson.dumps(["message", number, "root", "slow"]))
    receive(b'["ping",0,2]')
    assert frames_of(messages()[0]) == [["pong", 0, 0]]
    assert alone.sent() == [["answer", 1, 1], ["answer", 2, 1], ["ack", 2, 2]]


@pytest.mark.parametrize(
    "stop",
    [
        lambda session: session.close(),
        lambda session: session.detach("lost"),
        lambda session: session.end("over"),
    ],
)
def test_what_many_get_is_not_sent_where_it_cannot_be(stop):
    alone = Alone(is_server=False, refused=lambda _session, _said: None)
    frame = SharedCall("a", [1], {}, pb.Limits()).frame("x")
    assert alone.session.share(frame) is None  # there is no version yet
    alone.sent()
    alone.feed(["version", 1, {"session": "s", "secret": "k", "window": 60}])
    stop(alone.session)
    assert alone.session.share(frame) is None
    assert alone.session.sent == 0
    alone.session.end("over")


def test_who_comes_back_with_a_full_window_is_watched_until_the_end():
    alone = away(window_frames=3, stall=10, heartbeat=1000)
    call_many(alone, 5)
    alone.sent()
    alone.runtime.advance(30)  # without a connection nobody is watched
    alone.session.reconnect()
    said = {"session": "s", "secret": "l", "window": 60, "resumed": True}
    sent = alone.feed(["version", 1, {**said, "received": 0, "sent": 0}])
    assert [frame[4][0] for frame in sent if frame[0] == "message"] == [0, 1, 2]
    alone.feed(["ack", 3, 0])
    alone.sent()
    call_many(alone, 1)
    alone.runtime.advance(9)
    assert alone.session.closing is None
    alone.session.end("over")
    assert alone.runtime.timers() == 0


def test_who_comes_back_with_a_full_window_and_acknowledges_nothing_is_4440():
    alone = away(window_frames=3, stall=10, heartbeat=1000)
    call_many(alone, 3)
    alone.session.reconnect()
    said = {"session": "s", "secret": "l", "window": 60, "resumed": True}
    alone.feed(["version", 1, {**said, "received": 0, "sent": 0}])
    alone.runtime.advance(11)
    assert alone.session.closing[0] == 4440


def test_what_comes_again_after_two_resumes_is_dropped_once_each():
    receipts = Receipts(SteppedRuntime(), lambda: None)
    frames = [["message", number, "root", "echo"] for number in range(1, 7)]
    assert receipts.came(5, 10, frames[:5], 0) == frames[:5]
    receipts.stop()
    receipts.resume(3)
    assert (receipts.received, receipts.started, receipts.repeats) == (3, 3, 2)
    assert receipts.came(4, 10, frames[3:4], 0) == []
    receipts.stop()
    receipts.resume(3)  # the fourth comes a third time, and the fifth is still to come again
    assert receipts.came(6, 10, frames[3:6], 0) == frames[5:]
    assert receipts.repeats == 0
    receipts.stop()


def test_what_was_told_when_a_session_was_resumed_is_acknowledged_all_the_same():
    runtime, woken = SteppedRuntime(), []
    receipts = Receipts(runtime, lambda: woken.append(receipts.is_due))
    receipts.came(5, 10, [], 0)
    receipts.told()
    receipts.stop()
    receipts.resume(5)
    runtime.advance(0.2)
    assert woken == []
    runtime.advance(0.1)
    assert woken == [True]
