"""What the tests serve."""

import asyncio
import time
from typing import Any

import pbweb as pb


class Counter(pb.Referenceable):
    def __init__(self) -> None:
        self.number = 0

    def remote_add(self, number: int) -> int:
        self.number += number
        return self.number


class IntegrationRoot(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value

    def remote_counter(self) -> Counter:
        return Counter()

    async def remote_callBack(self, reference: Any, value: object) -> object:
        return await reference.callRemote("take", value)

    async def remote_slow(self) -> None:
        print("slow is running", flush=True)
        await asyncio.sleep(3600)

    async def remote_stubborn(self) -> None:
        print("stubborn is running", flush=True)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("stubborn was cancelled", flush=True)

    def remote_block(self) -> None:
        print("block is running", flush=True)
        while True:
            time.sleep(1)

    async def remote_push(self, reference: Any) -> None:
        print("push is running", flush=True)
        while True:
            reference.callRemoteOnly("take", "x" * 10_000)
            await asyncio.sleep(0)

    def remote_fail(self) -> None:
        raise ValueError("MARK-of-the-fault")


class Broken(pb.Root):
    def __init__(self) -> None:
        raise RuntimeError("this root cannot be made")


SEVERAL = {"/one/pb": IntegrationRoot, "/two/pb": IntegrationRoot()}
NOT_A_ROOT = 5
