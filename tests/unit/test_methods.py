"""pbweb.methods: what a name from the wire reaches, and the texts of what it does not."""

import asyncio
import functools

import pytest

import pbweb as pb
from pbweb.answering import MAX_HINTS
from pbweb.methods import find_method, hint_for, wrong_arguments
from tests.unit.paired import run_paired


def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kw):
        return function(*args, **kw)

    return wrapper


class Root(pb.Root):
    secret = "a value of the class"

    def __init__(self):
        self.remote_instance = lambda: "an attribute of the instance"

    @property
    def remote_property(self):
        raise AssertionError("a property was looked at")

    def remote_two(self, one, two=2, *, named=0):
        return [one, two, named]

    async def remote_coroutine(self, one):
        return one

    def remote_any(self, *args, **kw):
        return [list(args), kw]

    @staticmethod
    def remote_static(one):
        return one

    @classmethod
    def remote_of_class(cls, one):
        return one

    @traced
    def remote_wrapped(self, one):
        return one

    def remote_inner_type_error(self):
        return len(5)

    def remote_inner_missing(self):
        return self.remote_two()

    def remote_attribute_error(self):
        return self.nowhere

    def private(self):
        return "private"

    def __len__(self):
        return 1

    remote_number = 5
    remote_class = dict


UNREACHABLE = [
    "private",
    "secret",
    "instance",
    "property",
    "number",
    "class",
    "remote_two",
    "__init__",
    "__class__",
    "__len__",
    "__dict__",
    "rootObject",
    "remoteMethods",
    "two.one",
    "two()",
    " two",
    "two\n",
    "",
    "x" * 65,
    "x" * 100_000,
    "constructor",
    "then",
]


HINTED = {"private", "class", "two()", " two", "two\n"}


@pytest.mark.parametrize("name", UNREACHABLE, ids=lambda name: repr(name[:20]))
def test_nothing_else_is_reachable(name):
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.NoSuchMethod) as caught:
            await root.callRemote(name)
        text = caught.value.message
        assert text.startswith(f"no method {name[:64]!a}")
        assert len(text) < 400
        assert caught.value.check("AttributeError", AttributeError)
        del caught

    run_paired(Root(), body, logged=int(name in HINTED))


@pytest.mark.parametrize(
    ("object", "name", "text"),
    [
        (Root(), "nowhere", "the object's class has to define it as remote_nowhere"),
        (Root(), "private", "the object's class has to define it as remote_private"),
        (Root(), "remote_two", "callers leave the prefix remote_ out"),
        (len, "two", "a function's only method is 'call'"),
        ([], "append", "this is a value, not an object to be called"),
    ],
)
def test_the_text_of_no_such_method_says_which_and_the_way_out(object, name, text):
    with pytest.raises(pb.NoSuchMethod) as caught:
        find_method(object, name)
    assert str(caught.value) == f"no method {name!r}: {text}"


def hint(object, name):
    with pytest.raises(pb.NoSuchMethod) as caught:
        find_method(object, name)
    return hint_for(caught.value)


def test_the_log_is_told_of_a_forgotten_prefix():
    assert hint(Root(), "private") == (
        "a peer called Root.private, which lacks the prefix: "
        "rename it to remote_private if peers may call it"
    )


def test_the_log_is_told_of_the_prefix_of_another_kind_of_object():
    class User(pb.Avatar):
        def remote_greet(self):
            """Nobody can call it."""

    assert hint(User(), "greet") == (
        f"a peer called {User.__qualname__}.remote_greet, which has the prefix of another kind of "
        "object: rename it to perspective_greet if peers may call it"
    )


def test_the_log_is_told_of_logins_where_there_is_no_portal():
    assert hint(Root(), "login") == "a peer wants to log in, and Root is no pb.Portal"


@pytest.mark.parametrize("name", ["anyy", "coroutin", "ofClass", "wraped"])
def test_the_log_is_told_of_a_name_that_is_close(name):
    assert "what Root does not have, but is spelled nearly as remote_" in hint(Root(), name)


@pytest.mark.parametrize(
    "name", ["", "_private", "__len__", "rootObject", "secret", "remote_two", "x" * 100_000]
)
def test_the_log_is_told_of_nothing_else(name):
    assert hint(Root(), name) is None
    assert hint(len, name) is None
    assert hint(5, name) is None


def test_an_error_of_the_application_has_no_hint():
    assert hint_for(pb.NoSuchMethod("two")) is None


