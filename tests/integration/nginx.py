"""The nginx that stands in front: finds it, and as a command gets it where it is missing.

Debian's and Ubuntu's package is unpacked into .venv and not installed: that needs no rights, and
an installed one would start a server on port 80.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".venv" / "nginx"
PATHS = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", str(FOLDER / "usr" / "sbin")]


def find_nginx() -> str | None:
    """The path of an nginx that starts; the variable PBWEB_NGINX names one of your own."""
    found = shutil.which(os.environ.get("PBWEB_NGINX", "nginx"), path=os.pathsep.join(PATHS))
    return found if found and starts(found) else None


def starts(path: str) -> bool:
    """Whether it runs: an unpacked one needs libraries that may not be here."""
    return subprocess.run([path, "-v"], capture_output=True, timeout=60).returncode == 0


def unpack() -> None:
    """Get the package and unpack it.

    Raises:
        CalledProcessError: there is no such package to be had.
        FileNotFoundError: this system has no apt.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        run("apt-get", "update", "-q")
    run("apt-get", "download", "-q", "nginx")
    for package in FOLDER.glob("nginx_*.deb"):
        run("dpkg", "-x", str(package), ".")


def run(*command: str) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=True, cwd=FOLDER, stdin=subprocess.DEVNULL)


def main() -> int:
    try:
        if not find_nginx():
            unpack()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print(error)
    if find_nginx():
        return 0
    print("The tests need nginx, which is not here. Install it (apt install nginx), or name one:")
    print("PBWEB_NGINX=/path/to/nginx make test")
    return 1


if __name__ == "__main__":
    sys.exit(main())
