"""`pbweb_server.settings`: what follows from what was given."""

import pytest

from pbweb_server.settings import LOOPBACK, Settings


@pytest.mark.parametrize(
    ("host", "allowed", "hosts"),
    [
        ("127.0.0.1", (), LOOPBACK),
        ("::1", (), LOOPBACK),
        ("127.0.0.1", ("pb.example",), ("pb.example",)),
        ("0.0.0.0", (), None),
        ("0.0.0.0", ("pb.example",), ("pb.example",)),
    ],
)
def test_a_loopback_address_answers_to_its_names_only(
    host: str, allowed: tuple[str, ...], hosts: tuple[str, ...] | None
) -> None:
    assert Settings(target="", host=host, allow_host=allowed).hosts == hosts
