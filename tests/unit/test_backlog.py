"""pbweb.backlog, and what it is for: a peer that reads slowly, or not at all, costs little."""

import asyncio

import orjson
import pytest

import pbweb as pb
from pbweb.backlog import ITEM, Backlog, weight_of
from pbweb.outgoing import PUSH
from pbweb.testing import SteppedRuntime, frames_of
from pbweb.tracking import LiveList
from pbweb.trees import FrozenDict
from tests.property.resumable import ResumablePair
from tests.unit.alone import opened
from tests.unit.paired import read_all, run_paired
from tests.unit.vectors import PeerUnderTest, Point

KIB = 1024
MIB = KIB * KIB
WINDOW = 16 * KIB


class Store(pb.Root):
    """Gives much, and notes who asked."""

    def __init__(self):
        self.asked = []
        self.go = asyncio.Event()
        self.kept = []
        self.gone = 0

    def remote_much(self, number, size=KIB):
        self.asked.append(number)
        return "x" * size

    async def remote_much_later(self, number, size=KIB):
        self.asked.append(number)
        await self.go.wait()
        return "x" * size

    def remote_note(self, number, *_values):
        self.asked.append(number)

    def remote_keep(self, value):
        self.kept.append(value)

    def remote_thing(self):
        return Store()

    def remote_shelf(self, number):
        self.asked.append(number)
        self.kept.append(Shelf())
        return self.kept[-1]

    def remote_wrong(self, size):
        error = Wrong("wrong")
        error.more = "y" * size
        raise error


class Shelf(pb.Cacheable):
    def getStateToCacheAndObserveFor(self, _perspective, _observer):
        return {}


class SeenShelf(pb.RemoteCache):
    pass


class Held:
    before = 0


class Wrong(pb.Error, pb.Copyable):
    pass


def limits(**given):
    return pb.Limits(**{"window": WINDOW, "message": 64 * KIB, **given})


def test_calls_get_control_only_as_their_answers_find_room():
    root = Store()

    async def body(both):
        both.to_client.hold()
        promises = [both.root.callRemote("much", n) for n in range(100)]
        await both.quiet()
        started = len(root.asked)
        assert WINDOW // KIB <= started <= WINDOW // KIB + WINDOW // 4 // KIB + 2
        backlog = both.server.broker.answering.backlog
        assert backlog.answers <= WINDOW // 4 + KIB + ITEM
        assert both.server.broker.statistics()["calls_in_progress"] <= 100
        await read_all(both)
        assert [len(await promise) for promise in promises] == [KIB] * 100
        assert root.asked == list(range(100))
        assert both.server.broker.answering.backlog is None

    run_paired(root, body, limits=limits())


def test_a_call_that_is_held_is_not_acknowledged_so_that_its_caller_holds_back():
    root = Store()

    async def body(both):
        both.to_client.hold()
        promises = [both.root.callRemote("much", n, KIB) for n in range(20)]
        await both.quiet()
        # what is read of it says so: a call behind those is not acknowledged
        promises += [both.root.callRemote("note", n, "z" * KIB) for n in range(20, 60)]
        await both.quiet()
        acks = [frame[1] for frame in both.to_client.frames if frame[0] == "ack"]
        assert acks
        assert acks[-1] <= len(root.asked)
        assert both.client.broker.statistics()["calls_waiting"] == 60
        held = both.server.broker.answering.backlog
        assert held.held_bytes <= WINDOW + 2 * KIB
        await read_all(both)
        for promise in promises:
            await promise
        assert root.asked == list(range(60))

    run_paired(root, body, limits=limits(calls=100))


def test_what_follows_a_call_that_is_held_does_not_overtake_what_it_uses():
    root = Store()

    async def body(both):
        thing = await both.root.callRemote("thing")
        both.to_client.hold()
        asked = [both.root.callRemote("much", n) for n in range(40)]
        last = thing.callRemote("note", "at last")
        passed = both.root.callRemote("note", "passed", thing)
        await both.quiet()
        assert len(root.asked) < 40
        thing.release()
        await both.quiet()
        await read_all(both)
        for promise in [*asked, last, passed]:
            await promise
        assert root.asked == [*range(40), "passed"]

    run_paired(root, body, limits=limits())


