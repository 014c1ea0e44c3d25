"""What keeps peers apart holds under ``python -O`` too, which leaves out every ``assert`` (D14)."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
GUARDS = (
    "relays", "perspectives", "incoming", "references", "unjelly", "parking", "methods", "cred",
    "copyables", "frames",
)  # fmt: skip


def test_the_guards_hold_without_asserts():
    """Pytest makes the asserts of the tests themselves into code that stays."""
    files = [f"tests/unit/test_{name}.py" for name in GUARDS]
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore", "-o", "addopts="]
    ran = subprocess.run(
        [sys.executable, "-O", "-m", "pytest", *options, "--import-mode=importlib", *files],
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout
