"""The demo page in Chromium: what it runs, what it shows of the wire, and how it is used."""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Frame, Locator, Page, expect

import pbweb as pb
from examples import demo as demo_services
from tests.e2e.chromium import PROJECT
from tests.e2e.conftest import (
    SECONDS,
    SERVER_GOES,
    Complaints,
    Gateway,
    Start,
    complaints_of_axe,
    starting,
)

FOLDERS = sorted(path.parent.name for path in (PROJECT / "examples").glob("*/app.py"))
PAGES = ("--pages", "examples")
SCHEMES: tuple[Any, ...] = ("light", "dark")
WINDOW = ("--limit", "resume_window=60")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demo, which tells the server's tables besides.

    A page that goes says so, as long as its browser lets it: else its session outlives it.
    """
    with starting(tmp_path_factory.mktemp("watched")) as starter:
        yield starter("tests.e2e.demo_app:SERVICES", *PAGES, "--limit", "resume_window=5")


def table_of_examples(page: Page, gateway: Gateway) -> list[dict[str, Any]]:
    page.goto(gateway.page)
    found: list[dict[str, Any]] = page.evaluate(
        "async () => (await import('/demo/examples.js')).EXAMPLES"
        ".map(({ name, title, target }) => ({ name, title, target }))"
    )
    return found


def open_example(page: Page, gateway: Gateway, name: str) -> Frame:
    page.goto(f"{gateway.page}/#{name}")
    element = page.locator(f'iframe[data-testid="{name}"]').element_handle()
    frame = element.content_frame()
    assert frame is not None
    frame.locator("li button").first.wait_for()
    return frame


def run_steps(frame: Frame, number: int) -> None:
    """Runs the first steps, one after the other."""
    for at in range(number):
        frame.locator("li").nth(at).get_by_role("button").click()
        expect(frame.locator("li").nth(at)).to_have_attribute("data-state", "done")
        expect(frame.locator("body")).to_have_attribute("data-state", "done")


def run_all(frame: Frame) -> None:
    frame.get_by_test_id("run").click()
    expect(frame.locator("body")).to_have_attribute("data-state", re.compile("done|failed"))
    assert frame.locator("body").get_attribute("data-state") == "done", frame.inner_text("ol")


def holdings(page: Page) -> Locator:
    return page.locator("#holdings tr:not(.gone)")


def frames(page: Page, name: str) -> Locator:
    return page.locator(f'#frames .frame[data-name="{name}"]')


# What it shows.


def test_the_table_of_examples_is_complete(demo: Gateway, page: Page) -> None:
    table = table_of_examples(page, demo)
    assert sorted(example["name"] for example in table) == FOLDERS
    assert sorted(demo_services.SERVICES) == [f"/{name}/pb" for name in FOLDERS]
    expect(page.get_by_role("tablist", name="Examples").get_by_role("tab")).to_have_text(
        [re.compile(re.escape(example["title"])) for example in table]
    )
    for example in table:
        readme = (PROJECT / "examples" / example["name"] / "README.md").read_text()
        assert f"pbweb serve examples.{example['name']}.app:{example['target']}" in readme


STEPPED = [
    name
    for name in FOLDERS
    if "or step by step" in (PROJECT / "examples" / name / "index.html").read_text()
]


@pytest.mark.parametrize("name", STEPPED)
def test_an_example_runs_in_place_and_shows_each_point(
    name: str, demo: Gateway, page: Page
) -> None:
    frame = open_example(page, demo, name)
    expect(page.get_by_test_id("status")).to_have_text("Connected to the server.")
    points = page.locator("#guide li")
    assert points.count() >= 3
    expect(page.locator("#guide li.seen")).to_have_count(0)
    run_all(frame)
    expect(page.locator("#guide li:not(.seen)")).to_have_count(0)
    for at in range(points.count()):
        points.nth(at).get_by_role("button", name="Show it").click()
        expect(page.locator("#frames .label:focus")).to_have_count(1)
    # The session is over: what was held is gone, and leaves the table.
    expect(page.locator("#holdings tr")).to_have_count(0)
    expect(page.locator("#holdings-summary")).to_have_text(
        "The page holds 0 of the server's objects, the server 0 of the page's."
    )


def test_chat_runs_in_place_beside_a_tab_of_its_own(watched: Gateway, page: Page) -> None:
    page.goto(f"{watched.page}/#chat")
    chat = page.frame_locator("iframe[data-testid=chat]")
    chat.get_by_test_id("name").fill("Ada")
    chat.get_by_role("button", name="Join").click()
    chat.get_by_test_id("text").fill("hello")
    chat.get_by_role("button", name="Send").click()
    points = page.locator("#guide li")
    for at in range(3):
        expect(points.nth(at)).to_have_class("seen")
    objects = holdings(page).locator(".object")
    expect(objects).to_have_text(["object root", "object #1", "object #1"])

    with page.expect_popup() as popup:
        page.get_by_role("link", name="on its own").click()
    expect(popup.value.locator("datalist option")).to_have_count(1)  # and so does this one's
    popup.value.get_by_test_id("name").fill("Bob")
    popup.value.get_by_role("button", name="Join").click()
    expect(points.nth(3)).to_have_class("seen")
    popup.value.close()
    expect(frames(page, "message").last).to_contain_text('went("Bob")')
    chat.get_by_role("button", name="Leave").click()
    expect(holdings(page)).to_have_count(0)


def test_pond_runs_in_place_and_its_copy_has_a_row(watched: Gateway, page: Page) -> None:
    page.goto(f"{watched.page}/#pond")
    pond = page.frame_locator("iframe[data-testid=pond]")
    expect(pond.get_by_test_id("pond").locator("li")).to_have_count(2)
    row = page.locator('#holdings tr[data-kind="cache"]')
    expect(row.locator(".object")).to_have_text("original #1")
    expect(row).to_contain_text("DuckPond, in the answer to getPond")
    pond.get_by_label("Name of a duck").fill("Daisy")
    pond.get_by_role("button", name="Let it in").click()
    expect(row.locator(".calls")).to_have_text("updated once")
    pond.get_by_role("button", name="Get it once more").click()
    expect(row.locator(".times")).to_have_text("2 \u00d7")
    expect(page.locator("#holdings-summary")).to_have_text(
        "The page holds a copy and 0 of the server's objects, the server 0 of the page's."
    )
    pond.get_by_role("button", name="Send it home").click()
    pond.get_by_role("button", name="Give it back").click()
    expect(page.locator("#guide li:not(.seen)")).to_have_count(0)
    expect(holdings(page).filter(has_text="original")).to_have_count(0)
    update = frames(page, "cachemessage").first
    update.get_by_role("button", name="cachemessage").click()
    expect(update.locator(".detail")).to_contain_text(
        "The server calls observe_addDuck on the page's copy of its object #1"
    )
    expect(page.locator('[id="source-index.html"] .line')).not_to_have_count(0)


def test_board_runs_in_place_beside_a_tab_of_its_own(watched: Gateway, page: Page) -> None:
    page.goto(f"{watched.page}/#board")
    board = page.frame_locator("iframe[data-testid=board]")
    grip = board.get_by_test_id("card").first.locator(".grip")
    grip.focus()
    for key in ("Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(board.get_by_test_id("spoken")).to_have_text("Dropped: Doing, 1 of 3.")
    points = page.locator("#guide li")
    for at in range(4):
        expect(points.nth(at)).to_have_class("seen")
    row = page.locator('#holdings tr[data-kind="cache"]')
    expect(row.locator(".object")).to_have_text("original #1")
    expect(row).to_contain_text("Board, in the answer to join")
    moved = frames(page, "cachemessage").filter(has_text="splice")
    expect(moved.locator(".content")).to_have_text(
        re.compile(r"columns\[0\]\.cards\.splice\(0, 1\), columns\[1\]\.cards\.splice\(0, 0, \{")
    )
    moved.get_by_role("button", name="cachemessage").click()
    expect(moved.locator(".detail")).to_contain_text("what has changed since the last time")

    with page.expect_popup() as popup:
        page.get_by_role("link", name="on its own").click()
    expect(popup.value.get_by_test_id("status")).to_have_text("2 here")
    expect(points.nth(4)).to_have_class("seen")
    expect(board.get_by_test_id("status")).to_have_text("2 here")
    popup.value.close()
    expect(board.get_by_test_id("status")).to_have_text("1 here")


def test_files_run_in_place_and_a_stream_has_a_row(watched: Gateway, page: Page) -> None:
    page.goto(f"{watched.page}/#files")
    files = page.frame_locator("iframe[data-testid=files]")
    expect(files.locator("body")).to_have_attribute("data-state", "ready")
    files.get_by_test_id("file").set_input_files(
        {"name": "a.bin", "mimeType": "application/octet-stream", "buffer": bytes(200_000)}
    )
    transfer = files.get_by_test_id("transfers").locator("li").first
    expect(transfer).to_have_attribute("data-state", "done")
    for at in range(3):
        expect(page.locator("#guide li").nth(at)).to_have_class("seen")
    asked = frames(page, "message").filter(has_text="next").first
    asked.locator(".label").click()
    expect(asked.locator(".detail")).to_contain_text("calls next on the page's stream #1")

    files.get_by_test_id("down-size").select_option("1000")
    files.get_by_test_id("down").click()
    reader = page.locator('#holdings tr[data-kind="stream"][data-owner="server"]:not(.gone)')
    expect(reader.locator(".object")).to_have_text("stream #1")
    expect(reader.locator(".calls")).to_have_text(re.compile(r"^\d+ read, \d+ asked for$"))
    files.get_by_role("button", name="Cancel").first.click()
    expect(page.locator("#guide li:not(.seen)")).to_have_count(0)
    expect(holdings(page)).to_have_count(1)  # the root: both streams were given back


def test_login_runs_in_place_and_no_password_is_shown(watched: Gateway, page: Page) -> None:
    page.goto(f"{watched.page}/#login")
    login = page.frame_locator("iframe[data-testid=login]")
    for password in ("a guess", "wonderland"):
        login.get_by_test_id("username").fill("alice")
        login.get_by_test_id("password").fill(password)
        login.get_by_role("button", name="Log in", exact=True).click()
        expect(login.locator("#trouble:not(:empty), #inside:visible")).to_have_count(1)
    expect(login.get_by_test_id("who")).to_have_text("alice")
    login.get_by_test_id("seconds").fill("3600")
    login.get_by_role("button", name="Log in by token").click()
    login.get_by_test_id("renew").click()
    expect(page.locator("#guide li:not(.seen)")).to_have_count(0)

    page.get_by_label("all frames").check()
    for frame in frames(page, "message").all() + frames(page, "answer").all():
        frame.locator(".label").click()
    first = frames(page, "message").filter(has_text=".login(").first
    expect(first.locator(".detail")).to_contain_text(
        "The page asks the server to log in (password; what proves it is masked here), as its call"
    )
    shown = page.locator("#frames").inner_html()
    assert shown.count("\u2022" * 6) >= 6
    assert not re.search("a guess|wonderland|eyJ", shown)
    avatars = holdings(page).filter(has_text="in the answer to login")
    expect(avatars).to_have_count(1)
    login.get_by_test_id("logout").click()
    expect(avatars).to_have_count(0)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_files_are_shown_as_they_are(name: str, demo: Gateway, page: Page) -> None:
    page.goto(f"{demo.page}/#{name}")
    for file in ("app.py", "client.py"):
        text = (PROJECT / "examples" / name / file).read_text().rstrip()
        expect(page.locator(f'[id="source-{file}"] .line')).to_have_count(len(text.splitlines()))
        shown = page.locator(f'[id="source-{file}"]').text_content() or ""
        assert shown.rstrip() == text
    html = (PROJECT / "examples" / name / "index.html").read_text()
    shown = page.locator('[id="source-index.html"]').text_content() or ""
    assert len(shown.splitlines()) > 10
    assert all(line.strip() in html for line in shown.splitlines())
    assert page.locator('[id="source-app.py"] .token.keyword').count() > 0
    assert page.locator('[id="source-index.html"] .token.keyword').count() > 0


def test_a_call_is_joined_with_its_answer(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "echo")
    run_steps(frame, 2)
    call, answer = frames(page, "message"), frames(page, "answer")
    expect(call.locator(".content")).to_have_text(
        re.compile(r'^root.*\.echo\("hello network"\) ⇒ "hello network" after \d+\.\d ms$')
    )
    expect(answer.locator(".content")).to_have_text('echo ⇒ "hello network"')
    assert call.get_attribute("data-state") == "answer"
    expect(call.locator("[data-part=begins]")).to_have_count(1)
    expect(answer.locator("[data-part=ends]")).to_have_count(1)

    call.get_by_role("button", name="message 1").click()
    detail = call.locator(".detail")
    expect(detail).to_contain_text(
        "The page calls echo on what the server published as “root”, as its call 1."
    )
    expect(detail.locator("pre")).to_have_text('["message",1,"root","echo",["hello network"]]')
    expect(detail).to_contain_text("In a message of 45 bytes.")
    detail.get_by_role("button", name="Go to its answer").click()
    expect(answer.get_by_role("button", name="answer 1")).to_be_focused()


def test_a_batch_is_one_group(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "echo")
    run_steps(frame, 4)
    group = page.locator('#frames .message[data-side="page"]', has=page.locator(".group-head"))
    expect(group).to_have_count(1)
    expect(group.locator(".frame")).to_have_count(3)
    expect(group.locator(".group-head")).to_have_text(re.compile(r"^one message, 3 frames, \d+ by"))


def test_a_call_on_an_answer_that_is_not_there_says_so(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "references")
    run_steps(frame, 4)
    expect(frames(page, "message").last.locator(".content")).to_have_text(
        re.compile(r"^the answer to 3.*\.three\(12\) ⇒ 36")
    )


def test_a_callback_runs_beside_the_call(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "callbacks")
    run_steps(frame, 2)
    call = page.locator('.message[data-side="server"] .frame[data-name="message"]')
    expect(call.locator("[data-part='goes on'][data-side=page]")).to_have_count(1)
    expect(call.locator("[data-part=begins][data-side=server]")).to_have_count(1)
    expect(call.locator(".content")).to_have_text(re.compile(r"^#1.*\.print\(12\) ⇒ .printed 12"))


def test_a_call_that_is_lost_says_so(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "stale")
    run_all(frame)
    expect(frames(page, "message").first).to_have_attribute("data-state", "lost")
    expect(frames(page, "message").first).to_contain_text("lost: the session ended")
    expect(page.locator("#frames .event").last).to_contain_text("connection closed: 4410")


def test_an_object_lights_up_wherever_it_is_named(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "references")
    run_steps(frame, 4)
    chip = frames(page, "answer").first.get_by_role("button", name="remote #1")
    lit = page.locator("[data-lit]")
    chip.hover()
    # The chips of the answer, of the call that it answers, of the call on it, and the table's two.
    expect(lit).to_have_count(5)
    page.mouse.move(0, 0)
    expect(lit).to_have_count(0)

    chip.click()
    page.mouse.move(0, 0)
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(lit).to_have_count(5)
    frame.locator("li").nth(2).get_by_role("button").click()  # one more call on it
    expect(lit).to_have_count(6)
    assert {element.get_attribute("data-object") for element in lit.element_handles()} == {
        chip.get_attribute("data-object")
    }
    chip.press("Escape")
    expect(lit).to_have_count(0)

    chip.click()
    other = open_example(page, demo, "identity")
    run_steps(other, 2)  # it has a #1 as well, which is another object
    expect(lit).to_have_count(0)


def test_the_table_rises_and_what_is_released_goes_away(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "references")
    expect(page.locator("#no-holdings")).to_be_visible()
    run_steps(frame, 2)
    expect(holdings(page).locator(".object")).to_have_text(["object root", "object #1"])
    expect(holdings(page).last.locator(".times")).to_have_text("1 \u00d7")
    for step in (2, 5):
        frame.locator("li").nth(step).get_by_role("button").click()
        expect(frame.locator("li").nth(step)).to_have_attribute("data-state", "done")
    gone = page.locator('#holdings tr.gone [data-object$="server 1"].object')
    expect(gone).to_have_count(1)
    expect(gone).to_have_count(0)  # by itself
    expect(page.locator('#holdings [data-object$="server 1"]')).to_have_count(0)


# The ledger against both sides' own tables.


def server_tables(gateway: Gateway) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        async with pb.connect(f"ws://{gateway.address}/tables/pb") as connection:
            root = await connection.getRootObject()
            found: list[dict[str, Any]] = await root.callRemote("tables")
            return found

    # In a thread of its own: Playwright's loop runs in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, ask()).result()


def shown_counts(page: Page, owner: str, *kinds: str) -> dict[str, int]:
    found: dict[str, int] = page.evaluate(
        """([owner, kinds]) => Object.fromEntries(
            [...document.querySelectorAll(`#holdings tr[data-owner="${owner}"]:not(.gone)`)]
            .filter((row) => kinds.includes(row.dataset.kind))
            .map((row) => [row.dataset.key.split(" ")[2], Number(row.dataset.count)])
            .filter(([id]) => id !== "root"))""",
        [owner, kinds],
    )
    return found


Held = tuple[int, int, int, int]


def check_tables(page: Page, gateway: Gateway, frame: Frame) -> Held:
    """What is shown is what both sides have: objects of the server's and the page's, and copies."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    statistics = frame.evaluate("() => window.kept.connection.broker.statistics()")
    # The last session is the page's example's; the status keeps one of its own.
    server = server_tables(gateway)[-1]
    tables = ("handed_out", "held", "caches_handed_out", "caches_held")
    for table, owner, kind in zip(
        tables,
        ("server", "page", "server", "page"),
        ("object", "object", "cache", "cache"),
        strict=True,
    ):
        assert shown_counts(page, owner, kind) == server[f"{table}_counts"], table
        assert len(server[f"{table}_counts"]) == server[table]
    of_server, of_page, copies, copies_of_page = (server[table] for table in tables)
    assert statistics["exported"] == of_page + copies_of_page
    assert statistics["imported"] == of_server + copies
    more, more_of_page = ("a copy and " if number else "" for number in (copies, copies_of_page))
    expect(page.locator("#holdings-summary")).to_have_text(
        f"The page holds {more}{of_server} of the server's objects, "
        f"the server {more_of_page}{of_page} of the page's."
    )
    return of_server, of_page, copies, copies_of_page