@pytest.mark.parametrize("before", [3, 8], ids=["the answers wait", "the calls are held"])
def test_however_many_that_wait_bring_new_caches(before):
    """Each cache lets go of the next one that waits: not one inside the other."""
    root = Store()
    registry = pb.Registry()
    registry.setUnjellyableForClass(Shelf, SeenShelf)

    async def body(both):
        both.to_client.hold()
        first = [both.root.callRemote("much", n, 6000) for n in range(before)]
        shelves = [both.root.callRemote("shelf", n) for n in range(before, 240)]
        await both.quiet()
        await read_all(both)
        assert [len(await promise) for promise in first] == [6000] * before
        assert len({await promise for promise in shelves}) == 240 - before
        assert root.asked == list(range(240))

    run_paired(root, body, limits=limits(), client_limits=pb.Limits(), registry=registry)


def test_updates_of_what_the_client_owns_do_not_overtake_its_calls_that_are_held():
    root = Store()
    watched = Watched()

    class Noted(pb.RemoteCache):
        def observe_change(self, text):
            root.asked.append(text)

    registry = pb.Registry()
    registry.setUnjellyableForClass(Watched, Noted)

    async def body(both):
        keeps = both.root.callRemote("keep", watched)
        await keeps
        both.to_client.hold()
        asked = [both.root.callRemote("much", n) for n in range(40)]
        await both.quiet()
        changed = watched.observers[0].callRemote("change", "first")
        watched.observers[0].callRemoteOnly("change", "second")
        asked.append(both.root.callRemote("note", "behind"))
        await both.quiet()
        assert len(root.asked) < 40
        await read_all(both)
        for promise in [*asked, changed]:
            await promise
        assert root.asked == [*range(40), "first", "second", "behind"]
        root.kept.clear()

    run_paired(root, body, limits=limits(), registry=registry)


def test_updates_that_are_held_at_the_limit_and_one_past_it():
    backlog = Backlog(pb.Limits(window_frames=8192))
    for _ in range(8192):
        assert backlog.may_hold()
        backlog.hold(Held(), 1)
    assert not backlog.may_hold()


def test_a_call_that_is_held_can_be_cancelled():
    root = Store()

    async def body(both):
        both.to_client.hold()
        asked = [both.root.callRemote("much", n) for n in range(40)]
        await both.quiet()
        assert 39 not in root.asked
        for promise in asked[38:]:
            promise.cancel()
        await read_all(both)
        assert both.server.broker.answering.backlog is None  # no call looks at it any more
        for promise in asked[:38]:
            await promise
        for promise in asked[38:]:
            with pytest.raises(pb.CancelledError):
                await promise
        assert root.asked == list(range(38))

    run_paired(root, body, limits=limits())


def test_what_is_held_behind_one_that_was_cancelled_is_not_acknowledged_either():
    """Its error waits in line, where it was held before."""
    peer = peer_that_reads_nothing()
    peer.feed_frames([echo(3, 100), echo(4, 100)])
    incoming = peer.session.broker.incoming
    before = incoming.handled(peer.session.received)
    peer.feed('["cancel",3]')
    assert before == 2
    assert incoming.handled(peer.session.received) == 2  # both came in one message
    peer.feed_frames([echo(5, 100)])
    assert incoming.handled(peer.session.received) == 2
    sent = peer.feed('["ack",1,6]') + peer.feed('["ack",2,6]') + peer.feed('["ack",3,6]')
    assert [frame[:2] for frame in sent] == [
        ["answer", 2],
        ["error", 3],
        ["answer", 4],
        ["answer", 5],
    ]
    assert incoming.handled(peer.session.received) == 6
    assert peer.session.broker.answering.backlog is None


