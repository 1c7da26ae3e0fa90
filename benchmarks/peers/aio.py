"""The works of a peer in asyncio, and the loop in which it is told what to do."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Protocol

from . import PATIENCE
from .laps import Laps, Samples


class Candidate(Protocol):
    """One that takes part again and again, on one lease where it can."""

    async def campaign(self) -> None:
        """Waits until elected."""
        ...

    async def resign(self) -> None:
        """Gives it up."""
        ...

    async def proclaim(self, value: str) -> None:
        """Replaces its value."""
        ...

    async def leader(self) -> None:
        """Asks who leads."""
        ...


class Way(Protocol):
    """How a peer does things."""

    async def candidate(self, via: str) -> Candidate:
        """A candidate on the connection that all share."""
        ...

    async def once(self, via: str) -> None:
        """A lease, a campaign, and the end of both, on the connection that all share."""
        ...

    async def fresh(self, via: str) -> None:
        """The same on a connection of its own, which is closed."""
        ...

    async def standing(self) -> int:
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

    async def campaign(self, via: str, count: int, _: float) -> Samples:
        """Wins an election that nobody leads, and gives it up."""
        candidate, _other = await self._both(via)
        laps = Laps(self._with_grpc)
        for _ in range(count):
            await candidate.campaign()
            laps.end("campaign")
            await candidate.resign()
            laps.end("resign")
        return laps.took

    async def session(self, via: str, count: int, _: float) -> Samples:
        """The same with a lease of its own."""
        laps = Laps(self._with_grpc)
        for _ in range(count):
            await self._way.once(via)
            laps.end("session")
        return laps.took

    async def connection(self, via: str, count: int, _: float) -> Samples:
        """The same on a connection of its own."""
        laps = Laps(self._with_grpc)
        for _ in range(count):
            await self._way.fresh(via)
            laps.end("connection")
        return laps.took

    async def handover(self, via: str, count: int, age: float) -> Samples:
        """Resigns while a second candidate has been waiting for so long."""
        first, second = await self._both(via)
        took: Samples = defaultdict(list)

        async def wait() -> float:
            await second.campaign()
            return perf_counter()

        for _ in range(count):
            await first.campaign()
            waiting = asyncio.create_task(wait())
            while await self._way.standing() < 2:  # noqa: PLR2004
                pass
            await asyncio.sleep(age)
            began = perf_counter()
            await first.resign()
            took["handover"].append(await asyncio.wait_for(waiting, PATIENCE) - began)
            await second.resign()
        return took

    async def lead(self, via: str, count: int, _: float) -> Samples:
        """Proclaims, and asks who leads."""
        candidate, _other = await self._both(via)
        await candidate.campaign()
        laps = Laps(self._with_grpc)
        for number in range(count):
            await candidate.proclaim(f"value {number}")
            laps.end("proclaim")
            await candidate.leader()
            laps.end("leader")
        await candidate.resign()
        return laps.took

    async def _both(self, via: str) -> tuple[Candidate, Candidate]:
        if via not in self._candidates:
            first, second = await self._way.candidate(via), await self._way.candidate(via)
            self._candidates[via] = (first, second)
        return self._candidates[via]


async def serve(
    make: Callable[[], Awaitable[Way]], with_grpc: Callable[[], float] | None = None
) -> None:
    """Does what is asked for on stdin, to its end."""
    works = Works(await make(), with_grpc)
    print("{}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        work, via, count, age = line.split()
        took: Samples = await getattr(works, work)(via, int(count), float(age))
        print(json.dumps(took), flush=True)
