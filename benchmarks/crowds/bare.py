"""A crowd on bare stubs that does what etcd was seen to be asked for, and nothing else.

Every candidate has a lease, a key, a watch on its own key and one on the key before it, and at
every beat a renewal and a read of the queue. It decides nothing, notices nothing and repeats
nothing: the processor time that the library takes is to be compared with this.
`python -m benchmarks.crowds.bare ENDPOINT`.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from etcd_election.pb import rpc_pb2

from ..peers import requests
from ..peers.raw_aio import Stubs
from .aio import calm, serve

AT_ONCE = 16
"""Calls under way while joining."""


class Crowd:
    """Candidates on one channel."""

    def __init__(self, endpoint: str) -> None:
        self._stubs = Stubs(endpoint)
        self._places: list[requests.Place] = []
        self._watching: Any = None
        self._renewing: Any = None
        self._keep_alive: Callable[..., Awaitable[Any]] = self._stubs.channel.unary_unary(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, names: list[str], ttl: int, watched: list[str]) -> None:
        """One candidate for each name; the key before it is among those watched."""
        self._watching = self._stubs.watch.Watch()
        self._begin(self._read(self._watching))
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._join(gate, name, ttl) for name in names))
        keys = [place.key for place in self._places] + [key.encode() for key in watched]
        for number, key in enumerate(keys, 1):
            await self._watching.write(requests.watch(key, number))

    async def _join(self, gate: asyncio.Semaphore, name: str, ttl: int) -> None:
        async with gate:
            granted = await self._stubs.lease.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=ttl))
            place = requests.Place(name.encode(), granted.ID)
            place.joined(await self._stubs.kv.Txn(place.join()))
            self._places.append(place)

    async def beat(self, every: float, streamed: bool) -> None:
        """From now on, each candidate renews and reads so often.

        Args:
            every: Seconds.
            streamed: Renew on one stream instead of by calls.
        """
        if streamed:
            self._renewing = self._stubs.lease.LeaseKeepAlive()
            self._begin(self._read(self._renewing))
        self._begin(self._beat(every))

    async def calm(self) -> None:
        """As the library's crowd."""
        calm()

    async def cpu(self) -> float:
        """Seconds of processor time so far."""
        return time.process_time()

    async def _beat(self, every: float) -> None:
        now = time.monotonic()
        share = every / len(self._places)
        due = [(now + number * share, number) for number in range(len(self._places))]
        while True:
            due_at, number = due[0]
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            heapq.heapreplace(due, (due_at + every, number))
            place = self._places[number]
            self._begin(self._renew(place.lease))
            self._begin(self._look(place))

    async def _renew(self, lease: int) -> None:
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease)
        if self._renewing is not None:
            await self._renewing.write(request)
        else:
            await self._keep_alive(request)

    async def _look(self, place: requests.Place) -> None:
        place.stands(await self._stubs.kv.Range(place.standing()))

    @staticmethod
    async def _read(stream: Any) -> None:
        async for _ in stream:
            pass

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def main(endpoint: str) -> None:
    await serve(Crowd(endpoint))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
