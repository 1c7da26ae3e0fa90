"""What a callback for events does, or does not, harms nothing; and nothing is loud without need."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from typing import Any

import pytest

from etcd_election import Event, EventsDropped, SessionEnded
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.told import Told, renewals
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.real_etcd
def test_a_callback_that_raises_is_logged_and_harms_nothing(
    front: Front, server: EtcdServer, election_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise ValueError(event)

    with front.Etcd(server.endpoint, on_event=fail) as etcd:
        client = front.ElectionClient(etcd, election_name, ttl=2)
        leadership = client.campaign("v")
        eventually(renewals(leadership, 3), PATIENCE)
        assert leadership.held
        leadership.resign()
        client.close()
        eventually(
            lambda: sum(said.startswith("on_event failed with ") for said in caplog.messages) == 5,
            PATIENCE,
        )
    assert "ValueError" in caplog.text


@pytest.mark.real_etcd
def test_a_callback_that_blocks_harms_nothing_and_is_not_waited_for(
    front: Front, server: EtcdServer, election_name: str
) -> None:
    let_go = threading.Event()
    try:
        etcd = front.Etcd(server.endpoint, on_event=lambda _: let_go.wait(2 * PATIENCE))
        leadership = front.ElectionClient(etcd, election_name, ttl=2).campaign("v")
        eventually(renewals(leadership, 4), PATIENCE)
        assert leadership.held
        began_at = time.monotonic()
        etcd.close()
        assert time.monotonic() - began_at < 2.0
        assert not leadership.held
    finally:
        let_go.set()


def test_a_callback_that_falls_behind_hears_how_many_it_missed(
    front: Front, server: EtcdServer, election_name: str, told: Told
) -> None:
    let_go = threading.Event()

    def hear(event: Event) -> None:
        let_go.wait(2 * PATIENCE)
        told.hear(event)

    with front.Etcd(server.endpoint, on_event=hear) as etcd:
        client = front.ElectionClient(etcd, election_name, ttl=60)
        # Two events each, and the session's own.
        for _ in range(400):
            client.campaign("v").resign()
        let_go.set()
        # The next event finds room again, and comes after the word of those that did not.
        eventually(lambda: len(told.events) > 1000, PATIENCE)
        client.close()
        eventually(lambda: isinstance(told.events[-1], SessionEnded), PATIENCE)
    (dropped,) = told.all(EventsDropped)
    assert dropped.count + len(told.events) - 1 == 400 * 3 + 2


@pytest.mark.parametrize("wrong", [1, "print"])
def test_what_cannot_be_called_is_refused(front: Front, wrong: Any) -> None:
    with pytest.raises(TypeError, match="on_event"):
        front.Etcd("127.0.0.1:1", on_event=wrong)


def test_a_connection_collected_unclosed_ends_the_thread_although_its_callback_knows_it(
    front: Front, own_server: EtcdServer
) -> None:
    class Owner:
        def __init__(self) -> None:
            self.told: list[Event] = []
            self.etcd = front.Etcd(own_server.endpoint, on_event=self.hear)
            self.client = front.ElectionClient(self.etcd, "x", ttl=2)

        def hear(self, event: Event) -> None:
            self.told.append(event)

    owner = Owner()
    owner.client.campaign("v")
    told = owner.told
    eventually(lambda: len(told) == 3, PATIENCE)
    gone = weakref.ref(owner)
    del owner
    with pytest.warns(ResourceWarning, match="unclosed"):
        eventually(lambda: gc.collect() >= 0 and gone() is None, PATIENCE)
    # That no thread is left is seen by the fixture of all tests.
    gc.collect()


@pytest.mark.real_etcd
def test_in_a_quiet_hour_nothing_is_logged_at_info_or_above(
    front: Front,
    server: EtcdServer,
    election_name: str,
    raw: RawEtcd,
    background: Background,
    told: Told,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "etcd_election")
    with front.Etcd(server.endpoint, on_event=told.hear) as etcd:
        leader, waiter, watching = (
            front.ElectionClient(etcd, election_name, ttl=2) for _ in range(3)
        )
        leadership = leader.campaign("leader")
        background(waiter.campaign, "waiter")
        observer = watching.observe()
        assert observer.next(PATIENCE).text == "leader"
        queue_of(raw, election_name, 2)
        # Two campaigns with a session each, and one of them elected.
        eventually(lambda: len(told.events) == 5, PATIENCE)
        eventually(renewals(leadership, 6), PATIENCE)
        assert len(told.events) == 5
    loud = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert [record.getMessage() for record in loud] == []
    assert {repr(event) for event in told.events} <= set(caplog.messages)
