"""An endpoint in an application under uvicorn, which is stopped in pbweb's order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

import pbweb as pb
from tests.integration.shutdown_app import Desk

endpoint = pb.endpoint(Desk, limits=pb.Limits(drain=3000))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with endpoint.lifespan():
        yield
    print("the application has ended", flush=True)


app = Starlette(routes=endpoint.routes("/pb"), lifespan=lifespan)
