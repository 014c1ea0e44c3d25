"""pbweb.incoming: how the peer's calls start, are cancelled and bounded."""

import asyncio
import contextvars
import sys

import pytest

import pbweb as pb
from pbweb.testing import SteppedRuntime, stepped_pair, tables
from tests.unit.paired import run_paired
from tests.unit.vectors import PeerUnderTest

STEPPED = pytest.mark.parametrize("eager", [False, True])


class Log:
    """What happened, in its order."""

    def __init__(self):
        self.entries = []

    def __call__(self, entry):
        self.entries.append(entry)


class Kinds(pb.Root):
    """A method of every kind."""

    def __init__(self):
        self.log = Log()
        self.go = asyncio.Event()

    def remote_plain(self, value):
        self.log(("plain", value))
        return value

    async def remote_coroutine(self, value):
        self.log(("coroutine", value))
        await asyncio.sleep(0)
        return value

    async def remote_at_once(self, value):
        self.log(("at_once", value))
        return value

    async def remote_slow(self, value):
        self.log(("slow", value))
        await self.go.wait()
        return value

    def remote_future(self, value):
        self.log(("future", value))
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, value)
        return future

    def remote_task(self, value):
        self.log(("task", value))
        return asyncio.ensure_future(asyncio.sleep(0, value))

    def remote_awaitable(self, value):
        self.log(("awaitable", value))

        class Awaitable:
            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return value

        return Awaitable()

    def remote_promise(self, value, ref):
        self.log(("promise", value))
        return ref.callRemote("plain", value)

    @staticmethod
    def remote_static(value):
        return value

    @classmethod
    def remote_of_class(cls, value):
        return [cls.__name__, value]

    def remote_go(self):
        self.go.set()


@pytest.mark.parametrize(
    "kind", ["plain", "coroutine", "at_once", "future", "task", "awaitable", "static"]
)
def test_kinds_of_methods(kind):
    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote(kind, [1, {"a": None}]) == [1, {"a": None}]

    run_paired(Kinds(), body)


def test_a_class_method_gets_the_class():
    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("of_class", 1) == ["Kinds", 1]

    run_paired(Kinds(), body)


def test_a_method_may_answer_with_a_promise_of_a_call_to_its_caller():
    mine = Kinds()

    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("promise", 7, mine) == 7

    run_paired(Kinds(), body)
    assert mine.log.entries == [("plain", 7)]


MIXES = [
    ["plain", "coroutine", "plain", "slow", "plain", "at_once", "future", "plain"],
    ["slow", "slow", "plain", "awaitable", "coroutine"],
    ["at_once", "plain"] * 20,
]


@pytest.mark.parametrize("kinds", MIXES)
@pytest.mark.parametrize("one_batch", [True, False])
def test_handlers_start_in_the_order_of_the_calls(kinds, one_batch):
    root = Kinds()

    async def body(both):
        ref = await both.client.getRootObject()
        promises = []
        for number, kind in enumerate(kinds):
            promises.append(ref.callRemote(kind, number))
            if not one_batch:
                both.client.flush()
        await both.quiet()
        assert root.log.entries == [(kind, number) for number, kind in enumerate(kinds)]
        root.go.set()
        assert [await promise for promise in promises] == list(range(len(kinds)))

    run_paired(root, body)


def test_the_order_holds_across_objects_and_for_calls_without_an_answer():
    log = Log()

    class Thing(pb.Root):
        def __init__(self, name):
            self.name = name

        async def remote_slow(self, number):
            log(number)

        def remote_plain(self, number):
            log(number)

        def remote_other(self):
            return other

    other = Thing("other")

    async def body(both):
        root = await both.client.getRootObject()
        second = await root.callRemote("other")
        root.callRemoteOnly("slow", 1)
        second.callRemoteOnly("plain", 2)
        last = [root.callRemote("plain", 3), second.callRemote("slow", 4)]
        root.callRemoteOnly("plain", 5)
        for promise in last:
            await promise
        await both.quiet()
        assert log.entries == [1, 2, 3, 4, 5]

    run_paired(Thing("root"), body)


