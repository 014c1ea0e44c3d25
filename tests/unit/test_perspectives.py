"""For whom a call is made: Viewables, view points, and what passes through them.

(The code is in `flavors`, `methods`, `references`, `incoming` and `outgoing`.)
"""

import asyncio

import pytest

import pbweb as pb
from tests.unit.paired import run_paired


class Avatar:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


class Seen(pb.Copyable):
    """Says for whom it was copied; arrives as a dict."""

    pbType = "tests.Seen"

    def getStateToCopyFor(self, perspective):
        return {"for": perspective and perspective.name}


REGISTRY = pb.Registry()
REGISTRY.setUnjellyableFactoryForClass(Seen, lambda state: state["for"])


class SeenError(pb.Error, pb.Copyable, pb.RemoteCopy):
    pbType = "tests.SeenError"

    def getStateToCopyFor(self, perspective):
        return {"seen_by": perspective and perspective.name}


REGISTRY.setUnjellyableForClass(SeenError, SeenError)


class Note(pb.Viewable):
    def __init__(self, text="", notes=()):
        self.text = text
        self.notes = list(notes)
        self.kept = []

    def view_read(self, perspective):
        return self.text

    def view_whoami(self, perspective):
        return perspective and perspective.name

    async def view_whoami_later(self, perspective):
        await asyncio.sleep(0)
        return perspective.name

    def view_me(self, perspective):
        return self

    def view_notes(self, perspective):
        return {"notes": self.notes}

    def view_copy(self, perspective):
        return Seen()

    def view_refuse(self, perspective):
        raise SeenError("no")

    def view_echo(self, perspective, value):
        return value

    async def view_tell(self, perspective, reference, *args):
        return await reference.callRemote("take", *args)

    def view_keep(self, perspective, reference):
        self.kept.append(reference)

    def view_drop(self, perspective):
        self.kept.clear()

    def view_is_kept(self, perspective, reference):
        return reference is self.kept[-1]

    def view_counter(self, perspective):
        return Counter()

    @staticmethod
    def view_static(perspective, number):
        return perspective.name, number

    @classmethod
    def view_of_class(cls, perspective, number=1):
        return cls.__name__, perspective.name, number

    view_removed = None

    def remote_read(self):
        raise AssertionError("another prefix")

    def read(self):
        raise AssertionError("no prefix")


class Counter(pb.Referenceable):
    def __init__(self):
        self.total = 0

    def remote_add(self):
        self.total += 1
        return self.total


class Office(pb.Root):
    def __init__(self):
        self.note = Note("hello", [Note("one"), Note("two")])
        self.alice, self.bob = Avatar("alice"), Avatar("bob")
        self.got = []

    def remote_open(self, name=None):
        """What a login would give."""
        return pb.ViewPoint(getattr(self, name), self.note) if name else self.note

    async def remote_open_later(self, name):
        await asyncio.sleep(0)
        return pb.ViewPoint(getattr(self, name), self.note)

    def remote_echo(self, value):
        return value

    def remote_take(self, value):
        self.got.append(value)

    def remote_got(self):
        found = self.got.pop()
        return [type(found).__name__, found.object.text, found.perspective.name]


class Page(pb.Referenceable):
    def __init__(self):
        self.got = []

    def remote_take(self, value):
        self.got.append(value)
        return value


def in_office(body, **options):
    office = Office()

    async def run(both):
        await body(both, office)
        office.got.clear()
        office.note.kept.clear()

    return run_paired(office, run, registry=REGISTRY, **options)


def test_a_view_method_is_told_for_whom_it_is_called():
    async def body(both, office):
        alice = await both.root.callRemote("open", "alice")
        assert await alice.callRemote("whoami") == "alice"
        assert await alice.callRemote("whoami_later") == "alice"
        assert await alice.callRemote("read") == "hello"
        assert await alice.callRemote("static", 7) == ["alice", 7]
        assert await alice.callRemote("of_class", number=3) == ["Note", "alice", 3]

    in_office(body)


def test_without_a_login_a_viewable_is_seen_by_nobody():
    async def body(both, office):
        note = await both.root.callRemote("open")
        assert await note.callRemote("whoami") is None
        assert await note.callRemote("me") is note

    in_office(body)


