"""Streams: async iterators across the wire (docs/protocol.md, section 5)."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest

import pbweb as pb
from pbweb.backlog import ITEM, weight_of
from pbweb.streams import AHEAD, ANSWER_BYTES, MOST_DRAWN, TURN, Items, Producer
from pbweb.testing import Pair, SteppedRuntime, stepped_pair

from .paired import run_paired


class Source(pb.Root):
    """Gives streams, and knows what became of them."""

    def __init__(self) -> None:
        self.made = 0
        self.ended: list[str] = []
        self.gate = asyncio.Event()
        self.kept: Any = None

    async def remote_count(self, to: int = 10**9) -> AsyncIterator[int]:
        try:
            for number in range(to):
                self.made += 1
                yield number
        except GeneratorExit:
            self.ended.append("closed")
            raise
        else:
            self.ended.append("whole")

    async def remote_tick(self, to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                await asyncio.sleep(0)
                yield number
        finally:
            self.ended.append("finally")

    async def remote_wait(self, first: int = 0) -> AsyncIterator[int]:
        try:
            for number in range(first):
                yield number
            await self.gate.wait()
            yield -1
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self.ended.append("finally")

    async def remote_fail(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise pb.Error("no more of these")

    async def remote_later(self) -> AsyncIterator[int]:
        await asyncio.sleep(0)
        return self.remote_count(3)

    def remote_both(self) -> dict[str, Any]:
        return {"numbers": self.remote_count(2), "name": "both"}

    async def remote_sum(self, numbers: pb.RemoteStream) -> int:
        return sum([number async for number in numbers])

    async def remote_first(self, numbers: pb.RemoteStream, most: int) -> list[Any]:
        found = []
        async for number in numbers:
            found.append(number)
            if len(found) == most:
                break
        return found

    def remote_keep(self, value: Any) -> None:
        self.kept = value

    async def remote_give(self, what: list[Any]) -> AsyncIterator[Any]:
        for item in what:
            yield item

    async def remote_callback(self, numbers: pb.RemoteStream) -> AsyncIterator[int]:
        async for number in numbers:
            yield 2 * number


class Adder(pb.Referenceable):
    def remote_add(self, a: int, b: int) -> int:
        return a + b


async def read_into(found: list[Any], stream: Any) -> None:
    async for item in stream:
        found.append(item)


def run(body: Any, **options: Any) -> Source:
    source = Source()

    async def with_source(both: Pair) -> None:
        await body(both, source)

    run_paired(source, with_source, **options)
    return source


def test_an_async_generator_is_an_async_iterator_at_the_other_side():
    async def body(both, source):
        stream = await both.root.callRemote("count", 200)
        assert isinstance(stream, pb.RemoteStream)
        assert [number async for number in stream] == list(range(200))

    assert run(body).ended == ["whole"]


def test_the_promise_of_a_stream_is_read_as_the_stream():
    async def body(both, source):
        assert [number async for number in both.root.callRemote("count", 3)] == [0, 1, 2]
        assert [number async for number in both.root.callRemote("later")] == [0, 1, 2]
        part = both.root.callRemote("both")["numbers"]
        assert [number async for number in part] == [0, 1]

    run(body)


def test_the_promise_of_a_stream_may_be_closed_before_it_is_read():
    async def body(both, source):
        promise = both.root.callRemote("count", 3)
        items = aiter(promise)
        await items.aclose()
        assert [number async for number in items] == []
        await promise

    run(body)


def test_a_promise_of_something_else_is_no_stream():
    async def body(both, source):
        with pytest.raises(TypeError, match="no stream, but NoneType"):
            async for _ in both.root.callRemote("keep", 1):
                pass

    run(body)


def test_streams_go_both_ways_and_stand_anywhere_in_a_value():
    async def body(both, source):
        async def numbers():
            for number in range(100):
                yield number

        assert await both.root.callRemote("sum", numbers()) == 4950
        doubled = await both.root.callRemote("callback", numbers())
        assert [number async for number in doubled] == [2 * number for number in range(100)]
        await both.root.callRemote("keep", {"streams": [numbers(), numbers()]})
        first, second = source.kept["streams"]
        assert [number async for number in second] == list(range(100))
        assert await anext(first) == 0
        source.kept = None

    run(body)


def test_any_async_iterator_is_a_stream():
    class Countdown:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> "Countdown":
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    class Box:
        def __aiter__(self) -> AsyncIterator[int]:
            return Countdown()

    async def body(both, source):
        assert await both.root.callRemote("sum", Countdown()) == 3
        assert await both.root.callRemote("sum", Box()) == 3

    run(body)


def test_items_may_be_references_copies_bytes_and_streams():
    async def body(both, source):
        adder = Adder()

        async def inner():
            yield b"inside"

        async def items():
            yield adder
            yield {"big": bytes(5000), "small": b"\x00"}
            yield float("nan")
            yield inner()
            yield {1: {2, 3}}

        await both.root.callRemote("keep", items())
        reference, data, nan, stream, sets = [item async for item in source.kept]
        assert await reference.callRemote("add", 1, 2) == 3
        assert data == {"big": bytes(5000), "small": b"\x00"}
        assert nan != nan
        assert [item async for item in stream] == [b"inside"]
        assert sets == {1: {2, 3}}
        source.kept = None

    run(body)


def test_the_producer_is_never_ahead_of_what_was_asked_for():
    async def body(both, source):
        stream = await both.root.callRemote("count")
        await both.quiet()
        assert source.made == 0  # nobody has asked
        assert await anext(stream) == 0
        await both.quiet()
        assert source.made == AHEAD
        for number in range(1, 1000):
            assert await anext(stream) == number
            assert source.made <= number + 1 + AHEAD
        await both.quiet()
        assert source.made <= 1000 + AHEAD
        await stream.aclose()

    assert run(body).ended == ["closed"]


def test_what_is_large_is_drawn_a_little_ahead_only():
    drawn = 0

    async def body(both, source):
        async def chunks():
            nonlocal drawn
            for _ in range(1000):
                drawn += 1
                yield bytes(65_536)

        await both.root.callRemote("keep", chunks())
        await anext(source.kept)
        await both.quiet()
        assert drawn <= 4 * ANSWER_BYTES // 65_536
        source.kept = None

    run(body)


def test_a_producer_that_takes_long_lets_others_have_their_turn():
    others: list[int] = []
    seen: list[list[int]] = []

    class Long(pb.Root):
        async def remote_count(self) -> AsyncIterator[int]:
            for number in range(4):
                seen.append(list(others))
                asyncio.get_running_loop().call_soon(others.append, number)
                self.clock.turn(2 * TURN)
                yield number

    root = Long()

    async def body(both: Pair) -> None:
        root.clock = both.clock
        found: list[Any] = []
        await read_into(found, await both.root.callRemote("count"))
        assert found == [0, 1, 2, 3]
        assert seen == [[], [0], [0, 1], [0, 1, 2]]

    run_paired(root, body)


def test_leaving_the_loop_stops_the_producer():
    async def body(both, source):
        async for number in both.root.callRemote("count"):
            if number == 500:
                break
        await both.quiet()
        gc.collect()
        await both.quiet()
        assert source.ended == ["closed"]

    run(body)


def test_closing_waits_for_the_finally_of_the_producer():
    async def body(both, source):
        async with aclosing(await both.root.callRemote("wait", 2)) as stream:
            assert await anext(stream) == 0
        assert source.ended == ["cancelled", "finally"]
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        async with await both.root.callRemote("wait", 2) as stream:
            pass
        assert source.ended == ["cancelled", "finally"]  # it had not begun

    run(body)


@pytest.mark.parametrize("how", ["release", "collect", "cut", "close"])
def test_every_end_closes_the_producer_once(how):
    async def body(both, source):
        stream = await both.root.callRemote("wait", 2)
        assert await anext(stream) == 0
        if how == "release":
            stream.release()
            stream.release()
        elif how == "cut":
            both.cut()
        elif how == "close":
            await both.client.close()
        del stream
        await both.quiet()
        gc.collect()
        await both.quiet()
        assert source.ended == ["cancelled", "finally"]

    run(body, idle=how in ("release", "collect"))


def test_a_stream_is_given_back_while_its_next_is_under_way():
    async def body(both, source):
        stream = await both.root.callRemote("wait", 1)
        assert await anext(stream) == 0
        waiting = asyncio.ensure_future(anext(stream))
        await both.quiet()
        waiting.cancel()
        await both.quiet()
        assert source.ended == []
        del stream, waiting
        gc.collect()
        await both.quiet()
        assert source.ended == ["cancelled", "finally"]

    run(body)


def test_a_failure_comes_behind_the_items_before_it():
    async def body(both, source):
        stream = await both.root.callRemote("fail", 70)
        found = []
        with pytest.raises(pb.Error, match="no more of these"):
            await read_into(found, stream)
        assert found == list(range(70))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(pb.Error, match="no more of these"):
            async for _ in both.root.callRemote("fail", 0):
                pass

    run(body)


def test_a_failure_that_is_unexpected_is_logged_where_it_was_raised():
    async def body(both, source):
        async def broken():
            yield 1
            raise ValueError("it broke")

        with pytest.raises(pb.RemoteError, match="it broke"):
            await both.root.callRemote("sum", broken())

    run(body, logged=1)


def test_an_item_that_cannot_be_sent_is_the_end_behind_those_before_it():
    async def body(both, source):
        async def items():
            try:
                yield 1
                yield [2]
                yield {"x": [object()]}
                yield 4
            finally:
                source.ended.append("finally")

        await both.root.callRemote("keep", items())
        found = []
        with pytest.raises(pb.InsecureJelly, match=r"stream\[2\]\.x\[0\] cannot be sent"):
            await read_into(found, source.kept)
        assert found == [1, [2]]
        source.kept = None
        await both.quiet()
        assert source.ended == ["finally"]

    run(body, logged=1)


def test_an_item_that_is_too_large_is_the_end_with_an_error_that_says_so():
    async def body(both, source):
        async def items():
            yield bytes(1000)
            yield bytes(1_000_000)
            yield "x" * 2_000_000

        await both.root.callRemote("keep", items())
        found = []
        with pytest.raises(pb.LimitExceeded, match=r"message: the item stream\[2\] has 2000"):
            await read_into(found, source.kept)
        assert [len(item) for item in found] == [1000, 1_000_000]
        source.kept = None

    run(body, logged=1)


def test_items_whose_size_cannot_be_seen_go_in_several_answers():
    async def body(both, source):
        async def items():
            for number in range(30):
                yield {"number": number, "text": ["\x01" * 10_000]}  # six bytes for each

        await both.root.callRemote("keep", items())
        found = [item["number"] async for item in source.kept]
        assert found == list(range(30))
        source.kept = None

    run(body)


def test_a_stream_is_read_once():
    async def body(both, source):
        stream = await both.root.callRemote("count", 3)
        async for _ in stream:
            with pytest.raises(pb.Error, match="a stream is read once"):
                async for _ in stream:
                    pass
        with pytest.raises(pb.Error, match="a stream is read once"):
            aiter(stream)

    run(body)


def test_a_reader_that_is_cancelled_while_it_waits_loses_nothing():
    async def body(both, source):
        stream = await both.root.callRemote("wait", 1)
        assert await anext(stream) == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(stream)
        source.gate.set()
        assert await anext(stream) == -1
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(body)


def test_two_tasks_may_take_from_one_stream():
    async def body(both, source):
        stream = await both.root.callRemote("tick", 100)
        taken = [asyncio.ensure_future(anext(stream)) for _ in range(100)]
        assert sorted(await asyncio.gather(*taken)) == list(range(100))
        await stream.aclose()

    run(body)


def test_calls_of_next_are_answered_in_their_order():
    async def body(both, source):
        stream = await both.root.callRemote("wait", 5)
        raw = pb.RemoteReference(both.client.broker, stream.luid, stream.luid)
        assert await raw.callRemote("next", 2) == {"items": [0, 1], "done": False}
        first, second = raw.callRemote("next", 2), raw.callRemote("next", 1)
        assert (await first)["items"] == [2, 3, 4]  # as many as both have asked for
        second.cancel()
        with pytest.raises(pb.CancelledError):
            await second
        waits, cancelled = raw.callRemote("next", 1), raw.callRemote("next", 1)
        cancelled.cancel()
        with pytest.raises(pb.CancelledError):
            await cancelled
        source.gate.set()
        assert await waits == {"items": [-1], "done": False}  # nobody has asked for the end
        assert await raw.callRemote("next", 1) == {"items": [], "done": True}
        assert await raw.callRemote("stop") is None
        stream.release()
        with pytest.raises(pb.DeadReferenceError):
            await raw.callRemote("next", 1)

    run(body)


@pytest.mark.parametrize("credit", [0, -1, True, 1.0, 1e12, "1", None, []])
def test_a_credit_that_is_none_is_an_error_of_that_call(credit):
    async def body(both, source):
        stream = await both.root.callRemote("count", 3)
        raw = pb.RemoteReference(both.client.broker, stream.luid, stream.luid)
        with pytest.raises(pb.Error) as caught:
            await raw.callRemote("next", credit)
        assert caught.value.type == "TypeError"
        with pytest.raises(pb.Error, match="argument"):
            await raw.callRemote("next")
        assert source.made == 0
        assert [number async for number in stream] == [0, 1, 2]

    run(body)


def test_a_credit_that_is_huge_is_cut_and_blocks_nobody():
    async def body(both, source):
        stream = await both.root.callRemote("count")
        raw = pb.RemoteReference(both.client.broker, stream.luid, stream.luid)
        answer = raw.callRemote("next", 10**12)
        assert await both.root.callRemote("both")
        assert (await answer)["items"][0] == 0
        await both.quiet()
        assert source.made <= 2 * MOST_DRAWN
        await stream.aclose()

    run(body)


def test_so_many_streams_may_be_open_and_no_more():
    async def body(both, source):
        streams = [await both.root.callRemote("count", 1) for _ in range(64)]
        with pytest.raises(pb.LimitExceeded, match="streams: 64 are open"):
            await both.root.callRemote("count", 1)
        assert [number async for number in streams.pop()] == [0]
        await both.quiet()
        streams.append(await both.root.callRemote("count", 1))
        for stream in streams:
            await stream.aclose()

    run(body, logged=1)


def test_a_peer_that_hands_out_too_many_streams_is_refused():
    async def body(both, source):
        async def numbers():
            yield 1

        await both.quiet()  # what the server announces has come
        both.client.broker.peer_limits = pb.Limits()
        many = [numbers() for _ in range(3)]
        with pytest.raises(pb.LimitExceeded, match="streams: 2 of one peer are open"):
            await both.root.callRemote("keep", many)

    run(body, limits=pb.Limits(streams=2), client_limits=pb.Limits())


def test_a_frame_that_does_not_go_out_leaves_its_stream_as_it_was():
    async def body(both, source):
        async def numbers():
            yield 1

        stream = numbers()
        with pytest.raises(pb.InsecureJelly):
            await both.root.callRemote("keep", [stream, object()])
        assert await both.root.callRemote("sum", stream) == 1

    run(body)


def test_a_stream_is_handed_out_twice_under_one_id():
    async def body(both, source):
        async def numbers():
            yield 1

        stream = numbers()
        await both.root.callRemote("keep", [stream, stream])
        first, second = source.kept
        assert first is second
        assert [number async for number in first] == [1]
        source.kept = first = second = None

    run(body)


def test_a_stream_that_is_sent_home_is_read_through_its_reader():
    async def body(both, source):
        stream = await both.root.callRemote("count", 5)
        assert await both.root.callRemote("sum", stream) == 10

    assert run(body).ended == ["whole"]


def test_a_stream_is_no_object_and_an_object_is_no_stream():
    async def body(both, source):
        stream = await both.root.callRemote("count", 3)
        broker = both.client.broker
        with pytest.raises(pb.DeadReferenceError):
            broker.imports.reference(stream.luid)
        broker.send(["message", 100, "root", "keep", [{"$": "local", "id": stream.luid}]])
        broker.outgoing._last_request = 100
        await both.quiet()
        assert source.kept is None
        [error] = [frame for frame in both.to_client.frames if frame[0] == "error"]
        assert error[2]["type"] == "InsecureJelly"
        await stream.aclose()

    run(body)


def test_an_answer_of_next_that_cannot_be_is_the_end():
    class Liar(pb.Referenceable):
        def remote_next(self, n: int) -> Any:
            return self.answer

    for answer in (
        None,
        {},
        {"items": []},
        {"items": [], "done": False},
        {"items": [1] * 99, "done": False},
        {"items": 1, "done": True},
    ):
        liar = Liar()
        liar.answer = answer

        async def body(both, source, liar=liar):
            luid = both.server.broker.exports.hand_out(liar)
            broker = both.client.broker
            stream = broker.imports.one(luid, None, pb.RemoteStream)
            broker.imports.count([luid])
            with pytest.raises(pb.InsecureJelly, match="the answer to a stream's next"):
                await anext(stream)

        run(body)


def test_a_stream_that_is_named_before_it_is_there_is_refused():
    async def body(both, source):
        with pytest.raises(pb.InsecureJelly, match="await it first"):
            await both.root.callRemote("sum", both.root.callRemote("count", 3))

    run(body)


def test_what_a_producer_raises_when_it_is_closed_is_raised_by_aclose():
    async def body(both, source):
        async def stubborn():
            try:
                yield 1
                await source.gate.wait()
            finally:
                raise pb.Error("not so fast")

        await both.root.callRemote("keep", stubborn())
        assert await anext(source.kept) == 1
        with pytest.raises(pb.Error, match="not so fast"):
            await source.kept.aclose()
        await source.kept.aclose()  # one was told
        source.kept = None

    run(body)


async def begun_and_slow_to_close(both, source, *, fails=False):
    """A stream of the client's that the server has begun to read; it closes when the gate opens."""

    async def slow():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await source.gate.wait()
            source.ended.append("closed")
            if fails:
                raise ValueError("not so fast")

    await both.root.callRemote("keep", slow())
    stream, source.kept = source.kept, None
    assert await anext(stream) == 1
    return stream