@STEPPED
def test_the_order_holds_with_and_without_eager_tasks(eager):
    log = Log()

    class Root(pb.Root):
        async def remote_coroutine(self, number):
            log(number)
            await runtime.future()

        def remote_plain(self, number):
            log(number)

    runtime = SteppedRuntime(eager=eager)
    link = stepped_pair(Root(), runtime=runtime)
    root = link.client.broker.remoteForName("root")
    promises = [root.callRemote(("coroutine", "plain")[n % 2], n) for n in range(10)]
    link.settle()
    assert log.entries == list(range(10))
    assert [promise.done for promise in promises] == [False, True] * 5
    link.cut()
    assert [type(promise.error()) for promise in promises[::2]] == [pb.PBConnectionLost] * 5


def test_a_slow_coroutine_holds_up_nothing():
    root = Kinds()

    async def body(both):
        ref = await both.client.getRootObject()
        slow = [ref.callRemote("slow", n) for n in range(3)]
        assert await ref.callRemote("plain", 5) == 5
        assert await ref.callRemote("coroutine", 6) == 6
        assert not any(promise.done for promise in slow)
        await ref.callRemote("go")
        assert [await promise for promise in slow] == [0, 1, 2]

    run_paired(root, body)


def test_a_plain_function_gets_no_task():
    class Root(pb.Root):
        def remote_tasks(self):
            return [task.get_name() for task in asyncio.all_tasks()]

    async def body(both):
        root = await both.client.getRootObject()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert set(await root.callRemote("tasks")) == names

    run_paired(Root(), body)


def test_a_coroutine_has_a_task_of_its_own_and_timeouts_work_in_it():
    class Root(pb.Root):
        async def remote_try(self):
            assert asyncio.current_task() is not None
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "timed out"

    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("try") == "timed out"

    run_paired(Root(), body)


def test_calls_may_be_nested_back_and_forth():
    class Ping(pb.Root):
        async def remote_down(self, other, number):
            if number == 0:
                return []
            return [number, *await other.callRemote("down", self, number - 1)]

    mine = Ping()

    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("down", mine, 50) == list(range(50, 0, -1))

    run_paired(Ping(), body)


class Echoing(pb.Root):
    """Calls whoever calls it, for ever."""

    def __init__(self):
        self.calls = 0

    async def remote_back(self, other):
        self.calls += 1
        return await other.callRemote("back", self)


def test_calls_back_and_forth_without_end_wait_at_the_limit_and_end_with_their_deadline():
    here, there = Echoing(), Echoing()
    link = stepped_pair(there, limits=pb.Limits(calls=8))
    link.settle()
    promise = link.client.broker.remoteForName("root").call("back", (here,), timeout=1)
    link.settle()
    assert (here.calls, there.calls) == (8, 8)
    for side in (link.client, link.server):
        assert side.broker.statistics()["calls_in_progress"] == 8
    link.runtime.advance(1)
    link.settle()
    assert type(promise.error()) is TimeoutError
    assert link.client.closing is link.server.closing is None
    assert (here.calls, there.calls) == (8, 8)
    del promise, here, there
    link.assert_idle()


def test_who_calls_back_whatever_it_is_called_is_refused_at_the_limit():
    peer = PeerUnderTest(calls=8)
    mine = {"$": "remote", "id": 1}
    sent = peer.feed_frames([["message", 1, "root", "callBack", [mine, 0]]])
    turns = 1
    while sent[-1][0] == "message":
        turns += 1
        sent = peer.feed_frames([["message", turns, "root", "callBack", [mine, 0]]])
    assert turns == 9
    assert (sent[-1][0], sent[-1][1], sent[-1][2]["type"]) == ("error", 9, "LimitExceeded")
    assert peer.session.broker.statistics()["calls_in_progress"] == 8
    peer.session.end("enough")
    assert not any(tables(peer.session).values())


