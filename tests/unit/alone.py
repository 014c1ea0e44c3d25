"""A session whose peer is the test."""

import orjson

import pbweb as pb
from pbweb.runtime import Options
from pbweb.session import Session
from pbweb.testing import SteppedRuntime, frames_of
from tests.unit.vectors import FixtureRoot


class Alone:
    """A session whose peer is the test; nothing is fed to it before."""

    def __init__(self, *, is_server=True, opened=None, refused=None, **limits):
        self.runtime = SteppedRuntime()
        self.woken = 0

        def wake():
            self.woken += 1

        def publish(session):
            session.broker.setNameForLocal("root", FixtureRoot(self.runtime))

        self.session = Session(
            self.runtime,
            Options(pb.Limits(**limits), pb.Registry()),
            wake,
            is_server=is_server,
            software="alone",
            opened=opened or publish,
            refused=refused,
        )

    def feed(self, *frames):
        self.session.receive(orjson.dumps(frames[0] if len(frames) == 1 else frames))
        return self.sent()

    def sent(self):
        self.runtime.run()
        return [frame for message in self.session.messages() for frame in frames_of(message)]


VERSION = ["version", 1]


MESSAGE = ["message", 1, "root", "echo", [1]]


def opened(**options):
    alone = Alone(**options)
    alone.feed(VERSION)
    return alone
