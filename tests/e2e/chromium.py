"""The Chromium that drives the pages: finds it, and as a command installs it where it is missing.

Debian has it as a package. Ubuntu's package is a snap, which containers cannot run, so there
Playwright's own build goes into .venv and apt brings the libraries that it needs.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BROWSERS = PROJECT / ".venv" / "browsers"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The path of a Chromium that starts; the variable PBWEB_CHROMIUM names one of your own."""
    own = os.environ.get("PBWEB_CHROMIUM")
    candidates = [own] if own else [shutil.which(name) for name in NAMES]
    candidates += [str(path) for path in sorted(BROWSERS.glob("chromium-*/chrome-linux*/chrome"))]
    return next((path for path in candidates if path and starts(path)), None)


def starts(path: str) -> bool:
    """Whether it runs: Ubuntu's chromium-browser without snapd is a script that only complains."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_commands() -> list[list[str]]:
    if platform.freedesktop_os_release().get("ID") == "ubuntu":
        install = [sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]
        return [["env", f"PLAYWRIGHT_BROWSERS_PATH={BROWSERS}", *install]]
    return [
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"],
    ]


def main() -> int:
    if find_chromium():
        return 0
    commands = install_commands()
    if os.geteuid() != 0:
        print("The tests need Chromium, which is not here. Install it and run again:")
        print("  " + " && ".join("sudo " + " ".join(command) for command in commands))
        print("or name one that is here already: PBWEB_CHROMIUM=/path/to/chromium make test")
        return 1
    for command in commands:
        print("+", " ".join(command), flush=True)
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return 0 if find_chromium() else 1


if __name__ == "__main__":
    sys.exit(main())