def test_whoever_closes_a_stream_waits_until_it_is_closed():
    async def body(both, source):
        stream = await begun_and_slow_to_close(both, source)
        closings = [asyncio.ensure_future(stream.aclose()) for _ in range(3)]
        await both.quiet()
        assert not any(closing.done() for closing in closings)
        closings[0].cancel()  # the others wait on
        await both.quiet()
        assert [closing.done() for closing in closings] == [True, False, False]
        source.gate.set()
        await asyncio.gather(*closings[1:])
        assert source.ended == ["closed"]

    run(body)


def test_what_nobody_waits_for_is_logged():
    async def body(both, source):
        async def stubborn():
            try:
                yield 1
                await source.gate.wait()
            finally:
                raise ValueError("not so fast")

        await both.root.callRemote("keep", stubborn())
        assert await anext(source.kept) == 1
        source.kept.release()
        source.kept = None
        await both.quiet()

    run(body, logged=1)


def test_the_session_that_goes_is_what_the_reader_is_told():
    async def body(both, source):
        stream = await both.root.callRemote("wait", 2)
        assert await anext(stream) == 0
        await both.quiet()
        both.cut()
        assert await anext(stream) == 1
        with pytest.raises(pb.PBConnectionLost):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await stream.aclose()

    run(body, idle=False)


