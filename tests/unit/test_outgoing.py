"""pbweb.outgoing: calls of ours, pipelining, cancelling, holding back, and what is lost."""

import asyncio
import gc
from dataclasses import replace

import orjson
import pytest

import pbweb as pb
from pbweb.testing import SteppedRuntime, frames_of, pair, stepped_pair
from tests.unit.alone import opened
from tests.unit.paired import run_paired
from tests.unit.vectors import FixtureRoot


class Two(pb.Referenceable):
    def __init__(self, log=None):
        self.log = [] if log is None else log

    def remote_three(self, number):
        self.log.append(number)
        return number * 3

    async def remote_slow(self, number):
        self.log.append(number)
        await asyncio.sleep(0)
        return number


class One(pb.Root):
    def __init__(self):
        self.log = []
        self.go = asyncio.Event()
        self.two = Two(self.log)

    def remote_getTwo(self):
        return self.two

    async def remote_getTwoLater(self):
        await self.go.wait()
        return self.two

    def remote_go(self):
        self.go.set()

    def remote_echo(self, *args, **kw):
        self.log.append(("echo", args, kw))
        return args[0] if args else kw

    def remote_data(self):
        return {"items": [self.two, {"deep": self.two}], "number": 5, "none": None}

    def remote_fail(self):
        raise pb.Error("failed on purpose")

    async def remote_failLater(self):
        await self.go.wait()
        raise ValueError("failed later")

    async def remote_wait(self):
        await asyncio.Event().wait()

    def remote_give(self, value):
        return value

    async def remote_giveLater(self, value):
        await self.go.wait()
        return value

    def remote_log(self):
        return self.log


def names_and_targets(frames):
    return [(frame[3], frame[2]) for frame in frames if frame[0] == "message"]


def in_one_round_trip(both):
    """The client sent all its calls in one message, before anything came."""
    calls = [m for m in both.to_server.messages if frames_of(m)[0][0] == "message"]
    return len(calls) == 1


def stepped():
    """A stepped pair with the fixture of the vectors."""
    runtime = SteppedRuntime()
    return stepped_pair(FixtureRoot(runtime), runtime=runtime)


# ------------------------------------------------------------- the frames


def test_a_call_as_a_frame():
    link = stepped_pair()
    root = link.client.broker.remoteForName("root")
    root.callRemoteOnly("a")
    root.callRemoteOnly("b", 1, "x")
    root.callRemoteOnly("c", [1], key={"k": 2})
    root.callRemoteOnly("d", key=1)
    promises = [root.callRemote("e"), root.call("f", (1,), {"k": 2}, timeout=1.5)]
    promises.append(root.call("g", timeout=2))
    frames = link.client.broker.outbox
    assert [frame[:4] for frame in frames] == [["message", 0, "root", name] for name in "abcd"] + [
        ["message", n, "root", name] for n, name in enumerate("efg", 1)
    ]
    assert [len(frame) for frame in frames] == [4, 5, 6, 6, 4, 7, 7]
    assert frames[1][4] == [1, "x"]
    assert frames[5][6] == {"deadline": 1.5}
    assert frames[6][4:] == [[], {}, {"deadline": 2}]
    link.cut()
    assert all(type(promise.error()) is pb.PBConnectionLost for promise in promises)


def test_keywords_of_all_names_can_be_passed():
    async def body(both):
        root = await both.client.getRootObject()
        kw = dict.fromkeys(("name", "_name", "args", "kw", "timeout", "path", "ref"), 1)
        assert await root.callRemote("echo", **kw) == kw

    run_paired(One(), body)


@pytest.mark.parametrize("name", ["größe", "", None, 5, "a\ud800"])
def test_a_name_that_cannot_be_a_methods_name_fails_here(name):
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.NoSuchMethod):
            await root.call(name)

    run_paired(One(), body)


def test_what_cannot_be_sent_fails_the_promise_and_changes_nothing():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("getTwo")
        before = both.client.broker.statistics()
        mine = Two()
        for bad in (object(), "\ud800", 10**2000, [mine, {"x": object()}], {"then": mine}):
            promise = root.callRemote("echo", mine, bad)
            assert promise.done
            with pytest.raises((pb.InsecureJelly, pb.LimitExceeded)):
                await promise
        assert both.client.broker.statistics()["handed_out"] == before["handed_out"] == 0
        assert await root.callRemote("give", 5) == 5
        sent = [frame for frame in both.to_server.frames if frame[0] == "message"]
        assert [frame[1] for frame in sent] == [1, 2]

    run_paired(One(), body)


