"""The benchmarks still do what they measure: a little of it, with nothing judged."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from benchmarks.bounds import IN_GRPC, ROWS
from benchmarks.contest import OURS, RAW, peers
from benchmarks.scale.stage import BARE, FRONTS, Stage, tell
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="they read /proc")

PATIENCE = 20.0


@pytest.fixture
def stage(own_server: EtcdServer) -> Iterator[Stage]:
    """An etcd that ends with the benchmark, and whatever that has left there."""
    with RawEtcd(own_server.endpoint) as raw:
        yield Stage(own_server, raw, print, quick=True)


def test_each_row_is_measured_with_the_library_and_with_raw_stubs(own_server: EtcdServer) -> None:
    with peers(own_server.endpoint, [*OURS, *RAW], None) as contenders:
        for peer in contenders:
            took = {order: peer.does(order, 1) for order in peer.orders}
            for row in ROWS:
                (seconds,) = took[row.order][row.step]
                with_grpc = took[row.order].get(row.step + IN_GRPC)
                assert (with_grpc is not None) is (peer.name in OURS and row.step != "handover")
                assert with_grpc is None or 0 < with_grpc[0] <= seconds


@pytest.mark.parametrize("front", FRONTS)
def test_crowd_joins_and_is_elected(stage: Stage, front: str) -> None:
    with stage.crowd(FRONTS[front]) as child:
        tell(child, "join", PATIENCE, names=[f"crowd-{front}"], ttl=5, via="kv")
        assert len(stage.await_elected(child, 1, PATIENCE)) == 1


def test_bare_crowd_renews_and_reads(stage: Stage) -> None:
    with stage.crowd(BARE) as child:
        tell(child, "join", PATIENCE, names=["crowd-bare"], ttl=5, watched=["another"])
        before = stage.counts()
        tell(child, "beat", PATIENCE, every=0.01, streamed=False)

        def asked() -> bool:
            return {"LeaseKeepAlive", "Range"} <= set(stage.counts().since(before).answers)

        eventually(asked, PATIENCE, "it asks for what the library asks for")
