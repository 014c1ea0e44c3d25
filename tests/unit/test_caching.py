"""pbweb.caching: Cacheable, RemoteCache and RemoteCacheObserver, in both directions."""

import asyncio
import gc
import threading

import pytest

import pbweb as pb
from pbweb.checkers import CallableChecker
from pbweb.testing import pair, stepped_pair, tables
from tests.unit.paired import run_paired

REGISTRY = pb.Registry()


class Pond(pb.Cacheable):
    """Ducks, which come and go."""

    def __init__(self, *ducks):
        self.ducks = list(ducks)
        self.observers = []
        self.begun = []
        self.stopped = []

    def getStateToCacheAndObserveFor(self, perspective, observer):
        assert perspective is None
        self.observers.append(observer)
        self.begun.append(observer)
        return {"ducks": list(self.ducks)}

    def stoppedObserving(self, perspective, observer):
        assert perspective is None
        self.observers.remove(observer)
        self.stopped.append(observer)

    def add(self, duck):
        self.ducks.append(duck)
        return [observer.callRemote("add", duck) for observer in self.observers]

    def tell(self, name, *args):
        for observer in self.observers:
            observer.callRemoteOnly(name, *args)


class PondCopy(pb.RemoteCache):
    made = 0

    def __init__(self):
        PondCopy.made += 1
        self.log = []

    def observe_add(self, duck):
        self.ducks.append(duck)
        return len(self.ducks)

    def observe_note(self, value):
        self.log.append(value)

    async def observe_later(self, value):
        await asyncio.sleep(0)
        self.log.append(value)
        return value

    def observe_fail(self):
        raise pb.Error("no")

    def observe_exit(self):
        raise SystemExit(3)

    def observe_replace(self, state):
        self.__dict__ = state

    def remote_secret(self):
        raise AssertionError


REGISTRY.setUnjellyableForClass(Pond, PondCopy)


class Root(pb.Root):
    def __init__(self):
        self.pond = Pond("a")
        self.kept = []

    def remote_pond(self):
        return self.pond

    def remote_add(self, duck):
        self.pond.add(duck)
        return len(self.pond.ducks)

    def remote_is_pond(self, x):
        return x is self.pond

    def remote_keep(self, value):
        self.kept.append(value)

    def remote_kept(self):
        return self.kept

    def remote_drop(self):
        self.kept.clear()

    def remote_make(self, function):
        return function()

    async def remote_slow(self, duck):
        await asyncio.sleep(0)
        return self.remote_add(duck)


def run(body, root=None, **options):
    root = root or Root()

    async def both_ways(both):
        await body(both, root)

    return run_paired(root, both_ways, registry=REGISTRY, **options)


async def acknowledge(both):
    """Acknowledge without waiting for its time."""
    for connection in both:
        session = connection.session
        if session.receipts.timer is not None:
            session.receipts.timer.cancel()
            session.receipts.time_is_up()
    await both.quiet()


# ------------------------------------------------------------------ the way


def test_a_copy_has_the_state_and_is_told_every_change():
    async def body(both, root):
        made = PondCopy.made
        copy = await both.root.callRemote("pond")
        assert type(copy) is PondCopy
        assert PondCopy.made == made + 1
        assert copy.ducks == ["a"]
        assert await root.pond.add("b")[0] == 2
        assert copy.ducks == ["a", "b"]
        assert both.server.broker.statistics()["caches_handed_out"] == 1
        assert both.client.broker.statistics()["caches_held"] == 1
        del copy
        await both.assert_idle()
        assert root.pond.stopped == root.pond.begun
        assert root.pond.observers == []

    run(body)


def test_a_peer_has_one_copy_however_often_it_is_handed_over():
    async def body(both, root):
        one, two = await asyncio.gather(*(both.root.callRemote("pond") for _ in range(2)))
        assert one is two is await both.root.callRemote("pond")
        assert len(root.pond.begun) == 1
        assert await both.root.callRemote("is_pond", one) is True
        await both.root.callRemote("keep", {"a": [one]})
        assert root.kept == [{"a": [root.pond]}]
        assert await both.root.callRemote("kept") == [{"a": [one]}]
        root.kept.clear()

    run(body)


