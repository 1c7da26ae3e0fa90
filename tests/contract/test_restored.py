"""Another cluster behind the endpoint: a restored backup, or an etcd that begins anew.

Lease, key and token come back with a backup, and a keepalive is answered: only the cluster's id, or
a revision below one that was seen, tells that it is not the same history any more.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
from concurrent.futures import Future

import pytest

from etcd_election import ElectionClient, Leadership, LostReason, Observer, SessionExpired
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background

TTL = 6


class Behind(enum.Enum):
    """What is started in the place of the etcd that was there."""

    BACKUP = "the same cluster as it was a while ago"
    EMPTY = "an etcd on an empty folder, under the same name"
    OTHER = "an etcd on an empty folder, with another cluster's id"


def replace(server: EtcdServer, behind: Behind) -> None:
    """What ``keep`` kept, or nothing, takes the place of the data."""
    server.kill()
    shutil.rmtree(server.folder / "data")
    if behind is Behind.BACKUP:
        (server.folder / "kept").rename(server.folder / "data")
    elif behind is Behind.OTHER:
        server.args = (*server.args, "--initial-cluster-token=other")
    server.start()


def keep(server: EtcdServer) -> None:
    server.kill()
    shutil.copytree(server.folder / "data", server.folder / "kept")
    server.start()


@pytest.mark.parametrize("behind", list(Behind), ids=lambda behind: behind.name.lower())
@pytest.mark.parametrize("via", ["service", "kv"])
def test_every_leadership_ends_and_a_new_term_can_begin(
    front: Front, own_server: EtcdServer, caplog: pytest.LogCaptureFixture, behind: Behind, via: str
) -> None:
    with front.Etcd(own_server.endpoint) as etcd:
        clients = [front.ElectionClient(etcd, name, ttl=TTL, via=via) for name in ("x", "y")]
        leaderships = [client.campaign("before") for client in clients]
        observer: Observer[object] = clients[1].observe(vacancies=True)  # type: ignore[assignment]
        keep(own_server)
        for number in range(20):
            leaderships[0].proclaim(str(number), timeout=PATIENCE)
        replace(own_server, behind)
        for leadership in leaderships:
            # At the next beat at the latest; the lease's deadline would be later.
            assert leadership.wait_lost(PATIENCE)
            assert leadership.lost is LostReason.CLUSTER_CHANGED
        # The word is out when the leases are over, and the reason written down right after.
        eventually(lambda: "another etcd cluster" in caplog.text, PATIENCE)
        again = [client.campaign("after", timeout=PATIENCE) for client in clients]
        assert all(leadership.held for leadership in again)
        with RawEtcd(own_server.endpoint) as raw:
            (head,) = queue_of(raw, "y", 1)
        assert head.create_revision == again[1].token
        eventually(lambda: getattr(observer.next(PATIENCE), "text", "") == "after", PATIENCE)
        assert not again[0].wait_lost(TTL), "and it lasts"


def elected_in_the_end(client: ElectionClient, waiting: Future[Leadership]) -> Leadership:
    """Campaigns again after every session that ended: with its lease, or with the cluster."""
    for _ in range(3):
        with contextlib.suppress(SessionExpired):
            return waiting.result(2 * PATIENCE)
        # What a backup brought back of the former leader runs out with its lease.
        waiting = Future()
        try:
            waiting.set_result(client.campaign("waiter", timeout=2 * PATIENCE))
        except SessionExpired as error:
            waiting.set_exception(error)
    return waiting.result()


@pytest.mark.parametrize("behind", list(Behind), ids=lambda behind: behind.name.lower())
@pytest.mark.parametrize("via", ["service", "kv"])
def test_a_waiting_candidate_is_not_left_waiting_for_a_queue_that_is_gone(
    front: Front, own_server: EtcdServer, background: Background, behind: Behind, via: str
) -> None:
    with front.Etcd(own_server.endpoint) as etcd:
        leader = front.ElectionClient(etcd, "x", ttl=TTL, via=via)
        waiter: ElectionClient = front.ElectionClient(etcd, "x", ttl=TTL, via=via)
        leadership = leader.campaign("leader")
        keep(own_server)
        waiting = background(waiter.campaign, "waiter")
        with RawEtcd(own_server.endpoint) as raw:
            queue_of(raw, "x", 2)
        for number in range(20):
            leadership.proclaim(str(number), timeout=PATIENCE)
        replace(own_server, behind)
        assert elected_in_the_end(waiter, waiting).held
        assert not leadership.held
