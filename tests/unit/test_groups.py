"""pbweb.groups: one message to many references, what becomes of slow ones and of those that go."""

import asyncio
import gc
import logging
import weakref
from contextlib import AsyncExitStack

import pytest

import pbweb as pb
from pbweb.jelly import ATTACH_ABOVE
from pbweb.testing import pair, tables
from tests.unit.paired import MINUTE, LogRecords, read_all

ROOM = 4  # frames that a member may have unacknowledged, where it is to be slow
SLOW = pb.Limits(window_frames=ROOM)


class Listener(pb.Referenceable):
    def __init__(self):
        self.heard = []

    def remote_hear(self, *args, **kw):
        self.heard.append((*args, kw) if kw else args[0] if len(args) == 1 else args)
        return len(self.heard)

    def remote_fail(self):
        raise pb.Error("no")

    async def remote_wait(self):
        await asyncio.Event().wait()


class Root(pb.Root):
    def __init__(self):
        self.joined = []

    def remote_join(self, listener):
        self.joined.append(listener)


class Peer:
    """A client with a listener, which the server holds a reference to."""

    def __init__(self, both, root):
        self.both = both
        self.root = root
        self.listener = Listener()

    async def join(self, listener=None):
        """The server's reference to the listener."""
        await self.both.root.callRemote("join", listener or self.listener)
        return self.root.joined.pop()

    @property
    def heard(self):
        return self.listener.heard

    def stop_reading(self):
        """Nothing that is sent is acknowledged from now on."""
        self.both.to_client.hold()

    async def read(self):
        """Read and acknowledge all that comes, also what waited for that."""
        await read_all(self.both)

    def messages(self):
        """What went over to the listener, as frames."""
        return [frame for frame in self.both.to_client.frames if frame[0] == "message"]


def run(body, *, peers=2, logged=0, slow=None, client_limits=None):
    """Run *body* with so many peers, each on a connection of its own; all tables are empty then.

    Args:
        slow: the server's limits for the first one.
    """
    root = Root()
    unhandled = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
        async with asyncio.timeout(MINUTE), AsyncExitStack() as stack:
            made = []
            for number in range(peers):
                limits = pb.Limits() if number or slow is None else slow
                both = pair(root, limits=limits, client_limits=client_limits or pb.Limits())
                made.append(Peer(await stack.enter_async_context(both), root))
            await body(*made)
            for peer in made:
                await peer.read()
                if not peer.both.server.broker.disconnected:
                    await peer.both.assert_idle()
        for peer in made:
            for side in peer.both:
                assert not any(tables(side.session).values()), tables(side.session)

    with LogRecords() as records:
        asyncio.run(main())
    assert not unhandled, unhandled
    assert len(records) == logged, [record.getMessage() for record in records]
    return records


async def group_of(*peers, **options):
    return pb.Group([await peer.join() for peer in peers], **options)


# ------------------------------------------------------------------- the set


def test_it_is_a_set_of_references():
    async def body(ada, ben):
        group = pb.Group()
        assert (len(group), list(group), bool(group)) == (0, [], False)
        one, two = await ada.join(), await ben.join()
        group.add(one)
        group.add(two)
        group.add(one)
        assert (len(group), list(group)) == (2, [one, two])
        assert one in group
        assert None not in group
        assert repr(group) == "<Group of 2, delivery 'all'>"
        group.discard(one)
        group.discard(one)
        assert list(group) == [two]
        with pytest.raises(KeyError):
            group.remove(one)
        group |= {one}
        assert set(group) == {one, two}
        group.clear()
        assert not group

    run(body)


def test_what_is_no_reference_is_refused():
    async def body(ada):
        promise = ada.both.root.callRemote("join", 1)
        for wrong in (Listener(), None, promise, "root"):
            with pytest.raises(TypeError, match="await a promise first"):
                pb.Group([wrong])
        await promise
        ada.root.joined.clear()

    run(body, peers=1)


def test_a_dead_reference_is_refused():
    async def body(ada):
        reference = await ada.join()
        reference.release()
        with pytest.raises(pb.DeadReferenceError, match="was released"):
            pb.Group([reference])

    run(body, peers=1)


