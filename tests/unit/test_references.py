"""pbweb.references: identity, coming home, counts, giving back, and disconnect callbacks."""

import asyncio
import gc
import threading
import weakref

import pytest

import pbweb as pb
from pbweb.errors import DeadReferenceError, LimitExceeded, ProtocolError
from pbweb.flavors import Entrance
from pbweb.references import Exports
from pbweb.testing import stepped_pair
from tests.unit.paired import run_paired
from tests.unit.vectors import PeerUnderTest


class Thing(pb.Referenceable):
    def remote_name(self):
        return "thing"


class Root(pb.Root):
    def __init__(self):
        self.thing = Thing()
        self.kept = []
        self.probes = []

    def remote_thing(self):
        return self.thing

    def remote_things(self):
        return {"a": [self.thing, {"b": self.thing}], "root": self}

    def remote_new(self):
        thing = Thing()
        self.probes.append(weakref.ref(thing))
        return thing

    def remote_new_ones(self, number):
        return [self.remote_new() for _ in range(number)]

    def remote_is_thing(self, value):
        return value is self.thing

    def remote_is_root(self, value):
        return value is self

    def remote_root(self):
        return self

    def remote_echo(self, value):
        return value

    def remote_keep(self, value):
        self.kept.append(value)

    def remote_kept(self):
        return self.kept

    def remote_forget(self):
        self.kept.clear()

    def remote_same(self):
        return all(one is self.kept[0] for one in self.kept)

    def remote_method(self):
        return self.remote_is_root

    def remote_function(self):
        return twice

    def remote_lambda(self):
        return lambda *args, **kw: [args, kw]

    def remote_coroutine_function(self):
        async def later(value):
            await asyncio.sleep(0)
            return value

        return later

    def remote_builtin(self):
        return len

    async def remote_call(self, function, *args):
        return await function.callRemote("call", *args)

    async def remote_wait(self):
        await asyncio.Event().wait()


def twice(value):
    return value * 2


# -------------------------------------------------------------- identity


def test_the_same_object_twice_is_one_reference():
    async def body(both):
        root = await both.client.getRootObject()
        one, two = await root.callRemote("thing"), await root.callRemote("thing")
        assert one is two
        assert one != await root.callRemote("new")
        found = await root.callRemote("things")
        assert found["a"][0] is found["a"][1]["b"] is one
        await both.quiet()
        assert both.server.broker.statistics()["handed_out"] == 1
        del found

    run_paired(Root(), body)


def test_a_reference_comes_home_as_the_very_object():
    async def body(both):
        root = await both.client.getRootObject()
        thing = await root.callRemote("thing")
        assert await root.callRemote("is_thing", thing) is True
        assert await root.callRemote("is_thing", await root.callRemote("new")) is False
        assert await root.callRemote("echo", [{"a": thing}]) == [{"a": thing}]

    run_paired(Root(), body)


def test_the_root_comes_home_and_is_one_reference_with_its_name():
    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("is_root", root) is True
        assert await root.callRemote("root") is root
        assert (await root.callRemote("things"))["root"] is root
        assert both.client.remoteForName("root") is root
        assert root.luid == "root"

    run_paired(Root(), body)


def test_ones_own_object_comes_back_as_itself():
    mine = Thing()

    async def body(both):
        root = await both.client.getRootObject()
        assert await root.callRemote("echo", mine) is mine
        got = await root.callRemote("echo", {"x": [mine, (mine,)]})
        assert got["x"][0] is mine
        assert got["x"][1][0] is mine
        await root.callRemote("keep", mine)
        await root.callRemote("keep", mine)
        assert await root.callRemote("same") is True
        kept = await root.callRemote("kept")
        assert kept[0] is kept[1] is mine
        await root.callRemote("forget")

    run_paired(Root(), body)


def test_published_names_of_both_sides():
    mine, theirs = Thing(), Thing()

    async def body(both):
        named = both.client.remoteForName("theirs")
        assert await named.callRemote("name") == "thing"
        back = both.server.remoteForName("mine")
        assert await back.callRemote("name") == "thing"
        assert back.luid == "mine"
        with pytest.raises(pb.DeadReferenceError):
            await both.client.remoteForName("nobody").callRemote("name")

    run_paired(Root(), body, names={"theirs": theirs}, client_names={"mine": mine})