def test_a_cache_that_the_client_owns_and_the_server_holds():
    async def body(both, root):
        pond = Pond("x")
        await both.root.callRemote("keep", pond)
        await both.root.callRemote("keep", pond)
        [copy, again] = root.kept
        assert copy is again
        pond.add("y")
        assert await both.root.callRemote("kept") == [pond, pond]
        assert copy.ducks == ["x", "y"]
        del copy, again
        await both.root.callRemote("drop")
        await both.assert_idle()
        assert pond.stopped == pond.begun

    run(body)


def test_updates_and_answers_come_in_the_order_in_which_they_were_made():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        sizes = []
        promises = []
        for n in range(6):
            promise = both.root.callRemote("slow" if n % 2 else "add", n)
            promise.then_call(lambda promise: sizes.append((promise.result(), len(copy.ducks))))
            promises.append(promise)
        await asyncio.gather(*promises)
        assert all(size <= had for size, had in sizes)
        names = [frame[0] for frame in both.to_client.frames if frame[0] != "ack"]
        assert names[2:] == ["cachemessage", "answer"] * 6

    run(body)


def test_each_session_has_an_observer_of_its_own():
    async def main():
        root = Root()
        async with (
            pair(root, registry=REGISTRY) as one,
            pair(root, registry=REGISTRY) as two,
        ):
            copies = [await both.root.callRemote("pond") for both in (one, two)]
            root.pond.add("b")
            await one.quiet()
            assert copies[0] is not copies[1]
            assert [copy.ducks for copy in copies] == [["a", "b"]] * 2
            first, second = root.pond.observers
            assert first != second
            assert {first: 1}[root.pond.begun[0]] == 1
            two.cut()
            assert root.pond.observers == [first]
        assert len(root.pond.stopped) == 2

    asyncio.run(main())


def test_a_state_of_any_kind_with_what_is_shared_in_it():
    class Odd(pb.Cacheable):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            one = [1]
            return [one, one, self, {"inner": inner}]

        def getTypeToCopy(self):
            return "Odd"

    class OddCopy(pb.RemoteCache):
        def setCopyableState(self, state):
            self.state = state

    inner = Pond("in")
    registry = pb.Registry()
    registry.setUnjellyableForClass("Odd", OddCopy)
    registry.setUnjellyableForClass(Pond, PondCopy)

    class OddRoot(pb.Root):
        odd = Odd()

        def remote_get(self):
            return [self.odd, inner, self.odd]

    async def body(both):
        odd, pond, again = await both.root.callRemote("get")
        assert odd is again is odd.state[2]
        assert odd.state[0] is odd.state[1]
        assert odd.state[3]["inner"] is pond
        odd.release()  # it can be reached from its own attributes

    run_paired(OddRoot(), body, registry=registry)


def test_the_type_is_chosen_for_a_perspective():
    class Told(Pond):
        def getTypeToCopyFor(self, perspective):
            assert perspective is None
            return "Told"

    class ToldCopy(PondCopy):
        pass

    registry = pb.Registry()
    registry.setUnjellyableForClass("Told", ToldCopy)
    root = Root()
    root.pond = Told("t")

    async def body(both):
        assert type(await both.root.callRemote("pond")) is ToldCopy

    run_paired(root, body, registry=registry)


def test_a_promise_of_a_cache_is_passed_on_before_it_is_there():
    async def body(both, root):
        pond = both.root.callRemote("pond")
        assert await both.root.callRemote("is_pond", pond) is True
        with pytest.raises(pb.NoSuchMethod):
            await pond.callRemote("add", "b")

    run(body)


# ----------------------------------------------------------------- releasing


def test_release_and_with_give_back_once():
    async def body(both, root):
        with await both.root.callRemote("pond") as copy:
            again = await both.root.callRemote("pond")
            assert copy is again
        copy.release()
        await both.quiet()
        assert [f for f in both.to_server.frames if f[0] == "decache"] == [["decache", 1, 2]]
        assert ["uncache", 1] in both.to_client.frames
        assert len(root.pond.stopped) == 1
        with pytest.raises(pb.DeadReferenceError, match="given back"):
            await both.root.callRemote("is_pond", copy)
        assert copy.ducks == ["a"]
        root.pond.add("b")
        new = await both.root.callRemote("pond")
        assert new is not copy
        assert new.ducks == ["a", "b"]

    run(body)


