"""examples/resilience: what its buttons break, what is kept, and what is told of what is not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import (
    SERVER_GOES,
    Complaints,
    Gateway,
    Start,
    complaints_of_axe,
    run_client,
    starting,
)

TARGET = "examples.resilience.app:ResilienceRoot"
WINDOW = ("--limit", "resume_window=60")
ALL_KEPT = re.compile(r"^done there \d+, twice 0; answered \d+, waiting \d+, lost 0$")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for all: whoever comes is told of those only who are still there."""
    with starting(tmp_path_factory.mktemp("resilience")) as start:
        yield start(TARGET, *WINDOW)


def open_page(page: Page, gateway: Gateway) -> None:
    page.goto(gateway.page)
    shorter = "select => select.add(new Option('½ s', '0.5', true, true), 0)"
    page.get_by_test_id("seconds").evaluate(shorter)
    page.evaluate(RECORD)
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 1")
    expect(calls(page, "answered").first).to_be_visible()
    expect(page.get_by_test_id("came")).not_to_have_text("0")


def calls(page: Page, state: str) -> Any:
    return page.get_by_test_id("calls").locator(f'[data-state="{state}"]')


def told(page: Page, pattern: str) -> Any:
    return page.get_by_test_id("told").locator("li").filter(has_text=re.compile(pattern))


RECORD = """() => {
  window.rows = {}; // by number, as it was shown last: the list has the newest ones only
  const note = () => {
    for (const { dataset, firstChild, lastChild } of document.querySelectorAll("#calls li"))
      rows[firstChild.textContent] = [dataset.state, lastChild.textContent];
  };
  new MutationObserver(note).observe(document.querySelector("#calls"), { childList: true });
}"""


def told_truly(page: Page) -> set[str]:
    """What was told of the calls that were lost, each of which is what the server really did."""
    lost: dict[str, set[str]] = {}
    for state, really in page.evaluate("rows").values():
        lost.setdefault(state, set()).add(really)
    assert lost.get("not_executed", set()) <= {"the server did not"}
    assert lost.get("executed_answer_lost", set()) <= {"the server did it"}
    assert lost.get("unknown", set()) <= {"the server did it", "the server did not"}
    return set(lost) - {"answered", "waiting"}


# The longest word and the longest text beside it, before the page shows its calls again.
LINES_OF_A_WORD = """() => {
  const [, word, rest] = document.querySelector("#calls li").children;
  word.textContent = "executed_answer_lost";
  rest.textContent = "the server does not know";
  const range = document.createRange();
  range.selectNodeContents(word);
  return range.getClientRects().length;
}"""


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
    page.get_by_test_id("seconds").select_option("30")
    page.get_by_test_id("cut").click()
    expect(page.get_by_test_id("status")).to_have_text(re.compile(r"^Interrupted for \d"))
    made = int(page.get_by_test_id("made").inner_text())
    beats = page.get_by_test_id("beats").inner_text()
    expect(other_page.get_by_test_id("beats")).not_to_have_text(beats)  # the board goes on there
    expect(page.get_by_test_id("made")).not_to_have_text(str(made))  # calls are made, and wait
    assert calls(page, "waiting").count() >= 1
    page.get_by_test_id("mend").click()
    expect(told(page, r"“resumed” after \d+\.\d s: the same session")).to_have_count(1)
    expect(told(page, r"^\S+\d calls? waited, and (is|are) answered\.$")).to_have_count(1)
    expect_all_kept(page)
    expect_all_kept(other_page)
    newest = other_page.get_by_test_id("notes").locator("li").last.inner_text()
    expect(page.get_by_test_id("notes")).to_contain_text(newest)
    expect(told(page, "session is over")).to_have_count(0)


def test_a_link_that_stalls_and_a_page_that_is_frozen_are_only_slow_and_a_restart_is_told(
    gateway: Gateway, page: Page
) -> None:
    open_page(page, gateway)
    for what in ("stall", "freeze"):
        break_it(page, what)
        expect_all_kept(page)
    expect(told(page, "interrupted|session is over")).to_have_count(0)
    break_it(page, "restart")
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(page.get_by_test_id("there")).to_have_text(ALL_KEPT)
    expect(told(page, "A new session: onSession set up number 2")).to_have_count(1)
    expect(told(page, "resumed")).to_have_count(0)
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))