def test_a_policy_that_is_none_and_a_bound_of_nothing_are_refused():
    with pytest.raises(ValueError, match='"all", "latest" or "drop"'):
        pb.Group(delivery="some")
    with pytest.raises(ValueError, match="at least one"):
        pb.Group(most=0)


# ---------------------------------------------------------------- delivering


def test_all_members_get_what_is_sent():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        group.callRemoteOnly("hear", 1)
        group.callRemoteOnly("hear", "two", key=[3])
        group.callRemoteOnly("hear", {4: {5}})
        await ada.both.quiet()
        assert ada.heard == ben.heard == [1, ("two", {"key": [3]}), {4: {5}}]

    run(body)


def test_it_is_encoded_once():
    class Counted(pb.Copyable):
        asked = 0

        def getStateToCopy(self):
            Counted.asked += 1
            return {"asked": Counted.asked}

    async def body(*peers):
        group = await group_of(*peers)
        group.callRemoteOnly("hear", Counted())
        await peers[0].both.quiet()
        frames = [peer.messages() for peer in peers]
        state = {"$": "copy", "type": f"{Counted.__module__}.{Counted.__qualname__}"}
        assert frames == [[["message", 0, 1, "hear", [{**state, "state": {"asked": 1}}]]]] * 3
        assert Counted.asked == 1

    run(body, peers=3, logged=3)  # nobody has a class for it


def test_what_a_turn_sends_to_a_member_is_one_batch():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        before = len(ada.both.to_client.messages)
        reference = next(iter(group))
        group.callRemoteOnly("hear", 1)
        reference.callRemoteOnly("hear", 2)
        group.callRemoteOnly("hear", 3)
        await ada.both.quiet()
        assert ada.heard == [1, 2, 3]
        assert ben.heard == [1, 3]
        assert len(ada.both.to_client.messages) == before + 1

    run(body)


def test_members_on_one_connection_have_frames_of_their_own():
    async def body(ada):
        other = Listener()
        group = pb.Group([await ada.join(), await ada.join(other)])
        group.callRemoteOnly("hear", 1)
        assert await group.callRemote("hear", 2) == dict.fromkeys(group, 2)
        assert ada.heard == other.heard == [1, 2]

    run(body, peers=1)


def test_a_member_by_name_and_of_several_groups():
    async def body(ada, ben):
        ada.both.client.setNameForLocal("ear", ada.listener)
        first = pb.Group([ada.both.server.remoteForName("ear"), await ben.join()])
        second = pb.Group(first)
        first.callRemoteOnly("hear", 1)
        second.callRemoteOnly("hear", 2)
        await ada.both.quiet()
        assert ada.heard == ben.heard == [1, 2]
        for member in first:
            second.discard(member)
        first.callRemoteOnly("hear", 3)
        await ada.both.quiet()
        assert ada.heard == ben.heard == [1, 2, 3]

    run(body)


def test_what_is_changed_later_was_sent_as_it_was():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        value = [1]
        group.callRemoteOnly("hear", value)
        value.append(2)
        await ada.both.quiet()
        assert ada.heard == ben.heard == [[1]]

    run(body)


@pytest.mark.parametrize("make", [Listener, lambda: b"x" * (ATTACH_ABOVE + 1)])
def test_what_is_of_a_session_is_encoded_for_each(make):
    async def body(ada, ben):
        group = await group_of(ada, ben)
        group.callRemoteOnly("hear", make())
        results = await group.callRemote("hear", 2)
        assert list(results.values()) == [2, 2]
        assert type(ada.heard[0]) is type(ben.heard[0])
        for peer in (ada, ben):
            peer.heard.clear()

    run(body)


def test_an_empty_group_is_called_in_vain():
    async def body(ada):
        group = pb.Group()
        group.callRemoteOnly("hear", 1)
        assert await group.callRemote("hear", 1) == {}

    run(body, peers=1)


