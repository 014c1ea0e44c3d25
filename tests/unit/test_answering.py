"""pbweb.answering: how the peer's calls end: with an answer, or with one failure."""

import asyncio

import pytest

import pbweb as pb
from pbweb.testing import frames_of
from tests.unit.notes import Note
from tests.unit.paired import run_paired
from tests.unit.vectors import PeerUnderTest


class Unexpected(Exception):
    pass


class Rude(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Impolite(BaseException):
    pass


def raising(error):
    class Root(pb.Root):
        def remote_plain(self):
            raise error

        async def remote_coroutine(self):
            raise error

        async def remote_later(self):
            await asyncio.sleep(0)
            raise error

        def remote_future(self):
            future = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            return future

    return Root()


@pytest.mark.parametrize("method", ["plain", "coroutine", "later"])
@pytest.mark.parametrize(
    "error",
    [
        Unexpected("bang"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(5),
        StopAsyncIteration(),
        Rude(),
        Impolite("x"),
        RecursionError(),
        MemoryError(),
        BaseExceptionGroup("two", [ValueError("a"), SystemExit()]),
        RuntimeError("coroutine raised StopIteration"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_raised_ends_as_one_failure_and_is_logged_once(method, error):
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.Error) as caught:
            await root.callRemote(method)
        expected = f"{type(error).__module__}.{type(error).__qualname__}"
        if isinstance(error, StopIteration | StopAsyncIteration) and method != "plain":
            assert caught.value.type in (expected, "builtins.RuntimeError")
        else:
            assert caught.value.type == expected
        assert type(caught.value) is pb.RemoteError
        del caught
        assert [frame[0] for frame in both.to_client.frames] == ["version", "error"]

    [record] = run_paired(raising(error), body, logged=1)
    assert "Peer will receive PB traceback" in record.getMessage()
    assert repr(method) in record.getMessage()
    assert record.exc_info[1] is error or isinstance(record.exc_info[1], RuntimeError)
    assert record.exc_info[2] is not None


def test_a_future_that_was_set_to_fail():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError, match="bang"):
            await root.callRemote("future")

    run_paired(raising(Unexpected("bang")), body, logged=1)


class OutOfStock(pb.Error):
    pass


@pytest.mark.parametrize("method", ["plain", "coroutine", "later"])
def test_an_expected_error_is_sent_and_not_logged(method):
    registry = pb.Registry()
    registry.setUnjellyableForClass(OutOfStock, OutOfStock)

    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(OutOfStock, match="none left"):
            await root.callRemote(method)

    run_paired(raising(OutOfStock("none left")), body, registry=registry)


def test_a_cancelled_error_that_a_method_raises_itself_is_a_failure_of_the_call():
    async def body(both):
        root = await both.client.getRootObject()
        for method in ("plain", "coroutine", "later"):
            with pytest.raises(pb.CancelledError):
                await root.callRemote(method)

    run_paired(raising(asyncio.CancelledError()), body)


def test_a_message_of_10_mb_is_cut():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError) as caught:
            await root.callRemote("plain")
        assert caught.value.message == "x" * 1024
        del caught

    run_paired(raising(ValueError("x" * 10_000_000)), body, logged=1)


def test_masked_errors_have_the_id_of_the_entry_in_the_log():
    seen = []

    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError) as caught:
            await root.callRemote("plain")
        seen.append(caught.value.message)
        assert caught.value.type.endswith("Unexpected")
        del caught

    [record] = run_paired(raising(Unexpected("the secret")), body, logged=1, mask_errors=True)
    entry = record.getMessage().rsplit("[", 1)[1].rstrip("]")
    assert entry in seen[0]
    assert "secret" not in seen[0]


def test_expected_errors_are_not_masked():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError, match="none left"):
            await root.callRemote("plain")

    run_paired(raising(OutOfStock("none left")), body, mask_errors=True)


def test_tracebacks_cross_only_where_they_are_allowed():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError) as caught:
            await root.callRemote("plain")
        seen.append(caught.value.traceback)
        del caught

    seen = []
    run_paired(raising(Unexpected("bang")), body, logged=1)
    run_paired(raising(Unexpected("bang")), body, logged=1, unsafe_tracebacks=True)
    assert seen[0] is None
    assert "in remote_plain" in seen[1]


def test_a_failed_call_without_answer_is_logged_and_nothing_is_sent():
    async def body(both):
        root = await both.client.getRootObject()
        for method in ("plain", "coroutine", "nowhere"):
            root.callRemoteOnly(method)
        await both.quiet()
        assert [frame[0] for frame in both.to_client.frames] == ["version"]

    run_paired(raising(Unexpected("bang")), body, logged=3)


def test_a_result_that_cannot_be_sent_is_the_calls_failure_and_is_logged():
    class Root(pb.Root):
        def remote_get(self):
            return [1, object()]

        async def remote_get_later(self):
            return {"a": "\ud800"}

    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.InsecureJelly, match=r"answer\[1\].*builtins.object"):
            await root.callRemote("get")
        with pytest.raises(pb.InsecureJelly, match=r"answer\.a .*surrogate"):
            await root.callRemote("get_later")

    run_paired(Root(), body, logged=2)