def test_the_deadline_of_a_call_that_is_held_goes_on():
    root = Store()

    async def body(both):
        both.to_client.hold()
        asked = [both.root.callRemote("much", n) for n in range(40)]
        late = both.root.call("note", "late", timeout=5)
        await both.quiet()
        both.clock.turn(5)
        with pytest.raises(TimeoutError):
            await late
        await read_all(both)
        for promise in asked:
            await promise
        assert root.asked == list(range(40))

    run_paired(root, body, limits=limits())


def test_a_call_may_name_the_answer_of_one_that_is_held():
    root = Store()

    async def body(both):
        both.to_client.hold()
        asked = [both.root.callRemote("much", n) for n in range(40)]
        thing = both.root.callRemote("thing")
        last = thing.callRemote("much", "on it")
        await both.quiet()
        await read_all(both)
        for promise in asked:
            await promise
        assert len(await last) == KIB
        del thing, last

    run_paired(root, body, limits=limits())


def test_one_answer_more_than_may_wait_is_replaced_by_an_error_that_says_so():
    root = Store()

    async def body(both):
        both.to_client.hold()
        promises = [both.root.callRemote("much_later", n) for n in range(100)]
        await both.quiet()
        assert len(root.asked) == 100
        root.go.set()
        await both.quiet()
        waiting = both.server.broker.answering.backlog.answers
        assert 32 * KIB < waiting <= 32 * KIB + 100 * 300
        await read_all(both)
        ends = await asyncio.gather(*promises, return_exceptions=True)
        good = [end for end in ends if isinstance(end, str)]
        bad = [end for end in ends if isinstance(end, pb.LimitExceeded)]
        assert len(good) + len(bad) == 100
        assert (WINDOW + 32 * KIB) // KIB - 2 <= len(good) <= (WINDOW + 32 * KIB) // KIB + 2
        assert all("answers: the call was executed" in str(end) for end in bad)

    run_paired(root, body, limits=limits(answers=32 * KIB, window=WINDOW))


@pytest.mark.parametrize(("waits", "is_taken"), [(2008, True), (2007, False)])
def test_answers_at_the_limit_and_one_past_it(waits, is_taken):
    """Two answers of 1000 characters, each of which weighs 8 more."""
    root = Store()

    async def body(both):
        both.to_client.hold()
        first = both.root.callRemote("much", 0, 5000)  # which fills the window
        later = [both.root.callRemote("much_later", n, 1000) for n in (1, 2)]
        await both.quiet()
        root.go.set()
        await both.quiet()
        await read_all(both)
        await first
        ends = await asyncio.gather(*later, return_exceptions=True)
        assert isinstance(ends[0], str)
        assert isinstance(ends[1], str) == is_taken

    run_paired(root, body, limits=limits(window=4000, answers=waits + 8))


