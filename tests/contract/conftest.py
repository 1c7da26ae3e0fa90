"""Fixtures of the contract: every test that takes a `front` runs on both front-ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from etcd_election import ElectionClient, Etcd
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import NAMES, Front, make_front
from tests.support.noise import no_noise

MakeClient = Callable[..., ElectionClient]
Background = Callable[..., "Future[Any]"]

PATIENCE = 15.0
"""For what must come but promises no time; a noisy machine has all of it."""

SETTLE = 3.0
"""For what the library may go on tidying up when a test is over."""


@pytest.fixture(scope="session")
def fronts() -> Iterator[dict[str, Front]]:
    """Those in use: all tests of this process share one event loop, as grpc.aio likes it."""
    made: dict[str, Front] = {}
    yield made
    for front in made.values():
        front.close()


@pytest.fixture(params=NAMES)
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Iterator[Front]:
    """The front-end under test.

    After the test nothing is left on its event loop, no error was handed to that, and what the
    library stands on has logged nothing.
    """
    if request.param not in fronts:
        fronts[request.param] = make_front(request.param)
    chosen = fronts[request.param]
    with no_noise():
        yield chosen
        chosen.check(SETTLE)


@pytest.fixture
def connection(front: Front, server: EtcdServer) -> Iterator[Etcd]:
    """A connection to the shared etcd."""
    with front.Etcd(server.endpoint) as opened:
        yield opened


@pytest.fixture
def background(front: Front) -> Iterator[Background]:
    """Runs a call on a thread of its own; its future has the result.

    Ends after the clients, whose end ends what still runs, and before the front is looked at.
    """
    pool = ThreadPoolExecutor(32, thread_name_prefix="test")
    yield pool.submit
    pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def make_client(
    front: Front, connection: Etcd, election_name: str, background: Background
) -> Iterator[MakeClient]:
    """Makes clients of this test's election; closes them afterwards."""
    with ExitStack() as stack:

        def make(name: str | bytes = election_name, **arguments: Any) -> ElectionClient:
            client = front.ElectionClient(connection, name, **{"ttl": 5, **arguments})
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> ElectionClient:
    """One client of this test's election."""
    return make_client()
