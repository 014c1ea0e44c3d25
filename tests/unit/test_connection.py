"""pbweb.connection: the shell: flushing, threads, the log, tasks, closing."""

import asyncio
import logging
import sys
import threading

import orjson
import pytest

import pbweb as pb
from pbweb.connection import CAUSES, REPORTS, Connection
from pbweb.flavors import Registry
from pbweb.limits import DEFAULT
from pbweb.runtime import Options
from tests.unit.paired import LogRecords, run_paired


class Root(pb.Root):
    def remote_echo(self, value=None):
        return value

    def remote_fail(self):
        raise ValueError("x")

    async def remote_wait(self):
        await asyncio.Event().wait()


def connection():
    return Connection(Options(DEFAULT, Registry()), is_server=True, software="test")


def test_all_that_one_turn_makes_is_one_write():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("echo")
        before = len(both.to_server.messages), len(both.to_client.messages)
        promises = [root.callRemote("echo", n) for n in range(100)]
        assert [await promise for promise in promises] == list(range(100))
        after = len(both.to_server.messages), len(both.to_client.messages)
        assert after[0] - before[0] <= 2  # the calls, and an ack
        assert after[1] - before[1] == 1

    run_paired(Root(), body)


def test_a_connection_is_woken_from_another_thread():
    async def body(both):
        root = await both.client.getRootObject()
        refs = [await root.callRemote("echo", [])]
        loop = asyncio.get_running_loop()

        def work():
            refs.clear()
            both.client.wake()

        await loop.run_in_executor(None, work)
        await both.quiet()

    run_paired(Root(), body)


def test_waking_when_the_loop_is_closed_does_nothing():
    made = []

    async def main():
        made.append(connection())
        made[0].session.end("over")

    asyncio.run(main())
    made[0].wake()
    thread = threading.Thread(target=made[0].wake)
    thread.start()
    thread.join()


def test_close_waits_until_it_is_closed_and_may_be_repeated():
    async def body(both):
        root = await both.client.getRootObject()
        promise = root.callRemote("wait")
        await both.client.close(1000, "bye")
        with pytest.raises(pb.PBConnectionLost):
            await promise
        await both.client.close()
        await both.client.wait_closed()
        await both.server.wait_closed()
        assert both.to_server.frames[-1] == ["close", 1000, "bye", False, 0]
        assert both.server.session.closing[0] == 1000

    run_paired(Root(), body, idle=False)


def test_cancelling_a_close_is_safe():
    async def body(both):
        both.hold()
        task = asyncio.ensure_future(both.client.close())
        await both.quiet()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        both.let_go()
        await both.client.wait_closed()

    run_paired(Root(), body, idle=False)


def test_a_connection_that_never_had_a_link_is_closed_when_it_ended():
    async def main():
        one = connection()
        one.session.end("no link")
        await one.wait_closed()

    asyncio.run(main())


@pytest.mark.parametrize("code", [1005, 1006, 1015, 999, 0])
def test_codes_that_cannot_be_sent_are_sent_as_1000(code):
    async def body(both):
        both.client.session.end("lost", code)
        both.client.flush()
        assert both.to_server.closed[0] == 1000

    run_paired(Root(), body, idle=False)


def test_coroutines_start_eagerly_where_python_can_do_that():
    started = []

    async def work():
        started.append(asyncio.current_task())
        await asyncio.sleep(0)

    async def main():
        one = connection()
        task = one.spawn(work(), None)
        assert len(started) == (1 if sys.version_info >= (3, 12) else 0)
        await asyncio.wait([task])
        assert started == [task]
        one.session.end("over")

    asyncio.run(main())


def test_a_task_factory_of_the_application_is_kept():
    made = []

    async def main():
        def factory(loop, coroutine, **options):
            made.append(coroutine)
            return asyncio.Task(coroutine, loop=loop, **options)

        one = connection()
        asyncio.get_running_loop().set_task_factory(factory)
        await asyncio.wait([one.spawn(asyncio.sleep(0), None)])
        assert len(made) == 1
        one.session.end("over")

    asyncio.run(main())


def test_the_log_has_an_id_and_the_traceback():
    async def main():
        one = connection()
        error = ValueError("the text")
        entries.append(one.report("what happened", error))
        entries.append(one.report("a warning"))
        one.session.end("over")
        one.lost("over")

    entries = []
    with LogRecords() as records:
        asyncio.run(main())
    assert [record.levelno for record in records] == [logging.ERROR, logging.WARNING]
    assert records[0].exc_info[1].args == ("the text",)
    assert len(set(entries)) == 2
    for record, entry in zip(records, entries, strict=True):
        assert entry in record.getMessage()


