"""pbweb.broker: its faces, attachments, frames it does not know, and its end."""

import asyncio
import gc
import weakref
from dataclasses import replace

import orjson
import pytest

import pbweb as pb
from pbweb.frames import join_attachments
from pbweb.testing import frames_of, stepped_pair, tables
from tests.unit.alone import opened
from tests.unit.paired import run_paired
from tests.unit.vectors import PeerUnderTest


class Root(pb.Root):
    def remote_echo(self, *args, **kw):
        return [list(args), kw]

    def remote_get(self, value):
        return value

    def remote_bytes(self, number, *sizes):
        return [bytes([number]) * size for size in sizes]

    def remote_end(self):
        self.broker.disconnect()

    def rootObject(self, broker):
        made = Root()
        made.broker = broker
        return made

    async def remote_wait(self):
        await asyncio.Event().wait()


# ------------------------------------------------------------------ faces


@pytest.mark.parametrize("value", [5, "text", None, object(), Root, [Root()]])
def test_only_what_can_be_called_is_published(value):
    async def body(both):
        with pytest.raises(TypeError, match="only a Referenceable or a function"):
            both.client.setNameForLocal("name", value)

    run_paired(Root(), body)


def test_a_root_is_made_for_each_session():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("end")
        await promise
        await both.quiet()
        assert both.client.session.ended
        assert both.to_client.closed[0] == 4410

    run_paired(Root(), body, idle=False)


def test_disconnect_says_why_and_whether_to_connect_again():
    async def body(both):
        await both.quiet()
        both.server.broker.disconnect(1012, "the server restarts")
        await both.quiet()
        assert both.to_client.frames[-1][:4] == ["close", 1012, "the server restarts", True]
        assert both.client.session.closing == (1012, "")
        assert both.to_client.closed == (1012, "the server restarts")

    run_paired(Root(), body, idle=False)


def test_a_code_that_no_connection_can_be_closed_with_is_refused_at_the_call():
    async def body(both):
        for code in (0, 99, 999, 1005, 1006, 2999, 5000):
            with pytest.raises(ValueError, match=f"cannot be ended with {code}"):
                both.server.broker.disconnect(code)
        root = await both.client.getRootObject()
        assert await root.callRemote("get", 1) == 1

    run_paired(Root(), body)


def test_what_was_answered_before_the_end_still_goes_out():
    async def body(both):
        root = await both.client.getRootObject()
        promises = [root.callRemote("get", 1), root.callRemote("end"), root.callRemote("get", 2)]
        assert await promises[0] == 1
        assert await promises[1] is None
        assert await promises[2] == 2

    run_paired(Root(), body, idle=False)


def test_statistics_count():
    async def body(both):
        root = await both.client.getRootObject()
        assert not any(both.client.broker.statistics().values())
        promise = root.callRemote("wait")
        thing = await root.callRemote("get", (got := [pb.Referenceable()]))
        assert thing == got
        await both.quiet()
        assert both.client.broker.statistics()["calls_waiting"] == 1
        assert both.server.broker.statistics()["calls_in_progress"] == 1
        promise.cancel()
        with pytest.raises(pb.CancelledError):
            await promise
        del promise, got, thing

    run_paired(Root(), body)


def test_callbacks_of_the_connection():
    told = []

    async def body(both):
        def never():
            raise AssertionError("it was taken back")

        both.client.notifyOnDisconnect(never)
        both.client.notifyOnDisconnect(lambda: told.append("client"))
        both.client.dontNotifyOnDisconnect(never)
        await both.client.close()
        with pytest.raises(pb.DeadReferenceError):
            both.client.notifyOnDisconnect(never)

    run_paired(Root(), body, idle=False)
    assert told == ["client"]


