"""pbweb.testing: the kit that the other tests, and applications', stand on."""

import asyncio
import contextvars

import pytest

import pbweb as pb
from pbweb import testing
from pbweb.runtime import Runtime
from pbweb.testing import (
    SteppedCancelled,
    SteppedRuntime,
    frames_of,
    pair,
    stepped_pair,
    tables,
)
from tests.unit.paired import run_paired


class Root(pb.Root):
    def remote_echo(self, value):
        return value

    def remote_new(self):
        return Root()

    async def remote_wait(self):
        await asyncio.Event().wait()

    async def remote_nap(self):
        for _ in range(50):
            await asyncio.sleep(0)
        return "rested"


def test_a_pair_unpacks_into_its_sides():
    async def body(both):
        client, server = both
        assert client is both.client
        assert server is both.server
        assert not client.session.is_server
        assert server.session.is_server

    run_paired(Root(), body)


@pytest.mark.parametrize("root", [Root, Root(), lambda: Root(), None])
def test_a_root_is_an_object_a_class_or_a_factory(root):
    async def body(both):
        ref = await both.client.getRootObject()
        if root is None:
            with pytest.raises(pb.DeadReferenceError):
                await ref.callRemote("echo", 1)
        else:
            assert await ref.callRemote("echo", 1) == 1

    run_paired(root, body)


def test_the_root_is_at_hand():
    async def body(both):
        assert both.root is await both.client.getRootObject()
        assert await both.root.callRemote("echo", 1) == 1

    run_paired(Root(), body)


def test_messages_are_recorded():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("echo", b"x" * 5000)
        await root.callRemote("echo", [1, 2])
        assert [frame[0] for frame in both.to_server.frames[:3]] == ["version"] + ["message"] * 2
        assert both.to_client.frames[-1] == ["answer", 2, [1, 2]]
        assert [binary for _, binary in both.to_client.messages] == [False, True, False]

    run_paired(Root(), body)


def test_a_way_that_is_held_delivers_step_by_step():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("echo", 0)
        both.to_client.hold()
        first = root.callRemote("echo", 1)
        await both.quiet()
        second = root.callRemote("echo", 2)
        await both.quiet()
        assert len(both.to_client.waiting) == 2
        assert not first.done
        assert frames_of(both.to_client.step()) == [["answer", 2, 1]]
        assert first.done
        assert not second.done
        both.to_client.step()
        assert await second == 2
        with pytest.raises(IndexError):
            both.to_client.step()
        both.let_go()

    run_paired(Root(), body)


def test_a_link_whose_buffer_is_full_holds_the_sender_back():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("echo", 0)
        both.to_server.fill()
        before = len(both.to_server.messages)
        promises = [root.callRemote("echo", n) for n in range(5)]
        await both.quiet()
        assert len(both.to_server.messages) == before
        both.to_server.drain()
        assert [await promise for promise in promises] == list(range(5))

    run_paired(Root(), body)


def test_a_cut_loses_what_is_on_its_way_at_both_sides():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("echo", 0)
        both.hold()
        promise = root.callRemote("echo", 1)
        await both.quiet()
        both.cut("the cable")
        with pytest.raises(pb.PBConnectionLost, match="the cable"):
            await promise
        assert both.server.session.ended

    run_paired(Root(), body, idle=False)


def test_quiet_waits_for_whoever_is_ready_and_for_nobody_else():
    async def body(both):
        root = await both.client.getRootObject()
        nap, wait = root.callRemote("nap"), root.callRemote("wait")
        await both.quiet()
        assert nap.result() == "rested"
        assert not wait.done
        wait.cancel()
        with pytest.raises(pb.CancelledError):
            await wait

    run_paired(Root(), body)


def test_quiet_does_not_wait_for_ever():
    async def restless():
        while True:
            await asyncio.sleep(0)

    async def body(both):
        task = asyncio.ensure_future(restless())
        with pytest.raises(RuntimeError, match="did not come to rest"):
            await both.quiet()
        task.cancel()

    run_paired(Root(), body)


def test_assert_idle_says_what_is_left():
    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("new")
        with pytest.raises(AssertionError, match=r"the client is not idle: .*'held': 1"):
            await both.assert_idle()
        wait = root.callRemote("wait")
        ref.release()
        with pytest.raises(AssertionError, match="calls_waiting"):
            await both.assert_idle()
        wait.cancel()
        wait.then_call(lambda promise: promise.error())

    run_paired(Root(), body)


def test_a_body_that_raises_ends_the_pair_all_the_same():
    sides = []

    async def main():
        async with pair(Root()) as both:
            sides.extend(both)
            raise KeyError("the test's own")

    with pytest.raises(KeyError):
        asyncio.run(main())
    assert all(side.session.ended for side in sides)
    assert not any(any(tables(side.session).values()) for side in sides)


def test_what_is_delivered_does_not_run_in_the_senders_context():
    variable = contextvars.ContextVar("variable", default="unset")

    class Looks(pb.Root):
        def remote_look(self):
            return variable.get()

    async def body(both):
        root = await both.client.getRootObject()
        variable.set("set by the caller")
        assert await root.callRemote("look") == "unset"

    run_paired(Looks(), body)


