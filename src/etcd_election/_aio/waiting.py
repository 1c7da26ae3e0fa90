"""Waiting that leaves what it waits for alone, and clean-up that a cancel does not end at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from .._core.link import Link


async def settled(future: asyncio.Future[Any], seconds: float | None) -> bool:
    """Waits for a future that others wait for too: a cancel does not go through to it.

    Returns:
        True if it is done, False if the time was not enough.
    """
    await asyncio.wait([future], timeout=seconds)
    return future.done()


async def settled_by(link: Link, future: asyncio.Future[Any], instant: float) -> bool:
    """The same, until an instant of the link's clock, which may jump."""
    loop = future.get_loop()
    while not future.done() and (left := instant - link.clock()) > 0:
        jumped: asyncio.Future[None] = loop.create_future()

        def wake(jumped: asyncio.Future[None] = jumped) -> None:
            # RuntimeError: the loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, jumped)

        forget = link.jumps.add(wake)
        try:
            await asyncio.wait([future, jumped], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            forget()
    return future.done()


def settle(future: asyncio.Future[None]) -> None:
    """Ends the wait for a future; nothing if that has ended."""
    if not future.done():
        future.set_result(None)


class CleanUp:
    """Waits through cancels, each for a bounded time; ``over`` raises what was held back.

    ``asyncio.shield`` does not do: the end of ``asyncio.run`` cancels what it shields, too.
    """

    def __init__(self) -> None:
        self._held_back: asyncio.CancelledError | None = None

    async def settled(self, future: asyncio.Future[Any], seconds: float) -> bool:
        """Waits for a future; True if it is done, False if the time was not enough."""
        ends_at = future.get_loop().time() + seconds
        while True:
            left = max(0.0, ends_at - future.get_loop().time())
            try:
                return await settled(future, left)
            except asyncio.CancelledError as cancelled:
                self._held_back = cancelled

    def over(self) -> None:
        """Raises the last cancel that came meanwhile."""
        if self._held_back is not None:
            raise self._held_back
