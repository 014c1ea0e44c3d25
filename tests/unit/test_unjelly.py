"""pbweb.unjelly: JSON to values. The vectors have the table of what is taken and refused."""

import pytest

import pbweb as pb
from pbweb.errors import InsecureJelly, LimitExceeded, ProtocolError
from pbweb.limits import Limits
from pbweb.unjelly import Pending, Unjellier, has_tags, introductions, snapshot
from tests.fuzz.targets import NoFlavors


class Marks(NoFlavors):
    def unjelly(self, tag, tagged, unjellier, depth):
        if tag == "remote":
            return object()
        if tag == "answer":
            return Pending(tagged["id"], tagged.get("path", []))
        return super().unjelly(tag, tagged, unjellier, depth)


def decode(value, attachments=None, **limits):
    return Unjellier(Marks(), Limits(**limits), attachments).decode(value)


@pytest.mark.parametrize(
    "text", [b'{"$":1}', b'{"\\u0024":1}', b'["$"]', b'{"a":"\\\\u0024"}', b'{ "$" : 1}']
)
def test_text_in_which_a_tag_may_stand(text):
    assert has_tags(text)


@pytest.mark.parametrize(
    "text", [b"[]", b'["$5"]', b'["a$"]', b'{"$a":1}', b'["\\n"]', b'["\\u0025"]']
)
def test_text_in_which_none_stands(text):
    assert not has_tags(text)


def test_plain_data_is_decoded_in_place():
    value = {"a": [1, {"b": None}], "then": {"c": 1}}
    assert decode(value) is value
    assert value == {"a": [1, {"b": None}], "then": {"c": 1}}


def test_introductions_are_found_wherever_they_stand():
    frame = [
        "hello",
        {"$": "remote", "id": 1},
        [
            {"$": "cached", "id": 2},
            {"a": {"$": "cache", "id": 3, "state": {"$": "stream", "id": 4}}},
        ],
        {"$": "mystery", "also": {"$": "remote", "id": [5]}},
        {"$": "local", "id": 6},
        {"$": ["remote"], "id": 7},
    ]
    found = sorted(introductions(frame), key=repr)
    assert found == [("decache", 2), ("decache", 3), ("decref", 1), ("decref", 4), ("decref", [5])]


def test_a_shared_list_is_the_same_list():
    one, two = decode([{"$": "def", "id": 1, "value": [1]}, {"$": "use", "id": 1}])
    assert one is two == [1]


def test_a_list_in_itself():
    value = decode({"$": "def", "id": 7, "value": [{"$": "use", "id": 7}]})
    assert value[0] is value


def test_a_dict_with_other_keys_in_itself():
    value = decode(
        {"$": "def", "id": 1, "value": {"$": "dict", "items": [[1, {"$": "use", "id": 1}]]}}
    )
    assert value[1] is value


@pytest.mark.parametrize(
    "inner",
    [
        {"$": "set", "items": [{"$": "use", "id": 1}]},
        {"$": "dict", "items": [[{"$": "use", "id": 1}, 1]]},
        [{"$": "set", "items": [{"$": "use", "id": 1}]}],
    ],
)
def test_what_cannot_be_hashed_while_it_is_made_is_refused(inner):
    with pytest.raises((InsecureJelly, LimitExceeded)):
        decode({"$": "def", "id": 1, "value": inner})


def test_lists_in_keys_become_tuples_all_the_way_down():
    value = decode({"$": "dict", "items": [[[1, [2, []]], "a"]]})
    assert value == {(1, (2, ())): "a"}
    assert decode({"$": "set", "items": [[1, [2]]]}) == {(1, (2,))}


def test_of_equal_keys_the_last_holds():
    assert decode({"$": "dict", "items": [[1, "a"], [1, "b"]]}) == {1: "b"}


def test_keys_that_double_are_bounded():
    value = {"$": "def", "id": 1, "value": []}
    for number in range(2, 60):
        inner = [value, {"$": "use", "id": number - 1}]
        value = {"$": "def", "id": number, "value": inner}
    with pytest.raises(LimitExceeded):
        decode([value, {"$": "set", "items": [{"$": "use", "id": 59}]}], depth=1000)


@pytest.mark.parametrize("value", ["1e99999999999999999999", "1e-99999999999999999999"])
def test_a_decimal_that_python_has_not_is_refused(value):
    with pytest.raises(InsecureJelly, match="no number"):
        decode({"$": "decimal", "value": value})


@pytest.mark.parametrize("key", ["then", "toJSON"])
@pytest.mark.parametrize("tag", ["remote", "local", "answer"])
def test_a_reference_under_a_key_that_a_page_would_call_is_refused(key, tag):
    reference = {"$": tag, "id": 1}
    for value in ({key: reference}, {"$": "dict", "items": [[key, reference]]}, [{key: reference}]):
        with pytest.raises(InsecureJelly):
            decode(value)