# ---------------------------------------------------------- the pure half


@pytest.mark.parametrize("eager", [False, True])
def test_a_stepped_runtime_runs_tasks_in_their_order(eager):
    runtime = SteppedRuntime(eager=eager)
    log = []

    async def work(name):
        log.append(name)
        future = runtime.future()
        runtime.soon(future.set_result, None)
        await future
        log.append(f"{name} went on")

    runtime.spawn(work("a"), None)
    runtime.spawn(work("b"), None)
    assert log == (["a", "b"] if eager else [])
    runtime.run()
    assert log == ["a", "b", "a went on", "b went on"]
    assert not runtime.step()


def test_a_stepped_clock_moves_only_by_hand():
    runtime = SteppedRuntime()
    log = []
    runtime.call_later(2, log.append, "two")
    runtime.call_later(1, log.append, "one")
    cancelled = runtime.call_later(1.5, log.append, "cancelled")
    runtime.call_later(1, lambda: runtime.call_later(0.5, log.append, "nested"))
    cancelled.cancel()
    runtime.run()
    assert log == []
    assert runtime.timers() == 3
    runtime.advance(1.6)
    assert log == ["one", "nested"]
    assert runtime.clock() == 1.6
    runtime.advance(1)
    assert log == ["one", "nested", "two"]
    assert runtime.timers() == 0


def test_a_stepped_task_can_be_cancelled():
    runtime = SteppedRuntime()
    log = []

    async def work():
        try:
            await runtime.future()
        except SteppedCancelled:
            log.append("cancelled")
            raise

    task = runtime.spawn(work(), None)
    runtime.run()
    task.cancel()
    task.cancel()
    runtime.run()
    task.cancel()
    runtime.run()
    assert log == ["cancelled"]
    assert task.done


def test_a_stepped_queue_does_not_run_for_ever():
    runtime = SteppedRuntime()

    def again():
        runtime.soon(again)

    again()
    with pytest.raises(RuntimeError, match="not empty"):
        runtime.run()


def test_reports_are_kept():
    runtime = SteppedRuntime()
    error = ValueError()
    assert runtime.report("one") != runtime.report("two", error)
    assert runtime.reports == [("one", None), ("two", error)]


def test_a_stepped_runtime_has_all_that_a_runtime_has():
    names = {name for name in vars(Runtime) if not name.startswith("_")}
    assert names == {
        *(
            "call_later",
            "cancelled",
            "clock",
            "future",
            "is_here",
            "report",
            "soon",
            "spawn",
            "unsent",
        ),
    }
    for name in names:
        assert hasattr(SteppedRuntime(), name)
        assert hasattr(pb.Connection, name)


def test_a_stepped_pair():
    link = stepped_pair(Root())
    promise = link.client.broker.remoteForName("root").callRemote("echo", 5)
    assert not link.up
    link.flush()
    assert len(link.up) == 1
    assert link.deliver(to_server=True)
    assert not link.deliver(to_server=True)
    assert not promise.done
    link.settle()
    assert promise.result() == 5
    held = link.client.broker.remoteForName("root").callRemote("new")
    with pytest.raises(AssertionError, match="'held': 1"):
        link.assert_idle()
    del held
    link.assert_idle()
    link.cut()
    assert link.client.ended


def test_the_server_of_a_stepped_pair_calls_what_the_client_has():
    link = stepped_pair(client_names={"here": Root()})
    promise = link.server.broker.remoteForName("here").callRemote("echo", 6)
    link.settle()
    assert promise.result() == 6


def test_a_stepped_pair_does_not_go_on_for_ever(monkeypatch):
    monkeypatch.setattr(testing, "MOST_TURNS", 50)
    link = stepped_pair(Root())
    root = link.client.broker.remoteForName("root")

    def again(promise):
        if promise is None or not promise.failed:
            root.callRemote("echo", 1).then_call(again)

    again(None)
    with pytest.raises(RuntimeError, match="go on after 50 messages"):
        link.settle()
    link.cut()


def test_a_stepped_task_waits_for_nothing_that_is_there_already():
    runtime = SteppedRuntime()
    steps = []

    async def run():
        future = runtime.future()
        future.set_result(None)
        assert future.done()
        await future
        steps.append("had it")
        await asyncio.sleep(0)  # the others have their turn
        steps.append("goes on")

    runtime.spawn(run(), None)
    assert runtime.step()
    assert steps == ["had it"]
    runtime.run()
    assert steps == ["had it", "goes on"]


def test_a_way_knows_what_it_has_not_delivered_and_who_sends():
    async def body(both):
        both.to_server.hold()
        promise = both.root.callRemote("echo", "x" * 100)
        await both.quiet()
        waiting = [len(data) for data, _ in both.to_server.waiting]
        assert both.to_server.unsent() == sum(waiting) > 100
        both.to_server.carry(both.client)
        assert both.to_server.sender is both.client
        both.to_server.let_go()
        await promise
        assert both.to_server.unsent() == 0

    run_paired(Root, body)
