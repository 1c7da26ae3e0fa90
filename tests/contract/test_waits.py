"""Waits in a member's Election service: ours never make it hang, and what hangs is done without.

Forty Campaigns cancelled at once, or sixty open Observes of one election and ordinary hand-overs,
deadlock it for everybody until that etcd is restarted (etcd issues 20716 and 18879).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from etcd_election import CampaignCancelled
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually
from tests.support.wedge import waits_work, wedge

from .conftest import PATIENCE, Background

MANY = 500


@pytest.mark.parametrize("elections", [1, 25])
def test_five_hundred_waits_cancelled_at_once_leave_a_member_that_serves_waits(
    front: Front, own_server: EtcdServer, elections: int
) -> None:
    names = [f"e{number}" for number in range(elections)]
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(MANY, thread_name_prefix="test"))
        raw = stack.enter_context(RawEtcd(own_server.endpoint))
        etcd = stack.enter_context(front.Etcd(own_server.endpoint))
        leaders = [front.ElectionClient(etcd, name, ttl=60) for name in names]
        for leader in leaders:
            leader.campaign("leader")
        clients = [front.ElectionClient(etcd, names[n % elections], ttl=60) for n in range(MANY)]
        calls = [pool.submit(client.campaign, "waiter") for client in clients]
        for name in names:
            queue_of(raw, name, 1 + MANY // elections)
        assert own_server.open_calls("Campaign") <= 16
        assert sum(client.cancel_campaign() for client in clients) == MANY
        for call in calls:
            with pytest.raises(CampaignCancelled):
                call.result(2 * PATIENCE)
        assert waits_work(raw, "probe")
        for name in names:
            queue_of(raw, name, 1)


@pytest.mark.parametrize("elections", [1, 60])
def test_sixty_observers_leave_a_member_that_serves_waits(
    front: Front, own_server: EtcdServer, elections: int
) -> None:
    names = [f"e{number}" for number in range(elections)]
    with (
        front.Etcd(own_server.endpoint) as etcd,
        front.Etcd(own_server.endpoint) as other,
        RawEtcd(own_server.endpoint) as raw,
    ):
        watching = [front.ElectionClient(etcd, names[n % elections]) for n in range(60)]
        observers = [client.observe() for client in watching]
        leading = [front.ElectionClient(other, name, ttl=60) for name in names]
        for term in ("1", "2", "3"):
            for client in leading:
                client.campaign(term)
            for observer in observers:
                assert observer.next(PATIENCE).text == term
            for client in leading:
                client.resign()
        assert own_server.open_calls("Observe") <= 16
        assert waits_work(raw, "probe")


def test_behind_a_hanging_election_service_candidates_and_observers_go_on(
    front: Front,
    own_server: EtcdServer,
    background: Background,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with front.Etcd(own_server.endpoint) as etcd, RawEtcd(own_server.endpoint) as raw:
        wedge(raw)
        clients = [front.ElectionClient(etcd, "x", ttl=15) for _ in range(4)]
        leadership = clients[0].campaign("0")
        watching = front.ElectionClient(etcd, "x")
        observer = watching.observe(vacancies=True)
        seen = observer.next(PATIENCE)
        assert seen is not None
        assert seen.text == "0"
        calls = []
        for number, client in enumerate(clients[1:], start=1):
            calls.append(background(client.campaign, str(number)))
            queue_of(raw, "x", number + 1)
        leadership.resign()
        resigned_at = time.monotonic()
        # Half a second after its turn, times those who wait there before it; and a busy machine.
        elected = eventually(lambda: [call for call in calls if call.done()], 0.5 * 3 + 1.5)
        won = elected[0].result()
        eventually(lambda: (observer.next(PATIENCE) or leadership).value == won.value, PATIENCE)
        assert time.monotonic() - resigned_at < 5.0 + 1.5
        hangs = f"the Election service of {own_server.endpoint} hangs (etcd issue 20716)"
        assert any(hangs in text for text in caplog.messages)


def test_without_the_election_service_nothing_can_hang_with_it(
    front: Front, own_server: EtcdServer, background: Background
) -> None:
    """What ``via="kv"`` is for."""
    with front.Etcd(own_server.endpoint) as etcd, RawEtcd(own_server.endpoint) as raw:
        wedge(raw)
        before = own_server.open_calls("Campaign"), own_server.open_calls("Observe")
        clients = [front.ElectionClient(etcd, "x", ttl=15, via="kv") for _ in range(3)]
        observer = clients[0].observe(vacancies=True)
        assert observer.next(PATIENCE) is None
        leadership = clients[0].campaign("0")
        calls = []
        for number, client in enumerate(clients[1:], start=1):
            calls.append(background(client.campaign, str(number)))
            queue_of(raw, "x", number + 1)
        assert (own_server.open_calls("Campaign"), own_server.open_calls("Observe")) == before
        token = leadership.token
        for call in calls:
            leadership.resign()
            resigned_at = time.monotonic()
            leadership = call.result(PATIENCE)
            assert time.monotonic() - resigned_at < 1.0, "told by a watch, not by a beat"
            assert leadership.held
            assert leadership.token > token
            token = leadership.token
        eventually(lambda: (observer.next(PATIENCE) or leadership).value == b"2", PATIENCE)
