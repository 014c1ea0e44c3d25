"""All examples in one server, each at its own path: make demo

pbweb serve examples.demo:SERVICES --pages examples
"""

from examples.board import app as board
from examples.callbacks import app as callbacks
from examples.chat import app as chat
from examples.copies import app as copies
from examples.echo import app as echo
from examples.exceptions import app as exceptions
from examples.files import app as files
from examples.identity import app as identity
from examples.login import app as login
from examples.pond import app as pond
from examples.references import app as references
from examples.resilience import app as resilience
from examples.stale import app as stale

SERVICES = {
    "/echo/pb": echo.EchoRoot,
    "/references/pb": references.One,
    "/identity/pb": identity.One,
    "/callbacks/pb": callbacks.One,
    "/exceptions/pb": exceptions.One,
    "/copies/pb": copies.PondRoot,
    "/stale/pb": stale.StaleRoot,
    "/pond/pb": pond.PondRoot,
    "/board/pb": board.BoardRoot,
    "/files/pb": files.FilesRoot,
    "/chat/pb": chat.ChatRoot,
    "/login/pb": login.portal,
    "/resilience/pb": resilience.ResilienceRoot,
}