def test_a_bad_frame_of_a_batch_does_not_take_the_others_down():
    class Root(pb.Root):
        def remote_echo(self, value):
            return value

        def remote_bad(self):
            return "\ud800"

    async def body(both):
        root = await both.client.getRootObject()
        good = [root.callRemote("echo", n) for n in range(3)]
        bad = [
            root.callRemote("bad"),
            root.callRemote("echo", "\udfff"),
            root.callRemote("echo", object()),
            root.callRemote("n\u00f6"),
        ]
        more = [root.callRemote("echo", [n]) for n in range(3)]
        assert [await promise for promise in good + more] == [0, 1, 2, [0], [1], [2]]
        kinds = (pb.InsecureJelly, pb.InsecureJelly, pb.InsecureJelly, pb.NoSuchMethod)
        for promise, kind in zip(bad, kinds, strict=True):
            with pytest.raises(kind):
                await promise
        second = [frame[0] for frame in frames_of(both.to_server.messages[1])]
        assert second == ["message"] * 7

    run_paired(Root(), body, logged=1)


# ------------------------------------------------- errors with a state


class Lost(pb.Error, pb.Copyable, pb.RemoteCopy):
    pbType = "Lost"


class Broken(Exception, pb.Copyable, pb.RemoteCopy):
    pbType = "Broken"


class Copies(pb.Root):
    def remote_lose(self, cls, **state):
        error = {"Lost": Lost, "Broken": Broken}[cls]("lost")
        vars(error).update(state)
        error.add_note("kept at home")
        raise error

    def remote_fine(self):
        pass

    def remote_loseAnObject(self):
        error = Lost("lost")
        error.thing = [object()]
        raise error

    def remote_same(self, reference):
        return reference.callRemote("lose")


def copies():
    registry = pb.Registry()
    for cls in (Note, Lost, Broken):
        registry.setUnjellyableForClass(cls, cls)
    return registry


def test_an_exception_that_is_copyable_arrives_with_its_state():
    root = Copies()

    async def body(both):
        here = pb.Referenceable()
        with pytest.raises(Lost) as caught:
            await both.root.callRemote("lose", "Lost", note=Note(x=1), ref=here)
        assert vars(caught.value.note) == {"x": 1, "told": True}
        assert caught.value.ref is here
        assert str(caught.value) == "lost"
        assert not hasattr(caught.value, "__notes__")

    run_paired(root, body, registry=copies())


def test_an_unexpected_one_arrives_with_its_state_and_is_logged():
    async def body(both):
        with pytest.raises(Broken) as caught:
            await both.root.callRemote("lose", "Broken", code=5)
        assert caught.value.code == 5

    run_paired(Copies(), body, registry=copies(), logged=1)


def test_a_masked_one_keeps_its_state_at_home():
    async def body(both):
        with pytest.raises(Broken) as caught:
            await both.root.callRemote("lose", "Broken", code=5)
        assert not hasattr(caught.value, "code")
        assert "in the log of the peer" in str(caught.value)

    run_paired(Copies(), body, registry=copies(), mask_errors=True, logged=1)


def test_a_traceback_goes_along_where_it_was_allowed():
    async def body(both):
        with pytest.raises(Lost) as caught:
            await both.root.callRemote("lose", "Lost", code=5)
        assert "in remote_lose" in caught.value.traceback
        assert caught.value.code == 5

    run_paired(Copies(), body, registry=copies(), unsafe_tracebacks=True)


def test_a_state_that_cannot_cross_is_the_failure_in_place_of_its_exception():
    async def body(both):
        with pytest.raises(pb.InsecureJelly, match=r"^error\.thing\[0\] cannot be sent"):
            await both.root.callRemote("loseAnObject")
        assert await both.root.callRemote("fine") is None

    run_paired(Copies(), body, registry=copies(), logged=1)


def test_bytes_in_a_state_stand_in_the_frame():
    async def body(both):
        with pytest.raises(Lost) as caught:
            await both.root.callRemote("lose", "Lost", data=b"x" * 5000)
        assert caught.value.data == b"x" * 5000

    run_paired(Copies(), body, registry=copies())


def test_the_state_goes_on_from_a_peer_to_the_next():
    class Caller(pb.Referenceable):
        def remote_lose(self):
            error = Lost("lost")
            error.item = "tea"
            raise error

    async def body(both):
        with pytest.raises(Lost) as caught:
            await both.root.callRemote("same", Caller())
        assert caught.value.item == "tea"
        assert (caught.value.type, caught.value.message) == ("Lost", "lost")

    run_paired(Copies(), body, registry=copies())


# ------------------------------------------------- answers that wait for room


def holding_a_pond():
    """A peer with a copy of the test's, the cache 1."""
    peer = PeerUnderTest()
    pond = {"$": "cache", "id": 1, "type": "Pond", "state": {"ducks": []}}
    peer.feed_frames([["message", 1, "root", "keep", [pond]]])
    return peer


def test_a_cancel_of_a_call_whose_answer_waits_for_room_is_too_late():
    peer = PeerUnderTest()
    broker = peer.session.broker
    room, broker.room_frames = broker.room_frames, 0
    assert peer.feed('["message",1,"root","echo",["x"]]') == []
    assert broker.statistics()["calls_in_progress"] == 1
    assert peer.feed('["cancel",1]') == []
    broker.room_frames = room
    broker.let_go()
    assert peer.sent() == [["answer", 1, "x"]]


def test_the_answer_to_an_update_has_no_place_to_wait_when_all_are_taken():
    peer = holding_a_pond()
    broker = peer.session.broker
    for number in range(2, 2 + broker.limits.calls):
        peer.feed_frames([["message", number, "root", "wait"]])
    last = 2 + broker.limits.calls
    broker.room_frames = 0
    [[kind, request, failure]] = peer.feed_frames([["cachemessage", last, 1, "add", [7]]])
    assert (kind, request, failure["type"]) == ("error", last, "LimitExceeded")
    assert broker.statistics()["calls_in_progress"] == broker.limits.calls
