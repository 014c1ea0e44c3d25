"""examples/resilience: what its buttons break, what is kept, and what is told of what is not."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints, Gateway, Start, complaints_of_axe, run_client

TARGET = "examples.resilience.app:ResilienceRoot"
WINDOW = ("--limit", "resume_window=60")
ALL_KEPT = re.compile(r"^done there \d+, twice 0; answered \d+, waiting \d+, lost 0$")


@pytest.fixture
def gateway(start: Start) -> Gateway:
    return start(TARGET, *WINDOW)


def open_page(page: Page, gateway: Gateway) -> None:
    page.goto(gateway.page)
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 1")
    expect(calls(page, "answered").first).to_be_visible()
    expect(page.get_by_test_id("came")).not_to_have_text("0")


def calls(page: Page, state: str) -> Any:
    return page.get_by_test_id("calls").locator(f'[data-state="{state}"]')


def told(page: Page, pattern: str) -> Any:
    return page.get_by_test_id("told").locator("li").filter(has_text=re.compile(pattern))


def told_truly(page: Page) -> set[str]:
    """What was told of the calls that were lost, each of which is what the server really did."""
    lost = {}
    for outcome in ("not_executed", "executed_answer_lost", "unknown"):
        rows = calls(page, outcome).locator("span:last-child").all_inner_texts()
        if rows:
            lost[outcome] = set(rows)
    assert lost.get("not_executed", set()) <= {"the server did not"}
    assert lost.get("executed_answer_lost", set()) <= {"the server did it"}
    assert lost.get("unknown", set()) <= {"the server did it", "the server did not"}
    return set(lost)


def break_it(page: Page, what: str) -> None:
    page.get_by_test_id(what).click()
    expect(page.get_by_test_id("broken")).to_have_text("Mended.")


def expect_all_kept(page: Page) -> None:
    """Nothing was lost, nothing came twice, and both go on."""
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 1")
    expect(page.get_by_test_id("there")).to_have_text(ALL_KEPT)
    came = int(page.get_by_test_id("came").inner_text())
    expect(page.get_by_test_id("came")).to_have_text(re.compile(f"^({came + 1}|{came + 2})$"))
    expect(page.get_by_test_id("here")).to_have_text("twice 0, out of order 0, lost 0")


def test_a_cut_link_loses_nothing_and_disturbs_nobody(
    gateway: Gateway, page: Page, other_page: Page
) -> None:
    open_page(page, gateway)
    open_page(other_page, gateway)
    page.get_by_test_id("cut").click()
    expect(page.get_by_test_id("status")).to_have_text(re.compile(r"^Interrupted for \d"))
    made = int(page.get_by_test_id("made").inner_text())
    beats = page.get_by_test_id("beats").inner_text()
    expect(other_page.get_by_test_id("beats")).not_to_have_text(beats)  # the board goes on there
    expect(page.get_by_test_id("made")).not_to_have_text(str(made))  # calls are made, and wait
    assert calls(page, "waiting").count() >= 1
    expect(told(page, r"“resumed” after \d+\.\d s: the same session")).to_have_count(1)
    expect(told(page, r"^\S+\d calls? waited, and (is|are) answered\.$")).to_have_count(1)
    expect_all_kept(page)
    expect_all_kept(other_page)
    newest = other_page.get_by_test_id("notes").locator("li").last.inner_text()
    expect(page.get_by_test_id("notes")).to_contain_text(newest)
    expect(told(page, "session is over")).to_have_count(0)


def test_a_link_that_stalls_and_a_page_that_is_frozen_are_only_slow(
    gateway: Gateway, page: Page
) -> None:
    open_page(page, gateway)
    for what in ("stall", "freeze"):
        break_it(page, what)
        expect_all_kept(page)
    expect(told(page, "interrupted|session is over")).to_have_count(0)


def test_what_a_crash_lost_is_told_truly(gateway: Gateway, page: Page, other_page: Page) -> None:
    open_page(page, gateway)
    open_page(other_page, gateway)
    break_it(page, "crash")
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(told(page, r"calls lost: .*not_executed")).to_have_count(1)
    assert told_truly(page) == {"executed_answer_lost", "unknown", "not_executed"}
    expect(page.get_by_test_id("there")).to_contain_text("twice 0")
    expect(page.get_by_test_id("here")).to_contain_text("twice 0, out of order 0")
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^2 here"))
    expect_all_kept(other_page)


def test_a_restart_begins_a_new_session(gateway: Gateway, page: Page) -> None:
    open_page(page, gateway)
    break_it(page, "restart")
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(page.get_by_test_id("there")).to_have_text(ALL_KEPT)
    expect(told(page, "A new session: onSession set up number 2")).to_have_count(1)
    expect(told(page, "resumed")).to_have_count(0)
    expect(page.get_by_test_id("there")).to_contain_text("twice 0")
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))


def test_a_cut_that_is_longer_than_the_window_ends_the_session(start: Start, page: Page) -> None:
    open_page(page, start(TARGET, "--limit", "resume_window=1"))
    break_it(page, "cut")
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(told(page, "calls? lost: ")).to_have_count(1)
    assert "not_executed" in told_truly(page)
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_server_that_is_really_started_again_knows_nothing(
    how: str, start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["ERR_CONNECTION_REFUSED"]
    gateway = start(TARGET, *WINDOW)
    open_page(page, gateway)
    expect(calls(page, "waiting")).to_have_count(1)
    getattr(gateway._process, how)()
    gateway._process.wait()
    expect(page.get_by_test_id("status")).not_to_have_text("Connected, session 1")
    start(TARGET, *WINDOW, port=gateway.port)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))
    expect(page.get_by_test_id("there")).to_contain_text("twice 0")
    lost = page.get_by_test_id("calls").get_by_text("the server does not know")
    if how == "kill":
        expect(lost.first).to_be_visible()
    page.get_by_test_id("cut").click()  # and all goes on
    expect(told(page, "“resumed” after")).to_have_count(1)
    came = page.get_by_test_id("came").inner_text()
    expect(page.get_by_test_id("came")).not_to_have_text(came)
    expect(page.get_by_test_id("here")).to_have_text("twice 0, out of order 0, lost 0")


def test_the_other_examples_say_that_they_wait(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["ERR_CONNECTION_REFUSED"]
    everything = ("examples.demo:SERVICES", "--pages", "examples", *WINDOW)
    gateway = start(*everything)
    pages = {name: page.context.new_page() for name in ("board", "chat", "pond", "login")}
    for name, other in pages.items():
        complaints.watch(other)
        other.goto(f"{gateway.page}/{name}/")
    pages["chat"].get_by_test_id("name").fill("Ada")
    pages["chat"].get_by_role("button", name="Join").click()
    pages["login"].get_by_role("button", name="guest").click()
    here = {"board": "1 here", "chat": "In “", "pond": "2 ducks", "login": "Logged in as "}
    for name, other in pages.items():
        expect(other.get_by_test_id("status")).to_contain_text(here[name])
    gateway._process.kill()
    for other in pages.values():
        expect(other.get_by_test_id("status")).to_contain_text("Interrupted: what you ")
        assert complaints_of_axe(other) == []
    start(*everything, port=gateway.port)
    for name, other in pages.items():
        other.evaluate("dispatchEvent(new Event('online'))")
        text = "log in again" if name == "login" else here[name]
        expect(other.get_by_test_id("status")).to_contain_text(text)
        other.close()


def test_the_python_client_keeps_its_session_and_then_loses_it(gateway: Gateway) -> None:
    assert run_client("examples/resilience/client.py", f"ws://{gateway.address}/pb") == [
        "interrupted",
        "connected",
        "six calls: 6 answered",
        "the server did 6, twice 0",
        "its calls came in order: True",
        "now the server forgets the session:",
        "interrupted",
        "set up again: connected",
        "six calls: 2 executed_answer_lost, 2 not_executed, 2 unknown",
        "the server did 4, twice 0",
    ]


def test_it_is_accessible_in_both_schemes_and_any_width(gateway: Gateway, page: Page) -> None:
    def check() -> None:
        schemes: tuple[Any, ...] = ("light", "dark")
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            assert complaints_of_axe(page) == [], scheme

    open_page(page, gateway)
    check()
    page.get_by_test_id("crash").click()
    expect(page.get_by_test_id("status")).to_have_text(re.compile("^Interrupted"))
    check()
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(calls(page, "unknown").first).to_contain_text("the server did")
    check()
    for width in (1200, 768, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