def test_closing_a_stream_ends_with_the_session():
    async def body(both, source):
        stream = await both.root.callRemote("wait", 2)
        assert await anext(stream) == 0
        both.to_server.hold()
        closings = [asyncio.ensure_future(stream.aclose()) for _ in range(2)]
        await both.quiet()
        assert not any(closing.done() for closing in closings)
        both.cut()
        await asyncio.gather(*closings)
        assert source.ended == ["cancelled", "finally"]

    run(body, idle=False)


def test_a_stream_that_is_read_after_its_session_has_gone_says_that():
    async def body(both, source):
        stream = await both.root.callRemote("count")
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run(body, idle=False)


def test_a_timeout_around_a_yield_stays_in_its_task():
    async def body(both, source):
        async def careful():
            async with asyncio.timeout(60):
                for number in range(100):
                    await asyncio.sleep(0)
                    yield number

        assert await both.root.callRemote("sum", careful()) == 4950
        assert await both.root.callRemote("first", careful(), 10) == list(range(10))

    run(body)


@pytest.mark.parametrize("eager", [False, True])
def test_streams_need_no_event_loop(eager):
    source = Source.__new__(Source)
    source.made, source.ended, source.kept = 0, [], None
    pair = stepped_pair(source, runtime=SteppedRuntime(eager=eager))
    pair.settle()
    found = []

    async def read():
        async for number in pair.client.broker.remoteForName("root").callRemote("count", 200):
            found.append(number)

    pair.runtime.spawn(read(), None)
    pair.settle()
    assert found == list(range(200))
    assert source.ended == ["whole"]
    pair.assert_idle()