# ------------------------------------------------- functions and methods


def test_functions_and_bound_methods_are_references():
    async def body(both):
        root = await both.client.getRootObject()
        function = await root.callRemote("function")
        assert type(function) is pb.RemoteReference
        assert await function.callRemote("call", 5) == 10
        assert await function(6) == 12
        method = await root.callRemote("method")
        assert method is await root.callRemote("method")
        assert await method(root) is True
        some = await root.callRemote("lambda")
        assert await some(1, 2, key=3) == [[1, 2], {"key": 3}]
        later = await root.callRemote("coroutine_function")
        assert await later([1]) == [1]
        builtin = await root.callRemote("builtin")
        assert await builtin([1, 2, 3]) == 3
        assert await root.callRemote("echo", function) is function

    run_paired(Root(), body)


def test_the_server_calls_functions_of_the_client():
    seen = []

    class Mine:
        def method(self, value):
            seen.append(value)
            return value + 1

    async def body(both):
        root = await both.client.getRootObject()
        mine = Mine()
        assert await root.callRemote("call", mine.method, 1) == 2
        assert await root.callRemote("call", twice, 2) == 4
        assert await root.callRemote("call", lambda: "nothing") == "nothing"
        assert seen == [1]
        assert await root.callRemote("echo", mine.method) == mine.method

    run_paired(Root(), body)


@pytest.mark.parametrize(
    "name", ["__call__", "__name__", "name", "remote_call", "calls", "__get__"]
)
def test_a_function_has_one_remote_method(name):
    async def body(both):
        root = await both.client.getRootObject()
        function = await root.callRemote("function")
        with pytest.raises(pb.NoSuchMethod):
            await function.callRemote(name, 1)
        with pytest.raises(pb.WrongArguments, match="missing"):
            await function()

    run_paired(Root(), body)


# --------------------------------------------------------- giving back


def test_the_exporter_lets_go_when_the_reference_is_collected():
    root_object = Root()

    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("new")
        again = await root.callRemote("echo", ref)
        assert again is ref
        [probe] = root_object.probes
        await both.assert_held(1)
        assert probe() is not None
        del ref
        await both.assert_held(1)
        assert probe() is not None
        del again
        await both.assert_held(0)
        assert probe() is None

    async def with_probe(both):
        async def assert_held(number):
            gc.collect()
            await both.quiet()
            for connection in both:
                if connection.session.receipts.timer is not None:
                    connection.session.receipts.time_is_up()
            await both.quiet()
            gc.collect()
            await both.quiet()
            assert both.server.broker.statistics()["handed_out"] == number
            assert both.client.broker.statistics()["held"] == number

        both.assert_held = assert_held
        await body(both)
        del both.assert_held

    run_paired(root_object, with_probe)


def test_one_decref_gives_back_all_counts_of_one_turn():
    root_object = Root()

    async def body(both):
        root = await both.client.getRootObject()
        refs = [*await root.callRemote("new_ones", 3), await root.callRemote("thing")]
        for _ in range(4):
            refs.append(await root.callRemote("thing"))
        before = len(both.to_server.frames)
        del refs
        gc.collect()
        await both.quiet()
        sent = both.to_server.frames[before:]
        [decref] = [frame for frame in sent if frame[0] == "decref"]
        pairs = dict(zip(decref[1::2], decref[2::2], strict=True))
        assert sorted(pairs.values()) == [1, 1, 1, 5]

    run_paired(root_object, body)


def test_release_gives_back_at_once_and_may_be_repeated():
    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("new")
        ref.release()
        ref.release()
        assert ref.isDead()
        assert "dead" in repr(ref)
        await both.quiet()
        assert [f for f in both.to_server.frames if f[0] == "decref"] == [["decref", 1, 1]]
        for attempt in (lambda: ref.callRemote("name"), lambda: root.callRemote("echo", ref)):
            with pytest.raises(pb.DeadReferenceError):
                await attempt()

    run_paired(Root(), body)


def test_a_reference_that_was_released_is_another_when_it_comes_again():
    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("thing")
        ref.release()
        again = await root.callRemote("thing")
        assert again is not ref
        assert not again.isDead()
        assert await again.callRemote("name") == "thing"
        assert await root.callRemote("is_thing", again) is True

    run_paired(Root(), body)