def test_one_cause_is_logged_ten_times_and_then_counted():
    async def main():
        one = connection()
        for number in range(REPORTS + 15):
            one.report(f"the call {number} of 'x' failed")
        one.report("another cause")
        one.session.end("over")
        one.lost("over")

    with LogRecords() as records:
        asyncio.run(main())
    texts = [record.getMessage() for record in records]
    assert len([text for text in texts if "failed [" in text]) == REPORTS == 10
    assert [text for text in texts if "another cause" in text]
    assert "15 more" in texts[-1]


def test_causes_in_a_peers_own_words_are_counted_as_one():
    async def main():
        one = connection()
        for number in range(2 * CAUSES):
            one.report(f"the call of {chr(0x4E00 + number)!r} failed")
        one.session.end("over")
        one.lost("over")

    with LogRecords() as records:
        asyncio.run(main())
    assert len(records) == CAUSES + REPORTS + 1
    assert f"{CAUSES - REPORTS} more" in records[-1].getMessage()


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\r\x00b", "a\u202eb", "x" * 5000])
def test_the_log_shows_nothing_that_a_terminal_obeys(text):
    async def main():
        one = connection()
        one.report(text)
        one.session.end("over")
        one.lost("over")

    with LogRecords() as records:
        asyncio.run(main())
    [record] = records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 600


def test_a_name_from_the_wire_is_printable_in_the_log():
    async def body(both):
        root = await both.client.getRootObject()
        both.client.broker.send(["message", 0, "root", "a\n\x1b[31m"])
        await root.callRemote("echo")

    [record] = run_paired(Root(), body, logged=1)
    assert record.getMessage().isprintable()


def test_faces_of_the_connection():
    async def body(both):
        thing = Root()
        both.client.setNameForLocal("thing", thing)
        assert await both.server.remoteForName("thing").callRemote("echo", 5) == 5
        assert both.client.broker is both.client.session.broker
        root = await both.client.getRootObject()
        assert root.broker is both.client.broker
        told = []
        both.client.notifyOnDisconnect(told.append)
        both.client.dontNotifyOnDisconnect(told.append)

    run_paired(Root(), body)


def test_a_fault_in_the_session_ends_it_alone(monkeypatch):
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("echo")
        monkeypatch.setattr("pbweb.exchange.orjson.dumps", lambda *_: 1 / 0)
        promise = root.callRemote("echo", 1)
        await both.quiet()
        monkeypatch.undo()
        with pytest.raises(pb.PBConnectionLost):
            await promise
        assert both.client.session.closing[0] == 1011

    run_paired(Root(), body, idle=False, logged=1)


class Wire:
    """A link that notes what is done with it."""

    def __init__(self):
        self.written = []
        self.closed = None
        self.carried = None
        self.takes_more = True

    def write(self, messages):
        self.written += [orjson.loads(data) for data, _ in messages]

    def writable(self):
        return self.takes_more

    def close(self, code, reason):
        self.closed = (code, reason)

    def unsent(self):
        return 7

    def abort(self):
        self.closed = "abort"

    def carry(self, connection):
        self.carried = connection


class Way:
    """A way back that is found when the test says so."""

    def __init__(self, *, follows):
        self.wanted = follows
        self.begun = []

    def begin(self, wait):
        self.begun.append(wait)
        return self.wanted

    def stop(self):
        self.wanted = False

    def follows(self):
        return self.wanted

    def refused(self):
        return self.wanted


SAID = {"session": "s", "secret": "k", "window": 60}


def returning(*, follows):
    """A client with a session that can be resumed, its way back and its link."""
    way, wire = Way(follows=follows), Wire()
    options = Options(DEFAULT, Registry())
    client = Connection(options, is_server=False, software="test", way_back=way)
    client.attach(wire)
    client.receive([(orjson.dumps(["version", 1, SAID]), False)])
    return client, way, wire


def alone(body):
    """Run *body* in a loop; what the library logs."""
    with LogRecords() as records:
        asyncio.run(body())
    return records


def come_back(client, **said):
    """The client has another link, and the server says so much."""
    wire = Wire()
    client.session.reconnect()
    client.attach(wire)
    client.receive([(orjson.dumps(["version", 1, {**SAID, **said}]), False)])
    return wire


def test_a_session_goes_on_with_another_link_and_who_asked_is_told():
    async def body():
        client, way, wire = returning(follows=False)
        told = []
        client.on_status(lambda _: 1 / 0)
        client.on_status(told.append)
        promise = client.remoteForName("root").callRemote("echo", 1)
        client.flush()
        assert client.unsent() == 7
        client.lost("the cable", link=Wire())  # one that is not its own
        assert client.is_carried
        client.lost("the cable", link=wire)
        assert (client.is_carried, client.unsent(), way.begun) == (False, 0, [True])
        wire = come_back(client, resumed=True, received=0, sent=0)
        client.flush()
        assert ["message", 1, "root", "echo", [1]] in wire.written
        assert told == ["interrupted", "connected"]
        client.receive([(b'["answer",1,1]', False)])
        assert await promise == 1
        client.session.end("over")
        assert told[2:] == ["ended"]

    records = alone(body)
    assert [record.getMessage().partition(" [")[0] for record in records] == [
        "a callback of on_status failed"
    ] * 3


