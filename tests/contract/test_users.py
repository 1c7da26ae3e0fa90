"""An etcd with authentication on."""

from __future__ import annotations

import pytest

from etcd_election import AuthenticationFailed, PermissionDenied
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.users import ask_for_users

from .conftest import PATIENCE


def test_an_etcd_that_asks_who_it_is_says_so_to_users(front: Front, own_server: EtcdServer) -> None:
    """Without a user: the error must not look like an outage."""
    ask_for_users(own_server)
    with pytest.raises(AuthenticationFailed), front.Etcd(own_server.endpoint):
        pass
    connection = front.Etcd(own_server.endpoint, timeout=2.0)
    client = front.ElectionClient(connection, "x")
    for call in (client.leader, client.candidates, lambda: client.campaign("v")):
        with pytest.raises((AuthenticationFailed, PermissionDenied)):
            call()
    with pytest.raises(AuthenticationFailed):
        client.observe().next(PATIENCE)
    connection.close()
