"""pbweb.errors: what an error says of itself, check and trap, names on the wire."""

import pytest

from pbweb import errors
from pbweb.errors import (
    CancelledError,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
    UnauthorizedLogin,
    WrongArguments,
    parent_names,
    type_name,
)


class OutOfStock(Error):
    pass


class Named(Error):
    pbType = "shop.Named"


OWN = {
    "NoSuchMethod": (NoSuchMethod, ["NoSuchMethod", "AttributeError", "pb.Error"]),
    "TypeError": (WrongArguments, ["TypeError", "pb.Error"]),
    "InsecureJelly": (InsecureJelly, ["InsecureJelly", "pb.Error"]),
    "DeadReferenceError": (DeadReferenceError, ["DeadReferenceError", "pb.Error"]),
    "PBConnectionLost": (PBConnectionLost, ["PBConnectionLost", "pb.Error"]),
    "CancelledError": (CancelledError, ["CancelledError", "pb.Error"]),
    "LimitExceeded": (LimitExceeded, ["LimitExceeded", "pb.Error"]),
    "UnauthorizedLogin": (UnauthorizedLogin, ["UnauthorizedLogin", "pb.Error"]),
    "ProtocolError": (ProtocolError, ["ProtocolError", "pb.Error"]),
    "pb.Error": (Error, ["pb.Error"]),
}


@pytest.mark.parametrize("name", OWN)
def test_the_failures_that_pb_makes_have_the_names_of_the_protocol(name):
    cls, parents = OWN[name]
    assert type_name(cls) == name
    assert parent_names(cls) == parents
    error = cls("what happened")
    assert error.type == name
    assert error.parents == parents
    assert isinstance(error, Error)


def test_every_error_of_the_module_is_an_error_of_pb_and_exported():
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert classes == {cls.__name__ for cls, _ in OWN.values()} | {"RemoteError"}
    assert classes < set(errors.__all__)


def test_a_class_of_an_application_has_its_qualified_name_and_its_parents():
    assert type_name(OutOfStock) == f"{__name__}.OutOfStock"
    assert parent_names(OutOfStock) == [
        f"{__name__}.OutOfStock",
        "pb.Error",
        "builtins.Exception",
        "builtins.BaseException",
    ]


def test_parents_that_are_no_errors_of_pb_go_up_to_without_object():
    names = parent_names(KeyError)
    assert names == [
        "builtins.KeyError",
        "builtins.LookupError",
        "builtins.Exception",
        "builtins.BaseException",
    ]


def test_a_class_may_say_its_own_name_and_its_subclasses_do_not_inherit_it():
    class More(Named):
        pass

    assert type_name(Named) == "shop.Named"
    assert type_name(More) == f"{__name__}.{More.__qualname__}"
    assert parent_names(More)[:2] == [type_name(More), "shop.Named"]


def test_a_local_error_tells_of_itself():
    error = OutOfStock("none left")
    assert (error.type, error.message) == (type_name(OutOfStock), "none left")
    assert error.getErrorMessage() == "none left"
    assert error.traceback is None


def test_an_error_that_came_over_tells_what_was_said_there():
    error = RemoteError("text").came_as("mod.Bang", "it burst", ["mod.Bang", "mod.Base"], "trace")
    assert error.type == "mod.Bang"
    assert error.message == error.getErrorMessage() == "it burst"
    assert error.parents == ["mod.Bang", "mod.Base"]
    assert error.traceback == "trace"
    assert str(error) == "mod.Bang: it burst"


def test_a_remote_error_made_here_has_its_own_text():
    assert str(RemoteError("mine")) == "mine"


def test_check_gives_the_first_that_fits_by_class_or_by_name():
    error = RemoteError().came_as(
        "mod.Bang", "", ["mod.Bang", "builtins.KeyError", "pb.Error"], None
    )
    assert error.check("mod.Other", "mod.Bang", "builtins.KeyError") == "mod.Bang"
    assert error.check(OutOfStock, KeyError) is KeyError
    assert error.check(RemoteError) is RemoteError
    assert error.check("Bang", OutOfStock) is None
    assert error.check() is None


def test_check_of_a_local_error_goes_by_its_class():
    error = OutOfStock()
    assert error.check(ValueError, Error) is Error
    assert error.check(type_name(OutOfStock)) == type_name(OutOfStock)
    assert error.check("pb.Error") == "pb.Error"


def test_trap_gives_what_check_gives_or_raises_the_very_error():
    error = OutOfStock("none left")
    assert error.trap(OutOfStock) is OutOfStock
    assert error.trap("pb.Error") == "pb.Error"
    with pytest.raises(OutOfStock) as caught:
        error.trap(KeyError, "mod.Bang")
    assert caught.value is error


@pytest.mark.parametrize("outcome", ["not_executed", "executed_answer_lost", "unknown"])
def test_a_lost_connection_says_what_is_known(outcome):
    assert PBConnectionLost("gone", outcome=outcome).outcome == outcome


def test_without_more_nothing_is_known_of_a_lost_call():
    assert PBConnectionLost("gone").outcome == "unknown"
    assert PBConnectionLost.__new__(PBConnectionLost).outcome == "unknown"


def test_a_protocol_error_has_the_code_to_close_with():
    assert ProtocolError("no").code == 4400
    assert ProtocolError("no", code=4413).code == 4413


def test_python_s_own_excepts_hold():
    with pytest.raises(AttributeError):
        raise NoSuchMethod("no such")
    with pytest.raises(TypeError):
        raise WrongArguments("no such")
