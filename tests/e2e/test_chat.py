"""examples/chat: people in browsers and terminals, of whom some are slow, stopped or killed."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chromium import PROJECT
from tests.e2e.conftest import SECONDS, SERVER_GOES, Complaints, Gateway, Start, environment

TARGET = "examples.chat.app:ChatRoot"


class Terminal:
    """The Python client, and somebody who types."""

    def __init__(self, url: str, name: str, room: str = "lobby") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "examples/chat/client.py", url, name, room],
            cwd=PROJECT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line that is *pattern*, behind the time if it is a message."""

        def find() -> re.Match[str] | None:
            found = (re.search(rf"^(?:\d\d:\d\d )?{pattern}$", line) for line in self.lines)
            return next((match for match in found if match), None)

        with self._changed:
            match = self._changed.wait_for(find, SECONDS)
        assert match, f"no line {pattern!r} in:\n" + "\n".join(self.lines)
        return match

    def type(self, *lines: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        code = self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        if not self._process.stdout.closed:  # type: ignore[union-attr]
            self.end()


Terminals = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Iterator[Terminals]:
    """Opens terminals: terminal(gateway, "Ada")."""
    opened: list[Terminal] = []

    def open_one(gateway: Gateway, name: str, room: str = "lobby", path: str = "/pb") -> Terminal:
        opened.append(Terminal(f"ws://{gateway.address}{path}", name, room))
        return opened[-1]

    yield open_one
    for one in opened:
        one.kill()


def join(page: Page, url: str, name: str, room: str = "lobby") -> None:
    """By the keyboard alone."""
    page.goto(url)
    page.get_by_test_id("name").focus()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.get_by_test_id("room").fill(room)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("text")).to_be_focused()


def say(page: Page, text: str) -> None:
    page.get_by_test_id("text").fill(text)
    page.keyboard.press("Enter")


def names(page: Page) -> list[str]:
    return page.get_by_test_id("people").locator("li").all_inner_texts()


def said(page: Page) -> list[str]:
    """What the messages say, without who and when."""
    return page.get_by_test_id("log").locator("li > [dir=auto]").all_inner_texts()


def expect_people(page: Page, *names: str) -> None:
    expect(page.get_by_test_id("people").locator("li")).to_have_text(list(names))
    expect(page.get_by_test_id("count")).to_have_text(f"{len(names)} here")


def test_pages_and_a_terminal_talk(
    start: Start, page: Page, other_page: Page, terminal: Terminals
) -> None:
    gateway = start(TARGET)
    join(page, gateway.page, "Ada")
    say(page, "is anybody here?")
    join(other_page, gateway.page, "Ben")
    grace = terminal(gateway, "Grace")
    grace.wait_for(r"Ada: is anybody here\?")
    grace.wait_for(r"\* you are Grace; here are Ada, Ben, Grace")
    for one in (page, other_page):
        expect_people(one, "Ada", "Ben", "Grace")

    say(other_page, "Ben is")
    grace.wait_for("Ben: Ben is")
    grace.type("and Grace")
    for one in (page, other_page):
        expect(one.get_by_test_id("log")).to_contain_text("and Grace")
        assert said(one) == ["is anybody here?", "Ben is", "and Grace"]
    mine = page.get_by_test_id("log").locator("li.mine")
    expect(mine).to_have_count(1)

    grace.type("/people")
    grace.wait_for(r"\* here are Ada, Ben, Grace")
    grace.type("/quit")
    assert grace.end() == 0
    expect_people(page, "Ada", "Ben")
    expect(page.get_by_test_id("log")).to_contain_text("Grace went")

    other_page.close()  # as somebody who closes the tab
    expect_people(page, "Ada")
    page.get_by_test_id("leave").click()
    expect(page.get_by_test_id("name")).to_be_focused()
    expect(page.get_by_test_id("status")).to_have_text("Not in a room.")


def test_it_runs_in_the_demo(demo: Gateway, page: Page, terminal: Terminals) -> None:
    join(page, f"{demo.page}/chat/", "Ada", "a room of its own")
    ben = terminal(demo, "Ben", "A ROOM OF ITS OWN", "/chat/pb")
    ben.wait_for(r"\* you are Ben; here are Ada, Ben")
    say(page, "hello")
    ben.wait_for("Ada: hello")


