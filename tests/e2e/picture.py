"""Makes README's picture of the demo page: make picture"""

from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Locator, Page, sync_playwright

from tests.e2e.chromium import PROJECT, find_chromium
from tests.e2e.conftest import CHROMIUM_ARGUMENTS, starting

PICTURE = PROJECT / "docs" / "images" / "demo.png"
SIZE = {"width": 1440, "height": 900}


def take(page: Page, other: Page, address: str, to: Path) -> None:
    """The board after a card was moved, while somebody else has one in hand; its copy lit up."""
    page.goto(f"{address}/#board")
    board = page.frame_locator("iframe")
    board.get_by_text("Choose a tree").wait_for()
    other.goto(f"{address}/board/")
    press(other, other.get_by_test_id("card").filter(has_text="Line it with moss"), "Space")
    card = board.get_by_test_id("card").filter(has_text="Choose a tree")
    press(page, card, "Space", "ArrowRight", "Space")
    board.get_by_text("Dropped: Doing").wait_for(state="attached")
    board.locator("body").evaluate("() => document.activeElement.blur()")
    page.get_by_role("button", name="copy #1").first.click()
    page.locator("#frames").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    page.mouse.move(0, 0)
    page.screenshot(path=to)


def press(page: Page, card: Locator, *keys: str) -> None:
    card.locator(".grip").focus()
    for key in keys:
        page.keyboard.press(key)


def main() -> None:
    with TemporaryDirectory() as folder, starting(Path(folder)) as start:
        gateway = start("examples.demo:SERVICES", "--pages", "examples")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_page(viewport=SIZE, reduced_motion="reduce", color_scheme="light")
            take(page, browser.new_page(), gateway.page, PICTURE)
            browser.close()
    print(f"{PICTURE.relative_to(PROJECT)}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
