"""A loss cancels what leads, and only that; what leads is over before anything else happens."""

from __future__ import annotations

import asyncio
import sys

import pytest

from etcd_election.aio import ElectionClient, Leadership, LostReason, NotLeader
from tests.support.coroutines import until
from tests.support.raw import RawEtcd

from .conftest import MakeClient


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def client(make_client: MakeClient) -> ElectionClient:
    return make_client()


async def test_a_loss_cancels_the_block_and_is_raised_instead(
    client: ElectionClient, raw: RawEtcd
) -> None:
    ended_by: list[BaseException] = []

    async def block() -> None:
        async with client.lead("v") as leadership:
            raw.delete(leadership.key)
            try:
                await for_ever()
            except BaseException as error:
                ended_by.append(error)
                raise

    with pytest.raises(NotLeader) as caught:
        await block()
    assert caught.value.reason is LostReason.KEY_DELETED
    assert isinstance(ended_by[0], asyncio.CancelledError)
    # Nothing of that cancel is left over.
    if sys.version_info >= (3, 11):
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_cancel_from_outside_stays_one(client: ElectionClient, raw: RawEtcd) -> None:
    terms: list[Leadership] = []

    async def block() -> None:
        async with client.lead("v") as leadership:
            terms.append(leadership)
            await for_ever()

    task = asyncio.create_task(block())
    await until(lambda: terms)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert raw.get(terms[0].key) is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="cancels are not counted")
async def test_a_cancel_from_outside_is_not_eaten_by_a_loss(client: ElectionClient) -> None:
    terms: list[Leadership] = []
    counted: list[int] = []

    async def block() -> None:
        try:
            async with client.lead("v") as leadership:
                terms.append(leadership)
                await for_ever()
        finally:
            if sys.version_info >= (3, 11):
                counted.append(task.cancelling())

    task = asyncio.create_task(block())
    await until(lambda: terms)
    # Both in one turn of the loop: resigned by another task, and cancelled.
    resigning = asyncio.create_task(terms[0].resign())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Whoever cancelled it finds its own cancel counted, and no other.
    assert counted == [1]
    await resigning


async def test_a_timeout_around_the_block_stays_one(client: ElectionClient) -> None:
    async def block() -> None:
        async with client.lead("v"):
            await for_ever()

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(block(), 0.5)


async def test_an_exception_of_the_block_that_was_cancelled_comes_first(
    client: ElectionClient, raw: RawEtcd
) -> None:
    async def block() -> None:
        async with client.lead("v") as leadership:
            raw.delete(leadership.key)
            try:
                await for_ever()
            finally:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await block()


async def test_a_block_that_resigns_is_not_cancelled(client: ElectionClient) -> None:
    told = asyncio.Event()
    async with client.lead("v") as leadership:
        # Told after whoever would cancel the block, and a cancel would end the wait for it.
        leadership.on_lost(lambda _: told.set())
        await leadership.resign()
        await told.wait()
        await asyncio.sleep(0)
    assert leadership.lost is LostReason.RESIGNED


async def test_a_block_whose_leadership_another_task_gives_up_is_cancelled(
    client: ElectionClient,
) -> None:
    async def block() -> None:
        async with client.lead("v"):
            resigning.append(asyncio.create_task(client.resign()))
            await for_ever()

    resigning: list[asyncio.Task[None]] = []
    with pytest.raises(NotLeader) as caught:
        await block()
    assert caught.value.reason is LostReason.RESIGNED
    await resigning[0]


async def test_a_loss_cancels_the_work_and_waits_for_its_end(
    make_client: MakeClient, raw: RawEtcd
) -> None:
    client, rival = make_client(), make_client()
    may_end = asyncio.Event()
    ending = asyncio.Event()
    terms: list[Leadership] = []

    async def lead(leadership: Leadership) -> str:
        terms.append(leadership)
        if len(terms) == 2:
            return "done"
        raw.delete(leadership.key)
        try:
            await for_ever()
        finally:
            ending.set()
            # Clean-up may take its time; nobody cancels it again.
            await may_end.wait()
        return "never"

    running = asyncio.create_task(client.run(lead, "v"))
    await ending.wait()
    async with await rival.campaign("rival", timeout=10):
        assert [entry.text for entry in await rival.candidates()] == ["rival"]
    may_end.set()
    assert await running == "done"
    assert terms[1].token > terms[0].token


async def test_work_that_takes_no_notice_of_its_cancel_is_waited_for(
    client: ElectionClient, raw: RawEtcd
) -> None:
    terms: list[Leadership] = []

    async def lead(leadership: Leadership) -> str:
        terms.append(leadership)
        if len(terms) == 1:
            raw.delete(leadership.key)
            try:
                await for_ever()
            except asyncio.CancelledError:
                assert leadership.lost is LostReason.KEY_DELETED
            return "of a leader no more"
        return "done"

    assert await client.run(lead, "v") == "done"


async def test_cancelling_the_loop_cancels_the_work_and_resigns(
    client: ElectionClient, raw: RawEtcd
) -> None:
    terms: list[Leadership] = []
    held_at_the_end: list[bool] = []

    async def lead(leadership: Leadership) -> None:
        terms.append(leadership)
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            held_at_the_end.append(leadership.held)

    running = asyncio.create_task(client.run(lead, "v"))
    await until(lambda: terms)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # It led to its end, and the key went when it was over.
    assert held_at_the_end == [True]
    assert raw.get(terms[0].key) is None
    # The client is as good as new.
    assert await client.run(_value, "again") == b"again"


async def _value(leadership: Leadership) -> bytes:
    return leadership.value


async def test_cancelling_the_loop_twice_leaves_nothing(
    client: ElectionClient, raw: RawEtcd
) -> None:
    terms: list[Leadership] = []

    async def lead(leadership: Leadership) -> None:
        terms.append(leadership)
        await for_ever()

    running = asyncio.create_task(client.run(lead, "v"))
    await until(lambda: terms)
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert raw.get(terms[0].key) is None


async def test_work_that_cancels_itself_ends_the_loop(client: ElectionClient, raw: RawEtcd) -> None:
    terms: list[Leadership] = []

    async def lead(leadership: Leadership) -> None:
        terms.append(leadership)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await client.run(lead, "v")
    assert raw.get(terms[0].key) is None


async def test_stopping_cancels_the_work_and_holds_the_key_to_its_end(
    client: ElectionClient, raw: RawEtcd
) -> None:
    may_end = asyncio.Event()
    ending = asyncio.Event()
    terms: list[Leadership] = []

    async def lead(leadership: Leadership) -> None:
        terms.append(leadership)
        try:
            await for_ever()
        finally:
            ending.set()
            await may_end.wait()

    running = asyncio.create_task(client.run(lead, "v"))
    await until(lambda: terms)
    assert client.stop()
    await ending.wait()
    assert not terms[0].held
    assert raw.get(terms[0].key) is not None
    may_end.set()
    assert await running is None
    assert raw.get(terms[0].key) is None


async def test_a_plain_function_is_no_work_of_a_leader(client: ElectionClient) -> None:
    with pytest.raises(TypeError, match="async def"):
        await client.run(lambda _: None, "v")  # type: ignore[arg-type, return-value]
    assert client.leadership is None
