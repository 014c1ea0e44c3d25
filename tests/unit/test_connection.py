"""pbweb.connection: the shell: flushing, threads, the log, tasks, closing."""

import asyncio
import logging
import sys
import threading

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