def test_what_a_peer_may_have_meant_is_looked_for_a_few_times_only():
    async def body(both):
        root = await both.client.getRootObject()
        for _ in range(MAX_HINTS + 4):
            with pytest.raises(pb.NoSuchMethod):
                await root.callRemote("nothing_like_it")
        with pytest.raises(pb.NoSuchMethod):
            await root.callRemote("private")

    run_paired(Root(), body)


@pytest.mark.parametrize("value", [5, None, "text", [], {}, object(), Root, int, len.__self__])
def test_values_have_no_methods(value):
    for name in ("call", "two", "append", "__call__"):
        with pytest.raises(pb.NoSuchMethod):
            find_method(value, name)


@pytest.mark.parametrize(
    ("method", "args", "kw", "text"),
    [
        ("two", [], {}, "two: missing a required argument: 'one'"),
        ("two", [1, 2, 3], {}, "two: too many positional arguments"),
        ("two", [1], {"other": 1}, "two: got an unexpected keyword argument 'other'"),
        ("two", [1], {"one": 1}, "two: multiple values for argument 'one'"),
        ("coroutine", [], {}, "coroutine: missing a required argument: 'one'"),
        ("static", [], {}, "static: missing a required argument: 'one'"),
        ("static", [1, 2], {}, "static: too many positional arguments"),
        ("of_class", [], {}, "of_class: missing a required argument: 'one'"),
        ("wrapped", [], {}, "wrapped: missing a required argument: 'one'"),
        ("any", [], {"self": 1}, "any: multiple values for argument 'self'"),
    ],
)
def test_wrong_arguments_say_which_and_are_not_logged(method, args, kw, text):
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.WrongArguments) as caught:
            await root.call(method, args, kw)
        assert caught.value.message == text
        assert caught.value.type == "TypeError"
        assert isinstance(caught.value, TypeError)
        del caught

    run_paired(Root(), body)


@pytest.mark.parametrize("method", ["inner_type_error", "inner_missing"])
def test_a_type_error_of_the_method_itself_is_its_own(method):
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError) as caught:
            await root.callRemote(method)
        assert caught.value.type == "builtins.TypeError"
        del caught

    run_paired(Root(), body, logged=1)


def test_an_attribute_error_of_the_method_is_no_missing_method():
    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.RemoteError) as caught:
            await root.callRemote("attribute_error")
        assert caught.value.type == "builtins.AttributeError"
        assert not caught.value.check(pb.NoSuchMethod)
        del caught

    run_paired(Root(), body, logged=1)


def test_arguments_that_fit():
    root = Root()
    method = find_method(root, "two")
    assert method(root, 1, named=3) == [1, 2, 3]
    assert wrong_arguments(method, root, "two", [1], {"named": 3}) is None
    assert isinstance(wrong_arguments(method, root, "two", [], {}), pb.WrongArguments)


def test_a_function_without_a_signature_keeps_its_own_error():
    method = find_method(dict.fromkeys, "call")
    assert method(dict.fromkeys, "ab", 1) == {"a": 1, "b": 1}
    assert wrong_arguments(find_method(max, "call"), max, "call", [5], {}) is None


def test_the_text_of_wrong_arguments_names_no_class_and_no_path():
    async def body(both):
        root = await both.client.getRootObject()
        function = (await root.callRemote("any", print))[0][0]
        assert function is print
        for method in ("two", "static", "of_class", "coroutine"):
            with pytest.raises(pb.WrongArguments) as caught:
                await root.callRemote(method, *range(9))
            for word in ("Root", ".py", "<", "object at"):
                assert word not in caught.value.message
            del caught

    run_paired(Root(), body)


def test_a_method_that_was_added_to_the_class_later_is_not_reachable():
    class Later(pb.Root):
        pass

    Later.remote_added = lambda self: 1

    async def body(both):
        root = await both.client.getRootObject()
        with pytest.raises(pb.NoSuchMethod):
            await root.callRemote("added")

    run_paired(Later(), body)


def test_a_coroutine_function_that_was_never_started_is_closed():
    started = asyncio.Event

    class Never(pb.Root):
        async def remote_never(self):
            started()
            raise AssertionError("it was cancelled before")

    async def body(both):
        root = await both.client.getRootObject()
        promise = root.call("never", timeout=0)
        with pytest.raises(TimeoutError):
            await promise

    run_paired(Never(), body)