@pytest.mark.parametrize("name", ["remote_read", "view_read", "removed", "object", "__init__", ""])
def test_only_the_prefix_of_views_leads_into_a_viewable(name):
    async def body(both, office):
        alice = await both.root.callRemote("open", "alice")
        with pytest.raises(pb.NoSuchMethod):
            await alice.callRemote(name)

    in_office(body)


def test_the_same_pair_is_the_same_reference_and_each_avatar_has_its_own():
    async def body(both, office):
        alice, again = [await both.root.callRemote("open", "alice") for _ in range(2)]
        bob = await both.root.callRemote("open", "bob")
        assert alice is again
        assert bob is not alice
        assert await alice.callRemote("me") is alice
        mine = (await alice.callRemote("notes"))["notes"]
        theirs = (await bob.callRemote("notes"))["notes"]
        assert mine[0] is (await alice.callRemote("notes"))["notes"][0]
        assert len({*mine, *theirs}) == 4
        assert await mine[1].callRemote("whoami") == "alice"
        assert await theirs[1].callRemote("whoami") == "bob"

    in_office(body)


def test_a_view_point_comes_home_as_the_one_that_went_out():
    async def body(both, office):
        alice = await both.root.callRemote("open", "alice")
        bob = await both.root.callRemote("open", "bob")
        await both.root.callRemote("take", alice)
        assert await both.root.callRemote("got") == ["ViewPoint", "hello", "alice"]
        # whoever passes it on: nobody turns it into the view of another
        assert await both.root.callRemote("echo", alice) is alice
        assert await bob.callRemote("echo", alice) is alice

    in_office(body)


def test_copies_and_errors_are_made_for_the_one_who_calls():
    async def body(both, office):
        alice = await both.root.callRemote("open", "alice")
        assert await alice.callRemote("copy") == "alice"
        nobody = await both.root.callRemote("open")
        assert await nobody.callRemote("copy") is None
        with pytest.raises(SeenError) as caught:
            await alice.callRemote("refuse")
        assert caught.value.seen_by == "alice"

    in_office(body)


def test_what_passes_through_a_reference_is_made_for_the_one_in_whose_call_it_came():
    async def body(both, office):
        alice = await both.root.callRemote("open", "alice")
        bob = await both.root.callRemote("open", "bob")
        page = Page()
        assert await alice.callRemote("tell", page, Seen()) is None  # copied by the client
        await alice.callRemote("keep", page)
        await bob.callRemote("keep", page)
        await both.root.callRemote("take", page)
        for reference, name in zip(
            (*office.note.kept, office.got.pop()), ("alice", "bob", None), strict=True
        ):
            await reference.callRemote("take", Seen())
            assert page.got.pop() == name
            view = office.note
            await reference.callRemote("take", view)
            assert await page.got.pop().callRemote("whoami") == name
            # and so is what is called on its answers, before and after they are there
            promise = reference.callRemote("take", page.got)
            assert promise.perspective is reference.perspective
            await promise
        assert await alice.callRemote("is_kept", page) is False
        assert await bob.callRemote("is_kept", page) is True
        await alice.callRemote("drop")
        page.got.clear()

    in_office(body)


def test_a_reference_of_two_avatars_is_given_back_by_each():
    async def body(both, office):
        page = Page()
        alice = await both.root.callRemote("open", "alice")
        bob = await both.root.callRemote("open", "bob")
        for _ in range(2):
            await alice.callRemote("keep", page)
            await bob.callRemote("keep", page)
        first, second = office.note.kept[:2]
        assert first is office.note.kept[2]
        assert second is office.note.kept[3]
        assert both.client.broker.statistics()["handed_out"] == 1
        first.release()
        await both.quiet()
        assert both.client.broker.exports.numbered[1].count == 2
        second.release()
        await both.quiet()
        assert both.client.broker.statistics()["handed_out"] == 0

    in_office(body)