# ------------------------------------------------------------ attachments


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 70_000])
def test_bytes_arrive_exact_in_both_directions(size):
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("get", 1)
        value = bytes(range(256)) * (size // 256 + 1)
        value = value[:size]
        assert await root.callRemote("echo", value, key=[value]) == [[value], {"key": [value]}]
        assert await root.callRemote("bytes", 7, size, 3, size) == [
            b"\x07" * size,
            b"\x07" * 3,
            b"\x07" * size,
        ]
        kinds = {binary for _, binary in both.to_server.messages}
        assert kinds == ({False, True} if size > 1024 else {False})

    run_paired(Root(), body)


def test_a_frame_with_bytes_goes_alone_and_in_its_order():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("get", 1)
        before = len(both.to_server.messages)
        large = b"x" * 5000
        promises = [root.callRemote("get", value) for value in (1, 2, large, 3, large, large, 4)]
        assert [await promise for promise in promises] == [1, 2, large, 3, large, large, 4]
        sent = both.to_server.messages[before : before + 6]
        assert [binary for _, binary in sent] == [False, True, False, True, True, False]
        assert [len(frames_of(message)) for message in sent][:5] == [2, 1, 1, 1, 1]

    run_paired(Root(), body)


def test_before_the_peer_said_that_it_takes_them_bytes_stay_in_the_json():
    link = stepped_pair(Root())
    link.client.broker.remoteForName("root").callRemoteOnly("get", b"x" * 5000)
    link.flush()
    assert [binary for _, binary in link.up] == [False]
    link.settle()
    assert link.server.closing is None
    link.cut()


def binary(frame, *beside):
    return join_attachments(orjson.dumps(frame), list(beside))


def test_bytes_beside_a_call():
    peer = PeerUnderTest()
    at = [{"$": "bytes", "at": n} for n in (1, 0)]
    [answer] = peer.feed(binary(["message", 1, "root", "echo", [at]], b"zero", b"one"), True)
    assert answer == [
        "answer",
        1,
        [{"$": "bytes", "base64": "b25l"}, {"$": "bytes", "base64": "emVybw=="}],
    ]


def test_bytes_beside_an_answer():
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote("get")
    peer.sent()
    peer.feed(binary(["answer", 1, {"a": {"$": "bytes", "at": 0}}], b"abc"), True)
    assert promise.result() == {"a": b"abc"}


@pytest.mark.parametrize(
    ("frame", "beside"),
    [
        (["message", 1, "root", "echo", [{"$": "bytes", "at": 0}]], []),
        (["message", 1, "root", "echo", [{"$": "bytes", "at": 1}]], [b"x"]),
        (["message", 1, "root", "echo", [1]], [b"x"]),
        (["message", 1, "root", "echo"], [b"x"]),
        (
            ["message", 1, "root", "echo", [[{"$": "bytes", "at": 0}, {"$": "bytes", "at": 0}]]],
            [b"x"],
        ),
        ([["message", 1, "root", "echo", [1]]], []),
        ([["hello"], ["hello"]], []),
    ],
)
def test_bytes_that_do_not_fit_their_frame_are_4400(frame, beside):
    peer = PeerUnderTest()
    sent = peer.feed(binary(frame, *beside), True)
    assert sent[-1][:2] == ["close", 4400]
    assert "answer" not in [frame[0] for frame in sent]


@pytest.mark.parametrize(
    "frame",
    [
        ["answer", 1, [1]],
        ["answer", 1],
        ["error", 1, {"$": "failure", "type": "a", "message": "", "parents": []}],
        ["cancel", 1],
        ["decref", 1, 1],
        ["uncache", 1],
        ["ack", 0, 0],
        ["didNotUnderstand", "hello"],
    ],
)
def test_bytes_beside_a_frame_that_has_no_place_for_them_are_4400(frame):
    peer = PeerUnderTest()
    promise = peer.session.broker.remoteForName("root").callRemote("get")
    peer.feed('["message",1,"root","wait"]')
    sent = peer.feed(binary(frame, b"x"), True)
    assert sent[-1][:2] == ["close", 4400]
    assert promise.error() is not None


def test_bytes_beside_an_unknown_frame_are_its_own_business():
    peer = PeerUnderTest()
    assert peer.feed(binary(["hello", {"$": "bytes", "at": 0}], b"x"), True) == [
        ["didNotUnderstand", "hello"]
    ]


def test_a_frame_that_cannot_be_sent_leaves_no_bytes_behind():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("get", 1)
        with pytest.raises(pb.InsecureJelly):
            await root.callRemote("get", [b"x" * 5000, object()])
        assert not both.client.broker.attachments

    run_paired(Root(), body)


# ---------------------------------------------------- frames not understood


def test_an_unknown_frame_is_answered_and_never_that_answer():
    peer = PeerUnderTest()
    assert peer.feed('["hello",1,{"a":2}]') == [["didNotUnderstand", "hello"]]
    assert peer.feed('["didNotUnderstand","hello"]') == []
    assert peer.feed(orjson.dumps(["n" * 100])) == [["didNotUnderstand", "n" * 64]]
    assert peer.feed('[""]') == [["didNotUnderstand", ""]]


def test_more_than_16_unknown_frames_in_a_minute_are_4400():
    peer = PeerUnderTest(heartbeat=1000)
    for _ in range(3):
        assert len(peer.feed_frames([["hello"]] * 16)) == 16
        peer.runtime.advance(61)
        peer.feed(f'["ack",{peer.session.sent},{peer.session.received}]')
        assert peer.session.closing is None
    peer = PeerUnderTest()
    sent = peer.feed_frames([["hello"]] * 17)
    assert [frame[0] for frame in sent] == ["didNotUnderstand"] * 16 + ["close"]
    assert sent[-1][1] == 4400


def test_what_an_unknown_frame_brought_is_given_back():
    peer = PeerUnderTest()
    sent = peer.feed('["hello",[{"$":"remote","id":5},{"$":"cached","id":6}]]')
    assert sent == [["decref", 5, 1], ["decache", 6, 1], ["didNotUnderstand", "hello"]]


def test_a_cachemessage_is_an_error_of_that_call():
    peer = PeerUnderTest()
    [decref, error] = peer.feed('["cachemessage",1,7,"update",[{"$":"remote","id":5}]]')
    assert decref == ["decref", 5, 1]
    assert error[2]["type"] == "DeadReferenceError"
    [close] = peer.feed('["cachemessage",1,7,"update"]')
    assert close[:2] == ["close", 4400]


# ---------------------------------------------------------------- the end


def test_what_ended_is_collected_without_anybody_doing_anything():
    probes = []

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("get", [lambda: 1])
        promise = root.callRemote("wait")
        await both.quiet()
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await promise
        probes.extend(weakref.ref(one.broker) for one in both)
        probes.extend(weakref.ref(one) for one in both)

    run_paired(Root(), body, idle=False)
    gc.collect()
    assert [probe() for probe in probes] == [None] * 4


def test_a_broker_that_ended_sends_nothing_more():
    link = stepped_pair(Root())
    root = link.client.broker.remoteForName("root")
    link.settle()
    link.cut()
    promise = root.callRemote("get", 1)
    assert type(promise.error()) is pb.DeadReferenceError
    root.release()
    link.flush()
    assert not link.up
    assert not link.down


def test_ending_twice_changes_nothing():
    link = stepped_pair(Root())
    told = []
    link.settle()
    link.client.broker.notifyOnDisconnect(lambda: told.append(1))
    link.cut()
    link.cut()
    link.client.close(4410, "again")
    assert told == [1]
    assert link.client.closing[0] == 1006


def test_what_is_made_for_a_session_that_ended_is_not_even_asked_for():
    link = stepped_pair(Root())
    link.settle()
    link.cut()
    asked = []
    link.client.broker.send_encoded(["answer", 1], asked.append)
    link.client.broker.send(["answer", 2])
    assert asked == []
    assert link.client.broker.outbox == []


# ------------------------------------------- what happens while a frame is encoded


class Telling(pb.Copyable):
    """Does something when its state is asked for."""

    def __init__(self, tell):
        self.tell = tell

    def getStateToCopy(self):
        self.tell()
        return {}


class TellingCache(pb.Cacheable):
    """As `Telling`, for a copy that is kept up to date."""

    def __init__(self, tell):
        self.tell = tell

    def getStateToCacheAndObserveFor(self, _perspective, _observer):
        self.tell()
        return {}


def test_a_session_that_ends_while_a_frame_is_encoded_gets_nothing_of_it():
    link = stepped_pair(Root())
    link.settle()
    broker = link.client.broker
    last = Telling(lambda: link.client.end("in the middle"))
    promise = broker.remoteForName("root").callRemote("echo", Root(), last)
    assert type(promise.error()) is pb.DeadReferenceError
    assert "while a frame was encoded" in str(promise.error())
    assert broker.outbox == []
    assert not any(tables(link.client).values())


def test_nothing_overtakes_frames_with_new_caches_however_they_are_nested():
    alone = opened()
    broker, order = alone.session.broker, []

    def note(name):
        order.append(name)
        broker.send(["answer", 0, name])

    def inside():
        broker.when_room(lambda: note("waited"))
        broker.let_go()  # more room changes nothing: there is a frame to go before
        broker.send_encoded(inner, lambda jellier: inner.append(jellier.encode(second)))
        assert order == []

    first, second = TellingCache(inside), TellingCache(broker.let_go)
    outer, inner = ["answer", 1], ["answer", 2]
    broker.send_encoded(outer, lambda jellier: outer.append(jellier.encode(first)))
    assert order == ["waited"]
    assert [frame[:2] for frame in broker.outbox] == [["answer", 2], ["answer", 1], ["answer", 0]]
    assert broker.line is None


def test_a_call_made_while_one_that_was_held_is_encoded_goes_behind_it():
    alone = opened()
    broker = alone.session.broker
    broker.peer_limits = replace(broker.peer_limits, calls=1)
    root, room = broker.remoteForName("root"), broker.room_frames
    root.callRemote("wait").then_call(lambda promise: promise.result())
    held = root.callRemote("take", TellingCache(lambda: root.callRemoteOnly("note", 1)))
    assert [frame[:4] for frame in alone.sent()] == [["message", 1, "root", "wait"]]
    broker.room_frames = 0
    assert alone.feed(["answer", 1]) == []
    broker.room_frames = room
    broker.let_go()
    assert [frame[:4] for frame in alone.sent()] == [["message", 2, "root", "take"]]
    assert broker.line is None
    assert alone.feed(["answer", 2, "taken"]) == [["message", 0, "root", "note", [1]]]
    assert held.result() == "taken"


def test_an_item_with_a_new_cache_that_cannot_be_sent_leaves_those_before_it():
    class Items(pb.Root):
        async def remote_items(self):
            yield TellingCache(lambda: None)
            yield [TellingCache(lambda: None), object()]

    registry = pb.Registry()
    registry.setUnjellyableForClass(TellingCache, pb.RemoteCache)

    async def body(both):
        stream = await both.root.callRemote("items")
        first = await anext(stream)
        assert type(first) is pb.RemoteCache
        assert both.server.broker.statistics()["caches_handed_out"] == 1
        with pytest.raises(pb.InsecureJelly, match="cannot be sent"):
            await anext(stream)
        assert both.server.broker.statistics()["caches_handed_out"] == 1

    run_paired(Items(), body, registry=registry, logged=1)