def test_a_handler_may_call_its_caller_while_the_call_is_in_progress():
    class Root(pb.Root):
        async def remote_ask(self, ref):
            return await ref.callRemote("answer"), await ref.callRemote("answer")

    class Mine(pb.Referenceable):
        def __init__(self):
            self.during = []

        async def remote_answer(self):
            self.during.append(promise.done)
            return len(self.during)

    mine = Mine()
    promise = None

    async def body(both):
        nonlocal promise
        root = await both.client.getRootObject()
        promise = root.callRemote("ask", mine)
        assert await promise == [1, 2]
        promise = None
        assert mine.during == [False, False]

    run_paired(Root(), body)


# -------------------------------------------------------------- cancelling


class OutOfStock(pb.Error):
    pass


class Cancellable(pb.Root):
    def __init__(self):
        self.log = Log()
        self.started = asyncio.Event()

    async def remote_wait(self):
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.log("cancelled")
            raise

    async def remote_stubborn(self):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "a result all the same"

    async def remote_other_error(self):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OutOfStock("while stopping") from None

    def remote_plain(self):
        self.log("plain")


def test_cancel_stops_the_coroutine_and_is_answered():
    root = Cancellable()

    async def body(both):
        ref = await both.client.getRootObject()
        promise = ref.callRemote("wait")
        await both.quiet()
        promise.cancel()
        promise.cancel()
        with pytest.raises(pb.CancelledError, match="cancelled by its caller"):
            await promise
        assert root.log.entries == ["cancelled"]
        names = [frame[0] for frame in both.to_server.frames]
        assert names.count("cancel") == 1

    run_paired(root, body)


def test_what_a_cancelled_coroutine_ends_with_is_the_answer():
    async def body(both):
        ref = await both.client.getRootObject()
        stubborn, other = ref.callRemote("stubborn"), ref.callRemote("other_error")
        await both.quiet()
        stubborn.cancel()
        other.cancel()
        assert await stubborn == "a result all the same"
        with pytest.raises(pb.RemoteError, match="while stopping"):
            await other

    run_paired(Cancellable(), body)


def test_a_call_that_is_cancelled_before_it_started_never_starts():
    root = Cancellable()

    async def body(both):
        ref = await both.client.getRootObject()
        promises = [ref.callRemote("wait"), ref.callRemote("plain")]
        for promise in promises:
            promise.cancel()
        for promise in promises[:1]:
            with pytest.raises(pb.CancelledError):
                await promise
        promises[1].then_call(lambda promise: promise.error())
        await both.quiet()
        if sys.version_info < (3, 12):
            assert root.log.entries == []

    run_paired(root, body)


def test_a_cancel_of_a_call_that_was_answered_is_ignored():
    peer = PeerUnderTest()
    assert peer.feed('["message",1,"root","echo",[1]]') == [["answer", 1, 1]]
    assert peer.feed('["cancel",1]') == []
    assert peer.session.closing is None


@pytest.mark.parametrize("number", [2, 2**53 - 1])
def test_a_cancel_of_a_call_that_was_never_made_is_4400(number):
    peer = PeerUnderTest()
    peer.feed('["message",1,"root","echo",[1]]')
    [close] = peer.feed(f'["cancel",{number}]')
    assert close[:2] == ["close", 4400]


def test_when_the_session_goes_running_methods_are_cancelled():
    root = Cancellable()

    async def body(both):
        ref = await both.client.getRootObject()
        promise = ref.callRemote("wait")
        await root.started.wait()
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await promise
        await both.quiet()
        assert root.log.entries == ["cancelled"]

    run_paired(root, body, idle=False)


# --------------------------------------------------------------- deadlines


def test_a_deadline_cancels_the_work():
    peer = PeerUnderTest()
    assert peer.feed('["message",1,"root","wait",[],{},{"deadline":2.5}]') == []
    peer.runtime.advance(2.4)
    assert peer.sent() == []
    peer.runtime.advance(0.2)
    [error] = peer.sent()
    assert error[:2] == ["error", 1]
    assert error[2]["type"] == "CancelledError"
    assert "deadline" in error[2]["message"]


@pytest.mark.parametrize("deadline", ["0", "-1", "0.0", "-0.5"])
def test_a_deadline_that_has_passed_cancels_at_once(deadline):
    peer = PeerUnderTest()
    [error] = peer.feed(f'["message",1,"root","echo",[1],{{}},{{"deadline":{deadline}}}]')
    assert error[2]["type"] == "CancelledError"


