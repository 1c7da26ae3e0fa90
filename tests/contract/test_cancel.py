"""Ways out of a campaign, and things that must not be ways out of one."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from etcd_election import (
    CampaignCancelled,
    Etcd,
    State,
)
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually, lasting

from .conftest import PATIENCE, Background, MakeClient


def test_cancelling_ends_running_and_queued_campaigns(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(), make_client()
    assert waiter.cancel_campaign() is False
    leader.campaign("leader")
    assert leader.cancel_campaign() is False
    assert leader.state is State.LEADING
    calls = [background(waiter.campaign, "v") for _ in range(3)]
    # Of those that wait for their turn nothing can be seen; a thread needs no half second to ask.
    eventually(lasting(lambda: len(raw.candidates(election_name)) == 2, 0.5), PATIENCE)
    assert waiter.cancel_campaign() is True
    for call in calls:
        with pytest.raises(CampaignCancelled):
            call.result(PATIENCE)
    assert len(raw.candidates(election_name)) == 1
    assert waiter.state is State.IDLE
    leader.resign()
    assert waiter.campaign("v").held


def interrupt_when(condition: Callable[[], object], background: Background) -> Future[float]:
    """Sends this process a Ctrl-C, once, when the condition is true; the result is when."""

    def interrupt() -> float:
        eventually(condition, PATIENCE)
        interrupted_at = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        return interrupted_at

    return background(interrupt)


def test_ctrl_c_ends_a_waiting_campaign_at_once_and_leaves_nothing(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(ttl=60), make_client(ttl=60)
    leader.campaign("leader")
    for timeout in (None, 30.0):
        # Long enough to stand for nothing but waiting: the campaign begins with short calls, and
        # an exception from a signal handler in the midst of grpcio's own code may leave it locked.
        waits = lasting(lambda: len(raw.candidates(election_name)) == 2, 0.3)
        interrupted_at = interrupt_when(waits, background)
        with pytest.raises(KeyboardInterrupt):
            waiter.campaign("v", timeout=timeout)
        assert time.monotonic() - interrupted_at.result() < 1.0
        assert len(raw.candidates(election_name)) == 1
        assert len(raw.lease_leases()) == 1
        assert waiter.state is State.IDLE
    leader.resign()
    assert waiter.campaign("v").held


def test_ctrl_c_ends_a_campaign_on_a_silent_etcd(
    front: Front, own_server: EtcdServer, background: Background
) -> None:
    with front.Etcd(own_server.endpoint, timeout=30.0) as connection:
        client = front.ElectionClient(connection, "x")
        own_server.pause()
        began_at = time.monotonic()
        interrupt_when(lambda: time.monotonic() > began_at + 0.7, background)
        with pytest.raises(KeyboardInterrupt):
            client.campaign("v")
        # At once, and up to 2 s for removing what cannot be removed now.
        assert time.monotonic() - began_at < 4.5
        own_server.resume()
        assert client.campaign("v").held


@pytest.mark.real_etcd
def test_a_storm_of_signals_that_ask_and_cancel_does_not_deadlock(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(), make_client()
    leadership = leader.campaign("leader")
    asked = {"held": 0, "cancelled": 0}

    asking = False

    def handler(*_: object) -> None:
        nonlocal asking
        if asking:
            return  # the next signal came sooner than the answers
        asking = True
        asked["held"] += leadership.held
        asked["cancelled"] += waiter.cancel_campaign()
        _ = waiter.state, leader.state, leadership.remaining, leadership.lost
        asking = False

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0007)
        ends_at = time.monotonic() + 3.0
        while time.monotonic() < ends_at:
            with pytest.raises(CampaignCancelled):
                waiter.campaign("v")
            leadership.proclaim("still")
            assert leadership.held
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert asked["held"] > 100
    assert asked["cancelled"] > 10
    assert len(raw.candidates(election_name)) == 1


@pytest.mark.real_etcd
def test_what_the_collector_takes_is_neither_a_campaign_nor_a_leadership(
    make_client: MakeClient, background: Background, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(ttl=3), make_client(ttl=3)
    leadership = leader.campaign("leader")
    waiting = background(waiter.campaign, "waiter")
    queue_of(raw, election_name, 2)
    stop = threading.Event()

    def collect() -> None:
        # A collection holds the GIL: one after the other without a pause would starve renewals.
        while not stop.wait(0.05):
            gc.collect()

    collecting = background(collect)
    try:
        assert not leadership.wait_lost(4.0)
        leadership.resign()
        assert not waiting.result(PATIENCE).wait_lost(4.0)
    finally:
        stop.set()
    collecting.result(PATIENCE)


def drop(kept: list[Any]) -> None:
    kept.clear()
    gc.collect()


@pytest.mark.real_etcd
@pytest.mark.leaves_lease
def test_a_client_collected_unclosed_renews_no_more_and_warns(
    front: Front, connection: Etcd, election_name: str, raw: RawEtcd
) -> None:
    kept: list[Any] = [front.ElectionClient(connection, election_name, ttl=2)]
    kept.append(kept[0].campaign("v"))
    gone = weakref.ref(kept[0])
    with pytest.warns(ResourceWarning, match="unclosed ElectionClient"):
        drop(kept)
    assert gone() is None
    eventually(lambda: raw.candidates(election_name) == [], PATIENCE)


@pytest.mark.real_etcd
def test_a_leadership_with_a_callback_is_not_collected(
    front: Front, connection: Etcd, election_name: str, raw: RawEtcd
) -> None:
    """Whoever waits for a callback only must not lose the lease under its work."""
    told = threading.Event()
    front.ElectionClient(connection, election_name, ttl=2).campaign("v").on_lost(
        lambda _: told.set()
    )
    for _ in range(3):
        gc.collect()
    assert not told.wait(2.5)
    (stored,) = raw.candidates(election_name)
    raw.delete(stored.key)
    assert told.wait(PATIENCE)
