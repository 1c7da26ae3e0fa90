"""The table of meanings, row by row, against what this etcd really answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from etcd_election._core.effects import Failure
from etcd_election._core.status import Meaning, meaning
from etcd_election.pb import rpc_pb2, v3election_pb2
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd
from tests.support.users import ask_for_users

TIMEOUT = 10.0


def meaning_of(call: Callable[[], Any]) -> Meaning:
    """What the table makes of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return meaning(Failure(error.code().name, error.details()))


def key(name: str, lease: int) -> v3election_pb2.LeaderKey:
    return v3election_pb2.LeaderKey(
        name=name.encode(), key=f"{name}/{lease:x}".encode(), rev=1, lease=lease
    )


def test_nobody_leads(raw: RawEtcd, election_name: str) -> None:
    assert meaning_of(lambda: raw.leader(election_name)) is Meaning.NO_LEADER


def test_an_unknown_lease(raw: RawEtcd, election_name: str) -> None:
    campaign = raw.campaign(election_name, 4711)
    assert meaning_of(lambda: campaign.result(TIMEOUT)) is Meaning.LEASE_GONE
    assert meaning_of(lambda: raw.put(election_name, "v", lease=4711)) is Meaning.LEASE_GONE
    assert meaning_of(lambda: raw.revoke(4711)) is Meaning.LEASE_GONE
    assert raw.keep_alive(4711) == 0


def test_a_proclaim_without_the_key(raw: RawEtcd, election_name: str) -> None:
    request = v3election_pb2.ProclaimRequest(leader=key(election_name, raw.grant()), value=b"v")
    proclaim = raw.election.Proclaim
    assert meaning_of(lambda: proclaim(request, timeout=TIMEOUT)) is Meaning.NOT_LEADER


def test_a_lease_granted_twice(raw: RawEtcd) -> None:
    lease = raw.grant()
    assert meaning_of(lambda: raw.grant(lease=lease)) is Meaning.LEASE_EXISTS


@pytest.mark.parametrize("size", [int(1.6 * 2**20), 3 * 2**20])
def test_a_value_too_large(raw: RawEtcd, election_name: str, size: int) -> None:
    campaign = raw.campaign(election_name, raw.grant(), b"x" * size)
    assert meaning_of(lambda: campaign.result(TIMEOUT)) is Meaning.TOO_LARGE
    assert meaning_of(lambda: raw.put(election_name, b"x" * size)) is Meaning.TOO_LARGE


def test_a_compacted_revision(raw: RawEtcd, election_name: str) -> None:
    for value in ("1", "2", "3"):
        first = raw.put(election_name, value)
    raw.compact()
    request = rpc_pb2.RangeRequest(key=election_name.encode(), revision=first - 2)
    assert meaning_of(lambda: raw.kv.Range(request, timeout=TIMEOUT)) is Meaning.COMPACTED
    raw.delete(election_name)


def test_a_token_while_authentication_is_off(server: EtcdServer, raw: RawEtcd) -> None:
    """Refused up to etcd 3.5, ignored from 3.6 on."""
    metadata = (("token", "nonsense"),)
    calls: list[Callable[[], object]] = [
        lambda: raw.election.Leader(
            v3election_pb2.LeaderRequest(name=b"nobody"), timeout=TIMEOUT, metadata=metadata
        ),
        lambda: raw.kv.Range(rpc_pb2.RangeRequest(key=b"x"), timeout=TIMEOUT, metadata=metadata),
    ]
    if server.version_info < (3, 6):
        assert {meaning_of(call) for call in calls} == {Meaning.TOKEN_REFUSED}
    else:
        assert meaning_of(calls[0]) is Meaning.NO_LEADER
        calls[1]()
    login = rpc_pb2.AuthenticateRequest(name="root", password="x")
    authenticate = raw.auth.Authenticate
    assert meaning_of(lambda: authenticate(login, timeout=TIMEOUT)) is Meaning.AUTH_OFF


def test_nobody_and_a_refused_connection(own_server: EtcdServer) -> None:
    with RawEtcd(own_server.endpoint) as raw:
        campaign = raw.campaign("x", raw.grant())
        campaign.result(TIMEOUT)
        waiting = raw.campaign("x", raw.grant())
        own_server.kill()
        assert meaning_of(lambda: waiting.result(TIMEOUT)) is Meaning.SILENT
    with RawEtcd(own_server.endpoint) as unreached:
        assert meaning_of(unreached.revision) is Meaning.UNREACHED


@pytest.fixture
def guarded(own_server: EtcdServer) -> Iterator[RawEtcd]:
    """A view without a token on an etcd with authentication on."""
    ask_for_users(own_server)
    with RawEtcd(own_server.endpoint) as raw:
        yield raw


def test_users_tokens_and_permissions(guarded: RawEtcd) -> None:
    raw = guarded
    request = v3election_pb2.LeaderRequest(name=b"x")
    read = rpc_pb2.RangeRequest(key=b"x")

    def both(token: str | None) -> set[Meaning]:
        metadata = (("token", token),) if token else ()
        return {
            meaning_of(lambda: raw.election.Leader(request, timeout=TIMEOUT, metadata=metadata)),
            meaning_of(lambda: raw.kv.Range(read, timeout=TIMEOUT, metadata=metadata)),
        }

    assert both(None) == {Meaning.TOKEN_REFUSED}
    assert both("nonsense") == {Meaning.TOKEN_REFUSED}
    login = rpc_pb2.AuthenticateRequest(name="alice", password="alice")
    token = raw.auth.Authenticate(login, timeout=TIMEOUT).token
    assert both(token) == {Meaning.DENIED}
    wrong = rpc_pb2.AuthenticateRequest(name="alice", password="wrong")
    authenticate = raw.auth.Authenticate
    assert meaning_of(lambda: authenticate(wrong, timeout=TIMEOUT)) is Meaning.UNAUTHENTICATED
