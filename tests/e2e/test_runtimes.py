"""The JavaScript client as it stands in Node 22, Deno, Bun, and in a worker of a page."""

import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.e2e.conftest import Start

HERE = Path(__file__).resolve().parent / "runtimes"
REPORT = {
    "text": "hello",
    "large": str(2**70),
    "bytes": 3000,
    "home": True,
    "called": 13,
    "cache": ["kermit", "robin", 1, True],
    "owned": ["mine", "more", 2, True],
    "after": [3, 0],
    "file": 150_000,
    "sizes": 3,
    "counted": [0, 1, 2, 2],
    "error": "NoSuchMethod",
}

PAGE = """
<!doctype html>
<link rel="icon" href="data:,">
<script type="module">
  const worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => (document.body.textContent = JSON.stringify(data));
</script>
"""

WORKER = """
import { connect, Referenceable } from "/pb/pbweb.js";

class Mine extends Referenceable {
  remote_print(number) {
    return number + 1;
  }
}

const connection = await connect("/pb");
const root = await connection.getRootObject();
postMessage({
  text: await root.callRemote("echo", "hello"),
  called: await root.callRemote("callBack", new Mine(), 12),
});
await connection.close();
"""


@pytest.mark.parametrize("command", [["node"], ["deno", "run", "-A"], ["bun", "run"]])
def test_the_client_runs_as_it_stands(start: Start, command: list[str]) -> None:
    server = start("tests.e2e.runtimes.app:Root")
    runtime = HERE / "node_modules" / ".bin" / command[0]
    assert runtime.exists(), "the runtimes are not installed; run: make test-python"
    ended = subprocess.run(
        [str(runtime), *command[1:], str(HERE / "calls.mjs"), f"ws://{server.address}/pb"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=HERE,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == REPORT


def test_live_copies_are_what_the_objects_are_after_any_change(start: Start) -> None:
    server = start("tests.e2e.runtimes.live_app:Boards")
    ended = subprocess.run(
        [str(HERE / "node_modules/.bin/node"), "live.mjs", f"ws://{server.address}/pb"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=HERE,
    )
    assert (ended.returncode, ended.stdout) == (0, "the same\n"), ended.stderr + server.log()


def test_a_worker_of_a_page_connects_by_itself(start: Start, page: Page, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "worker.js").write_text(WORKER)
    server = start("tests.e2e.runtimes.app:Root", "--pages", str(tmp_path))
    page.goto(server.page)
    page.wait_for_function("document.body.textContent.includes('text')")
    assert json.loads(page.text_content("body") or "") == {"text": "hello", "called": 13}
