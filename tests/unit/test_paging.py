"""PB's pagers, on top of streams."""

import asyncio
import io
from typing import Any

import pytest

import pbweb as pb
from pbweb.testing import Pair

from .paired import run_paired


class Lines(pb.Pager):
    """As one writes it for PB."""

    def __init__(self, collector: Any, lines: list[Any], *args: Any) -> None:
        self.lines = lines
        self.given = 0
        super().__init__(collector, *args)

    def nextPage(self) -> Any:
        page = self.lines[self.given]
        if isinstance(page, Exception):
            raise page
        self.given += 1
        if self.given == len(self.lines):
            self.stopPaging()
        return page


class Library(pb.Root):
    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.pager: Any = None

    def remote_getLines(self, collector: Any, number: int, fail: str = "") -> None:
        lines = [f"line {at}" for at in range(number)]
        if fail:
            lines.append(pb.Error(fail))
        self.pager = Lines(collector, lines, self.ended.append, "ended")

    def remote_getText(self, collector: Any, text: Any) -> None:
        pb.StringPager(collector, text, 3, self.ended.append, "ended")

    def remote_getFile(self, collector: Any, size: int) -> None:
        self.file = io.BytesIO(bytes(size))
        pb.FilePager(collector, self.file, self.ended.append, "ended")

    def remote_getWithoutCallback(self, collector: Any, what: str) -> None:
        if what == "file":
            self.file = io.BytesIO(b"in a file")
            pb.FilePager(collector, self.file)
        else:
            pb.StringPager(collector, what)

    def remote_getTwice(self, collector: Any) -> None:
        for text in ("abc", "def"):
            pb.StringPager(collector, text, 3, self.ended.append, text)

    def remote_refuse(self, collector: Any) -> None:
        raise pb.Error("no pages today")

    def remote_forget(self, collector: Any) -> None:
        self.collector = collector


def run(body: Any, **options: Any) -> Library:
    library = Library()

    async def with_library(both: Pair) -> None:
        await body(both, library)

    run_paired(library, with_library, **options)
    return library


def test_all_pages_come_and_the_callback_is_called():
    async def body(both, library):
        pages = await pb.getAllPages(both.root, "getLines", 200)
        assert pages == [f"line {at}" for at in range(200)]
        assert not library.pager.stillPaging()
        library.pager = None

    assert run(body).ended == ["ended"]


def test_text_bytes_and_files_in_pages():
    async def body(both, library):
        assert await pb.getAllPages(both.root, "getText", "abcdefgh") == ["abc", "def", "gh"]
        assert await pb.getAllPages(both.root, "getText", b"abcdef") == [b"abc", b"def"]
        assert await pb.getAllPages(both.root, "getText", "") == [""]
        pages = await pb.getAllPages(both.root, "getFile", 150_000)
        assert [len(page) for page in pages] == [65_536, 65_536, 18_928]
        assert library.file.closed

    assert run(body).ended == ["ended"] * 4


def test_what_goes_wrong_is_raised():
    async def body(both, library):
        with pytest.raises(pb.Error, match="torn out"):
            await pb.getAllPages(both.root, "getLines", 3, fail="torn out")
        with pytest.raises(pb.Error, match="no pages today"):
            await pb.getAllPages(both.root, "refuse")
        library.pager = None

    assert run(body).ended == ["ended"]


def test_the_session_that_goes_is_told():
    async def body(both, library):
        waiting = asyncio.ensure_future(pb.getAllPages(both.root, "forget"))
        await both.quiet()
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await waiting

    run(body, idle=False)


def test_the_session_that_goes_between_two_pages_is_told():
    """It is no cancellation of who waits for them, though the collector's method is cancelled."""

    async def body(both, library):
        waiting = asyncio.ensure_future(pb.getAllPages(both.root, "getLines", 10**6))
        while library.pager is None or library.pager.given < 1000:
            await asyncio.sleep(0)
        both.to_client.hold()
        for _ in range(100):
            await asyncio.sleep(0)
        both.cut()
        with pytest.raises(pb.PBConnectionLost):
            await waiting
        library.pager = None

    run(body, idle=False)


def test_a_collector_of_ones_own_gets_page_by_page_and_may_go():
    got = []

    class Few(pb.PageCollector):
        def remote_gotPage(self, page: Any) -> None:
            if len(got) == 3:
                raise pb.Error("enough")
            got.append(page)

    async def body(both, library):
        await both.root.callRemote("getLines", Few(), 10**4)
        await both.quiet()
        assert got == ["line 0", "line 1", "line 2"]
        assert library.pager.given <= 100  # it was not made ahead
        assert not library.pager.stillPaging()
        library.pager = None

    assert run(body, logged=1).ended == ["ended"]


def test_a_collector_with_a_callback():
    pages = []

    async def body(both, library):
        await both.root.callRemote("getLines", pb.CallbackPageCollector(pages.extend), 3)
        await both.quiet()
        library.pager = None

    run(body)
    assert pages == ["line 0", "line 1", "line 2"]


def test_the_abstract_ones_say_so():
    with pytest.raises(NotImplementedError):
        pb.PageCollector().remote_gotPage(1)
    with pytest.raises(NotImplementedError):
        pb.Pager.nextPage(None)


def test_pagers_without_a_callback():
    async def body(both, library):
        assert await pb.getAllPages(both.root, "getWithoutCallback", "text") == ["text"]
        assert await pb.getAllPages(both.root, "getWithoutCallback", "file") == [b"in a file"]
        assert library.file.closed

    assert run(body).ended == []


def test_a_collector_that_two_pagers_bring_pages_is_done_with_the_first():
    async def body(both, library):
        pages = await pb.getAllPages(both.root, "getTwice")
        assert pages[0] == "abc"
        await both.quiet()

    assert run(body).ended == ["abc", "def"]
