"""Every example: the server as a process, its Python client, and its page in Chromium."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.e2e.chromium import PROJECT
from tests.e2e.conftest import SERVER_GOES, Complaints, Gateway, Start, run_client

OUTCOME = re.compile("not_executed|executed_answer_lost|unknown")


@dataclass
class Example:
    """What its clients print and show; a pattern stands for text that is not the example's own."""

    name: str
    target: str
    python: list[str | re.Pattern[str]]
    page: list[str | re.Pattern[str]]

    @property
    def folder(self) -> Path:
        return PROJECT / "examples" / self.name


EXAMPLES = [
    Example(
        "echo",
        "EchoRoot",
        python=[
            "the server says: hello network",
            "and: {'numbers': [1, 2.5, 1180591620717411303424], 'none': None}",
        ],
        page=[
            "done",
            "hello network",
            "1970-01-01T00:00:00.000Z, 3 bytes, 1180591620717411303424",
            "1,2,3",
            "done",
        ],
    ),
    Example(
        "references",
        "One",
        python=[
            "two is a RemoteReference",
            "two.three(12) = 36",
            "in one trip: 36",
            "pb.remote(two).three(5) = 15",
            "after release(): DeadReferenceError",
        ],
        page=["done", "RemoteReference", "36", "36", "15", "done", "DeadReferenceError", "done"],
    ),
    Example(
        "identity",
        "One",
        python=[
            "handed out twice, one reference here: True",
            "the server's Two comes home as itself: True",
            "an object of ours is not that Two: True",
            "ours comes home as itself: True",
        ],
        page=["done", "true", "true", "false", "true", "done"],
    ),
    Example(
        "callbacks",
        "One",
        python=[
            "Two.print was called by the server with 12",
            "takeTwo answers: printed 12",
            "the server counts: 3",
            "the server counts: 2",
            "the server counts: 1",
            "countDown answers: lift-off",
        ],
        page=[
            "done",
            "the server calls two.print(12)",
            "printed 12",
            "the server calls report(3)",
            "the server calls report(2)",
            "the server calls report(1)",
            "lift-off",
            "done",
        ],
    ),
    Example(
        "exceptions",
        "One",
        python=[
            "a safe object: response",
            re.compile(r"^InsecureJelly, before anything was sent: .*Dangerous"),
            "MyException: do not panic",
            "trapped examples.exceptions.app.MyError",
            "  type = examples.exceptions.app.MyError, getErrorMessage() = fall down go boom",
            "unexpected: builtins.ZeroDivisionError - division by zero",
            "  an ArithmeticError: True",
            re.compile(r"^NoSuchMethod: .*noSuchThing"),
        ],
        page=[
            "done",
            "response",
            re.compile("^InsecureJelly: .*Dangerous"),
            "MyException: do not panic",
            "examples.exceptions.app.MyError: fall down go boom",
            "builtins.ZeroDivisionError, so builtins.ArithmeticError: division by zero",
            re.compile("^NoSuchMethod: .*noSuchThing"),
            "done",
        ],
    ),
    Example(
        "copies",
        "PondRoot",
        python=[
            "a ReceiverPond with {'frogsAndToads': 5}, so count() is 5",
            "friends of each other: True",
            "and at the server again: True",
            "Hyla sits on the lily pad",
            "InsecureJelly: pond.Animal: the field grams must be float, not str",
            "TooHeavy: the lily pad sinks, 300 g at most",
            re.compile("^InsecureJelly: no class is registered here .*'pond.Stork'"),
        ],
        page=[
            "done",
            '{"frogsAndToads":5}, so count() is 5',
            "true",
            "true",
            "Hyla sits on the lily pad",
            "InsecureJelly: pond.Animal: the field grams must be float, not str",
            "TooHeavy: the lily pad sinks, 300 g at most",
            re.compile('^InsecureJelly: .*"pond.Stork"'),
            "done",
        ],
    ),
    Example(
        "stale",
        "StaleRoot",
        python=[
            "notifyOnDisconnect: the reference is dead",
            re.compile(f"^the call in progress: PBConnectionLost, ({OUTCOME.pattern})$"),
            "a later call: DeadReferenceError",
        ],
        page=[
            "done",
            "the call is in progress",
            re.compile(f"^PBConnectionLost, ({OUTCOME.pattern})$"),
            "true",
            "DeadReferenceError",
        ],
    ),
]
# Programs with tests of their own: test_chat.py and so on.
OTHERS = {
    "board": "BoardRoot",
    "chat": "ChatRoot",
    "files": "FilesRoot",
    "login": "portal",
    "pond": "PondRoot",
    "resilience": "ResilienceRoot",
}
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def check_lines(lines: list[str], expected: list[str | re.Pattern[str]]) -> None:
    assert len(lines) == len(expected), lines
    for line, wanted in zip(lines, expected, strict=True):
        fits = line == wanted if isinstance(wanted, str) else wanted.search(line)
        assert fits, f"{line!r} is not {wanted!r}"


