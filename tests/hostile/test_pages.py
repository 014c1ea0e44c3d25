"""Requests for the files that a gateway serves (A3, A12)."""

from pathlib import Path

import pytest

import pbweb as pb
from tests.hostile.kit import Gateway, gateway, read_head

PAGE = b"<p>the page</p>" * 1000


class Echo(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder with a page, and things beside and in it that are nobody's business."""
    folder = tmp_path / "pages"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "sub" / "a.txt").write_text("a")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.pyc").write_text("HIDDEN")
    (folder / ".env").write_text("HIDDEN")
    (tmp_path / "beside.txt").write_text("HIDDEN")
    (folder / "link.txt").symlink_to(tmp_path / "beside.txt")
    return folder


async def ask(
    gate: Gateway, path: str, *, method: str = "GET", host: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of what is answered to a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or gate.host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    async with await gate.raw() as peer:
        peer.send_bytes(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        status, answered = await read_head(peer.reader)
        return status, answered, await peer.ended()


async def test_files_say_what_they_are_and_nobody_guesses(pages: Path) -> None:
    async with gateway(Echo, pages=pages) as gate:
        for path in ("/", "/index.html", "/sub/a.txt", "/pb/pbweb.js"):
            status, headers, _ = await ask(gate, path)
            assert status == 200
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "ranges",
    [
        "bytes=" + ",".join(f"{at}-{at}" for at in range(10_000)),
        "bytes=" + ",".join(["0-"] * 90),
        "bytes=" + ",".join(["0-99999999999999999999"] * 90),
        "bytes=" + "," * 9000,
        "bytes=-",
        "bytes=5-1",
        "bytes=99999999-",
        "lines=0-1",
        "bytes=0-1-2",
        "bytes=x-y",
        "bytes",
        "",
    ],
)
async def test_ranges_multiply_nothing(ranges: str, pages: Path) -> None:
    async with gateway(Echo, pages=pages) as gate:
        status, _, body = await ask(gate, "/index.html", Range=ranges)
        assert status in (200, 206, 400, 416)
        assert len(body) < len(PAGE) + 20_000


async def test_ranges_are_nothing_to_the_files_of_the_client(pages: Path) -> None:
    async with gateway(Echo, pages=pages) as gate:
        whole = await ask(gate, "/pb/pbweb.js")
        asked = await ask(gate, "/pb/pbweb.js", Range="bytes=" + ",".join(["0-"] * 500))
        assert asked[0] == whole[0] == 200
        assert asked[2] == whole[2]


@pytest.mark.parametrize(
    "path",
    [
        *("/sub", "/sub/", "/__pycache__/", "/__pycache__/app.pyc", "/.env", "/%2eenv"),
        *("/../beside.txt", "/%2e%2e/beside.txt", "/..%2fbeside.txt", "/sub/../../beside.txt"),
        *("/link.txt", "/..\\beside.txt", "//etc/passwd", "/%00", "/index.html%00.txt"),
        *("/" + "x" * 5000, "/x/" * 1000, "/%ff%fe", "/%ED%A0%80", "/pb/../.env", "/pb/%2e%2e/"),
    ],
)
async def test_nothing_else_is_shown_and_no_folder_is_listed(path: str, pages: Path) -> None:
    async with gateway(Echo, pages=pages) as gate:
        status, _, body = await ask(gate, path)
        assert 300 <= status < 500, body
        for word in (b"HIDDEN", b"root:", b"a.txt", b"Traceback", str(pages).encode()):
            assert word not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"])
async def test_there_is_nothing_to_do_but_reading(method: str, pages: Path) -> None:
    """So there is no way in by a form of another site's (A11)."""
    async with gateway(Echo, pages=pages) as gate:
        for path in ("/", "/pb", "/pb/", "/pb/pbweb.js", "/healthz"):
            status, _, _ = await ask(gate, path, method=method)
            assert status in (400, 404, 405)


async def test_pages_are_for_hosts_that_are_served(pages: Path) -> None:
    async with gateway(Echo, pages=pages) as gate:
        for path in ("/", "/sub/a.txt", "/pb/pbweb.js", "/nosuch"):
            status, _, body = await ask(gate, path, host="evil.test")
            assert status == 400
            assert b"--allow-host" in body
        for path in ("/healthz", "/readyz"):
            assert (await ask(gate, path, host="10.0.0.7:8000"))[0] == 200
        assert gate.endpoint.gate.refused == {"host": 4}