def test_a_deadline_that_is_kept_leaves_no_timer():
    peer = PeerUnderTest()
    peer.runtime.advance(1)
    before = peer.runtime.timers()
    assert peer.feed('["message",1,"root","echo",[1],{},{"deadline":2}]') == [["answer", 1, 1]]
    assert peer.runtime.timers() == before + 1  # the acknowledgement that is owed
    peer.runtime.advance(1)
    assert peer.runtime.timers() == before


def test_calls_made_on_behalf_of_a_call_inherit_what_is_left_of_its_deadline():
    class Middle(pb.Root):
        async def remote_wait(self, ref):
            return await ref.callRemote("ask")

        def remote_plain(self, ref):
            return ref.callRemote("ask")

        def remote_only(self, ref):
            ref.callRemoteOnly("ask")

        def remote_own(self, ref):
            return ref.call("ask", timeout=1)

        def remote_longer(self, ref):
            return ref.call("ask", timeout=100)

    peer = PeerUnderTest()
    peer.session.broker.setNameForLocal("middle", Middle())
    reference = '{"$":"remote","id":1}'

    def ask(number, method, deadline='{"deadline":5}'):
        frames = peer.feed(
            f'["message",{number},"middle","{method}",[{reference}],{{}},{deadline}]'
        )
        [message] = [frame for frame in frames if frame[0] == "message"]
        return message[6] if len(message) > 6 else None

    assert ask(1, "wait") == {"deadline": 5}
    assert ask(2, "plain") == {"deadline": 5}
    assert ask(3, "only") == {"deadline": 5}
    assert ask(4, "own") == {"deadline": 1}
    assert ask(5, "longer") == {"deadline": 5}
    assert ask(6, "plain", "{}") is None
    peer.session.end("over")


def test_a_deadline_does_not_leak_into_other_calls():
    seen = []

    class Root(pb.Root):
        def remote_with(self, ref):
            seen.append(ref)

        def remote_without(self):
            return seen[0].callRemote("ask")

    peer = PeerUnderTest()
    peer.session.broker.setNameForLocal("mine", Root())
    peer.feed('["message",1,"mine","with",[{"$":"remote","id":1}],{},{"deadline":5}]')
    [message] = [f for f in peer.feed('["message",2,"mine","without"]') if f[0] == "message"]
    assert message == ["message", 1, 1, "ask"]
    seen.clear()
    peer.session.end("over")


@pytest.mark.parametrize("deadline", [1e308, 1e10, 2**53 - 1])
def test_a_deadline_far_away_is_none(deadline):
    peer = PeerUnderTest()
    assert peer.feed(f'["message",1,"root","echo",[1],{{}},{{"deadline":{deadline!r}}}]') == [
        ["answer", 1, 1]
    ]


# ------------------------------------------------------------ ids and limits


@pytest.mark.parametrize("second", [1, 3, 4])
def test_request_ids_rise(second):
    peer = PeerUnderTest()
    peer.feed('["message",4,"root","echo",[1]]')
    [close] = peer.feed(f'["message",{second},"root","getCounter"]')
    assert close[:2] == ["close", 4400]
    assert str(second) in close[2]


def test_calls_at_the_limit_and_one_past_it():
    peer = PeerUnderTest(calls=3)
    assert peer.feed_frames([["message", n, "root", "wait"] for n in (1, 2, 3)]) == []
    [error] = peer.feed('["message",4,"root","echo",[1]]')
    assert error[2]["type"] == "LimitExceeded"
    assert error[2]["message"].startswith("calls")
    peer.feed('["cancel",2]')
    assert peer.feed('["message",5,"root","echo",[1]]') == [["answer", 5, 1]]
    assert peer.session.closing is None


