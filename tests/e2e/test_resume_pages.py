"""Pages whose link breaks, that freeze, sleep, go and come back: real sockets, a real Chromium.

A proxy before the server breaks connections (`tests/chaos/proxy.py`); nothing here waits
for seconds, only for what is to happen.
"""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect
from uvicorn.server import ServerState

import pbweb as pb
from pbweb.asgi import Endpoint
from pbweb.limits import DEFAULT, Limits
from pbweb_server.app import application
from pbweb_server.protocol import http_class, websocket_class
from tests.chaos.proxy import FaultProxy, cuts, fault_proxy
from tests.e2e.chromium import find_chromium
from tests.e2e.conftest import CHROMIUM_ARGUMENTS, SECONDS, Complaints, Start

PAGES = Path(__file__).parent / "resume_page"
LONG = replace(DEFAULT, resume_window=600.0)
"""Nothing ends here because its time is over."""

IMPATIENT = replace(LONG, heartbeat=1.0, pong=1.0)

LOST = [r"WebSocket connection to", r"Failed to load resource"]
"""What Chromium says of connections that fail; each of them is a part of the test."""

HURRY = "const { random } = Math; Math.random = () => random() / 50;"
"""The waits of a real client are not what is looked at."""

ONLY_WHEN_ASKED = "Math.random = () => 1000;"
"""By itself it tries again when the test is over."""


class Desk(pb.Root):
    """Where the pages call."""

    def __init__(self) -> None:
        self.pages: dict[int, pb.RemoteReference] = {}
        self.executed: list[int] = []
        self.here: set[int] = set()
        self.hung = asyncio.Event()

    def remote_enter(self, page: pb.RemoteReference) -> int:
        number = len(self.pages) + 1
        self.pages[number] = page
        self.here.add(number)
        page.notifyOnDisconnect(lambda _: self.here.discard(number))
        return number

    def remote_note(self, number: int) -> int:
        self.executed.append(number)
        return number

    async def remote_ask(self, number: int) -> int:
        self.executed.append(number)
        return await self.pages[1].callRemote("told", number)

    async def remote_hang(self) -> None:
        self.hung.set()
        await asyncio.Event().wait()


class Site:
    """A server as `pbweb serve` makes it, with the proxy before it, in a thread of their own."""

    desk: Desk
    endpoint: Endpoint
    proxy: FaultProxy

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def page(self) -> str:
        return f"http://localhost:{self.proxy.port}/"

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    def do(self, action: Callable[[], Any]) -> Any:
        async def act() -> Any:
            return action()

        return self.run(act())

    def wait_until(self, condition: Callable[[], Any]) -> None:
        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        self.run(asyncio.wait_for(wait(), SECONDS))

    def wait_for_away(self, number: int) -> None:
        self.wait_until(lambda: self.endpoint.parking.statistics()["away"] == number)

    def start(self) -> None:
        self._thread.start()
        self.run(self._serve())

    async def _serve(self) -> None:
        self.desk = Desk()
        self.endpoint = Endpoint(self.desk, limits=self._limits)
        endpoints = {"/pb": self.endpoint}
        config = uvicorn.Config(
            application(endpoints, pages=PAGES),
            http=http_class(self._limits),
            ws=websocket_class(endpoints),
            log_config=None,
            access_log=False,
        )
        config.load()
        self._state = ServerState()
        self._server = await self._loop.create_server(
            lambda: config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self._state, app_state={}
            ),
            "127.0.0.1",
            0,
        )
        self._stack = AsyncExitStack()
        port = self._server.sockets[0].getsockname()[1]
        self.proxy = await self._stack.enter_async_context(fault_proxy(port))

    async def _close(self) -> None:
        await self._stack.aclose()
        for place in list(self.endpoint.parking._places.values()):
            place.session.end("the test is over")
        for connection in list(self._state.connections):
            if hasattr(connection, "transport"):
                connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    def stop(self) -> None:
        self.run(self._close())
        self.wait_until(lambda: not self.endpoint.connections and not self.desk.here)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()


@contextmanager
def serving(limits: Limits = LONG) -> Iterator[Site]:
    site = Site(limits)
    site.start()
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        yield one


@pytest.fixture
def impatient() -> Iterator[Site]:
    """It takes a page for dead after two seconds."""
    with serving(IMPATIENT) as one:
        yield one


@pytest.fixture(autouse=True)
def expected(complaints: Complaints) -> None:
    complaints.expected = LOST


def enter(page: Page, address: str, script: str = HURRY) -> int:
    """Open the page; the id that the server gave to it."""
    page.add_init_script(script)
    page.goto(address)
    page.wait_for_function("ids.length")
    return page.evaluate("ids.at(-1)")


def status_of(page: Page, status: str) -> None:
    expect(page.locator("output")).to_have_text(status)


def break_link(site: Site, page: Page) -> None:
    """The link is gone, and no other comes about."""

    def cut() -> None:
        site.proxy.is_down = True
        site.proxy.cut()

    site.do(cut)
    status_of(page, "interrupted")


