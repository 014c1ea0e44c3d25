"""The example login: its Python client, and pages that see what each visitor may do."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Complaints, Gateway, Start, complaints_of_axe, run_client

TARGET = "examples.login.app:portal"
FAILED = re.compile("^the login failed$")


def log_in(page: Page, gateway: Gateway, name: str, password: str) -> None:
    page.goto(gateway.page)
    page.get_by_test_id("username").fill(name)
    page.get_by_test_id("password").fill(password)
    page.get_by_role("button", name="Log in").first.click()


def enter(page: Page, gateway: Gateway, name: str, password: str) -> None:
    log_in(page, gateway, name, password)
    expect(page.get_by_test_id("who")).to_have_text(name)


def post(page: Page, text: str) -> None:
    page.get_by_test_id("text").fill(text)
    page.get_by_role("button", name="Post", exact=True).click()


def notice(page: Page, text: str) -> Locator:
    return page.get_by_test_id("notices").locator("li").filter(has_text=text)


def take_down(page: Page, text: str) -> None:
    notice(page, text).get_by_role("button").click()


def test_the_python_client(start: Start) -> None:
    gateway = start(TARGET)
    assert run_client("examples/login/client.py", f"ws://{gateway.address}/pb") == [
        "UnauthorizedLogin: the login failed",
        "a guest alice",
        "a guest has no method to post with",
        "bob tries: alice posted this, and you are bob",
        "by a token: bob",
        "  the board has changed, the latest is from bob",
        "the token has expired, and the avatar is dead",
        "carol took down what alice had posted",
    ]
    assert "a guess" not in gateway.log()
    assert "wonderland" not in gateway.log()


def test_each_may_do_what_their_avatar_has_methods_for(
    start: Start, page: Page, other_page: Page
) -> None:
    gateway = start(TARGET)
    enter(page, gateway, "alice", "wonderland")
    other_page.goto(gateway.page)
    other_page.get_by_test_id("guest").click()
    expect(other_page.get_by_test_id("who")).to_have_text("a guest")
    assert complaints_of_axe(page) == []

    post(page, "<b>Tea</b> at four")
    expect(notice(other_page, "<b>Tea</b> at four")).to_be_visible()  # it was told
    post(other_page, "I was here")
    trouble = other_page.get_by_test_id("trouble")
    expect(trouble).to_contain_text("a guest cannot: no method 'post'")
    take_down(other_page, "Tea")
    expect(trouble).to_have_text("alice posted this, and you are a guest")
    take_down(page, "Whoever has a name")
    expect(page.get_by_test_id("trouble")).to_have_text("carol posted this, and you are alice")

    enter(other_page, gateway, "carol", "chairwoman")
    take_down(other_page, "Tea")
    expect(notice(page, "Tea")).to_have_count(0)
    expect(notice(other_page, "Tea")).to_have_count(0)


def test_failed_logins_tell_nothing_and_ten_end_the_connection(
    start: Start, page: Page, complaints: Complaints
) -> None:
    gateway = start(TARGET)
    for name in ("alice", "nobody"):
        log_in(page, gateway, name, "guess")
        expect(page.get_by_test_id("trouble")).to_have_text(FAILED)
    assert complaints_of_axe(page) == []
    for number in range(2, 11):  # of the second page's connection
        page.get_by_role("button", name="Log in").first.click()
        gateway.wait_for_log(f"a login failed, {number} on this connection")
    expect(page.get_by_test_id("status")).to_contain_text("login_failures: 10 logins have failed")
    page.get_by_test_id("guest").click()  # by a connection of its own
    expect(page.get_by_test_id("who")).to_have_text("a guest")


def test_a_login_by_token_is_renewed_or_expires(start: Start, page: Page) -> None:
    enter(page, start(TARGET), "bob", "builder")
    sockets: list[object] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.get_by_test_id("seconds").fill("60")
    page.get_by_role("button", name="Log in by token").click()
    expect(page.get_by_test_id("left")).to_have_text(re.compile(r"^(60|59|58) s$"))
    page.get_by_test_id("renew").click()
    post(page, "Still here")
    expect(notice(page, "Still here")).to_be_visible()
    assert complaints_of_axe(page) == []

    page.get_by_test_id("seconds").fill("1")
    page.get_by_role("button", name="Log in by token").click()
    expect(page.get_by_test_id("status")).to_have_text("Your login has expired.")
    expect(page.get_by_test_id("username")).to_be_visible()
    assert sockets == []  # all of it on one connection

    page.get_by_test_id("guest").click()
    expect(notice(page, "Still here")).to_be_visible()
    page.get_by_test_id("logout").click()
    expect(page.get_by_test_id("status")).to_have_text("Not logged in.")
