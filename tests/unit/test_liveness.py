"""pbweb.liveness: the first frame, silence, pings and pongs."""

import pytest

import pbweb as pb
from pbweb.liveness import Liveness
from pbweb.testing import SteppedRuntime
from tests.unit.alone import MESSAGE, Alone, opened


@pytest.mark.parametrize(
    ("said", "held"), [(20, 20), (1, 1), (0, 15), (-5, 15), (True, 15), (1e9, 15)]
)
def test_a_client_takes_the_heartbeat_of_the_server(said, held):
    alone = Alone(is_server=False)
    alone.sent()
    alone.feed(["version", 1, {"heartbeat": said}])
    alone.runtime.advance(0.9 * held)
    assert "ping" not in [frame[0] for frame in alone.sent()]
    alone.runtime.advance(0.1 * held)
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


def test_silence_is_answered_by_a_ping_and_then_4408():
    alone = opened(heartbeat=15, pong=10)
    alone.runtime.advance(14.3)
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


def test_a_ping_is_answered_with_both_counts():
    alone = opened()
    assert alone.feed(MESSAGE, ["ping", 0, 1]) == [["answer", 1, 1], ["pong", 1, 1]]
    assert alone.feed(["ping", 1, 1]) == [["pong", 1, 1]]


OFFSETS = [0, 0.1, 1.9, 2.5, 4.9, 5, 5.1, 9.9, 12.5, 14.9]


def asked_after(alone, most):
    """Seconds until a ping was sent, *most* at the most."""
    for tenth in range(round(10 * most) + 1):
        if "ping" in [frame[0] for frame in alone.sent()]:
            return tenth / 10
        alone.runtime.advance(0.1)
    raise AssertionError(f"no ping within {most} s")


def given_up_after(alone, most):
    """Seconds until the connection was taken for lost, *most* at the most."""
    for tenth in range(round(10 * most) + 1):
        if alone.session.closing is not None:
            return tenth / 10
        alone.runtime.advance(0.1)
        alone.sent()
    raise AssertionError(f"not given up within {most} s")


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("is_server", [True, False])
def test_a_silent_peer_is_asked_within_a_heartbeat_of_its_last_word(is_server, offset):
    alone = opened(is_server=is_server, heartbeat=15, pong=10)
    alone.runtime.advance(offset)
    alone.feed(["ack", 0, 0])
    assert asked_after(alone, 15) >= 9.3


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("is_server", [True, False])
def test_a_dead_link_is_found_within_25_seconds(is_server, offset):
    alone = opened(is_server=is_server, heartbeat=15, pong=10)
    alone.runtime.advance(offset)
    alone.feed(["ack", 0, 0])
    assert given_up_after(alone, 24.6) >= 19.3
    assert alone.session.closing[0] == 4408


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("heartbeat", [3, 15, 60])
def test_a_client_whose_call_waits_knows_within_15_seconds(heartbeat, offset):
    alone = opened(is_server=False, heartbeat=heartbeat, pong=10)
    alone.runtime.advance(min(offset, heartbeat - 0.1))
    alone.sent()
    promise = alone.session.broker.remoteForName("root").callRemote("echo", 1)
    assert given_up_after(alone, 13) >= 4.9
    with pytest.raises(pb.PBConnectionLost):
        promise.result()


def test_a_call_that_takes_long_is_no_death():
    alone = opened(is_server=False)
    alone.session.broker.remoteForName("root").callRemote("echo", 1)
    pings = 0
    for _ in range(600):
        alone.runtime.advance(0.1)
        if "ping" in [frame[0] for frame in alone.sent()]:
            pings += 1
            alone.feed(["pong", 1, 0])
    assert alone.session.closing is None
    assert 5 <= pings <= 12


@pytest.mark.parametrize("stood", [6, 30, 3600])
def test_who_stood_still_asks_before_it_takes_the_peer_for_dead(stood):
    alone = opened(heartbeat=15, pong=10)
    alone.runtime.advance(14)
    alone.runtime.stand_still(stood)
    alone.runtime.advance(0)
    assert [frame[0] for frame in alone.sent()] == ["ping"]
    alone.runtime.advance(4.9)
    assert alone.session.closing is None
    alone.feed(["pong", 0, 0])  # it waited in the socket
    alone.runtime.advance(14)
    assert alone.session.closing is None


@pytest.mark.parametrize("stood", [11, 3600])
def test_who_stood_still_while_it_waited_for_a_pong_asks_again(stood):
    alone = opened(heartbeat=15, pong=10)
    assert asked_after(alone, 15) >= 14.3
    alone.runtime.stand_still(stood)
    alone.runtime.advance(0)
    assert [frame[0] for frame in alone.sent()] == ["ping"]
    assert given_up_after(alone, 5.1) >= 4.9


def test_a_peer_to_which_much_is_on_its_way_is_not_dead_while_that_moves():
    alone = opened(heartbeat=15, pong=10)
    alone.runtime.unsent_bytes = 1_000_000
    assert asked_after(alone, 15) >= 14.3
    for _ in range(5):
        alone.runtime.advance(9)
        assert alone.session.closing is None
        alone.runtime.unsent_bytes -= 100_000
        alone.runtime.advance(1)
        alone.sent()
    assert given_up_after(alone, 10.1) >= 9.9


def test_a_window_that_nobody_acknowledged_while_this_side_stood_still():
    alone = opened(stall=10, window_frames=2)
    reference = alone.session.broker.remoteForName("x")
    for _ in range(2):
        reference.callRemoteOnly("a")
    alone.sent()
    alone.runtime.stand_still(3600)
    alone.runtime.advance(0)
    assert alone.session.closing is None
    alone.runtime.advance(1.1)
    assert alone.session.closing[0] == 4440


@pytest.mark.parametrize("is_server", [True, False])
def test_with_a_heartbeat_of_more_than_an_hour_nobody_is_asked(is_server):
    alone = opened(is_server=is_server, heartbeat=3601)
    if not is_server:
        alone.session.broker.remoteForName("root").callRemote("echo", 1)
    alone.sent()
    alone.runtime.advance(1e6)
    assert alone.session.closing is None
    assert alone.sent() == []


def test_a_version_that_comes_when_the_connection_is_given_up_starts_nothing():
    runtime = SteppedRuntime()
    closed = []
    liveness = Liveness(
        runtime, pb.Limits(), lambda: None, lambda *said: closed.append(said), lambda: False
    )
    liveness.expect()
    assert runtime.timers() == 1
    liveness.lose()
    liveness.greeted()
    runtime.advance(100)
    assert (runtime.timers(), closed) == (0, [])
