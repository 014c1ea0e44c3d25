"""pbweb.draining: a server that stops. What ends by itself is waited for without a bound that could
be reached; where a bound is the point it is 0."""

import asyncio
import signal
import threading
from contextlib import asynccontextmanager

import pytest

import pbweb as pb
from pbweb.draining import GOING_AWAY, back_in, before_the_server, stop
from pbweb.testing import Pair, Way
from tests.unit.paired import MINUTE


class Shop(pb.Root):
    def __init__(self):
        self.open = asyncio.Event()
        self.log = []

    async def remote_sell(self):
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            await asyncio.sleep(0)
            self.log.append("put away")
            raise
        return "sold"

    def remote_price(self):
        return 12

    async def remote_prices(self):
        yield 12
        await self.open.wait()


class NeverAgain:
    """The way back of a client that says it may resume, and does not."""

    def begin(self, wait):
        return False

    def stop(self):
        pass

    def follows(self):
        return False

    def refused(self):
        return False


@asynccontextmanager
async def served(endpoint):
    """A client of *endpoint*'s, in memory."""
    up, down = Way(), Way()
    server = endpoint.connect(down)
    client = pb.Connection(
        endpoint.options, is_server=False, software="test", way_back=NeverAgain()
    )
    up.sender, up.receiver, down.sender, down.receiver = client, server, server, client
    client.attach(up)
    both = Pair(client, server, up, down)
    try:
        await both.root.callRemote("price")
        yield both
    finally:
        both.cut("the test is over")
        endpoint.forget(server)


def run(body):
    async def main():
        async with asyncio.timeout(MINUTE):
            await body()

    asyncio.run(main())


async def forgetting(endpoint, both):
    """Do what a server does when a link is gone."""
    await both.server.wait_closed()
    endpoint.forget(both.server)


def test_the_range_of_seconds_grows_with_the_clients():
    assert back_in(0) == [1.0, 2.0]
    assert back_in(1000) == [1.0, 12.0]
    assert back_in(10**6) == [1.0, 60.0]


def test_calls_in_progress_are_answered_and_later_ones_refused_for_certain():
    async def body():
        shop = Shop()
        endpoint = pb.Endpoint(shop)
        async with served(endpoint) as both:
            gone = asyncio.ensure_future(forgetting(endpoint, both))
            sells = both.root.callRemote("sell")
            await both.quiet()
            stopping = asyncio.ensure_future(endpoint.drain(MINUTE))
            await both.quiet()
            with pytest.raises(pb.PBConnectionLost, match="going away") as refused:
                await both.root.callRemote("price")
            assert refused.value.outcome == "not_executed"
            assert not stopping.done()
            shop.open.set()
            assert await sells == "sold"
            await stopping
            assert both.to_client.frames[-1] == ["close", 1012, GOING_AWAY, [1.0, 2.01], 3]
            assert both.client.status == "ended"
            assert not endpoint.connections
            await gone

    run(body)


def test_a_session_without_calls_ends_at_once():
    async def body():
        endpoint = pb.Endpoint(Shop())
        async with served(endpoint) as both:
            gone = asyncio.ensure_future(forgetting(endpoint, both))
            await endpoint.drain(MINUTE)
            assert both.to_client.closed == (1012, GOING_AWAY)
            await gone

    run(body)


def test_who_reads_a_stream_holds_up_nothing():
    async def body():
        endpoint = pb.Endpoint(Shop())
        async with served(endpoint) as both:
            gone = asyncio.ensure_future(forgetting(endpoint, both))
            stream = await both.root.callRemote("prices")
            assert await anext(stream) == 12
            reads = asyncio.ensure_future(anext(stream))
            await both.quiet()
            await endpoint.drain(MINUTE)
            with pytest.raises(pb.PBConnectionLost):
                await reads
            await gone

    run(body)


def test_when_the_time_is_over_methods_are_cancelled_and_their_ends_are_waited_for():
    async def body():
        shop = Shop()
        endpoint = pb.Endpoint(shop, limits=pb.Limits(grace=MINUTE))
        async with served(endpoint) as both:
            gone = asyncio.ensure_future(forgetting(endpoint, both))
            sells = both.root.callRemote("sell")
            await both.quiet()
            await endpoint.drain(0)
            assert shop.log == ["cancelled", "put away"]
            with pytest.raises(pb.PBConnectionLost) as lost:
                await sells
            assert lost.value.outcome == "executed_answer_lost"
            await gone

    run(body)


def test_what_is_urgent_waits_for_nothing():
    async def body():
        endpoint = pb.Endpoint(Shop())
        async with served(endpoint) as both:
            both.to_client.hold()
            both.root.callRemote("sell")
            await both.quiet()
            await stop([endpoint], MINUTE, MINUTE, lambda: True)
            assert both.to_client.closed == (1012, GOING_AWAY)

    run(body)


def test_a_peer_that_does_not_read_is_dropped():
    async def body():
        endpoint = pb.Endpoint(Shop(), limits=pb.Limits(grace=0.001))
        async with served(endpoint) as both:
            both.to_client.fill()
            both.to_client.hold()
            await endpoint.drain()
            assert both.to_client.closed is not None
            assert not both.to_client.waiting  # what was written is dropped, not waited for

    run(body)


