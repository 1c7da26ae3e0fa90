"""A member that stands still (SIGSTOP): nothing is seen of it, and little time is lost by it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.cluster import EtcdCluster
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background

HAND_OVER = 0.5
"""Resign and the last read before a win meet the silent member first, and wait a tenth of a second
for it, each; without another endpoint asked beside, 0.3 s."""

TRIES = 3
"""A noisy machine may spoil some."""


@pytest.fixture(scope="module")
def cluster(etcd_binary: str) -> Iterator[EtcdCluster]:
    """Three members, for all tests here."""
    with EtcdCluster(etcd_binary, 3) as started:
        yield started


def test_leadership_is_handed_over_at_once_though_the_member_in_use_stands_still(
    front: Front, cluster: EtcdCluster, background: Background, election_name: str
) -> None:
    eventually(lambda: cluster.raft_leader() is not None, PATIENCE, "nobody leads in raft")
    leads = cluster.raft_leader()
    stopped, other = (member for i, member in enumerate(cluster.members) if i != leads)
    endpoints = [stopped.endpoint, *(m.endpoint for m in cluster.members if m is not stopped)]
    took: list[float] = []
    while len(took) < TRIES and min(took, default=HAND_OVER) >= HAND_OVER:
        with front.Etcd(endpoints) as first, front.Etcd(endpoints) as second:
            leader = front.ElectionClient(first, election_name, via="kv")
            candidate = front.ElectionClient(second, election_name, via="kv")
            leadership = leader.campaign("leader")
            elected = background(candidate.campaign, "candidate")
            with RawEtcd(other.endpoint) as raw:
                queue_of(raw, election_name, 2)
            stopped.pause()
            try:
                began_at = time.monotonic()
                leadership.resign()
                assert elected.result(PATIENCE).held
                took.append(time.monotonic() - began_at)
            finally:
                stopped.resume()
    assert min(took) < HAND_OVER, took
