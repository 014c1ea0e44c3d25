"""Many clients whose server goes: they come back within seconds, spread, and each once."""

import asyncio

import pbweb as pb
from tests.chaos.conductor import Plan, Server
from tests.chaos.proxy import fault_proxy

CLIENTS = 60  # of one address, which has a bound
SECONDS = 30


async def test_a_herd_comes_back_spread_and_once(tmp_path):
    loop = asyncio.get_running_loop()
    server = Server(tmp_path, Plan())
    server.start()
    begun = [0] * CLIENTS
    all_back = asyncio.Event()

    def client(number, url):
        async def on_session(root, connection):
            begun[number] += 1
            if min(begun) == 2:
                all_back.set()

        return pb.connect(url, on_session=on_session)

    try:
        async with fault_proxy(server.port) as proxy:
            url = f"ws://localhost:{proxy.port}/pb"
            connections = [await client(number, url) for number in range(CLIENTS)]
            await asyncio.to_thread(server.stop)  # SIGKILL: all are cut at once
            await asyncio.to_thread(server.start)
            back_at = loop.time()
            async with asyncio.timeout(SECONDS):
                await all_back.wait()
            waits = sorted(at - back_at for at in proxy.let_in[CLIENTS:])
            print("back after", ", ".join(f"{wait:.1f}" for wait in waits), "s")
            assert begun == [2] * CLIENTS
            assert len(waits) == CLIENTS  # no second wave
            assert waits[-1] - waits[0] > 0.5  # they did not come at once
            await asyncio.gather(*(connection.close() for connection in connections))
    finally:
        server.stop()
