"""What an object is when it crosses the wire (PB's flavors).

A `Referenceable`, and plain functions and bound methods, cross as references, and only methods
with the flavor's prefix can be called through one: the prefix is the security boundary.
A `Viewable` crosses as a reference too, to a `ViewPoint`: its ``view_*`` methods are told for
which avatar they are called. A `Copyable` crosses by value, and arrives as the `RemoteCopy` that
the receiver registered for its type. Protocol sections 1 (dispatch), 2 (copies) and 3 (references).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from inspect import isroutine
from types import BuiltinFunctionType, FunctionType, MethodType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from .errors import DeadReferenceError, InsecureJelly, type_name

if TYPE_CHECKING:
    from .broker import Broker

__all__ = [
    "BUILT_IN",
    "CALLABLES",
    "LIVE",
    "METHOD_NAME",
    "REGISTRY",
    "BoundMethod",
    "Charge",
    "Copyable",
    "Dispatcher",
    "Ended",
    "Entrance",
    "Maker",
    "Named",
    "Referenceable",
    "Registry",
    "Releasable",
    "RemoteCopy",
    "Revocable",
    "RevocableReferenceable",
    "RevocableViewable",
    "Root",
    "ViewPoint",
    "Viewable",
    "is_copyable",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
]

Charge = Callable[[int], None]
"""Told how many items are looked at; raises LimitExceeded when a frame asks for too many."""

METHOD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
"""A method's name on the wire, without its prefix; matched as a whole."""

CALLABLES = (FunctionType, MethodType, BuiltinFunctionType)
"""The types of plain functions and bound methods, whose one remote method is ``call``."""


def methods_with_prefix(cls: type, prefix: str) -> dict[str, Callable[..., Any]]:
    """The functions of *cls* whose names begin with *prefix*, by their names without it.

    Built from the class alone: an instance's attributes and properties are never
    looked at, so a name from the wire reaches functions that the class defines and
    nothing else.
    """
    found: dict[str, Callable[..., Any]] = {}
    for parent in reversed(cls.__mro__):
        for name, value in vars(parent).items():
            if not name.startswith(prefix) or not METHOD_NAME.fullmatch(name[len(prefix) :]):
                continue
            if isinstance(value, staticmethod | classmethod):
                found[name[len(prefix) :]] = _unbound(value, cls)
            elif isroutine(value):
                found[name[len(prefix) :]] = value
            else:
                found.pop(name[len(prefix) :], None)
    return found


def _unbound(
    value: staticmethod[..., Any] | classmethod[Any, ..., Any], cls: type
) -> Callable[..., Any]:
    """A function that takes and drops the instance, as all others in the table take it."""
    bound = value.__get__(None, cls)

    def call(_self: Any, /, *args: Any, **kw: Any) -> Any:
        return bound(*args, **kw)

    call.takes_no_object = bound  # type: ignore[attr-defined]
    return call


class Referenceable:
    """An object that crosses as a reference: the peer may call its ``remote_*`` methods.

    Anybody who holds the reference may call them, and nothing else of the object.
    """

    remoteMethods: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        cls.remoteMethods = methods_with_prefix(cls, "remote_")


class Root(Referenceable):
    """A Referenceable that can be published as the object where a peer begins."""

    def rootObject(self, broker: Broker) -> Referenceable:
        """The root for the session of *broker*: this object, or one made for the peer alone."""
        return self