def test_a_copy_that_came_from_nobody_can_be_released_and_not_sent():
    async def body(both, root):
        copy = PondCopy()
        copy.release()
        with pytest.raises(pb.InsecureJelly):
            await both.root.callRemote("is_pond", copy)

    run(body)


def test_a_copy_that_is_given_back_follows_until_the_owner_is_done_and_may_come_back():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        both.hold()
        promise = both.root.callRemote("pond")
        await both.quiet()
        both.to_server.step()  # the owner hands it over once more
        copy.release()
        await both.quiet()
        root.pond.add("b")
        await both.quiet()
        both.let_go()
        assert await promise is copy
        await both.quiet()
        assert copy.ducks == ["a", "b"]
        assert not any(frame[0] == "uncache" for frame in both.to_client.frames)
        root.pond.add("c")
        await both.quiet()
        assert copy.ducks == ["a", "b", "c"]
        assert root.pond.stopped == []

    run(body)


def test_a_copy_that_was_collected_comes_back_with_what_it_had():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        copy.mine = "kept"
        both.to_server.hold()
        both.to_client.hold()
        promise = both.root.callRemote("pond")
        await both.quiet()
        both.to_server.step()
        del copy
        await both.quiet()
        assert both.to_server.frames[-1] == ["decache", 1, 1]
        root.pond.add("b")  # nobody holds the copy
        await both.quiet()
        both.let_go()
        copy = await promise
        await both.quiet()
        assert copy.ducks == ["a", "b"]
        assert copy.mine == "kept"
        assert await both.root.callRemote("is_pond", copy)
        assert root.pond.stopped == []

    run(body)


def test_a_class_may_put_another_dict_in_place_of_its_attributes():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        root.pond.tell("replace", {"ducks": ["z"], "log": []})
        await both.root.callRemote("add", "y")
        assert copy.ducks == ["z", "y"]
        both.hold()
        promise = both.root.callRemote("pond")
        await both.quiet()
        both.to_server.step()
        del copy
        await both.quiet()
        both.let_go()
        assert (await promise).ducks == ["z", "y"]

    run(body)


def test_copies_are_collected_in_other_threads():
    async def body(both, root):
        ponds = [Pond(n) for n in range(50)]
        root.kept = ponds
        copies = await both.root.callRemote("kept")
        assert both.client.broker.statistics()["caches_held"] == 50

        def drop():
            while copies:
                cycle = [copies.pop()]
                cycle.append(cycle)
            del cycle
            gc.collect()

        thread = threading.Thread(target=drop)
        thread.start()
        while thread.is_alive():
            for pond in ponds:
                pond.add("more")
            await both.root.callRemote("add", 1)
        thread.join()
        root.kept = []
        await both.assert_idle()
        assert all(len(pond.stopped) == 1 for pond in ponds)

    run(body)


# ----------------------------------------------------------------- observers


def test_an_update_before_the_state_is_an_error_that_says_so():
    class Hasty(Pond):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            for call in (observer.callRemote, observer.callRemoteOnly):
                with pytest.raises(pb.ProtocolError, match="before its state was handed over"):
                    call("add", "b")
            return super().getStateToCacheAndObserveFor(perspective, observer)

        def getTypeToCopy(self):
            return f"{Pond.__module__}.{Pond.__qualname__}"

    root = Root()
    root.pond = Hasty("a")

    async def body(both, root):
        assert (await both.root.callRemote("pond")).ducks == ["a"]

    run(body, root)