def test_calls_on_promises_know_for_whom_they_are():
    async def body(both, office):
        root, page = both.root, Page()
        assert await root.callRemote("open", "alice").callRemote("whoami") == "alice"
        assert await root.callRemote("open_later", "bob").callRemote("copy") == "bob"
        alice = await root.callRemote("open", "alice")
        notes = alice.callRemote("notes")
        assert await notes["notes"][0].callRemote("whoami") == "alice"
        assert await alice.callRemote("me").callRemote("me").callRemote("whoami") == "alice"
        # as an argument an answer is what its caller would have got
        await root.callRemote("take", alice.callRemote("me"))
        assert await root.callRemote("got") == ["ViewPoint", "hello", "alice"]
        assert await root.callRemote("echo", alice.callRemote("copy")) == "alice"
        found = await root.callRemote("echo", alice.callRemote("notes"))
        assert await found["notes"][1].callRemote("whoami") == "alice"
        # references in a call on an answer that is not there yet are the avatar's too
        await alice.callRemote("me").callRemote("keep", page)
        assert office.note.kept.pop().perspective is office.alice
        await notes["notes"][0].callRemote("keep", page)
        assert office.note.notes[0].kept.pop().perspective is office.alice

    in_office(body)


def test_wrong_arguments_are_named_without_the_perspective():
    async def body(both, office):
        alice = await both.root.callRemote("open", "alice")
        for call, text in (
            (alice.callRemote("read", 1), "read: too many positional arguments"),
            (alice.callRemote("static"), "static: missing a required argument: 'number'"),
            (alice.callRemote("of_class", nothing=1), "of_class: got an unexpected keyword"),
        ):
            with pytest.raises(pb.WrongArguments, match=text):
                await call

    in_office(body)


def test_what_was_handed_out_for_a_revoked_avatar_names_nothing():
    async def body(both, office):
        root, broker = both.root, both.server.broker
        alice = await root.callRemote("open", "alice")
        bob = await root.callRemote("open", "bob")
        counter = await alice.callRemote("counter")
        notes = alice.callRemote("notes")
        mine = (await notes)["notes"]
        echoed = await alice.callRemote("echo", bob)  # is Bob's all the same
        assert echoed is bob
        broker.exports.revoke(office.alice)
        broker.answering.revoke(office.alice)
        for reference in (alice, counter, *mine):
            with pytest.raises(pb.DeadReferenceError):
                await reference.callRemote("whoami")
            with pytest.raises(pb.DeadReferenceError):
                await root.callRemote("echo", reference)
        assert await bob.callRemote("whoami") == "bob"
        # the peer gives back what it held, and a new one can be handed out
        del alice, counter, mine, notes, reference
        fresh = await root.callRemote("open", "alice")
        assert await fresh.callRemote("whoami") == "alice"

    in_office(body)


def test_a_call_that_goes_on_is_handed_nothing_once_its_avatar_is_revoked():
    class Slow(pb.Viewable):
        async def view_wait(self, perspective, value):
            await event.wait()
            return value and Counter()

    event = asyncio.Event()

    async def body(both, office):
        alice = await both.root.callRemote("echo", 1) and None
        office.note = Slow()
        alice = await both.root.callRemote("open", "alice")
        data, reference = alice.callRemote("wait", 0), alice.callRemote("wait", 1)
        on_it = reference.callRemote("add")
        await both.quiet()
        both.server.broker.exports.revoke(office.alice)
        both.server.broker.answering.revoke(office.alice)
        event.set()
        assert await data == 0
        for promise in (reference, on_it):
            with pytest.raises(pb.DeadReferenceError):
                await promise
        office.note = Note()

    in_office(body, logged=1)


def test_a_call_that_waits_for_an_answer_does_not_start_once_its_avatar_is_revoked():
    async def body(both, office):
        event = asyncio.Event()

        async def wait():
            await event.wait()

        alice = await both.root.callRemote("open", "alice")
        both.server.setNameForLocal("wait", wait)
        waiting = both.client.remoteForName("wait")()
        keep = alice.callRemote("keep", waiting)
        await both.quiet()
        both.server.broker.exports.revoke(office.alice)
        both.server.broker.answering.revoke(office.alice)
        event.set()
        with pytest.raises(pb.DeadReferenceError):
            await keep
        assert not office.note.kept

    in_office(body)


def test_the_calls_of_a_revoked_avatar_can_be_stopped():
    class Slow(pb.Viewable):
        async def view_wait(self, perspective):
            await asyncio.Event().wait()

    async def body(both, office):
        office.note = Slow()
        alice = await both.root.callRemote("open", "alice")
        waiting = alice.callRemote("wait")
        await both.quiet()
        both.server.broker.answering.revoke(office.alice, "was of a login that has ended")
        with pytest.raises(pb.CancelledError, match="of a login that has ended"):
            await waiting
        office.note = Note()

    in_office(body)


