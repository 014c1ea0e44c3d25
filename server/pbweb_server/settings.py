"""What `pbweb serve` can be told, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["LOOPBACK", "Settings"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `pbweb serve` is told, under the names of its options; their help says what is what."""

    target: str
    host: str = "127.0.0.1"
    port: int = 8000
    pages: Path | None = None
    authenticate: str | None = None
    origin: tuple[str, ...] = ()
    allow_host: tuple[str, ...] = ()
    trust_proxy: tuple[str, ...] = ("127.0.0.1", "::1")
    limit: tuple[tuple[str, float], ...] = ()
    mask_errors: bool = False
    unsafe_tracebacks: bool = False
    reload: bool = False
    log_level: str = "info"

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The hosts to answer to; None for all."""
        return self.allow_host or (LOOPBACK if self.host in LOOPBACK else None)
