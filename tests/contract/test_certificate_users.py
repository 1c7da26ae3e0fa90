"""Users by client certificate: etcd takes the certificate's common name for the user's.

It does so in all services, the Election service included, on every version measured (docs/etcd.md).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etcd_election import TLS, Etcd, LostReason, PermissionDenied
from etcd_election.pb import rpc_pb2
from tests.support.authority import Authority
from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.users import ask_for_users
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def guarded(etcd_binary: str, authority: Authority) -> Iterator[EtcdServer]:
    """Asks for certificates, and has users: root, and alice for keys under ``mine/``."""
    with EtcdServer(etcd_binary, tls=authority.serve(client_ca=authority)) as server:
        ask_for_users(server, authority.credentials(authority.issue("c", common_name="root")))
        yield server


def connect(front: Front, server: EtcdServer, authority: Authority, user: str | None) -> Etcd:
    pair = authority.issue("client.test", common_name=user)
    return front.Etcd(server.endpoint, tls=TLS(authority.pem, pair.cert, pair.key))


@pytest.mark.parametrize("via", ["service", "kv"])
def test_the_common_name_is_the_user(
    front: Front, guarded: EtcdServer, authority: Authority, background: Background, via: str
) -> None:
    with (
        connect(front, guarded, authority, "alice") as etcd,
        front.ElectionClient(etcd, "mine", via=via, ttl=5) as first,
        front.ElectionClient(etcd, "mine", via=via, ttl=5) as second,
        second.observe() as observer,
    ):
        leadership = first.campaign("first")
        assert observer.next(PATIENCE).text == "first"
        leadership.proclaim("again")
        assert observer.next(PATIENCE).text == "again"
        put = rpc_pb2.PutRequest(key=b"mine/written", value=b"v")
        delete = rpc_pb2.DeleteRangeRequest(key=b"mine/written")
        leadership.transaction([rpc_pb2.RequestOp(request_put=put)])
        leadership.transaction([rpc_pb2.RequestOp(request_delete_range=delete)])
        waiting = background(second.campaign, "second")
        eventually(lambda: len(first.candidates()) == 2, PATIENCE)
        assert not leadership.wait_lost(4.0), "it is renewed"
        leadership.resign()
        assert leadership.lost is LostReason.RESIGNED
        assert waiting.result(PATIENCE).held
        assert observer.next(PATIENCE).text == "second"


@pytest.mark.parametrize("user", ["alice", "bob", None])
def test_a_user_without_permission_is_denied(
    front: Front, guarded: EtcdServer, authority: Authority, user: str | None
) -> None:
    """So is one whom etcd does not know, and a certificate without a name."""
    with (
        connect(front, guarded, authority, user) as etcd,
        front.ElectionClient(etcd, "others", ttl=5) as client,
    ):
        for call in (client.leader, client.candidates, lambda: client.campaign("v")):
            with pytest.raises(PermissionDenied):
                call()
        with pytest.raises(PermissionDenied):
            client.observe().next(PATIENCE)


def test_user_and_password_come_before_the_certificate(
    front: Front, guarded: EtcdServer, authority: Authority
) -> None:
    pair = authority.issue("client.test", common_name="nobody")
    tls = TLS(authority.pem, pair.cert, pair.key)
    with (
        front.Etcd(guarded.endpoint, tls=tls, user="alice", password="alice") as etcd,
        front.ElectionClient(etcd, "mine", ttl=5) as client,
    ):
        assert client.campaign("v").held
