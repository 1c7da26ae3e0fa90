"""Cancels that meet close(), resign() or the end of a block: held back, or taken over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from etcd_election.aio import ElectionClient, Etcd, LostReason, State
from tests.support.coroutines import until
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd

from .conftest import MakeClient, queue_of


@pytest.mark.parametrize("what", ["client", "connection"])
async def test_a_cancel_of_close_is_held_back_until_nothing_is_left(
    own_server: EtcdServer,
    own_etcd: Etcd,
    make_own_client: MakeClient,
    own_raw: RawEtcd,
    what: str,
) -> None:
    client = make_own_client(ttl=60)
    leadership = await client.campaign("v")
    own_server.pause()
    closing = asyncio.create_task(client.close() if what == "client" else own_etcd.close())
    for _ in range(2):
        await asyncio.sleep(0.1)
        assert leadership.lost is LostReason.CLOSED
        closing.cancel()
        await asyncio.sleep(0.1)
        assert not closing.done()
    own_server.resume()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert own_raw.lease_leases() == set()
    assert client.state is State.CLOSED
    assert what == "client" or len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("what", ["client", "connection"])
async def test_close_on_a_silent_etcd_ends_in_time_and_so_does_its_cancel(
    own_server: EtcdServer, own_etcd: Etcd, make_own_client: MakeClient, what: str
) -> None:
    client = make_own_client(ttl=60)
    await client.campaign("v")
    own_server.pause()
    began_at = time.monotonic()
    closing = asyncio.create_task(client.close() if what == "client" else own_etcd.close())
    await asyncio.sleep(0.1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    # 2 s for the lease that cannot be revoked now.
    assert time.monotonic() - began_at < 3.5


@asynccontextmanager
async def owning(endpoint: str, name: str) -> AsyncIterator[None]:
    async with ElectionClient(endpoint, name) as client:
        await client.campaign("v")
        yield


@asynccontextmanager
async def sharing(endpoint: str, name: str) -> AsyncIterator[None]:
    async with Etcd(endpoint) as etcd:
        client = ElectionClient(etcd, name)
        await client.campaign("v")
        yield


@asynccontextmanager
async def leading(endpoint: str, name: str) -> AsyncIterator[None]:
    async with ElectionClient(endpoint, name) as client, await client.campaign("v"):
        yield


@pytest.mark.parametrize("block", [owning, sharing, leading])
async def test_a_block_that_is_cancelled_has_left_nothing_when_its_task_has_ended(
    server: EtcdServer,
    election_name: str,
    raw: RawEtcd,
    block: Callable[[str, str], AsyncIterator[None]],
) -> None:
    async def stay() -> None:
        async with block(server.endpoint, election_name):  # type: ignore[attr-defined]
            await asyncio.Event().wait()

    staying = asyncio.create_task(stay())
    await queue_of(raw, election_name, 1)
    # It may not have been told yet that it leads.
    await until(lambda: raw.candidates(election_name)[0].value == b"v")
    staying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staying
    assert raw.candidates(election_name) == []
    assert raw.lease_leases() == set()
    assert len(asyncio.all_tasks()) == 1


async def test_close_waits_for_no_stream_of_another_connection(
    server: EtcdServer, make_client: MakeClient, election_name: str
) -> None:
    await make_client().campaign("v")
    took = []
    for _ in range(5):
        async with Etcd(server.endpoint) as other:
            await ElectionClient(other, f"{election_name}-other").campaign("v")
            began_at = time.monotonic()
        took.append(time.monotonic() - began_at)
    # A stream that is not the connection's own does not end: waiting for it takes 0.1 s, always.
    assert min(took) < 0.1


async def test_a_cancelled_resign_stays_resigned_and_the_key_goes_in_the_background(
    own_server: EtcdServer, make_own_client: MakeClient, own_raw: RawEtcd
) -> None:
    client, next_one = make_own_client(ttl=60), make_own_client(ttl=60)
    leadership = await client.campaign("v")
    waiting = asyncio.create_task(next_one.campaign("w"))
    await queue_of(own_raw, "x", 2)
    own_server.pause()
    resigning = asyncio.create_task(leadership.resign())
    await asyncio.sleep(0.1)
    assert leadership.lost is LostReason.RESIGNED
    resigning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(resigning, 1.0)
    assert not leadership.held
    own_server.resume()
    # The lease has a minute to live: it was not that which ended it.
    assert (await asyncio.wait_for(waiting, 15)).held
    assert [pair.value for pair in own_raw.candidates("x")] == [b"w"]