def test_a_name_that_can_be_none_is_refused_at_once():
    async def body(ada):
        group = await group_of(ada)
        for call in (group.callRemote, group.callRemoteOnly):
            with pytest.raises(pb.NoSuchMethod, match="ASCII"):
                call("hören")

    run(body, peers=1)


def test_what_can_be_sent_to_nobody_is_refused():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        with pytest.raises(pb.InsecureJelly, match="object"):
            group.callRemoteOnly("hear", object())
        with pytest.raises(pb.InsecureJelly, match="surrogate"):
            group.callRemoteOnly("hear", ["\ud800"])
        results = await group.callRemote("hear", object())
        assert {type(result) for result in results.values()} == {pb.InsecureJelly}
        assert (ada.heard, ben.heard) == ([], [])

    run(body)


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        ({"message": 5000}, "x" * 6000),
        ({"depth": 3}, [[[[]]]]),
        ({"digits": 20}, 10**30),
        ({"message": 5000}, b"x" * 6000),
    ],
)
def test_what_only_some_peers_do_not_take_reaches_the_others(limits, value):
    async def body(ada):
        async with pair(ada.root, client_limits=pb.Limits(**limits)) as both:
            small = Peer(both, ada.root)
            group = await group_of(small, ada)
            with pytest.raises(pb.LimitExceeded):
                group.callRemoteOnly("hear", value)
            first, second = (await group.callRemote("hear", value)).values()
            assert isinstance(first, pb.LimitExceeded)
            assert second == 2
            assert ada.heard == [value, value]
            assert small.heard == []
            group.callRemoteOnly("hear", 1)
            await both.quiet()
            assert small.heard == [1]
            next(iter(group)).release()  # the errors hold it
            await both.assert_idle()

    run(body, peers=1)


def test_no_deadline_is_passed_on_without_an_answer():
    class Speaker(Root):
        async def remote_tell(self):
            group = pb.Group(self.joined)
            group.callRemoteOnly("hear", 1)
            return list((await group.callRemote("hear", 2)).values())

    async def main():
        root = Speaker()
        async with pair(root) as both:
            await both.root.callRemote("join", Listener())
            assert await both.root.call("tell", timeout=30) == [2]
            first, second = (frame for frame in both.to_client.frames if frame[0] == "message")
            assert first == ["message", 0, 1, "hear", [1]]
            assert second[:6] == ["message", 1, 1, "hear", [2], {}]
            assert 0 < second[6]["deadline"] <= 30

    asyncio.run(main())


# ------------------------------------------------------------------- results


def test_results_are_by_member_and_failures_are_values():
    class Deaf(pb.Referenceable):
        pass

    async def body(ada, ben, cem):
        one, two, three = await ada.join(), await ben.join(), await cem.join(Deaf())
        group = pb.Group([one, two, three])
        results = await group.callRemote("hear", "hello")
        assert list(results) == [one, two, three]
        assert (results[one], results[two]) == (1, 1)
        assert isinstance(results[three], pb.NoSuchMethod)
        failed = await group.callRemote("fail")
        assert failed[one].getErrorMessage() == "no"

    run(body, peers=3)


def test_who_goes_while_it_is_called_has_a_failure():
    async def body(ada, ben, cem):
        one, two, three = members = [await peer.join() for peer in (ada, ben, cem)]
        group = pb.Group(members)
        call = group.callRemote("wait")
        await ada.both.quiet()
        ada.both.cut()
        two.release()
        assert list(group) == [three]
        call.promises[three].cancel()
        call.promises[two].cancel()  # its call goes on, as that of any released reference
        results = await call
        assert isinstance(results[one], pb.PBConnectionLost)
        assert isinstance(results[two], pb.CancelledError)
        assert isinstance(results[three], pb.CancelledError)

    run(body, peers=3)


def test_a_timeout_is_the_result_of_who_has_not_answered():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        results = await group.call("wait", timeout=0.001)
        assert {type(result) for result in results.values()} == {TimeoutError}
        assert list((await group.call("hear", [1], {"key": 2}, timeout=60)).values()) == [1, 1]
        assert ada.heard == [(1, {"key": 2})]

    run(body)