def test_with_releases_at_the_end():
    async def body(both):
        root = await both.client.getRootObject()
        with await root.callRemote("new") as ref:
            assert await ref.callRemote("name") == "thing"
        assert ref.isDead()
        with pytest.raises(KeyError), await root.callRemote("new") as ref:
            raise KeyError
        assert ref.isDead()

    run_paired(Root(), body)


def test_calls_in_progress_go_on_when_their_reference_is_released():
    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("new")
        promise = ref.callRemote("name")
        ref.release()
        assert await promise == "thing"

    run_paired(Root(), body)


def test_a_call_in_progress_keeps_its_reference():
    root_object = Root()

    class Slow(pb.Referenceable):
        async def remote_slow(self):
            await root_object.go.wait()
            return "done"

    async def body(both):
        root_object.go = asyncio.Event()
        root_object.thing = Slow()
        root = await both.client.getRootObject()
        promise = (await root.callRemote("thing")).callRemote("slow")
        gc.collect()
        await both.quiet()
        assert both.client.broker.statistics()["held"] == 1
        root_object.go.set()
        assert await promise == "done"

    run_paired(root_object, body)


def test_a_name_is_not_counted_and_releasing_it_sends_nothing():
    async def body(both):
        root = await both.client.getRootObject()
        await root.callRemote("root")
        root.release()
        await both.quiet()
        assert "decref" not in [frame[0] for frame in both.to_server.frames]
        again = await both.client.getRootObject()
        assert again is not root
        assert await again.callRemote("is_root", again) is True

    run_paired(Root(), body)


def test_an_object_that_is_handed_out_again_while_it_is_given_back_stays():
    root_object = Root()

    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("thing")
        both.to_server.hold()
        both.to_client.hold()
        first = root.callRemote("thing")
        await both.quiet()
        both.to_server.step()
        del ref
        gc.collect()
        both.client.flush()
        await both.quiet()
        both.let_go()
        again = await first
        await both.quiet()
        assert await again.callRemote("name") == "thing"
        assert await root.callRemote("is_thing", again) is True
        assert both.server.broker.statistics()["handed_out"] == 1

    run_paired(root_object, body)


def test_references_that_are_collected_in_another_thread_are_given_back():
    async def body(both):
        root = await both.client.getRootObject()
        refs = [await root.callRemote("new_ones", 5)]
        thread = threading.Thread(target=refs.clear)
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        await both.quiet()
        assert both.client.broker.statistics()["held"] == 0
        await both.quiet()
        assert both.server.broker.incoming.count() == 0

    run_paired(Root(), body)


def test_what_stood_in_a_refused_frame_is_given_back_before_the_error():
    remote = {"$": "remote", "id": 7}
    for message in (
        ["message", 1, "root", "nowhere", [remote, [remote]]],
        ["message", 1, "nobody", "echo", [remote, [remote]]],
        ["message", 1, "root", "echo", [remote, {"$": "mystery", "x": remote}]],
    ):
        peer = PeerUnderTest()
        decref, error = peer.feed_frames([message])
        assert decref == ["decref", 7, 2]
        assert error[:2] == ["error", 1]
        assert peer.session.broker.statistics()["held"] == 0


def test_a_reference_where_nobody_looks_is_given_back_and_the_others_are_kept():
    peer = PeerUnderTest()
    sent = peer.feed(
        '["message",1,"root","keep",[[{"$":"remote","id":7},{"$":"int","value":"5",'
        '"also":{"$":"remote","id":7},"more":{"$":"remote","id":8}}]]]'
    )
    [decref] = [frame for frame in sent if frame[0] == "decref"]
    assert sorted(zip(decref[1::2], decref[2::2], strict=True)) == [(7, 1), (8, 1)]
    assert peer.session.broker.statistics()["held"] == 1


def test_ids_of_another_kind_are_never_given_back():
    peer = PeerUnderTest()
    for number in ("0", "-1", "1.5", "null", "[1]", '{"a":1}', "true", str(2**53)):
        sent = peer.feed(f'["hello",{{"$":"remote","id":{number}}}]')
        assert sent == [["didNotUnderstand", "hello"]]
    assert peer.session.closing is None


# ------------------------------------------------------ naming nothing