# --------------------------------------------------------------- references that can be cut


class Lender(pb.Root):
    """Lends what it has, and can take all of it back."""

    def __init__(self, *things):
        self.lent = [pb.revocable(thing) for thing in things]
        self.got = []

    def remote_get(self):
        return self.lent

    def remote_take(self, value):
        self.got.append(value)

    def remote_echo(self, value):
        return value

    def remote_raw(self):
        return [one.object for one in self.lent]


def test_a_reference_that_was_revoked_is_dead_and_the_object_is_not():
    def add(a, b=1):
        return a + b

    counter, note = Counter(), Note("hello")
    lender = Lender(counter, note, add)

    async def body(both):
        root = both.root
        lent = await root.callRemote("get")
        assert lent == await root.callRemote("get")
        counted, noted, added = lent
        raw = await root.callRemote("raw")
        assert not set(raw) & set(lent)
        assert await counted.callRemote("add") == 1
        assert await noted.callRemote("read") == "hello"
        assert await noted.callRemote("whoami") is None
        assert await added(2) == 3
        assert await added(2, b=5) == 7
        # it comes home as itself, and so whoever passes it on passes on what can be cut
        assert await root.callRemote("echo", counted) is counted
        await root.callRemote("take", counted)
        assert lender.got.pop() is lender.lent[0]
        assert lender.lent[0].object is counter
        with pytest.raises(pb.NoSuchMethod):
            await counted.callRemote("revoke")
        with pytest.raises(pb.WrongArguments, match=r"^call: "):
            await added()
        with pytest.raises(pb.WrongArguments, match=r"^add: "):
            await counted.callRemote("add", 1)
        for one in lender.lent:
            one.revoke()
            one.revoke()
            assert one.revoked
            with pytest.raises(pb.DeadReferenceError):
                _ = one.object
        for reference, name in zip(lent, ("add", "read", "call"), strict=True):
            with pytest.raises(pb.DeadReferenceError):
                await reference.callRemote(name)
        for reference, name in zip(raw[:2], ("add", "read"), strict=True):
            await reference.callRemote(name)
        lender.lent.clear()
        lender.got.clear()

    run_paired(lender, body)


def test_the_view_points_of_what_can_be_cut_are_of_each_avatar():
    async def body(both, office):
        cut = pb.revocable(office.note)
        office.note = cut
        alice = await both.root.callRemote("open", "alice")
        bob = await both.root.callRemote("open", "bob")
        assert await alice.callRemote("whoami") == "alice"
        assert await bob.callRemote("whoami") == "bob"
        cut.revoke()
        for reference in (alice, bob):
            with pytest.raises(pb.DeadReferenceError):
                await reference.callRemote("whoami")
        office.note = Note()

    in_office(body)


def test_a_call_that_waits_when_its_target_is_revoked_does_not_start():
    counter = Counter()
    lender = Lender(counter)
    event = asyncio.Event()

    async def wait():
        await event.wait()

    async def body(both):
        (counted,) = await both.root.callRemote("get")
        both.server.setNameForLocal("wait", wait)
        call = counted.callRemote("add", both.client.remoteForName("wait")())
        await both.quiet()
        lender.lent[0].revoke()
        event.set()
        with pytest.raises(pb.DeadReferenceError):
            await call
        assert counter.total == 0

    run_paired(lender, body)


def test_a_reference_to_a_peers_object_can_be_cut():
    async def body(both):
        page = Page()
        await both.root.callRemote("take", page)
        lender.lent.append(pb.revocable(lender.got.pop()))
        (relayed,) = await both.root.callRemote("get")
        assert await relayed.callRemote("take", 7) == 7
        lender.lent.pop().revoke()
        with pytest.raises(pb.DeadReferenceError):
            await relayed.callRemote("take", 7)

    lender = Lender()
    run_paired(lender, body)


@pytest.mark.parametrize("value", [7, "text", {}, Seen(), object(), None])
def test_only_references_can_be_cut(value):
    with pytest.raises(TypeError, match=r"pb.Referenceable or pb.Viewable"):
        pb.revocable(value)