def await_tables(page: Page, gateway: Gateway, frame: Frame, expected: Held, step: str) -> None:
    """Both sides come to hold *expected*: answers are kept until their receipt is told."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            assert check_tables(page, gateway, frame) == expected, step
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            page.wait_for_timeout(50)
        else:
            return


STEPS = [
    ("kept.made = await root.callRemote('make', 3)", (3, 0, 0, 0)),
    ("kept.same = await root.callRemote('same')", (4, 0, 0, 0)),
    ("await root.callRemote('same')", (4, 0, 0, 0)),
    ("await kept.same.callRemote('touch')", (4, 0, 0, 0)),
    ("await root.callRemote('keep', kept.mine, kept.report)", (4, 2, 0, 0)),
    ("await root.callRemote('keep', [kept.mine, { deep: [kept.mine] }])", (4, 2, 0, 0)),
    ("await root.callRemote('echo', [kept.mine, kept.same, kept.made[0]])", (4, 2, 0, 0)),
    (
        "await root.callRemote('noSuchMethod', new Referenceable(), kept.mine).catch(() => {})",
        (4, 2, 0, 0),
    ),
    ("await root.callRemote('keep', root.callRemote('same'))", (4, 2, 0, 0)),
    ("await root.callRemote('echo', new Uint8Array(4000))", (4, 2, 0, 0)),
    ("kept.made[1].release(); await root.callRemote('echo', 1)", (3, 2, 0, 0)),
    ("kept.same.release(); await root.callRemote('echo', 1)", (2, 2, 0, 0)),
    ("await root.callRemote('drop'); await root.callRemote('echo', 1)", (2, 0, 0, 0)),
    (
        "kept.made.map((thing) => thing.release()); await root.callRemote('echo', 1)",
        (0, 0, 0, 0),
    ),
    ("kept.pond = await root.callRemote('pond')", (0, 0, 1, 0)),
    ("await root.callRemote('stir'); await root.callRemote('pond')", (0, 0, 1, 0)),
    ("await root.callRemote('echo', [kept.pond, { deep: kept.pond }])", (0, 0, 1, 0)),
    ("await root.callRemote('keep', kept.own, [kept.own], kept.mine)", (0, 1, 1, 1)),
    ("kept.pond.release(); await root.callRemote('echo', 1)", (0, 1, 0, 1)),
    ("kept.pond = await root.callRemote('pond')", (0, 1, 1, 1)),
    ("await root.callRemote('drop'); await root.callRemote('echo', 1)", (0, 0, 1, 0)),
    ("kept.pond.release(); await root.callRemote('echo', 1)", (0, 0, 0, 0)),
]


def test_the_tables_are_those_of_both_sides(watched: Gateway, page: Page) -> None:
    frame = open_example(page, watched, "echo")
    frame.evaluate(
        """async () => {
            const base = new URL("./pb/pbweb.js", document.baseURI);
            const { connect, Cacheable, Referenceable, RemoteCache, setUnjellyableForClass } =
              await import(base);
            class Pond extends RemoteCache {
              observe_stirred() {}
            }
            class Own extends Cacheable {
              static pbType = "keeper.PondOfAPage";
              getStateToCacheAndObserveFor() {
                return {};
              }
            }
            setUnjellyableForClass("keeper.Pond", Pond);
            const connection = await connect("../keeper/pb");
            const root = await connection.getRootObject();
            const mine = new Referenceable();
            const kept = { connection, mine, own: new Own(), report: () => {} };
            Object.assign(window, { kept, root, Referenceable });
        }"""
    )
    assert check_tables(page, watched, frame) == (0, 0, 0, 0)
    for step, expected in STEPS:
        frame.evaluate(f"async () => {{ {step} }}")
        await_tables(page, watched, frame, expected, step)
    frame.evaluate("() => kept.connection.close()")
    expect(holdings(page)).to_have_count(0)


@pytest.mark.parametrize("name", STEPPED)
def test_after_each_example_the_server_is_at_its_baseline(
    name: str, watched: Gateway, page: Page
) -> None:
    run_all(open_example(page, watched, name))
    expect(holdings(page)).to_have_count(0)
    deadline = time.monotonic() + SECONDS
    while held := [table for table in server_tables(watched) if any(table.values())]:
        assert time.monotonic() < deadline, held


def test_the_log_does_not_grow_without_bounds(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "echo")
    frame.evaluate(
        """async () => {
            const { connect } = await import(new URL("./pb/pbweb.js", document.baseURI));
            const connection = await connect("./pb");
            const root = await connection.getRootObject();
            for (let at = 0; at < 250; at++) await root.callRemote("echo", at);
            await connection.close();
        }"""
    )
    expect(page.locator("#frames .event").last).to_contain_text("connection closed")
    assert page.locator("#frames > li").count() == 400  # of more than 500
    total = re.search(r"in (\d+) messages", page.locator("#total-page").text_content() or "")
    assert total is not None
    assert int(total[1]) > 250
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#frames > li")).to_have_count(0)
    expect(page.locator("#total-page")).to_have_text("0 frames in 0 messages, 0 bytes")


def test_an_example_that_is_left_lets_go(watched: Gateway, page: Page) -> None:
    frame = open_example(page, watched, "references")
    run_steps(frame, 2)
    assert any(table["handed_out"] for table in server_tables(watched))
    page.get_by_role("tab", name="Identity").click()
    expect(page.locator("iframe[data-testid=identity]")).to_be_visible()
    expect(page.locator("#holdings tr")).to_have_count(0)
    expect(page.locator("#frames > li")).to_have_count(0)
    deadline = time.monotonic() + SECONDS
    while any(table["handed_out"] for table in server_tables(watched)):
        assert time.monotonic() < deadline, "the server still holds what the page has left"


# How it is used.


def test_an_address_leads_to_an_example_and_back(demo: Gateway, page: Page) -> None:
    page.goto(f"{demo.page}/#callbacks")
    expect(page.get_by_role("heading", level=1)).to_have_text("Callbacks")
    expect(page).to_have_title("pbweb: Callbacks")
    page.get_by_role("tab", name="Stale").click()
    expect(page).to_have_url(f"{demo.page}/#stale")
    expect(page.locator("iframe[data-testid=stale]")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Callbacks")
    expect(page.locator("iframe[data-testid=callbacks]")).to_be_visible()
    page.goto(f"{demo.page}/#nothing-of-that-name")
    expect(page.get_by_role("heading", level=1)).to_have_text("Echo")


def focused(page: Page) -> str:
    text: str = page.evaluate("() => document.activeElement?.textContent ?? ''")
    return text.strip()


def test_everything_is_reached_by_keyboard(demo: Gateway, page: Page) -> None:
    open_example(page, demo, "echo")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the example"
    page.keyboard.press("Tab")
    assert focused(page) == "Echo"
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", level=1)).to_have_text("References")
    assert focused(page) == "References"
    page.keyboard.press("End")
    last = page.get_by_role("tablist", name="Examples").get_by_role("tab").last
    expect(last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    selected = page.locator('#tabs [aria-selected="true"]')
    expect(selected).to_have_text("References")
    expect(page.get_by_role("tabpanel", name="References")).to_be_visible()

    # Into the example's page: its steps by Tab and Enter.
    frame = page.frame_locator("iframe[data-testid=references]")
    frame.locator("li button").first.wait_for()
    page.keyboard.press("Tab")
    assert focused(page) == "on its own"
    page.keyboard.press("Tab")  # to what scrolls
    page.keyboard.press("Tab")
    expect(frame.get_by_test_id("run")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(frame.locator("li").nth(1)).to_have_attribute("data-state", "done")


def test_the_frames_are_one_stop_and_arrows_go_through_them(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "references")
    run_steps(frame, 3)
    labels = page.locator("#frames .label:visible")
    expect(labels).to_have_count(4)
    assert page.locator('#frames button:visible:not([tabindex="-1"])').count() <= 3
    labels.last.focus()
    page.keyboard.press("ArrowUp")
    expect(labels.nth(2)).to_be_focused()
    page.keyboard.press("Home")
    expect(labels.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(labels.first).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")  # to what the frame names
    expect(frames(page, "message").first.locator(".chip").first).to_be_focused()
    expect(page.locator("[data-lit]").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(labels.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(labels.last).to_be_focused()


def test_the_newest_frame_stays_in_sight_until_somebody_scrolls(demo: Gateway, page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 700})
    frame = open_example(page, demo, "identity")
    labels = page.locator("#frames .label:visible")
    run_steps(frame, 5)
    expect(labels.last).to_be_in_viewport()
    expect(labels.first).not_to_be_in_viewport()

    page.locator("#frames").hover()
    page.mouse.wheel(0, -5000)
    expect(labels.first).to_be_in_viewport()
    expect(frames(page, "message")).to_have_count(5)
    frame.locator("li").nth(1).get_by_role("button").click()
    expect(frames(page, "message")).to_have_count(7)
    expect(labels.first).to_be_in_viewport()
    expect(labels.last).not_to_be_in_viewport()


def test_housekeeping_is_shown_when_it_is_asked_for(demo: Gateway, page: Page) -> None:
    frame = open_example(page, demo, "echo")
    run_steps(frame, 1)
    expect(frames(page, "version").first).to_be_hidden()
    page.get_by_label("all frames").check()
    expect(frames(page, "version").first).to_be_visible()


def test_the_sources_tabs(demo: Gateway, page: Page) -> None:
    open_example(page, demo, "echo")
    tabs = page.get_by_role("tablist", name="Clients")
    expect(page.get_by_role("tabpanel", name="The page's JavaScript")).to_be_visible()
    tabs.get_by_role("tab", name="A Python client").click()
    expect(page.get_by_role("tabpanel", name="A Python client")).to_contain_text("asyncio.run")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tabpanel", name="The page's JavaScript")).to_be_visible()


def test_before_anything_ran_it_is_accessible(demo: Gateway, page: Page) -> None:
    open_example(page, demo, "echo")
    assert complaints_of_axe(page) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_each_example_is_accessible_on_a_telephone(name: str, demo: Gateway, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{demo.page}/#{name}")
    element = page.locator(f'iframe[data-testid="{name}"]').element_handle()
    frame = element.content_frame()
    assert frame is not None
    frame.wait_for_load_state()
    frame.wait_for_function(
        "() => !document.querySelector('#status')?.textContent.startsWith('Connecting')"
    )
    expect(page.get_by_test_id("status")).to_have_attribute("data-state", "connected")
    expect(page.locator(f"#tab-{name}")).to_be_in_viewport(ratio=1)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert complaints_of_axe(page) == [], scheme
        assert complaints_of_axe(frame) == [], scheme
    for place in (page, frame):
        assert place.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_many_frames_lengthen_their_list_and_not_the_page(demo: Gateway, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{demo.page}/#files")
    files = page.frame_locator("iframe[data-testid=files]")
    files.get_by_test_id("down").click()
    # A file's chunks are some hundred frames.
    page.wait_for_function("document.querySelectorAll('#frames .frame').length > 200")
    height = page.evaluate("() => document.querySelector('#frames').scrollHeight")
    assert height > 5_000
    ends = page.evaluate("() => document.querySelector('main').getBoundingClientRect().bottom")
    whole = page.evaluate("() => document.documentElement.scrollHeight - scrollY")
    assert whole < ends + 500
    progress = files.get_by_role("progressbar")
    expect(progress).to_be_in_viewport()


@pytest.mark.parametrize("width", [1440, 1024, 768, 390, 320])
def test_no_width_scrolls_sideways(width: int, demo: Gateway, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for name in ("echo", "callbacks", "exceptions"):
        run_all(open_example(page, demo, name))
        for label in page.locator("#frames .label:visible").element_handles()[:3]:
            label.click()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, name
        inner = page.locator("iframe").element_handle().content_frame()
        assert inner is not None
        fits = "() => document.documentElement.scrollWidth <= innerWidth"
        assert inner.evaluate(fits), f"{name}: the example's page scrolls sideways"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_are_accessible(scheme: Any, demo: Gateway, page: Page) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    back = "() => getComputedStyle(document.body).backgroundColor"
    for name in ("references", "callbacks", "exceptions"):
        frame = open_example(page, demo, name)
        lightness = sum(map(int, re.findall(r"\d+", page.evaluate(back))[:3]))
        assert (lightness > 600) == (scheme == "light")
        run_steps(frame, 3)
        page.locator("#frames .label:visible").first.click()
        page.locator(".chip:visible").last.click()
        expect(page.locator("#holdings tr.gone")).to_have_count(0)
        assert complaints_of_axe(page) == [], name
        assert complaints_of_axe(frame) == [], name


def test_nothing_moves_for_those_who_asked_for_that(demo: Gateway, page: Page) -> None:
    animations = "() => document.getAnimations().length"
    page.emulate_media(reduced_motion="reduce")
    run_steps(open_example(page, demo, "references"), 2)
    assert page.evaluate(animations) == 0
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate(
        "() => { const animate = Element.prototype.animate;"
        "Element.prototype.animate = function (...given) {"
        "window.moved = true; return animate.apply(this, given); }; }"
    )
    run_steps(open_example(page, demo, "identity"), 2)
    assert page.evaluate("() => window.moved")


def test_it_says_when_the_server_is_away_and_goes_on_by_itself(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start("examples.demo:SERVICES", *PAGES)
    frame = open_example(page, gateway, "references")
    status = page.get_by_test_id("status")
    expect(status).to_have_attribute("data-state", "connected")
    run_steps(frame, 2)
    expect(holdings(page)).to_have_count(2)

    gateway.stop()
    expect(status).to_have_attribute("data-state", "away")
    expect(status).to_contain_text("make demo")
    expect(holdings(page)).to_have_count(0)
    expect(page.locator("#frames .event").last).to_contain_text("connection closed")
    page.get_by_role("tab", name="Echo").click()  # cannot be shown now
    expect(page.get_by_role("heading", level=1)).to_have_text("Echo")

    start("examples.demo:SERVICES", *PAGES, port=gateway.port)
    expect(status).to_have_attribute("data-state", "connected")
    inner = page.locator("iframe[data-testid=echo]").element_handle().content_frame()
    assert inner is not None
    run_all(inner)
    expect(frames(page, "answer").first).to_be_attached()


def test_it_says_when_the_connection_is_interrupted(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start("examples.demo:SERVICES", *PAGES, *WINDOW)
    page.goto(f"{gateway.page}/#board")
    status = page.get_by_test_id("status")
    expect(status).to_have_attribute("data-state", "connected")
    board = page.frame_locator("iframe[data-testid=board]")
    expect(board.get_by_test_id("status")).to_have_text("1 here")
    gateway._process.kill()
    expect(status).to_have_text("The connection is interrupted; trying again …")
    start("examples.demo:SERVICES", *PAGES, *WINDOW, port=gateway.port)
    expect(status).to_have_attribute("data-state", "connected")


def test_resilience_runs_in_place_and_its_tables_go_on(start: Start, page: Page) -> None:
    gateway = start("tests.e2e.demo_app:SERVICES", *PAGES, *WINDOW)
    page.goto(f"{gateway.page}/#resilience")
    frame = page.frame_locator("iframe[data-testid=resilience]")
    points = page.locator("#guide li")
    expect(points.nth(0)).to_have_class("seen")
    for button, seen in (("cut", 4), ("crash", 5)):
        frame.get_by_test_id(button).click()
        expect(frame.get_by_test_id("broken")).to_have_text("Mended.")
        expect(page.locator("#guide li.seen")).to_have_count(seen)
        expect(holdings(page)).to_have_count(3)  # the root, the page's listener, the board
        server = server_tables(gateway)[-1]
        for owner, kind, table in (
            ("server", "object", "handed_out"),
            ("page", "object", "held"),
            ("server", "cache", "caches_handed_out"),
        ):
            assert shown_counts(page, owner, kind) == server[f"{table}_counts"], table
    lost = frames(page, "message").filter(has_text="lost: the session ended")
    expect(lost).not_to_have_count(0)


# Under a policy: nothing inline but the examples' own scripts and styles, by their hashes.


def test_it_works_under_a_strict_policy(start: Start, page: Page) -> None:
    uvicorn = [sys.executable, "-m", "uvicorn", "tests.e2e.demo_policy_app:app"]
    gateway = start(command=uvicorn, ready="/readyz")
    response = page.goto(gateway.page)
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    frame = open_example(page, gateway, "references")
    run_all(frame)
    expect(page.locator("#guide li:not(.seen)")).to_have_count(0)


def test_what_others_write_stays_text_in_the_page_and_in_its_frames(
    start: Start, page: Page
) -> None:
    """And there is nothing that the policy would have to refuse (threat G7)."""
    uvicorn = [sys.executable, "-m", "uvicorn", "tests.e2e.demo_policy_app:app"]
    gateway = start(command=uvicorn, ready="/readyz")
    text = "<img src=x onerror=\"document.title='hurt'\"><script>document.title='hurt'</script>"
    page.goto(f"{gateway.page}/#chat")
    chat = page.frame_locator("iframe[data-testid=chat]")
    chat.get_by_test_id("name").fill("<img src=x>")
    chat.get_by_role("button", name="Join").click()
    chat.get_by_test_id("text").fill(text)
    chat.get_by_role("button", name="Send").click()
    expect(chat.get_by_test_id("log").locator("li").last).to_contain_text(text)
    expect(frames(page, "message").last).to_contain_text("<img src=x")
    frames(page, "message").last.click()
    assert page.locator("img[src=x]").count() == 0
    assert chat.locator("img[src=x], #log script").count() == 0
    assert "hurt" not in page.title()


def test_readme_shows_a_picture_of_it() -> None:
    (shown,) = re.findall(r"!\[.*?\]\((.*?)\)", (PROJECT / "README.md").read_text())
    assert 50_000 < (PROJECT / shown).stat().st_size <= 400_000, "make picture"
