"""Raw stubs of grpc.aio: the floor of asyncio, as `raw` is of what blocks."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from etcd_election.pb import rpc_pb2, rpc_pb2_grpc, v3election_pb2, v3election_pb2_grpc

from . import requests


class Stubs:
    """The stubs on one channel."""

    def __init__(self, endpoint: str) -> None:
        # The types of generated stubs tell both kinds apart by their channel's type.
        self.channel = grpc.aio.insecure_channel(endpoint, options=requests.OPTIONS)
        self.kv: Any = rpc_pb2_grpc.KVStub(self.channel)
        self.lease: Any = rpc_pb2_grpc.LeaseStub(self.channel)
        self.election: Any = v3election_pb2_grpc.ElectionStub(self.channel)
        self.watch: Any = rpc_pb2_grpc.WatchStub(self.channel)


class Watching:
    """One watch stream, read by a task of its own."""

    def __init__(self, stubs: Stubs) -> None:
        self._call = stubs.watch.Watch()
        self.heard: asyncio.Queue[rpc_pb2.WatchResponse] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request."""
        await self._call.write(request)

    async def until_deleted(self) -> None:
        """Waits until a watched key is gone."""
        while not requests.deleted(await self.heard.get()):
            pass

    async def _read(self) -> None:
        async for response in self._call:
            self.heard.put_nowait(response)


class Candidate:
    """One lease on raw stubs."""

    def __init__(self, stubs: Stubs, place: requests.Place, via: str, *, verify: bool) -> None:
        self._stubs = stubs
        self._verify = verify
        self._via = via
        self.place = place
        self._watching: Watching | None = None
        self._watches = 0

    @classmethod
    async def begin(cls, stubs: Stubs, name: bytes, via: str, *, verify: bool) -> Candidate:
        """With a lease of its own."""
        lease: int = (await stubs.lease.LeaseGrant(requests.grant())).ID
        return cls(stubs, requests.Place(name, lease), via, verify=verify)

    async def campaign(self) -> None:
        """Waits until elected."""
        self.place.revision = 0
        if self._via == "kv":
            await self._join()
            return
        answer = await self._stubs.election.Campaign(self.place.campaign())
        self.place.revision = answer.leader.rev
        if self._verify and self.place.stands(await self._stubs.kv.Range(self.place.standing())):
            raise RuntimeError("elected, and not first")

    async def _join(self) -> None:
        before = self.place.joined(await self._stubs.kv.Txn(self.place.join()))
        while before is not None:
            if self._watching is None:
                self._watching = Watching(self._stubs)
            self._watches += 1
            await self._watching.send(requests.watch(before, self._watches))
            await self._watching.until_deleted()
            await self._watching.send(requests.cancel(self._watches))
            before = self.place.stands(await self._stubs.kv.Range(self.place.standing()))

    async def resign(self) -> None:
        """Gives it up."""
        request = v3election_pb2.ResignRequest(leader=self.place.leader())
        await self._stubs.election.Resign(request)

    async def proclaim(self, value: str) -> None:
        """Replaces its value."""
        leader = self.place.leader()
        request = v3election_pb2.ProclaimRequest(leader=leader, value=value.encode())
        await self._stubs.election.Proclaim(request)

    async def leader(self) -> None:
        """Asks who leads."""
        await self._stubs.election.Leader(v3election_pb2.LeaderRequest(name=self.place.name))

    async def close(self) -> None:
        """Revokes the lease."""
        await self._stubs.lease.LeaseRevoke(requests.revoke(self.place.lease))


class RawAio:
    """Raw stubs, as a way to do things."""

    def __init__(self, endpoint: str, name: str, *, verify: bool = True) -> None:
        self._endpoint = endpoint
        self._name = name.encode()
        self._verify = verify
        self._stubs = Stubs(endpoint)
        self._watching: Watching | None = None

    async def watch(self) -> None:
        """Has a watch on the election open from now on."""
        self._watching = Watching(self._stubs)
        await self._watching.send(requests.everything(self._name))

    async def candidate(self, via: str) -> Candidate:
        """A candidate on the connection that all share."""
        return await Candidate.begin(self._stubs, self._name, via, verify=self._verify)

    async def once(self, via: str) -> None:
        """A lease, a campaign, and the end of both, on the connection that all share."""
        await self._take_part(self._stubs, via)

    async def fresh(self, via: str) -> None:
        """The same on a connection of its own, which is closed."""
        stubs = Stubs(self._endpoint)
        await self._take_part(stubs, via)
        await stubs.channel.close()

    async def standing(self) -> int:
        """How many candidates' keys there are."""
        answer: rpc_pb2.RangeResponse = await self._stubs.kv.Range(requests.everybody(self._name))
        return answer.count

    async def _take_part(self, stubs: Stubs, via: str) -> None:
        candidate = await Candidate.begin(stubs, self._name, via, verify=self._verify)
        await candidate.campaign()
        await candidate.close()
