"""`pbweb_server.settings`: what follows from what was given."""

import pytest

from pbweb_server.settings import Settings


@pytest.mark.parametrize(("allowed", "hosts"), [((), None), (("pb.example",), ("pb.example",))])
def test_hosts_that_are_not_given_are_what_the_endpoint_has_by_default(
    allowed: tuple[str, ...], hosts: tuple[str, ...] | None
) -> None:
    assert Settings(target="", allow_host=allowed).hosts == hosts
