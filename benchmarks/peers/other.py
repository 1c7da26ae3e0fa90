"""etcd3aio, a library in asyncio that has an election: as a peer, of what it can do.

Its election takes a new lease each time and renews none. Its messages and ours cannot be told apart
by protobuf where both are generated alike, so nothing of ours is imported here.
"""

from __future__ import annotations

import importlib
from typing import Any

from . import TTL


class Candidate:
    """One who campaigns with a new election object each time, as they are meant to be used."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self._election: Any = None

    async def campaign(self) -> None:
        """Waits until elected."""
        self._election = self._client.election(self._name, value=b"value", ttl=TTL)
        await self._election.__aenter__()

    async def resign(self) -> None:
        """Gives it up."""
        await self._election.__aexit__(None, None, None)

    async def proclaim(self, value: str) -> None:
        """Replaces its value."""
        await self._election.proclaim(value.encode())

    async def leader(self) -> None:
        """Asks who leads."""
        await self._election.leader()


class Etcd3Aio:
    """That library, as a way to do things."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self._client: Any = None

    async def connect(self) -> None:
        """To be called first."""
        self._client = await self._connected()

    async def candidate(self, via: str) -> Candidate:
        """A candidate on the connection that all share."""
        assert via == "-", "it has one way only"
        return Candidate(self._client, self._name)

    async def once(self, via: str) -> None:
        """A lease, a campaign, and the end of both, on the connection that all share."""
        candidate = await self.candidate(via)
        await candidate.campaign()
        await candidate.resign()

    async def fresh(self, via: str) -> None:
        """The same on a connection of its own, which is closed."""
        assert via == "-", "it has one way only"
        client = await self._connected()
        candidate = Candidate(client, self._name)
        await candidate.campaign()
        await candidate.resign()
        await client.close()

    async def standing(self) -> int:
        """How many candidates' keys there are."""
        key = f"__etcd3aio:election/{self._name}"
        answer = await self._client.kv.get(f"{key}/".encode(), range_end=f"{key}0".encode())
        return len(answer.kvs)

    async def _connected(self) -> Any:
        client = importlib.import_module("etcd3aio").Etcd3Client([self._endpoint])
        await client.connect()
        return client