@pytest.mark.parametrize("eager", [False, True])
def test_the_first_step_of_a_producer_may_end_its_session(eager):
    """It is closed then once, from where it waits next."""
    steps: list[str] = []
    runtime = SteppedRuntime(eager=eager)

    class Ending(pb.Root):
        async def remote_numbers(self) -> AsyncIterator[int]:
            try:
                pair.server.end("gone")
                steps.append("waits")
                await runtime.future()
                yield 1
            finally:
                steps.append("closed")

    pair = stepped_pair(Ending(), runtime=runtime)
    pair.settle()
    found: list[Any] = []
    root = pair.client.broker.remoteForName("root")
    root.callRemote("numbers").then_call(lambda promise: found.append(promise.result()))
    pair.settle()
    reference = found[0]._feed.reference
    promise = reference.callRemote("next", 1)
    pair.settle()
    assert steps == ["waits", "closed"]
    found[0].release()
    promise.cancel()
    pair.client.end("gone")
    assert promise.failed


class Alone:
    """A producer without a session, whose ``next`` and ``stop`` the test calls.

    As an iterator it is told step by step what to do: give an item, fail, or wait.
    """

    def __init__(self, *, value: Any = None) -> None:
        self.runtime = SteppedRuntime()
        self.steps: list[Any] = []
        self.ended: list[str] = []
        self.closing: BaseException | None = None
        self.closing_waits = False
        broker: Any = SimpleNamespace(runtime=self.runtime)
        self.producer = Producer(broker, value or self, None)

    def __aiter__(self) -> "Alone":
        return self

    async def __anext__(self) -> Any:
        while not self.steps:
            await self.runtime.future()
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    async def aclose(self) -> None:
        self.ended.append("closing")
        if self.closing_waits:
            await self.runtime.future()
        if self.closing is not None:
            raise self.closing
        self.ended.append("closed")

    def next(self, credit: int) -> None:
        """Call ``next``, and do not wait for the answer."""
        answer = self.producer.next(credit)
        assert not isinstance(answer, Items)
        answer.close()

    def reports(self) -> list[str]:
        return [what for what, _ in self.runtime.reports]