def test_what_others_write_stays_text(
    start: Start, page: Page, other_page: Page, terminal: Terminals
) -> None:
    gateway = start(TARGET)
    name, text = "<img src=x onerror=a()>", "<script>alert(1)</script> <b>&amp;</b> \u202eevil"
    grace = terminal(gateway, "Grace")
    grace.wait_for(r"\* you are Grace.*")
    join(page, gateway.page, "Ada")
    join(other_page, gateway.page, name)
    expect_people(page, "Grace", "Ada", name)
    say(other_page, text)
    say(other_page, "\x1b[31mred\x07")
    expect(page.get_by_test_id("log").locator(".who").last).to_have_text(name)
    grace.wait_for(re.escape(f"{name}:  [31mred "))
    assert said(page)[0] == text
    assert page.locator("img, b, #log script").count() == 0
    assert not any("\x1b" in line or "\x07" in line for line in grace.lines)


def test_a_name_that_is_taken_is_told_and_another_one_helps(
    start: Start, page: Page, terminal: Terminals
) -> None:
    gateway = start(TARGET)
    terminal(gateway, "Grace").wait_for(r"\* you are Grace.*")
    page.goto(gateway.page)
    page.get_by_test_id("name").fill("grace")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("trouble")).to_have_text(
        "grace is in the room already: take another name"
    )
    page.get_by_test_id("name").fill("Ada")
    page.keyboard.press("Enter")
    expect_people(page, "Grace", "Ada")
    expect(page.get_by_test_id("trouble")).to_have_text("")

    refused = terminal(gateway, "Ada")
    refused.wait_for(r"! .*Ada is in the room already: take another name")
    assert refused.end() == 1


def test_everybody_comes_back_when_the_server_was_away(
    start: Start, page: Page, complaints: Complaints, terminal: Terminals
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start(TARGET)
    join(page, gateway.page, "Ada")
    grace = terminal(gateway, "Grace")
    expect_people(page, "Ada", "Grace")
    say(page, "before")
    grace.wait_for("Ada: before")

    gateway.stop()
    status = page.get_by_test_id("status")
    expect(status).to_have_attribute("data-state", "away")
    expect(status).to_have_text("The server is away; trying again …")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    grace.wait_for("! .*; trying again")

    start(TARGET, port=gateway.port)
    expect(status).to_have_attribute("data-state", "there")
    expect(page.get_by_test_id("people").locator("li")).to_have_count(2)
    say(page, "after")
    grace.wait_for("Ada: after")
    assert said(page) == ["before", "after"]
    assert sum("Ada: before" in line for line in grace.lines) == 1


def test_who_leaves_while_the_server_is_away_stays_out(
    start: Start, page: Page, complaints: Complaints, terminal: Terminals
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start(TARGET)
    join(page, gateway.page, "Ada")
    gateway.stop()
    expect(page.get_by_test_id("status")).to_have_attribute("data-state", "away")
    page.get_by_test_id("leave").click()
    expect(page.get_by_test_id("status")).to_have_text("Not in a room.")

    gateway = start(TARGET, port=gateway.port)
    terminal(gateway, "Grace").wait_for(r"\* you are Grace; here are Grace")
    page.get_by_role("button", name="Join").click()
    expect_people(page, "Grace", "Ada")


def test_who_is_killed_has_left(start: Start, page: Page, terminal: Terminals) -> None:
    gateway = start(TARGET, "--limit", "resume_window=1")  # so long a session may be away
    join(page, gateway.page, "Ada")
    grace = terminal(gateway, "Grace")
    expect_people(page, "Ada", "Grace")
    grace.signal(signal.SIGKILL)
    expect_people(page, "Ada")
    expect(page.get_by_test_id("log")).to_contain_text("Grace went")
    assert grace.end() == -signal.SIGKILL


def test_who_is_stopped_holds_up_nobody_and_reads_it_later(
    start: Start, page: Page, terminal: Terminals
) -> None:
    gateway = start(TARGET)
    join(page, gateway.page, "Ada")
    slow, quick = terminal(gateway, "Slow"), terminal(gateway, "Quick")
    expect(page.get_by_test_id("people").locator("li")).to_have_count(3)
    slow.wait_for(r"\* you are Slow.*")

    slow.signal(signal.SIGSTOP)
    quick.type(*(f"line {number}" for number in range(300)))
    quick.wait_for("Quick: line 299")
    expect(page.get_by_test_id("log")).to_contain_text("line 299")

    slow.signal(signal.SIGCONT)
    slow.wait_for("Quick: line 299")
    assert sum("Quick: line" in line for line in slow.lines) == 300
    slow.type("here again")
    expect(page.get_by_test_id("log")).to_contain_text("here again")