def test_a_call_without_answer_raises_at_once_what_cannot_be_sent():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.InsecureJelly, match=r"args\[0\]"):
            root.callRemoteOnly("echo", object())
        root.release()
        with pytest.raises(pb.DeadReferenceError):
            root.callRemoteOnly("echo")

    run_paired(One(), body)


def test_the_arguments_are_those_of_the_moment_of_the_call():
    async def body(both):
        root = await both.client.getRootObject()
        value = [1]
        promise = root.callRemote("echo", value)
        value.append(2)
        assert await promise == [1]

    run_paired(One(), body)


def test_a_frame_over_the_limit_of_the_message_is_refused_here():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("go")
        with pytest.raises(pb.LimitExceeded, match="message"):
            await root.callRemote("echo", "x" * 5000)
        assert await root.callRemote("echo", "x" * 4000) == "x" * 4000
        with pytest.raises(pb.LimitExceeded, match="message"):
            await root.callRemote("echo", Two(), b"x" * 5000)
        assert both.client.broker.statistics()["handed_out"] == 0

    run_paired(One(), body, limits=pb.Limits(message=4500))


# -------------------------------------------------------------- pipelining


def test_a_call_on_a_promise_is_one_round_trip():
    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("getTwo").callRemote("three", 12) == 36
        assert in_one_round_trip(both)
        assert names_and_targets(both.to_server.frames) == [("getTwo", "root"), ("three", -1)]

    run_paired(One(), body)


def test_a_promise_as_an_argument_is_one_round_trip():
    async def body(both):
        root = await both.client.getRootObject()
        six = root.callRemote("getTwo").callRemote("three", 2)
        assert await root.callRemote("getTwo").callRemote("three", six) == 18
        assert await root.callRemote("echo", [{"a": six}]) == [{"a": 6}]

    run_paired(One(), body)


def test_a_promise_as_an_argument_while_it_is_not_there():
    async def body(both):
        root = await both.client.getRootObject()
        later = root.callRemote("giveLater", [1])
        kw = root.callRemote("echo", key=later)
        args = root.callRemote("echo", {"in": [later, later[0]]})
        await both.quiet()
        assert not kw.done
        await root.callRemote("go")
        assert await kw == {"key": [1]}
        assert await args == {"in": [[1], 1]}

    run_paired(One(), body)


def test_parts_of_an_answer_can_be_called_awaited_and_passed():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        data = root.callRemote("data")
        assert await data["items"][0].callRemote("three", 1) == 3
        assert await data["items"][1]["deep"].callRemote("three", 2) == 6
        assert await data["number"] == 5
        assert await root.callRemote("echo", data["number"]) == 5
        [first] = [f for f in both.to_server.frames if f[0] == "message" and type(f[2]) is dict][:1]
        assert first[2] == {"$": "answer", "id": 1, "path": ["items", 0]}

    run_paired(root_object, body)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (("nowhere",), pb.InsecureJelly),
        (("items", 5), pb.InsecureJelly),
        (("items", "0"), pb.InsecureJelly),
        (("number", 0), pb.InsecureJelly),
        ((0,), pb.InsecureJelly),
        (("items", 0, "log"), pb.InsecureJelly),
        (("number",), pb.NoSuchMethod),
        (("none",), pb.NoSuchMethod),
        ((), pb.NoSuchMethod),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_path_that_leads_nowhere_and_a_value_without_methods(path, error, there):
    async def body(both):
        root = await both.client.getRootObject()
        target = root.callRemote("data")
        if there:
            await target
        for item in path:
            target = target[item]
        with pytest.raises(error):
            await target.callRemote("three", 1)

    run_paired(One(), body)


def test_a_path_is_never_an_attribute():
    async def body(both):
        root = await both.client.getRootObject()
        for name in ("log", "__class__", "remote_three"):
            with pytest.raises(pb.InsecureJelly):
                await root.callRemote("getTwo")[name].callRemote("append", 1)

    run_paired(One(), body)