def test_after_the_end_an_observer_does_no_harm():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        [observer] = root.pond.begun
        copy.release()
        await both.quiet()
        with pytest.raises(pb.DeadReferenceError, match="no copy"):
            await observer.callRemote("add", "b")
        observer.callRemoteOnly("add", "b")
        observer.callRemote("add", "b")  # which is not logged
        gc.collect()
        copy = await both.root.callRemote("pond")
        assert root.pond.begun[0] == root.pond.begun[1]  # as in PB: of one session and Cacheable
        assert root.pond.begun[0] != "another"
        assert "Pond" in repr(observer)
        [_, observer] = root.pond.begun
        both.cut()
        with pytest.raises(pb.DeadReferenceError):
            await observer.callRemote("add", "b")
        observer.callRemoteOnly("add", "b")
        assert copy.ducks == ["a"]
        assert len(root.pond.stopped) == 2
        with pytest.raises(pb.DeadReferenceError):
            await both.root.callRemote("is_pond", copy)

    run(body, idle=False)


def test_what_an_observer_does_wrong_is_the_callers_and_is_logged_if_nobody_looks():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        [observer] = root.pond.observers
        with pytest.raises(pb.Error, match="no"):
            await observer.callRemote("fail")
        with pytest.raises(pb.NoSuchMethod, match="observe_nothing"):
            await observer.callRemote("nothing")
        with pytest.raises(pb.NoSuchMethod):
            await observer.callRemote("secret")
        with pytest.raises(TypeError, match="add: missing a required argument"):
            await observer.callRemote("add")
        with pytest.raises(pb.InsecureJelly):
            await observer.callRemote("add", object())
        with pytest.raises(pb.InsecureJelly):
            observer.callRemoteOnly("add", object())
        assert await observer.callRemote("later", 5) == 5
        assert copy.log == [5]
        observer.callRemote("fail")  # logged
        observer.callRemoteOnly("fail")  # logged where it failed
        await both.quiet()
        gc.collect()
        with pytest.raises(pb.Error, match="3"):
            await observer.callRemote("exit")  # logged
        copy.release()  # the log holds it

    run(body, logged=3)


def test_updates_start_behind_the_handlers_that_were_called_before():
    class Order(pb.Referenceable):
        async def remote_note(self, copy, value):
            copy.log.append(value)

    async def body(both, root):
        order = Order()
        copy = await both.root.callRemote("pond")
        await both.root.callRemote("keep", order)
        [reference] = root.kept
        promises = []
        for n in range(4):
            promises.append(reference.callRemote("note", root.pond, 2 * n))
            promises.append(root.pond.observers[0].callRemote("note", 2 * n + 1))
        await asyncio.gather(*promises)
        assert copy.log == list(range(8))
        await both.root.callRemote("drop")
        del reference

    run(body)


def test_a_call_that_waits_for_the_peers_limit_holds_up_no_update():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        ended = asyncio.Event()

        class Slow(pb.Referenceable):
            async def remote_wait(self):
                await ended.wait()

        await both.root.callRemote("keep", Slow())
        [slow] = root.kept
        waiting = [slow.callRemote("wait") for _ in range(4)]
        for n in range(10):
            root.pond.tell("note", n)
            answer = root.pond.observers[0].callRemote("note", n)
        await both.quiet()
        assert await answer is None
        assert len(copy.log) == 20
        with pytest.raises(pb.LimitExceeded, match="calls"):  # one that goes on is refused
            await root.pond.observers[0].callRemote("later", n)
        ended.set()
        await asyncio.gather(*waiting)
        await both.root.callRemote("drop")
        del slow

    run(body, client_limits=pb.Limits(calls=2))


def test_what_waits_for_room_has_the_arguments_as_they_were():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        both.to_server.hold()  # no acknowledgement comes
        value = {"n": [0]}
        for n in range(1, 30):
            value["n"][0] = n
            root.pond.tell("note", value)
            await both.quiet()
        both.let_go()
        await both.quiet()
        while len(copy.log) < 29:
            await acknowledge(both)
        assert [one["n"][0] for one in copy.log] == list(range(1, 30))

    run(body, limits=pb.Limits(window_frames=4))


