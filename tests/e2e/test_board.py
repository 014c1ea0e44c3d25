"""examples/board: two pages, a finger and a Python client at one board."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

import pbweb as pb
from tests.e2e.chromium import PROJECT
from tests.e2e.conftest import (
    SECONDS,
    SERVER_GOES,
    Complaints,
    Gateway,
    Start,
    complaints_of_axe,
    environment,
    run_client,
)

TARGET = "examples.board.app:BoardRoot"
FIRST = [
    ["Choose a tree", "Invite the neighbours"],
    ["Collect twigs", "Line it with moss"],
    ["Learn to fly"],
]


@pytest.fixture
def gateway(start: Start) -> Gateway:
    return start(TARGET)


@pytest.fixture
def two(gateway: Gateway, page: Page, other_page: Page) -> tuple[Page, Page]:
    for one in (page, other_page):
        one.goto(gateway.page)
        expect_board(one, FIRST)
    expect(page.get_by_test_id("status")).to_have_text("2 here")
    return page, other_page


def column(page: Page, at: int) -> Locator:
    return page.get_by_test_id("column").nth(at)


def card(page: Page, text: str) -> Locator:
    return page.get_by_test_id("card").filter(has=page.get_by_text(text, exact=True))


def grip_of(page: Page, text: str) -> Locator:
    return page.get_by_role("button", name=f"Move “{text}”", exact=True)


def expect_board(page: Page, columns: list[list[str]]) -> None:
    for at, texts in enumerate(columns):
        expect(column(page, at).locator(".text")).to_have_text(texts)
        expect(column(page, at).locator(".number")).to_have_text(str(len(texts)))


def add(page: Page, at: int, text: str) -> None:
    column(page, at).get_by_placeholder("Add a card").fill(text)
    page.keyboard.press("Enter")


def middle(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def lift_by_mouse(page: Page, text: str) -> tuple[float, float]:
    x, y = middle(card(page, text).locator(".text"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 3, y + 8, steps=2)
    return x, y


def test_a_card_is_dragged_by_mouse_and_moves_in_both(two: tuple[Page, Page]) -> None:
    page, other = two
    lift_by_mouse(page, "Choose a tree")
    # The others see in whose hand it is, while it still is where it was.
    expect(card(other, "Choose a tree").locator(".holder")).to_have_text("Heron")
    expect_board(other, FIRST)
    page.mouse.move(*middle(column(page, 1).locator("input")), steps=8)
    expect(column(page, 1).locator(".lifted")).to_have_count(1)
    expect_board(other, FIRST)
    page.mouse.up()
    moved = [["Invite the neighbours"], [*FIRST[1], "Choose a tree"], FIRST[2]]
    for one in two:
        expect_board(one, moved)
        expect(one.locator(".lifted, .floating")).to_have_count(0)
        expect(one.locator(".holder:visible")).to_have_count(0)

    lift_by_mouse(other, "Learn to fly")
    page_x, page_y = middle(card(other, "Collect twigs"))
    other.mouse.move(page_x, page_y - 15, steps=8)
    other.mouse.up()
    moved = [moved[0], ["Learn to fly", *moved[1]], []]
    for one in two:
        expect_board(one, moved)


def test_escape_puts_a_dragged_card_back(two: tuple[Page, Page]) -> None:
    page, other = two
    lift_by_mouse(page, "Choose a tree")
    page.mouse.move(*middle(card(page, "Learn to fly")), steps=8)
    expect(column(page, 2).locator(".lifted")).to_have_count(1)
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.locator(".floating")).to_have_count(0)
    expect(other.locator(".holder:visible")).to_have_count(0)
    add(page, 0, "later")  # nothing was sent before this
    for one in two:
        expect_board(one, [[*FIRST[0], "later"], FIRST[1], FIRST[2]])


def test_a_card_is_moved_by_keys_alone(two: tuple[Page, Page]) -> None:
    page, other = two
    spoken = page.get_by_test_id("spoken")
    grip = grip_of(page, "Collect twigs")
    grip.focus()
    page.keyboard.press("Space")
    expect(spoken).to_have_text(re.compile(r"^Picked up: Doing, 1 of 2\. Space picks"))
    for key, place in (
        ("ArrowDown", "Doing, 2 of 2."),
        ("ArrowDown", "Doing, 2 of 2."),
        ("ArrowRight", "Done, 2 of 2."),
        ("Home", "Done, 1 of 2."),
        ("ArrowLeft", "Doing, 1 of 2."),
        ("ArrowLeft", "To do, 1 of 3."),
        ("End", "To do, 3 of 3."),
        ("ArrowUp", "To do, 2 of 3."),
    ):
        page.keyboard.press(key)
        expect(spoken).to_have_text(place)
        expect(grip).to_be_focused()
    expect(card(other, "Collect twigs").locator(".holder")).to_have_text("Heron")
    expect_board(other, FIRST)
    page.keyboard.press("Space")
    expect(spoken).to_have_text("Dropped: To do, 2 of 3.")
    moved = [["Choose a tree", "Collect twigs", "Invite the neighbours"], FIRST[1][1:], FIRST[2]]
    for one in two:
        expect_board(one, moved)
    expect(grip).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(spoken).to_have_text("Put back.")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")  # who goes away puts it back as well
    expect(spoken).to_have_text("Put back.")
    for one in two:
        expect_board(one, moved)


@pytest.fixture
def touched(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A tab on a telephone."""
    with browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    ) as context:
        page = context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        complaints.watch(page)
        yield page