def test_the_text_of_a_stream_says_whether_it_has_ended():
    async def body(both, source):
        stream = await both.root.callRemote("count", 1)
        assert repr(stream) == f"<RemoteStream {stream.luid}>"
        assert [number async for number in stream] == [0]
        assert repr(stream) == f"<RemoteStream {stream.luid} (ended)>"

    run(body)


def test_an_answer_of_next_weighs_what_was_drawn():
    alone = Alone()
    alone.steps = [bytes(3000), bytes(5), {"some": "thing"}]
    alone.next(3)
    alone.runtime.run()
    answer = alone.producer.next(1)
    assert isinstance(answer, Items)
    assert weight_of(answer, 10**6) == ITEM + 3000 + 5 + 256  # of what cannot be seen


def test_a_producer_that_never_pauses_lets_the_others_have_their_turn():
    turns: list[str] = []

    class Busy:
        def __aiter__(self) -> "Busy":
            return self

        async def __anext__(self) -> int:
            turns.append("item")
            alone.runtime.stand_still(TURN * 0.6)
            return 1

    alone = Alone(value=Busy())
    alone.next(5)
    alone.runtime.soon(turns.append, "another's")
    alone.runtime.run()
    assert turns == ["item", "item", "another's", "item", "item", "item"]


def test_a_stream_without_a_close_that_nobody_has_read_ends_at_once():
    class Endless:
        def __aiter__(self) -> "Endless":
            raise AssertionError

    alone = Alone(value=Endless())
    alone.producer.stop()
    alone.producer.stop()
    assert isinstance(alone.producer.next(1), Items)  # which says that it is done
    assert not alone.runtime.step()
    assert alone.reports() == []


