"""A user's program, read by type checkers and never run: what they must make of the API."""

from __future__ import annotations

from pathlib import Path

import grpc
from typing_extensions import assert_type

from etcd_election import (
    TLS,
    CampaignTimeout,
    Elected,
    ElectionClient,
    ElectionError,
    Etcd,
    EtcdError,
    Event,
    Leader,
    Leadership,
    LeadershipLost,
    LostReason,
    NotLeader,
    Observer,
    SessionExpired,
    State,
    Unavailable,
)
from etcd_election.pb import rpc_pb2, rpc_pb2_grpc
from etcd_election.testing import Cluster, Rival


def work(leadership: Leadership) -> int:
    return leadership.token


def hear(event: Event) -> None:
    match event:
        case Elected(name=name, token=token, waited=waited):
            assert_type(name, bytes)
            assert_type(token, int)
            assert_type(waited, float)
        case LeadershipLost(reason=LostReason.RESIGNED | LostReason.CLOSED):
            pass
        case LeadershipLost(reason=reason, led=led):
            assert_type(reason, LostReason)
            assert_type(led, float)
        case _:
            pass


def connections() -> None:
    etcd = Etcd(["10.0.0.1:2379", "10.0.0.2:2379"], timeout=2.0, options=[("grpc.x", 1)])
    tls = TLS(ca="ca.pem", cert=b"PEM", key=Path("client.key"), server_name="etcd")
    assert_type(tls.server_name, str | None)
    Etcd("https://10.0.0.1:2379", tls=tls, user="u", password="p")
    Etcd(tls=TLS(), on_event=hear)
    with etcd as opened:
        assert_type(opened, Etcd)
    with ElectionClient("127.0.0.1:2379", b"name", ttl=10, lease=None) as client:
        assert_type(client, ElectionClient)
    ElectionClient(etcd, "name").close(revoke=False, timeout=1)


def campaigns(client: ElectionClient) -> None:
    leadership = client.campaign("value", timeout=5)
    assert_type(leadership, Leadership)
    with client.campaign(b"value") as inside:
        assert_type(inside, Leadership)
    assert_type(client.cancel_campaign(), bool)
    with client.lead("value", timeout=1, max_term=60.0) as led:
        assert_type(led, Leadership)
    assert_type(client.run(work, b"value", renew_while=lambda: True), int | None)
    assert_type(client.stop(), bool)
    assert_type(client.leadership, Leadership | None)
    assert_type(client.state, State)
    assert_type(client.lease_id, int | None)
    assert_type(client.name, bytes)
    client.resign(timeout=1.5)


def leaderships(leadership: Leadership) -> None:
    assert_type(leadership.held, bool)
    assert_type(leadership.token, int)
    assert_type(leadership.lost, LostReason | None)
    assert_type(leadership.remaining, float)
    assert_type(leadership.wait_lost(3), bool)
    remove = leadership.on_lost(lambda lost: print(lost.token))  # noqa: T201 - never run
    remove()
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"k", value=b"v"))
    assert_type(leadership.guard(), rpc_pb2.Compare)
    response = leadership.transaction([put], compare=[leadership.guard()])
    assert_type(response, rpc_pb2.TxnResponse)


def reads(client: ElectionClient) -> None:
    leader = client.leader()
    assert_type(leader, Leader)
    assert_type(leader.text, str)
    assert_type(client.candidates(timeout=1), list[Leader])
    observer = client.observe()
    assert_type(observer, Observer[Leader])
    for seen in observer:
        assert_type(seen, Leader)
    with client.observe(vacancies=True) as vacancies:
        assert_type(vacancies.next(1.0), Leader | None)


def errors(client: ElectionClient) -> None:
    try:
        client.campaign("v")
    except CampaignTimeout as error:
        as_timeout: TimeoutError = error
        raise as_timeout from None
    except (SessionExpired, NotLeader) as error:
        assert_type(error.reason, LostReason | None)
    except Unavailable as error:
        as_connection: ConnectionError = error
        assert_type(error.attempts, tuple[str, ...])
        raise as_connection from None
    except EtcdError as error:
        assert_type(error.code, grpc.StatusCode)
        assert_type(error.maybe_applied, bool)
    except ElectionError:
        raise


def stubs() -> None:
    channel = grpc.insecure_channel("127.0.0.1:2379")
    answer = rpc_pb2_grpc.KVStub(channel).Range(rpc_pb2.RangeRequest(key=b"k"))
    assert_type(answer, rpc_pb2.RangeResponse)


def own_tests(client: ElectionClient, leadership: Leadership) -> None:
    cluster = Cluster()
    assert_type(Etcd(cluster.endpoint, timeout=1.0), Etcd)
    assert_type(cluster.rival("name", b"value"), Rival)
    assert_type(cluster.rival(b"name").leads, bool)
    assert_type(cluster.leader("name"), Leader | None)
    assert_type(cluster.candidates(b"name"), list[Leader])
    assert_type(cluster.get("key"), bytes | None)
    cluster.put(b"key", "value")
    cluster.expire(leadership)
    cluster.delete_key(client)
    cluster.take_over("name", "value")
    cluster.replace()
    cluster.hang()
    cluster.fail()
    cluster.recover()
    cluster.advance(60)
