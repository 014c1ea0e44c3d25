"""`pbweb serve --reload`: a change of a file, and what peers see of it."""

import asyncio
import signal
import sys
from pathlib import Path

from tests.hostile.kit import Peer, read_head, upgrade
from tests.integration.process import PROJECT, Process, pbweb, running

APP = """
import pbweb as pb

class One(pb.Root):
    def remote_version(self):
        return {version}
"""


async def greeted(port: int) -> Peer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = Peer(reader, writer)
    peer.send_bytes(upgrade(f"localhost:{port}"))
    await read_head(reader)
    peer.greet()
    return peer


async def version(peer: Peer) -> object:
    peer.send(["message", 1, "root", "version"])
    return (await peer.answer(1))[2]


def rewrite(app: Path, text: str) -> None:
    """Give *app* a text of another length: by second and size Python knows a file from another."""
    assert len(text) != app.stat().st_size
    app.write_text(text)


async def scene(process: Process, app: Path, port: int) -> None:
    async with await greeted(port) as peer:
        assert await version(peer) == 1
        rewrite(app, APP.format(version=22))
        code, said = await peer.closed()
        assert code == 1012
        assert said is not None
        assert said[1] == 1012
    # The port is open all the time: who connects meanwhile waits for the new server.
    async with await greeted(port) as peer:
        assert await version(peer) == 22
        rewrite(app, "import pbweb as\n")
        assert (await peer.closed())[0] == 1012
    await asyncio.to_thread(process.wait_for, "SyntaxError")
    rewrite(app, APP.format(version=3).replace("One", "Other"))
    await asyncio.to_thread(process.wait_for, "pbweb: the module 'reloaded' has no 'One'")
    rewrite(app, APP.format(version=4444))
    async with await greeted(port) as peer:
        assert await version(peer) == 4444


def test_a_change_of_a_file_starts_the_server_again(tmp_path: Path) -> None:
    app = tmp_path / "reloaded.py"
    app.write_text(APP.format(version=1))
    command = pbweb("serve", "reloaded:One", "--reload", "--port", "0")
    with running(command, cwd=tmp_path) as process:
        port = int(process.wait_for(r"^pbweb serves http://localhost:(\d+)$")[1])
        asyncio.run(scene(process, app, port))
        process.signal(signal.SIGTERM)
        assert process.end() == 0


def test_without_the_library_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['watchfiles'] = None\n"
        "from pbweb_server.cli import main\n"
        "main(['serve', 'examples.echo.app:EchoRoot', '--reload'])\n"
    )
    with running([sys.executable, "-c", program], cwd=PROJECT) as process:
        assert process.end() == 2
        assert "pip install 'pbweb[reload]'" in process.output
        assert "Traceback" not in process.output


def test_when_files_cannot_be_watched_it_ends_and_says_so() -> None:
    program = (
        "import watchfiles\n"
        "def watch(*paths, **options):\n"
        "    raise RuntimeError('too many open files')\n"
        "    yield\n"
        "watchfiles.watch = watch\n"
        "from pbweb_server.cli import main\n"
        "main(['serve', 'examples.echo.app:EchoRoot', '--reload', '--port', '0'])\n"
    )
    with running([sys.executable, "-c", program], cwd=PROJECT) as process:
        assert process.end() == 2
        assert "too many open files; set WATCHFILES_FORCE_POLLING=1" in process.output
        assert "Traceback" not in process.output
