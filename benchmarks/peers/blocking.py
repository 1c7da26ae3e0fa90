"""The works of a peer that blocks, and the loop in which it is told what to do."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from . import PATIENCE
from .laps import Laps, Samples

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
    """What a peer is asked for; every work returns seconds by step.

    Args:
        way: How it does things.
        with_grpc: Tells how long its calls have been with gRPC so far, if that is to be measured.
    """

    def __init__(self, way: Way, with_grpc: Callable[[], float] | None) -> None:
        self._way = way
        self._with_grpc = with_grpc
        self._candidates: dict[str, tuple[Candidate, Candidate]] = {}

    def campaign(self, via: str, count: int, _: float) -> Samples:
        """Wins an election that nobody leads, and gives it up."""
        candidate, _other = self._both(via)
        laps = Laps(self._with_grpc)
        for _ in range(count):
            candidate.campaign()
            laps.end("campaign")
            candidate.resign()
            laps.end("resign")
        return laps.took

    def session(self, via: str, count: int, _: float) -> Samples:
        """The same with a lease of its own."""
        laps = Laps(self._with_grpc)
        for _ in range(count):
            self._way.once(via)
            laps.end("session")
        return laps.took

    def connection(self, via: str, count: int, _: float) -> Samples:
        """The same on a connection of its own."""
        laps = Laps(self._with_grpc)
        for _ in range(count):
            self._way.fresh(via)
            laps.end("connection")
        return laps.took

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
        candidate.campaign()
        laps = Laps(self._with_grpc)
        for number in range(count):
            candidate.proclaim(f"value {number}")
            laps.end("proclaim")
            candidate.leader()
            laps.end("leader")
        candidate.resign()
        return laps.took

    def _both(self, via: str) -> tuple[Candidate, Candidate]:
        if via not in self._candidates:
            self._candidates[via] = (self._way.candidate(via), self._way.candidate(via))
        return self._candidates[via]


def serve(way: Way, with_grpc: Callable[[], float] | None = None) -> None:
    """Does what is asked for on stdin, to its end."""
    works = Works(way, with_grpc)
    print("{}", flush=True)
    for line in sys.stdin:
        work, via, count, age = line.split()
        took: Samples = getattr(works, work)(via, int(count), float(age))
        print(json.dumps(took), flush=True)
