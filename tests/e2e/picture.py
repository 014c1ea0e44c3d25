"""Makes README's picture of the demo page: make picture"""

from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, sync_playwright

from tests.e2e.chromium import PROJECT, find_chromium
from tests.e2e.conftest import CHROMIUM_ARGUMENTS, starting

PICTURE = PROJECT / "docs" / "images" / "demo.png"
SIZE = {"width": 1440, "height": 900}
STEPS = 4


def take(page: Page, address: str, to: Path) -> None:
    """The example of references after its first steps, with one object lit up."""
    page.goto(f"{address}/#references")
    steps = page.frame_locator("iframe").get_by_test_id("output").locator("li")
    for at in range(STEPS):
        steps.nth(at).get_by_role("button").click()
        steps.nth(at).locator("xpath=self::*[@data-state='done']").wait_for()
    page.get_by_role("button", name="remote #1").first.click()
    page.locator("#frames").evaluate("list => list.scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.screenshot(path=to)


def main() -> None:
    with TemporaryDirectory() as folder, starting(Path(folder)) as start:
        gateway = start("examples.demo:SERVICES", "--pages", "examples")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS
            )
            page = browser.new_page(viewport=SIZE, reduced_motion="reduce", color_scheme="light")
            take(page, gateway.page, PICTURE)
            browser.close()
    print(f"{PICTURE.relative_to(PROJECT)}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
