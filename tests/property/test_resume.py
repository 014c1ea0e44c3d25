"""Sessions that outlive their connections, driven at random, without I/O.

The link breaks at any byte, on either side first; the client comes back before or after the
server knows. The laws are those of `test_sessions`, since an application notices nothing, and
the invariants of resuming: what is kept is exactly what is not acknowledged (I1, I2), every
call is executed once (I3), one connection is current (I4), an end is final (I5), no more is
kept than is allowed (I8), and what a lost call says is true.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

import pbweb as pb
from pbweb.testing import SteppedRuntime, tables
from tests.property.resumable import ResumablePair
from tests.property.test_sessions import BOUNDED, METHODS, TO_SERVER, Ledger, Sessions, Side, Thing

WINDOW = 60
BYTES = st.sampled_from([0, 0, 1, 20, 60, 150, 400, 2000])


THERE = METHODS.filter(lambda method: method != "nowhere")
"""Methods that get control: a call that is refused is handled, and never starts."""


class ResumedSessions(Sessions):
    limits = pb.Limits(resume_window=WINDOW)
    expires = False

    @initialize()
    def connect(self) -> None:
        self.runtime = SteppedRuntime(eager=self.eager)
        ledgers = [Ledger(), Ledger()]
        roots = [Thing(ledger, self.runtime) for ledger in ledgers]

        def publish(session):
            session.broker.setNameForLocal("root", roots[0])

        self.link = ResumablePair(
            publish,
            client_names={"root": roots[1]},
            limits=self.limits,
            runtime=self.runtime,
        )
        self.link.settle()
        self.server = Side(self.link.server, ledgers[0])
        self.client = Side(self.link.client, ledgers[1])
        self.server.things.append(roots[0])
        self.client.things.append(roots[1])
        self.number = 0
        self.ends = {}
        self.outcomes = {}
        self.cannot_be_refused = set()
        self.is_cut = False
        self.states = {}

    def call(self, side, target, method, values, timeout=None):
        promise = super().call(side, target, method, values, timeout)
        number = self.number
        plain = all(isinstance(value, str | list | dict) for value in values)
        if plain and method != "nowhere" and target is side.root():
            self.cannot_be_refused.add(number)

        def ended(promise):
            error = promise._error
            if isinstance(error, pb.PBConnectionLost):
                self.outcomes[number] = error.outcome, side

        promise.then_call(ended)
        return promise

    @rule(up=BYTES, down=BYTES)
    def cut_at(self, up: int, down: int) -> None:
        self.link.cut(up=up, down=down)

    @rule(really=st.integers(0, 9))
    def cut(self, really: int) -> None:
        pass  # the end of a session is another machine's

    @rule()
    def the_client_loses_it(self) -> None:
        self.link.client_loses()

    @rule(at=st.integers(0, 3))
    def the_server_loses_it(self, at: int) -> None:
        if self.link.wires:
            self.link.server_loses(self.link.wires[at % len(self.link.wires)])

    @rule()
    def come_back(self) -> None:
        self.link.reconnect()

    @rule()
    def come_back_and_break_in_the_answer(self) -> None:
        self.link.reconnect()
        self.link.flush()
        while self.link.deliver(to_server=True):
            pass
        self.link.flush()
        self.link.cut()

    @rule(client=st.booleans())
    def flush_one(self, client: bool) -> None:
        if client:
            self.link.flush_client()
        else:
            self.link.flush_server()

    @rule(by_client=TO_SERVER, size=st.sampled_from([10, 3000, 70_000]))
    def call_with_much(self, by_client: bool, size: int) -> None:
        side, _ = self.sides(by_client)
        self.call(side, side.root(), "plain", ["x" * size])
        side.sent.append(self.number)

    @rule(by_client=TO_SERVER, method=THERE)
    def call_and_change_the_argument(self, by_client: bool, method: str) -> None:
        side, _ = self.sides(by_client)
        values = [1, 2]
        self.call(side, side.root(), method, [values])
        side.sent.append(self.number)
        self.link.flush()
        values.append("changed")  # what is sent again is what was sent

    # --------------------------------------------------------------- laws

    @invariant()
    def what_is_kept_is_what_is_not_acknowledged(self) -> None:
        if not hasattr(self, "link"):
            return
        client, server = self.link.client, self.link.server
        for one, other in ((client, server), (server, client)):
            if one.ended or other.ended:
                continue
            assert one.window.acked <= other.received <= one.sent
            kept = one.window.kept
            if kept:
                last, _, frames, _ = kept[0]
                assert last - len(frames) <= one.window.acked < last
                assert kept[-1][0] == one.sent
            else:
                assert one.window.acked == one.sent
            assert one.sent - one.window.acked <= 2 * self.limits.window_frames + self.limits.batch
            assert sum(entry[1] for entry in kept) == one.window.kept_bytes

    @invariant()
    def one_connection_is_current(self) -> None:
        if hasattr(self, "link"):
            served = [wire for wire in self.link.wires if wire.server_has_it]
            assert sum(wire.server is self.link.server for wire in served) <= 1

    @invariant()
    def an_end_is_final(self) -> None:
        if hasattr(self, "link"):
            for name, session in (("client", self.link.client), ("server", self.link.server)):
                assert session.state in ("new", "live", "detached", "ended")
                if self.states.get(name) == "ended":
                    assert session.state == "ended"
                self.states[name] = session.state

    @invariant()
    def nobody_was_told_of_an_end(self) -> None:
        if hasattr(self, "link") and not self.expires:
            assert not self.link.client.ended or self.link.client.closing[0] in self.may_close
            assert not self.link.refusals

    @invariant()
    def what_a_lost_call_says_is_true(self) -> None:
        for number, (outcome, side) in getattr(self, "outcomes", {}).items():
            _, peer = self.sides(side is self.client)
            started = peer.ledger.started.count(number)
            assert started <= 1
            if outcome == "not_executed":
                assert not started, number
            elif outcome == "executed_answer_lost" and number in self.cannot_be_refused:
                assert started, number  # one that was refused was handled as well

    def starts_are_in_order(self) -> None:
        super().starts_are_in_order()
        for side in (getattr(self, "client", None), getattr(self, "server", None)):
            if side is not None:
                started = [number for number in side.ledger.started if number != -1]
                assert len(started) == len(set(started)), "executed twice"

    def teardown(self) -> None:
        if not hasattr(self, "link"):
            return
        self.link.settle()
        if self.link.client.ended or self.link.server.ended:
            self.after_the_end()
            return
        super().teardown()
        self.nothing_is_parked()

    def end_it(self) -> None:
        self.link.client.end("over")
        self.link.server.end("over")

    def after_the_end(self) -> None:
        """One side has ended: the other does when its window is over, and nothing is left."""
        self.link.cut()
        self.runtime.advance(2 * self.limits.resume_window)
        for side in (self.client, self.server):
            for future, _ in side.ledger.waiting:
                if not future.done():
                    future.set_result(None)
        self.runtime.run()
        self.no_call_ended_twice()
        self.starts_are_in_order()
        self.what_a_lost_call_says_is_true()
        assert all(self.ends.values()), [n for n, ends in self.ends.items() if not ends]
        for session in (self.link.client, self.link.server):
            assert session.state == "ended"
            assert not any(tables(session).values()), tables(session)
        self.let_go_of_everything()
        assert self.runtime.timers() == 0
        self.nothing_is_parked()

    def nothing_is_parked(self) -> None:
        statistics = self.link.parking.statistics()
        assert not any(statistics[name] for name in ("sessions", "away", "bytes_away"))


class ExpiringSessions(ResumedSessions):
    """With a window that passes now and then."""

    limits = pb.Limits(resume_window=3)
    may_close = (1006, 4440)
    expires = True

    @rule(really=st.integers(0, 4), seconds=st.sampled_from([2.5, 3.5]))
    def stay_away(self, really: int, seconds: float) -> None:
        if not really:
            self.link.cut()
            self.runtime.advance(seconds)

    @rule(by_client=TO_SERVER, method=THERE, arrives=st.booleans(), acked=st.booleans())
    def call_and_never_hear(self, by_client: bool, method: str, arrives: bool, acked: bool) -> None:
        """The connection goes when a call has come; the server has no room for who is away."""
        side, _ = self.sides(by_client)
        self.call(side, side.root(), method, [])
        side.sent.append(self.number)
        self.link.flush()
        if arrives:
            self.link.deliver(to_server=by_client)
        if acked:
            self.runtime.advance(0.3)
            self.link.flush()
            self.link.deliver(to_server=not by_client)
        self.link.cut()
        if self.link.server.detached:
            self.link.server.overflow()


class NarrowResumedSessions(ResumedSessions):
    """With so little room that calls are held back, answers wait, and a session away overflows."""

    limits = pb.Limits(resume_window=WINDOW, calls=2, window_frames=6)
    patience = 100
    may_close = (1006, 4440)
    expires = True


@settings(BOUNDED, max_examples=200)
@given(
    methods=st.lists(THERE, min_size=1, max_size=6),
    together=st.booleans(),
    arrive=st.integers(0, 6),
    answers=st.integers(0, 6),
    acked=st.booleans(),
    up=BYTES,
    end=st.sampled_from(["overflow", "expired", "closed", "nobody knows it"]),
)
def test_what_a_lost_call_says_is_true_and_as_much_as_can_be_known(
    methods, together, arrive, answers, acked, up, end
):
    """Some calls arrive, some answers come back, then the session is lost in one of four ways."""
    sessions = ExpiringSessions()
    sessions.connect()
    link, client = sessions.link, sessions.client
    for method in methods:
        sessions.call(client, client.root(), method, [])
        client.sent.append(sessions.number)
        if not together:
            link.flush()
    link.flush()
    for _ in range(arrive):
        link.deliver(to_server=True)
    if acked:
        sessions.runtime.advance(0.3)
    link.flush()
    for _ in range(answers):
        link.deliver(to_server=False)
    link.cut(up=up)
    started = set(sessions.server.ledger.started)
    if end == "expired":
        sessions.runtime.advance(4)
    elif end == "nobody knows it":
        link.forget_everything()
    elif end == "overflow":
        link.server.overflow()
    else:
        link.server.close(4410, "enough")
        link.server.messages()
    link.settle()
    sessions.what_a_lost_call_says_is_true()
    lost = {number: outcome for number, (outcome, _) in sessions.outcomes.items()}
    if end == "overflow":  # the server knows all, and tells it
        assert lost == {
            number: "executed_answer_lost" if number in started else "not_executed"
            for number in lost
        }
    sessions.teardown()


class SlowResumedSessions(ResumedSessions):
    """With so few bytes that calls are held behind answers, by a server that is resumed."""

    limits = pb.Limits(resume_window=WINDOW, window=9000)
    patience = 100
    may_close = (1006, 4440)
    expires = True

    @invariant()
    def what_is_acknowledged_has_got_control(self) -> None:
        if hasattr(self, "link") and not self.link.client.ended and not self.link.server.ended:
            answering = self.link.server.broker.answering
            held = () if answering.backlog is None else answering.backlog.held
            known = self.link.client.window.acked
            assert all(call.before is None or call.before >= known for call in held)

    @rule(by_client=TO_SERVER, number=st.integers(1, 30))
    def call_many_with_much(self, by_client: bool, number: int) -> None:
        for _ in range(number):
            self.call_with_much(by_client, 3000)


TestResumedSessions = ResumedSessions.TestCase
TestSlowResumedSessions = SlowResumedSessions.TestCase
TestExpiringSessions = ExpiringSessions.TestCase
TestNarrowResumedSessions = NarrowResumedSessions.TestCase
for _machine in (
    TestResumedSessions,
    TestExpiringSessions,
    TestNarrowResumedSessions,
    TestSlowResumedSessions,
):
    _machine.settings = BOUNDED
del _machine