def test_a_task_that_is_cancelled_while_it_awaits_cancels_the_calls():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        call = group.callRemote("wait")

        async def wait():
            return await call

        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await ada.both.quiet()
        first.cancel()
        await ada.both.quiet()
        assert tables(ada.both.client.session)["calls_in_progress"] == 1, "one still waits"
        second.cancel()
        await ada.both.quiet()
        assert first.cancelled()
        assert second.cancelled()
        assert tables(ada.both.client.session)["calls_in_progress"] == 0
        assert {type(result) for result in (await call).values()} == {pb.CancelledError}

    run(body)


def test_a_task_that_is_cancelled_just_as_the_results_come():
    async def body(ada):
        call = (await group_of(ada)).callRemote("wait")

        async def wait():
            return await call

        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await ada.both.quiet()
        first.cancel()  # it has not had its turn yet when the call is over
        ada.both.cut()
        assert [type(result) for result in (await second).values()] == [pb.PBConnectionLost]
        assert first.cancelled()

    run(body, peers=1)


# ------------------------------------------------------------------- leaving


def test_members_that_go_leave_by_themselves():
    async def body(ada, ben, cem):
        one, two, three = members = [await peer.join() for peer in (ada, ben, cem)]
        gone = []
        group = pb.Group(members, left=lambda *who: gone.append(who))
        other = pb.Group(members)
        ada.both.cut()
        two.release()
        assert list(group) == list(other) == [three]
        assert [(member, type(why)) for member, why in gone] == [
            (one, pb.PBConnectionLost),
            (two, pb.DeadReferenceError),
        ]
        group.callRemoteOnly("hear", 1)
        await cem.both.quiet()
        assert cem.heard == [1]
        group.discard(three)
        assert len(gone) == 2, "who is taken out did not leave by itself"

    run(body, peers=3)


def test_a_callback_that_fails_is_logged_and_hurts_nobody():
    async def body(ada, ben):
        one, two = members = [await ada.join(), await ben.join()]

        def left(member, why):
            if member is one:
                raise RuntimeError("the callback")

        group = pb.Group(members, left=left)
        other = pb.Group(members)
        one.release()
        assert list(group) == list(other) == [two]
        two.release()  # the log's traceback holds it

    (record,) = run(body, logged=1)
    assert "callback for who left" in record.getMessage()


def test_the_group_may_be_changed_by_who_is_told():
    async def body(ada, ben, cem):
        one, two, three = [await peer.join() for peer in (ada, ben, cem)]

        def left(member, why):
            group.discard(two)
            group.add(three)

        group = pb.Group([one, two], delivery="all", most=1, left=left)
        await ada.read()
        ada.stop_reading()
        for number in range(ROOM + 1):
            group.callRemoteOnly("hear", number)
        assert group.waiting(one) == 1
        await ben.both.quiet()
        group.callRemoteOnly("hear", "too much for one")
        assert list(group) == [three]
        await ben.both.quiet()
        assert ben.heard == [*range(ROOM + 1)]
        assert cem.heard == [], "who is added meanwhile is not called any more"
        group.clear()

    run(body, peers=3, slow=SLOW, logged=1)


def test_who_is_taken_out_while_the_others_are_called_is_not_called():
    async def body(ada, ben):
        one, two = await ada.join(), await ben.join()
        group = pb.Group([one, two], delivery="all", most=1, left=lambda *_: group.discard(two))
        await ada.read()
        ada.stop_reading()
        for number in range(ROOM + 1):
            group.callRemoteOnly("hear", number)
        call = group.callRemote("hear", "too much for one")
        assert list(call.promises) == [one]
        assert not group
        await ben.both.quiet()
        assert ben.heard == [*range(ROOM + 1)]
        assert {type(result) for result in (await call).values()} == {pb.LimitExceeded}

    run(body, slow=SLOW, logged=1)


def test_iterating_while_members_leave():
    async def body(ada, ben):
        group = await group_of(ada, ben)
        for member in group:
            member.release()
        assert len(group) == 0

    run(body)