def test_a_stream_without_a_close_is_left_where_it_waits():
    class Endless:
        asked = 0

        def __aiter__(self) -> "Endless":
            return self

        async def __anext__(self) -> int:
            self.asked += 1
            await alone.runtime.future()
            raise AssertionError

    endless = Endless()
    alone = Alone(value=endless)
    alone.next(5)
    alone.runtime.run()
    assert endless.asked == 1
    alone.producer.stop()
    alone.runtime.run()
    assert endless.asked == 1
    assert alone.producer._over
    assert alone.reports() == []


def test_a_stream_that_is_stopped_before_its_first_step_draws_nothing():
    alone = Alone()
    alone.steps = [1]
    alone.next(1)
    alone.producer.stop()
    alone.runtime.run()
    assert alone.steps == [1]
    assert alone.ended == ["closing", "closed"]


def test_an_item_that_comes_when_no_more_is_wanted_is_nobodys():
    """What makes it ended the session, perhaps; it is closed, and draws no further."""
    alone = Alone()

    class Ending:
        asked = 0

        def __aiter__(self) -> "Ending":
            return self

        async def __anext__(self) -> bytes:
            self.asked += 1
            alone.producer.stop()
            return bytes(1000)

        async def aclose(self) -> None:
            alone.ended.append("closed")

    alone.producer.value = ending = Ending()
    alone.next(5)
    alone.runtime.run()
    assert alone.ended == ["closed"]
    assert ending.asked == 1
    assert alone.producer.waiting_bytes() == 0
    assert alone.producer._over
    assert alone.reports() == []


