"""pbweb.flavors: which names reach which functions, and the registry."""

import functools

import pytest

from pbweb.flavors import (
    METHOD_NAME,
    REGISTRY,
    Referenceable,
    Registry,
    Root,
    setUnjellyableForClass,
)


class Base(Referenceable):
    def remote_plain(self):
        return "base"

    def remote_hidden(self):
        return "hidden"

    def remote_overridden(self):
        return "base"


class Derived(Base):
    remote_hidden = None
    remote_number = 7

    def remote_overridden(self):
        return "derived"

    async def remote_coroutine(self):
        return "coroutine"

    @staticmethod
    def remote_static(one):
        return one

    @classmethod
    def remote_of_class(cls, one):
        return cls, one

    @property
    def remote_property(self):
        raise AssertionError("a property is never looked at")

    def helper(self):
        return "private"

    def remote_(self):
        return "no name"

    class remote_Inner:
        pass


def test_only_functions_with_the_prefix_are_reachable():
    assert set(Derived.remoteMethods) == {
        "plain",
        "overridden",
        "coroutine",
        "static",
        "of_class",
    }


def test_the_class_s_own_function_comes_before_its_parents():
    assert Derived.remoteMethods["overridden"](Derived()) == "derived"
    assert Base.remoteMethods["overridden"](Base()) == "base"
    assert Derived.remoteMethods["plain"](Derived()) == "base"


def test_what_a_class_sets_to_none_is_not_reachable_any_more():
    assert "hidden" in Base.remoteMethods
    assert "hidden" not in Derived.remoteMethods


def test_static_and_class_methods_are_called_without_the_instance():
    assert Derived.remoteMethods["static"](Derived(), 5) == 5
    assert Derived.remoteMethods["of_class"](Derived(), 5) == (Derived, 5)


def test_class_methods_get_the_class_that_was_asked():
    class More(Derived):
        pass

    assert More.remoteMethods["of_class"](More(), 5) == (More, 5)


def test_a_mixin_that_is_no_flavor_gives_its_methods_too():
    class Mixin:
        def remote_mixed(self):
            return 1

    class Mixed(Mixin, Referenceable):
        pass

    assert set(Mixed.remoteMethods) == {"mixed"}


def test_names_that_cannot_stand_on_the_wire_are_not_in_the_table():
    long = "x" * 64

    def method(_self):
        return None

    cls = type(
        "Odd",
        (Referenceable,),
        {f"remote_{name}": method for name in ("größe", "a-b", "9", long, long + "x", "_ok")},
    )
    assert set(cls.remoteMethods) == {long, "_ok"}


def test_a_partial_and_other_objects_that_can_be_called_are_no_methods():
    class Partial(Referenceable):
        remote_partial = functools.partial(print, 1)

    assert Partial.remoteMethods == {}


def test_a_method_that_was_wrapped_by_a_decorator_is_reachable():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args) * 2

        return wrapper

    class Wrapped(Referenceable):
        @twice
        def remote_one(self, number):
            return number

    assert Wrapped.remoteMethods["one"](Wrapped(), 3) == 6


def test_a_referenceable_and_a_root_have_no_methods_of_their_own():
    assert dict(Referenceable.remoteMethods) == {}
    assert dict(Root.remoteMethods) == {}


@pytest.mark.parametrize("name", ["a", "_", "Z9", "remote_x", "x" * 64])
def test_names_of_methods(name):
    assert METHOD_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "9", "a b", "a.b", "é", "x" * 65, "a\n", "__a-"])
def test_what_is_no_name_of_a_method(name):
    assert not METHOD_NAME.fullmatch(name)


def test_a_root_is_its_own_root_for_every_session():
    root = Root()
    assert root.rootObject(None) is root


class Known(Exception):
    pass


def test_a_class_is_registered_under_its_name_or_another():
    registry = Registry()
    registry.setUnjellyableForClass(Known, Known)
    registry.setUnjellyableForClass("other.Known", Known)
    assert registry.classes == {f"{__name__}.Known": Known, "other.Known": Known}


@pytest.mark.parametrize("cls", [int, Known(), "Known", None, Referenceable])
def test_only_exception_classes_can_be_registered(cls):
    registry = Registry()
    with pytest.raises(TypeError, match="only exception classes"):
        registry.setUnjellyableForClass("name", cls)
    assert registry.classes == {}


def test_the_function_of_the_module_registers_for_the_application():
    name = f"{__name__}.for_the_application"
    setUnjellyableForClass(name, Known)
    try:
        assert REGISTRY.classes[name] is Known
    finally:
        del REGISTRY.classes[name]