@pytest.mark.parametrize("depth", [1, 5, 100])
def test_depth_at_its_limit_and_one_past_it(depth):
    def nested(levels):
        value = []
        for _ in range(levels - 1):
            value = [value]
        return value

    assert decode(nested(depth), depth=depth) == nested(depth)
    with pytest.raises(LimitExceeded, match="depth"):
        decode(nested(depth + 1), depth=depth)
    with pytest.raises(LimitExceeded, match="depth"):
        decode({"$": "set", "items": nested(depth)}, depth=depth)


def test_digits_at_their_limit_and_one_past_it():
    assert decode({"$": "int", "value": "9" * 1024}) == 10**1024 - 1
    assert decode({"$": "int", "value": "-" + "9" * 1024}) == -(10**1024) + 1
    with pytest.raises(LimitExceeded, match="digits"):
        decode({"$": "int", "value": "9" * 1025})
    with pytest.raises(LimitExceeded, match="digits"):
        decode({"$": "decimal", "value": "9" * 1025})


def test_a_limit_of_digits_beyond_pythons_own_is_refused_not_a_fault():
    with pytest.raises(LimitExceeded, match="digits"):
        decode({"$": "int", "value": "9" * 9000}, digits=20_000)


def test_bytes_beside_the_frame():
    beside = [memoryview(b"abc"), memoryview(b"")]
    unjellier = Unjellier(Marks(), Limits(), beside)
    value = unjellier.decode([{"$": "bytes", "at": 1}, {"$": "bytes", "at": 0}])
    assert value == [b"", b"abc"]


def test_bytes_beside_a_text_message_are_4400():
    with pytest.raises(ProtocolError):
        decode({"$": "bytes", "at": 0})


def test_places_of_answers_are_noted():
    unjellier = Unjellier(Marks(), Limits())
    args = [1, {"$": "answer", "id": 4, "path": ["a"]}, {"k": [{"$": "answer", "id": 5}]}]
    unjellier.decode_arguments(args)
    assert [(key, pending.request, pending.path) for _, key, pending in unjellier.pending] == [
        (1, 4, ["a"]),
        (0, 5, []),
    ]
    assert unjellier.pending[0][0] is args
    assert unjellier.pending[1][0] is args[2]["k"]


def test_an_answer_is_no_key_and_no_member_of_a_set():
    for value in (
        {"$": "set", "items": [{"$": "answer", "id": 1}]},
        {"$": "dict", "items": [[{"$": "answer", "id": 1}, 1]]},
    ):
        with pytest.raises(InsecureJelly):
            decode(value)


def test_kw_is_never_a_tagged_value_itself():
    unjellier = Unjellier(Marks(), Limits())
    kw = {"$": "set", "items": [1]}
    unjellier.decode_arguments(kw)
    assert kw == {"$": "set", "items": [1]}


def test_a_reference_may_not_be_a_keyword_argument_that_a_page_would_call():
    with pytest.raises(InsecureJelly):
        Unjellier(Marks(), Limits()).decode_arguments({"then": {"$": "remote", "id": 1}})


def test_a_snapshot_copies_containers_and_nothing_else():
    thing = object()
    inner = [1, thing]
    value = {"a": inner, "b": inner}
    value["me"] = value
    copy = snapshot(value)
    assert copy is not value
    assert copy["me"] is copy
    assert copy["a"] is copy["b"] is not inner
    assert copy["a"][1] is thing
    inner.append(2)
    assert copy["a"] == [1, thing]
    assert snapshot((1, (2,))) == [1, [2]]


class Told(pb.RemoteCopy):
    def postUnjelly(self):
        self.seen = dict(vars(self))


class Picky(pb.RemoteCopy):
    def setCopyableState(self, state):
        vars(self).update(state)

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


def unjellier(**makers):
    flavors = Marks()
    for name, maker in makers.items():
        if isinstance(maker, type):
            flavors.registry.setUnjellyableForClass(name, maker)
        else:
            flavors.registry.setUnjellyableFactoryForClass(name, maker)
    return flavors, Unjellier(flavors, Limits())


def copy(name, state):
    return {"$": "copy", "type": name, "state": state}


def test_postUnjelly_is_called_when_all_is_there():
    _, decoding = unjellier(Told=Told)
    one, two = decoding.decode([copy("Told", {"x": 1}), copy("Told", {"y": 2})])
    assert not hasattr(one, "seen")
    decoding.finish()
    assert (one.seen, two.seen) == ({"x": 1}, {"y": 2})


def test_what_postUnjelly_raises_is_a_failure_of_the_frame():
    class Late(pb.RemoteCopy):
        def postUnjelly(self):
            raise KeyError("late")

    flavors, decoding = unjellier(Late=Late)
    decoding.decode(copy("Late", {}))
    with pytest.raises(InsecureJelly, match=r"Late.* cannot be made: its class raised KeyError"):
        decoding.finish()
    assert [type(fault) for fault in flavors.faults] == [KeyError]


@pytest.mark.parametrize("fault", [KeyError("x"), SystemExit(3), ProtocolError("no")])
def test_what_a_factory_raises_is_a_failure_of_the_frame_and_is_told(fault):
    def factory(state):
        raise fault

    flavors, decoding = unjellier(It=factory)
    with pytest.raises(InsecureJelly, match="a copy of the type 'It' cannot be made") as caught:
        decoding.decode([copy("It", {})])
    assert caught.value.__cause__ is fault
    assert flavors.faults == [fault]


