"""A user's asyncio program, read by type checkers and never run: the twin of `api`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
from typing_extensions import assert_type

from etcd_election import NotLeader as BlockingNotLeader
from etcd_election.aio import (
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
from etcd_election.pb import rpc_pb2
from etcd_election.testing import Cluster


async def work(leadership: Leadership) -> int:
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


async def connections() -> None:
    etcd = Etcd(["10.0.0.1:2379", "10.0.0.2:2379"], timeout=2.0, options=[("grpc.x", 1)])
    tls = TLS(ca="ca.pem", cert=b"PEM", key=Path("client.key"), server_name="etcd")
    assert_type(tls.server_name, str | None)
    Etcd("https://10.0.0.1:2379", tls=tls, user="u", password="p")
    Etcd(tls=TLS(), on_event=hear)
    async with etcd as opened:
        assert_type(opened, Etcd)
    async with ElectionClient("127.0.0.1:2379", b"name", ttl=10, lease=None) as client:
        assert_type(client, ElectionClient)
    await ElectionClient(etcd, "name").close(revoke=False, timeout=1)
    await etcd.close()


async def campaigns(client: ElectionClient) -> None:
    leadership = await client.campaign("value", timeout=5)
    assert_type(leadership, Leadership)
    async with await client.campaign(b"value") as inside:
        assert_type(inside, Leadership)
    task = asyncio.ensure_future(client.campaign("value"))
    assert_type(await task, Leadership)
    assert_type(client.cancel_campaign(), bool)
    async with client.lead("value", timeout=1, max_term=60.0) as led:
        assert_type(led, Leadership)
    assert_type(await client.run(work, b"value", renew_while=lambda: True), int | None)
    assert_type(client.stop(), bool)
    assert_type(client.leadership, Leadership | None)
    assert_type(client.state, State)
    assert_type(client.lease_id, int | None)
    assert_type(client.name, bytes)
    await client.resign(timeout=1.5)


async def leaderships(leadership: Leadership) -> None:
    assert_type(leadership.held, bool)
    assert_type(leadership.token, int)
    assert_type(leadership.lost, LostReason | None)
    assert_type(leadership.remaining, float)
    assert_type(await leadership.wait_lost(3), bool)
    remove = leadership.on_lost(lambda lost: print(lost.token))  # noqa: T201 - never run
    remove()
    leadership.check()
    await leadership.proclaim("value", timeout=1)
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"k", value=b"v"))
    assert_type(leadership.guard(), rpc_pb2.Compare)
    response = await leadership.transaction([put], compare=[leadership.guard()])
    assert_type(response, rpc_pb2.TxnResponse)


async def reads(client: ElectionClient) -> None:
    leader = await client.leader()
    assert_type(leader, Leader)
    assert_type(leader.text, str)
    assert_type(await client.candidates(timeout=1), list[Leader])
    observer = client.observe()
    assert_type(observer, Observer[Leader])
    async for seen in observer:
        assert_type(seen, Leader)
    observer.close()
    await observer.close()
    async with client.observe(vacancies=True) as vacancies:
        assert_type(await vacancies.next(1.0), Leader | None)


async def errors(client: ElectionClient) -> None:
    try:
        await client.campaign("v")
    except CampaignTimeout as error:
        as_timeout: TimeoutError = error
        raise as_timeout from None
    except (SessionExpired, NotLeader) as error:
        assert_type(error.reason, LostReason | None)
        assert_type(error, SessionExpired | BlockingNotLeader)
    except Unavailable as error:
        as_connection: ConnectionError = error
        assert_type(error.attempts, tuple[str, ...])
        raise as_connection from None
    except EtcdError as error:
        assert_type(error.code, grpc.StatusCode)
        assert_type(error.maybe_applied, bool)
    except ElectionError:
        raise


def own_tests(client: ElectionClient, leadership: Leadership) -> None:
    cluster = Cluster()
    cluster.expire(leadership)
    cluster.delete_key(client)
    cluster.take_over("name")
