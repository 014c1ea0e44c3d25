"""Twisted PB as a server over TCP, and as a client that counts its calls."""

import argparse
import time

from twisted.internet import defer, reactor
from twisted.spread import pb


class Thing(pb.Referenceable):
    """What is handed out."""

    def remote_echo(self, value):
        return value


class Root(pb.Root):
    """Every method that a load calls."""

    def remote_echo(self, value):
        return value

    def remote_make(self):
        return Thing()

    def remote_next(self):
        return self

    def remote_ring(self, listener, in_flight):
        def ring(_answer):
            listener.callRemote("echo", "hello network").addCallbacks(ring, lambda failure: None)

        for _ in range(in_flight):
            ring(None)


def serve():
    """Listen on a free port, which is printed."""
    listening = reactor.listenTCP(
        0, pb.PBServerFactory(Root()), interface="127.0.0.1", backlog=8192
    )
    print(f"serves 127.0.0.1:{listening.getHost().port}", flush=True)
    reactor.run()


@defer.inlineCallbacks
def connect(port):
    """The root of the server."""
    factory = pb.PBClientFactory()
    reactor.connectTCP("127.0.0.1", port, factory)
    return (yield factory.getRootObject())


@defer.inlineCallbacks
def count_calls(port, in_flight, seconds):
    """Print how many calls a second come about with as many in flight."""
    root = yield connect(port)
    counted = [0]

    def again(_answer):
        counted[0] += 1
        root.callRemote("echo", "hello network").addCallbacks(again, lambda failure: None)

    for _ in range(in_flight):
        root.callRemote("echo", "hello network").addCallbacks(again, lambda failure: None)
    yield pause(seconds / 4)
    calls, began = counted[0], time.perf_counter()
    yield pause(seconds)
    print(f'{{"rate": {(counted[0] - calls) / (time.perf_counter() - began)}}}', flush=True)


@defer.inlineCallbacks
def chain(port, length):
    """Print the seconds of a chain of calls, each on what the one before returned."""
    root = yield connect(port)
    yield root.callRemote("echo", "warm")
    began, link = time.perf_counter(), root
    for _ in range(length):
        link = yield link.callRemote("next")
    print(f'{{"seconds": {time.perf_counter() - began}}}', flush=True)


def pause(seconds):
    waited = defer.Deferred()
    reactor.callLater(seconds, waited.callback, None)
    return waited


def run(work):
    """Run the reactor until *work* is done."""
    failures = []
    reactor.callWhenRunning(
        lambda: work().addErrback(failures.append).addBoth(lambda _: reactor.stop())
    )
    reactor.run()
    for failure in failures:
        failure.raiseException()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["serve", "calls", "chain"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--length", type=int, default=5)
    given = parser.parse_args()
    if given.what == "serve":
        serve()
    elif given.what == "calls":
        run(lambda: count_calls(given.port, given.in_flight, given.seconds))
    else:
        run(lambda: chain(given.port, given.length))


if __name__ == "__main__":
    main()
