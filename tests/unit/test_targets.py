"""pbweb.targets: a reference, a promise and a part of a promise are called in the same ways."""

import pytest

import pbweb as pb
from tests.unit.paired import run_paired


class Counter(pb.Referenceable):
    def __init__(self):
        self.calls = []

    def remote_note(self, *args, **kw):
        self.calls.append((args, kw))
        return len(self.calls)


class Root(pb.Root):
    def __init__(self):
        self.counter = Counter()

    def remote_getCounter(self):
        return self.counter

    def remote_getNested(self):
        return {"counters": [self.counter]}


TARGETS = {
    "a reference": lambda root, counter: counter,
    "a promise": lambda root, counter: root.callRemote("getCounter"),
    "a part of a promise": lambda root, counter: root.callRemote("getNested")["counters"][0],
}


@pytest.mark.parametrize("kind", TARGETS)
def test_each_is_called_in_every_way(kind):
    root = Root()

    async def body(both):
        remote = await both.client.getRootObject()
        target = TARGETS[kind](remote, await remote.callRemote("getCounter"))
        assert isinstance(target, pb.RemoteReference) == (kind == "a reference")
        assert await target.callRemote("note", 1, two=2) == 1
        assert await target.call("note", [1], {"two": 2}, timeout=60) == 2
        assert target.callRemoteOnly("note", 1, two=2) is None
        assert await target.callRemote("note") == 4

    run_paired(root, body)
    assert root.counter.calls == [((1,), {"two": 2})] * 3 + [((), {})]