def test_sessions_without_a_connection_end_last():
    async def body():
        ends = []
        endpoint = pb.Endpoint(Shop(), limits=pb.Limits(resume_window=60))
        async with served(endpoint) as both:
            both.server.notifyOnDisconnect(lambda: ends.append("parked"))
            both.cut()
            endpoint.forget(both.server)
            assert endpoint.parking.statistics()["away"] == 1
            await endpoint.drain(MINUTE)
            assert ends == ["parked"]
            assert endpoint.parking.statistics()["sessions"] == 0

    run(body)


def test_a_logout_that_is_async_is_waited_for():
    left = []

    class User(pb.Avatar):
        pass

    class Realm:
        def requestAvatar(self, avatarId, mind, interface):
            async def logout():
                await asyncio.sleep(0)
                left.append(avatarId)

            return interface, User(), logout

    async def body():
        from pbweb.checkers import AllowAnonymousAccess

        endpoint = pb.Endpoint(
            pb.Portal(Realm(), [AllowAnonymousAccess()]), limits=pb.Limits(grace=MINUTE)
        )
        up, down = Way(), Way()
        server = endpoint.connect(down)
        client = pb.Connection(endpoint.options, is_server=False, software="test")
        up.sender, up.receiver, down.sender, down.receiver = client, server, server, client
        client.attach(up)
        avatar = await client.login(pb.Anonymous())
        gone = asyncio.ensure_future(forgetting(endpoint, Pair(client, server, up, down)))
        await endpoint.drain(MINUTE)
        assert len(left) == 1
        del avatar
        await gone

    run(body)


def test_the_end_of_a_lifespan_is_the_end_of_the_sessions():
    async def body():
        endpoint = pb.Endpoint(Shop())
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent = []

        async def receive():
            return next(events)

        async def send(event):
            sent.append((event["type"], endpoint.stopping))

        await endpoint({"type": "lifespan"}, receive, send)
        assert sent == [("lifespan.startup.complete", False), ("lifespan.shutdown.complete", True)]

    run(body)


def test_nobody_is_let_in_any_more():
    async def body():
        asked = asyncio.Event()

        async def who(request):
            asked.set()
            await let_go.wait()
            return "somebody"

        let_go = asyncio.Event()
        endpoint = pb.Endpoint(Shop(), authenticate=who)
        scope = {
            "type": "websocket",
            "path": "/pb",
            "headers": [(b"host", b"localhost")],
            "subprotocols": ["pb.json.1"],
            "query_string": b"",
        }
        assert endpoint.refusal(scope) is None
        identifying = asyncio.ensure_future(endpoint.identify(scope))
        await asked.wait()
        await endpoint.drain()
        assert endpoint.refusal(scope) == (503, GOING_AWAY)
        let_go.set()
        with pytest.raises(Exception, match=GOING_AWAY) as refused:
            await identifying
        assert refused.value.status == 503

    run(body)


@pytest.fixture
def signalled():
    """The signals that the server got, in place of what would end this program."""
    got = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [
        signal.signal(number, lambda number, _frame: got.append(number)) for number in numbers
    ]
    yield got
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_comes_to_the_server_when_calls_in_progress_have_ended(signalled):
    shop = Shop()
    endpoint = pb.Endpoint(shop)

    async def body():
        async with before_the_server(endpoint), served(endpoint) as both:
            call = both.root.callRemote("sell")
            await both.quiet()
            signal.raise_signal(signal.SIGTERM)
            await both.quiet()
            assert endpoint.stopping
            assert signalled == []
            shop.open.set()
            assert await call == "sold"
            while not signalled:
                await asyncio.sleep(0)
            assert signalled == [signal.SIGTERM]

    run(body)


def test_the_next_signal_comes_to_the_server_at_once(signalled):
    shop = Shop()
    endpoint = pb.Endpoint(shop)

    async def body():
        async with before_the_server(endpoint), served(endpoint) as both:
            call = both.root.callRemote("sell")
            await both.quiet()
            signal.raise_signal(signal.SIGTERM)
            await both.quiet()
            signal.raise_signal(signal.SIGINT)
            assert signalled == [signal.SIGINT]
            await both.quiet()
            assert not call.done, "nobody drains any more"
            shop.open.set()
            assert await call == "sold"

    run(body)
    assert signalled == [signal.SIGINT]


def test_signals_are_left_alone_where_there_are_none(signalled):
    """Signals come to the main thread; a loop in another one has none to hold back."""
    handler = signal.getsignal(signal.SIGTERM)

    async def body():
        endpoint = pb.Endpoint(Shop())
        async with before_the_server(endpoint):
            assert signal.getsignal(signal.SIGTERM) is handler
        assert endpoint.stopping

    thread = threading.Thread(target=run, args=(body,))
    thread.start()
    thread.join(MINUTE)
    assert not thread.is_alive()
    assert signal.getsignal(signal.SIGTERM) is handler
