"""What a callback for events was told, and what a lease that is renewed looks like meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from etcd_election import Event, Leadership

from .waiting import eventually

E = TypeVar("E", bound=Event)

PATIENCE = 15.0


class Told:
    """What a callback was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.threads: set[threading.Thread] = set()

    def hear(self, event: Event) -> None:
        self.threads.add(threading.current_thread())
        self.events.append(event)

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        """Waits for the one event of this kind."""
        eventually(lambda: self.all(kind), PATIENCE, lambda: f"no {kind}: {self.events}")
        (event,) = self.all(kind)
        return event


def renewals(leadership: Leadership, wanted: int) -> Callable[[], bool]:
    """For `eventually`: true once so many renewals have been seen."""
    last, count = leadership.remaining, 0

    def seen() -> bool:
        nonlocal last, count
        now = leadership.remaining
        count += now > last
        last = now
        return count >= wanted

    return seen