def test_a_refusal_of_the_class_s_own_is_passed_on_as_it_is():
    class Unwanted(pb.Error):
        pass

    def factory(state):
        raise Unwanted("no")

    flavors, decoding = unjellier(It=factory)
    with pytest.raises(Unwanted, match=r"^no$"):
        decoding.decode(copy("It", {}))
    assert flavors.faults == []


def test_a_class_that_cannot_be_made_without_init():
    class Needy(pb.RemoteCopy):
        def __new__(cls, argument):
            return super().__new__(cls)

    _, decoding = unjellier(Needy=Needy)
    with pytest.raises(InsecureJelly, match=r"Needy.*TypeError"):
        decoding.decode(copy("Needy", {}))


def test_a_state_is_complete_when_the_class_gets_it():
    seen = []

    def factory(state):
        seen.append(state)
        return tuple(state)

    _, decoding = unjellier(It=factory)
    inner = copy("It", [1, {"$": "int", "value": "5"}])
    assert decoding.decode(copy("It", [inner, [inner]])) == ((1, 5), [(1, 5)])
    assert seen[0] == [1, 5]


def test_copies_as_members_and_keys():
    _, decoding = unjellier(Picky=Picky)
    value = decoding.decode(
        {"$": "set", "items": [copy("Picky", {"name": "a"}), copy("Picky", {"name": "a"})]}
    )
    assert [member.name for member in value] == ["a"]


def test_a_copy_that_cannot_be_hashed_or_compared_is_refused():
    _, decoding = unjellier(Picky=Picky)
    with pytest.raises(InsecureJelly, match="cannot be hashed"):
        decoding.decode({"$": "set", "items": [copy("Picky", {})]})
    used = {"$": "set", "items": [{"$": "use", "id": 1}]}
    with pytest.raises(InsecureJelly, match="cannot be hashed"):
        decoding.decode({"$": "def", "id": 1, "value": copy("Picky", {"me": used})})


@pytest.mark.parametrize(
    "state",
    [
        {"$": "answer", "id": 1},
        {"x": {"$": "answer", "id": 1}},
        {"x": [{"$": "answer", "id": 1}]},
        {"x": copy("Told", {"$": "answer", "id": 1})},
    ],
)
def test_no_answer_that_is_to_come_stands_in_a_state(state):
    _, decoding = unjellier(Told=Told)
    with pytest.raises(InsecureJelly, match="the state of a copy cannot name an answer"):
        decoding.decode(copy("Told", state))


def test_a_state_does_not_use_what_is_still_to_be_filled():
    _, decoding = unjellier(Told=Told)
    pending = {"$": "def", "id": 1, "value": [{"$": "answer", "id": 1}]}
    with pytest.raises(InsecureJelly, match="cannot use what names answers"):
        decoding.decode([pending, copy("Told", {"x": {"$": "use", "id": 1}})])


def test_a_snapshot_makes_copies_anew():
    class Note:
        def getStateToCopyFor(self, perspective):
            return vars(self)

    def start(item):
        made = Note()
        return vars(item), made, lambda state: (vars(made).update(state), made)[1]

    note = Note()
    note.me, note.items = note, [1]
    one, two = snapshot([note, note], start_copy=start)
    assert one is two is one.me
    assert one is not note
    assert one.items == [1]
    assert one.items is not note.items


def test_a_snapshot_of_what_needs_its_complete_state_and_is_in_itself():
    class Note:
        def getStateToCopyFor(self, perspective):
            return None

    note = Note()
    with pytest.raises(InsecureJelly, match="inside itself"):
        snapshot(note, start_copy=lambda item: ([note], None, list))


@pytest.mark.parametrize("tag", ["int", "decimal"])
def test_keys_that_all_have_one_hash_are_refused(tag):
    """A peer can choose numbers so, and putting them into one dict or set takes quadratic time."""
    numbers = [str((2**61 - 1) * number) for number in range(10**4, 10**4 + 1000)]
    keys = [{"$": tag, "value": number} for number in numbers]
    for value in (
        {"$": "set", "items": keys},
        {"$": "frozenset", "items": keys},
        {"$": "dict", "items": [[key, 0] for key in keys]},
    ):
        with pytest.raises(InsecureJelly, match="have one hash"):
            decode(value)
    assert len(decode({"$": "set", "items": keys[:50]})) == 50
    others = [{"$": tag, "value": str(2**70 + number)} for number in range(1000)]
    assert len(decode({"$": "set", "items": [*others, "a", "a"]})) == 1001


@pytest.mark.parametrize(("tag", "kind"), [("set", set), ("frozenset", frozenset)])
def test_a_set_that_is_used_twice_is_one(tag, kind):
    defined = {"$": "def", "id": 1, "value": {"$": tag, "items": [1, 2]}}
    one, two = decode([defined, {"$": "use", "id": 1}])
    assert one is two
    assert one == kind([1, 2])
    assert type(one) is kind