def test_calls_without_answer_and_calls_that_wait_count_too():
    peer = PeerUnderTest(calls=2)
    peer.feed_frames([["message", 0, "root", "wait"], ["message", 1, "root", "wait"]])
    [error] = peer.feed('["message",2,-1,"value"]')
    assert error[2]["type"] == "LimitExceeded"
    [error] = peer.feed('["message",3,"root","echo",[{"$":"remote","id":5}]]')[1:]
    assert error[2]["type"] == "LimitExceeded"


def test_a_peer_that_goes_on_over_the_limit_is_closed():
    peer = PeerUnderTest(calls=1)
    peer.feed('["message",1,"root","wait"]')
    sent = peer.feed_frames([["message", n, "root", "echo"] for n in range(2, 1003)])
    assert sent[-1][:2] == ["close", 4413]
    assert sum(frame[0] == "error" for frame in sent) >= 999


def test_refused_calls_are_counted_for_ten_seconds():
    peer = PeerUnderTest(calls=1)
    peer.feed('["message",1,"root","wait"]')
    for start in range(2, 3000, 900):
        sent = peer.feed_frames([["message", n, "root", "echo"] for n in range(start, start + 900)])
        assert {frame[0] for frame in sent} == {"error"}
        peer.feed(f'["ack",{peer.session.sent},{peer.session.received}]')
        peer.runtime.advance(10.5)
        assert peer.session.closing is None


def test_context_variables_of_a_handler_do_not_leak():
    variable = contextvars.ContextVar("variable", default="unset")

    class Root(pb.Root):
        async def remote_set(self):
            variable.set("set")

        async def remote_get(self):
            return variable.get()

    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("set")
        assert await root.callRemote("get") == "unset"

    run_paired(Root(), body)


@STEPPED
def test_a_method_whose_first_step_ends_its_session_is_cancelled(eager):
    steps = []
    runtime = SteppedRuntime(eager=eager)

    class Ending(pb.Root):
        async def remote_end(self):
            try:
                pair.server.end("gone")
                steps.append("waits")
                await runtime.future()
            finally:
                steps.append("cancelled")

    pair = stepped_pair(Ending(), runtime=runtime)
    pair.settle()
    promise = pair.client.broker.remoteForName("root").callRemote("end")
    pair.settle()
    assert steps == ["waits", "cancelled"]
    pair.client.end("gone")
    assert promise.failed


# ------------------------------------------------------ what is rarely met


ELSEWHERE = '{"$":"bytes","\\u0061t":0}'
"""Bytes beside a text message, as a peer writes them that does not want them to be seen at once."""


def holding_a_pond():
    """A peer with a copy of the test's, the cache 1."""
    peer = PeerUnderTest()
    pond = {"$": "cache", "id": 1, "type": "Pond", "state": {"ducks": []}}
    peer.feed_frames([["message", 1, "root", "keep", [pond]]])
    return peer


@pytest.mark.parametrize("target", ['"message",2,"root","echo"', '"cachemessage",2,1,"add"'])
def test_bytes_that_are_not_there_end_the_session_and_nothing_is_called(target):
    peer = holding_a_pond()
    peer.feed(f"[{target},[{ELSEWHERE}]]")
    assert peer.session.closing[0] == 4400
    assert peer.session.broker.statistics()["calls_in_progress"] == 0


def test_an_awaitable_of_ones_own_that_is_cancelled_before_it_started_is_never_asked():
    asked = []

    class Awaitable:
        def __await__(self):
            asked.append(self)
            yield

    class Giving(pb.Root):
        def remote_give(self):
            return Awaitable()

    link = stepped_pair(Giving())
    link.settle()
    promise = link.client.broker.remoteForName("root").callRemote("give")
    link.client.broker.send(["cancel", 1])
    link.settle()
    assert type(promise.error()) is pb.CancelledError
    assert asked == []
    del promise
    link.assert_idle()


def test_who_drains_takes_no_calls_of_those_who_log_in_meanwhile_either():
    peer = PeerUnderTest()
    broker = peer.session.broker
    broker.expect_login(True)
    broker.incoming.drain()
    broker.expect_login(False)
    [[kind, request, failure]] = peer.feed('["message",1,"root","echo",[1]]')
    assert (kind, request, failure["outcome"]) == ("error", 1, "not_executed")
