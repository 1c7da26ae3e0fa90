"""A task that awaits campaign() is cancelled: by hand, by a timeout, by its siblings, again."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable

import pytest

from etcd_election.aio import Leadership, State
from tests.support.coroutines import cancelled_at_the_news, until
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd

from .conftest import MakeClient, queue_of

BOTH_WAYS = pytest.mark.parametrize("via", ["service", "kv"])


async def cancelled(task: asyncio.Task[Leadership]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@BOTH_WAYS
async def test_a_cancelled_campaign_has_left_nothing_when_its_task_has_ended(
    make_client: MakeClient, election_name: str, raw: RawEtcd, via: str
) -> None:
    leader, waiter = make_client(), make_client(ttl=60, via=via)
    leadership = await leader.campaign("leader")
    for _ in range(3):
        waiting = asyncio.create_task(waiter.campaign("waiter"))
        await queue_of(raw, election_name, 2)
        await cancelled(waiting)
        assert [pair.key for pair in raw.candidates(election_name)] == [leadership.key]
        assert raw.lease_leases() == {leadership.lease_id}
        assert waiter.state is State.IDLE
    await leader.resign()
    assert (await waiter.campaign("waiter")).held


async def test_a_cancelled_campaign_that_waits_for_its_turn_does_not_disturb_the_one_before(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(), make_client()
    await leader.campaign("leader")
    first = asyncio.create_task(waiter.campaign("first"))
    await queue_of(raw, election_name, 2)
    queued = asyncio.create_task(waiter.campaign("queued"))
    await asyncio.sleep(0)
    await cancelled(queued)
    assert len(raw.candidates(election_name)) == 2
    await leader.resign()
    assert (await first).value == b"first"


@BOTH_WAYS
async def test_cancels_at_any_moment_around_a_win_leave_no_candidate_and_no_lease(
    make_client: MakeClient, election_name: str, raw: RawEtcd, via: str
) -> None:
    chance = random.Random(3)
    leader, waiter = make_client(), make_client(via=via)
    ends = {"won": 0, "cancelled": 0}
    # Follows what a hand-over takes here and now, so that both ends come about as often.
    spread = 0.01
    for _ in range(100):
        leadership = await leader.campaign("leader")
        waiting = asyncio.create_task(waiter.campaign("waiter"))
        await queue_of(raw, election_name, 2)
        resigning = asyncio.create_task(leadership.resign())
        await asyncio.sleep(chance.uniform(0, spread))
        waiting.cancel()
        await resigning
        try:
            won = await waiting
        except asyncio.CancelledError:
            ends["cancelled"] += 1
            spread *= 1.2
            assert waiter.leadership is None
        else:
            ends["won"] += 1
            spread /= 1.2
            assert won.held
            await won.resign()
        assert raw.candidates(election_name) == []
    await leader.close()
    await waiter.close()
    assert raw.lease_leases() == set()
    assert min(ends.values()) >= 10, ends


@BOTH_WAYS
@pytest.mark.parametrize("contested", [True, False], ids=["contested", "alone"])
async def test_a_cancel_that_meets_the_win_itself_leaves_no_orphaned_leader(
    make_client: MakeClient,
    election_name: str,
    raw: RawEtcd,
    via: str,
    contested: bool,
) -> None:
    other, candidate = make_client(), make_client(via=via)
    before = await other.campaign("other") if contested else None
    campaign = cancelled_at_the_news(candidate.campaign("v"))
    if before is not None:
        await queue_of(raw, election_name, 2)
        await before.resign()
    with pytest.raises(asyncio.CancelledError):
        await campaign
    assert candidate.leadership is None
    assert candidate.state is State.IDLE
    assert raw.candidates(election_name) == []


@pytest.mark.parametrize("cancels", [2, 3])
async def test_a_task_cancelled_again_while_it_cleans_up_cleans_up_all_the_same(
    own_server: EtcdServer, make_own_client: MakeClient, own_raw: RawEtcd, cancels: int
) -> None:
    leader = make_own_client(ttl=60)
    waiter = make_own_client(ttl=60)
    leadership = await leader.campaign("leader")
    waiting = asyncio.create_task(waiter.campaign("waiter"))
    await queue_of(own_raw, "x", 2)
    own_server.pause()
    for _ in range(cancels):
        waiting.cancel()
        await asyncio.sleep(0.1)
        assert not waiting.done()
    own_server.resume()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert own_raw.lease_leases() == {leadership.lease_id}
    assert len(own_raw.candidates("x")) == 1


@pytest.mark.parametrize("stage", ["waiting", "granting"])
async def test_a_cancel_on_a_silent_etcd_is_neither_lost_nor_delayed_for_more_than_the_clean_up(
    own_server: EtcdServer, make_own_client: MakeClient, own_raw: RawEtcd, stage: str
) -> None:
    leader = make_own_client(ttl=60)
    candidate = make_own_client(ttl=60)
    leadership = await leader.campaign("leader")
    if stage == "waiting":
        campaign = asyncio.create_task(candidate.campaign("v"))
        await queue_of(own_raw, "x", 2)
        own_server.pause()
    else:
        own_server.pause()
        campaign = asyncio.create_task(candidate.campaign("v"))
    # Long enough for calls to be under way.
    await asyncio.sleep(0.2)
    cancelled_at = time.monotonic()
    await cancelled(campaign)
    assert time.monotonic() - cancelled_at < 3.0
    own_server.resume()
    # In the background, as soon as etcd listens.
    await until(lambda: own_raw.lease_leases() == {leadership.lease_id})
    assert len(own_raw.candidates("x")) == 1


async def by_wait_for(campaign: Callable[[], object]) -> None:
    await asyncio.wait_for(campaign(), 0.3)  # type: ignore[arg-type]


async def by_timeout(campaign: Callable[[], object]) -> None:
    async with asyncio.timeout(0.3):  # type: ignore[attr-defined,unused-ignore]
        await campaign()  # type: ignore[misc]


@pytest.mark.parametrize(
    "limited",
    [
        by_wait_for,
        pytest.param(
            by_timeout,
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11"),
        ),
    ],
)
async def test_a_timeout_around_a_campaign_is_a_timeout_and_leaves_nothing(
    make_client: MakeClient, election_name: str, raw: RawEtcd, limited: Callable[..., object]
) -> None:
    leader, waiter = make_client(), make_client()
    leadership = await leader.campaign("leader")
    with pytest.raises(asyncio.TimeoutError):
        await limited(lambda: waiter.campaign("waiter"))  # type: ignore[misc]
    assert raw.lease_leases() == {leadership.lease_id}
    await leader.resign()
    # The cancel of a timeout is used up: the task goes on as before.
    assert (await waiter.campaign("waiter")).held


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")
async def test_in_a_task_group_the_failure_of_a_sibling_ends_the_campaign(
    make_client: MakeClient, election_name: str, raw: RawEtcd
) -> None:
    leader, waiter = make_client(), make_client()
    leadership = await leader.campaign("leader")

    async def fails() -> None:
        await queue_of(raw, election_name, 2)
        raise LookupError("a sibling")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
            group.create_task(waiter.campaign("waiter"))
            group.create_task(fails())

    with pytest.RaisesGroup(LookupError):
        await both()
    assert raw.lease_leases() == {leadership.lease_id}
    assert waiter.state is State.IDLE