def run_page(page: Page | FrameLocator, example: Example) -> None:
    """Presses the button and reads the results of all steps."""
    page.get_by_test_id("run").click()
    expect(page.locator("body")).to_have_attribute("data-state", re.compile("done|failed"))
    lines = page.get_by_test_id("output").locator("output span")
    check_lines(lines.all_text_contents(), example.page)
    expect(page.locator("body")).to_have_attribute("data-state", "done")


@each_example
def test_an_example_runs_alone_with_both_clients(
    example: Example, start: Start, page: Page
) -> None:
    gateway = start(f"examples.{example.name}.app:{example.target}")

    printed = run_client(f"examples/{example.name}/client.py", f"ws://{gateway.address}/pb")
    if example.name == "stale":  # the notice may come before or after the call's end
        printed.sort(key=lambda line: not line.startswith("notifyOnDisconnect"))
    check_lines(printed, example.python)

    page.goto(gateway.page)
    run_page(page, example)
    run_page(page, example)  # once more: nothing is left of the first run

    hidden = page.request.get(f"{gateway.page}/app.py")
    assert hidden.status == 404, "files beside index.html are served only with --pages"


@each_example
def test_an_example_runs_in_the_demo(example: Example, demo: Gateway, page: Page) -> None:
    path = f"/{example.name}/pb"
    check = run_client(f"examples/{example.name}/client.py", f"ws://{demo.address}{path}")
    assert len(check) == len(example.python)

    page.goto(f"{demo.page}/{example.name}/")
    run_page(page, example)


def test_an_example_says_when_the_server_is_away(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [SERVER_GOES]
    gateway = start("examples.echo.app:EchoRoot")
    page.goto(gateway.page)
    page.get_by_test_id("run").click()
    expect(page.locator("body")).to_have_attribute("data-state", "done")
    gateway.stop()
    page.get_by_test_id("run").click()
    expect(page.locator("body")).to_have_attribute("data-state", "failed")
    expect(page.get_by_test_id("output").locator("output span")).to_have_text(
        [re.compile("^failed: Could not connect to ws://")]
    )
    steps = page.get_by_test_id("output").locator("li")
    assert [steps.nth(at).get_attribute("data-state") for at in (0, 1)] == ["failed", "later"]


def test_a_step_runs_those_before_it_and_the_first_starts_anew(start: Start, page: Page) -> None:
    page.goto(start("examples.references.app:One").page)
    steps = page.get_by_test_id("output").locator("li")
    results = page.get_by_test_id("output").locator("output span")

    steps.nth(2).get_by_role("button").click()
    expect(results).to_have_text(["done", "RemoteReference", "36"])
    assert steps.nth(3).get_attribute("data-state") == "next"

    steps.nth(1).get_by_role("button").click()  # again: another Two, and nothing after it runs
    expect(page.locator("body")).to_have_attribute("data-state", "done")
    expect(results).to_have_text(["done", "RemoteReference", "36"])

    steps.nth(0).get_by_role("button").click()
    expect(results).to_have_text(["done"])
    assert steps.nth(1).get_attribute("data-state") == "next"


def test_only_the_unexpected_exception_is_logged_and_once(start: Start) -> None:
    gateway = start("examples.exceptions.app:One")
    run_client("examples/exceptions/client.py", f"ws://{gateway.address}/pb")
    gateway.wait_for_log("ZeroDivisionError")
    gateway.stop()
    log = gateway.log()
    assert log.count("ZeroDivisionError: division by zero") == 1
    assert log.count("Traceback (most recent call last)") == 1
    assert "eer will receive PB traceback" in log
    assert "fall down go boom" not in log
    assert "do not panic" not in log


def test_the_server_lets_go_of_a_visitor_that_it_ended(start: Start) -> None:
    gateway = start("examples.stale.app:StaleRoot")
    run_client("examples/stale/client.py", f"ws://{gateway.address}/pb")
    gateway.wait_for_log("a visitor has gone")
    gateway.wait_for_log("a call that nobody waits for any more was cancelled")


def test_each_example_is_a_folder_with_the_same_files() -> None:
    folders = {path.parent.name for path in (PROJECT / "examples").glob("*/app.py")}
    assert folders == {example.name for example in EXAMPLES} | set(OTHERS)
    for example in [*EXAMPLES, *(Example(*other, [], []) for other in OTHERS.items())]:
        for file in ("app.py", "client.py", "index.html", "README.md"):
            assert (example.folder / file).is_file(), f"{example.name} has no {file}"
        readme = (example.folder / "README.md").read_text()
        assert f"pbweb serve examples.{example.name}.app:{example.target}" in readme


def test_the_pages_share_one_style_and_one_frame() -> None:
    """Each page is self-contained; what they have in common is the same text in each."""
    style, frame = set(), set()
    for example in EXAMPLES:
        page = (example.folder / "index.html").read_text()
        style.add(page[page.index("<style>") : page.index("</style>")])
        frame.add(page[page.index("// The frame around the steps") :])
    assert len(style) == len(frame) == 1
