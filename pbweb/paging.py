"""PB's pagers (`twisted.spread.util`), on top of streams: a large value goes over in pages.

They are for code that was written for PB. In new code a method that is an async generator does it,
and its caller reads it with ``async for``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import IO, TYPE_CHECKING, Any

from .errors import CancelledError, PBConnectionLost
from .flavors import Referenceable

if TYPE_CHECKING:
    from .references import RemoteReference
    from .runtime import Runtime
    from .streams import RemoteStream

__all__ = [
    "CallbackPageCollector",
    "FilePager",
    "PageCollector",
    "Pager",
    "StringPager",
    "getAllPages",
]

CHUNK = 65_536


class Pager:
    """Gives pages to a collector, one after the other, as fast as they are taken there.

    Override `nextPage`, and let it call `stopPaging` before it returns the last page. Paging begins
    when the pager is made.

    Args:
        collector: the reference to a `PageCollector` that a caller passed.
        callback: called with *args* and *kw* when the paging is over.
    """

    def __init__(
        self,
        collector: RemoteReference,
        callback: Callable[..., object] | None = None,
        *args: Any,
        **kw: Any,
    ) -> None:
        self._stillPaging = True
        self.collector = collector
        self.callback = callback
        self.callbackArgs = args
        self.callbackKeyword = kw
        collector.callRemoteOnly("gotPages", self._pages())

    async def _pages(self) -> AsyncIterator[Any]:
        try:
            while self._stillPaging:
                yield self.nextPage()
        finally:
            self._stillPaging = False
            if self.callback is not None:
                self.callback(*self.callbackArgs, **self.callbackKeyword)

    def stillPaging(self) -> bool:
        """Whether there are pages to come."""
        return self._stillPaging

    def nextPage(self) -> Any:
        """The next page, any value that can cross."""
        raise NotImplementedError

    def stopPaging(self) -> None:
        """No page comes after the one that is made now."""
        self._stillPaging = False


class StringPager(Pager):
    """Pages of a string or of bytes.

    Args:
        chunkSize: characters, or bytes, of one page.
    """

    def __init__(
        self,
        collector: RemoteReference,
        st: Any,
        chunkSize: int = 8192,
        callback: Callable[..., object] | None = None,
        *args: Any,
        **kw: Any,
    ) -> None:
        self.string = st
        self.pointer = 0
        self.chunkSize = chunkSize
        super().__init__(collector, callback, *args, **kw)

    def nextPage(self) -> Any:
        """The next *chunkSize* characters."""
        page = self.string[self.pointer : self.pointer + self.chunkSize]
        self.pointer += self.chunkSize
        if self.pointer >= len(self.string):
            self.stopPaging()
        return page


class FilePager(Pager):
    """Pages of an open file, read as fast as they are taken; it is closed in the end."""

    def __init__(
        self,
        collector: RemoteReference,
        fd: IO[bytes],
        callback: Callable[..., object] | None = None,
        *args: Any,
        **kw: Any,
    ) -> None:
        self.file = fd
        self._page = fd.read(CHUNK)
        super().__init__(collector, self._end, callback, args, kw)

    def nextPage(self) -> bytes:
        """The next 64 KiB."""
        page, self._page = self._page, self.file.read(CHUNK)
        if not self._page:
            self.stopPaging()
        return page

    def _end(
        self, callback: Callable[..., object] | None, args: tuple[Any, ...], kw: dict[str, Any]
    ) -> None:
        self.file.close()
        if callback is not None:
            callback(*args, **kw)


class PageCollector(Referenceable):
    """Takes the pages of a `Pager`; pass one to a method that makes one. Override both methods."""

    async def remote_gotPages(self, pages: RemoteStream) -> None:
        """What a `Pager` calls."""
        async with pages:
            async for page in pages:
                self.remote_gotPage(page)
        self.remote_endedPaging()

    def remote_gotPage(self, page: Any) -> None:
        """One page has come."""
        raise NotImplementedError

    def remote_endedPaging(self) -> None:
        """That was the last one."""


class CallbackPageCollector(PageCollector):
    """Gives *callback* the list of all pages."""

    def __init__(self, callback: Callable[[list[Any]], object]) -> None:
        self.pages: list[Any] = []
        self.callback = callback

    def remote_gotPage(self, page: Any) -> None:
        """Keep it."""
        self.pages.append(page)

    def remote_endedPaging(self) -> None:
        """All are there."""
        self.callback(self.pages)


class _Waiting(CallbackPageCollector):
    """Tells of a failure, too."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(self._all_there)
        self._cancelled = runtime.cancelled
        self.future = runtime.future()
        self.error: BaseException | None = None

    async def remote_gotPages(self, pages: RemoteStream) -> None:
        try:
            await super().remote_gotPages(pages)
        except self._cancelled:  # not who waits for the pages
            self.failed(CancelledError("the call that brings the pages was cancelled"))
            raise
        except BaseException as error:
            self.failed(error)

    def _all_there(self, _pages: list[Any]) -> None:
        if not self.future.done():
            self.future.set_result(None)

    def failed(self, error: BaseException) -> None:
        if not self.future.done():
            self.error = error
            self.future.set_result(None)

    def lost(self) -> None:
        self.failed(PBConnectionLost("the session went before all pages were there"))


async def getAllPages(
    referenceable: RemoteReference, methodName: str, *args: Any, **kw: Any
) -> list[Any]:
    """All pages that a method gives which makes a `Pager` of the collector, its first argument.

    Raises:
        Error: what the method raised, or the pager.
        PBConnectionLost: the session went before all were there.
    """
    broker = referenceable.broker
    collector = _Waiting(broker.runtime)
    broker.notifyOnDisconnect(collector.lost)
    try:
        await referenceable.callRemote(methodName, collector, *args, **kw)
        await collector.future
    finally:
        if not broker.disconnected:
            broker.dontNotifyOnDisconnect(collector.lost)
    if collector.error is not None:
        raise collector.error
    return collector.pages
