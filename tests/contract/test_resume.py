"""Leaving a lease to a successor, and taking one up."""

from __future__ import annotations

import pytest

from etcd_election import ClientClosed, LostReason, SessionExpired
from tests.support.etcd_server import EtcdServer
from tests.support.events import key_of, queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient


@pytest.mark.real_etcd
def test_a_successor_keeps_leadership_and_token(
    front: Front,
    server: EtcdServer,
    make_client: MakeClient,
    background: Background,
    election_name: str,
    raw: RawEtcd,
) -> None:
    waiter = make_client(ttl=30)
    with front.Etcd(server.endpoint) as connection:
        first = front.ElectionClient(connection, election_name, ttl=5)
        leadership = first.campaign("first")
        waiting = background(waiter.campaign, "waiter")
        queue_of(raw, election_name, 2)
        first.close(revoke=False)
    assert not leadership.held
    assert leadership.lost is LostReason.CLOSED
    assert raw.time_to_live(leadership.lease_id) >= 4, "renewed once more"
    assert len(raw.candidates(election_name)) == 2

    second = make_client(lease=leadership.lease_id)
    assert second.lease_id is None
    taken_up = second.campaign("second", timeout=PATIENCE)
    assert taken_up.held
    assert (taken_up.token, taken_up.lease_id) == (leadership.token, leadership.lease_id)
    assert taken_up.value == b"second"
    assert waiter.leader().text == "second"
    assert not taken_up.wait_lost(6), "the lease is renewed"
    assert not waiting.done()
    second.close()
    assert waiting.result(PATIENCE).token > leadership.token


@pytest.mark.real_etcd
@pytest.mark.parametrize("via", ["kv", "service"])
def test_a_successor_keeps_the_place_of_a_candidate_that_waits_by_watch(
    front: Front,
    server: EtcdServer,
    make_client: MakeClient,
    background: Background,
    election_name: str,
    raw: RawEtcd,
    via: str,
) -> None:
    leader = raw.grant()
    raw.put(key_of(election_name, leader), "leader", lease=leader)
    eventually(lambda: server.open_calls("Watch") == 0, PATIENCE, "those of other tests end")
    with front.Etcd(server.endpoint) as connection:
        first = front.ElectionClient(connection, election_name, ttl=5, via="kv")
        waiting, again = (background(first.campaign, text) for text in ("first", "again"))
        _, place = queue_of(raw, election_name, 2)
        eventually(lambda: server.open_calls("Watch") == 1, PATIENCE, "it waits by Watch")
        later = background(make_client().campaign, "later")
        queue_of(raw, election_name, 3)
        first.close(revoke=False)
        for campaign in (waiting, again):
            with pytest.raises(ClientClosed):
                campaign.result(PATIENCE)
    assert raw.time_to_live(place.lease) >= 4, "renewed once more"

    second = make_client(lease=place.lease, via=via)
    elected = background(second.campaign, "second")
    kvs = eventually(
        lambda: [kv for kv in raw.candidates(election_name) if kv.value == b"second"], PATIENCE
    )
    assert (kvs[0].key, kvs[0].create_revision) == (place.key, place.create_revision)
    raw.revoke(leader)
    leadership = elected.result(PATIENCE)
    assert (leadership.token, leadership.lease_id) == (place.create_revision, place.lease)
    assert not later.done()
    assert len(raw.candidates(election_name)) == 2
    second.close()
    assert later.result(PATIENCE).held
    assert raw.lease_leases() == {later.result().lease_id}


def test_a_lease_left_may_be_taken_up_on_the_same_connection(make_client: MakeClient) -> None:
    first = make_client()
    leadership = first.campaign("v")
    first.close(revoke=False)
    assert make_client(lease=leadership.lease_id).campaign("w").token == leadership.token


def test_a_client_that_does_not_lead_leaves_nothing(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter, resigned = make_client(), make_client(), make_client(f"{election_name}-2")
    cancelled = make_client(via="kv")
    leader.campaign("leader")
    background(waiter.campaign, "waiter")
    background(cancelled.campaign, "cancelled")
    queue_of(raw, election_name, 3)
    resigned.campaign("v").resign()
    waiter.close(revoke=False)
    cancelled.cancel_campaign()
    cancelled.close(revoke=False)
    resigned.close(revoke=False)
    assert len(raw.candidates(election_name)) == 1
    assert raw.lease_leases() == {leader.lease_id}


def test_an_unknown_lease_expires_the_session_once(make_client: MakeClient, raw: RawEtcd) -> None:
    client = make_client(lease=12345)
    with pytest.raises(SessionExpired) as caught:
        client.campaign("v")
    assert caught.value.lease_id == 12345
    leadership = client.campaign("v")
    assert leadership.held
    assert leadership.lease_id != 12345
    assert 12345 not in raw.lease_leases()


def test_a_lease_is_used_by_one_client_of_a_connection(
    make_client: MakeClient, raw: RawEtcd
) -> None:
    lease_id = raw.grant(30)
    first = make_client(lease=lease_id)
    with pytest.raises(ValueError, match="lease"):
        make_client(lease=lease_id)
    assert first.campaign("v").lease_id == lease_id
    with pytest.raises(ValueError, match="lease"):
        make_client(lease=lease_id)
    granted = make_client("other").campaign("v").lease_id
    with pytest.raises(ValueError, match="lease"):
        make_client(lease=granted)
