"""Logging in at `pbweb serve`, with passwords that `pbweb passwd` wrote."""

import asyncio
import logging
import subprocess
from pathlib import Path

import pytest

import pbweb as pb
from tests.hostile.kit import Peer, read_head, upgrade
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


def test_no_secret_is_in_any_log_at_any_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Passwords right and wrong, cookies, headers, URLs, and what a session is resumed with."""
    caplog.set_level(logging.DEBUG)
    passwords = tmp_path / "passwords"
    set_password(passwords, "alice", "MARK-right")
    monkeypatch.setenv("PASSWORDS", str(passwords))
    options = ("--authenticate", f"{ROOTS}:who", "--log-level", "debug")
    known = {"Cookie": "name=carol; session=MARK-cookie"}
    secrets: list[str] = []

    with serving(f"{ROOTS}:portal", *options, "--limit", "resume_window=60") as process:
        host = f"localhost:{process.port}"
        url = f"ws://{host}/pb"

        async def begin(resume: dict[str, object] | None = None) -> dict[str, object]:
            reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
            async with Peer(reader, writer) as peer:
                peer.send_bytes(upgrade(host, headers=list(known.items())))
                assert (await read_head(reader))[0] == 101
                peer.greet(**({} if resume is None else {"resume": resume}))
                said: dict[str, object] = (await peer.next("version"))[2]
                if resume is None:  # where a login is required nothing is kept before it
                    proof = {"username": "alice", "password": "MARK-right"}
                    peer.send(["message", 1, "root", "login", ["password", proof]])
                    await peer.answer(1)
                secrets.append(str(said["secret"]))
                return {**said, "counts": {"received": peer.received, "sent": peer.sent}}

        async def main() -> None:
            with pytest.raises(pb.ConnectFailed, match=r"answered 500: authenticating failed$"):
                await pb.connect(url, headers={"Authorization": "Bearer of nothing"})
            with pytest.raises(pb.ConnectFailed, match=r"pb\?token=\*\*\* answered 400"):
                await pb.connect(f"{url}?token=MARK-in-the-url", headers=known)
            async with pb.connect(url, headers=known) as connection:
                for password in ("MARK-wrong", "MARK-right"):
                    login = connection.login(pb.UsernamePassword("alice", password))
                    if password == "MARK-wrong":
                        with pytest.raises(pb.UnauthorizedLogin, match=r"^the login failed$"):
                            await login
                    else:
                        assert await (await login).callRemote("whoami") == "alice"
                with pytest.raises(pb.UnauthorizedLogin):
                    await connection.login(pb.Token("MARK-token"))
            said = await begin()
            names = {"session": said["session"], **said["counts"]}  # type: ignore[dict-item]
            assert (await begin({**names, "secret": "MARK-secret"}))["resumed"] is False
            assert (await begin({**names, "secret": said["secret"]}))["resumed"] is True

        asyncio.run(main())
        process.wait_for("ERROR pbweb: authenticate raised ValueError at ")
        output = process.output

    assert len(set(secrets)) == 3
    for text in (output, caplog.text):
        assert "MARK" not in text
        for secret in secrets:
            assert secret not in text