def test_updates_that_wait_for_room_are_dropped_when_the_copy_goes():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        both.to_client.hold()
        promises = [root.pond.observers[0].callRemote("note", n) for n in range(8)]
        await both.quiet()
        copy.release()
        await both.quiet()
        assert root.pond.observers == []
        both.let_go()
        for _ in range(20):
            await acknowledge(both)
        assert copy.log == [0, 1, 2]
        errors = [promise.error() for promise in promises]
        assert errors[:3] == [None] * 3
        assert {type(error) for error in errors[3:]} == {pb.DeadReferenceError}

    run(body, limits=pb.Limits(window_frames=4))


def test_an_update_names_no_answer_that_is_to_come():
    async def body(both, root):
        await both.root.callRemote("keep", Root())
        [reference] = root.kept
        copy = await both.root.callRemote("pond")
        promise = reference.callRemote("add", 1)
        with pytest.raises(pb.InsecureJelly, match="await it first"):
            await root.pond.observers[0].callRemote("note", promise)
        await promise
        await root.pond.observers[0].callRemote("note", promise)
        assert copy.log == [2]
        await both.root.callRemote("drop")
        del reference

    run(body)


def test_an_update_says_what_is_known_of_it_when_the_session_goes():
    async def body(both, root):
        copy = await both.root.callRemote("pond")
        assert copy.log == []
        [observer] = root.pond.observers
        both.to_client.hold()
        promises = [observer.callRemote("note", n) for n in range(6)]
        cancelled = observer.callRemote("note", 6)
        await both.quiet()
        cancelled.cancel()
        both.cut()
        outcomes = [promise.error().outcome for promise in promises]
        assert outcomes == ["unknown"] * 3 + ["not_executed"] * 3
        assert cancelled.error() is not None

    run(body, limits=pb.Limits(window_frames=4), idle=False)


# ------------------------------------------- frames that do not go out, faults


def test_when_the_frame_does_not_go_out_the_observer_is_taken_back():
    async def body(both, root):
        root.kept = [root.pond, Pond("b"), object()]
        with pytest.raises(pb.InsecureJelly):
            await both.root.callRemote("kept")
        assert root.pond.stopped == root.pond.begun
        assert len(root.pond.begun) == 1
        assert tables(both.server.session)["caches_handed_out"] == 0
        root.kept = []
        copy = await both.root.callRemote("pond")
        assert copy.__cache__.luid == 1  # nobody had seen the number
        root.kept = [root.pond, object()]
        with pytest.raises(pb.InsecureJelly):
            await both.root.callRemote("kept")
        assert len(root.pond.observers) == 1
        root.kept = []
        root.pond.add("b")
        await both.quiet()
        assert copy.ducks == ["a", "b"]

    run(body, logged=2)


def test_a_hook_that_raises_leaves_nothing_behind():
    class Broken(Pond):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            raise self.error

    async def body(both, root):
        for error in (ValueError("bad"), pb.Error("expected"), SystemExit(1)):
            broken = Broken()
            broken.error = error
            root.kept = [root.pond, broken]
            with pytest.raises(pb.Error):
                await both.root.callRemote("kept")
            assert broken.stopped == []
            assert root.pond.observers == []
        root.kept = [pb.Cacheable()]
        with pytest.raises(pb.Error, match="define getStateToCacheAndObserveFor"):
            await both.root.callRemote("kept")
        root.kept = []

    run(body, logged=4)


def test_a_type_that_is_no_name_is_refused():
    class Nameless(Pond):
        def getTypeToCopy(self):
            return self.name

    async def body(both, root):
        for name in (5, None, "\ud800"):
            pond = Nameless()
            pond.name = name
            root.kept = [pond]
            with pytest.raises(pb.InsecureJelly, match="no name"):
                await both.root.callRemote("kept")
            assert pond.stopped == pond.begun
        root.kept = []

    run(body, logged=3)


def test_what_hooks_tell_while_a_state_is_asked_for_comes_behind_it():
    class Chatty(Pond):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            state = super().getStateToCacheAndObserveFor(perspective, observer)
            first.add("told")
            reference.callRemoteOnly("add", first)
            return state

        def getTypeToCopy(self):
            return f"{Pond.__module__}.{Pond.__qualname__}"

    async def body(both, root):
        nonlocal first, reference
        mine = Root()
        await both.root.callRemote("keep", mine)
        reference = root.kept.pop()
        first, second = Pond("1"), Chatty("2")
        root.kept = [first, second]
        one, two = await both.root.callRemote("kept")
        await both.quiet()
        names = [frame[0] for frame in both.to_client.frames if frame[0] != "ack"]
        assert names[2:] == ["answer", "cachemessage", "message"]
        assert one.ducks == ["1", "told"]
        assert two.ducks == ["2"]
        assert mine.pond.ducks == ["a", one]
        root.kept = []
        reference = None
        mine.pond.ducks.clear()

    first = reference = None
    run(body)


