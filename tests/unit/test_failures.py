"""pbweb.failures: exceptions to failures and back, whatever they are."""

import pytest

from pbweb.errors import (
    CancelledError,
    Error,
    InsecureJelly,
    NoSuchMethod,
    PBConnectionLost,
    RemoteError,
    WrongArguments,
)
from pbweb.failures import MESSAGE_BYTES, failure_for, from_failure, is_expected
from pbweb.flavors import Copyable, Registry, RemoteCopy


class OutOfStock(Error):
    pass


class Sold(OutOfStock):
    pass


class Plain(Exception):
    pass


def registry(*classes):
    made = Registry()
    for cls in classes:
        made.setUnjellyableForClass(cls, cls)
    return made


def across(error, *classes, **options):
    return from_failure(failure_for(error, **options), registry(*classes))


def test_an_exception_as_a_tagged_value():
    assert failure_for(ValueError("no")) == {
        "$": "failure",
        "type": "builtins.ValueError",
        "message": "no",
        "parents": ["builtins.ValueError", "builtins.Exception", "builtins.BaseException"],
    }


def test_an_error_of_pb_as_a_tagged_value():
    assert failure_for(WrongArguments("two: no")) == {
        "$": "failure",
        "type": "TypeError",
        "message": "two: no",
        "parents": ["TypeError", "pb.Error"],
    }


def test_what_is_expected():
    assert is_expected(OutOfStock())
    assert is_expected(NoSuchMethod())
    assert not is_expected(ValueError())
    assert not is_expected(SystemExit())


def test_a_class_that_is_not_registered_is_a_remote_error():
    error = across(Plain("bang"))
    assert type(error) is RemoteError
    assert error.type == f"{__name__}.Plain"
    assert error.message == "bang"
    assert error.check(Plain) is Plain
    assert error.check(f"{__name__}.Plain") == f"{__name__}.Plain"
    assert error.check("builtins.Exception")
    assert not error.check(ValueError)


def test_a_class_that_is_registered_is_raised_as_itself():
    error = across(OutOfStock("none"), OutOfStock)
    assert type(error) is OutOfStock
    assert (error.message, str(error), error.args) == ("none", "none", ("none",))


def test_a_class_that_is_no_error_of_pb_can_be_registered_too():
    error = across(Plain("bang"), Plain)
    assert type(error) is Plain
    assert error.args == ("bang",)
    assert type(error.__cause__) is RemoteError
    assert error.__cause__.type == f"{__name__}.Plain"


def test_the_nearest_parent_that_is_registered_is_taken():
    error = across(Sold("none"), OutOfStock, Error)
    assert type(error) is OutOfStock
    assert error.type == f"{__name__}.Sold"
    assert error.check(Sold) is Sold


def test_a_class_whose_constructor_wants_more_is_made_without_it():
    class Demanding(Error):
        def __init__(self, one, two):
            raise AssertionError("no constructor is run for what came over the wire")

    error = from_failure(
        {"$": "failure", "type": "d", "message": "m", "parents": ["d"]},
        registry_of("d", Demanding),
    )
    assert type(error) is Demanding
    assert str(error) == "m"


def registry_of(name, cls):
    made = Registry()
    made.setUnjellyableForClass(name, cls)
    return made


@pytest.mark.parametrize("cls", [NoSuchMethod, WrongArguments, PBConnectionLost, CancelledError])
def test_the_failures_that_pb_makes_come_back_as_themselves(cls):
    error = across(cls("what"))
    assert type(error) is cls
    assert error.message == "what"


def test_nobody_takes_the_place_of_pb_s_own_failures():
    error = from_failure(failure_for(NoSuchMethod("x")), registry_of("NoSuchMethod", Plain))
    assert type(error) is NoSuchMethod


def test_a_name_that_is_not_registered_is_never_looked_up():
    for name in ("builtins.SystemExit", "os.system", "pbweb.errors.Error", __name__ + ".Plain"):
        error = from_failure(
            {"$": "failure", "type": name, "message": "", "parents": [name]}, Registry()
        )
        assert type(error) is RemoteError


def test_a_failure_that_came_goes_on_as_it_came():
    first = failure_for(Sold("none"), with_traceback=True)
    first["traceback"] = "there"
    assert failure_for(from_failure(first, Registry())) == first
    assert failure_for(from_failure(first, registry(OutOfStock))) == first


def test_a_failure_whose_parents_do_not_name_its_type():
    error = from_failure({"$": "failure", "type": "a", "message": "", "parents": ["b"]}, Registry())
    assert error.parents == ["a", "b"]
    assert error.check("a", "b") == "a"


BROKEN = [
    {},
    {"type": "a"},
    {"type": "a", "message": "m"},
    {"type": 1, "message": "m", "parents": []},
    {"type": "a", "message": None, "parents": []},
    {"type": "a", "message": "m", "parents": "a"},
    {"type": "a", "message": "m", "parents": ["a", 1]},
    {"type": "a", "message": "m", "parents": [], "traceback": 5},
]