def test_a_new_session_in_the_place_of_a_lost_one_has_what_was_published():
    async def body():
        client, _way, wire = returning(follows=True)
        client.setNameForLocal("mine", Root())
        first, told = client.session, []
        client.on_status(told.append)
        client.lost("the cable", link=wire)
        wire = come_back(client, resumed=False, why="unknown", session="t", secret="l")
        assert client.session is not first
        await asyncio.sleep(0)
        assert told == ["interrupted", "connected"]
        client.receive([(b'["message",1,"mine","echo",[5]]', False)])
        client.flush()
        assert ["answer", 1, 5] in wire.written
        client._way_back.stop()
        client.session.end("over")

    assert not alone(body)


def test_a_new_session_that_nobody_wants_is_ended():
    async def body():
        client, _way, wire = returning(follows=False)
        client.lost("the cable", link=wire)
        wire = come_back(client, resumed=False, why="unknown", session="t", secret="l")
        client.flush()
        assert wire.written[-1] == ["close", 1000, "", False]
        assert wire.closed is not None
        assert client.status == "ended"
        client.lost("closed", link=wire)
        assert (await client.wait_closed()).code == 1006

    assert not alone(body)


def test_a_session_of_which_no_way_back_was_found_is_over():
    async def body():
        client, _way, wire = returning(follows=False)
        client.lost("the cable", link=wire)
        assert client.status == "interrupted"
        client.is_not_coming_back()
        assert client.status == "ended"
        assert (await client.wait_closed()).reason == "the connection is not made again"
        client.is_not_coming_back()

    assert not alone(body)


def test_a_link_that_is_given_up_is_closed_and_what_it_says_then_changes_nothing():
    async def body():
        client, way, wire = returning(follows=False)
        client.session.close(4408, "nothing came")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wire.closed == (4408, "nothing came")
        assert (client.status, client.is_carried, way.begun) == ("interrupted", False, [True])
        client.parted("closed", 1000, wire)
        client.failed("a frame that is none", 1007, wire)
        assert client.status == "interrupted"
        wire = come_back(client, resumed=True, received=0, sent=0)
        client.parted("closed", 1001, wire)
        assert (client.status, client.is_carried) == ("interrupted", False)
        wire = come_back(client, resumed=True, received=0, sent=0)
        client.failed("a frame that is none", 1007, wire)
        assert client.status == "ended"
        assert client.is_carried  # until the link says that it is closed

    assert not alone(body)


def test_a_connection_takes_the_link_of_another_and_its_own_is_closed():
    async def body():
        one, other = connection(), connection()
        old, new = Wire(), Wire()
        one.attach(old)
        other.attach(new)
        one.take(other)
        assert old.closed == (4409, "taken over by a newer connection")
        assert (old.carried, new.carried) == (other, one)
        assert (one.is_carried, other.is_carried) == (True, False)
        one.take(other)  # which has none
        assert not one.is_carried
        one.take(other)
        for each in (one, other):
            each.session.end("over")

    assert not alone(body)


def test_aborting_is_the_links_affair():
    async def body():
        one, wire = connection(), Wire()
        one.abort()
        one.attach(wire)
        one.abort()
        assert wire.closed == "abort"
        one.session.end("over")

    assert not alone(body)


def test_a_fault_while_one_connection_is_flushed_holds_up_no_other():
    async def body():
        one, other = connection(), connection()
        wires = Wire(), Wire()
        for each, wire in zip((one, other), wires, strict=True):
            each.attach(wire)
            each.receive([(b'["version",1]', False)])
            each.remoteForName("x").callRemoteOnly("a")
        wires[0].writable = lambda: 1 / 0
        await asyncio.sleep(0)
        assert [frame[0] for frame in wires[0].written] == ["version"]
        assert wires[1].written[1:] == [["message", 0, "x", "a"]]
        wires[0].writable = lambda: True
        for each in (one, other):
            each.session.end("over")

    [record] = alone(body)
    assert "a fault in the connection" in record.getMessage()


def test_a_link_that_takes_nothing_is_waited_for():
    async def body():
        one, wire = connection(), Wire()
        wire.takes_more = False
        one.attach(wire)
        one.receive([(b'["version",1]', False)])
        await asyncio.sleep(0)
        assert wire.written == []
        wire.takes_more = True
        one.flush()
        assert wire.written[0][0] == "version"
        one.session.end("over")

    assert not alone(body)
