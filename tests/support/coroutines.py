"""Runs a test that is a coroutine function, in an event loop of its own.

Guaranteed, once the test and all that it left to `after` are over: no task is left in the loop,
nothing was handed to its exception handler, no coroutine was left un-awaited. The loop then ends as
that of `asyncio.run` does.

A test that failed is not asked for more: what it left is cancelled.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from .loop_thread import new_event_loop

T = TypeVar("T")


def run(test: Callable[[], Coroutine[Any, Any, None]], after: AsyncExitStack) -> None:
    """Runs the test, then closes the stack in the same loop, then looks at what is left.

    Raises:
        AssertionError: Something was left, or went wrong where nobody could be told.
    """
    complaints: list[str] = []
    loop = new_event_loop()
    # As text: the objects would be kept alive.
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    try:
        loop.run_until_complete(_all_of(test, after))
        # What nobody awaited, or nobody asked for its error, complains when it is collected.
        gc.collect()
        left = [repr(task) for task in asyncio.all_tasks(loop)]
        assert not left, f"tasks left: {left}"
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.run_until_complete(_end_others())
        loop.close()
    assert not complaints, f"handed to the event loop's exception handler: {complaints}"


async def _all_of(test: Callable[[], Coroutine[Any, Any, None]], after: AsyncExitStack) -> None:
    async with after:
        await test()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def cancelled_at_the_news(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that is cancelled as soon as the first future that it makes is done.

    This is the narrowest of races: what it waited for has come, but it has not heard of it.
    """
    loop = asyncio.get_running_loop()
    create = loop.create_future

    def create_and_watch() -> asyncio.Future[Any]:
        future = create()
        if asyncio.current_task() is task:
            loop.create_future = create  # type: ignore[method-assign]
            # Before the task adds its own.
            future.add_done_callback(lambda _: task.cancel())
        return future

    loop.create_future = create_and_watch  # type: ignore[method-assign]
    task = loop.create_task(coroutine)
    return task


async def until(
    predicate: Callable[[], T | Awaitable[T]],
    timeout: float = 15.0,
    message: str | Callable[[], str] = "the condition did not come true",
) -> T:
    """As `eventually`, and the loop goes on meanwhile; what the predicate returns may be awaited.

    Raises:
        AssertionError: The time is up.
    """
    deadline = time.monotonic() + timeout
    while True:
        out_of_time = time.monotonic() >= deadline
        asked: Any = predicate()
        answer: T = await asked if isinstance(asked, Awaitable) else asked
        if answer:
            return answer
        if out_of_time:
            text = message if isinstance(message, str) else message()
            raise AssertionError(f"{text} (waited {timeout:g} s, last answer {answer!r})")
        await asyncio.sleep(0.005)
