"""What `pbweb serve` can be told, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `pbweb serve` is told, under the names of its options; their help says what is what."""

    target: str
    host: str = "127.0.0.1"
    port: int = 8000
    pages: Path | None = None
    authenticate: str | None = None
    origin: tuple[str, ...] = ()
    require_origin: bool = False
    allow_host: tuple[str, ...] = ()
    url_secrets: bool = False
    trust_proxy: tuple[str, ...] = ("127.0.0.1", "::1")
    limit: tuple[tuple[str, float], ...] = ()
    mask_errors: bool = False
    unsafe_tracebacks: bool = False
    reload: bool = False
    log_level: str = "info"

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """The hosts to answer to; None for what `Endpoint` does by default."""
        return self.allow_host or None
