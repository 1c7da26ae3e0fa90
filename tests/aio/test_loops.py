"""Event loops: objects and their loops, a loop that is blocked, other threads, signal handlers."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

import pytest

from etcd_election.aio import (
    CampaignCancelled,
    ElectionClient,
    Etcd,
    Leadership,
    LostReason,
    SessionExpired,
    State,
)
from tests.support.coroutines import until
from tests.support.etcd_server import EtcdServer
from tests.support.loop_thread import new_event_loop
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import MakeClient, queue_of


def test_objects_made_outside_a_loop_belong_to_that_of_their_first_use(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    etcd = Etcd(server.endpoint)
    client = ElectionClient(etcd, election_name)
    observer = client.observe()
    assert client.state is State.IDLE
    assert client.cancel_campaign() is False

    async def use() -> None:
        async with await client.campaign("v"):
            assert (await observer.next()).text == "v"

    first = new_event_loop()
    first.run_until_complete(use())

    async def use_elsewhere() -> None:
        for call in (client.leader, client.open, etcd.open, client.resign, observer.next,
                     client.close, etcd.close, lambda: client.campaign("v")):  # fmt: skip
            with pytest.raises(RuntimeError, match="make one for each loop"):
                await call()

    second = new_event_loop()
    second.run_until_complete(use_elsewhere())
    first.run_until_complete(etcd.close())
    for loop in (first, second):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_what_another_loop_has_ended_may_be_closed_anywhere(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    etcd = Etcd(server.endpoint)
    client = ElectionClient(etcd, election_name)
    observer = client.observe()

    async def use() -> None:
        await (await client.campaign("v")).resign()
        await client.campaign("w")
        await client.resign()
        await observer.next(1.0)

    with pytest.raises(TimeoutError):
        asyncio.run(use())

    async def close() -> None:
        await observer.close()
        await client.close()
        await etcd.close()

    asyncio.run(close())
    assert client.state is State.CLOSED
    for lease in raw.lease_leases():
        # Of the end of the first loop: it lives on for its ttl.
        raw.revoke(lease)


@pytest.mark.leaves_lease
def test_the_end_of_a_loop_takes_waiting_candidates_with_it_and_no_second_loop_minds(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    async def leave_all_open() -> None:
        etcd = Etcd(server.endpoint)
        leader, waiter = (ElectionClient(etcd, election_name, ttl=2) for _ in range(2))
        leadership = await leader.campaign("leader")
        waiting = asyncio.create_task(waiter.campaign("waiter"))
        observer = leader.observe()
        await observer.next()
        await queue_of(raw, election_name, 2)
        kept.append((etcd, leader, waiter, leadership, waiting, observer))

    async def close() -> None:
        for etcd, *_ in kept:
            await etcd.close()

    kept: list[Any] = []
    for _ in range(3):
        asyncio.run(leave_all_open())
        assert [pair.value for pair in raw.candidates(election_name)] == [b"leader"]
        assert len(raw.lease_leases()) == 1
        (lease,) = raw.lease_leases()
        raw.revoke(lease)
    asyncio.run(close())


def test_two_loops_in_two_threads_do_not_mind_each_other(
    server: EtcdServer, election_name: str
) -> None:
    errors: list[BaseException] = []

    async def lead_again_and_again(name: str) -> None:
        async with Etcd(server.endpoint) as etcd:
            for _ in range(20):
                async with ElectionClient(etcd, name) as client:
                    assert (await client.campaign("v")).held

    def in_a_loop(number: int) -> None:
        try:
            asyncio.run(lead_again_and_again(f"{election_name}-{number}"))
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=in_a_loop, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


async def test_a_loop_blocked_for_longer_than_the_ttl_leads_no_more_and_knows_at_once(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    client = make_client(ttl=2)
    leadership = await client.campaign("v")
    told: list[Leadership] = []
    leadership.on_lost(told.append)
    waiting = asyncio.create_task(leadership.wait_lost())
    await asyncio.sleep(0)
    # Here the user computes: nothing on the loop can go on until etcd has given the key away.
    eventually(lambda: raw.candidates(election_name) == [], 15.0)
    assert not leadership.held
    assert leadership.lost is LostReason.SESSION_EXPIRED
    assert client.state is State.IDLE
    assert await waiting
    await until(lambda: told == [leadership])
    with pytest.raises(SessionExpired):
        await leadership.proclaim("w")
    assert (await client.campaign("again")).held


async def test_a_candidate_whose_loop_was_blocked_is_told_that_its_session_expired(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    # The leader would not outlive it either.
    held = raw.grant(60)
    raw.put(f"{election_name}/{held:x}", "leader", lease=held)
    client = make_client(ttl=2)
    waiting = asyncio.create_task(client.campaign("v"))
    await queue_of(raw, election_name, 2)
    eventually(lambda: len(raw.candidates(election_name)) == 1, 15.0)
    with pytest.raises(SessionExpired):
        await waiting
    raw.revoke(held)
    assert (await client.campaign("again")).held


async def test_other_threads_may_ask_and_cancel_while_the_loop_works(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(ttl=2), make_client()
    leadership = await leader.campaign("v")
    asked = [0, 0]
    went_back: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        lost = False
        while not stop.is_set():
            held = bool(leadership)
            asked[held] += 1
            if held and lost:
                went_back.append("False, then True")
            lost = not held

    def cancel() -> None:
        while not stop.is_set():
            waiter.cancel_campaign()
            stop.wait(0.001)

    threads = [threading.Thread(target=target) for target in (ask, cancel)]
    for thread in threads:
        thread.start()
    try:
        # Longer than the ttl: the loop renews meanwhile.
        ends_at = time.monotonic() + 2.5
        while time.monotonic() < ends_at:
            with pytest.raises(CampaignCancelled):
                await waiter.campaign("w")
            assert leadership.held
        await leader.resign()
        before = asked[False]
        await until(lambda: asked[False] > before + 100)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert asked[True] > 100
    assert went_back == []
    assert raw.candidates(election_name) == []


def test_a_storm_of_signals_that_ask_and_cancel_in_the_loops_own_thread(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    asked = {"held": 0, "cancelled": 0}

    async def campaign_in_the_storm() -> None:
        async with Etcd(server.endpoint) as etcd:
            leader, waiter = (ElectionClient(etcd, election_name, ttl=5) for _ in range(2))
            leadership = await leader.campaign("leader")

            def handler(*_: object) -> None:
                asked["held"] += leadership.held
                asked["cancelled"] += waiter.cancel_campaign()
                _ = waiter.state, leader.state, leadership.remaining, leadership.lost

            before = signal.signal(signal.SIGALRM, handler)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0007)
                ends_at = time.monotonic() + 3.0
                while time.monotonic() < ends_at:
                    with pytest.raises(CampaignCancelled):
                        await waiter.campaign("v")
                    await leadership.proclaim("still")
                    assert leadership.held
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            assert len(raw.candidates(election_name)) == 1

    asyncio.run(campaign_in_the_storm())
    assert asked["held"] > 100
    assert asked["cancelled"] > 10
