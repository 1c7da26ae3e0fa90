"""Leading term after term, or for one block: what ``run()`` and ``lead()`` do."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import errors
from .._core import timing
from .._core.leadership import OURS
from .._core.looping import After, Conditions, Loop
from ..types import LostReason
from .leadership import Leadership
from .waiting import CleanUp, settled_by

if TYPE_CHECKING:
    from .client import ElectionClient

logger = logging.getLogger("etcd_election")

T = TypeVar("T")


class _Cancelling:
    """Cancels a task when a leadership ends, unless the task itself gives it up."""

    def __init__(self, leadership: Leadership, task: asyncio.Task[Any]) -> None:
        self._leadership = leadership
        self._task = task
        self._over = False
        self._cancelled = False
        self._before = _cancels(task)
        self._remove = leadership._state.when_ended(self._ended)

    def over(self) -> bool:
        """It cancels no more; True if it has, and nobody else has since it began."""
        self._remove()
        self._over = True
        cancelled, self._cancelled = self._cancelled, False
        if cancelled and sys.version_info >= (3, 11):
            # Once: the cancels of others stay counted.
            self._task.uncancel()
        return cancelled and _cancels(self._task) <= self._before

    def _ended(self) -> None:
        try:
            here = asyncio.current_task()
        except RuntimeError:
            # Noticed on another thread.
            here = None
        if here is not self._task or self._leadership.lost not in OURS:
            self._leadership._engine.later(self._cancel)

    def _cancel(self) -> None:
        if not self._over:
            self._cancelled = self._task.cancel()


def _cancels(task: asyncio.Task[Any]) -> int:
    """How often it was cancelled; Python 3.10 does not count."""
    if sys.version_info >= (3, 11):
        return task.cancelling()
    return 0


@contextlib.asynccontextmanager
async def one_term(
    client: ElectionClient, value: str | bytes, timeout: float | None, conditions: Conditions
) -> AsyncGenerator[Leadership, None]:
    """Leads for the time of a block; a loss cancels that, and the reason is raised."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that awaits grpc.aio runs in a task
    async with await client.campaign(value, timeout=timeout) as leadership:
        conditions.bind(leadership._state)
        cancelling = _Cancelling(leadership, task)
        try:
            yield leadership
        except asyncio.CancelledError:
            if cancelling.over():
                leadership.check()
            raise
        finally:
            cancelling.over()
        lost = leadership.lost
    if lost is not None and lost not in OURS:
        leadership.check()


class Run:
    """One ``run()``."""

    def __init__(
        self, client: ElectionClient, *, once: bool, cooldown: float, conditions: Conditions
    ) -> None:
        self._client = client
        self._conditions = conditions
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = Loop(
            client._link,
            ttl=client._member.terms.ttl,
            once=once,
            cooldown=cooldown,
            wake=self._wake,
        )

    async def run(self, lead: Callable[[Leadership], Awaitable[T]], value: str | bytes) -> T | None:
        """Until ``lead`` returns while leading, or an error, or ``stop()``."""
        loop = self._loop
        with self._client._member.looping(loop):
            while not loop.stopping:
                leadership = await self._elected(value)
                if leadership is None:
                    continue
                self._conditions.bind(leadership._state)
                result, lost = await self._lead(lead, leadership)
                if loop.stopping:
                    break
                after = loop.after(leadership._state, lost)
                if after is After.RESULT:
                    return result
                if after is After.LOSS:
                    leadership.check()
                await self._pause()
        return None

    async def _elected(self, value: str | bytes) -> Leadership | None:
        """Campaigns; None: in vain, look around and try again."""
        try:
            return await self._client.campaign(value)
        except errors.ElectionError as error:
            if self._loop.stopping:
                return None
            if not self._loop.failed(error):
                raise
        await self._pause()
        return None

    async def _lead(
        self, lead: Callable[[Leadership], Awaitable[T]], leadership: Leadership
    ) -> tuple[T | None, LostReason | None]:
        """One term: what ``lead`` returned, and why leadership was lost before it was over."""
        self._loop.began()
        work: asyncio.Task[T] = asyncio.get_running_loop().create_task(_work(lead, leadership))
        cancelling = _Cancelling(leadership, work)
        cancelled: asyncio.CancelledError | None = None
        # Stopped since the win was published: nobody else will end this leadership.
        if self._loop.stopping:
            work.cancel()
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
                work.cancel()
        cancelling.over()
        lost = leadership.lost
        await self._resign(leadership)
        if not work.cancelled():
            failed = work.exception()
            if failed is not None and not self._loop.is_loss(failed, leadership):
                raise failed
        if cancelled is not None:
            raise cancelled
        if work.cancelled() and lost is None and not self._loop.stopping:
            raise asyncio.CancelledError
        over = work.cancelled() or work.exception() is not None
        return None if over else work.result(), lost

    async def _resign(self, leadership: Leadership) -> None:
        clean_up = CleanUp()
        resigning = asyncio.ensure_future(leadership.resign())
        # It has this deadline itself; what is on top lets it say what came of it.
        await clean_up.settled(resigning, self._client._link.timeout + timing.CLEANUP)
        resigning.cancel()
        if resigning.done() and not resigning.cancelled():
            try:
                resigning.result()
            except errors.ElectionError as failed:
                # The key goes with its lease; what came of the work matters more.
                logger.warning("resigning from %r failed: %s", leadership.name, failed)
        clean_up.over()

    async def _pause(self) -> None:
        link = self._client._link
        if not self._loop.stopping:
            await settled_by(link, self._woken, link.clock() + self._loop.delay)

    def _wake(self) -> None:
        machinery = self._client._etcd._machinery
        if machinery is not None:
            machinery.engine.later(self._woke)

    def _woke(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)
        self._client._member.stop_believing()


async def _work(lead: Callable[[Leadership], Awaitable[T]], leadership: Leadership) -> T:
    working = lead(leadership)
    if not inspect.isawaitable(working):
        raise TypeError("lead must be a coroutine function: write async def")
    return await working
