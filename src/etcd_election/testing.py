"""An etcd in memory, for the unit tests of code that takes part in elections.

It needs no server, no socket and no waiting, and does what a test says: somebody else leads, a
lease runs out, etcd hangs, an hour passes. The code under test is given its endpoint, and else runs
as it is: the clients, in either front-end, are the real ones.

::

    import pytest

    from etcd_election import ElectionClient, LostReason
    from etcd_election.testing import Cluster

    @pytest.fixture
    def cluster():
        return Cluster()

    def test_the_worker_stops_when_it_leads_no_more(cluster):
        with ElectionClient(cluster.endpoint, "my-service") as client:
            leadership = client.campaign("host-1")
            cluster.expire(leadership)
            assert leadership.lost is LostReason.SESSION_EXPIRED

Time passes as ever, and besides jumps by ``advance()``, for this etcd and its clients alone.

Not modelled: several members and their raft leader; clocks of different speed; users, permissions
and TLS (they are not asked for); the wire, and so connections that break in between; compaction
and reads of the past; the hazards of etcd's Election service. Requests that were given up while it
hung are never carried out. For those, and before a release, test with a real etcd.
"""

from __future__ import annotations

from ._testing.cluster import Cluster, Rival

__all__ = ["Cluster", "Rival"]