def test_a_card_is_moved_by_a_finger(gateway: Gateway, page: Page, touched: Page) -> None:
    page.goto(gateway.page)
    touched.goto(gateway.page)
    expect_board(touched, FIRST)
    finger = touched.context.new_cdp_session(touched)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": x, "y": y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    x, y = middle(card(touched, "Learn to fly").locator(".grip"))
    to_x, to_y = middle(card(touched, "Invite the neighbours").locator(".grip"))
    touch("touchStart", (x, y))
    for part in range(1, 9):
        touch("touchMove", (x + (to_x - x) * part / 8, y + (to_y - 8 - y) * part / 8))
    expect(column(touched, 0).locator(".lifted")).to_have_count(1)
    touch("touchEnd")
    moved = [["Choose a tree", "Learn to fly", "Invite the neighbours"], FIRST[1], []]
    for one in (page, touched):
        expect_board(one, moved)
    assert touched.evaluate("() => scrollY") == 0


def test_cards_are_added_edited_and_removed(two: tuple[Page, Page]) -> None:
    page, other = two
    add(page, 2, "Sing")
    for one in two:
        expect_board(one, [*FIRST[:2], ["Learn to fly", "Sing"]])
        expect(card(one, "Sing").locator(".by")).to_have_text("Heron")

    card(other, "Sing").get_by_role("button", name="Edit “Sing”").click()
    field = other.get_by_label("What the card says")
    expect(field).to_be_focused()
    field.fill("Sing <b>loudly</b>")
    other.keyboard.press("Shift+Enter")
    other.keyboard.type("at dawn")
    other.keyboard.press("Enter")
    text = "Sing <b>loudly</b>\nat dawn"
    for one in two:
        expect(column(one, 2).locator(".text").last).to_have_text(text)
        assert one.locator(".card b").count() == 0
    edit = other.get_by_role("button", name="Edit “Sing")
    expect(edit).to_be_focused()
    other.keyboard.press("Enter")
    other.keyboard.type("no")
    other.keyboard.press("Escape")
    expect(column(other, 2).locator(".text").last).to_have_text(text)

    page.get_by_role("button", name="Remove “Sing").click()
    for one in two:
        expect_board(one, FIRST)


def test_writing_goes_on_while_others_move_the_card(two: tuple[Page, Page]) -> None:
    page, other = two
    card(page, "Choose a tree").locator(".text").dblclick()
    page.keyboard.type("Choose a high")
    grip_of(other, "Choose a tree").focus()
    for key in ("Space", "ArrowRight", "Space"):
        other.keyboard.press(key)
    expect(column(other, 1).locator(".text")).to_have_text([FIRST[0][0], *FIRST[1]])
    expect(column(page, 1).locator("textarea")).to_be_focused()
    page.keyboard.type(" tree")
    page.keyboard.press("Enter")
    for one in two:
        expect_board(one, [FIRST[0][1:], ["Choose a high tree", *FIRST[1]], FIRST[2]])


def test_a_card_that_is_removed_falls_out_of_the_hand(two: tuple[Page, Page]) -> None:
    page, other = two
    lift_by_mouse(page, "Choose a tree")
    expect(card(other, "Choose a tree").locator(".holder")).to_have_text("Heron")
    other.get_by_role("button", name="Remove “Choose a tree”").click()
    expect(page.locator(".floating")).to_have_count(0)
    page.mouse.up()
    for one in two:
        expect_board(one, [FIRST[0][1:], *FIRST[1:]])
    lift_by_mouse(page, "Learn to fly")
    page.mouse.move(*middle(column(page, 0).locator("h2")), steps=8)
    page.mouse.up()
    for one in two:
        expect_board(one, [["Learn to fly", *FIRST[0][1:]], FIRST[1], []])


def test_who_is_here(two: tuple[Page, Page], gateway: Gateway) -> None:
    page, other = two
    people = page.get_by_test_id("people").locator("li")
    expect(people).to_have_text([re.compile("Heron: this page"), re.compile("Otter")])
    expect(other.get_by_test_id("people").locator("li.me")).to_have_text(re.compile("Otter"))
    lift_by_mouse(other, "Learn to fly")
    expect(card(page, "Learn to fly").locator(".holder")).to_have_text("Otter")
    other.close()  # with the card in hand
    expect(people).to_have_count(1)
    expect(page.get_by_test_id("status")).to_have_text("1 here")
    expect(page.locator(".holder:visible")).to_have_count(0)


