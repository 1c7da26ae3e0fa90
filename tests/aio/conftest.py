"""Fixtures for what exists in asyncio only. Tests that are coroutine functions run in a loop each.

Sync tests run without a loop, for those that make their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from etcd_election.aio import ElectionClient, Etcd
from tests.support.coroutines import run, until
from tests.support.etcd_server import EtcdServer
from tests.support.noise import no_noise
from tests.support.raw import RawEtcd

MakeClient = Callable[..., ElectionClient]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = pyfuncitem.funcargs
    arguments = {name: given[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    run(partial(pyfuncitem.obj, **arguments), given["after"])
    return True


@pytest.fixture(autouse=True)
def after() -> AsyncExitStack:
    """What is to be done in the test's loop when the test is over, last in first out."""
    return AsyncExitStack()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nothing is logged by what the library stands on."""
    with no_noise():
        yield


@pytest.fixture
def etcd(server: EtcdServer, after: AsyncExitStack) -> Etcd:
    """A connection to the shared etcd; it belongs to the loop of the test."""
    made = Etcd(server.endpoint)
    after.push_async_callback(made.close)
    return made


@pytest.fixture
def own_etcd(own_server: EtcdServer, after: AsyncExitStack) -> Etcd:
    """A connection to an etcd that the test may stop, pause or cut."""
    made = Etcd(own_server.endpoint)
    after.push_async_callback(made.close)
    return made


@pytest.fixture
def own_raw(own_server: EtcdServer) -> Iterator[RawEtcd]:
    """The tests' own view of that etcd."""
    with RawEtcd(own_server.endpoint) as view:
        yield view


def _maker(etcd: Etcd, usual_name: str) -> MakeClient:
    # What the test drops as it returns is not collected before its connection closes it.
    kept: list[ElectionClient] = []

    def make(name: str = usual_name, **arguments: Any) -> ElectionClient:
        kept.append(ElectionClient(etcd, name, **{"ttl": 5, **arguments}))
        return kept[-1]

    return make


@pytest.fixture
def make_client(etcd: Etcd, election_name: str) -> MakeClient:
    """Makes clients of this test's election, on one connection."""
    return _maker(etcd, election_name)


@pytest.fixture
def make_own_client(own_etcd: Etcd) -> MakeClient:
    """Makes clients of the election "x" on the test's own etcd, on one connection."""
    return _maker(own_etcd, "x")


async def queue_of(raw: RawEtcd, name: str, length: int) -> None:
    """Waits until so many candidates stand in the queue."""
    await until(
        lambda: len(raw.candidates(name)) == length,
        message=lambda: f"{length} candidates wanted, there are {raw.candidates(name)}",
    )
