"""A crowd in asyncio: one event loop, one `Etcd`. `python -m benchmarks.crowds.aio ENDPOINT`."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from typing import Any

from etcd_election import ElectionError
from etcd_election.aio import ElectionClient, Etcd, Leadership, Observer

from .beats import Beats

CALM_THRESHOLD = 100_000
SETTLED = 0.15
"""Seconds after which a waiter hears at once."""


def calm() -> None:
    """Has Python's collector leave alone what is there, and look at the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(CALM_THRESHOLD, 50, 100)


class Crowd:
    """Clients of one `Etcd`."""

    def __init__(self, endpoint: str) -> None:
        self._clients: list[ElectionClient] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._observers: list[Observer[Any]] = []
        self._elected: list[tuple[int, float]] = []
        self._errors: list[str] = []
        self._waiting: set[int] = set()
        self._wins: asyncio.Queue[tuple[int, Leadership, float]] = asyncio.Queue()
        self._beats = Beats()
        self._etcd = Etcd(endpoint)

    async def join(self, names: list[str], ttl: int, via: str) -> None:
        """One more client and campaign for each name; a name may come again and again."""
        for name in names:
            self._clients.append(ElectionClient(self._etcd, name, ttl=ttl, via=via))
            self._begin(len(self._clients) - 1)

    def _begin(self, number: int) -> None:
        self._waiting.add(number)
        task = asyncio.create_task(self._campaign(number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _campaign(self, number: int) -> None:
        try:
            leadership = await self._clients[number].campaign("value")
        except ElectionError as error:
            self._errors.append(repr(error))
            return
        finally:
            self._waiting.discard(number)
        at = time.monotonic()
        self._elected.append((number, at))
        self._wins.put_nowait((number, leadership, at))

    async def elected(self) -> list[tuple[int, float]]:
        """Who has been elected, by number, and when."""
        return self._elected

    async def waiting(self) -> list[int]:
        """Who still campaigns, by number."""
        return sorted(self._waiting)

    async def errors(self) -> list[str]:
        """What campaigns have raised."""
        return self._errors

    async def hand_over(self, count: int) -> list[float]:
        """The leader resigns and the next one is elected, so many times: seconds each.

        Who resigned goes to the end of the queue, and stands there when the next one resigns.
        """
        took = []
        number, leadership, at = await self._wins.get()
        for _ in range(count):
            began = time.monotonic()
            await leadership.resign()
            resigned = number
            number, leadership, at = await self._wins.get()
            took.append(at - began)
            self._begin(resigned)
            await asyncio.sleep(SETTLED)
        self._wins.put_nowait((number, leadership, at))
        return took

    async def observe(self, names: list[str]) -> int:
        """Follows so many elections, of which each has a leader; returns how many were seen."""
        for name in names:
            client = ElectionClient(self._etcd, name, via="kv")
            self._clients.append(client)
            self._observers.append(client.observe())
        seen = await asyncio.gather(*(observer.next() for observer in self._observers))
        return len(seen)

    async def terms(self, count: int, name: str, ttl: int, via: str) -> None:
        """Leads so many times, one after the other, always with the client of the first time."""
        if not self._clients:
            self._clients.append(ElectionClient(self._etcd, name, ttl=ttl, via=via))
        for _ in range(count):
            async with await self._clients[0].campaign("value"):
                pass

    async def cpu(self) -> float:
        """Seconds of processor time so far."""
        return time.process_time()

    async def calm(self) -> None:
        """Does what the page advises for thousands of clients."""
        calm()

    async def latest_beat(self) -> float:
        """The longest time between two renewals of a lease since the last question, in seconds."""
        return self._beats.latest()

    async def close(self) -> float:
        """Ends all of them, and all that they have in etcd; seconds."""
        began = time.monotonic()
        await self._etcd.close()
        return time.monotonic() - began


async def serve(crowd: Any) -> None:
    """Does what stdin says, to its end, and then ends the process as it stands."""
    print("{}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, arguments = json.loads(line)
        print(json.dumps(await getattr(crowd, name)(**arguments)), flush=True)
    os._exit(0)


async def main(endpoint: str) -> None:
    await serve(Crowd(endpoint))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
