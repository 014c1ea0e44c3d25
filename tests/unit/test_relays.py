"""References of one session handed on over another: the process in the middle relays.

(Protocol section 3; the code is in `methods`, `outgoing` and `incoming`.)
"""

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager

import pytest

import pbweb as pb
from pbweb.testing import pair, tables
from tests.clock import Clock
from tests.unit.paired import MINUTE, LogRecords


class Meeting(pb.Root):
    """The root of both sessions in the middle: keeps what each brings for the other."""

    def __init__(self):
        self.brought = {}

    def remote_bring(self, name, value):
        self.brought[name] = value

    def remote_get(self, name):
        return self.brought[name]

    def remote_is_what_was_brought(self, name, value):
        return value is self.brought[name]

    async def remote_call(self, name, method, *args):
        return await self.brought[name].callRemote(method, *args)

    def remote_forget(self):
        self.brought.clear()


class Service(pb.Referenceable):
    """Lives with one client."""

    def __init__(self):
        self.log = []

    def remote_double(self, number, factor=2):
        self.log.append(number)
        return number * factor

    async def remote_wait(self):
        self.log.append("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise

    def remote_fail(self):
        raise pb.Error("of the service")

    def remote_bug(self):
        raise ValueError("a fault of the service")

    def remote_me(self):
        return self

    def remote_is_me(self, value):
        return value is self

    def remote_echo(self, value):
        return value

    async def remote_ask(self, other, *args):
        return await other.callRemote("double", *args)


def run_relayed(body, *, logged=0):
    """*body* gets the two pairs whose servers share one root."""
    unhandled = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
        meeting = Meeting()
        async with asyncio.timeout(MINUTE), pair(meeting) as alice, pair(meeting) as bob:
            alice.clock = bob.clock = Clock.of(*alice, *bob)
            await body(alice, bob, meeting)
            meeting.brought.clear()
            for _ in range(3):  # what one session lets go of, the other gives back
                for both in (alice, bob):
                    if not both.client.session.ended:
                        await settle(both)
            for both in (alice, bob):
                for connection in both:
                    left = tables(connection.session)
                    assert not any(left.values()), left

    with LogRecords() as records:
        asyncio.run(main())
    assert not unhandled, unhandled
    assert len(records) == logged, [record.getMessage() for record in records]


async def settle(both):
    try:
        await both.assert_idle()
    except AssertionError:  # it hangs on the other session
        return


@asynccontextmanager
async def introduced(alice, bob, service):
    """Bob's client holds a reference to a service of Alice's client's."""
    ours, theirs = await alice.client.getRootObject(), await bob.client.getRootObject()
    await ours.callRemote("bring", "service", service)
    yield await theirs.callRemote("get", "service"), theirs, ours


def test_calls_are_relayed_with_arguments_and_results():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            assert await ref.callRemote("double", 5) == 10
            assert await ref.callRemote("double", 5, factor=3) == 15
            assert await ref.callRemote("echo", [2**70, {1: {2}}]) == [2**70, {1: {2}}]
            assert service.log == [5, 5]

    run_relayed(body)


def test_a_relayed_reference_is_one_reference_and_comes_home():
    service = Service()

    async def body(alice, bob, meeting):
        async with introduced(alice, bob, service) as (ref, theirs, ours):
            assert await theirs.callRemote("get", "service") is ref
            assert await ref.callRemote("me") is ref
            assert await ref.callRemote("is_me", ref) is True
            assert await theirs.callRemote("is_what_was_brought", "service", ref) is True
            assert await ours.callRemote("get", "service") is service
            assert isinstance(meeting.brought["service"], pb.RemoteReference)
            del theirs, ours

    run_relayed(body)


def test_references_go_through_in_both_directions_nested():
    service, other = Service(), Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            assert await ref.callRemote("ask", other, 4) == 8
            assert other.log == [4]
            got = await ref.callRemote("echo", {"x": [other, ref]})
            assert got["x"][0] is other
            assert got["x"][1] is ref
            del got

    run_relayed(body)


def test_failures_go_through_as_they_are_and_are_logged_where_they_were_raised():
    async def body(alice, bob, _):
        async with introduced(alice, bob, Service()) as (ref, _, _):
            with pytest.raises(pb.Error, match="of the service") as caught:
                await ref.callRemote("fail")
            assert caught.value.type == "pb.Error"
            with pytest.raises(pb.RemoteError, match="a fault") as caught:
                await ref.callRemote("bug")
            assert caught.value.type == "builtins.ValueError"
            assert caught.value.check(ValueError)
            with pytest.raises(pb.NoSuchMethod):
                await ref.callRemote("nowhere")
            with pytest.raises(pb.WrongArguments):
                await ref.callRemote("double")
            del caught

    run_relayed(body, logged=1)


def test_a_cancel_is_passed_on():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            promise = ref.callRemote("wait")
            await bob.quiet()
            promise.cancel()
            with pytest.raises(pb.CancelledError):
                await promise
            assert service.log == ["waiting", "cancelled"]

    run_relayed(body)


def test_a_deadline_is_passed_on():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            late = ref.call("wait", timeout=5)
            await bob.quiet()
            bob.clock.turn(5)
            with pytest.raises(TimeoutError):
                await late
            await bob.quiet()
            [message] = [f for f in alice.to_client.frames if f[0] == "message"]
            assert message[6]["deadline"] == 5
            assert service.log == ["waiting", "cancelled"]

    run_relayed(body)


def test_pipelined_calls_on_a_reference_that_will_be_relayed():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (_, theirs, _):
            promise = theirs.callRemote("get", "service")
            assert await promise.callRemote("double", 6) == 12
            assert await promise.callRemote("echo", promise) is await promise
            del promise

    run_relayed(body)


def test_the_order_of_relayed_calls_holds():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            promises = [ref.callRemote("double", n) for n in range(30)]
            assert [await promise for promise in promises] == [2 * n for n in range(30)]
            assert service.log == list(range(30))

    run_relayed(body)


def test_the_middle_lets_go_when_nobody_holds_the_reference():
    async def body(alice, bob, meeting):
        service = Service()
        probe = weakref.ref(service)
        async with introduced(alice, bob, service) as (ref, _, _):
            meeting.brought.clear()
            assert await ref.callRemote("double", 1) == 2
            assert bob.server.broker.statistics()["handed_out"] == 1
            assert alice.server.broker.statistics()["held"] == 1
        del service, ref
        for _ in range(2):
            await settle(bob)
            await settle(alice)
        gc.collect()
        assert probe() is None
        assert alice.client.broker.statistics()["handed_out"] == 0

    run_relayed(body)


def test_when_the_owner_goes_the_reference_is_dead_at_the_other_side():
    async def body(alice, bob, _):
        async with introduced(alice, bob, Service()) as (ref, theirs, _):
            promise = ref.callRemote("wait")
            await bob.quiet()
            alice.cut()
            with pytest.raises((pb.PBConnectionLost, pb.DeadReferenceError)):
                await promise
            with pytest.raises(pb.DeadReferenceError):
                await ref.callRemote("double", 1)
            with pytest.raises(pb.DeadReferenceError):
                await theirs.callRemote("call", "service", "double", 1)
            with pytest.raises(pb.DeadReferenceError):
                await theirs.callRemote("get", "service")

    run_relayed(body, logged=1)


def test_when_the_caller_goes_its_calls_are_cancelled_at_the_owner():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            promise = ref.callRemote("wait")
            await bob.quiet()
            bob.cut()
            with pytest.raises(pb.PBConnectionLost):
                await promise
            await alice.quiet()
            assert service.log == ["waiting", "cancelled"]

    run_relayed(body)


def test_a_reference_that_the_middle_released_is_dead_at_the_other_side():
    async def body(alice, bob, meeting):
        async with introduced(alice, bob, Service()) as (ref, _, _):
            meeting.brought["service"].release()
            with pytest.raises(pb.DeadReferenceError):
                await ref.callRemote("double", 1)

    run_relayed(body)


def test_functions_are_relayed_too():
    async def body(alice, bob, _):
        async with introduced(alice, bob, lambda number: number + 1) as (ref, _, _):
            assert await ref(1) == 2
            with pytest.raises(pb.NoSuchMethod):
                await ref.callRemote("double", 1)

    run_relayed(body)


def test_calls_without_answer_are_relayed():
    service = Service()

    async def body(alice, bob, _):
        async with introduced(alice, bob, service) as (ref, _, _):
            ref.callRemoteOnly("double", 3)
            assert await ref.callRemote("double", 4) == 8
            assert service.log == [3, 4]

    run_relayed(body)


class Keeper(pb.Referenceable):
    """Lives with Bob: gives back what the middle handed to it."""

    def __init__(self):
        self.kept = None

    def remote_keep(self, value):
        self.kept = value

    def remote_get(self):
        return self.kept


def test_the_middle_calls_a_promise_that_became_a_reference_of_another_session():
    service, keeper = Service(), Keeper()

    async def body(alice, bob, meeting):
        async with introduced(alice, bob, service) as (_, theirs, _):
            await theirs.callRemote("bring", "keeper", keeper)
            bobs = meeting.brought["keeper"]
            await bobs.callRemote("keep", meeting.brought["service"])
            promise = bobs.callRemote("get")
            assert await promise is meeting.brought["service"]
            assert await promise.callRemote("double", 4) == 8
            with pytest.raises(pb.Error, match="of the service"):
                await promise.callRemote("fail")
            promise.callRemoteOnly("double", 5)
            waiting = promise.callRemote("wait")
            await alice.quiet()
            waiting.cancel()
            with pytest.raises(pb.CancelledError):
                await waiting
            late = promise.call("wait", timeout=5)
            await alice.quiet()
            bob.clock.turn(5)
            with pytest.raises(TimeoutError):
                await late
            await alice.quiet()
            assert service.log == [4, 5, "waiting", "cancelled", "waiting", "cancelled"]
            keeper.kept = None
            del promise, bobs, waiting

    run_relayed(body)
