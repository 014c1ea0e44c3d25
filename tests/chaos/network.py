"""A namespace of the kernel's with a cable of its own, which can be pulled."""

import os
import shutil
import subprocess
from typing import Self


class Network:
    """A virtual cable between here, `HERE`, and a namespace, in which clients run by `command`."""

    def __init__(self) -> None:
        number = os.getpid()
        self._name = f"pbweb{number}"
        self._ends = (f"pb{number}a", f"pb{number}b")
        third, fourth = number // 60 % 250, number % 60 * 4
        self.here = f"10.213.{third}.{fourth + 1}"
        self.there = f"10.213.{third}.{fourth + 2}"
        self.command = ["ip", "netns", "exec", self._name]

    def __enter__(self) -> Self:
        one, other = self._ends
        inside = ["-n", self._name]
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", one, "type", "veth", "peer", "name", other, "netns", self._name)
            _ip("address", "add", f"{self.here}/30", "dev", one)
            _ip("link", "set", one, "up")
            _ip(*inside, "address", "add", f"{self.there}/30", "dev", other)
            _ip(*inside, "link", "set", other, "up")
            _ip(*inside, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        one = self._ends[0]
        # the cable first: a namespace goes later than the command that deletes it
        subprocess.run(["ip", "link", "delete", one], capture_output=True, timeout=30, check=False)
        _ip("netns", "delete", self._name)

    def pull(self) -> None:
        """Nothing is connected any more, and both ends see it."""
        _ip("link", "set", self._ends[0], "down")

    def plug(self) -> None:
        _ip("link", "set", self._ends[0], "up")

    def swallow(self) -> None:
        """What goes there disappears on the way."""
        _ip("route", "add", "blackhole", f"{self.there}/32")

    def deliver(self) -> None:
        _ip("route", "delete", "blackhole", f"{self.there}/32")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def why_not() -> str:
    """Why there can be no namespaces here; nothing if there can."""
    if shutil.which("ip") is None:
        return "there is no `ip` here (apt install iproute2)"
    try:
        with Network():
            return ""
    except OSError as error:
        return f"the kernel or the rights do not allow it: {error}"
