"""Logging in at `pbweb serve`, with passwords that `pbweb passwd` wrote."""

import asyncio
import subprocess
from pathlib import Path

import pytest

import pbweb as pb
from tests.integration.process import pbweb, serving

ROOTS = "tests.integration.roots"


class Mind(pb.Referenceable):
    def remote_take(self, value: object) -> object:
        return [value, "taken"]


def set_password(path: Path, name: str, password: str) -> None:
    subprocess.run(
        pbweb("passwd", str(path), name), input=password, text=True, check=True, timeout=60
    )


def test_a_portal_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = tmp_path / "passwords"
    set_password(passwords, "alice", "wonder")
    monkeypatch.setenv("PASSWORDS", str(passwords))
    with serving(f"{ROOTS}:portal", "--authenticate", f"{ROOTS}:who") as process:
        url = f"ws://localhost:{process.port}/pb"
        headers = {"X-Name": "carol"}

        async def main() -> None:
            async with pb.connect(url, headers=headers) as connection:
                bob = pb.UsernamePassword("bob", "builder")
                with pytest.raises(pb.UnauthorizedLogin, match=r"^the login failed$"):
                    await connection.login(bob)
                await asyncio.to_thread(set_password, passwords, "bob", "builder")
                avatar = await connection.login(bob, Mind())  # the server has seen the change
                assert await avatar.callRemote("tell", {"x": 1}) == [{"x": 1}, "taken"]
                long = "x" * 500_000
                assert await avatar.callRemote("tell", long) == [long, "taken"]
                await asyncio.to_thread(process.wait_for, "bob came")
                carol = connection.login(pb.UpgradeIdentity())
                assert await carol.callRemote("whoami") == "carol"
                avatar.release()
                await asyncio.to_thread(process.wait_for, "bob left")
                assert await carol.callRemote("whoami") == "carol"
            await asyncio.to_thread(process.wait_for, "carol left")

        asyncio.run(main())
        assert "builder" not in process.output