def test_a_group_that_is_forgotten_leaves_nothing_behind():
    async def body(ada):
        reference = await ada.join()
        group = pb.Group([reference], left=print)
        gone = weakref.ref(group)
        del group
        gc.collect()
        assert gone() is None
        assert not ada.both.server.broker._when_dead

    run(body, peers=1)


def test_a_member_is_held_by_the_group_alone():
    async def body(ada):
        group = await group_of(ada)
        gc.collect()
        await ada.both.quiet()
        assert tables(ada.both.server.session)["held"] == 1
        group.callRemoteOnly("hear", 1)
        await ada.both.quiet()
        assert ada.heard == [1]
        del group

    run(body, peers=1)


# -------------------------------------------------------------- slow members


async def fill(group, peer):
    """Send what *peer*, who stopped reading, has room for."""
    await peer.read()
    peer.stop_reading()
    for number in range(ROOM):
        group.callRemoteOnly("hear", number)
        await peer.both.quiet()
    assert not any(map(group.waiting, group))


def test_all_waits_in_order_with_other_calls():
    async def body(slow, quick):
        group = await group_of(slow, quick)
        member = next(iter(group))
        await fill(group, slow)
        group.callRemoteOnly("hear", "first")
        member.callRemoteOnly("hear", "between")
        call = group.callRemote("hear", "last")
        await quick.both.quiet()
        assert quick.heard == [*range(ROOM), "first", "last"]
        assert slow.heard == []
        assert [group.waiting(each) for each in group] == [2, 0]
        await slow.read()
        assert list((await call).values()) == [ROOM + 3, ROOM + 2]
        assert slow.heard == [*range(ROOM), "first", "between", "last"]
        assert group.waiting(member) == 0

    run(body, slow=SLOW)


def test_all_waits_behind_calls_that_wait_for_the_peers_limit():
    async def body(ada):
        group = await group_of(ada)
        member = next(iter(group))
        waiting = [member.callRemote("wait") for _ in range(2)]
        behind = member.callRemote("hear", 1)
        group.callRemoteOnly("hear", 2)
        assert group.waiting(member) == 1
        await ada.both.quiet()
        assert ada.heard == []
        for promise in waiting:
            promise.cancel()
        assert await behind == 1
        await ada.both.quiet()
        assert ada.heard == [1, 2]
        for promise in waiting:
            with pytest.raises(pb.CancelledError):
                await promise

    run(body, peers=1, client_limits=pb.Limits(calls=2))


def test_past_the_bound_the_member_leaves():
    async def body(slow, quick):
        gone = []
        group = await group_of(slow, quick, most=3, left=lambda *who: gone.append(who))
        member = next(iter(group))
        await fill(group, slow)
        call = group.callRemote("hear", "waits")
        group.callRemoteOnly("hear", "waits")
        group.callRemoteOnly("hear", "waits")
        assert group.waiting(member) == 3
        last = group.callRemote("hear", "one too many")
        ((left, why),) = gone
        assert left is member
        assert isinstance(why, pb.LimitExceeded)
        assert "3 messages" in str(why)
        assert member not in group
        assert (await call)[member] is why
        assert (await last)[member] is why
        await slow.read()
        assert slow.heard == [*range(ROOM)], "what waited for it is not sent"
        assert len(quick.heard) == ROOM + 4
        group.add(member)
        group.callRemoteOnly("hear", "again")
        await slow.both.quiet()
        assert slow.heard[ROOM:] == ["again"]

    (record,) = run(body, slow=SLOW, logged=1)
    assert record.levelno == logging.WARNING
    assert "left a group: the member was too slow" in record.getMessage()


def test_bytes_that_wait_are_bounded_too():
    async def body(slow):
        group = await group_of(slow)
        await fill(group, slow)
        group.callRemoteOnly("hear", "x" * 5000)  # the first one may wait, whatever its size
        assert len(group) == 1
        group.callRemoteOnly("hear", "y")
        assert len(group) == 0

    limits = pb.Limits(window_frames=ROOM, window=4000)
    run(body, peers=1, slow=limits, logged=1)


def test_of_the_latest_one_waits():
    async def body(slow, quick):
        group = await group_of(slow, quick, delivery="latest")
        member = next(iter(group))
        await fill(group, slow)
        call = group.callRemote("hear", "old")
        for number in range(100):
            group.callRemoteOnly("hear", number)
        newest = group.callRemote("hear", "newest", key=1)
        assert group.waiting(member) == 1
        old = await call
        assert isinstance(old[member], pb.CancelledError)
        assert "newer" in str(old[member])
        assert len(quick.heard) == ROOM + 102
        await slow.read()
        assert (await newest)[member] == ROOM + 1
        assert slow.heard == [*range(ROOM), ("newest", {"key": 1})]
        group.callRemoteOnly("hear", "goes at once")
        await slow.both.quiet()
        assert slow.heard[-1] == "goes at once"

    run(body, slow=SLOW)


def test_drop_leaves_out():
    async def body(slow, quick):
        group = await group_of(slow, quick, delivery="drop")
        member = next(iter(group))
        await fill(group, slow)
        group.callRemoteOnly("hear", "left out")
        result = (await group.callRemote("hear", "left out"))[member]
        assert isinstance(result, pb.LimitExceeded)
        assert "left out" in str(result)
        assert group.waiting(member) == 0
        await slow.read()
        group.callRemoteOnly("hear", "goes")
        await slow.both.quiet()
        assert slow.heard == [*range(ROOM), "goes"]
        assert quick.heard == [*range(ROOM), "left out", "left out", "goes"]

    run(body, slow=SLOW)


@pytest.mark.parametrize("delivery", ["all", "latest"])
def test_what_waits_is_taken_back_from_who_is_taken_out(delivery):
    async def body(slow):
        group = await group_of(slow, delivery=delivery)
        (member,) = group
        await fill(group, slow)
        call = group.callRemote("hear", "not sent")
        group.discard(member)
        assert isinstance((await call)[member], pb.CancelledError)
        group.add(member)
        group.callRemoteOnly("hear", "sent")
        await slow.read()
        assert slow.heard == [*range(ROOM), "sent"]

    run(body, peers=1, slow=SLOW)


@pytest.mark.parametrize("delivery", ["all", "latest", "drop"])
def test_a_slow_members_session_may_go(delivery):
    async def body(slow, quick):
        group = await group_of(slow, quick, delivery=delivery)
        await fill(group, slow)
        call = group.callRemote("hear", 1)
        slow.both.cut()
        assert len(group) == 1
        first, second = (await call).values()
        assert isinstance(first, pb.LimitExceeded if delivery == "drop" else pb.PBConnectionLost)
        assert second == ROOM + 1

    run(body, slow=SLOW)


def test_what_cannot_be_sent_when_it_has_waited_is_logged():
    async def body(slow):
        group = await group_of(slow)
        await fill(group, slow)
        group.callRemoteOnly("hear", [object()])
        group.callRemoteOnly("hear", "after")
        await slow.read()
        assert slow.heard == [*range(ROOM), "after"]
        next(iter(group)).release()  # the log's traceback holds it

    run(body, peers=1, slow=SLOW, logged=1)


def test_what_waited_is_cancelled_in_time():
    async def body(slow):
        group = await group_of(slow)
        (member,) = group
        await fill(group, slow)
        call = group.call("hear", ["late"], timeout=0.001)
        assert isinstance((await call)[member], TimeoutError)
        assert group.waiting(member) == 0
        await slow.read()
        assert slow.heard == [*range(ROOM)]

    run(body, peers=1, slow=SLOW)


def test_who_is_told_may_take_the_member_out_of_another_group():
    """Also while its session goes, of which others are to be told all the same."""

    async def body(ada, ben):
        member = await ada.join()
        others, told = [], []
        groups = [
            pb.Group([member], left=lambda member, why: [one.discard(member) for one in others])
            for _ in range(2)
        ]
        others += groups
        member.notifyOnDisconnect(told.append)
        await ada.both.client.close()
        await ada.both.quiet()
        assert told == [member]
        assert not groups[0]
        assert not groups[1]

    run(body)
