"""The end of the tutorial: its chat, in two windows, beside the prompt that the page left open."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.docs.follower import PROJECT, Follower
from tests.e2e.conftest import browser  # noqa: F401


def say(window: Page, text: str) -> None:
    window.get_by_role("textbox").fill(text)
    window.get_by_role("button").click()


def test_the_chat_of_the_tutorial(tmp_path: Path, browser: Browser) -> None:  # noqa: F811
    page = PROJECT / "docs/tutorial/4-chat.md"
    with Follower(page, tmp_path, browser) as follower, browser.new_context() as context:
        follower.follow()  # the robot is there now
        assert follower.server is not None
        windows = [context.new_page(), context.new_page()]
        for window, name in zip(windows, ("Ann", "Bob"), strict=True):
            window.goto(follower.server.page)
            say(window, name)
            expect(window.get_by_role("log")).to_contain_text(f"{name} came")
        ann, bob = windows

        say(ann, "hello <b>everybody</b>")
        for window in windows:
            expect(window.get_by_role("log")).to_contain_text("Ann: hello <b>everybody</b>")

        other = context.new_page()
        other.goto(follower.server.page)
        say(other, "Ann")
        expect(other.get_by_role("log")).to_have_text("Ann is here already")
        say(other, "Carol")
        expect(bob.get_by_role("log")).to_contain_text("Carol came")

        ann.close()
        expect(bob.get_by_role("log")).to_have_text(re.compile(r".*Carol came\s*Ann went"))
        follower.server.stop()
        expect(bob.get_by_role("log")).to_contain_text("The connection is gone.")
        follower.server = None
