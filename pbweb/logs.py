"""What the log shows of what peers send: one line, nothing that a terminal obeys, and not much.

All of pbweb logs as ``pbweb``, through the filter of this module, so no caller can forget it
(docs/security.md, threats A4 and B14).
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Hashable, Iterable
from typing import Any
from urllib.parse import unquote

__all__ = [
    "CAUSED_BY_PEERS",
    "HIDDEN",
    "PEERS_TEXT",
    "Allowance",
    "MaskSecrets",
    "OneLine",
    "Sparse",
    "guard_uvicorn_logs",
    "is_secret",
    "logger",
    "masked",
    "printable",
    "shown",
    "wire_logger",
]

PEERS_TEXT = 200
"""Characters that are shown of one text of a peer's."""
LINE = 500
"""Characters of a whole line: our words with what a peer sent among them."""
TRACEBACK_LINES = 60  # at its beginning, and as many at its end

LONGEST_URL = 2048  # characters that are looked through for secrets

HIDDEN = "***"
"""What stands in the place of a secret."""

_SECRETS = frozenset(
    (
        *("apikey", "auth", "authentication", "authorization", "bearer", "credential"),
        *("credentials", "jwt", "passphrase", "passwd", "password", "passwords", "privatekey"),
        *("pwd", "secret", "secrets", "sessionid", "signature", "token", "tokens"),
    )
)
_SECRET_ENDS = ("token", "secret", "password", "apikey", "passwd")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_USER = re.compile(r"//[^/?#\s]*@")
_PAIR = re.compile(r"([?&;])([^=&;?\s\"']+)=([^&;#\s\"']+)")


def printable(text: str, limit: int = LINE) -> str:
    """*text* on one line, cut at *limit*, without anything that a terminal would obey.

    Control characters, line ends, what turns the direction of writing, and lone surrogates are
    shown as Python would write them.
    """
    plain = text[: limit + 1]
    if not plain.isprintable():
        plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in plain)
    return plain if len(plain) <= limit else f"{plain[:limit]}…"


def shown(text: str, limit: int = PEERS_TEXT) -> str:
    """A text of a peer's in quotes, in ASCII, cut at *limit*."""
    plain = ascii(text[: limit + 1])[1:-1]
    return f"'{plain}'" if len(plain) <= limit else f"'{plain[:limit]}'..."


class OneLine(logging.Filter):
    """Makes every record safe to be written, whatever is in its arguments and its exception.

    The lines of a traceback are set in, so none of them can pass for another entry of the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change *record*; it is never held back."""
        text = record.getMessage()
        safe = printable(text)
        if safe != text:
            record.msg, record.args = safe, ()
        if record.exc_info and not record.exc_text:  # what a formatter takes where it is there
            record.exc_text = _traceback(record.exc_info[1])
        return True


def _traceback(error: BaseException | None) -> str:
    if error is None:
        return ""
    lines = [
        line for part in traceback.format_exception(error) for line in part.rstrip("\n").split("\n")
    ]
    if len(lines) > 2 * TRACEBACK_LINES:
        left_out = f"… {len(lines) - 2 * TRACEBACK_LINES} lines …"
        lines = [*lines[:TRACEBACK_LINES], left_out, *lines[-TRACEBACK_LINES:]]
    return "\n".join(f"  {printable(line)}" for line in lines)


logger = logging.getLogger("pbweb")
logger.addFilter(OneLine())

wire_logger = logging.getLogger("pbweb.websocket")
"""What websockets is given: for DEBUG it would write down every header and every frame."""
wire_logger.setLevel(logging.ERROR)
wire_logger.addFilter(OneLine())


