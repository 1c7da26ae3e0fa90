"""Many clients of one connection at once: waiting for each other is not an etcd that is silent."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from etcd_election import Unavailable
from etcd_election._core import timing
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.proxy import Mode, TcpProxy


@pytest.mark.real_etcd
def test_campaigns_that_wait_for_each_other_longer_than_the_timeout_are_all_elected(
    front: Front, server: EtcdServer
) -> None:
    crowd = 8 * timing.MAX_CALLS
    with (
        TcpProxy(server.endpoint) as proxy,
        front.Etcd(proxy.endpoint, timeout=1.0) as connection,
        ThreadPoolExecutor(crowd) as pool,
    ):
        clients = [
            front.ElectionClient(connection, f"crowd-{i}", ttl=60, via="kv") for i in range(crowd)
        ]
        proxy.delay = 0.05
        proxy.mode = Mode.DELAY
        began_at = time.monotonic()
        # Two calls each, sixteen at a time, a tenth of a second there and back.
        leaderships = list(pool.map(lambda client: client.campaign("v"), clients))
        assert time.monotonic() - began_at > 1.0, "or nothing was tested"
        assert all(leadership.held for leadership in leaderships)
        proxy.mode = Mode.PASS


def test_calls_that_wait_for_others_in_vain_end_with_them(
    front: Front, own_server: EtcdServer
) -> None:
    crowd = 20 * timing.MAX_CALLS
    with (
        front.Etcd(own_server.endpoint, timeout=0.5) as connection,
        ThreadPoolExecutor(crowd) as pool,
    ):
        client = front.ElectionClient(connection, "x")
        own_server.pause()
        began_at = time.monotonic()
        asked = [pool.submit(client.leader) for _ in range(crowd)]
        for call in asked:
            with pytest.raises(Unavailable):
                call.result()
        # One after the other, they would take half a second for every sixteen.
        assert time.monotonic() - began_at < 5.0