@pytest.mark.parametrize("luid", [1, 2, 99, 2**53 - 1, "1", "Root", "", "__class__"])
def test_an_id_that_was_never_handed_out_names_nothing(luid):
    peer = PeerUnderTest()
    for frame in (
        ["message", 1, luid, "echo", [1]],
        ["message", 2, "root", "echo", [{"$": "local", "id": luid}]],
    ):
        [error] = peer.feed_frames([frame])
        assert error[2]["type"] == "DeadReferenceError"
    messages = {error[2]["message"]}
    assert len(messages) == 1
    assert peer.session.closing is None


def test_an_id_that_was_given_back_names_nothing_and_is_never_used_again():
    peer = PeerUnderTest()
    assert peer.feed('["message",1,"root","getCounter"]') == [
        ["answer", 1, {"$": "remote", "id": 1}]
    ]
    assert peer.feed('["message",2,1,"value"]') == [["answer", 2, 0]]
    peer.feed(f'["ack",{peer.session.sent},{peer.session.received}]')
    peer.feed('["decref",1,1]')
    [error] = peer.feed('["message",3,1,"value"]')
    assert error[2]["type"] == "DeadReferenceError"
    assert peer.feed('["message",4,"root","getCounter"]') == [
        ["answer", 4, {"$": "remote", "id": 2}]
    ]


def test_an_id_of_another_session_names_nothing():
    one, two = PeerUnderTest(), PeerUnderTest()
    one.feed('["message",1,"root","getCounter"]')
    [error] = two.feed('["message",1,1,"value"]')
    assert error[2]["type"] == "DeadReferenceError"


@pytest.mark.parametrize("pairs", [[1, 2], [2, 1], [1, 1, 1, 1], [1, 1, 2, 1], [5, 1]])
def test_giving_back_more_than_was_handed_out_is_4400(pairs):
    peer = PeerUnderTest()
    peer.feed('["message",1,"root","getCounter"]')
    sent = peer.feed_frames([["decref", *pairs]])
    assert sent[-1][:2] == ["close", 4400]


def test_exports_count():
    exports = Exports(10)
    thing = Thing()
    assert [exports.hand_out(thing) for _ in range(3)] == [1, 1, 1]
    exports.decref(1, 2)
    assert exports.find(1) is thing
    exports.decref(1, 1)
    with pytest.raises(DeadReferenceError):
        exports.find(1)
    assert exports.hand_out(thing) == 2
    with pytest.raises(ProtocolError):
        exports.decref(2, 2)


def test_what_was_handed_out_in_a_frame_that_did_not_go_out_is_taken_back():
    exports = Exports(10)
    one, two = Thing(), Thing()
    exports.hand_out(one)
    handed = [exports.hand_out(thing) for thing in (one, two, two)]
    assert handed == [1, 2, 2]
    for luid in reversed(handed):
        exports.take_back(luid)
    assert exports.find(1) is one
    assert len(exports.numbered) == 1
    assert exports.hand_out(Thing()) == 2


def test_a_name_that_is_published_again_means_the_new_object():
    exports = Exports(10)
    one, two = Thing(), Thing()
    exports.publish("name", one)
    assert exports.hand_out(one) == "name"
    exports.publish("name", two)
    assert exports.find("name") is two
    assert exports.hand_out(one) == 1
    assert exports.hand_out(two) == "name"


def test_an_object_that_was_handed_out_before_it_was_published():
    exports = Exports(10)
    thing = Thing()
    assert exports.hand_out(thing) == 1
    exports.publish("name", thing)
    assert exports.hand_out(thing) == "name"
    assert exports.find(1) is thing
    exports.decref(1, 1)
    assert exports.hand_out(thing) == "name"
    assert not exports.numbered


# ----------------------------------------------------------- the limit


def test_handing_out_at_the_limit_and_one_past_it():
    exports = Exports(2)
    things = [Thing() for _ in range(3)]
    assert [exports.hand_out(thing) for thing in things[:2]] == [1, 2]
    with pytest.raises(LimitExceeded, match="references"):
        exports.hand_out(things[2])
    assert exports.hand_out(things[0]) == 1
    exports.decref(2, 1)
    assert exports.hand_out(things[2]) == 3


