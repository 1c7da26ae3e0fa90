"""An event loop on a thread of its own, and what must be true of it when a test is over.

Guaranteed: `call` carries something out on the loop and waits for its end, on any thread and in a
signal handler. An exception that a signal handler raises while it waits (Ctrl-C) cancels what was
called; it comes through when that has ended. Nothing of what was called, its result neither, is
kept alive afterwards.

Not guaranteed: anything for a process that forks while the loop is at work. The child gets a loop
of its own at its first `call`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from .waiting import eventually


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The kind of loop that $EVENT_LOOP names: asyncio (as without it) or uvloop."""
    kind = os.environ.get("EVENT_LOOP") or "asyncio"
    if kind == "asyncio":
        return asyncio.new_event_loop()
    if kind == "uvloop":
        # Not everywhere, and not needed by default.
        loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
        return loop
    raise ValueError(f"EVENT_LOOP={kind}: asyncio or uvloop")


class _Call:
    """One call and its end. All but `wait` runs on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
        self._loop = loop
        self._function = function
        self._task: asyncio.Task[None] | None = None
        self._outcome: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def start(self) -> None:
        self._task = self._loop.create_task(self._run())

    def cancel(self, ended: Callable[[], None]) -> None:
        """Calls `ended` when nothing of it runs any more."""
        task = self._task
        if task is None:
            ended()
            return
        task.add_done_callback(lambda _: ended())
        task.cancel()

    def wait(self) -> Any:
        result, error = self._outcome.get()
        if error is None:
            return result
        try:
            raise error
        finally:
            # The traceback holds this frame, and so everything would hold itself.
            del error

    async def _run(self) -> None:
        try:
            result = self._function()
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:  # noqa: BLE001 - raised again where the caller waits
            self._outcome.put((None, error))
        else:
            self._outcome.put((result, None))


class LoopThread:
    """Runs an event loop from the first `call` on, for as long as the process lasts, or `close`.

    Args:
        make: Makes the loop.
    """

    def __init__(self, make: Callable[[], asyncio.AbstractEventLoop] = new_event_loop) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._complaints: list[str] = []

    def call(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Calls the function on the loop, awaits what it returns if it can be, and waits for that.

        Returns, or raises, what comes of it. On the loop's own thread (in a callback), where to
        wait would be for ever, the function must be a plain one.
        """
        loop = self._running()
        todo = partial(function, *args, **named)
        if threading.current_thread() is self._thread:
            result = todo()
            if inspect.iscoroutine(result):
                result.close()
                raise RuntimeError("a blocking call on the event loop's own thread")
            return result
        call = _Call(loop, todo)
        try:
            loop.call_soon_threadsafe(call.start)
            return call.wait()
        except KeyboardInterrupt:
            ended: SimpleQueue[None] = SimpleQueue()
            loop.call_soon_threadsafe(call.cancel, partial(ended.put, None))
            ended.get()
            raise

    def check(self, patience: float) -> None:
        """Fails if something was left on the loop, or was handed to its exception handler.

        Args:
            patience: Seconds for tasks to end.

        Raises:
            AssertionError: Says what.
        """
        if self._loop is None:
            return
        # What nobody awaited, or nobody asked for its error, complains when it is collected.
        gc.collect()
        eventually(
            lambda: not self.call(_others), patience, lambda: f"tasks left: {self.call(_others)}"
        )
        complaints, self._complaints = self._complaints, []
        assert not complaints, f"handed to the event loop's exception handler: {complaints}"

    def close(self) -> None:
        """Ends the loop and its thread. Idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or self._process != os.getpid():
            return
        self._loop = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        # Without the lock: this may be a signal handler, over a thread that holds it.
        loop = self._loop
        if loop is not None and self._process == os.getpid():
            return loop
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._process = os.getpid()
                self._loop = self._make()
                self._loop.set_exception_handler(self._complain)
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="test-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # As text: the objects would be kept alive.
        self._complaints.append(repr(context))


async def _others() -> list[str]:
    """The tasks on this loop that have not ended, but this one."""
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
