"""What a leader can do, and what it is told when it leads no more."""

from __future__ import annotations

import logging
import threading

import pytest

from etcd_election import (
    ElectionClient,
    EtcdError,
    Leadership,
    LostReason,
    NoLeader,
    NotLeader,
    SessionExpired,
    State,
    Unavailable,
    ValueTooLarge,
)
from etcd_election.pb import rpc_pb2
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.proxy import Mode, TcpProxy
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient

MIB = 1 << 20


def put(key: str, value: str) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key.encode(), value=value.encode()))


def test_proclaiming_changes_the_value_and_nothing_else(
    client: ElectionClient, raw: RawEtcd
) -> None:
    leadership = client.campaign("1")
    before = raw.get(leadership.key)
    for value in ("2", b"\x00\xff", ""):
        leadership.proclaim(value)
    after = raw.get(leadership.key)
    assert before is not None
    assert after is not None
    assert (after.value, leadership.value) == (b"", b"")
    assert (after.create_revision, after.lease) == (before.create_revision, before.lease)
    # The watch has told of all this by now, and none of it was somebody else's doing.
    assert not leadership.wait_lost(0.3)


def test_proclaiming_without_leadership_writes_nothing(
    client: ElectionClient, raw: RawEtcd
) -> None:
    leadership = client.campaign("1")
    client.resign()
    before = raw.revision()
    with pytest.raises(NotLeader) as caught:
        leadership.proclaim("2")
    assert caught.value.reason is LostReason.RESIGNED
    assert raw.revision() == before


def test_many_proclaims_from_many_threads_are_all_ones_own(
    client: ElectionClient, background: Background
) -> None:
    leadership = client.campaign("0")
    calls = [background(leadership.proclaim, str(number)) for number in range(100)]
    for call in calls:
        call.result(PATIENCE)
    assert not leadership.wait_lost(0.3)
    assert client.leader().value == leadership.value


