"""Waiting for a condition: the one place of the tests where a poll is allowed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T],
    timeout: float = 5.0,
    message: str | Callable[[], str] = "the condition did not come true",
    *,
    interval: float = 0.01,
) -> T:
    """Asks until the answer is true in the sense of `bool`.

    Args:
        predicate: Asked at once, and once more when the time is up; what it raises comes through.
        timeout: Seconds.
        message: What was waited for; a function is called only on failure.
        interval: Seconds between two questions.

    Returns:
        The predicate's first true answer.

    Raises:
        AssertionError: The time is up.
    """
    never = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        # Looked at before the question, so that the last question is asked after the deadline.
        out_of_time = time.monotonic() >= deadline
        answer = predicate()
        if answer:
            return answer
        if out_of_time:
            text = message if isinstance(message, str) else message()
            raise AssertionError(f"{text} (waited {timeout:g} s, last answer {answer!r})")
        never.wait(interval)


def lasting(predicate: Callable[[], object], seconds: float) -> Callable[[], bool]:
    """For `eventually`: a condition that is true once the predicate has been for so long."""
    since: float | None = None

    def lasts() -> bool:
        nonlocal since
        if not predicate():
            since = None
            return False
        now = time.monotonic()
        since = now if since is None else since
        return now - since >= seconds

    return lasts
