"""A newcomer's mistakes in a page: what its error says, and what the server's log says."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints, Start

TARGET = "tests.integration.mistakes_app:Newcomer"
PAGE = """<!doctype html>
<link rel="icon" href="data:,">
<p></p>
<script type="module">
  import { connect } from "./pb/pbweb.js";
  try {
    const connection = await connect("ADDRESS");
    const root = await connection.getRootObject();
    document.querySelector("p").textContent = await root.callRemote("METHOD");
  } catch (error) {
    document.querySelector("p").textContent = `${error.name}: ${error.message}`;
  }
</script>
"""


def write_page(folder: Path, address: str = "./pb", method: str = "getTwo") -> None:
    (folder / "index.html").write_text(PAGE.replace("ADDRESS", address).replace("METHOD", method))


def could_not_connect(url: str) -> str:
    return (
        f"PBConnectionLost: Could not connect to {url} (1006). Does pbweb serve there, is the path "
        "right, and may this page's origin connect? The server's log says what it refused."
    )


def test_an_address_where_there_is_no_endpoint(
    start: Start, page: Page, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expected = ["WebSocket connection to .* failed"]
    write_page(tmp_path, "./pbb")
    gateway = start(TARGET, "--pages", str(tmp_path))
    page.goto(gateway.page)
    expect(page.locator("p")).to_have_text(could_not_connect(f"ws://{gateway.address}/pbb"))


def test_an_origin_that_is_not_allowed_and_the_way_out(
    start: Start, page: Page, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expected = ["WebSocket connection to .* failed"]
    here = start(TARGET, "--pages", str(tmp_path))
    there = start(TARGET)
    url = f"ws://{there.address}/pb"
    write_page(tmp_path, url)
    page.goto(here.page)
    expect(page.locator("p")).to_have_text(could_not_connect(url))
    there.wait_for_log(
        f"the origin '{here.page}' may not connect to '{there.page}'; "
        "allow it with `pbweb serve --origin` or origins=[…]"
    )
    there.stop()

    start(TARGET, "--origin", here.page, port=there.port)
    page.goto(here.page)
    expect(page.locator("p")).to_have_text("two")


def test_a_name_and_a_class(start: Start, page: Page, tmp_path: Path) -> None:
    write_page(tmp_path, method="get_two")
    gateway = start(TARGET, "--pages", str(tmp_path))
    page.goto(gateway.page)
    expect(page.locator("p")).to_have_text(
        "NoSuchMethod: no method 'get_two': the object's class has to define it as remote_get_two"
    )
    gateway.wait_for_log("spelled nearly as remote_getTwo")

    write_page(tmp_path, method="plain")
    page.goto(gateway.page)
    expect(page.locator("p")).to_contain_text("tests.integration.mistakes_app.Plain")
    expect(page.locator("p")).to_contain_text("let the class inherit from pb.Referenceable")
