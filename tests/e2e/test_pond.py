"""examples/pond: two pages and a Python client with copies of one pond."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import SERVER_GOES, Complaints, Start, complaints_of_axe, run_client

TARGET = "examples.pond.app:PondRoot"


def ducks(page: Page) -> Locator:
    return page.get_by_test_id("pond").locator("bdi")


def let_in(page: Page, name: str) -> None:
    page.get_by_label("Name of a duck").fill(name)
    page.keyboard.press("Enter")


def log(page: Page) -> Locator:
    return page.get_by_test_id("log").locator("li")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def test_two_pages_see_the_same_pond(start: Start, page: Page, other_page: Page) -> None:
    gateway = start(TARGET)
    for one in (page, other_page):
        one.goto(gateway.page)
        expect(ducks(one)).to_have_text(["Jemima", "Donald"])

    let_in(page, "Daisy")
    for one in (page, other_page):
        expect(ducks(one)).to_have_text(["Jemima", "Donald", "Daisy"])
        expect(one.get_by_test_id("status")).to_have_text("3 ducks in this page's copy.")
    expect(page.get_by_label("Name of a duck")).to_have_value("")
    press(other_page, "Donald")
    for one in (page, other_page):
        expect(ducks(one)).to_have_text(["Jemima", "Daisy"])
        expect(log(one)).to_have_text(
            [
                "\u2190 the copy begins with 2 ducks",
                '\u2190 observe_addDuck("Daisy")',
                '\u2190 observe_removeDuck("Donald")',
            ]
        )


def test_a_copy_is_one_comes_home_and_is_given_back(
    start: Start, page: Page, other_page: Page
) -> None:
    gateway = start(TARGET)
    for one in (page, other_page):
        one.goto(gateway.page)
        expect(ducks(one)).to_have_count(2)
    press(page, "Get it once more")
    expect(log(page).last).to_have_text("the very same copy")
    press(page, "Send it home")
    expect(log(page).last).to_have_text("at the server it is the original")
    press(page, "Give it back")
    expect(log(page).last).to_have_text("copies there are now: 1")
    expect(page.get_by_test_id("status")).to_have_text("No copy here.")

    lines = log(page).count()
    let_in(other_page, "Daisy")
    expect(ducks(other_page)).to_have_count(3)
    let_in(page, "Dewey")  # a call of its own, behind anything that could have been told
    expect(ducks(other_page)).to_have_count(4)
    expect(page.get_by_label("Name of a duck")).to_have_value("")
    assert log(page).count() == lines
    press(page, "Get the pond")
    expect(ducks(page)).to_have_text(["Jemima", "Donald", "Daisy", "Dewey"])


def test_who_goes_observes_no_longer(start: Start, page: Page, other_page: Page) -> None:
    gateway = start(TARGET)
    for one in (page, other_page):
        one.goto(gateway.page)
        expect(ducks(one)).to_have_count(2)
    other_page.close()
    let_in(page, "Daisy")
    expect(ducks(page)).to_have_count(3)
    press(page, "Give it back")
    expect(log(page).last).to_have_text("copies there are now: 0")


def test_the_python_client(start: Start, page: Page) -> None:
    gateway = start(TARGET)
    page.goto(gateway.page)
    expect(ducks(page)).to_have_count(2)
    assert run_client("examples/pond/client.py", f"ws://{gateway.address}/pb") == [
        " cache - sitting, er, setting ducks",
        "the copy is there; reading it needs no call",
        " cache - addDuck ugly duckling",
        "ducks more than before: 1",
        " cache - removeDuck ugly duckling",
        "ducks more than before: 0",
        "handed over again it is the same copy: True",
        "and at the server the original: True",
        "copies fewer: 1",
        "ducks more than before: 0",
    ]
    expect(log(page)).to_have_count(5)  # the page's copy has followed all of it
    expect(ducks(page)).to_have_text(["Jemima", "Donald"])


def test_what_cannot_be_is_told_and_what_others_write_stays_text(
    start: Start, page: Page, other_page: Page
) -> None:
    gateway = start(TARGET)
    for one in (page, other_page):
        one.goto(gateway.page)
        expect(ducks(one)).to_have_count(2)
    let_in(page, "Donald")
    expect(page.get_by_test_id("trouble")).to_have_text("Donald is on the pond already")
    expect(page.get_by_label("Name of a duck")).to_have_value("Donald")
    let_in(page, "<b>Daisy</b>")
    expect(page.get_by_test_id("trouble")).to_have_text("")
    expect(ducks(other_page).last).to_have_text("<b>Daisy</b>")
    assert other_page.locator("b").count() == 0


def test_it_comes_back_when_the_server_was_away(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start(TARGET)
    page.goto(gateway.page)
    let_in(page, "Daisy")
    expect(ducks(page)).to_have_count(3)
    gateway.stop()
    status = page.get_by_test_id("status")
    expect(status).to_have_text("The server is away; trying again …")
    expect(page.get_by_role("button", name="Let it in")).to_be_disabled()
    start(TARGET, port=gateway.port)
    expect(status).to_have_text("2 ducks in this page's copy.")
    expect(page.get_by_test_id("trouble")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_in_both_schemes_and_any_width(
    scheme: Any, start: Start, page: Page
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(start(TARGET).page)
    expect(ducks(page)).to_have_count(2)
    let_in(page, "Donald")
    expect(page.get_by_test_id("trouble")).to_have_text(re.compile("already"))
    assert complaints_of_axe(page) == []
    for width in (1200, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
