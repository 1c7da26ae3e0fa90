"""What etcd's Election service does to those who trust it, and what becomes of it here.

Each test was seen red with its remedy taken out; the name says what a user would lose.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading

import pytest

from etcd_election import (
    CampaignCancelled,
    CampaignTimeout,
    ElectionClient,
    State,
)
from tests.support.etcd_server import EtcdServer
from tests.support.events import key_of, queue_of
from tests.support.fronts import Front
from tests.support.proxy import TcpProxy
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient


def own_key(raw: RawEtcd, name: str, client: ElectionClient) -> bytes:
    """Waits until a waiting client's key stands."""
    lease_id = eventually(lambda: client.lease_id, PATIENCE)
    key = key_of(name, lease_id)
    eventually(lambda: raw.get(key), PATIENCE)
    return key


def test_a_candidate_whose_key_vanished_joins_again_and_never_leads_without_a_key(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    """Phantom win: the server answers OK with the key of a candidate that no longer exists."""
    leader, waiter = make_client(ttl=15), make_client(ttl=15)
    for delay in (0.0, 0.001, 0.005, 0.02, 0.2):
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        gone = own_key(raw, election_name, waiter)
        raw.delete(gone)
        threading.Event().wait(delay)
        leadership.resign()
        won = waiting.result(PATIENCE)
        stored = raw.get(won.key)
        assert won.held
        assert stored is not None, "a leadership was handed out whose key does not exist"
        assert (stored.create_revision, stored.lease) == (won.token, won.lease_id)
        assert won.token > leadership.token
        assert len(raw.candidates(election_name)) == 1
        won.resign()


def test_a_vanished_key_is_joined_anew_while_the_leader_stays(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(), make_client()
    leadership = leader.campaign("leader")
    waiting = background(waiter.campaign, "waiter")
    gone = own_key(raw, election_name, waiter)
    raw.delete(gone)
    eventually(lambda: len(raw.candidates(election_name)) == 2, 5.0, "it did not join again")
    assert raw.candidates(election_name)[1].key != gone
    assert leadership.held
    leadership.resign()
    assert waiting.result(PATIENCE).held


def test_what_a_second_waiter_is_told_is_no_win(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    """With a candidate in the middle gone and the incumbent resigned, two waiters may hear OK."""
    clients = [make_client(ttl=15) for _ in range(4)]
    leadership = clients[0].campaign("0")
    waiting = []
    for number, client in enumerate(clients[1:], start=1):
        waiting.append(background(client.campaign, str(number)))
        queue_of(raw, election_name, number + 1)
    raw.delete(raw.candidates(election_name)[1].key)
    leadership.resign()
    for _ in waiting:
        elected = eventually(
            lambda: [client for client in clients if client.state is State.LEADING], PATIENCE
        )
        assert len(elected) == 1
        (head, *_) = raw.candidates(election_name)
        assert elected[0].leadership is not None
        assert elected[0].leadership.token == head.create_revision
        elected[0].close()
    # A client leads before its call has returned.
    assert len({call.result(PATIENCE).token for call in waiting}) == len(waiting)


@pytest.mark.real_etcd
def test_a_leadership_outlives_the_connection_of_its_campaign(
    front: Front,
    server: EtcdServer,
    make_client: MakeClient,
    background: Background,
    election_name: str,
    raw: RawEtcd,
) -> None:
    """The call owns the key: when an open Campaign's connection ends, the server deletes it."""
    leader = make_client(ttl=15)
    with TcpProxy(server.endpoint) as proxy, front.Etcd(proxy.endpoint) as cut:
        for delay in (0.0, 0.001, 0.003, 0.01, 0.05, 0.1) * 2:
            waiter = front.ElectionClient(cut, election_name, ttl=15)
            leadership = leader.campaign("leader")
            waiting = background(waiter.campaign, "waiter")
            queue_of(raw, election_name, 2)
            leadership.resign()
            threading.Event().wait(delay)
            proxy.reset()
            won = waiting.result(PATIENCE)
            assert won.held
            # Longer than the server takes to notice and tidy up (some 100 ms).
            assert not won.wait_lost(0.3), f"lost by the end of its own Campaign call: {won}"
            assert raw.get(won.key) is not None
            waiter.close()
    assert raw.candidates(election_name) == []


def cancelled_soon(client: ElectionClient, background: Background, delay: float) -> bool:
    """Starts a campaign and cancels it; True if it was elected all the same."""
    campaigning = background(client.campaign, "v")
    threading.Event().wait(delay)
    eventually(lambda: client.cancel_campaign() or campaigning.done(), PATIENCE, interval=0.0005)
    try:
        won = campaigning.result(PATIENCE)
    except CampaignCancelled:
        return False
    won.resign()
    return True


def test_hundreds_of_cancels_leave_no_candidate(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    """Orphans: a Campaign cancelled within 3 ms may leave its key, which then leads for nobody."""
    leader = make_client(ttl=60)
    leader.campaign("leader")
    clients = [make_client(ttl=60) for _ in range(8)]
    rng = random.Random(20716)

    def cancel_many(client: ElectionClient) -> None:
        for _ in range(40):
            assert not cancelled_soon(client, background, rng.uniform(0, 0.01))

    for call in [background(cancel_many, client) for client in clients]:
        call.result(60)
    assert len(raw.candidates(election_name)) == 1
    eventually(lambda: len(raw.lease_leases()) == 1, PATIENCE, "leases were left")


@pytest.mark.real_etcd
def test_cancels_around_a_resign_leave_no_leader_that_nobody_is(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(ttl=60), make_client(ttl=60)
    rng = random.Random(18879)
    won = 0
    longest = 0.006
    for _ in range(100):
        leadership = leader.campaign("leader")
        campaigning = background(waiter.campaign, "waiter")
        queue_of(raw, election_name, 2)
        resigning = background(leadership.resign)
        threading.Event().wait(rng.uniform(0, longest))
        said = waiter.cancel_campaign()
        # In search of the moment at which both meet, however quick this etcd is.
        longest *= 1.1 if said else 0.9
        resigning.result(PATIENCE)
        try:
            elected = campaigning.result(PATIENCE)
        except CampaignCancelled:
            assert said
        else:
            assert not said, "cancelled, and elected all the same"
            elected.resign()
            won += 1
        assert raw.candidates(election_name) == []
    assert 0 < won < 100, "the cancels did not race with the resigns"


@pytest.mark.real_etcd
def test_deadlines_around_a_resign_leave_no_leader_that_nobody_is(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(ttl=60), make_client(ttl=60)
    rng = random.Random(17502)
    for _ in range(60):
        leadership = leader.campaign("leader")
        campaigning = background(waiter.campaign, "waiter", timeout=0.05)
        threading.Event().wait(rng.uniform(0.045, 0.055))
        leadership.resign()
        with contextlib.suppress(CampaignTimeout):
            campaigning.result(PATIENCE).resign()
        assert raw.candidates(election_name) == []


@pytest.mark.real_etcd
def test_campaigning_again_right_after_a_cancel_is_not_undone_by_the_first_call(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    """Stale clean-up: the first call's end deletes the key of the second, which then waits deaf."""
    leader, waiter = make_client(ttl=60), make_client(ttl=60)
    for _ in range(60):
        leadership = leader.campaign("leader")
        first = background(waiter.campaign, "1")
        queue_of(raw, election_name, 2)
        assert waiter.cancel_campaign()
        with pytest.raises(CampaignCancelled):
            first.result(PATIENCE)
        second = background(waiter.campaign, "2")
        queue_of(raw, election_name, 2)
        leadership.resign()
        won = second.result(2.0)
        assert raw.get(won.key) is not None
        won.resign()


def test_nested_names_share_a_queue_as_etcd_has_it_and_it_is_said_once(
    make_client: MakeClient,
    background: Background,
    election_name: str,
    raw: RawEtcd,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Election ``a`` owns every key under ``a/``: those of ``a/b`` too."""
    caplog.set_level(logging.WARNING, "etcd_election")
    inner, outer = make_client(f"{election_name}/inner"), make_client()
    leadership = inner.campaign("inner")
    assert outer.leader().key == leadership.key
    assert outer.candidates()[0].key == leadership.key
    waiting = background(outer.campaign, "outer")
    queue_of(raw, election_name, 2)
    outer_too = make_client()
    with pytest.raises(CampaignTimeout):
        outer_too.campaign("v", timeout=0.2)
    assert not waiting.done()
    leadership.resign()
    assert waiting.result(PATIENCE).held
    said = [record.getMessage() for record in caplog.records if "candidate's" in record.message]
    assert len(said) == 1
    assert repr(leadership.key) in said[0]
