"""`client.mjs` in pages of Chromium, said as python_client.py says it: done, and then closed.

Each connection has a page of its own, at the address that it connects to, since that is its origin.
The files of a page come from this checkout, past the network.
"""

import argparse
import asyncio
import mimetypes
import re
import sys
from pathlib import Path
from typing import Any

from playwright.async_api import Page, Route, async_playwright

from tests.chaos.history import History
from tests.e2e.chromium import find_chromium

PROJECT = Path(__file__).resolve().parents[2]
PAGE = """<!doctype html><title>chaos</title><script type="module">
import * as pbweb from "/client_js/src/pbweb.js";
import { work } from "/tests/chaos/client.mjs";

const say = (ev, facts) => window.note(ev, { t: Date.now() / 1000, ...facts });
const log = (error, where) => say("wrong", { text: `${where}: ${error.stack}` });
addEventListener("error", (event) => log(event.error, "error"));
addEventListener("unhandledrejection", (event) => log(event.reason, "unhandledrejection"));
window.begin = async (given) => {
  window.finish = await work(pbweb, { ...given, note: say, options: { log } });
};
</script>"""


async def give(route: Route) -> None:
    """A file of this checkout, with the client's bound of tries a minute lifted (impatient.mjs)."""
    path = re.sub("^https?://[^/]*/", "", route.request.url)
    if path == "chaos.html":
        await route.fulfill(body=PAGE, content_type="text/html")
        return
    text = (PROJECT / path).read_text()
    if path == "client_js/src/limits.js":
        assert "MOST_TRIES = 10" in text
        text = text.replace("MOST_TRIES = 10", "MOST_TRIES = 1e9")
    kind = "text/javascript" if path.endswith("js") else mimetypes.guess_type(path)[0]
    await route.fulfill(body=text, content_type=kind)


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--name", "--seed", "--history"):
        parser.add_argument(name)
    parser.add_argument("--calls", type=int)
    parser.add_argument("urls", nargs="*")
    options = parser.parse_args()
    history = History(Path(options.history), options.name)

    def note(_source: Any, ev: str, facts: dict[str, Any]) -> None:
        history.add(ev, **facts)

    async def begin(page: Page, number: int, url: str) -> None:
        await page.goto(re.sub("^ws(.*)/pb$", r"http\1/chaos.html", url))
        await page.wait_for_function("!!window.begin", polling=50)
        given = {"seed": options.seed, "calls": options.calls, "urls": [url]}
        await page.evaluate("given => begin(given)", {**given, "name": f"{options.name}-{number}"})

    async with async_playwright() as playwright:
        # A page that came past the network has no address, so Chromium would ask its user whether
        # it may connect to this machine.
        options_of_browser = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=options_of_browser
        )
        context = await browser.new_context()
        await context.route(re.compile("."), give)
        await context.expose_binding("note", note)
        pages = [await context.new_page() for _ in options.urls]
        for page in pages:
            page.set_default_timeout(0)  # the run has a hard end
        await asyncio.gather(
            *(begin(pages[number], number, url) for number, url in enumerate(options.urls))
        )
        print("done", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(page.evaluate("finish()") for page in pages))
        await browser.close()
    history.close()
    print("closed", flush=True)


asyncio.run(main())
