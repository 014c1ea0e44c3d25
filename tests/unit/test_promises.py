"""pbweb.promises: awaiting, settling, what nobody looked at, paths, and sugar."""

import asyncio
import gc

import pytest

import pbweb as pb
from pbweb.promises import RemotePromise, follow, remote
from pbweb.testing import SteppedRuntime, stepped_pair
from tests.unit.paired import run_paired


class Root(pb.Root):
    def remote_three(self, number):
        return number * 3

    def remote_fail(self):
        raise pb.Error("on purpose")

    def remote_data(self):
        return {"a": [1, {"b": "c"}]}

    def remote_echo(self, *args, **kw):
        return [list(args), kw]

    async def remote_wait(self):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("path", "value"), [((), {"a": [1, {"b": 2}]}), (("a",), [1, {"b": 2}]), (("a", 1, "b"), 2)]
)
def test_follow(path, value):
    assert follow({"a": [1, {"b": 2}]}, path) == value


@pytest.mark.parametrize(
    "path", [("b",), (0,), ("a", "0"), ("a", 2), ("a", -1), ("a", 0, 0), ("a", 1, "keys"), (True,)]
)
def test_follow_leads_nowhere(path):
    with pytest.raises(pb.InsecureJelly, match="leads nowhere"):
        follow({"a": [1, {"b": 2}]}, path)


def test_follow_never_looks_at_attributes():
    class Dict(dict):
        pass

    for value in (Dict(a=1), "text", Root(), 5):
        with pytest.raises(pb.InsecureJelly):
            follow(value, ("a",))
        with pytest.raises(pb.InsecureJelly):
            follow(value, ("__class__",))


def test_a_promise_can_be_awaited_again_and_by_many():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("three", 4)

        async def wait():
            return await promise

        assert await asyncio.gather(*(wait() for _ in range(5))) == [12] * 5
        assert await promise == await promise == promise.result() == 12
        failed = root.callRemote("fail")
        for _ in range(3):
            with pytest.raises(pb.Error, match="on purpose"):
                await failed

    run_paired(Root(), body)


def test_the_traceback_of_a_failure_does_not_grow():
    async def body(both):
        root = await both.client.getRootObject()
        failed = root.callRemote("fail")
        depths = []
        for _ in range(4):
            try:
                await failed
            except pb.Error as error:
                traceback, depth = error.__traceback__, 0
                while traceback:
                    traceback, depth = traceback.tb_next, depth + 1
                depths.append(depth)
        assert depths[0] >= depths[-1] > 0
        del traceback

    run_paired(Root(), body)


def test_awaitables_of_asyncio_take_a_promise():
    async def body(both):
        root = await both.client.getRootObject()
        assert await asyncio.gather(root.callRemote("three", 1), root.callRemote("three", 2)) == [
            3,
            6,
        ]
        assert await asyncio.wait_for(root.callRemote("three", 3), 10) == 9
        task = asyncio.ensure_future(root.callRemote("three", 4))
        assert await task == 12

    run_paired(Root(), body)


def test_parts_of_an_answer():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("data")
        assert await promise["a"][1]["b"] == "c"
        with pytest.raises(pb.InsecureJelly):
            await promise["a"][7]

    run_paired(Root(), body)


def test_a_failure_that_nobody_looked_at_is_reported():
    async def body(both):
        root = await both.client.getRootObject()
        root.callRemote("fail")
        await both.quiet()
        gc.collect()

    [record] = run_paired(Root(), body, logged=1)
    assert "Unhandled error" in record.getMessage()
    assert record.exc_info[0] is pb.Error


@pytest.mark.parametrize("look", ["await", "error", "then_call", "result"])
def test_a_failure_that_somebody_looked_at_is_not_reported(look):
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("fail")
        if look == "then_call":
            promise.then_call(lambda promise: promise.error())
        await both.quiet()
        if look == "await":
            with pytest.raises(pb.Error):
                await promise
        elif look == "error":
            assert isinstance(promise.error(), pb.Error)
        elif look == "result":
            with pytest.raises(pb.Error):
                promise.result()

    run_paired(Root(), body)


def test_a_lost_connection_is_no_failure_that_somebody_has_to_look_at():
    async def body(both):
        root = await both.client.getRootObject()
        root.callRemote("wait")
        await both.quiet()
        both.cut()
        gc.collect()

    run_paired(Root(), body, idle=False)


def test_repr_says_how_it_stands():
    link = stepped_pair(Root())
    root = link.client.broker.remoteForName("root")
    good, bad = root.callRemote("three", 1), root.callRemote("fail")
    assert repr(good) == "<RemotePromise 1 pending>"
    link.settle()
    assert repr(good) == "<RemotePromise 1 done>"
    assert repr(bad) == "<RemotePromise 2 failed>"
    assert bad.error()
    link.cut()


def promise_of(runtime):
    return RemotePromise(stepped_pair(runtime=runtime).client.broker)


def test_a_promise_settles_once():
    promise = promise_of(SteppedRuntime())
    called = []
    promise.then_call(called.append)
    promise.settle(1)
    promise.settle(2)
    promise.settle(error=ValueError())
    assert promise.result() == 1
    assert promise.error() is None
    assert called == [promise]
    promise.then_call(called.append)
    assert called == [promise, promise]


def test_a_coroutine_that_waits_goes_on():
    runtime = SteppedRuntime()
    promise = promise_of(runtime)
    got = []

    async def wait():
        got.append(await promise)

    runtime.spawn(wait(), None)
    runtime.spawn(wait(), None)
    runtime.run()
    assert got == []
    promise.settle(5)
    runtime.run()
    assert got == [5, 5]


def test_sugar():
    async def body(both):
        root = await both.client.getRootObject()
        assert await remote(root).three(12) == 36
        assert await remote(root).echo(1, key=2) == [[1], {"key": 2}]
        promise = remote(root).data()
        assert isinstance(promise, RemotePromise)
        assert await promise == {"a": [1, {"b": "c"}]}
        with pytest.raises(pb.NoSuchMethod, match="nowhere"):
            await remote(root).nowhere()
        for name in ("__wrapped__", "__fspath__", "__len__"):
            assert not hasattr(remote(root), name)

    run_paired(Root(), body)


def test_sugar_for_promises():
    async def body(both):
        root = await both.client.getRootObject()
        function = (await root.callRemote("echo", lambda number: number + 1))[0][0]
        assert await remote(root.callRemote("echo", function)[0][0]).call(5) == 6

    run_paired(Root(), body)


def test_one_that_waits_no_more_does_not_hinder_the_others():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("wait")
        patient, other = (asyncio.ensure_future(_wait_for(promise)) for _ in range(2))
        await asyncio.sleep(0)
        other.cancel()
        promise.settle(5)
        assert await patient == 5
        with pytest.raises(asyncio.CancelledError):
            await other
        both.client.session.close()  # the peer still works on it
        await both.quiet()

    run_paired(Root(), body, idle=False)


async def _wait_for(promise):
    return await promise


def test_a_promised_stream_that_is_closed_is_closed_where_it_comes_from():
    closed = []

    class Source(pb.Root):
        async def remote_items(self):
            try:
                for number in range(1000):
                    yield number
            finally:
                closed.append(True)

    async def body(both):
        root = await both.client.getRootObject()
        stream = aiter(root.callRemote("items"))
        assert await anext(stream) == 0
        await stream.aclose()
        assert closed == [True]

    run_paired(Source(), body)
