"""pbweb.session: the end, what becomes of what was called, and a client that is resumed."""

import orjson
import pytest

import pbweb as pb
from pbweb.runtime import Options
from pbweb.session import Session
from pbweb.testing import SteppedRuntime, frames_of, stepped_pair, tables
from tests.unit.alone import MESSAGE, Alone, opened
from tests.unit.test_vectors import check_frames
from tests.unit.vectors import FixtureRoot, read


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


class Client:
    """A client under test: what the vectors of a session that is resumed want of it."""

    def __init__(self):
        self.runtime = SteppedRuntime()
        self.session = Session(
            self.runtime,
            Options(pb.Limits(), pb.Registry()),
            lambda: None,
            is_server=False,
            software="vectors",
            refused=lambda _session, _said: None,
        )
        self.session.broker.setNameForLocal("root", FixtureRoot(self.runtime))
        self.promises = []

    def sent(self):
        self.runtime.run()
        frames = [frame for message in self.session.messages() for frame in frames_of(message)]
        return [self.shown(frame) for frame in frames if self.is_shown(frame)]

    @staticmethod
    def is_shown(frame):
        return frame[0] != "ack" and (frame[0] != "version" or "resume" in frame[2])

    @staticmethod
    def shown(frame):
        return ["version", 1, {"resume": frame[2]["resume"]}] if frame[0] == "version" else frame

    def outcome(self, promise):
        if not promise.done:
            return "waiting"
        error = promise.error()
        return "answered" if error is None else error.outcome

    def take(self, step):
        if "call" in step:
            name, *args = step["call"]
            root = self.session.broker.remoteForName("root")
            self.promises.append(root.callRemote(name, *args))
        elif "receive" in step:
            frames = step["receive"]
            self.session.receive(orjson.dumps(frames[0] if len(frames) == 1 else frames))
        elif "send" in step:
            check_frames(self.sent(), step["send"])
        elif "lose" in step:
            self.session.detach("lost", step["lose"])
            assert self.sent() == []
        elif "back" in step:
            self.session.reconnect()
        elif "close" in step:
            assert [frame[:2] for frame in self.sent()] == [["close", step["close"]]]
            assert self.session.state == "ended"
        else:
            assert [self.outcome(promise) for promise in self.promises] == step["outcomes"]


@pytest.mark.parametrize("vector", read("resume"), ids=lambda vector: vector["name"])
def test_a_client_that_is_resumed(vector):
    client = Client()
    for step in vector["steps"]:
        client.take(step)
    for promise in client.promises:
        promise.cancel()
        promise.then_call(lambda promise: promise.error())
    client.session.end("over")
    assert not any(tables(client.session).values())


def test_what_is_owed_on_a_connection_that_is_lost_is_not_said_on_the_next():
    alone = Alone(is_server=False, refused=lambda _session, _said: None)
    alone.sent()
    named = {"session": "a", "secret": "b", "window": 60}
    alone.feed(["version", 1, named])
    alone.session.receive(b'["ping",0,0]')  # whose pong never goes out
    alone.runtime.advance(15)  # silence: this side wants to ask as well
    alone.session.detach("lost")
    assert alone.sent() == []
    alone.session.reconnect()
    assert [frame[0] for frame in alone.sent()] == ["version"]
    answer = {**named, "resumed": True, "received": 0, "sent": 0}
    assert alone.feed(["version", 1, answer]) == []
    assert alone.session.state == "live"
    assert alone.feed(["ping", 0, 0]) == [["pong", 0, 0]]
    alone.session.end("over")
    assert alone.runtime.timers() == 0


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [
        (lambda alone: alone.feed(["close", 4401, "login: none", False]), 4401, "login: none"),
        (lambda alone: alone.session.close(4410, "enough"), 4410, "enough"),
        (lambda alone: alone.session.detach("it broke"), 1006, "it broke"),
        (lambda alone: alone.feed(["ack", 9, 9]), 4400, "the peer has sent 9"),
    ],
)
def test_an_end_says_why(end, code, reason):
    alone = opened()
    reference = alone.session.broker.remoteForName("x")
    assert alone.session.ending is None
    end(alone)
    alone.sent()
    assert alone.session.ending.code == code
    assert reason in alone.session.ending.reason
    promise = reference.callRemote("a")
    assert isinstance(promise.error(), pb.DeadReferenceError)
    assert reason in str(promise.error())


@pytest.mark.parametrize(
    ("refused", "said"), [(None, {"window": 0}), (lambda _session, _said: None, {})]
)
def test_a_client_says_when_it_will_not_resume(refused, said):
    [version] = Alone(is_server=False, refused=refused).sent()
    assert {name: version[2][name] for name in version[2] if name == "window"} == said


def test_a_call_of_a_batch_that_was_acknowledged_in_part_was_executed():
    alone = Alone(is_server=False)
    alone.feed(["version", 1])
    root = alone.session.broker.remoteForName("root")
    promises = [root.callRemote("a", number) for number in range(3)]
    alone.sent()
    alone.feed(["ack", 2, 0])
    alone.session.end("lost")
    outcomes = [promise.error().outcome for promise in promises]
    assert outcomes == ["executed_answer_lost", "executed_answer_lost", "unknown"]


@pytest.mark.parametrize("greet", [True, False])
def test_a_session_that_follows_says_its_version_if_nobody_has(greet):
    alone = Alone(is_server=False, refused=lambda _session, _said: None)
    alone.sent()
    alone.session.end("lost")
    new = alone.session.follow(greet=greet)
    frames = [frame for message in new.messages() for frame in frames_of(message)]
    assert [frame[0] for frame in frames] == (["version"] if greet else [])
    new.end("over")