@pytest.mark.parametrize("method", ["fail", "failLater"])
def test_a_step_that_fails_fails_what_hangs_on_it_with_the_same_failure(method):
    root_object = One()
    later = method == "failLater"

    async def body(both):
        root = await both.client.getRootObject()
        first = root.callRemote(method)
        hanging = [
            first.callRemote("three", 1),
            first.callRemote("three", 1).callRemote("more"),
            root.callRemote("echo", first),
            root.callRemote("echo", [first["a"]]),
        ]
        await root.callRemote("go")
        errors = []
        for promise in [first, *hanging]:
            with pytest.raises(pb.Error) as caught:
                await promise
            errors.append((caught.value.type, caught.value.message))
            del caught
        assert len(set(errors)) == 1
        assert errors[0][1] == ("failed later" if later else "failed on purpose")
        assert root_object.log == []

    run_paired(root_object, body, logged=1 if later else 0)


def test_calls_that_wait_for_one_answer_start_in_the_order_sent():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        later = root.callRemote("getTwoLater")
        promises = [later.callRemote(("three", "slow")[n % 2], n) for n in range(6)]
        promises.append(root.callRemote("echo", later, 99))
        for promise in promises:
            assert not promise.done
        await root.callRemote("go")
        results = [await promise for promise in promises]
        assert results[:6] == [0, 1, 6, 3, 12, 5]
        assert root_object.log[:6] == [0, 1, 2, 3, 4, 5]
        assert root_object.log[6][1][1] == 99
        del results

    run_paired(root_object, body)


def test_a_call_that_waits_holds_up_nothing_else():
    async def body(both):
        root = await both.client.getRootObject()
        waits = root.callRemote("getTwoLater").callRemote("three", 1)
        assert await root.callRemote("give", 5) == 5
        assert not waits.done
        await root.callRemote("go")
        assert await waits == 3

    run_paired(One(), body)


def test_an_answer_may_be_named_until_it_was_acknowledged():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("getTwo")
        await both.quiet()
        for n in range(50):
            assert await root.callRemote("give", n) == n
        assert both.server.broker.incoming.count() == 0
        assert await promise.callRemote("three", 3) == 9

    run_paired(One(), body)


def test_cancelling_a_call_cancels_what_hangs_on_it():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        first = root.callRemote("getTwoLater")
        hanging = [first.callRemote("three", 1), root.callRemote("echo", first)]
        await both.quiet()
        first.cancel()
        for promise in [first, *hanging]:
            with pytest.raises(pb.CancelledError):
                await promise
        assert root_object.log == []

    run_paired(root_object, body)


def test_cancelling_a_call_that_waits_leaves_what_it_waits_for():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        first = root.callRemote("getTwoLater")
        second = first.callRemote("three", 1)
        third = second.callRemote("more")
        await both.quiet()
        second.cancel()
        for promise in (second, third):
            with pytest.raises(pb.CancelledError):
                await promise
        assert not first.done
        await root.callRemote("go")
        assert await first is not None
        assert root_object.log == []

    run_paired(root_object, body)


def test_a_promise_of_ones_own_object_is_called_over_the_wire_then_at_home_in_order():
    mine = Two()

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("give", mine)
        promises = [promise.callRemote("slow", 1)]
        both.to_client.hold()
        both.client.flush()
        for _ in range(5):
            await asyncio.sleep(0)
        both.to_client.step()  # the answer, and the relayed call back
        assert await promise is mine
        promises += [promise.callRemote("three", 2), promise.callRemote("slow", 3)]
        await both.quiet()
        assert mine.log == [1]
        both.to_client.let_go()
        assert [await one for one in promises] == [1, 6, 3]
        assert mine.log == [1, 2, 3]
        assert await promise.callRemote("three", 4) == 12

    run_paired(One(), body)


def test_a_local_call_on_a_promise_fails_as_a_remote_one_would():
    class Mine(pb.Referenceable):
        def remote_fail(self):
            raise OSError("mine")

        async def remote_wait(self):
            await asyncio.Event().wait()

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("give", Mine())
        await promise
        with pytest.raises(OSError, match="mine"):
            await promise.callRemote("fail")
        with pytest.raises(pb.NoSuchMethod):
            await promise.callRemote("nowhere")

    run_paired(One(), body)


class Home(pb.Referenceable):
    """Ours, called at home."""

    def __init__(self):
        self.log = []

    def remote_note(self, value):
        self.log.append(value)

    async def remote_wait(self):
        self.log.append("waiting")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.log.append("stopped")