@pytest.mark.parametrize("where", ["answer", "argument"])
def test_a_hook_that_ends_the_session(where):
    class Ending(Pond):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            state = super().getStateToCacheAndObserveFor(perspective, observer)
            owner.end("as a link that is lost")
            return state

    root = Root()
    link = stepped_pair(root, registry=REGISTRY)
    link.settle()
    owner = link.server if where == "answer" else link.client
    pond, other = Ending("a"), Pond("b")
    there = link.client.broker.remoteForName("root")
    if where == "answer":
        root.kept = [pond, other]
        promise = there.callRemote("kept")
        link.settle()
    else:
        promise = there.callRemote("keep", [pond, other])
    link.cut()
    assert promise.error() is not None
    for one in (pond, other):
        assert len(one.stopped) == len(one.begun) == 1
        assert one.observers == []
    for session in (link.client, link.server):
        assert not any(tables(session).values()), tables(session)


def test_what_stopped_observing_raises_is_logged_and_the_others_are_told():
    class Sour(Pond):
        def stoppedObserving(self, perspective, observer):
            super().stoppedObserving(perspective, observer)
            raise self.error

    async def body(both, root):
        ponds = [Sour("a"), Pond("b"), Sour("c")]
        ponds[0].error, ponds[2].error = ValueError(), SystemExit(1)
        root.kept = list(ponds)
        registry = both.client.broker.options.registry
        registry.setUnjellyableForClass(Sour, PondCopy)
        copies = await both.root.callRemote("kept")
        root.kept = []
        copies.pop(0).release()
        await both.quiet()
        both.cut()
        assert all(pond.stopped == pond.begun and len(pond.begun) == 1 for pond in ponds)

    run(body, logged=2, idle=False)


# ----------------------------------------------------------- what comes in


def registered(cls, **options):
    registry = pb.Registry()
    registry.setUnjellyableForClass(Pond, cls)
    return {"registry": registry, **options}


@pytest.mark.parametrize("fault", [ValueError("x"), SystemExit(1), pb.Error("no")])
@pytest.mark.parametrize("place", ["__init__", "setCopyableState", "postUnjelly"])
def test_what_the_class_of_a_copy_raises_fails_the_call_and_the_cache_goes_back(fault, place):
    leaked = []

    class Raising(pb.RemoteCache):
        def setCopyableState(self, state):
            leaked.append(self)

    def method(self, *_state):
        leaked.append(self)
        raise fault

    setattr(Raising, place, method)
    root = Root()

    async def body(both):
        kind = pb.Error if isinstance(fault, pb.Error) else pb.InsecureJelly
        with pytest.raises(kind):
            await both.root.callRemote("pond")
        await both.quiet()
        assert root.pond.stopped == root.pond.begun
        leaked[-1].release()
        with pytest.raises(pb.DeadReferenceError):
            await both.root.callRemote("is_pond", leaked[-1])
        await both.assert_idle()

    run_paired(root, body, logged=0 if isinstance(fault, pb.Error) else 1, **registered(Raising))


def test_post_unjelly_is_called_when_the_message_is_there():
    class Posting(pb.RemoteCache):
        def postUnjelly(self):
            self.size = len(self.ducks)

    async def body(both):
        assert (await both.root.callRemote("pond")).size == 1

    run_paired(Root(), body, **registered(Posting))


