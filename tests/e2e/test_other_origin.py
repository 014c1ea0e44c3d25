"""A page of one origin that loads the client from another, and connects where it may."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints, Start

PAGE = """<!doctype html><title>-</title>
<script type="module">
  import { connect } from "ORIGIN/pb/pbweb.js";
  try {
    const root = await (await connect("ORIGIN/pb")).getRootObject();
    document.title = await root.callRemote("echo", "connected");
  } catch (error) {
    document.title = error.name;
  }
</script>
"""


def test_a_page_of_another_origin(
    start: Start, page: Page, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expected = ["WebSocket connection to .* failed: .*403", r"404 .*/favicon\.ico"]
    root = "tests.integration.roots:IntegrationRoot"
    pages = start(root, "--pages", str(tmp_path))
    for name, options in (("allowed", ["--origin", pages.page]), ("foreign", [])):
        other = start(root, *options)
        (tmp_path / f"{name}.html").write_text(PAGE.replace("ORIGIN", other.page))
    page.goto(f"{pages.page}/allowed.html")
    expect(page).to_have_title("connected")
    page.goto(f"{pages.page}/foreign.html")
    expect(page).to_have_title("PBConnectionLost")
