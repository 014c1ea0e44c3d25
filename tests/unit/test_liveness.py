"""pbweb.liveness: the first frame, silence, pings and pongs."""

import pytest

from tests.unit.alone import MESSAGE, Alone, opened


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


def test_a_ping_is_answered_with_both_counts():
    alone = opened()
    assert alone.feed(MESSAGE, ["ping", 0, 1]) == [["answer", 1, 1], ["pong", 1, 1]]
    assert alone.feed(["ping", 1, 1]) == [["pong", 1, 1]]
