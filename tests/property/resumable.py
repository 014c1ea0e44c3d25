"""Two sessions whose connection breaks at any byte, and the parking between, without I/O."""

from collections import deque

import pbweb as pb
from pbweb.parking import Parking, Principal
from pbweb.runtime import Options
from pbweb.session import Session
from pbweb.testing import SteppedPair, SteppedRuntime


class Wire:
    """One connection: what is on its way, and which ends of it still stand."""

    def __init__(self, server):
        self.server = server
        self.up = deque()
        self.down = deque()
        self.client_has_it = True
        self.server_has_it = True


class ResumablePair(SteppedPair):
    """A `SteppedPair` whose sessions outlive their connections."""

    def __init__(self, publish, *, limits, client_limits=None, client_names=None, runtime=None):
        self.runtime = runtime or SteppedRuntime()
        self.limits = limits
        self.publish = publish
        self.principal = Principal("somebody", "http://here")
        self.number = iter(range(10**9))
        self.forget_everything()
        self.refusals = []
        self.changes = {"client": [], "server": []}
        self.client = Session(
            self.runtime,
            Options(client_limits or limits, pb.Registry()),
            lambda: None,
            is_server=False,
            software="model",
            refused=self._refused,
            changed=self.changes["client"].append,
        )
        for name, value in (client_names or {}).items():
            self.client.broker.setNameForLocal(name, value)
        self.wires = []
        self.connect()
        self.server = self.wires[0].server

    def forget_everything(self):
        """The server is one that knows of no session."""
        self.parking = Parking(
            self.limits, self.runtime.clock, self._moved, lambda size: f"{size}-{next(self.number)}"
        )

    # ------------------------------------------------------------- the shells

    def connect(self):
        """The client has a new connection; of its old one the server may know nothing."""
        server = Session(
            self.runtime,
            Options(self.limits, pb.Registry()),
            lambda: None,
            is_server=True,
            software="model",
            opened=self.publish,
            door=self.parking,
            changed=self.changes["server"].append,
        )
        self.parking.expect(server, self.principal)
        self.wires.append(Wire(server))

    def _moved(self, found, young):
        for wire in self.wires:
            if wire.server is found:
                wire.server_has_it = False  # fenced
            if wire.server is young:
                wire.server = found

    def _refused(self, session, said):
        self.refusals.append(said)

    @property
    def wire(self):
        """The connection that the client has, if it has one."""
        return self.wires[-1] if self.wires and self.wires[-1].client_has_it else None

    def reconnect(self):
        """The client comes back."""
        if self.wire is None and not self.client.ended:
            self.connect()
            self.client.reconnect()

    def client_loses(self):
        """The client's end of the connection breaks; what it wrote may still arrive."""
        if self.wire is not None:
            wire = self.wire
            wire.client_has_it = False
            wire.down.clear()
            self.client.detach("lost")

    def server_loses(self, wire):
        """The server's end of *wire* breaks."""
        if wire.server_has_it:
            wire.server_has_it = False
            wire.up.clear()
            wire.server.detach("lost")
            self.parking.forget(wire.server)

    def cut(self, why="the connection was cut", *, up=0, down=0):
        """Break the connection when so many bytes more have come through each way."""
        wire = self.wire
        if wire is not None:
            self._pass(wire.up, up, lambda *message: self._to_server(wire, *message))
            self._pass(wire.down, down, lambda *message: self._to_client(wire, *message))
        self.client_loses()
        for wire in list(self.wires):
            self.server_loses(wire)
        self.runtime.run()

    @staticmethod
    def _pass(way, size, take):
        while way and len(way[0][0]) <= size:
            size -= len(way[0][0])
            take(*way.popleft())

    def _to_server(self, wire, data, binary):
        if wire.server_has_it:
            wire.server.receive(data, binary)
            self.runtime.run()

    def _to_client(self, wire, data, binary):
        if wire.client_has_it:
            self.client.receive(data, binary)
            self.runtime.run()

    # ---------------------------------------------------------------- the ways

    @property
    def up(self):
        return self.wire.up if self.wire else deque()

    @up.setter
    def up(self, messages):
        pass  # `+=` has extended the deque

    @property
    def down(self):
        return self.wire.down if self.wire else deque()

    @down.setter
    def down(self, messages):
        pass

    def flush_client(self):
        """What the client has to send goes on its way."""
        messages = self.client.messages()
        wire = self.wire
        if wire is None:
            assert not messages
        else:
            wire.up += messages
            if self.client.parted or self.client.ended:
                self.client.parted = None
                wire.client_has_it = False

    def flush_server(self):
        """What the server has to send goes on its way, on whichever connection it has."""
        served = set()
        for wire in self.wires:
            if wire.server_has_it:
                served.add(wire.server)
                wire.down += wire.server.messages()
                if wire.server.parted or wire.server.ended:
                    wire.server.parted = None
                    wire.server_has_it = False
        if self.server not in served:
            messages = self.server.messages()
            assert not messages or self.server.ended  # a close that nobody gets

    def flush(self):
        self.flush_client()
        self.flush_server()
        self.wires = [wire for wire in self.wires if wire.client_has_it or wire.server_has_it]

    def deliver(self, *, to_server):
        for wire in list(self.wires):
            way = wire.up if to_server else wire.down
            if way:
                (self._to_server if to_server else self._to_client)(wire, *way.popleft())
                return True
        return False

    def settle(self):
        for _ in range(100_000):
            self.runtime.run()
            self.reconnect()
            self.flush()
            for wire in list(self.wires):  # the server learns of an end that is not there
                if not wire.client_has_it and not wire.up:
                    self.server_loses(wire)
            moved = self.deliver(to_server=True)
            moved = self.deliver(to_server=False) or moved
            wire = self.wire
            if not moved and wire is not None and not wire.server_has_it:
                self.client_loses()  # the client learns of it as well
                moved = True
            again = self.client.again or self.server.again
            if not moved and not again:
                return
        raise RuntimeError("the sessions go on and on")
