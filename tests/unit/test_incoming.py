"""pbweb.incoming: how the peer's calls start, end, fail, are cancelled and bounded."""

import asyncio
import contextvars
import sys

import pytest

import pbweb as pb
from pbweb import pipeline
from pbweb.testing import SteppedRuntime, frames_of, stepped_pair, tables
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


# ------------------------------------------------------------------ failures


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


# -------------------------------------------------------------- cancelling


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


class Note(pb.Copyable, pb.RemoteCopy):
    pbType = "Note"

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def postUnjelly(self):
        self.told = True


class Lost(pb.Error, pb.Copyable, pb.RemoteCopy):
    pbType = "Lost"


class Broken(Exception, pb.Copyable, pb.RemoteCopy):
    pbType = "Broken"


class Copies(pb.Root):
    def __init__(self):
        self.note = Note(text="mine", marks=[1])
        self.given = []

    def remote_note(self):
        return self.note

    def remote_keep(self, *things):
        self.given = things

    def remote_lose(self, cls, **state):
        error = {"Lost": Lost, "Broken": Broken}[cls]("lost")
        vars(error).update(state)
        error.add_note("kept at home")
        raise error

    def remote_loseAnObject(self):
        error = Lost("lost")
        error.thing = [object()]
        raise error

    def remote_same(self, reference):
        return reference.callRemote("lose")


def copies(**factories):
    registry = pb.Registry()
    for cls in (Note, Lost, Broken):
        registry.setUnjellyableForClass(cls, cls)
    for name, factory in factories.items():
        registry.setUnjellyableFactoryForClass(name, factory)
    return registry


def test_a_copy_that_is_passed_on_by_name_is_a_copy_as_well():
    root = Copies()

    async def body(both):
        note = both.root.callRemote("note")
        await both.root.callRemote("keep", note, [note])
        one, two = root.given
        assert one is two[0]
        assert type(one) is Note
        assert one is not root.note
        assert vars(one) == {**vars(root.note), "told": True}
        assert one.marks is not root.note.marks

    run_paired(root, body, registry=copies())


def test_a_copy_that_is_passed_on_by_name_has_to_be_of_a_type_that_is_known():
    root = Copies()

    async def body(both):
        note = both.root.callRemote("note")
        keeping = both.root.callRemote("keep", note)
        with pytest.raises(pb.InsecureJelly, match="no class is registered"):
            await keeping
        with pytest.raises(pb.InsecureJelly, match="no class is registered"):
            await note

    run_paired(root, body, registry=pb.Registry())


def test_what_the_class_of_a_copy_raises_fails_the_call_that_names_it():
    def factory(state):
        raise KeyError("factory")

    async def body(both):
        note = both.root.callRemote("note")
        with pytest.raises(pb.Error, match="'factory'"):
            await both.root.callRemote("keep", note)
        note.error()

    run_paired(Copies(), body, registry=copies(Note=factory), logged=2)


def test_an_exception_that_is_copyable_arrives_with_its_state():
    root = Copies()

    async def body(both):
        here = Kinds()
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
        assert await both.root.callRemote("keep") is None

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


def test_a_call_that_names_two_answers_fails_once_with_the_first():
    peer = PeerUnderTest()
    peer.feed_frames([["message", number, "root", "fail", [f"no {number}"]] for number in (1, 2)])
    names = [{"$": "answer", "id": number} for number in (1, 2)]
    [[kind, request, failure]] = peer.feed_frames([["message", 3, "root", "add", names]])
    assert (kind, request, failure["message"]) == ("error", 3, "no 1")
    assert peer.session.broker.statistics()["calls_in_progress"] == 0


def test_answers_are_copied_by_name_at_the_limit_and_one_past_it(monkeypatch):
    monkeypatch.setattr(pipeline, "MAX_COPIED", 20)
    monkeypatch.setattr(pipeline, "COPIED_A_SECOND", 4)
    peer = PeerUnderTest()
    peer.feed_frames([["message", 1, "root", "echo", [list(range(19))]]])

    def kind_of(request):
        name = {"$": "answer", "id": 1}
        [frame] = peer.feed_frames([["message", request, "root", "kind", [name]]])
        return frame[2] if frame[0] == "answer" else frame[2]["message"]

    assert [kind_of(2), kind_of(3)[:8]] == ["list", "message:"]
    peer.runtime.advance(1)
    assert kind_of(4) == "list"


def test_the_answer_to_a_streams_next_is_not_passed_on_by_name():
    peer = PeerUnderTest()
    [[_, _, stream]] = peer.feed_frames([["message", 1, "root", "count", [3]]])
    peer.feed_frames([["message", 2, stream["id"], "next", [1]]])
    name = {"$": "answer", "id": 2}
    [[kind, request, failure]] = peer.feed_frames([["message", 3, "root", "kind", [name]]])
    assert (kind, request, failure["type"]) == ("error", 3, "InsecureJelly")
    assert "cannot be passed on by name" in failure["message"]