def test_what_cannot_be_is_told(two: tuple[Page, Page]) -> None:
    page, _ = two
    field = column(page, 0).get_by_placeholder("Add a card")
    field.evaluate("(field) => field.removeAttribute('maxlength')")
    field.fill("x" * 281)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("trouble")).to_have_text("a card has 1 to 280 characters")
    expect(field).to_have_value("x" * 281)
    field.fill("x")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("trouble")).to_have_text("")
    expect(field).to_have_value("")


@pytest.fixture
def watcher(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    """The Python client, which prints what changes."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "examples/board/client.py", f"ws://{gateway.address}/pb"],
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_the_python_client_watches_and_adds(
    gateway: Gateway, page: Page, watcher: subprocess.Popen[str]
) -> None:
    assert watcher.stdout is not None
    lines = [watcher.stdout.readline().rstrip() for _ in range(4)]
    assert lines == [
        "Build a nest, 1 here",
        "To do: Choose a tree, Invite the neighbours",
        "Doing: Collect twigs, Line it with moss",
        "Done: Learn to fly",
    ]
    page.goto(gateway.page)
    expect_board(page, FIRST)
    assert "Otter" in watcher.stdout.readline()
    printed = run_client("examples/board/client.py", f"ws://{gateway.address}/pb", "Sing")
    assert printed[0] == "Build a nest, 3 here"
    assert printed[-3:] == ["To do: Choose a tree, Invite the neighbours, Sing", *lines[2:]]
    expect_board(page, [[*FIRST[0], "Sing"], *FIRST[1:]])
    assert any("Sing" in watcher.stdout.readline() for _ in range(3))


ROUNDS = 60  # of edits of all cards: several times what one peer's window holds
PADDING = "." * 260


def test_who_is_stopped_holds_up_nobody_and_gets_the_latest(
    gateway: Gateway, watcher: subprocess.Popen[str]
) -> None:
    assert watcher.stdout is not None
    while "Done: " not in watcher.stdout.readline():
        pass

    async def edit_all() -> int:
        async with pb.connect(f"ws://{gateway.address}/pb") as connection:
            desk = await connection.getRootObject()
            cards = [await desk.callRemote("add", 0, "more") for _ in range(195)]
            for number in range(ROUNDS):  # each is one update
                text = f"round {number} {PADDING}"
                await asyncio.gather(*(desk.callRemote("edit", card, text) for card in cards))
            return len(cards)

    watcher.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:  # Playwright's loop may run in this thread
        number = pool.submit(asyncio.run, edit_all()).result()
    watcher.send_signal(signal.SIGCONT)
    rounds = set()
    while (last := f"round {ROUNDS - 1} ") not in (line := watcher.stdout.readline()):
        assert line, f"the board ended before {last}"
        rounds.update(re.findall(r"round \d+ ", line))
    assert number == 195
    assert len(rounds) < ROUNDS - 1


def test_it_comes_back_when_the_server_was_away(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start(TARGET)
    page.goto(gateway.page)
    add(page, 0, "Sing")
    expect_board(page, [[*FIRST[0], "Sing"], *FIRST[1:]])
    gateway.stop()
    status = page.get_by_test_id("status")
    expect(status).to_have_text("The server is away; trying again …")
    add(page, 0, "is not sent")
    expect(page.get_by_test_id("trouble")).to_have_text("The server is away.")
    start(TARGET, port=gateway.port)
    expect(status).to_have_text("1 here")
    expect_board(page, FIRST)
    expect(page.get_by_test_id("trouble")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_in_both_schemes_and_any_width(
    scheme: Any, gateway: Gateway, page: Page
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(gateway.page)
    expect_board(page, FIRST)
    assert complaints_of_axe(page) == []
    grip_of(page, "Collect twigs").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    assert complaints_of_axe(page) == []
    page.keyboard.press("Escape")
    card(page, "Learn to fly").locator(".text").dblclick()
    assert complaints_of_axe(page) == []
    for width in (1200, 768, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_nothing_slides_for_those_who_asked_for_that(gateway: Gateway, page: Page) -> None:
    page.add_init_script(
        "const animate = Element.prototype.animate;"
        "Element.prototype.animate = function (...given) {"
        "window.moved = true; return animate.apply(this, given); };"
    )
    page.emulate_media(reduced_motion="reduce")
    page.goto(gateway.page)
    add(page, 0, "Sing")
    expect_board(page, [[*FIRST[0], "Sing"], *FIRST[1:]])
    assert page.evaluate("() => window.moved") is None
    page.emulate_media(reduced_motion="no-preference")
    add(page, 0, "Dance")
    expect(card(page, "Dance")).to_be_visible()
    assert page.evaluate("() => window.moved") is True
