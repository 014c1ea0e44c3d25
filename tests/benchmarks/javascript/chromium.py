"""Prints, as JSON, what both JavaScript clients spend on a call in Chromium.

`python -m tests.benchmarks.javascript.chromium [ROUNDS] [CALLS]`. The page has a process of its
own that does nothing else, so the clock is its time.
"""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.chromium import find_chromium

PROJECT = Path(__file__).resolve().parents[3]
PAGE = "tests/benchmarks/javascript/page.html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """The project's files; nothing is logged."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def measure(rounds: int, calls: int) -> dict[str, Any]:
    """Serve the page on a loopback address, and wait for what it measures."""
    handler = functools.partial(Quiet, directory=str(PROJECT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{PAGE}?rounds={rounds}&calls={calls}"
        try:
            return in_chromium(url)
        finally:
            server.shutdown()


def in_chromium(url: str) -> dict[str, Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.set_default_timeout(600_000)
            page.goto(url)
            page.wait_for_function("globalThis.results !== undefined")
            results = page.evaluate("() => globalThis.results")
            version = browser.version
        finally:
            browser.close()
    return {"platform": f"Chromium {version}", "unit": "µs", "results": results}


if __name__ == "__main__":
    rounds, calls = ([int(text) for text in sys.argv[1:]] + [9, 12800])[:2]
    print(json.dumps(measure(rounds, calls), ensure_ascii=False))