def test_a_class_is_for_copies_or_for_caches_and_crosses_in_one_way():
    registry = pb.Registry()
    registry.setUnjellyableForClass("x", PondCopy)
    assert registry.cache_class("x") is PondCopy
    with pytest.raises(pb.InsecureJelly, match="for copies of the type 'x'"):
        registry.maker("x")
    registry.setUnjellyableForClass("x", pb.RemoteCopy)
    registry.maker("x")
    with pytest.raises(pb.InsecureJelly, match="for caches of the type 'x'"):
        registry.cache_class("x")
    registry.setUnjellyableFactoryForClass("x", PondCopy)
    with pytest.raises(pb.InsecureJelly):
        registry.cache_class("x")
    for base in (pb.Cacheable, pb.RemoteCache):
        for other in (pb.Referenceable, pb.Viewable):
            with pytest.raises(TypeError, match="in one way only"):
                type("Both", (base, other), {})
    with pytest.raises(TypeError, match="__slots__"):
        type("Slotted", (pb.RemoteCache,), {"__slots__": ("a",)})
    type("Unslotted", (pb.RemoteCache,), {"__slots__": ()})


def test_the_same_class_may_be_an_owner_and_a_copy():
    class Twin(Pond, pb.RemoteCache):
        def observe_add(self, duck):
            self.ducks.append(duck)

    registry = pb.Registry()
    registry.setUnjellyableForClass(Twin, Twin)
    root = Root()
    root.pond = Twin("a")

    async def body(both):
        copy = await both.root.callRemote("pond")
        assert type(copy) is Twin
        await both.root.callRemote("add", "b")
        assert copy.ducks == ["a", "b"]
        assert await both.root.callRemote("is_pond", copy) is True
        with pytest.raises(pb.InsecureJelly, match="peer of another session"):
            async with pair(Root(), registry=registry) as other:
                await other.root.callRemote("keep", copy)

    run_paired(root, body, registry=registry)


def test_a_copy_goes_to_nobody_but_its_owner():
    async def main():
        there = Root()
        async with pair(there, registry=REGISTRY) as far:

            class Middle(pb.Root):
                async def remote_far(self):
                    return await far.root.callRemote("pond")

                def remote_relayed(self):
                    return far.root

            async with pair(Middle(), registry=REGISTRY) as near:
                with pytest.raises(pb.InsecureJelly, match="peer of another session"):
                    await near.root.callRemote("far")
                relayed = await near.root.callRemote("relayed")
                with pytest.raises(pb.InsecureJelly, match="peer of another session"):
                    await relayed.callRemote("pond")
                await far.assert_idle()
                assert there.pond.stopped == there.pond.begun
                relayed.release()
                await near.assert_idle()

    asyncio.run(main())


def test_caches_and_references_share_one_limit_and_one_series_of_numbers():
    async def body(both, root):
        root.kept = [Root(), Pond(), Root(), Pond()]
        got = await both.root.callRemote("kept")
        luids = [one.__cache__.luid if isinstance(one, PondCopy) else one.luid for one in got]
        assert sorted(luids) == [1, 2, 3, 4]
        root.kept.append(Pond())
        with pytest.raises(pb.LimitExceeded, match="references"):
            await both.root.callRemote("kept")
        assert root.kept[-1].stopped == root.kept[-1].begun
        root.kept = []
        got.clear()
        await both.assert_idle()

    run(body, logged=1, limits=pb.Limits(references=4))


class Visitor(pb.Avatar):
    """Each is handed the same pond."""

    def __init__(self, name):
        self.name = name

    def perspective_pond(self):
        return Realm.pond

    def perspective_is_pond(self, x):
        return x is Realm.pond


class ForVisitors(Pond):
    def getStateToCacheAndObserveFor(self, perspective, observer):
        assert observer.perspective is observer.seen_by is perspective
        self.perspective = perspective
        return super().getStateToCacheAndObserveFor(None, observer)

    def stoppedObserving(self, perspective, observer):
        assert self.perspective is observer.perspective is perspective
        super().stoppedObserving(None, observer)


class Realm:
    pond = None

    def requestAvatar(self, avatarId, mind, *interfaces):
        return pb.IPerspective, Visitor(avatarId), lambda: None


def check_name(credentials):
    return credentials.username