@pytest.mark.parametrize(
    ("error", "reports"),
    [
        (ValueError("broke"), ["a stream failed that nobody reads any more"]),
        (pb.Error("no more"), []),
    ],
)
def test_how_a_stream_failed_is_logged_if_nobody_hears_of_it(error, reports):
    alone = Alone()
    alone.steps = [1, error]
    alone.next(5)
    alone.runtime.run()
    assert alone.reports() == []  # somebody may ask
    alone.producer.stop()
    alone.runtime.run()
    assert alone.reports() == reports


def test_what_the_closing_raises_is_logged_if_nobody_waits_for_it():
    alone = Alone()
    alone.closing = ValueError("not so fast")
    alone.next(1)
    alone.runtime.run()
    alone.producer.stop()
    alone.runtime.run()
    assert alone.runtime.reports == [("a stream could not be closed properly", alone.closing)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_of_stop_that_is_cancelled_is_told_nothing_and_the_log_is(fails):
    async def body(both, source):
        stream = await begun_and_slow_to_close(both, source, fails=fails)
        stops = pb.RemoteReference(both.server.broker, stream.luid, stream.luid).callRemote("stop")
        await both.quiet()
        stops.cancel()
        with pytest.raises(pb.CancelledError):
            await stops
        assert source.ended == []
        source.gate.set()
        await both.quiet()
        assert source.ended == ["closed"]
        stream.release()

    run(body, logged=int(fails))


def test_a_next_that_is_cancelled_as_its_stream_ends_is_told_once():
    async def body(both, source):
        stream = await both.root.callRemote("wait", 0)
        waits = pb.RemoteReference(both.client.broker, stream.luid, stream.luid)
        waits = waits.callRemote("next", 1)
        await both.quiet()
        both.to_server.hold()
        waits.cancel()
        stream.release()
        await both.quiet()
        both.to_server.let_go()
        with pytest.raises(pb.CancelledError):
            await waits
        await both.quiet()
        assert source.ended == ["cancelled", "finally"]

    run(body)


def test_a_next_that_is_cancelled_when_its_turn_has_come_leaves_it_to_the_one_behind():
    alone = Alone()
    calls: list[Any] = [alone.producer.next(1), alone.producer.next(1)]
    answers: list[Any] = []

    async def ask(which: int) -> None:
        answers.append((which, await calls[which]))

    tasks = [alone.runtime.spawn(ask(which), None) for which in (0, 1)]
    alone.steps = [7]
    while not alone.producer._claimed:
        assert alone.runtime.step()
    tasks[0].cancel()
    alone.runtime.run()
    [(which, answer)] = answers
    assert which == 1
    assert isinstance(answer, Items)


@pytest.mark.parametrize("closes", [False, True])
def test_the_loop_that_is_gone_leaves_a_stream_as_it_is(closes):
    """Nothing can be awaited any more: nothing is closed, and nothing reported."""
    alone = Alone()
    alone.closing_waits = True
    alone.next(1)
    alone.runtime.run()
    if closes:
        alone.producer.stop()
        alone.runtime.run()
        assert alone.ended == ["closing"]
    task: Any = alone.producer._task
    task._coroutine.close()  # as Python does with a task that nobody has any more
    assert not alone.producer._over
    assert alone.ended == ["closing"][: int(closes)]
    assert alone.reports() == []
