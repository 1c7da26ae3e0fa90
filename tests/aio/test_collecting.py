"""What the collector may take in asyncio, where tasks are held weakly, and what it may not."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from etcd_election.aio import ElectionClient, Etcd, Leadership
from tests.support.coroutines import until
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd

from .conftest import MakeClient, queue_of


def collect_on_another_thread() -> None:
    """A finalizer then runs where there is no loop."""
    collecting = threading.Thread(target=gc.collect)
    collecting.start()
    collecting.join()


@pytest.mark.leaves_lease
@pytest.mark.parametrize("collect", [gc.collect, collect_on_another_thread])
async def test_a_client_collected_unclosed_renews_no_more_and_warns(
    etcd: Etcd, election_name: str, raw: RawEtcd, collect: Callable[[], object]
) -> None:
    client = ElectionClient(etcd, election_name, ttl=2)
    leadership = await client.campaign("v")
    gone = weakref.ref(client)
    del client, leadership
    with pytest.warns(ResourceWarning, match="unclosed ElectionClient"):
        collect()
    assert gone() is None
    await until(lambda: raw.candidates(election_name) == [])


async def test_a_connection_collected_unclosed_ends_its_streams_and_warns(
    own_server: EtcdServer,
) -> None:
    before = len(asyncio.all_tasks())
    etcd = Etcd(own_server.endpoint)
    observer = ElectionClient(etcd, "x").observe(vacancies=True)
    assert await observer.next() is None
    gone = weakref.ref(etcd)
    del observer, etcd
    with pytest.warns(ResourceWarning, match="unclosed <Etcd"):
        # The observer first, and what that takes in the loop.
        await until(lambda: gc.collect() and gone() is None)
    await until(lambda: len(asyncio.all_tasks()) == before)
    assert own_server.open_calls("Observe") == own_server.open_calls("Watch") == 0


async def test_a_callback_keeps_the_client_that_nobody_else_keeps(
    etcd: Etcd, election_name: str, raw: RawEtcd
) -> None:
    told: list[Leadership] = []
    (await ElectionClient(etcd, election_name, ttl=2).campaign("v")).on_lost(told.append)
    for _ in range(25):
        gc.collect()
        await asyncio.sleep(0.1)
    assert told == []
    (stored,) = raw.candidates(election_name)
    raw.delete(stored.key)
    await until(lambda: len(told) == 1)
    assert told[0].key == stored.key


async def test_a_campaign_in_a_task_that_nobody_keeps_goes_on_and_wins(
    make_client: MakeClient, etcd: Etcd, election_name: str, raw: RawEtcd
) -> None:
    leader = make_client()
    await leader.campaign("leader")
    won: list[bool] = []

    async def wait_and_lead() -> None:
        async with ElectionClient(etcd, election_name, ttl=2) as client:
            won.append((await client.campaign("waiter")).held)

    asyncio.create_task(wait_and_lead())  # noqa: RUF006 - that is the point
    await queue_of(raw, election_name, 2)
    for _ in range(25):
        gc.collect()
        await asyncio.sleep(0.1)
    await leader.resign()
    await until(lambda: won == [True])
    await until(lambda: raw.candidates(election_name) == [])