def test_a_value_too_large_is_refused_and_the_client_goes_on(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    client = make_client()
    for size in (int(1.6 * MIB), 3 * MIB):
        with pytest.raises(ValueTooLarge) as caught:
            client.campaign(b"x" * size)
        assert isinstance(caught.value, ValueError)
        assert raw.candidates(election_name) == []
    leadership = client.campaign("small")
    for size in (int(1.6 * MIB), 3 * MIB):
        with pytest.raises(ValueTooLarge):
            leadership.proclaim(b"x" * size)
        with pytest.raises(ValueTooLarge):
            client.campaign(b"x" * size)
    assert leadership.held
    assert client.leader().text == "small"
    leadership.proclaim(b"x" * MIB)
    assert len(client.leader().value) == MIB


def test_a_queue_larger_than_grpcs_default_limit_can_be_read(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    clients = [make_client(ttl=30) for _ in range(5)]
    for client in clients:
        background(client.campaign, b"x" * MIB)
    queue_of(raw, election_name, 5)
    assert sum(len(leader.value) for leader in clients[0].candidates()) == 5 * MIB
    for client in clients:
        client.close()


@pytest.mark.smoke
def test_a_transaction_is_carried_out_only_under_leadership(
    client: ElectionClient, election_name: str, raw: RawEtcd
) -> None:
    leadership = client.campaign("v")
    data = f"data of {election_name}"
    response = leadership.transaction([put(data, "1")])
    assert response.succeeded
    assert response.header.revision == raw.revision()
    first = raw.get(data)
    assert first is not None
    assert first.value == b"1"

    changed = rpc_pb2.Compare(
        key=data.encode(), target=rpc_pb2.Compare.VALUE, result=rpc_pb2.Compare.EQUAL, value=b"9"
    )
    response = leadership.transaction([put(data, "2")], [put(data, "3")], compare=[changed])
    assert not response.succeeded
    third = raw.get(data)
    assert third is not None
    assert third.value == b"3"

    # Deleted behind its back: not even a client that has not heard of it yet writes.
    raw.delete(leadership.key)
    with pytest.raises(NotLeader):
        leadership.transaction([put(data, "4")])
    assert not leadership.held
    still = raw.get(data)
    assert still is not None
    assert still.value == b"3"


def test_the_guard_is_a_condition_for_transactions_of_ones_own(
    client: ElectionClient, election_name: str, raw: RawEtcd
) -> None:
    leadership = client.campaign("v")
    request = rpc_pb2.TxnRequest(
        compare=[leadership.guard()], success=[put(f"data of {election_name}", "1")]
    )
    assert raw.kv.Txn(request).succeeded
    client.resign()
    assert not raw.kv.Txn(request).succeeded


def test_leaving_the_with_block_resigns(client: ElectionClient) -> None:
    with client.campaign("v") as leadership:
        assert leadership.held
    assert leadership.lost is LostReason.RESIGNED
    with pytest.raises(NoLeader):
        client.leader()


def test_leaving_the_with_block_never_masks_the_bodys_exception(
    front: Front, own_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    with TcpProxy(own_server.endpoint) as proxy:
        client = front.ElectionClient(proxy.endpoint, "x", ttl=5)

        def body(leadership: Leadership) -> None:
            with leadership:
                proxy.mode = Mode.REFUSE
                proxy.reset()
                raise KeyError("body")

        with client:
            leadership = client.campaign("v")
            with pytest.raises(KeyError):
                body(leadership)
            assert not leadership.held
            assert "resigning" in caplog.text
            proxy.mode = Mode.PASS


def test_a_resign_that_failed_can_be_called_again_and_held_is_false_from_the_first(
    front: Front,
    own_server: EtcdServer,
) -> None:
    with (
        TcpProxy(own_server.endpoint) as proxy,
        RawEtcd(own_server.endpoint) as raw,
        front.ElectionClient(proxy.endpoint, "x", ttl=30) as client,
    ):
        leadership = client.campaign("v")
        proxy.mode = Mode.REFUSE
        proxy.reset()
        with pytest.raises(Unavailable):
            leadership.resign(timeout=0.3)
        assert not leadership.held
        assert client.state is State.IDLE
        assert len(raw.candidates("x")) == 1
        proxy.mode = Mode.PASS
        leadership.resign()
        assert raw.candidates("x") == []


def test_a_resign_that_failed_is_made_good_in_the_background(
    front: Front, own_server: EtcdServer
) -> None:
    with (
        TcpProxy(own_server.endpoint) as proxy,
        RawEtcd(own_server.endpoint) as raw,
        front.ElectionClient(proxy.endpoint, "x", ttl=60) as client,
    ):
        leadership = client.campaign("v")
        proxy.mode = Mode.DEAF
        with pytest.raises(EtcdError):
            leadership.resign(timeout=0.3)
        proxy.mode = Mode.PASS
        eventually(lambda: raw.candidates("x") == [], PATIENCE)
        eventually(lambda: raw.lease_leases() == set(), PATIENCE)


def test_a_loss_is_told_once_to_everybody_who_asked(
    front: Front, client: ElectionClient, raw: RawEtcd, caplog: pytest.LogCaptureFixture
) -> None:
    leadership = client.campaign("v")
    told: list[str] = []
    threads: set[int] = set()
    blocked = threading.Event()

    def slow(_: object) -> None:
        told.append("slow")
        if front.name == "blocking":  # otherwise this is the event loop, which belongs to all
            blocked.wait(PATIENCE)

    def broken(_: object) -> None:
        told.append("broken")
        raise ValueError("from a callback")

    def good(lost: object) -> None:
        assert lost is leadership
        threads.add(threading.get_ident())
        told.append("good")

    leadership.on_lost(slow)
    leadership.on_lost(broken)
    leadership.on_lost(good)
    leadership.on_lost(lambda _: told.append("removed"))()
    raw.delete(leadership.key)
    eventually(lambda: sorted(told) == ["broken", "good", "slow"], PATIENCE)
    assert threading.get_ident() not in threads
    eventually(lambda: "from a callback" in caplog.text, PATIENCE)
    blocked.set()

    leadership.on_lost(lambda _: told.append("late"))
    assert told[-1] == "late", "already lost: told at once"
    assert client.campaign("again").held, "a slow callback held up nobody"
    with pytest.raises(TypeError, match="callback"):
        leadership.on_lost("no function")  # type: ignore[arg-type]


def test_wait_lost_says_whether_the_time_was_enough(client: ElectionClient) -> None:
    leadership = client.campaign("v")
    assert leadership.wait_lost(0) is False
    assert leadership.wait_lost(0.05) is False
    client.resign()
    assert leadership.wait_lost(0) is True
    assert leadership.wait_lost() is True


def test_a_lost_leadership_tells_what_it_was(client: ElectionClient, raw: RawEtcd) -> None:
    leadership = client.campaign("v")
    assert "held" in repr(leadership)
    token, key = leadership.token, leadership.key
    raw.revoke(leadership.lease_id)
    assert leadership.wait_lost(PATIENCE)
    assert (leadership.token, leadership.key, leadership.value) == (token, key, b"v")
    assert "lost" in repr(leadership)
    with pytest.raises((NotLeader, SessionExpired)):
        leadership.proclaim("w")


@pytest.mark.real_etcd
def test_a_quiet_term_logs_nothing(
    client: ElectionClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "etcd_election")
    with client.campaign("v") as leadership:
        leadership.proclaim("w")
        assert not leadership.wait_lost(2.5)
    client.close()
    assert [record.getMessage() for record in caplog.records] == []