def test_a_call_of_what_came_home_can_be_cancelled_and_times_out():
    mine = Home()

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("give", mine)
        assert await promise is mine
        promise.callRemoteOnly("note", 1)
        waiting = promise.callRemote("wait")
        await both.quiet()
        gc.collect()
        waiting.cancel()
        with pytest.raises(pb.CancelledError):
            await waiting
        late = promise.call("wait", timeout=5)
        await both.quiet()
        both.clock.turn(5)
        with pytest.raises(TimeoutError):
            await late
        await both.quiet()
        assert mine.log == [1, "waiting", "stopped", "waiting", "stopped"]

    run_paired(One(), body)


def test_a_call_at_home_that_waits_behind_pipelined_ones_can_be_cancelled():
    mine = Home()

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("give", mine)
        first = promise.callRemote("wait")
        both.to_client.hold()
        await both.quiet()
        both.to_client.step()  # the version
        while not promise.done:
            both.to_client.step()
        behind = promise.callRemote("note", 1)
        last = promise.callRemote("note", 2)
        behind.cancel()
        with pytest.raises(pb.CancelledError):
            await behind
        assert not first.done
        first.cancel()
        both.to_client.let_go()
        with pytest.raises(pb.CancelledError):
            await first
        await last
        assert mine.log[-1] == 2
        assert 1 not in mine.log

    run_paired(One(), body)


def test_what_a_call_at_home_will_give_cannot_be_called_before_it_is_there():
    mine = Home()

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("give", mine)
        await promise
        waiting = promise.callRemote("wait")
        with pytest.raises(pb.DeadReferenceError, match="was not sent"):
            await waiting.callRemote("note", 1)
        await both.quiet()
        waiting.cancel()
        with pytest.raises(pb.CancelledError):
            await waiting
        await both.quiet()
        assert mine.log == ["waiting", "stopped"]

    run_paired(One(), body)


@pytest.mark.parametrize("eager", [False, True])
def test_a_call_at_home_that_is_cancelled_before_its_first_step_ends_as_well(eager):
    mine = Home()
    link = stepped_pair(One(), runtime=SteppedRuntime(eager=eager))
    promise = link.client.broker.remoteForName("root").callRemote("give", mine)
    link.settle()
    noted, last = promise.callRemote("note", 1), promise.callRemote("note", 2)
    noted.cancel()
    assert noted.done
    if not eager:
        assert type(noted.error()) is pb.CancelledError
    link.settle()
    assert last.result() is None
    assert mine.log == ([1, 2] if eager else [2])
    del noted, last, promise
    link.assert_idle()


@pytest.mark.parametrize("eager", [False, True])
def test_a_call_at_home_that_ends_in_its_first_step_is_over(eager):
    mine = Home()
    link = stepped_pair(One(), runtime=SteppedRuntime(eager=eager))
    promise = link.client.broker.remoteForName("root").callRemote("give", mine)
    link.settle()
    noted = promise.callRemote("note", 1)
    assert noted.done == eager
    link.settle()
    assert noted.result() is None
    assert mine.log == [1]
    noted.cancel()
    del noted, promise
    link.assert_idle()


def test_a_task_of_a_call_at_home_is_not_lost_when_nobody_holds_its_promise():
    mine = Home()

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("give", mine)
        await promise
        waiting = promise.callRemote("wait")
        await both.quiet()
        kept = [waiting.then_call(lambda promise: promise.error())]
        del waiting
        gc.collect()
        await both.quiet()
        assert mine.log == ["waiting"]
        [task] = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        task.cancel()
        await both.quiet()
        assert mine.log == ["waiting", "stopped"]
        assert kept == [None]
        del task

    run_paired(One(), body)


def test_a_call_without_answer_that_was_held_back_and_cannot_be_sent_is_logged():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("give", 0)
        first = root.callRemote("giveLater", 1)
        two = await asyncio.wait_for(both.client.getRootObject(), 10)
        assert two is root
        root.callRemoteOnly("echo", object())
        root.callRemoteOnly("echo", "good")
        root_object.go.set()
        assert await first == 1
        await both.quiet()
        assert [entry[1] for entry in root_object.log] == [("good",)]

    run_paired(root_object, body, limits=pb.Limits(calls=1), client_limits=pb.Limits(), logged=1)


