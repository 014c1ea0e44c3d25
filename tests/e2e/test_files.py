"""examples/files: large files go up and down, and the server's memory stays small."""

import hashlib
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints, Gateway, Start, run_client

TARGET = "examples.files.app:FilesRoot"
MB = 1_000_000
GROWTH = 24 * MB
"""What the server's process may grow by, whatever goes through it: far less than the files."""


@pytest.fixture
def gateway(start: Start) -> Gateway:
    return start(TARGET)


def most_memory(gateway: Gateway) -> int:
    """The most that the server's process has taken so far, in bytes."""
    status = Path(f"/proc/{gateway._process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def open_page(page: Page, gateway: Gateway) -> None:
    page.goto(gateway.page)
    expect(page.locator("body")).to_have_attribute("data-state", "ready")


def test_a_file_goes_up_and_comes_back(gateway: Gateway, page: Page, tmp_path: Path) -> None:
    content = os.urandom(3 * MB + 17)
    (tmp_path / "some.bin").write_bytes(content)
    page.add_init_script("delete window.showSaveFilePicker")  # as in the other browsers
    open_page(page, gateway)
    page.get_by_test_id("file").set_input_files(tmp_path / "some.bin")
    line = page.locator("#transfers li").first
    expect(line).to_have_attribute("data-state", "done")
    expect(line).to_contain_text(f"sha256 {hashlib.sha256(content).hexdigest()}")
    line.get_by_role("button", name="Save").click()
    back = page.locator("#transfers li").first
    expect(back).to_contain_text("kept in this page")
    with page.expect_download() as download:
        back.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "some.bin"
    assert Path(download.value.path()).read_bytes() == content
    line = page.locator("#transfers li").nth(1)
    line.get_by_role("button", name="Delete").click()
    expect(page.locator("#transfers li")).to_have_count(1)


def test_memory_stays_small_however_much_goes_by(gateway: Gateway, page: Page) -> None:
    open_page(page, gateway)
    page.get_by_test_id("up-size").select_option("64")
    page.get_by_test_id("down-size").select_option("64")
    before = most_memory(gateway)
    for button in ("up", "down"):
        page.get_by_test_id(button).click()
        line = page.locator("#transfers li").first
        expect(line).to_have_attribute("data-state", re.compile("done|failed"), timeout=120_000)
        expect(line).to_contain_text("the same bytes")
    assert most_memory(gateway) - before < GROWTH
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    assert heap < 32 * MB


def test_a_transfer_can_be_cancelled_either_way(gateway: Gateway, page: Page) -> None:
    open_page(page, gateway)
    page.get_by_test_id("up-size").select_option("1000")
    page.get_by_test_id("down-size").select_option("1000")
    for button in ("up", "down"):
        page.get_by_test_id(button).click()
        line = page.locator("#transfers li").first
        expect(line).to_contain_text("MB/s")
        line.get_by_role("button", name="Cancel").dispatch_event("click")
        expect(line).to_contain_text("cancelled after")
        assert line.locator("progress").evaluate("bar => bar.position") < 1
    assert "Traceback" not in gateway.log()
    page.get_by_test_id("up-size").select_option("64")
    page.get_by_test_id("up").click()
    done = page.locator('#transfers li[data-state="done"]')
    expect(done).to_contain_text("the same bytes", timeout=120_000)


def test_a_transfer_lives_through_a_cut_either_way(
    start: Start, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["already in CLOSING"]  # by what the test closes
    page.add_init_script(
        "const sockets = (window.sockets = []);"
        "window.WebSocket = class extends WebSocket {"
        "constructor(...given) { super(...given); sockets.push(this); } };"
    )
    open_page(page, start(TARGET, "--limit", "resume_window=60"))
    page.get_by_test_id("up-size").select_option("64")
    page.get_by_test_id("down-size").select_option("64")
    for cuts, button in enumerate(("up", "down"), 1):
        page.get_by_test_id(button).click()
        line = page.locator("#transfers li").first
        expect(line).to_contain_text("MB/s")
        assert line.get_attribute("data-state") == "running"
        page.evaluate("sockets.at(-1).close()")
        page.wait_for_function(f"sockets.length === {cuts + 1} && sockets.at(-1).readyState === 1")
        expect(page.get_by_test_id("status")).to_have_text("Connected.")
        expect(line).to_contain_text("the same bytes", timeout=120_000)


def test_the_python_client_sends_a_file_and_gets_it_back(gateway: Gateway, tmp_path: Path) -> None:
    content = os.urandom(200_000)
    (tmp_path / "some.bin").write_bytes(content)
    url = f"ws://{gateway.address}/pb"
    lines = run_client("examples/files/client.py", url, str(tmp_path / "some.bin"))
    assert lines == [
        "the server stored 200000 bytes of some.bin",
        f"sha256 {hashlib.sha256(content).hexdigest()}",
        "it sent back 200000 bytes, the same: True",
        "of a stream of 10^9 bytes, 65536 were enough",
        "after it was deleted: examples.files.app.FileError: there is no such file",
    ]
    before = most_memory(gateway)
    assert run_client("examples/files/client.py", url)[0] == (
        "the server stored 64000000 bytes of zeros.bin"
    )
    assert most_memory(gateway) - before < GROWTH
