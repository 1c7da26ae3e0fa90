"""Observers as asyncio uses them: shared by tasks, in `async for`, cancelled between two states."""

from __future__ import annotations

import asyncio
import random

import pytest

from etcd_election.aio import ClientClosed, Etcd, Leader, Observer
from tests.support.coroutines import cancelled_at_the_news, until

from .conftest import MakeClient

PATIENCE = 15.0


async def texts(observer: Observer[Leader], last: str) -> list[str]:
    """What is told, up to `last`, or to the end."""
    told: list[str] = []
    async for leader in observer:
        told.append(leader.text)
        if leader.text == last:
            break
    return told


async def test_tasks_that_share_an_observer_get_each_state_once_between_them(
    make_client: MakeClient,
) -> None:
    leadership = await make_client().campaign("0")
    observer = make_client().observe()
    got: list[str] = []

    async def read() -> None:
        while True:
            got.append((await observer.next()).text)

    readers = [asyncio.create_task(read()) for _ in range(5)]
    # One after the other: a slow reader would see the latest only.
    for number in range(1, 21):
        await until(lambda n=number: got[-1:] == [str(n - 1)])  # type: ignore[misc]
        await leadership.proclaim(str(number))
    await until(lambda: got[-1:] == ["20"])
    observer.close()
    ended = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), PATIENCE)
    assert {type(end) for end in ended} == {ClientClosed}
    assert got == [str(number) for number in range(21)]


@pytest.mark.parametrize("closed", ["observer", "client", "connection"])
async def test_async_for_ends_when_somebody_closes(
    etcd: Etcd, make_client: MakeClient, closed: str
) -> None:
    await make_client().campaign("v")
    client = make_client()
    observer = client.observe()
    told: list[str] = []

    async def read() -> None:
        async for leader in observer:
            told.append(leader.text)  # noqa: PERF401 - looked at meanwhile

    reading = [asyncio.create_task(read()) for _ in range(3)]
    await until(lambda: told == ["v"])
    # Awaited or not: it is closed when the call returns.
    await {"observer": observer.close, "client": client.close, "connection": etcd.close}[closed]()
    await asyncio.wait_for(asyncio.gather(*reading), PATIENCE)
    assert told == ["v"]
    with pytest.raises(ClientClosed):
        await observer.next()


async def test_close_of_an_observer_need_not_be_awaited_and_ends_a_waiting_next(
    make_client: MakeClient,
) -> None:
    observer = make_client().observe()
    waiting = asyncio.create_task(observer.next())
    await asyncio.sleep(0.05)
    observer.close()
    with pytest.raises(ClientClosed):
        await asyncio.wait_for(waiting, PATIENCE)
    await observer.close()


async def test_a_reader_may_leave_the_loop_and_come_back(make_client: MakeClient) -> None:
    leadership = await make_client().campaign("1")
    async with make_client().observe() as observer:
        assert await texts(observer, "1") == ["1"]
        await leadership.proclaim("2")
        assert await texts(observer, "2") == ["2"]
    assert await texts(observer, "") == []


async def test_a_cancelled_next_loses_no_state(make_client: MakeClient) -> None:
    chance = random.Random(5)
    leadership = await make_client().campaign("0")
    observer = make_client().observe()
    assert (await observer.next(PATIENCE)).text == "0"
    cancelled = 0
    for number in range(1, 101):
        reading = asyncio.create_task(observer.next())
        await asyncio.sleep(0)
        proclaiming = asyncio.create_task(leadership.proclaim(str(number)))
        await asyncio.sleep(chance.uniform(0, 0.004))
        reading.cancel()
        await proclaiming
        try:
            leader = await reading
        except asyncio.CancelledError:
            cancelled += 1
            leader = await observer.next(PATIENCE)
        assert leader.text == str(number)
    assert cancelled >= 10


async def test_a_next_cancelled_at_the_very_news_leaves_it_to_the_following_one(
    make_client: MakeClient,
) -> None:
    leadership = await make_client().campaign("0")
    observer = make_client().observe()
    assert (await observer.next(PATIENCE)).text == "0"
    reading = cancelled_at_the_news(observer.next())
    await asyncio.sleep(0)
    await leadership.proclaim("1")
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await observer.next(PATIENCE)).text == "1"


async def test_observers_of_one_election_end_one_by_one(make_client: MakeClient) -> None:
    leadership = await make_client().campaign("0")
    client = make_client()
    observers = [client.observe() for _ in range(5)]
    for number, observer in enumerate(observers):
        await leadership.proclaim(f"p{number}")
        for other in observers[number:]:
            assert await texts(other, f"p{number}")
        await observer.close()