def test_exceptions_cross_as_values():
    async def body(both):
        root = await both.client.getRootObject()
        error = await root.callRemote("give", ValueError("as a value"))
        assert type(error) is pb.RemoteError
        assert error.check(ValueError)
        found = await root.callRemote("give", {"e": [pb.NoSuchMethod("x")]})
        assert type(found["e"][0]) is pb.NoSuchMethod

    run_paired(One(), body)


def test_a_promise_of_another_connection_is_refused_until_it_is_there():
    async def body(both):
        async with pair(One()) as other:
            root, theirs = await both.client.getRootObject(), await other.client.getRootObject()
            promise = theirs.callRemote("give", [1])
            with pytest.raises(pb.InsecureJelly, match="await it first"):
                await root.callRemote("echo", promise)
            await promise
            assert await root.callRemote("echo", promise) == [1]
            del root, theirs, promise
            await other.assert_idle()

    run_paired(One(), body)


# -------------------------------------------------------------- cancelling


def test_a_task_that_is_cancelled_cancels_its_call():
    async def body(both):
        root = await both.client.getRootObject()

        async def wait():
            await root.callRemote("wait")

        task = asyncio.ensure_future(wait())
        await both.quiet()
        assert both.server.broker.incoming.count() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        await both.quiet()
        assert both.server.broker.incoming.count() == 0
        assert [f[0] for f in both.to_server.frames].count("cancel") == 1

    run_paired(One(), body)


def test_asyncio_timeout_cancels_the_call():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await root.callRemote("wait")
        await both.quiet()
        assert both.server.broker.incoming.count() == 0

    run_paired(One(), body)


def test_one_of_two_that_await_a_promise_does_not_cancel_it():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("giveLater", 5)

        async def wait():
            return await promise

        one, two = asyncio.ensure_future(wait()), asyncio.ensure_future(wait())
        await both.quiet()
        one.cancel()
        await both.quiet()
        await root.callRemote("go")
        assert await two == 5
        assert "cancel" not in [frame[0] for frame in both.to_server.frames]

    run_paired(One(), body)


def test_the_peer_may_find_first_that_a_call_is_out_of_time():
    link = stepped()
    promise = link.client.broker.remoteForName("root").call("wait", timeout=2)
    link.settle()
    link.runtime._now += 2  # both clocks are there, and the peer is the first to look
    link.server.broker.incoming.cancel(1)
    link.settle()
    assert isinstance(promise.error(), TimeoutError)
    assert "2 seconds" in str(promise.error())


def test_the_timeout_of_a_call():
    link = stepped()
    root = link.client.broker.remoteForName("root")
    promise = root.call("wait", timeout=2)
    link.settle()
    link.runtime.advance(1.9)
    assert not promise.done
    link.runtime.advance(0.2)
    assert isinstance(promise.error(), TimeoutError)
    assert "2 seconds" in str(promise.error())
    link.settle()
    assert link.server.broker.incoming.count() == 0
    del promise, root
    link.assert_idle()


def test_a_call_that_was_answered_has_no_timer_left():
    link = stepped()
    link.settle()
    before = link.runtime.timers()
    promise = link.client.broker.remoteForName("root").call("echo", (5,), timeout=100)
    link.settle()
    assert promise.result() == 5
    del promise
    link.assert_idle()
    assert link.runtime.timers() == before


def test_a_late_answer_after_a_timeout_is_dropped_and_given_back():
    async def body(both):
        root = await both.client.getRootObject()
        both.to_client.hold()
        late = root.call("getTwo", timeout=5)
        await both.quiet()
        both.clock.turn(5)
        with pytest.raises(TimeoutError):
            await late
        both.to_client.let_go()
        await both.quiet()

    run_paired(One(), body)


# ------------------------------------------------- the peer's limit of calls


def test_calls_are_held_back_at_the_announced_limit_and_go_in_their_order():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("give", 0)
        first = [root.callRemote("giveLater", n) for n in range(3)]
        more = [root.callRemote("echo", n) for n in range(5)]
        root.callRemoteOnly("echo", 5)
        more += [root.callRemote("echo", 6)]
        await both.quiet()
        calls = [frame for frame in both.to_server.frames if frame[0] == "message"]
        assert len(calls) == 4
        assert both.client.broker.statistics()["calls_waiting"] == 10
        root_object.go.set()
        assert [await promise for promise in first + more] == [0, 1, 2, 0, 1, 2, 3, 4, 6]
        assert [entry[1][0] for entry in root_object.log] == [0, 1, 2, 3, 4, 5, 6]

    run_paired(root_object, body, limits=pb.Limits(calls=3), client_limits=pb.Limits())


