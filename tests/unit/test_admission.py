"""pbweb.admission: how many connections there may be, and how fast they may come."""

import asyncio

import pytest

import pbweb as pb
from pbweb.admission import Admission
from pbweb.limits import Limits
from tests.unit.paired import LogRecords
from tests.unit.test_asgi import Client, Root, scope
from tests.unit.test_server_protocol import Scene

HERE, THERE = b"\x0a\0\0\1", b"\x0a\0\0\2"
FAR = {"peername": ("192.0.2.7", 5)}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_connections_at_the_limit_and_one_past_it():
    admission = Admission(Limits(connections=2), Clock())
    for network in (HERE, None):
        assert admission.refusal(network) is None
        admission.enter(network)
    for network in (HERE, None, THERE):
        status, _, reason = admission.refusal(network)
        assert status == 503
        assert reason == "connections: 2 are open, more are not allowed"
    admission.leave(None)
    assert admission.refusal(None) is None


def test_connections_of_one_address_at_the_limit_and_one_past_it():
    admission = Admission(Limits(connections_per_address=2), Clock())
    for _ in range(2):
        assert admission.refusal(HERE) is None
        admission.enter(HERE)
    status, _, reason = admission.refusal(HERE)
    assert status == 503
    assert reason.startswith("connections_per_address: 2 are open from there")
    assert "--trust-proxy" in reason
    assert admission.refusal(THERE) is None
    admission.leave(HERE)
    assert admission.refusal(HERE) is None
    admission.leave(HERE)
    assert admission.statistics() == {"connections": 0, "networks": 0}


def test_this_machine_is_counted_in_all_only():
    admission = Admission(Limits(connections_per_address=1, handshakes=1), Clock())
    for _ in range(50):
        assert admission.refusal(None) is None
        admission.enter(None)
    assert admission.statistics() == {"connections": 50, "networks": 0}


def test_handshakes_at_the_limit_and_one_past_it():
    clock = Clock()
    admission = Admission(Limits(handshakes=3), clock)
    clock.now = 5.0
    assert [admission.refusal(HERE) for _ in range(3)] == [None] * 3
    assert admission.refusal(HERE)[0] == 429
    assert admission.refusal(THERE) is None
    clock.now = 5.99
    assert admission.refusal(HERE)[2].startswith("handshakes: more than 3 in a second")
    clock.now = 6.0
    assert admission.refusal(HERE) is None


def status_of(line):
    return int(line.split(" ")[1])


def test_under_pbweb_serve_they_are_counted_before_the_upgrade_and_until_the_end():
    async def body():
        first = Scene(Limits(connections_per_address=1), info=FAR)
        assert status_of(first.upgrade()) == 101
        admission = first.endpoint.admission
        assert admission.statistics() == {"connections": 1, "networks": 1}
        second = Scene(info=FAR, endpoint=first.endpoint)
        assert status_of(second.upgrade()) == 503
        second.lose()
        assert admission.statistics()["connections"] == 1
        assert not first.transport.closed, "those that are open are not closed for it"
        await asyncio.sleep(0)
        first.lose()
        assert admission.statistics() == {"connections": 0, "networks": 0}
        third = Scene(info=FAR, endpoint=first.endpoint)
        assert status_of(third.upgrade()) == 101
        third.lose()  # before it is handed to its link
        assert admission.statistics() == {"connections": 0, "networks": 0}

    with LogRecords() as records:
        asyncio.run(body())
    [record] = records
    assert "from '192.0.2.7' was refused with 503: connections_per_address: 1" in (
        record.getMessage()
    )


def test_a_trusted_proxy_says_for_whom():
    async def body():
        proxy = {"peername": ("127.0.0.1", 5)}
        first = Scene(Limits(connections_per_address=1), info=proxy)
        assert status_of(first.upgrade("X-Forwarded-For: 192.0.2.7")) == 101
        statuses = []
        scenes = [first]
        for address in ("192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::2", ""):
            scenes.append(Scene(info=proxy, endpoint=first.endpoint))
            statuses.append(status_of(scenes[-1].upgrade(f"X-Forwarded-For: {address}")))
        assert statuses == [503, 101, 101, 503, 101]
        await asyncio.sleep(0)
        for scene in scenes:
            scene.lose()
        assert first.endpoint.admission.statistics() == {"connections": 0, "networks": 0}

    asyncio.run(body())


@pytest.mark.parametrize("refuses", [True, False])
def test_who_is_being_authenticated_counts_and_who_is_refused_no_more(refuses):
    async def body():
        go = asyncio.Event()

        async def authenticate(_request):
            await go.wait()
            if refuses:
                raise RuntimeError

        endpoint = pb.endpoint(
            pb.Root,
            authenticate=authenticate,
            limits=Limits(connections_per_address=1),
            hosts=["pb.example"],
        )
        first, second = (Scene(info=FAR, endpoint=endpoint) for _ in range(2))
        first.upgrade()
        assert status_of(second.upgrade()) == 503
        go.set()
        while not first.transport.written:
            await asyncio.sleep(0)
        assert status_of(first.transport.written.decode()) == (500 if refuses else 101)
        await asyncio.sleep(0)
        first.lose()
        second.lose()
        assert endpoint.admission.statistics() == {"connections": 0, "networks": 0}

    asyncio.run(body())


def test_mounted_they_are_counted_as_well():
    async def body():
        endpoint = pb.endpoint(Root, limits=Limits(connections_per_address=1))
        first = Client(endpoint, scope(client=("192.0.2.7", 5)))
        assert (await first.sent.get())["type"] == "websocket.accept"
        second = Client(endpoint, scope(client=("192.0.2.7", 6)))
        await second.task
        assert second.sent.get_nowait()["status"] == 503
        assert endpoint.admission.statistics() == {"connections": 1, "networks": 1}
        await first.leave()
        assert endpoint.admission.statistics() == {"connections": 0, "networks": 0}

    asyncio.run(body())