def peer_that_reads_nothing(**given):
    peer = PeerUnderTest(**{"window": WINDOW, **given})
    peer.feed('["message",1,"root","echo",["%s"]]' % ("x" * (WINDOW + 1)))
    peer.feed('["message",2,"root","echo",["%s"]]' % ("x" * (WINDOW // 4)))
    assert peer.session.broker.answering.backlog.is_slow()
    return peer


def echo(number, size):
    """A call that weighs *size* when it is held."""
    frame = ["message", number, "root", "echo", [""]]
    frame[4][0] = "x" * (size - len(orjson.dumps(frame)))
    return frame


def test_the_answer_of_the_last_call_that_was_held_may_wait_as_well():
    peer = PeerUnderTest(window=WINDOW)
    large = "x" * (WINDOW + 1)
    for number in (1, 2):
        peer.feed_frames([["message", number, "root", "echo", [large]]])
    peer.feed_frames([echo(3, 5000)])
    answering = peer.session.broker.answering
    assert [call.request for call in answering.backlog.held] == [3]
    assert [frame[:2] for frame in peer.feed('["ack",1,3]')] == [["answer", 2]]
    assert not answering.backlog.held
    assert answering.backlog.answers > 4900
    assert [frame[:2] for frame in peer.feed('["ack",2,3]')] == [["answer", 3]]
    assert answering.backlog is None


def test_calls_that_are_held_at_the_limit_and_one_past_it():
    peer = peer_that_reads_nothing()
    peer.feed_frames([echo(3, MIB - 1)])
    peer.feed_frames([echo(4, 100), echo(5, 100)])
    assert [call.request for call in peer.session.broker.answering.backlog.held] == [3, 4]
    sent = []
    for number in range(1, 5):
        sent += peer.feed(f'["ack",{number},5]')
    assert [frame[:2] for frame in sent] == [
        ["answer", 2],
        ["error", 5],
        ["answer", 3],
        ["answer", 4],
    ]
    assert sent[1][2]["type"] == "LimitExceeded"
    assert sent[1][2]["message"].startswith("calls: as many are held behind answers")


def test_a_peer_that_goes_on_and_on_calling_without_reading_is_4413():
    peer = peer_that_reads_nothing()
    peer.feed_frames([echo(3, MIB)])
    peer.feed_frames([echo(n, 100) for n in range(4, 1003)])
    assert peer.session.closing is None
    peer.feed_frames([echo(1003, 100)])
    assert peer.session.closing[0] == 4413


def test_calls_without_an_answer_are_held_in_their_order_too():
    peer = peer_that_reads_nothing()
    peer.feed('["message",0,"root","echo",[1]]')
    peer.feed_frames([echo(3, 100)])
    assert [call.request for call in peer.session.broker.answering.backlog.held] == [0, 3]
    assert peer.feed('["ack",1,4]')[0][:2] == ["answer", 2]
    assert not peer.session.broker.answering.backlog


def test_what_is_refused_is_given_back():
    peer = peer_that_reads_nothing()
    peer.feed_frames([echo(3, MIB)])
    assert peer.feed('["message",4,"root","echo",[{"$":"remote","id":7}]]') == [["decref", 7, 1]]


def test_a_session_that_ends_forgets_what_waited():
    peer = peer_that_reads_nothing()
    peer.feed_frames([echo(3, 100), echo(4, 100)])
    peer.session.end("lost")
    assert peer.session.broker.answering.backlog is None
    assert peer.session.broker.statistics()["calls_in_progress"] == 0


def test_nobody_reads_for_so_long_is_4440():
    peer = peer_that_reads_nothing(stall=10)
    peer.feed_frames([echo(3, 100)])
    peer.runtime.advance(9.9)
    assert peer.session.closing is None
    peer.runtime.advance(0.2)
    assert peer.session.closing[0] == 4440


def test_a_page_that_is_pushed_to_at_the_limit_and_one_past_it():
    each = PUSH + KIB
    peer, page = pushed_to(window=4000, pushes=3 * each)
    page.callRemoteOnly("show", "x" * 5000)  # which fills the window
    for _ in range(3):
        page.callRemoteOnly("show", "x" * KIB)
    assert peer.session.closing is None
    page.callRemoteOnly("show", "x" * KIB)
    assert peer.session.closing[0] == 4440
    assert peer.session.closing[1].startswith(f"pushes: {3 * each} bytes")


def test_what_is_pushed_behind_calls_that_are_never_answered_is_bounded_too():
    peer, page = pushed_to(pushes=10 * KIB)
    calls = [page.callRemote("ask") for _ in range(256)]
    for _ in range(10):
        page.callRemoteOnly("show", ["x" * 900])
    assert peer.session.closing is None
    page.callRemoteOnly("show", ["x" * 900])
    assert peer.session.closing[0] == 4440
    peer.session.end("lost")
    assert all(call.done and call.error() for call in calls)


def test_updates_of_a_cache_are_pushed_as_well():
    shelf = Watched()
    peer, page = pushed_to(window=4000, pushes=2 * KIB)
    page.callRemoteOnly("take", shelf)
    peer.sent()
    (observer,) = shelf.observers
    observer.callRemoteOnly("change", "x" * 5000)
    waits = observer.callRemote("change", "x" * KIB)
    assert peer.session.closing is None
    observer.callRemote("change", "x" * KIB)
    assert peer.session.closing[0] == 4440
    peer.session.end("lost")
    assert waits.error()


def test_what_was_pushed_and_has_gone_out_no_longer_counts():
    peer, page = pushed_to(window=4000, pushes=3 * KIB)
    sent = 1  # the answer to its call
    for _ in range(50):
        page.callRemoteOnly("show", "x" * 5000)
        page.callRemoteOnly("show", "x" * KIB)
        frames = peer.sent()
        while frames:
            sent += len(frames)
            frames = peer.feed(f'["ack",{sent},1]')
    assert sent == 101
    assert peer.session.closing is None


def test_one_push_of_any_size_may_wait():
    peer, page = pushed_to(window=4000, pushes=100)
    page.callRemoteOnly("show", "x" * 5000)
    page.callRemoteOnly("show", "x" * 5000)
    assert peer.session.closing is None


def test_what_a_client_pushes_is_its_own_matter():
    client = opened(is_server=False, window=4000, pushes=100).session
    root = client.broker.remoteForName("root")
    for _ in range(10):
        root.callRemoteOnly("note", "x" * 5000)
    assert client.closing is None


def pushed_to(**given):
    """A peer that reads nothing from now on, and an object of its own."""
    peer = PeerUnderTest(**given)
    store = Store()
    peer.session.broker.setNameForLocal("store", store)
    peer.feed('["message",1,"store","keep",[{"$":"remote","id":1}]]')
    return peer, store.kept[0]


def test_a_client_refuses_calls_when_as_many_answers_wait_as_may():
    """It holds none: if both sides did, each could wait for the other for ever."""
    mine = Store()

    async def body(both):
        ref = both.server.remoteForName("mine")
        await both.quiet()
        both.to_server.hold()
        promises = [ref.callRemote("much", n) for n in range(100)]
        await both.quiet()
        good = len(mine.asked)
        assert WINDOW // KIB < good <= (WINDOW + 16 * KIB) // KIB + 2
        await read_all(both)
        ends = await asyncio.gather(*promises, return_exceptions=True)
        assert ends[:good] == ["x" * KIB] * good
        assert all(str(end).startswith("calls: as many answers wait") for end in ends[good:])
        assert mine.asked == list(range(good))

    run_paired(None, body, client_names={"mine": mine}, limits=limits(answers=32 * KIB))


def test_both_sides_full_of_answers_and_calls_go_on():
    """Neither waits for the other for ever, and each call is executed once, in its order."""
    here, there = Store(), Store()

    async def body(both):
        await both.quiet()
        mine = both.server.remoteForName("mine")
        both.hold()
        promises = []
        for number in range(200):
            promises.append(both.root.callRemote("much", number, 8 * KIB))
            promises.append(mine.callRemote("much", number, 8 * KIB))
        await both.quiet()
        for _ in range(300):  # one message each way, as of a link that is slow both ways
            for way in (both.to_server, both.to_client):
                if way.waiting:
                    way.step()
            await both.quiet()
        both.let_go()
        ends = await asyncio.gather(*promises, return_exceptions=True)
        assert {type(end) for end in ends} == {str}
        assert here.asked == there.asked == list(range(200))

    run_paired(there, body, client_names={"mine": here}, limits=limits(window=160 * KIB))


def test_errors_with_a_state_weigh_as_well():
    root = Store()

    async def body(both):
        both.to_client.hold()
        first = [both.root.callRemote("much", n, WINDOW // 2) for n in range(3)]
        promises = [both.root.callRemote("wrong", 5000) for _ in range(30)]
        await both.quiet()
        assert both.server.broker.answering.backlog.answers < WINDOW // 2 + 2 * 5100
        await read_all(both)
        ends = await asyncio.gather(*first, *promises, return_exceptions=True)
        assert [type(end) for end in ends] == [str] * 3 + [pb.RemoteError] * 30

    run_paired(root, body, limits=limits())


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        (None, 1, 16),
        (5, 1, 16),
        ("x" * 1000, 1000, 1010),
        (b"x" * 1000, 1000, 1010),
        (["x" * 100] * 10, 1000, 1200),
        ({"a": ["b", {"c": "x" * 500}]}, 500, 600),
        ({"x" * 300, "y"}, 300, 340),
        (Point(x="x" * 400), 400, 500),
        (pb.Referenceable(), 8, 8),
        ([1] * 100_000, 10_000, 900_000),
        (LiveList(["x" * 100] * 10), 1000, 1200),
        (FrozenDict({"a": "x" * 500}), 500, 600),
    ],
)
def test_what_weighs_how_much(value, least, most):
    assert least <= weight_of(value, 10_000) <= most


def test_what_stands_in_two_places_is_weighed_once():
    point = Point(x="x" * 400)
    assert weight_of([point, point], 10_000) == weight_of([point], 10_000) + ITEM


def test_what_is_in_itself_is_weighed_once():
    inner = ["x" * 100]
    outer = [inner, inner]
    outer.append(outer)
    assert weight_of(outer, 10_000) < 200
    doubled = ["x"]
    for _ in range(60):
        doubled = [doubled, doubled]
    assert weight_of(doubled, 10_000) < 2000
    assert frames_of((b'["a"]', False)) == [["a"]]


# ------------------------------------------------------------------ resuming


class Resumable:
    """A client that is away while calls of it are held."""

    def __init__(self):
        self.root = Store()
        self.link = ResumablePair(
            lambda session: session.broker.setNameForLocal("root", self.root),
            limits=limits(resume_window=60),
        )
        self.link.settle()
        self.ends = {}
        root = self.link.client.broker.remoteForName("root")
        for number in range(40):
            root.callRemote("much", number).then_call(self.noter(number))
        self.link.flush_client()
        while self.link.deliver(to_server=True):
            pass
        self.held = len(self.link.server.broker.answering.backlog.held)
        assert self.held

    def noter(self, number):
        def note(promise):
            self.ends[number] = promise.error()

        return note


def test_a_call_that_is_held_when_the_connection_goes_is_executed_once():
    away = Resumable()
    started = len(away.root.asked)
    away.link.cut()
    away.link.reconnect()
    for _ in range(10):  # each time what came is acknowledged
        away.link.settle()
        away.link.runtime.advance(0.3)
    assert started < 40
    assert away.root.asked == list(range(40))
    assert away.ends == dict.fromkeys(range(40))
    assert away.link.server.received == away.link.client.sent
    assert away.link.server.receipts.repeats == 0


def test_a_server_says_at_a_resume_what_it_would_have_acknowledged():
    away = Resumable()
    away.link.cut()
    away.link.reconnect()
    away.link.flush()
    away.link.deliver(to_server=True)
    version = frames_of(away.link.server.messages()[0])[0]
    started = len(away.root.asked)
    assert version[2]["received"] <= started < 40
    assert away.link.server.receipts.repeats >= away.held
    assert not away.link.server.is_at_rest(), "nobody may be told that this is all that it had"
    away.link.server.close(4410, "enough")
    frames = [one for message in away.link.server.messages() for one in frames_of(message)]
    assert frames[-1][:2] == ["close", 4410]
    assert len(frames[-1]) == 4


def test_a_call_that_was_held_to_the_end_is_none_that_was_executed():
    away = Resumable()
    started = len(away.root.asked)
    away.link.cut()
    away.link.runtime.advance(61)
    away.link.reconnect()
    away.link.settle()
    outcomes = [away.ends[number].outcome for number in range(40)]
    assert "executed_answer_lost" not in outcomes[started:]
    assert "not_executed" not in outcomes[:started]


@pytest.mark.parametrize("hears", [True, False])
def test_a_server_that_sends_goes_on_though_it_acknowledges_nothing(hears):
    """A client's own window is full for as long as its calls are held."""
    alone = opened(is_server=False, window=100, stall=10)
    promise = alone.session.broker.remoteForName("x").callRemote("a", "x" * 200)
    alone.sent()
    for number in range(3):
        alone.runtime.advance(6)
        if hears:
            alone.feed(["message", number + 1, "nothing", "there"])
        else:
            alone.feed(["ping", 0, 0])
    assert (alone.session.closing is None) == hears
    alone.session.end("enough")
    assert promise.error()


# --------------------------------------------------------------- the bounds of the window


@pytest.mark.parametrize(("size", "goes"), [(999, True), (1000, False)])
def test_a_window_of_bytes_at_its_limit_and_one_past_it(size, goes):
    """What is sent may fill it; a frame more goes while there is a byte left."""
    alone = opened(window=1000, heartbeat=1000)
    frame = ["message", 1, "x", "a", [""]]
    values = ["y" * (size - len(orjson.dumps(frame)))]
    alone.session.broker.remoteForName("x").callRemote("a", *values)
    [sent] = alone.sent()
    assert len(orjson.dumps(sent)) == size
    alone.session.broker.remoteForName("x").callRemote("b")
    assert bool(alone.sent()) == goes


@pytest.mark.parametrize(("before", "goes"), [(4, True), (5, False)])
def test_a_window_of_frames_at_its_limit_and_one_past_it(before, goes):
    alone = opened(window_frames=5, heartbeat=1000)
    for _ in range(before):
        alone.session.broker.remoteForName("x").callRemote("a")
    assert len(alone.sent()) == before
    alone.session.broker.remoteForName("x").callRemote("b")
    assert bool(alone.sent()) == goes


# ------------------------------------------------- what is kept for a client that is away


class Watched(pb.Cacheable):
    def __init__(self):
        self.observers = []

    def getStateToCacheAndObserveFor(self, _perspective, observer):
        self.observers.append(observer)
        return {}


class WatchedCopy(pb.RemoteCache):
    def observe_change(self, _text):
        pass


class Away(pb.Root):
    """Goes on while its client is away."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.waiting = []
        self.watched = Watched()
        self.page = None

    async def remote_later(self, size):
        future = self.runtime.future()
        self.waiting.append(future)
        await future
        return "x" * size

    def remote_watch(self, page):
        self.page = page
        return self.watched


def answers(root, size):
    for future in root.waiting:
        future.set_result(None)


def updates(root, size):
    for _ in range(4):
        root.watched.observers[0].callRemoteOnly("change", "x" * size)


def pushes(root, size):
    for _ in range(4):
        root.page.callRemoteOnly("show", "x" * size)


@pytest.mark.parametrize("what", [answers, updates, pushes])
@pytest.mark.parametrize(("size", "ends"), [(500, False), (2000, True)])
def test_what_has_no_room_while_a_client_is_away_ends_its_session(what, size, ends):
    """A window of 4,000 bytes takes four of 500; of 2,000 it takes two, and two have no room."""
    runtime = SteppedRuntime()
    root = Away(runtime)
    link = ResumablePair(
        lambda session: session.broker.setNameForLocal("root", root),
        limits=limits(resume_window=60, window=4000),
        runtime=runtime,
    )
    link.client.options.registry.setUnjellyableForClass(Watched, WatchedCopy)
    link.settle()
    server = link.server
    client_root = link.client.broker.remoteForName("root")
    held = client_root.callRemote("watch", Store())
    calls = [client_root.callRemote("later", size) for _ in range(4)]
    link.settle()
    runtime.advance(0.3)
    link.settle()
    assert held.result()
    link.cut()
    what(root, size)
    runtime.run()
    server.messages()
    assert server.ended == ends
    link.reconnect()
    link.settle()
    assert [said["why"] for said in link.refusals] == ["overflow"] * ends
    for call in calls:
        call.error() if call.done else call.cancel()