@pytest.mark.parametrize("failure", BROKEN)
def test_what_is_no_failure_is_refused(failure):
    with pytest.raises(InsecureJelly):
        from_failure({"$": "failure", **failure}, Registry())


def test_unknown_keys_of_a_failure_are_ignored():
    error = from_failure(
        {"$": "failure", "type": "a", "message": "m", "parents": ["a"], "state": {}, "x": 1},
        Registry(),
    )
    assert error.message == "m"


def test_a_message_is_cut_at_a_kibibyte_between_characters():
    assert failure_for(ValueError("x" * 10_000_000))["message"] == "x" * MESSAGE_BYTES
    cut = failure_for(ValueError("x" + "é" * 10_000))["message"]
    assert cut == "x" + "é" * ((MESSAGE_BYTES - 1) // 2)
    assert failure_for(ValueError("x" * MESSAGE_BYTES))["message"] == "x" * MESSAGE_BYTES
    assert MESSAGE_BYTES == 1024


def test_a_lone_surrogate_in_a_message_is_replaced():
    assert failure_for(ValueError("a\ud800b"))["message"] == "a\ufffdb"
    assert failure_for(ValueError("\U0001f600"))["message"] == "\U0001f600"


def test_a_text_that_cannot_be_had_is_a_failure_all_the_same():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    class Leaving(Exception):
        def __str__(self):
            raise SystemExit

    class NoString(Exception):
        def __str__(self):
            return 5  # noqa: PLE0307

    for cls, fault in ((Silent, "RuntimeError"), (Leaving, "SystemExit"), (NoString, "TypeError")):
        failure = failure_for(cls())
        assert failure["type"].endswith(cls.__name__)
        assert fault in failure["message"]


def test_a_text_of_a_subclass_of_str_crosses_as_a_string():
    class Text(str):
        pass

    class Odd(Exception):
        def __str__(self):
            return Text("odd")

    assert type(failure_for(Odd())["message"]) is str


def test_the_message_can_be_masked():
    assert failure_for(ValueError("secret"), message="entry 5")["message"] == "entry 5"


def test_a_traceback_crosses_only_where_it_was_allowed():
    def caught():
        try:
            raise ValueError("secret")
        except ValueError as error:
            return error

    assert "traceback" not in failure_for(caught())
    traceback = failure_for(caught(), with_traceback=True)["traceback"]
    assert "ValueError: secret" in traceback
    assert "in caught" in traceback
    assert (
        from_failure(failure_for(caught(), with_traceback=True), Registry()).traceback == traceback
    )


def test_names_with_a_lone_surrogate_can_be_sent():
    class Bad(Exception):
        pbType = "Bad\ud800"

    failure = failure_for(Bad("x"))
    assert failure["type"] == "Bad\ufffd"
    assert failure["parents"][0] == failure["type"]


def test_an_error_of_pb_with_odd_faces_is_a_failure_all_the_same():
    class Odd(Error):
        type = 7
        parents = None
        message = property(lambda self: 1 / 0)

    failure = failure_for(Odd("text"))
    assert failure["$"] == "failure"
    assert isinstance(failure["type"], str)
    assert isinstance(failure["message"], str)
    assert isinstance(failure["parents"], list)


class Lost(Error, Copyable, RemoteCopy):
    pass


class LostPart(Lost):
    pass


def filled(state, cls=Lost, kind=None):
    """The exception of *cls* for a failure of *kind* with *state*, and what `fill` was given."""
    given = []

    def fill(error, maker, tagged):
        given.append(tagged["state"])
        maker.fill(error, tagged["state"], lambda _: None)

    tagged = {**failure_for((kind or cls)("lost")), "state": state}
    return from_failure(tagged, registry(cls), fill), given


def test_a_copyable_exception_gets_its_state():
    error, given = filled({"item": "tea"})
    assert type(error) is Lost
    assert (error.item, error.args, str(error)) == ("tea", ("lost",), "lost")
    assert (error.type, error.message) == (f"{__name__}.Lost", "lost")
    assert given == [{"item": "tea"}]


def test_a_state_cannot_say_where_the_exception_came_from():
    error, _ = filled({"_remote": ["other", "text", [], None]})
    assert error.type == f"{__name__}.Lost"


def test_a_state_belongs_to_its_very_type():
    error, given = filled({"item": "tea"}, kind=LostPart)
    assert type(error) is Lost
    assert error.type == f"{__name__}.LostPart"
    assert not hasattr(error, "item")
    assert given == []


def test_a_class_without_states_gets_none():
    error, given = filled({"item": "tea"}, cls=OutOfStock)
    assert type(error) is OutOfStock
    assert given == []


def test_a_class_that_cannot_even_be_made_is_a_remote_error():
    class Stubborn(Error):
        def __new__(cls, one):
            raise AssertionError("never reached: an argument is missing")

    error = from_failure(
        {"$": "failure", "type": "d", "message": "m", "parents": ["d"]}, registry_of("d", Stubborn)
    )
    assert type(error) is RemoteError
    assert (error.type, str(error)) == ("d", "d: m")
