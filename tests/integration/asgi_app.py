"""An application for ASGI servers that are started as a process."""

from starlette.applications import Starlette

import pbweb as pb
from tests.integration.roots import IntegrationRoot

application = Starlette(routes=pb.endpoint(IntegrationRoot, origins=["https://a.example"]).routes())
