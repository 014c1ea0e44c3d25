"""`Group`: one message to many references, also on other connections, encoded once.

Nothing on the wire is of a group: each member gets a plain ``message`` (protocol section 1).
Members that have gone leave by themselves, and slow ones hold up nobody.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, MutableSet, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .errors import CancelledError, Error, InsecureJelly, LimitExceeded
from .limits import DEFAULT
from .references import RemoteReference
from .shared import SharedCall

if TYPE_CHECKING:
    from .outgoing import Held
    from .promises import RemotePromise

__all__ = ["Group", "GroupCall"]

Delivery = Literal["all", "latest", "drop"]
Left = Callable[[RemoteReference, Error], object]

MOST_WAITING = 256


class Group(MutableSet[RemoteReference]):
    """A set of references, on any connections of one event loop, that get one message together.

    A member leaves by itself when it is released, when its session goes, and when it is too slow
    for the policy ``"all"``; *left* says so. A member has no room while its peer has not
    acknowledged what was sent before, or while as many calls as it allows are in progress on it
    (`Limits`). What happens to a message for it then is the group's policy:

    - ``"all"``: it waits, in order, up to *most* of them (and `Limits.window` bytes); the member
      for which one more would have to wait leaves the group.
    - ``"latest"``: it waits in the place of the one that waits already.
    - ``"drop"``: it is left out.

    To the members that have room it goes at once, in order with all other calls on them.

    Args:
        members: the first ones.
        delivery: the policy for slow members.
        most: messages that may wait for one member, where all are delivered.
        left: called with a member and the error that says why, when it left by itself.

    Raises:
        TypeError, DeadReferenceError: see `add`.
        ValueError: the policy is none of these, or *most* is not positive.
    """

    __slots__ = ("__weakref__", "_left", "_members", "_most", "_told", "delivery")

    def __init__(
        self,
        members: Iterable[RemoteReference] = (),
        *,
        delivery: Delivery = "all",
        most: int = MOST_WAITING,
        left: Left | None = None,
    ) -> None:
        self._members: dict[RemoteReference, deque[Held] | None] = {}
        if delivery not in ("all", "latest", "drop"):
            raise ValueError(f'the delivery is "all", "latest" or "drop", not {delivery!r}')
        if most < 1:
            raise ValueError(f"at least one message can wait for a member, not {most}")
        self.delivery = delivery
        self._most = most
        self._left = left
        self._told = _Told(self)
        for member in members:
            self.add(member)

    # ---------------------------------------------------------------- the set

    def add(self, member: RemoteReference) -> None:
        """Let *member* get what is sent from now on; twice is once.

        Raises:
            TypeError: it is no RemoteReference.
            DeadReferenceError: it was released, or its session is gone.
        """
        if type(member) is not RemoteReference:
            raise TypeError(
                f"the members of a group are RemoteReferences, not {member!r}: "
                "await a promise first, and call objects of this side directly"
            )
        if member not in self._members:
            member.broker.when_dead(member, self._told)
            self._members[member] = None

    def discard(self, member: RemoteReference) -> None:
        """Let *member* go, with what waits for it, if it is in the group."""
        if member in self._members:
            member.broker.not_when_dead(member, self._told)
            self._forget(member, CancelledError("the member was taken out of the group"))

    def clear(self) -> None:
        """Let all members go."""
        for member in self:
            self.discard(member)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[RemoteReference]:
        """The members that there are now, in the order in which they came."""
        return iter(list(self._members))

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"<Group of {len(self)}, delivery {self.delivery!r}>"

    def __del__(self) -> None:
        for member in self._members:
            member.broker.not_when_dead(member, self._told)

    def waiting(self, member: RemoteReference) -> int:
        """How many messages wait for *member* to have room."""
        return len(self._waiting(member))

    # ---------------------------------------------------------------- calling

    def callRemoteOnly(self, _name: str, /, *args: Any, **kw: Any) -> None:
        """Call ``remote_NAME`` of every member, without an answer.

        The arguments are encoded now, once for all members, unless they hold what is another thing
        for each peer: references, promises, copies that depend on who looks, long bytes. The
        deadline of the call that is being handled is not passed on.

        Raises:
            NoSuchMethod: *_name* can be no method's name.
            InsecureJelly, LimitExceeded: the arguments cannot be sent; where it is the limit of
                some members only, the others have got them.
        """
        call = SharedCall(_name, args, kw, DEFAULT)
        fault: Exception | None = None
        look = False  # whether the group may have been changed meanwhile
        for member in list(self._members):
            if look and member not in self._members:
                continue
            broker = member.broker
            if broker.express is not None and broker.express(call, member.luid):
                continue
            outgoing = broker.outgoing
            if outgoing.call_shared(call, member.luid):
                continue
            look = True
            held = outgoing.shared(member, call, answer=False, timeout=None)
            if outgoing.must_hold():
                self._hold(member, held)
                continue
            try:
                outgoing.let_go_now(held)
            except (InsecureJelly, LimitExceeded) as error:  # the others are to get it
                fault = fault or error
        if fault is not None:
            try:
                raise fault
            finally:
                del fault  # or it would hold itself, and the members, by its traceback

    def callRemote(self, _name: str, /, *args: Any, **kw: Any) -> GroupCall:
        """Call ``remote_NAME`` of every member; ``await`` it for what each returned.

        It is sent at once, as `callRemoteOnly` does it.

        Raises:
            NoSuchMethod: *_name* can be no method's name.
            InsecureJelly: an argument can be sent to nobody.
        """
        return self.call(_name, args, kw)

    def call(
        self,
        name: str,
        args: Sequence[Any] = (),
        kw: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> GroupCall:
        """The long form of `callRemote`.

        Args:
            timeout: seconds after which what has not been answered is cancelled; the result of
                these members is a ``TimeoutError``.
        """
        call = SharedCall(name, tuple(args), kw or {}, DEFAULT)
        promises = {}
        for member in list(self._members):
            if member not in self._members:  # it left meanwhile
                continue
            outgoing = member.broker.outgoing
            held = outgoing.shared(member, call, answer=True, timeout=timeout)
            assert held.promise is not None
            promises[member] = held.promise
            if outgoing.must_hold():
                self._hold(member, held)
            else:
                outgoing.let_go_now(held)
        return GroupCall(promises)

    # ----------------------------------------------------------- slow members

    def _waiting(self, member: RemoteReference) -> deque[Held]:
        """What waits for *member*, without what has gone out meanwhile."""
        waiting = self._members.get(member) or deque()
        while waiting and not waiting[0].waits:
            waiting.popleft()
        return waiting

    def _hold(self, member: RemoteReference, held: Held) -> None:
        """There is no room for *held*: what is to be done says the policy."""
        outgoing = member.broker.outgoing
        waiting = self._waiting(member)
        if self.delivery == "drop":
            outgoing.take_back(held, LimitExceeded("the member had no room: this was left out"))
        elif self.delivery == "latest" and waiting:
            newer = CancelledError("a newer message of the group took the place of this one")
            outgoing.put_in_place(waiting[0], held, newer)
        elif self._too_much(member, waiting, held):
            why = LimitExceeded(
                f"the member was too slow: {len(waiting)} messages of the group waited for it"
            )
            outgoing.take_back(held, why)
            member.broker.not_when_dead(member, self._told)
            member.broker.runtime.report(f"a member left a group: {why}")
            self._leave(member, why)
        else:
            outgoing.hold(held)
            waiting.append(held)
            self._members[member] = waiting

    def _too_much(self, member: RemoteReference, waiting: deque[Held], held: Held) -> bool:
        """Whether *held* is more than may wait for *member*; the first one always may."""
        size = sum(map(_size, waiting)) + _size(held)
        return len(waiting) >= self._most or (bool(waiting) and size > member.broker.limits.window)

    # ---------------------------------------------------------------- leaving

    def _leave(self, member: RemoteReference, why: Error) -> None:
        """*member* leaves by itself."""
        self._forget(member, why)
        if self._left is not None:
            try:
                self._left(member, why)
            except Exception as error:  # the others are to get their message all the same
                member.broker.runtime.report("a group's callback for who left failed", error)

    def _forget(self, member: RemoteReference, why: Error) -> None:
        for held in self._members.pop(member) or ():
            member.broker.outgoing.take_back(held, why)


def _size(held: Held) -> int:
    """Bytes of a message that waits, where it is encoded already."""
    encoded = held.shared and held.shared.encoded
    return encoded.size if encoded else 0


class _Told:
    """Is told by the brokers of members that died; does not keep the group alive."""

    __slots__ = ("_group",)

    def __init__(self, group: Group) -> None:
        self._group = weakref.ref(group)

    def __call__(self, member: RemoteReference, why: Error) -> None:
        group = self._group()
        if group is not None and member in group:  # another's callback may have taken it out
            group._leave(member, why)


class GroupCall:
    """One call of all members of a group: ``await`` it for their results.

    Attributes:
        promises: the promise of each member that was called.
    """

    __slots__ = ("_left", "_waiters", "promises")

    def __init__(self, promises: dict[RemoteReference, RemotePromise]) -> None:
        self.promises = promises
        self._left = len(promises)
        self._waiters: list[Any] = []
        for promise in promises.values():
            promise.then_call(self._one_is_there)

    def _one_is_there(self, _promise: RemotePromise) -> None:
        self._left -= 1
        if not self._left:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def __await__(self) -> Generator[Any, None, dict[RemoteReference, Any]]:
        """What each member returned, or the exception that says why there is no result.

        A member that was released or lost its connection meanwhile has `PBConnectionLost` or
        `DeadReferenceError`, one for which the policy left the call out `LimitExceeded` or
        `CancelledError`. A task that is cancelled while it awaits cancels the calls, unless
        another one awaits them too.
        """
        if self._left:
            first = next(iter(self.promises.values()))
            future = first.broker.runtime.future()
            self._waiters.append(future)
            try:
                yield from future
            except BaseException:
                self._waiters = [waiter for waiter in self._waiters if waiter is not future]
                if not self._waiters:
                    self.cancel()
                raise
        return {member: _result(promise) for member, promise in self.promises.items()}

    def cancel(self) -> None:
        """Cancel what is not answered yet, as `RemotePromise.cancel` does."""
        for promise in self.promises.values():
            promise.cancel()


def _result(promise: RemotePromise) -> Any:
    error = promise.error()
    return promise.result() if error is None else error
