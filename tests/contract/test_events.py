"""Events that a real etcd causes, each with its facts; what a callback does harms nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from etcd_election import (
    AuthenticatedAgain,
    CampaignStarted,
    CampaignTimeout,
    ClusterChanged,
    Elected,
    EndpointLeft,
    Leadership,
    LeadershipLost,
    LostReason,
    Observer,
    ObserverMoved,
    SessionEnded,
    SessionGranted,
    SessionRenewedLate,
    WaitRescued,
)
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.proxy import Mode, TcpProxy
from tests.support.raw import RawEtcd
from tests.support.root import Root
from tests.support.told import Told
from tests.support.waiting import eventually
from tests.support.wedge import wedge

from .conftest import PATIENCE, Background
from .test_restored import Behind, replace

PASSWORD = "hunter2-is-no-secret"
SECRET_VALUE = "a value that is nobody else's business"


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.smoke
@pytest.mark.parametrize("via", ["service", "kv"])
def test_a_term_is_told_from_the_campaign_to_the_end_of_its_session(
    front: Front, server: EtcdServer, election_name: str, told: Told, via: str
) -> None:
    with front.Etcd(server.endpoint, on_event=told.hear) as etcd:
        assert told.threads == set()
        client = front.ElectionClient(etcd, election_name, ttl=5, via=via)
        began_at = time.monotonic()
        leadership = client.campaign(SECRET_VALUE)
        leadership.wait_lost(0.3)
        leadership.resign()
        took = time.monotonic() - began_at
        client.close()
        eventually(lambda: len(told.events) == 5, PATIENCE)
    name, lease_id = election_name.encode(), leadership.lease_id
    started, granted, elected, lost, ended = told.events
    assert started == CampaignStarted(name=name, via=via)
    assert granted == SessionGranted(name=name, lease_id=lease_id, ttl=5, resumed=False)
    assert isinstance(elected, Elected)
    assert (elected.name, elected.lease_id) == (name, lease_id)
    assert elected.token == leadership.token
    assert 0 < elected.waited < took
    assert isinstance(lost, LeadershipLost)
    assert (lost.name, lost.lease_id, lost.token) == (name, lease_id, leadership.token)
    assert lost.reason is LostReason.RESIGNED
    assert 0.3 <= lost.led < took
    assert isinstance(ended, SessionEnded)
    assert (ended.name, ended.lease_id, ended.reason) == (name, lease_id, LostReason.CLOSED)
    assert lost.led < ended.lasted
    (thread,) = told.threads
    eventually(lambda: not thread.is_alive(), message=f"{etcd!r} was closed")
    assert thread.daemon
    assert thread.name == "etcd_election-events"
    assert SECRET_VALUE not in repr(told.events)


def test_a_campaign_that_waits_says_how_long_and_one_in_vain_is_not_elected(
    front: Front, server: EtcdServer, election_name: str, told: Told, background: Background
) -> None:
    with front.Etcd(server.endpoint, on_event=told.hear) as etcd, server.view() as raw:
        first, second = (front.ElectionClient(etcd, election_name, ttl=5) for _ in range(2))
        leadership = first.campaign("first")
        with pytest.raises(CampaignTimeout):
            second.campaign("second", timeout=0.3)
        waiting = background(second.campaign, "second")
        queue_of(raw, election_name, 2)
        began_at = time.monotonic()
        leadership.wait_lost(0.3)
        leadership.resign()
        waiting.result(PATIENCE)
        waited = time.monotonic() - began_at
        eventually(lambda: len(told.all(Elected)) == 2, PATIENCE)
        assert len(told.all(CampaignStarted)) == 3
        assert 0.3 <= told.all(Elected)[1].waited < waited + PATIENCE
        assert waiting.result().token == told.all(Elected)[1].token


def delete_key(raw: RawEtcd, leadership: Leadership) -> None:
    raw.delete(leadership.key)


def take_over(raw: RawEtcd, leadership: Leadership) -> None:
    raw.put(leadership.key, b"somebody else's", lease=leadership.lease_id)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param(delete_key, LostReason.KEY_DELETED, id="key deleted"),
        pytest.param(take_over, LostReason.TAKEN_OVER, id="taken over"),
    ],
)
def test_a_loss_has_its_reason(
    front: Front,
    server: EtcdServer,
    election_name: str,
    told: Told,
    raw: RawEtcd,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[RawEtcd, Leadership], None],
    reason: LostReason,
) -> None:
    caplog.set_level(logging.INFO, "etcd_election")
    with front.Etcd(server.endpoint, on_event=told.hear) as etcd:
        leadership = front.ElectionClient(etcd, election_name, ttl=5).campaign("v")
        end(raw, leadership)
        lost = told.one(LeadershipLost)
        assert (lost.reason, lost.token) == (reason, leadership.token)
        assert told.one(SessionEnded).reason is reason
    said = {record.getMessage(): record.levelno for record in caplog.records}
    assert said[repr(lost)] == logging.INFO


def test_a_successor_has_a_session_that_was_resumed(
    front: Front, server: EtcdServer, election_name: str, told: Told
) -> None:
    with front.Etcd(server.endpoint, on_event=told.hear) as etcd:
        first = front.ElectionClient(etcd, election_name, ttl=5)
        leadership = first.campaign("v")
        first.close(revoke=False)
        second = front.ElectionClient(etcd, election_name, ttl=5, lease=leadership.lease_id)
        second.campaign("v")
        eventually(lambda: len(told.all(SessionGranted)) == 2, PATIENCE)
        assert [event.resumed for event in told.all(SessionGranted)] == [False, True]
        assert {event.lease_id for event in told.all(SessionGranted)} == {leadership.lease_id}
        assert told.one(LeadershipLost).reason is LostReason.CLOSED


def test_a_renewal_that_is_late_and_a_session_that_runs_out(
    front: Front, own_server: EtcdServer, told: Told
) -> None:
    ttl = 6
    with front.Etcd(own_server.endpoint, on_event=told.hear) as etcd:
        leadership = front.ElectionClient(etcd, "x", ttl=ttl).campaign("v")
        own_server.pause()
        eventually(lambda: leadership.remaining < ttl / 3 - 0.3, PATIENCE)
        own_server.resume()
        late = told.one(SessionRenewedLate)
        assert (late.name, late.lease_id, late.ttl) == (b"x", leadership.lease_id, ttl)
        assert 0 < late.remaining < ttl / 3
        assert leadership.held
        own_server.pause()
        lost = told.one(LeadershipLost)
        own_server.resume()
        assert lost.reason is LostReason.SESSION_EXPIRED
        assert told.one(SessionEnded).reason is LostReason.SESSION_EXPIRED


def test_an_endpoint_that_falls_silent_is_left_and_observers_move(
    front: Front, own_server: EtcdServer, told: Told
) -> None:
    with TcpProxy(own_server.endpoint) as first, TcpProxy(own_server.endpoint) as second:
        endpoints = [first.endpoint, second.endpoint]
        with front.Etcd(endpoints, on_event=told.hear) as etcd:
            client = front.ElectionClient(etcd, "x", ttl=5)
            observer: Observer[Any] = client.observe(vacancies=True)
            assert observer.next(PATIENCE) is None
            client.campaign("v")
            assert observer.next(PATIENCE).text == "v"
            first.mode = Mode.REFUSE
            first.reset()
            left = told.one(EndpointLeft)
            assert left.endpoint == first.endpoint
            assert left.said
            assert told.one(ObserverMoved) == ObserverMoved(
                name=b"x", endpoint=second.endpoint, former=first.endpoint
            )


def test_a_token_that_ran_out_is_fetched_again_and_no_secret_is_told(
    front: Front, etcd_binary: str, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "etcd_election")
    with EtcdServer(etcd_binary, args=["--auth-token-ttl=1"]) as server:
        root = Root(server)
        root.switch_on()
        root.change_password("alice", PASSWORD)
        root.close()
        arguments = {"user": "alice", "password": PASSWORD, "on_event": told.hear}
        with front.Etcd(server.endpoint, **arguments) as etcd:
            client = front.ElectionClient(etcd, "mine", ttl=30)
            client.campaign(SECRET_VALUE)
            first, _ = etcd._link.tokens.current()
            assert told.all(AuthenticatedAgain) == []
            # One that is used lives on.
            unused_at = time.monotonic()
            eventually(lambda: time.monotonic() > unused_at + 2.5, PATIENCE)
            client.leader()
            second, _ = etcd._link.tokens.current()
            again = told.one(AuthenticatedAgain)
            assert again == AuthenticatedAgain(user="alice", endpoint=server.endpoint)
    assert first
    assert second
    for secret in (PASSWORD, first, second, SECRET_VALUE):
        assert secret not in repr(told.events)
        assert secret not in caplog.text


def test_a_wait_that_the_beat_rescues_is_told(
    front: Front, own_server: EtcdServer, background: Background, told: Told
) -> None:
    with (
        front.Etcd(own_server.endpoint, on_event=told.hear) as etcd,
        RawEtcd(own_server.endpoint) as raw,
    ):
        wedge(raw)
        leader, waiter = (front.ElectionClient(etcd, "x", ttl=15) for _ in range(2))
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        queue_of(raw, "x", 2)
        hanging = eventually(lambda: waiter.lease_id)
        leadership.resign()
        won = waiting.result(PATIENCE)
        rescued = told.one(WaitRescued)
        assert rescued == WaitRescued(name=b"x", lease_id=hanging, endpoint=own_server.endpoint)
        eventually(lambda: len(told.all(Elected)) == 2, PATIENCE)
        assert told.all(Elected)[-1].lease_id == won.lease_id != hanging


def test_another_cluster_is_told_with_what_it_ends(
    front: Front, own_server: EtcdServer, told: Told
) -> None:
    with front.Etcd(own_server.endpoint, on_event=told.hear) as etcd:
        leaderships = [
            front.ElectionClient(etcd, name, ttl=6).campaign("before") for name in ("x", "y")
        ]
        replace(own_server, Behind.OTHER)
        for leadership in leaderships:
            assert leadership.wait_lost(PATIENCE)
        changed = told.one(ClusterChanged)
        assert changed.sessions == 2
        assert 0 != changed.cluster_id != changed.former_id != 0
        eventually(lambda: len(told.all(LeadershipLost)) == 2, PATIENCE)
        lost = told.all(LeadershipLost)
        assert {event.reason for event in lost} == {LostReason.CLUSTER_CHANGED}
        assert told.events.index(changed) < told.events.index(lost[0])
