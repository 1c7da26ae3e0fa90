"""Ctrl-C while a client or a connection is being closed: nothing goes on being renewed."""

from __future__ import annotations

import threading

import pytest

from etcd_election import ElectionClient, Etcd
from etcd_election.testing import Cluster
from tests.support.waiting import eventually

PATIENCE = 15.0
NAME = "jobs"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def engines() -> set[threading.Thread]:
    """The threads that renew leases."""
    return {thread for thread in threading.enumerate() if thread.name == "etcd_election-engine"}


def test_client_whose_close_was_interrupted_leads_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    with Etcd(cluster.endpoint) as etcd:
        client = ElectionClient(etcd, NAME)
        client.campaign("host-1")
        rival = cluster.rival(NAME)
        # It waits for calls of other threads on the client.
        monkeypatch.setattr(client._member.line, "when_empty", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.close()
        eventually(lambda: rival.leads, PATIENCE)


@pytest.mark.parametrize("owned", [True, False])
def test_connection_whose_close_was_interrupted_renews_nothing(
    monkeypatch: pytest.MonkeyPatch, *, owned: bool
) -> None:
    before = engines()
    cluster = Cluster()
    connection = cluster.endpoint if owned else Etcd(cluster.endpoint)
    client = ElectionClient(connection, NAME)
    client.campaign("host-1")
    (ours,) = engines() - before
    if isinstance(connection, Etcd):
        monkeypatch.setattr("etcd_election._sync.connection.Machinery.drain", interrupted)
    else:
        monkeypatch.setattr(client, "_leave", interrupted)
    with pytest.raises(KeyboardInterrupt):
        (connection if isinstance(connection, Etcd) else client).close()
    eventually(lambda: not ours.is_alive(), PATIENCE)
    # As it does by and by.
    cluster.expire(NAME)