def test_a_call_that_is_held_back_can_be_cancelled_and_never_goes_out():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("give", 0)
        first = root.callRemote("giveLater", 1)
        held = root.callRemote("echo", 2)
        third = root.callRemote("echo", 3)
        held.cancel()
        with pytest.raises(pb.CancelledError, match="before it was sent"):
            await held
        root_object.go.set()
        assert [await first, await third] == [1, 3]
        assert [entry[1][0] for entry in root_object.log] == [3]

    run_paired(root_object, body, limits=pb.Limits(calls=1), client_limits=pb.Limits())


def test_a_call_that_is_held_back_on_a_promise_that_is_there_by_then():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("give", 0)
        first = root.callRemote("getTwoLater")
        second = first.callRemote("three", 5)
        third = root.callRemote("echo", [first])
        await both.quiet()
        root_object.go.set()
        assert await second == 15
        assert (await third)[0] is await first

    run_paired(root_object, body, limits=pb.Limits(calls=1), client_limits=pb.Limits())


def test_calls_that_are_held_back_keep_their_timeout():
    root_object = One()

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("give", 0)
        first = root.callRemote("giveLater", 1)
        late = root.call("echo", (2,), timeout=5)
        await both.quiet()
        both.clock.turn(5)
        with pytest.raises(TimeoutError):
            await late
        root_object.go.set()
        assert await first == 1
        assert root_object.log == []

    run_paired(root_object, body, limits=pb.Limits(calls=1), client_limits=pb.Limits())


def test_a_call_that_waited_for_room_waits_for_the_peers_limit_behind_that():
    alone = opened(is_server=False)
    broker = alone.session.broker
    broker.peer_limits = replace(broker.peer_limits, calls=1)
    root, room = broker.remoteForName("root"), broker.room_frames
    broker.room_frames = 0
    promises = [root.callRemote("echo", number) for number in range(3)]
    assert alone.sent() == []
    broker.room_frames = room
    broker.let_go()
    assert alone.sent() == [["message", 1, "root", "echo", [0]]]
    assert broker.statistics()["calls_waiting"] == 3
    assert alone.feed(["answer", 1, "a"]) == [["message", 2, "root", "echo", [1]]]
    assert alone.feed(["answer", 2, "b"]) == [["message", 3, "root", "echo", [2]]]
    alone.feed(["answer", 3, "c"])
    assert [promise.result() for promise in promises] == ["a", "b", "c"]


# ------------------------------------------------------------- what is lost


def test_what_is_known_of_calls_that_were_lost():
    link = stepped()
    root = link.client.broker.remoteForName("root")
    link.settle()
    executed = root.callRemote("wait")
    link.settle()
    link.runtime.advance(0.3)
    link.settle()  # acknowledged
    written = root.callRemote("wait")
    link.flush()
    unwritten = root.callRemote("wait")
    link.runtime.run()
    hanging = executed.callRemote("three", 1)
    link.client.broker.room_frames = link.client.broker.room_bytes = 0
    held = root.callRemote("wait")
    assert len(link.client.broker.outbox) == 2
    promises = [executed, written, unwritten, hanging, held]
    link.cut()
    errors = [promise.error() for promise in promises]
    assert {type(error) for error in errors} == {pb.PBConnectionLost}
    assert [error.outcome for error in errors] == [
        "executed_answer_lost",
        "unknown",
        "not_executed",
        "not_executed",
        "not_executed",
    ]
    for error in errors:
        assert error.outcome in str(error)
    assert len({id(error) for error in errors}) == 5


def test_a_call_that_named_an_answer_still_open_is_unknown():
    link = stepped()
    root = link.client.broker.remoteForName("root")
    first = root.callRemote("wait")
    hanging = [first.callRemote("three", 1), root.callRemote("echo", [first])]
    link.settle()
    link.runtime.advance(0.3)
    link.settle()  # all of it is acknowledged
    link.cut()
    assert first.error().outcome == "executed_answer_lost"
    assert [promise.error().outcome for promise in hanging] == ["unknown", "unknown"]


