"""What needs no server: import time, the size of the JavaScript client, the time to the demo."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median

import orjson

from .servers import ROOT

IMPORTS = 15
IMPORT = (
    "import time; began = time.perf_counter(); import pbweb; print(time.perf_counter() - began)"
)
DEMO_SECONDS = 600.0


def import_time() -> dict[str, float]:
    """Seconds that `import pbweb` takes; the median of fresh processes, the files being cached.

    So is their bytecode, as it is where pbweb is installed, whatever this process is told.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    times = []
    for _ in range(IMPORTS):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=environment,
        )
        times.append(float(done.stdout))
    return {"seconds": median(times)}


def client_size() -> dict[str, float]:
    """kB of the JavaScript client, as `npm run size` says them: all of it, then its parts."""
    done = subprocess.run(
        ["npm", "run", "--silent", "size"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "client_js",
    )
    sizes = re.findall(r"^(.*?):.*?(\d+) bytes minified and gzipped", done.stdout, re.MULTILINE)
    if not sizes:
        raise SystemExit(f"`npm run size` said no size: {done.stdout}{done.stderr}")
    return {"all" if at == 0 else name: int(size) / 1000 for at, (name, size) in enumerate(sizes)}


def demo_time() -> dict[str, float]:
    """Seconds from a fresh clone to the demo's page, with `make demo` as the only command."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "pbweb"
        began = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        port = free_port()
        demo = subprocess.Popen(
            ["make", "demo", f"PORT={port}"],
            cwd=clone,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_page(f"http://127.0.0.1:{port}/", demo)
            return {"seconds": time.perf_counter() - began}
        finally:
            demo.terminate()
            demo.wait(30)
            shutil.rmtree(clone, ignore_errors=True)


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for_page(url: str, demo: subprocess.Popen[bytes]) -> None:
    """Until *url* answers."""
    end = time.monotonic() + DEMO_SECONDS
    while time.monotonic() < end and demo.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit(f"`make demo` served no page; its exit code is {demo.poll()}")


WHAT = {"import": import_time, "size": client_size, "demo": demo_time}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=WHAT)
    print(orjson.dumps(WHAT[parser.parse_args().what]()).decode())


if __name__ == "__main__":
    main()