def repair_link(site: Site) -> None:
    site.do(lambda: setattr(site.proxy, "is_down", False))


def answered(site: Site, asked: pb.RemotePromise) -> Any:
    async def answer() -> Any:
        return await asked

    return site.run(answer())


def tell(site: Site, number: int) -> pb.RemotePromise:
    """Call the first page back."""
    promise: pb.RemotePromise = site.do(lambda: site.desk.pages[1].callRemote("told", number))
    return promise


def test_calls_both_ways_go_on_where_the_link_is_cut_again_and_again(
    site: Site, page: Page
) -> None:
    enter(page, site.page)
    status_of(page, "connected")

    def begin() -> None:
        site.proxy.scenario = cuts(0, 4000)
        site.proxy.cut()

    site.do(begin)
    assert page.evaluate("work(0, 200)") == list(range(200))
    site.do(site.proxy.calm)
    page.wait_for_function("connection.status === 'connected'")
    assert sorted(site.desk.executed) == list(range(200))
    assert sorted(page.evaluate("me.told")) == list(range(0, 200, 2))
    events = page.evaluate("events")
    assert events == ["interrupted", "resumed"] * (len(events) // 2)
    assert len(events) > 6
    assert page.evaluate("ids") == [1]


def test_what_is_done_while_there_is_no_link_is_kept_both_ways(site: Site, page: Page) -> None:
    enter(page, site.page)
    break_link(site, page)
    page.evaluate("note('mine', 'note', 7)")
    asked = tell(site, 8)
    repair_link(site)
    status_of(page, "connected")
    page.wait_for_function("ends.mine")
    assert page.evaluate("ends.mine") == ["answer", 7]
    assert answered(site, asked) == 8
    assert page.evaluate("me.told") == [8]
    assert site.desk.executed == [7]


def test_two_pages_have_a_session_each(site: Site, page: Page, other_page: Page) -> None:
    pages = {enter(one, site.page): one for one in (page, other_page)}
    assert list(pages) == [1, 2]
    site.do(site.proxy.cut)
    for number, one in pages.items():
        one.wait_for_function("events.length === 2")
        assert one.evaluate("events") == ["interrupted", "resumed"]
        assert one.evaluate("ids") == [number]
        assert one.evaluate(f"root.callRemote('note', {number})") == number
    assert site.desk.here == {1, 2}


def test_a_reload_is_a_new_session_and_the_old_one_ends_at_once(site: Site, page: Page) -> None:
    enter(page, site.page)
    page.reload()
    page.wait_for_function("window.ids?.length")
    assert page.evaluate("ids") == [2]
    site.wait_until(lambda: site.desk.here == {2})
    assert site.endpoint.parking.statistics()["away"] == 0


def test_a_page_that_is_closed_leaves_at_once(site: Site, page: Page, other_page: Page) -> None:
    enter(page, site.page)
    enter(other_page, site.page)
    other_page.close(run_before_unload=True)
    site.wait_until(lambda: site.desk.here == {1})
    assert site.endpoint.parking.statistics()["away"] == 0


def test_a_duplicated_tab_is_another_session_and_nobody_fights(site: Site, page: Page) -> None:
    enter(page, site.page)
    page.evaluate("sessionStorage.setItem('x', 'y')")
    with page.expect_popup() as opened:
        page.evaluate("void open(location.href)")
    twin = opened.value
    twin.wait_for_function("window.ids?.length")
    assert twin.evaluate("sessionStorage.getItem('x')") == "y"
    assert twin.evaluate("ids") == [2]
    site.do(site.proxy.cut)
    for one in (page, twin):
        one.wait_for_function("events.length === 2")
        assert one.evaluate("events") == ["interrupted", "resumed"]
    assert site.desk.here == {1, 2}
    # Nothing of a session is anywhere but in the memory of its page.
    kept = "JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie])"
    assert page.evaluate(kept) == '[{"x":"y"},{},""]'


def test_a_page_that_goes_online_connects_at_once(site: Site, page: Page) -> None:
    enter(page, site.page, ONLY_WHEN_ASKED)
    page.context.set_offline(True)
    break_link(site, page)
    repair_link(site)
    page.context.set_offline(False)
    status_of(page, "connected")
    assert page.evaluate("events") == ["interrupted", "resumed"]


def test_a_page_asks_when_it_goes_online_and_gives_up_a_link_that_is_dead(
    site: Site, page: Page
) -> None:
    """Nobody says that it is: the sockets stay open on both sides."""
    enter(page, site.page)
    page.context.set_offline(True)
    site.do(site.proxy.mute)
    page.context.set_offline(False)
    page.wait_for_function("events.length === 2")
    assert page.evaluate("[ids, events]") == [[1], ["interrupted", "resumed"]]


@pytest.fixture(scope="module")
def tabs(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Tabs that can be hidden, frozen and cached, which Playwright's own never are."""
    folder = tmp_path_factory.mktemp("profile")
    chromium = find_chromium()
    assert chromium
    command = [chromium, *CHROMIUM_ARGUMENTS, "--headless", "--remote-debugging-port=0"]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = folder / "DevToolsActivePort"
        deadline = time.monotonic() + SECONDS
        while not (told.exists() and told.read_text().count("\n")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        port, path = told.read_text().split()
        url = f"ws://127.0.0.1:{port}{path}"
        other = browser.browser_type.connect_over_cdp(url, no_defaults=True)
        yield other.contexts[0]
        other.close()
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture
def tab(tabs: BrowserContext, complaints: Complaints) -> Iterator[Page]:
    page = tabs.new_page()
    page.set_default_timeout(SECONDS * 1000)
    complaints.watch(page)
    yield page
    page.close()
    assert complaints.unexpected() == []


@contextmanager
def hidden(tab: Page) -> Iterator[None]:
    """Another tab is in front of it."""
    other = tab.context.new_page()
    other.bring_to_front()
    tab.wait_for_function("document.hidden", polling=50)
    yield
    other.close()
    tab.bring_to_front()
    tab.wait_for_function("!document.hidden", polling=50)


def is_pong(message: str | bytes) -> bool:
    return '"pong"' in str(message)


def test_a_hidden_tab_is_not_taken_for_dead(impatient: Site, tab: Page) -> None:
    sockets: list[WebSocket] = []
    tab.on("websocket", lambda socket: sockets.append(socket))
    enter(tab, impatient.page)
    with hidden(tab):
        for _ in range(3):  # the server asks whether it is there
            with sockets[0].expect_event("framesent", is_pong, timeout=SECONDS * 1000):
                pass
        assert answered(impatient, tell(impatient, 4)) == 4
        assert tab.evaluate("[connection.status, events]") == ["connected", []]
        assert impatient.endpoint.parking.statistics()["away"] == 0


def test_a_tab_that_was_frozen_goes_on(impatient: Site, tab: Page) -> None:
    enter(tab, impatient.page)
    session = tab.context.new_cdp_session(tab)
    with hidden(tab):
        session.send("Page.setWebLifecycleState", {"state": "frozen"})
        impatient.wait_for_away(1)
        asked = tell(impatient, 5)
        session.send("Page.setWebLifecycleState", {"state": "active"})
    assert answered(impatient, asked) == 5
    status_of(tab, "connected")
    assert tab.evaluate("[ids, me.told]") == [[1], [5]]


def test_a_page_that_comes_out_of_the_back_forward_cache_resumes(
    impatient: Site, tab: Page
) -> None:
    enter(tab, impatient.page)
    tab.goto(impatient.page + "other.html")
    impatient.wait_for_away(1)
    asked = tell(impatient, 9)
    tab.go_back(wait_until="commit")
    assert answered(impatient, asked) == 9
    assert tab.evaluate("[ids, me.told, persisted.at(-1)]") == [[1], [9], True]
    status_of(tab, "connected")


def renderers(browser: Browser) -> list[int]:
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return [process["id"] for process in processes if process["type"] == "renderer"]


def test_a_tab_whose_process_was_stopped_goes_on(
    impatient: Site, browser: Browser, page: Page
) -> None:
    enter(page, impatient.page)
    stopped = renderers(browser)
    assert stopped
    try:
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        impatient.wait_for_away(1)
        asked = tell(impatient, 6)
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert answered(impatient, asked) == 6
    status_of(page, "connected")
    assert page.evaluate("[ids, me.told]") == [[1], [6]]


def test_a_server_that_is_killed_and_comes_again_is_a_new_session(start: Start, page: Page) -> None:
    arguments = ("tests.e2e.test_resume_pages:Desk", "--pages", str(PAGES))
    first = start(*arguments, "--limit", "resume_window=600")
    enter(page, first.page, "")
    page.evaluate("note('answered', 'note', 1)")
    page.wait_for_function("ends.answered")
    page.evaluate("note('running', 'hang')")
    page.evaluate("root.callRemote('note', 2)")  # behind it
    first._process.kill()
    first._process.wait()
    status_of(page, "interrupted")
    page.evaluate("note('unsent', 'note', 3)")
    start(*arguments, "--limit", "resume_window=600", port=first.port)
    page.wait_for_function("ids.length === 2")
    status_of(page, "connected")
    page.wait_for_function("ends.running && ends.unsent")
    ends = page.evaluate("ends")
    assert ends["unsent"] == ["PBConnectionLost", "not_executed"]
    # It was executed, which the page knows if the server's acknowledgement has come.
    assert ends["running"][0] == "PBConnectionLost"
    assert ends["running"][1] in ("unknown", "executed_answer_lost")
    assert page.evaluate("root.callRemote('note', 4)") == 4
    assert page.evaluate("events") == ["interrupted"]