def test_calls_after_the_end_fail_at_once():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("give", 1)
        both.cut()
        promise = root.callRemote("give", 1)
        assert promise.done
        with pytest.raises(pb.DeadReferenceError) as dead:
            await promise
        assert dead.value.outcome == "not_executed"
        with pytest.raises(pb.DeadReferenceError) as dead:
            root.callRemoteOnly("give", 1)
        assert dead.value.outcome == "not_executed"

    run_paired(One(), body, idle=False)


def test_a_call_on_a_promise_after_the_end_fails():
    async def body(both):
        root = await both.client.getRootObject()
        waiting, done = root.callRemote("wait"), root.callRemote("getTwo")
        await done
        both.cut()
        for promise, kinds in (
            (waiting.callRemote("three", 1), (pb.PBConnectionLost, pb.DeadReferenceError)),
            (done.callRemote("three", 1), (pb.DeadReferenceError,)),
        ):
            with pytest.raises(kinds):
                await promise
        with pytest.raises(pb.PBConnectionLost):
            await waiting

    run_paired(One(), body, idle=False)


def test_answers_and_errors_that_were_never_asked_for_are_4400():
    for frame in (["answer", 1], ["error", 1, {"$": "failure"}], ["answer", 5, 1]):
        link = stepped()
        link.settle()
        link.client.receive(orjson.dumps(frame))
        assert link.client.closing[0] == 4400


@pytest.mark.parametrize(
    "failure", [{}, {"$": "set", "items": []}, {"$": "failure"}, {"$": "failure", "type": 5}]
)
def test_an_error_that_brings_no_failure(failure):
    link = stepped()
    promise = link.client.broker.remoteForName("root").callRemote("wait")
    link.settle()
    link.client.receive(orjson.dumps(["error", 1, failure]))
    assert type(promise.error()) is pb.InsecureJelly
    assert link.client.closing is None


def test_an_answer_that_names_another_answer_is_refused():
    link = stepped()
    promise = link.client.broker.remoteForName("root").callRemote("wait")
    link.settle()
    for value in ({"$": "answer", "id": 1}, [{"$": "answer", "id": 1}]):
        link = stepped()
        promise = link.client.broker.remoteForName("root").callRemote("wait")
        link.settle()
        link.client.receive(orjson.dumps(["answer", 1, value]))
        assert type(promise.error()) is pb.InsecureJelly
        assert link.client.closing is None


class Lost(pb.Error, pb.RemoteCopy):
    pass


ELSEWHERE = '{"$":"bytes","\\u0061t":0}'
"""Bytes beside a text message, as a peer writes them that does not want them to be seen at once."""


@pytest.mark.parametrize(
    "frame",
    [
        f'["answer",1,{ELSEWHERE}]',
        '["error",1,{"$":"failure","type":"Lost","message":"b","parents":[],'
        f'"state":{{"a":{ELSEWHERE}}}}}]',
    ],
)
def test_bytes_that_are_not_there_fail_the_call_and_end_the_session(frame):
    registry = pb.Registry()
    registry.setUnjellyableForClass("Lost", Lost)
    runtime = SteppedRuntime()
    link = stepped_pair(FixtureRoot(runtime), runtime=runtime, registry=registry)
    promise = link.client.broker.remoteForName("root").callRemote("wait")
    link.settle()
    link.client.receive(frame.encode())
    assert isinstance(promise.error(), pb.Error)
    assert link.client.closing[0] == 4400


class Tells(pb.Root):
    """Calls back, and answers behind that."""

    def remote_go(self, them, fail):
        for name in ("slowly", "quickly"):
            them.callRemoteOnly(name)
        if fail:
            raise pb.Error("as it was told to")
        return 1


@pytest.mark.parametrize("fail", [False, True])
def test_an_answer_is_not_there_before_the_calls_that_came_before_it_have_got_control(fail):
    seen = []

    class Them(pb.Referenceable):
        async def remote_slowly(self):
            seen.append(("slowly", promise.done))

        def remote_quickly(self):
            seen.append(("quickly", promise.done))

    them = Them()

    async def body(both):
        nonlocal promise
        promise = both.root.callRemote("go", them, fail)
        if fail:
            with pytest.raises(pb.Error, match="as it was told to"):
                await promise
        else:
            assert await promise == 1
        assert seen == [("slowly", False), ("quickly", False)]

    promise = None
    run_paired(Tells(), body)