def test_taking_references_at_the_limit_and_one_past_it():
    root_object = Root()

    async def body(both):
        root = await both.client.getRootObject()
        refs = await root.callRemote("new_ones", 3)
        for _ in range(3):
            with pytest.raises(pb.LimitExceeded, match="references"):
                await root.callRemote("new")
        refs[0].release()
        refs.append(await root.callRemote("new"))
        assert both.client.broker.statistics()["held"] == 3
        del refs

    run_paired(root_object, body, limits=pb.Limits(references=3), logged=3)


def test_a_peer_that_hands_out_too_much_again_and_again_is_closed_with_4413():
    peer = PeerUnderTest(references=2)
    refs = [{"$": "remote", "id": number} for number in (1, 2)]
    peer.feed_frames([["message", 1, "root", "keep", [refs]]])
    for number in (2, 3, 4, 5):
        sent = peer.feed(f'["message",{number},"root","keep",[{{"$":"remote","id":{number + 5}}}]]')
        assert sent[0] == ["decref", number + 5, 1]
        assert sent[1][2]["type"] == "LimitExceeded"
        assert sent[1][2]["message"].startswith("references")
    assert sent[2][:2] == ["close", 4413]
    assert len(sent) == 3


# -------------------------------------------------------- disconnecting


def test_notify_on_disconnect_gets_the_reference_once():
    told = []

    async def body(both):
        root = await both.client.getRootObject()
        thing = await root.callRemote("thing")
        thing.notifyOnDisconnect(told.append)
        root.notifyOnDisconnect(told.append)
        both.client.notifyOnDisconnect(lambda: told.append("connection"))
        both.server.broker.notifyOnDisconnect(lambda: told.append("server"))
        dont = print
        thing.notifyOnDisconnect(dont)
        thing.dontNotifyOnDisconnect(dont)
        both.cut()
        both.cut()
        assert told == [thing, root, "connection", "server"]
        with pytest.raises(pb.DeadReferenceError):
            thing.notifyOnDisconnect(told.append)
        with pytest.raises(ValueError, match="remove"):
            thing.dontNotifyOnDisconnect(told.append)

    run_paired(Root(), body, idle=False)


def test_a_callback_that_raises_does_not_keep_the_others_from_being_told():
    told = []

    async def body(both):
        root = await both.client.getRootObject()
        root.notifyOnDisconnect(lambda ref: 1 / 0)
        root.notifyOnDisconnect(told.append)
        both.cut()
        assert told == [root]

    run_paired(Root(), body, idle=False, logged=1)


def test_when_the_session_goes_all_references_are_dead_and_all_objects_are_let_go():
    root_object = Root()

    async def body(both):
        root = await both.client.getRootObject()
        ref = await root.callRemote("new")
        promise = root.callRemote("wait")
        await both.quiet()
        both.cut()
        assert ref.isDead()
        assert root.isDead()
        with pytest.raises(pb.PBConnectionLost):
            await promise
        with pytest.raises(pb.DeadReferenceError):
            await ref.callRemote("name")
        ref.release()
        gc.collect()
        assert root_object.probes[0]() is None

    run_paired(root_object, body, idle=False)


def test_what_was_handed_out_for_nobody_in_particular_stays_when_an_avatar_goes():
    exports = Exports(10)
    thing, avatar = Thing(), object()
    assert exports.hand_out(thing) == exports.hand_out(thing, avatar) == 1
    exports.revoke(avatar)
    assert exports.find(1) is thing


def test_a_number_that_is_taken_back_behind_later_ones_is_not_used_again():
    exports = Exports(10)
    handed = [exports.hand_out(thing) for thing in (Thing(), Thing())]
    for luid in handed:
        exports.take_back(luid)
    assert not exports.numbered
    assert exports.hand_out(Thing()) == 2


def test_a_login_that_has_its_avatar_leaves_alone_what_was_collected_meanwhile():
    link = stepped_pair(Root())
    link.settle()
    imports = link.server.broker.imports
    entrance, avatar = Entrance(), Thing()
    kept, collected = (imports.reference(luid, entrance) for luid in (5, 6))
    imports.count([5, 6], entrance)
    del collected
    gc.collect()
    imports.adopt(entrance, avatar)
    assert kept.perspective is avatar
    assert imports.reference(5, avatar) is kept
    assert imports.give_back() == [6, 1]
    assert len(imports) == 1
