"""What many clients of one loop cost: they share one connection, and wait without being asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from etcd_election.aio import ElectionClient, Etcd
from tests.support.coroutines import until
from tests.support.etcd_server import EtcdServer
from tests.support.proxy import TcpProxy
from tests.support.raw import RawEtcd
from tests.support.waiting import lasting

from .conftest import MakeClient

CLIENTS = 200
# One for calls, one for keepalives, one for waits in the Election service.
CONNECTIONS = 3
# Of an Etcd in one member's Election service.
WAITS = 16


def unchanged(number: Callable[[], int], seconds: float) -> Callable[[], bool]:
    """A condition that is true once a number has stayed the same for so long."""
    last = [number()]

    def same() -> bool:
        before, last[0] = last[0], number()
        return last[0] == before

    return lasting(same, seconds)


@pytest.mark.parametrize("via", ["service", "kv"])
async def test_200_waiting_candidates_share_threads_connections_streams_and_tasks(
    own_server: EtcdServer,
    make_own_client: MakeClient,
    own_raw: RawEtcd,
    after: AsyncExitStack,
    via: str,
) -> None:
    waiters: list[ElectionClient] = []
    # Kept until their connection has closed them.
    after.callback(waiters.clear)
    proxy = after.enter_context(TcpProxy(own_server.endpoint))
    etcd = await after.enter_async_context(Etcd(proxy.endpoint))
    names = [f"e{number}" for number in range(CLIENTS)]
    leaders = [make_own_client(name, ttl=300) for name in names]
    leaderships = await asyncio.gather(*[leader.campaign("leader") for leader in leaders])
    # A reader of ours, and a task of grpc.aio's, for each stream and each wait.
    await until(lambda: len(asyncio.all_tasks()) == 3)
    before = own_server.open_calls("Watch")

    waiters += [ElectionClient(etcd, name, ttl=300, via=via) for name in names]
    campaigns = [asyncio.create_task(waiter.campaign("waiter")) for waiter in waiters]
    await until(lambda: len(own_raw.range("e", prefix=True)) == 2 * CLIENTS)

    # Nobody asks, nobody is asked: until the first lease is to be renewed nothing is sent.
    await until(unchanged(lambda: proxy.to_server, 2.0))
    assert proxy.open_connections <= CONNECTIONS
    assert own_server.open_calls("Watch") == before + 1
    assert own_server.open_calls("Campaign") <= (WAITS if via == "service" else 0)
    assert len(asyncio.all_tasks()) - 3 <= CLIENTS + 2 + 2 * WAITS
    assert [t for t in threading.enumerate() if t.name.startswith("etcd_election")] == []

    await asyncio.gather(*[leadership.resign() for leadership in leaderships])
    won = await asyncio.wait_for(asyncio.gather(*campaigns), 30)
    assert all(leadership.held for leadership in won)
    assert proxy.open_connections <= CONNECTIONS
    assert own_server.open_calls("Campaign") == 0
    # Those who lead have no task at all.
    await until(lambda: len(asyncio.all_tasks()) == 3 + 2)


async def test_idle_candidates_and_leaders_only_renew_and_look(
    own_server: EtcdServer, make_own_client: MakeClient, own_raw: RawEtcd
) -> None:
    names = [f"e{number}" for number in range(20)]
    clients = [make_own_client(name, ttl=3) for name in names for _ in range(2)]
    campaigns = [asyncio.create_task(client.campaign("v")) for client in clients]
    await until(lambda: len(own_raw.range("e", prefix=True)) == 40)
    others = ("LeaseGrant", "LeaseRevoke", "Watch", "Campaign", "Resign", "Leader")
    watched = [*others, "LeaseKeepAlive", "Range", "Txn"]

    def calls() -> dict[str, int]:
        return {name: own_server.open_calls(name) + own_server.ended_calls(name)
                for name in watched}  # fmt: skip

    await asyncio.sleep(0.5)
    began_at, first = time.monotonic(), calls()
    renewals = 3 * len(clients)
    await until(lambda: calls()["LeaseKeepAlive"] >= first["LeaseKeepAlive"] + renewals)
    took, last = time.monotonic() - began_at, calls()
    # A beat is a third of the ttl, at most a tenth earlier.
    assert took >= 3 * 0.9 - 0.9
    assert {name: last[name] - first[name] for name in others} == dict.fromkeys(others, 0)
    # One look at the key with each, or at the queue.
    assert sum(last[name] - first[name] for name in ("Range", "Txn")) <= renewals * 2
    for campaign in campaigns:
        campaign.cancel()
    await asyncio.gather(*campaigns, return_exceptions=True)
