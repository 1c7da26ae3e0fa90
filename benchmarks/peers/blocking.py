"""The works of a peer that blocks, and the loop in which it is told what to do."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections import defaultdict
from time import perf_counter
from typing import Protocol

from . import PATIENCE

Samples = dict[str, list[float]]

_never = threading.Event()


class Candidate(Protocol):
    """One that takes part again and again, on one lease."""

    def campaign(self) -> None:
        """Waits until elected."""
        ...

    def resign(self) -> None:
        """Gives it up."""
        ...

    def proclaim(self, value: str) -> None:
        """Replaces its value."""
        ...

    def leader(self) -> None:
        """Asks who leads."""
        ...


class Way(Protocol):
    """How a peer does things."""

    def candidate(self, via: str) -> Candidate:
        """A candidate on the connection that all share."""
        ...

    def once(self, via: str) -> None:
        """A lease, a campaign, and the end of both, on the connection that all share."""
        ...

    def fresh(self, via: str) -> None:
        """The same on a connection of its own, which is closed."""
        ...

    def standing(self) -> int:
        """How many candidates' keys there are."""
        ...


class Works:
    """What a peer is asked for; every work returns seconds by step."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._candidates: dict[str, tuple[Candidate, Candidate]] = {}

    def campaign(self, via: str, count: int, _: float) -> Samples:
        """Wins an election that nobody leads, and gives it up."""
        candidate, _other = self._both(via)
        took: Samples = defaultdict(list)
        for _ in range(count):
            began = perf_counter()
            candidate.campaign()
            won = perf_counter()
            candidate.resign()
            took["resign"].append(perf_counter() - won)
            took["campaign"].append(won - began)
        return took

    def session(self, via: str, count: int, _: float) -> Samples:
        """The same with a lease of its own."""
        took: Samples = defaultdict(list)
        for _ in range(count):
            began = perf_counter()
            self._way.once(via)
            took["session"].append(perf_counter() - began)
        return took

    def connection(self, via: str, count: int, _: float) -> Samples:
        """The same on a connection of its own."""
        took: Samples = defaultdict(list)
        for _ in range(count):
            began = perf_counter()
            self._way.fresh(via)
            took["connection"].append(perf_counter() - began)
        return took

    def handover(self, via: str, count: int, age: float) -> Samples:
        """Resigns while a second candidate has been waiting for so long."""
        first, second = self._both(via)
        took: Samples = defaultdict(list)
        for _ in range(count):
            first.campaign()
            elected: queue.SimpleQueue[float] = queue.SimpleQueue()

            def wait(tell: queue.SimpleQueue[float] = elected) -> None:
                second.campaign()
                tell.put(perf_counter())

            threading.Thread(target=wait, daemon=True).start()
            while self._way.standing() < 2:  # noqa: PLR2004
                pass
            _never.wait(age)
            began = perf_counter()
            first.resign()
            took["handover"].append(elected.get(timeout=PATIENCE) - began)
            second.resign()
        return took

    def lead(self, via: str, count: int, _: float) -> Samples:
        """Proclaims, and asks who leads."""
        candidate, _other = self._both(via)
        took: Samples = defaultdict(list)
        candidate.campaign()
        for number in range(count):
            began = perf_counter()
            candidate.proclaim(f"value {number}")
            proclaimed = perf_counter()
            candidate.leader()
            took["leader"].append(perf_counter() - proclaimed)
            took["proclaim"].append(proclaimed - began)
        candidate.resign()
        return took

    def _both(self, via: str) -> tuple[Candidate, Candidate]:
        if via not in self._candidates:
            self._candidates[via] = (self._way.candidate(via), self._way.candidate(via))
        return self._candidates[via]


def serve(way: Way) -> None:
    """Does what is asked for on stdin, to its end."""
    works = Works(way)
    print("{}", flush=True)
    for line in sys.stdin:
        work, via, count, age = line.split()
        took: Samples = getattr(works, work)(via, int(count), float(age))
        print(json.dumps(took), flush=True)