def test_what_a_crash_lost_is_told_truly_and_readably(
    gateway: Gateway, page: Page, other_page: Page
) -> None:
    open_page(page, gateway)
    open_page(other_page, gateway)
    page.get_by_test_id("seconds").select_option("30")
    check_both_schemes(page)
    page.get_by_test_id("crash").click()
    expect(page.get_by_test_id("status")).to_have_text(re.compile("^Interrupted"))
    check_both_schemes(page)
    expect(other_page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))  # forgotten
    page.get_by_test_id("mend").click()
    expect(page.get_by_test_id("broken")).to_have_text("Mended.")
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(told(page, r"calls lost: .*not_executed")).to_have_count(1)
    assert told_truly(page) == {"executed_answer_lost", "unknown", "not_executed"}
    expect(page.get_by_test_id("there")).to_contain_text("twice 0")
    expect(page.get_by_test_id("here")).to_contain_text("twice 0, out of order 0")
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^2 here"))
    for width in (1200, 768, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.evaluate(LINES_OF_A_WORD) == 1
    check_both_schemes(page)
    expect_all_kept(other_page)


def check_both_schemes(page: Page) -> None:
    schemes: tuple[Any, ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        assert complaints_of_axe(page) == [], scheme


def test_a_cut_that_is_longer_than_the_window_ends_the_session(
    start: Start, page: Page, other_page: Page
) -> None:
    gateway = start(TARGET, "--limit", "resume_window=1")
    open_page(page, gateway)
    open_page(other_page, gateway)
    page.get_by_test_id("seconds").select_option("30")
    page.get_by_test_id("cut").click()
    expect(other_page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))
    page.get_by_test_id("mend").click()
    expect(page.get_by_test_id("status")).to_have_text("Connected, session 2")
    expect(told(page, "calls? lost: ")).to_have_count(1)
    assert "not_executed" in told_truly(page)
    expect(page.get_by_test_id("people")).to_have_text(re.compile("^2 here"))


def test_a_server_that_is_really_started_again_knows_nothing(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start(TARGET, *WINDOW)
    open_page(page, gateway)
    for session, how in enumerate(("terminate", "kill"), 1):
        status = page.get_by_test_id("status")
        expect(calls(page, "waiting").first).to_be_visible()
        getattr(gateway._process, how)()
        gateway._process.wait()
        expect(status).not_to_have_text(f"Connected, session {session}")
        gateway = start(TARGET, *WINDOW, port=gateway.port)
        page.evaluate("dispatchEvent(new Event('online'))")
        expect(status).to_have_text(f"Connected, session {session + 1}")
        expect(page.get_by_test_id("people")).to_have_text(re.compile("^1 here"))
        expect(page.get_by_test_id("there")).to_contain_text("twice 0")
    really = [really for state, really in page.evaluate("rows").values()]
    assert "the server does not know" in really
    page.get_by_test_id("cut").click()  # and all goes on
    expect(told(page, "“resumed” after")).to_have_count(1)
    came = page.get_by_test_id("came").inner_text()
    expect(page.get_by_test_id("came")).not_to_have_text(came)
    expect(page.get_by_test_id("here")).to_have_text("twice 0, out of order 0, lost 0")


def test_the_other_examples_say_that_they_wait(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
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
    *lines, told, done = run_client("examples/resilience/client.py", f"ws://{gateway.address}/pb")
    assert lines == [
        "interrupted",
        "connected",
        "six calls: 6 answered",
        "the server did 6, twice 0",
        "its calls came in order: True",
        "now the server forgets the session:",
        "interrupted",
        "set up again: connected",
    ]
    assert done == "the server did 4, twice 0"
    outcomes = {
        outcome: int(number) for number, outcome in re.findall(r"(\d) (\w+)", told.split(":")[1])
    }
    late = outcomes.pop("unknown", 0)  # fewer, where the server could say in time that it had them
    assert outcomes == {"executed_answer_lost": 4 - late, "not_executed": 2}