class Allowance:
    """How many lines each cause has left in this minute; the rest is counted."""

    def __init__(self, most: int, causes: int) -> None:
        self._most = most
        self._causes = causes
        self._counts: dict[Hashable, int] = {}

    def take(self, cause: Hashable) -> bool:
        """Whether a line may be written for *cause*; past the bound of causes they are one."""
        if len(self._counts) >= self._causes and cause not in self._counts:
            cause = "many different things were reported"
        count = self._counts[cause] = self._counts.get(cause, 0) + 1
        return count <= self._most

    def left_out(self) -> Iterable[tuple[Hashable, int]]:
        """Begin another minute: of which causes how many lines were not written."""
        counts, self._counts = self._counts, {}
        return [
            (cause, count - self._most) for cause, count in counts.items() if count > self._most
        ]


# ------------------------------------------------------------- secrets in URLs


def is_secret(key: str) -> bool:
    """Whether the value of *key*, in the query of a URL, looks like a secret.

    >>> [is_secret(key) for key in ("token", "access_token", "apiKey", "X-Auth", "author")]
    [True, True, True, True, False]
    """
    key = unquote(key)
    words = [word.lower() for word in _WORDS.findall(key[:PEERS_TEXT])]
    joined = "".join(words)
    return not _SECRETS.isdisjoint([*words, joined]) or joined.endswith(_SECRET_ENDS)


def masked(text: str) -> str:
    """*text* with `HIDDEN` in the place of the secrets in URLs: in queries, and before an @.

    Of what is longer than `LONGEST_URL` nothing behind the first question mark is shown.
    """
    if len(text) > LONGEST_URL:
        before, mark, _ = text.partition("?")
        text = f"{before}{mark}{HIDDEN}" if mark else text
    if "@" in text:
        text = _USER.sub(f"//{HIDDEN}@", text)
    return _PAIR.sub(_masked_pair, text) if "=" in text else text


def _masked_pair(pair: re.Match[str]) -> str:
    before, key, _ = pair.groups()
    return f"{before}{key}={HIDDEN}" if is_secret(key) else pair[0]


class MaskSecrets(logging.Filter):
    """Takes the secrets in URLs out of what others log: for the access log of a web server."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change *record*; it is never held back."""
        if not record.args:  # else it is a format
            record.msg = _masked_value(record.msg)
        elif isinstance(record.args, tuple):  # uvicorn's formatter counts on their number
            record.args = tuple(map(_masked_value, record.args))
        else:
            record.args = {name: _masked_value(value) for name, value in record.args.items()}
        return True


def _masked_value(value: Any) -> Any:
    return masked(value) if isinstance(value, str) else value


# ------------------------------------------------------- what peers have uvicorn say

CAUSED_BY_PEERS = frozenset(
    (
        "Invalid HTTP request received.",
        "Unsupported upgrade request.",
        "Invalid UTF-8 sequence received from client.",
        # Said of each upgrade that was refused with a text, though the answer is complete.
        "ASGI callable returned without completing handshake.",
        "ASGI callable returned without sending handshake.",
    )
)
"""What uvicorn warns of as often as a peer likes."""
_A_MINUTE = 10


class Sparse(logging.Filter):
    """Ten lines a minute of each thing that a peer can have uvicorn warn of, then how many more."""

    def __init__(self) -> None:
        super().__init__()
        self._allowance = Allowance(_A_MINUTE, len(CAUSED_BY_PEERS))
        self._minute = 0
        self._left_out: dict[Hashable, int] = {}  # by text: what is still to be told

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether *record* may be written. The next one after that tells how many were not."""
        text = record.msg
        if not isinstance(text, str) or text not in CAUSED_BY_PEERS:
            return True
        minute = int(record.created // 60)
        if minute != self._minute:
            self._minute = minute
            self._left_out.update(self._allowance.left_out())
        if left_out := self._left_out.pop(text, 0):
            record.msg = f"{text} (and {left_out} more in a minute before)"
        return self._allowance.take(text)


_mask = MaskSecrets()
_sparse = Sparse()


def guard_uvicorn_logs() -> None:
    """Have uvicorn, where it serves this process, log no secret of a URL, and no flood of lines."""
    for name in ("uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).addFilter(_mask)  # which adds it once
    logging.getLogger("uvicorn.error").addFilter(_sparse)
