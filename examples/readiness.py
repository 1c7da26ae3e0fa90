"""A web service of several replicas that all answer, while one of them, the leader, also works.

``GET /ready`` is 200 while this replica takes part in the election: its session is alive, it leads
or waits for its turn. Otherwise it is 503. ``GET /leader`` is 200 on the replica that leads, for a
load balancer that is to find it. Both say in JSON how things stand. Both are computed when asked,
from what is known here: they never wait for etcd.

To be run by any ASGI server, as ``uvicorn --factory examples.readiness:from_environment``. Needs
starlette; with FastAPI it is the same: ``FastAPI(lifespan=..., routes=...)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from etcd_election.aio import ElectionClient, Leadership


async def work(leadership: Leadership) -> None:
    """What only the leader does; cancelled when leadership is lost."""
    while True:
        print("working, with fencing token", leadership.token)
        await asyncio.sleep(1.0)


def answer(request: Request, good: Callable[[dict[str, object]], object]) -> JSONResponse:
    client: ElectionClient = request.app.state.client
    leadership = client.leadership  # None unless it is held at this moment
    said: dict[str, object] = {
        # An own lease that is alive: etcd has answered within the last ttl.
        "healthy": client.lease_id is not None,
        "leads": leadership is not None,
        "token": leadership.token if leadership is not None else None,
        "state": client.state.value,
    }
    return JSONResponse(said, 200 if good(said) else 503)


async def ready(request: Request) -> JSONResponse:
    return answer(request, lambda said: said["healthy"])


async def leader(request: Request) -> JSONResponse:
    return answer(request, lambda said: said["leads"])


def make_app(
    endpoints: str,
    name: str,
    value: str,
    *,
    ttl: int = 15,
    lead: Callable[[Leadership], Awaitable[None]] = work,
) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
        # Not by `async with`: the service starts, and is not ready, while etcd does not answer.
        client = app.state.client = ElectionClient(endpoints, name, ttl=ttl)
        leading = asyncio.create_task(client.run(lead, value))
        try:
            yield
        finally:
            leading.cancel()
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await leading
            finally:
                await client.close()

    return Starlette(lifespan=lifespan, routes=[Route("/ready", ready), Route("/leader", leader)])


def from_environment() -> Starlette:
    return make_app(
        os.environ.get("ETCD_ENDPOINTS", "127.0.0.1:2379"),
        os.environ.get("ELECTION", "my-service"),
        socket.gethostname(),
    )
