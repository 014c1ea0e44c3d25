"""Calls on answers that are still to come, or that were sent a moment ago: named, not awaited.

Protocol section 1, promise pipelining. The caller names an answer by its request; here the call
waits for it, and gets it: the object itself as its target, a copy as an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .calls import Call, Failed, Seen
from .errors import InsecureJelly, LimitExceeded
from .flavors import Dispatcher, Viewable, ViewPoint
from .promises import follow
from .references import dead_reference
from .streams import Items
from .unjelly import Pending, snapshot

if TYPE_CHECKING:
    from .answering import Answering
    from .broker import Broker

__all__ = ["Pipeline", "pending_target"]

MAX_COPIED = 131_072  # items of answers that calls name, at once
COPIED_A_SECOND = 131_072  # and from then on


class Pipeline:
    """The calls of one session that hang on answers of the same."""

    __slots__ = ("_answering", "_broker", "_copied", "_copied_since")

    def __init__(self, broker: Broker, answering: Answering) -> None:
        self._broker = broker
        self._answering = answering
        self._copied = 0.0  # items of answers that calls name as arguments
        self._copied_since = 0.0

    def caller_of(self, target: Pending) -> Any:
        """Whose the references in a call on an answer are: of the avatar that it was made for.

        Before that is known it is the one that the call was made for which is to be answered.
        """
        source = self._answering.calls.get(target.request)
        if source is not None:
            return source.entrance or source.perspective
        answer = self._answering.named.get(target.request)
        if type(answer) is Seen:
            return answer.perspective
        return answer.perspective if isinstance(answer, Dispatcher) else None

    def wait_for(
        self, call: Call, places: list[tuple[Any, Any, Pending]], target: list[Any]
    ) -> None:
        """Start *call* when all answers that it names are there; take hold of them now."""
        named: dict[int, list[tuple[Any, Any, Pending]]] = {}
        for place in places:
            named.setdefault(place[2].request, []).append(place)
        call.waits = 1 if call.before is None else 2
        for request, its_places in named.items():
            if call.ended:
                return
            call.waits += 1
            self._when_there(request, call, self._filler(call, its_places, target))
        call.one_is_there()

    def _when_there(self, request: int, call: Call, there: Callable[[Any], None]) -> None:
        if request in self._answering.named:
            there(self._answering.named[request])
            return
        source = self._answering.calls.get(request)
        if source is None or source is call:
            there(Failed(dead_reference()))
        else:
            source.dependents = [*(source.dependents or ()), there]

    def _filler(
        self, call: Call, places: list[tuple[Any, Any, Pending]], target: list[Any]
    ) -> Callable[[Any], None]:
        """Puts an answer into its places in the arguments; its failure is *call*'s too."""

        def there(answer: Any) -> None:
            if call.ended:
                return
            if type(answer) is Failed:
                self._answering.fail(call.request, call.name, answer.error, call, log=False)
                return
            perspective = None
            if type(answer) is Seen:
                answer, perspective = answer.value, answer.perspective
            copy = None  # one for all places: naming an answer often is no way to multiply it
            try:
                for container, key, pending in places:
                    if container is target:
                        found = follow(answer, pending.path)
                        seen = isinstance(found, Viewable)
                        container[key] = ViewPoint(perspective, found) if seen else found
                        continue
                    copy = self._copy(answer, perspective) if copy is None else copy
                    container[key] = follow(copy, pending.path)
            except Exception as error:  # whatever the class of a copy raises
                self._answering.fail(call.request, call.name, error, call)
                return
            call.one_is_there()

        return there

    def _copy(self, answer: Any, perspective: Any) -> Any:
        """A copy of *answer*, made for *perspective*, for a call that names it as an argument.

        Naming costs the peer a few bytes, whatever the size of the answer, so what is copied
        runs into a bucket: when it is full, calls are refused until enough has run out.

        Raises:
            LimitExceeded: the bucket is full.
        """
        now = self._broker.runtime.clock()
        leaked = (now - self._copied_since) * COPIED_A_SECOND
        self._copied, self._copied_since = max(0.0, self._copied - leaked), now
        if self._copied >= MAX_COPIED:
            raise LimitExceeded(
                f"message: more than {COPIED_A_SECOND} items a second are to be copied from "
                "answers that are passed on by name"
            )
        if type(answer) is Items:
            raise InsecureJelly("the answer to a stream's next cannot be passed on by name")
        made: list[Any] = []
        copy = snapshot(
            answer,
            self._charge,
            lambda value: self._start_copy(value, made, perspective),
            perspective,
        )
        for one in made:
            if hasattr(type(one), "postUnjelly"):
                one.postUnjelly()
        return copy

    def _start_copy(
        self, value: Any, made: list[Any], perspective: Any
    ) -> tuple[Any, Any, Callable[[Any], Any]]:
        """What `snapshot` needs: a copy that is passed on by name is a copy as well."""
        broker = self._broker
        name, state = broker.copied(value, perspective)
        maker = broker.maker(name)
        blank = None if maker.blank is None else maker.blank()

        def fill(state: Any) -> Any:
            made.append(maker.fill(blank, state, self._charge))
            return made[-1]

        return state, blank, fill

    def _charge(self, items: int) -> None:
        self._copied += items


def pending_target(target: int | dict[str, Any]) -> Pending:
    """The answer that a call has for its target."""
    if isinstance(target, dict):
        return Pending(target["id"], target.get("path", []))
    return Pending(-target, [])