class Viewable:
    """An object that crosses as a reference, and is told who calls it.

    A peer may call its ``view_*`` methods. The first argument of each is the perspective: the
    avatar in whose call the reference was handed out, None where there is no login. So each avatar
    holds a reference of its own, a `ViewPoint`, and cannot pass for another.
    """

    viewMethods: ClassVar[Mapping[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        for other in (Referenceable, Copyable):
            if issubclass(cls, other):
                raise TypeError(
                    f"{cls.__qualname__} is a Viewable and a {other.__name__}: "
                    "an object crosses in one way only"
                )
        cls.viewMethods = methods_with_prefix(cls, "view_")

    def viewed(self) -> Any:
        """The object whose methods are called.

        Raises:
            DeadReferenceError: it was revoked.
        """
        return self


class Dispatcher(Referenceable):
    """A Referenceable that finds the methods for its callers itself."""

    perspective: Any = None
    """The avatar that it is for, whoever passes it on; None: nobody in particular."""

    def serves(self) -> type:
        """The class whose methods are called here."""
        return type(self)

    def handedBack(self) -> None:
        """Called when the peer has given back all that it was handed of it, or never got it."""

    def method(self, name: str) -> BoundMethod | None:
        """What *name* calls, None if there is no method of that name.

        Raises:
            DeadReferenceError: nothing can be called here any more.
        """
        return None


class ViewPoint(Dispatcher):
    """A `Viewable` as the avatar *perspective* sees it; made when one crosses.

    It is what comes home when a peer passes its reference back: *object* is the Viewable,
    *perspective* the avatar that it was handed out for. Two of the same pair are equal.
    """

    def __init__(self, perspective: Any, object: Any) -> None:
        self.perspective = perspective
        self.object = object

    def __repr__(self) -> str:
        return f"<ViewPoint of {self.object!r} for {self.perspective!r}>"

    def __eq__(self, other: object) -> bool:
        if type(other) is not ViewPoint:
            return NotImplemented
        return self.object is other.object and self.perspective is other.perspective

    def __hash__(self) -> int:
        return hash((id(self.perspective), id(self.object)))

    def serves(self) -> type:
        """See `Dispatcher`."""
        return type(self.object.viewed())

    def method(self, name: str) -> BoundMethod | None:
        """What *name* calls, if there is a method of that name."""
        viewed = self.object.viewed()
        function = type(viewed).viewMethods.get(name)
        if function is None:
            return None
        return BoundMethod(function, viewed, (self.perspective,), self.perspective)


class Entrance:
    """Stands for the avatar of a login that goes on: whose the references in it will be."""

    __slots__ = ()


class Ended:
    """Stands for an avatar whose logins have ended: what is made for it hands out nothing."""

    __slots__ = ("avatar",)

    def __init__(self, avatar: Any) -> None:
        self.avatar = avatar


class BoundMethod:
    """A method of another object than the one that a call names, and for whom it is called.

    Called as the methods of `Referenceable.remoteMethods` are, with the object that was named
    first, which it drops.

    Args:
        function: the method.
        object: whose it is.
        first: what it is given before the arguments.
        perspective: the avatar who calls, and sees what comes out.
        entrance: stands for the avatar, where the call is a login.
    """

    __slots__ = ("_first", "_function", "entrance", "perspective", "takes_no_object")

    def __init__(
        self,
        function: Callable[..., Any],
        object: Any,
        first: tuple[Any, ...] = (),
        perspective: Any = None,
        entrance: Entrance | None = None,
    ) -> None:
        self._function = function
        self._first = (object, *first)
        self.perspective = perspective
        self.entrance = entrance
        bound = getattr(function, "takes_no_object", None)
        self.takes_no_object = (
            partial(function, *self._first) if bound is None else partial(bound, *first)
        )

    def __call__(self, _named: Any, /, *args: Any, **kw: Any) -> Any:
        return self._function(*self._first, *args, **kw)

    def calls(self, function: Callable[..., Any]) -> bool:
        """Whether the method is *function*."""
        return self._function is function

    @property
    def __code__(self) -> Any:
        """That of the function, which tells whether it makes a coroutine."""
        return getattr(self._function, "__code__", None)


class Named:
    """What crosses with the name of its type, by which the peer knows it."""

    __slots__ = ()

    def getTypeToCopyFor(self, perspective: Any) -> str:
        """The type's name for the peer whose avatar is *perspective* (None without a login)."""
        return self.getTypeToCopy()

    def getTypeToCopy(self) -> str:
        """The name under which the peer registers its class; by default ``module.qualname``."""
        return type_name(self.__class__)


class Releasable:
    """What is held of the peer's: ``with`` gives it back at the end of the block."""

    __slots__ = ()

    def release(self) -> None:
        """Give it back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class Copyable(Named):
    """An object that crosses by value: the peer gets a copy, made of the state that is let out.

    Override `getStateToCopy` to choose what the peer gets to see. The peer must have registered
    a class or a factory for the type (`setUnjellyableForClass`).
    """

    __slots__ = ()

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        if issubclass(cls, Referenceable):
            raise TypeError(
                f"{cls.__qualname__} is a Copyable and a Referenceable: "
                "an object crosses by value or as a reference, not both"
            )

    def getStateToCopyFor(self, perspective: Any) -> Any:
        """The state for the peer whose avatar is *perspective* (None without a login)."""
        return self.getStateToCopy()

    def getStateToCopy(self) -> Any:
        """Any value that can cross; by default a dict of all attributes."""
        return self.__dict__


class Revocable:
    """What `revocable` gives: it crosses in the place of *object*, until `revoke`."""

    def __init__(self, object: Any) -> None:
        self._object = object
        self.revoked = False
        """Whether it was cut."""

    @property
    def object(self) -> Any:
        """What it stands for.

        Raises:
            DeadReferenceError: it was revoked.
        """
        if self.revoked:
            raise DeadReferenceError("the reference was revoked")
        return self._object

    def revoke(self) -> None:
        """All references to this are dead, in every session, and nobody keeps the object alive.

        Calls that go on are not stopped. Doing it again is harmless.
        """
        self.revoked = True
        self._object = None


class RevocableReferenceable(Revocable, Referenceable):
    """A reference that can be cut."""


class RevocableViewable(Revocable, Viewable):
    """The view points of an object, which can be cut."""

    def viewed(self) -> Any:
        """See `Viewable`."""
        return self.object


class RemoteCopy:
    """What a peer's `Copyable` arrives as, when its class is registered here.

    It is made without ``__init__``. If it has a method ``postUnjelly``, that is called when all
    of the message is there. The same class may be a Copyable too.
    """

    __slots__ = ()

    methodNames: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kw: Any) -> None:
        super().__init_subclass__(**kw)
        cls.methodNames = frozenset(
            name
            for parent in cls.__mro__
            for name, value in vars(parent).items()
            if callable(value) or isinstance(value, property | staticmethod | classmethod)
        )

    def setCopyableState(self, state: Any) -> None:
        """Take the *state* that the peer let out; by default a dict of attributes.

        A peer says what it likes: a class that counts on its attributes overrides this and
        looks at them, or is made with `pbweb.copyable`.

        Raises:
            InsecureJelly: the state is no such dict, or would hide a method of the class.
        """
        cls = type(self)
        if type(state) is not dict:
            raise InsecureJelly(
                f"the state of a {type_name(cls)} is a dict of its attributes, "
                f"not {type(state).__name__}"
            )
        for name, value in state.items():
            if type(name) is not str or name.startswith("__") or name in cls.methodNames:
                raise InsecureJelly(
                    f"the state of a {type_name(cls)} has {ascii(name)[:64]}, "
                    "which is no attribute that a peer may set"
                )
            object.__setattr__(self, name, value)


RemoteCopy.__init_subclass__()


def is_copyable(cls: type) -> bool:
    """Whether instances of *cls* cross by value: a Copyable, or made one by `pbweb.copyable`."""
    return hasattr(cls, "getStateToCopyFor")


class Maker(NamedTuple):
    """How copies of one type are made here."""

    blank: Callable[[], Any] | None
    """Gives one without state, so that it can stand inside itself; None: it has to have it."""

    fill: Callable[[Any, Any, Charge], Any]
    """Takes the blank one and the state, and gives the copy."""


def _class_maker(cls: Any) -> Maker:
    def fill(blank: Any, state: Any, _charge: Charge) -> Any:
        blank.setCopyableState(state)
        return blank

    return Maker(lambda: cls.__new__(cls), fill)


class Registry:
    """Which classes and factories of this side stand for which type names of the peer's.

    Only what is registered is ever constructed for a name that came over the wire.
    """

    __slots__ = ("classes", "makers")

    def __init__(self) -> None:
        self.classes: dict[str, type] = {}
        self.makers: dict[str, Maker] = {}

    def setUnjellyableForClass(self, name: str | type, cls: type) -> None:
        """Take *cls* for what the peer calls *name* (the name as the sender knows it).

        Args:
            name: the name, or the sender's class itself where it is known here.
            cls: a RemoteCopy, a RemoteCache, a class made with `pbweb.copyable`, or an exception
                class.

        Raises:
            TypeError: *cls* is none of these.
        """
        given: object = cls
        is_copy = hasattr(cls, "setCopyableState")
        if not isinstance(given, type) or not (is_copy or issubclass(given, BaseException)):
            raise TypeError(
                f"only exception classes and copies can be registered, not {cls!r}: "
                "let it inherit from pb.RemoteCopy, or make it with pb.copyable"
            )
        known = _name_of(name)
        self.classes[known] = cls
        self.makers.pop(known, None)
        if is_copy and not hasattr(cls, "observeMethods"):  # a RemoteCache is no copy
            self.makers[known] = vars(cls).get("pbMaker") or _class_maker(cls)

    def setUnjellyableFactoryForClass(
        self, name: str | type, factory: Callable[[Any], Any]
    ) -> None:
        """Make copies of what the peer calls *name* by calling *factory* with their state.

        The state is complete then, so such a copy cannot stand inside itself.

        Raises:
            TypeError: *factory* cannot be called.
        """
        given: object = factory
        if not callable(given):
            raise TypeError(f"a factory is called with the state, and {factory!r} cannot be")
        known = _name_of(name)
        self.classes.pop(known, None)
        self.makers[known] = Maker(None, lambda _blank, state, _charge: factory(state))

    def maker(self, name: str) -> Maker:
        """How copies of the type *name* are made.

        Raises:
            InsecureJelly: nothing is registered for it.
        """
        maker = self.makers.get(name)
        if maker is None or issubclass(self.classes.get(name, object), BaseException):
            shown = ascii(name[:64])
            raise InsecureJelly(
                f"no class is registered here for copies of the type {shown}: "
                f"setUnjellyableForClass({shown}, …) makes one known"
            )
        return maker

    def cache_class(self, name: str) -> Any:
        """The RemoteCache for caches of the type *name*.

        Raises:
            InsecureJelly: none is registered for it.
        """
        cls = self.classes.get(name) or BUILT_IN.get(name)
        if not hasattr(cls, "observeMethods"):
            shown = ascii(name[:64])
            raise InsecureJelly(
                f"no class is registered here for caches of the type {shown}: "
                f"setUnjellyableForClass({shown}, …) makes a RemoteCache known"
            )
        return cls


def _name_of(name: str | type) -> str:
    return name if isinstance(name, str) else type_name(name)


LIVE = "pb.live"
"""The type under which every live object crosses; its own name stands in the state."""

BUILT_IN: dict[str, type] = {}
"""The caches that every registry knows."""

REGISTRY = Registry()
"""The registry of an application that does not make its own."""

setUnjellyableForClass = REGISTRY.setUnjellyableForClass
setUnjellyableFactoryForClass = REGISTRY.setUnjellyableFactoryForClass
