"""In a candidate process: asks `held` every few milliseconds and writes down what it hears.

Written are only instants at which the answer was surely True: from just *after* the first such
answer to just *before* the question that got the last one. So a process that is stopped between
question and answer is not made to believe for longer than it did.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .log import Log

PERIOD = 0.003
"""Seconds between two questions."""
NOTE = 0.02
"""Seconds between two lines about a belief that goes on: a kill hides no more than this."""
USAGE = 0.5
"""Seconds between two counts of threads and descriptors."""

TASKS = Path("/proc/self/task")
DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True)
class Belief:
    """Whom to ask."""

    token: int
    held: Callable[[], bool]
    remaining: Callable[[], float]


class Sampler:
    """Asks on a thread of its own until the process ends.

    Attributes:
        belief: Assign what is to be asked from now on.
    """

    def __init__(self, log: Log) -> None:
        self.belief: Belief | None = None
        self._log = log
        self._never = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        usage_at = 0.0
        asked: Belief | None = None
        while not self._never.wait(PERIOD):
            belief = self.belief
            if belief is not None and belief is not asked:
                self._follow(belief)
                asked = belief
            if time.monotonic() >= usage_at:
                usage_at = time.monotonic() + USAGE
                self.usage()

    def _follow(self, belief: Belief) -> None:
        """Asks until the answer is False, which is final."""
        first: float | None = None
        last = noted = deadline = 0.0
        while True:
            asked_at = time.monotonic()
            held = belief.held()
            if not held:
                break
            last = asked_at
            if first is None:
                first = time.monotonic()
            if asked_at - noted >= NOTE:
                noted = asked_at
                remaining = belief.remaining()
                # What the deadline was moved by is a renewal; when it was sent follows from it.
                moved = remaining and asked_at + remaining > deadline + 0.05
                deadline = asked_at + remaining if moved else deadline
                self._note(belief, first, last, remaining if moved else None, asked_at)
            self._never.wait(PERIOD)
        if first is not None:
            self._note(belief, first, last, None, last)
        self._log.write("unbelieved", token=belief.token)

    def _note(
        self, belief: Belief, first: float, last: float, remaining: float | None, at: float
    ) -> None:
        more = {} if remaining is None else {"deadline": at + remaining}
        self._log.write("belief", token=belief.token, first=first, last=last, **more)
        if remaining is not None:
            self.usage()

    def usage(self) -> None:
        """Counts what must not grow."""
        if TASKS.is_dir():
            self._log.write(
                "usage",
                threads=threading.active_count(),
                tasks=len(os.listdir(TASKS)),  # noqa: PTH208 - counted, not looked at
                fds=len(os.listdir(DESCRIPTORS)),  # noqa: PTH208
            )
