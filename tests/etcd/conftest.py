"""Fixtures for tests of the library on a real etcd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from etcd_election import ElectionClient, Etcd
from tests.support.etcd_server import EtcdServer

MakeClient = Callable[..., ElectionClient]
Background = Callable[..., "Future[Any]"]

PATIENCE = 15.0
"""For what must come but promises no time; a noisy machine has all of it."""


@pytest.fixture
def connection(server: EtcdServer) -> Iterator[Etcd]:
    """A connection to the shared etcd."""
    with Etcd(server.endpoint) as opened:
        yield opened


@pytest.fixture
def background() -> Iterator[Background]:
    """Runs a call on a thread of its own; its future has the result.

    Ends after the clients, whose end ends what still runs.
    """
    pool = ThreadPoolExecutor(32, thread_name_prefix="test")
    yield pool.submit
    pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def make_client(
    connection: Etcd, election_name: str, background: Background
) -> Iterator[MakeClient]:
    """Makes clients of this test's election; closes them afterwards."""
    with ExitStack() as stack:

        def make(name: str | bytes = election_name, **arguments: Any) -> ElectionClient:
            client = ElectionClient(connection, name, **{"ttl": 5, **arguments})
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> ElectionClient:
    """One client of this test's election."""
    return make_client()