def test_what_was_handed_out_for_avatars_is_told_nothing_more_when_they_have_logged_out():
    class Seen(pb.Viewable):
        def view_by(self, perspective):
            return perspective.name

    async def body(both):
        Realm.pond = pond = ForVisitors("a")
        both.client.broker.options.registry.setUnjellyableForClass(ForVisitors, PondCopy)
        ann, bob = [
            await both.client.login(pb.UsernamePassword(name, name)) for name in ("ann", "bob")
        ]
        copy = await ann.callRemote("pond")
        assert pond.perspective.name == "ann"
        assert await bob.callRemote("pond") is copy
        ann.release()
        await both.quiet()
        seen = Seen()
        pond.tell("note", seen)
        await both.quiet()
        assert await copy.log.pop().callRemote("by") == "bob"
        assert await bob.callRemote("is_pond", copy) is True
        bob.release()
        await both.quiet()
        assert pond.stopped == pond.begun
        pond.tell("note", "nothing")
        with pytest.raises(pb.DeadReferenceError):
            await pond.begun[0].callRemote("note", "nothing")
        cyd = await both.client.login(pb.UsernamePassword("cyd", "cyd"))
        with pytest.raises(pb.DeadReferenceError):
            await cyd.callRemote("is_pond", copy)
        again = await cyd.callRemote("pond")
        assert again is not copy
        assert copy.log == []
        assert await cyd.callRemote("is_pond", again)
        Realm.pond = None

    portal = pb.Portal(Realm(), [CallableChecker(pb.UsernamePassword, check_name)])
    run_paired(portal, body, registry=REGISTRY)


def test_what_was_handed_out_for_nobody_in_particular_outlives_the_logins():
    """What a name gives is everybody's: no logout takes it away, whoever was handed it as well."""

    async def body(both):
        shared = Pond("a")
        seen = []

        class Lobby(pb.Referenceable):
            def remote_pond(self):
                return shared

        both.server.setNameForLocal("lobby", Lobby())
        Realm.pond = shared
        ann = await both.client.login(pb.UsernamePassword("ann", "ann"))
        copy = await both.client.remoteForName("lobby").callRemote("pond")
        assert await ann.callRemote("pond") is copy
        ann.release()
        await both.quiet()
        assert shared.stopped == []
        shared.tell("note", "still")
        await both.quiet()
        seen += copy.log
        assert seen == ["still"]
        copy.release()
        await both.quiet()
        assert shared.stopped == shared.begun
        Realm.pond = None

    portal = pb.Portal(
        Realm(), [CallableChecker(pb.UsernamePassword, check_name)], login_required=False
    )
    run_paired(portal, body, registry=REGISTRY)


def test_a_cache_may_hand_itself_over_while_its_state_is_asked_for():
    """The call waits until the message with the state is complete, and names the same copy."""

    class Keeper(pb.Referenceable):
        def remote_keep(self, copy):
            self.kept = copy

    class Eager(Pond):
        def getStateToCacheAndObserveFor(self, perspective, observer):
            root.keepers.pop().callRemoteOnly("keep", self)
            return super().getStateToCacheAndObserveFor(perspective, observer)

    class Handing(Root):
        def remote_take(self, keeper):
            self.keepers = [keeper]
            return self.pond

    root = Handing()
    root.pond = Eager("a")

    async def body(both, _root):
        both.client.broker.options.registry.setUnjellyableForClass(Eager, PondCopy)
        keeper = Keeper()
        copy = await both.root.callRemote("take", keeper)
        await both.quiet()
        assert keeper.kept is copy
        assert copy.ducks == ["a"]
        assert len(root.pond.begun) == 1
        del keeper.kept

    run(body, root)


def test_a_cache_in_the_state_of_an_exception():
    class Lost(pb.Error, pb.Copyable, pb.RemoteCopy):
        pass

    REGISTRY.setUnjellyableForClass(Lost, Lost)

    class Losing(Root):
        def remote_lose(self):
            error = Lost("lost")
            error.pond = self.pond
            raise error

    async def body(both, root):
        with pytest.raises(Lost) as caught:
            await both.root.callRemote("lose")
        root.pond.add("b")
        await both.quiet()
        assert caught.value.pond.ducks == ["a", "b"]
        del caught

    run(body, Losing())
