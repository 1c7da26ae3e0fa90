"""The lease under a leadership: what is believed when nothing can be heard."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest

from etcd_election import (
    ElectionClient,
    LostReason,
    NotLeader,
    SessionExpired,
    State,
    Unavailable,
)
from etcd_election._core import timing
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.proxy import Mode, TcpProxy
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient

SOON = 0.1
TRIES = 3
"""A noisy machine may spoil some."""

TTL = 3


@pytest.mark.real_etcd
def test_leadership_lasts_over_many_ttls(make_client: MakeClient, raw: RawEtcd) -> None:
    leadership = make_client(ttl=2).campaign("v")
    assert not leadership.wait_lost(6.5)
    stored = raw.get(leadership.key)
    assert stored is not None
    assert stored.create_revision == leadership.token


def test_with_etcd_stopped_held_is_false_before_the_lease_can_have_run_out(
    front: Front,
    own_server: EtcdServer,
) -> None:
    with front.ElectionClient(own_server.endpoint, "x", ttl=TTL) as client:
        leadership = client.campaign("v")
        events: list[float] = []
        leadership.on_lost(lambda _: events.append(time.monotonic()))
        stopped_at = time.monotonic()
        own_server.pause()
        # The last answered keepalive was sent before the stop: within ttl of that it must be over.
        while leadership.held:
            assert time.monotonic() < stopped_at + TTL
            threading.Event().wait(0.005)
        assert leadership.lost is LostReason.SESSION_EXPIRED
        assert leadership.remaining == 0.0
        assert client.state is State.IDLE
        eventually(lambda: events, 1.0, "the loss was not told")
        assert events[0] < stopped_at + TTL
        with pytest.raises(SessionExpired) as caught:
            leadership.check()
        assert caught.value.leadership is leadership
        assert caught.value.reason is LostReason.SESSION_EXPIRED
        own_server.resume()
        assert client.campaign("w", timeout=PATIENCE).held
        assert not leadership.held, "a late answer revived it"


def test_a_short_stop_of_etcd_costs_nothing(front: Front, own_server: EtcdServer) -> None:
    with front.ElectionClient(own_server.endpoint, "x", ttl=5) as client:
        leadership = client.campaign("v")
        own_server.pause()
        assert not leadership.wait_lost(1.5)
        own_server.resume()
        assert not leadership.wait_lost(5)


def test_a_restart_of_etcd_within_the_ttl_costs_nothing(
    front: Front, own_server: EtcdServer
) -> None:
    with front.ElectionClient(own_server.endpoint, "x", ttl=10) as client:
        leadership = client.campaign("v")
        own_server.restart()
        assert not leadership.wait_lost(6)
        assert client.leader().token == leadership.token


def test_a_waiting_candidate_is_elected_after_a_restart_of_etcd(
    front: Front, own_server: EtcdServer, background: Background
) -> None:
    with front.Etcd(own_server.endpoint) as connection, RawEtcd(own_server.endpoint) as raw:
        leader = front.ElectionClient(connection, "x", ttl=15)
        waiter = front.ElectionClient(connection, "x", ttl=15)
        leadership = leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        queue_of(raw, "x", 2)
        own_server.restart()
        queue_of(raw, "x", 2)
        assert leadership.held
        leadership.resign()
        assert waiting.result(PATIENCE).held


def test_a_lease_that_runs_out_while_waiting_expires_the_session(
    front: Front, own_server: EtcdServer, background: Background
) -> None:
    with front.Etcd(own_server.endpoint) as connection, RawEtcd(own_server.endpoint) as raw:
        leader = front.ElectionClient(connection, "x", ttl=60)
        waiter = front.ElectionClient(connection, "x", ttl=TTL)
        leader.campaign("leader")
        waiting = background(waiter.campaign, "waiter")
        queue_of(raw, "x", 2)
        own_server.pause()
        with pytest.raises(SessionExpired):
            waiting.result(TTL + 2.5)
        own_server.resume()
        queue_of(raw, "x", 1)


def test_a_campaign_on_a_silent_etcd_is_unavailable_after_the_timeout(
    front: Front,
    own_server: EtcdServer,
) -> None:
    with front.Etcd(own_server.endpoint, timeout=1.0) as connection:
        client = front.ElectionClient(connection, "x", ttl=TTL)
        own_server.pause()
        began_at = time.monotonic()
        with pytest.raises(Unavailable):
            client.campaign("v")
        assert time.monotonic() - began_at < 2.0
        with pytest.raises(Unavailable):
            client.leader()
        own_server.resume()
        assert client.campaign("v").held


@pytest.mark.real_etcd
def test_a_link_that_goes_deaf_is_left_for_a_new_connection(
    front: Front, server: EtcdServer
) -> None:
    with (
        TcpProxy(server.endpoint) as proxy,
        front.ElectionClient(proxy.endpoint, "deaf", ttl=5) as client,
    ):
        leadership = client.campaign("v")
        proxy.mode = Mode.DEAF
        assert not leadership.wait_lost(1.0)
        proxy.mode = Mode.PASS
        assert not leadership.wait_lost(5.0)


def test_the_leaders_key_deleted_by_hand_is_lost_at_once(
    client: ElectionClient, raw: RawEtcd
) -> None:
    # At once, while the watch is still being set up, and when it stands.
    for pause in (0.0, 0.2):
        took = [told_of_a_deletion(client, raw, pause)]
        while took[-1] >= SOON and len(took) < TRIES:
            took.append(told_of_a_deletion(client, raw, pause))
        assert took[-1] < SOON, took


def test_a_further_term_on_the_same_lease_is_watched_over_too(
    client: ElectionClient, raw: RawEtcd
) -> None:
    """Its key is the same, and etcd may still be telling of the end of the first one."""
    for pause in (0.0, 0.2):
        took: list[float] = []
        while not took or (took[-1] >= SOON and len(took) < TRIES):
            first = client.campaign("v")
            assert not first.wait_lost(0.1), "its watch stands"
            first.resign()
            assert client.lease_id == first.lease_id
            took.append(told_of_a_deletion(client, raw, pause))
        assert took[-1] < SOON, took


def told_of_a_deletion(client: ElectionClient, raw: RawEtcd, pause: float) -> float:
    """A term whose key is deleted after so many seconds; how long until that was told."""
    leadership = client.campaign("v")
    told_at: list[float] = []
    leadership.on_lost(lambda _: told_at.append(time.monotonic()))
    assert not leadership.wait_lost(pause)
    raw.delete(leadership.key)
    deleted_at = time.monotonic()
    assert leadership.wait_lost(PATIENCE)
    eventually(lambda: told_at, PATIENCE)
    assert leadership.lost is LostReason.KEY_DELETED
    with pytest.raises(NotLeader) as caught:
        leadership.check()
    assert caught.value.reason is LostReason.KEY_DELETED
    return told_at[0] - deleted_at


@pytest.mark.real_etcd
def test_a_key_deleted_while_the_link_is_cut_is_found_by_the_beat(
    front: Front, server: EtcdServer, raw: RawEtcd, election_name: str
) -> None:
    with TcpProxy(server.endpoint) as proxy:
        client = front.ElectionClient(proxy.endpoint, election_name, ttl=6)
        with client:
            leadership = client.campaign("v")
            proxy.mode = Mode.REFUSE
            proxy.reset()
            raw.delete(leadership.key)
            assert leadership.held, "nobody can know yet"
            proxy.mode = Mode.PASS
            # A beat is a third of the ttl; the watch comes back earlier as a rule.
            assert leadership.wait_lost(3.0)
            assert leadership.lost is LostReason.KEY_DELETED


@pytest.mark.parametrize("keeps_lease", [False, True])
def test_a_key_written_by_somebody_else_is_taken_over(
    client: ElectionClient, raw: RawEtcd, *, keeps_lease: bool
) -> None:
    leadership = client.campaign("v")
    raw.put(leadership.key, "mine", lease=leadership.lease_id if keeps_lease else 0)
    assert leadership.wait_lost(PATIENCE)
    assert leadership.lost is LostReason.TAKEN_OVER
    raw.delete(leadership.key)


def test_many_waiting_candidates_starve_neither_keepalives_nor_each_other(
    front: Front, etcd_binary: str, background: Background
) -> None:
    """A server may limit the streams of a connection: waits must not take those of the others."""
    usage = subprocess.run(
        [etcd_binary, "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    limited = "--max-concurrent-streams" in usage.stdout + usage.stderr
    args = ["--max-concurrent-streams=8"] if limited else []
    with (
        EtcdServer(etcd_binary, args=args) as server,
        server.view() as raw,
        front.Etcd(server.endpoint) as connection,
    ):
        leader = front.ElectionClient(connection, "x", ttl=5)
        leadership = leader.campaign("leader")
        waiters = [front.ElectionClient(connection, "x", ttl=5) for _ in range(14)]
        calls = [background(waiter.campaign, "waiter") for waiter in waiters]
        queue_of(raw, "x", 15)
        assert not leadership.wait_lost(6.0)
        assert leader.leader().text == "leader"
        assert not [call for call in calls if call.done()]
        assert len(raw.candidates("x")) == 15
        leadership.resign()
        eventually(lambda: [call for call in calls if call.done()], PATIENCE)
        assert sum(call.done() and call.result().held for call in calls) == 1


@pytest.mark.real_etcd
def test_closing_leaves_no_lease_while_etcd_goes_on_removing_them(
    front: Front, server: EtcdServer, raw: RawEtcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of leases take longer than is waited for an etcd that does not answer."""
    monkeypatch.setattr(timing, "CLEANUP", 1.0)
    with TcpProxy(server.endpoint) as proxy:
        connection = front.Etcd(proxy.endpoint)
        # Sixteen at a time: seven times there and back.
        clients = [
            front.ElectionClient(connection, f"closing-{i}", ttl=60, via="kv") for i in range(112)
        ]
        for client in clients:
            client.campaign("v")
        proxy.delay = 0.1
        proxy.mode = Mode.DELAY
        began_at = time.monotonic()
        connection.close()
        assert time.monotonic() - began_at > timing.CLEANUP, "or nothing was tested"
        assert not raw.lease_leases()


def test_closing_gives_an_etcd_up_that_removes_nothing(
    front: Front, own_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "CLEANUP", 0.2)
    connection = front.Etcd(own_server.endpoint)
    client = front.ElectionClient(connection, "x", ttl=TTL)
    client.campaign("v")
    own_server.pause()
    began_at = time.monotonic()
    connection.close()
    assert time.monotonic() - began_at < timing.CLEANUP_OF_MANY / 2
