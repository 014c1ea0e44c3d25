"""Two namespaces of the kernel's with a cable between them, which can be pulled.

The cable is in none that anybody else is in: a browser stops all that it loads when an interface
comes or goes.
"""

import ctypes
import os
import shutil
import subprocess
from contextlib import ExitStack
from typing import Self

# The module os has this, and both calls, from Python 3.12 on.
_NEW_NETWORK = 0x4000_0000  # CLONE_NEWNET of sched.h
_LIBC = ctypes.CDLL(None, use_errno=True)


class Network:
    """A virtual cable between here, at `here`, and a namespace in which clients run by `command`.

    While it is entered, its thread, and what that starts, are in a namespace of their own, too.
    """

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
        with ExitStack() as stack:
            outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, outside)
            _call("unshare", _NEW_NETWORK)
            stack.callback(_call, "setns", outside, _NEW_NETWORK)
            _ip("netns", "add", self._name)
            stack.callback(_ip, "netns", "delete", self._name)
            _ip("link", "add", one, "type", "veth", "peer", "name", other, "netns", self._name)
            # the cable first: a namespace goes later than the command that deletes it
            stack.callback(_ip, "link", "delete", one)
            _ip("address", "add", f"{self.here}/30", "dev", one)
            _ip("link", "set", one, "up")
            _ip("link", "set", "lo", "up")
            _ip(*inside, "address", "add", f"{self.there}/30", "dev", other)
            _ip(*inside, "link", "set", other, "up")
            _ip(*inside, "link", "set", "lo", "up")
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def pull(self) -> None:
        """Nothing is connected any more, and both ends see it."""
        _ip("link", "set", self._ends[0], "down")

    def plug(self) -> None:
        _ip("link", "set", self._ends[0], "up")

    def swallow(self) -> None:
        """What goes there, or comes from there, disappears on the way: nobody hears anything."""
        self._blackholes("add")

    def deliver(self) -> None:
        self._blackholes("delete")

    def _blackholes(self, verb: str) -> None:
        _ip("route", verb, "blackhole", f"{self.there}/32")
        _ip("-n", self._name, "route", verb, "blackhole", f"{self.here}/32")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def why_not() -> str:
    """Why there can be no namespaces here; nothing if there can."""
    if shutil.which("ip") is None:
        return "there is no `ip` here (apt install iproute2)"
    try:
        with Network():
            return ""
    except OSError as error:
        return f"the kernel or the rights do not allow it: {error}"
