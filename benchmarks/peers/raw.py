"""Raw stubs that block: the floor, the calls that the library makes and nothing else.

`verify=False` is what one writes at first: Campaign's answer is believed. `watching` has a watch on
the election open, as everybody has who wants to know that a key is gone: etcd tells it of our own
writes, and that takes time from the process that writes.
"""

from __future__ import annotations

import contextlib
import queue
import threading

import grpc

from etcd_election.pb import rpc_pb2, rpc_pb2_grpc, v3election_pb2, v3election_pb2_grpc

from . import PATIENCE, requests


class Stubs:
    """The stubs on one channel."""

    def __init__(self, endpoint: str) -> None:
        self.channel = grpc.insecure_channel(endpoint, options=requests.OPTIONS)
        self.kv = rpc_pb2_grpc.KVStub(self.channel)
        self.lease = rpc_pb2_grpc.LeaseStub(self.channel)
        self.election = v3election_pb2_grpc.ElectionStub(self.channel)
        self.watch = rpc_pb2_grpc.WatchStub(self.channel)


class Watching:
    """One watch stream."""

    def __init__(self, stubs: Stubs) -> None:
        self._requests: queue.SimpleQueue[rpc_pb2.WatchRequest] = queue.SimpleQueue()
        self.heard: queue.SimpleQueue[rpc_pb2.WatchResponse] = queue.SimpleQueue()
        self._responses = stubs.watch.Watch(iter(self._requests.get, None))
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request."""
        self._requests.put(request)

    def until_deleted(self) -> None:
        """Waits until a watched key is gone."""
        while not requests.deleted(self.heard.get(timeout=PATIENCE)):
            pass

    def _read(self) -> None:
        # The end of the process ends the stream.
        with contextlib.suppress(grpc.RpcError):
            for response in self._responses:
                self.heard.put(response)


class Candidate:
    """One lease on raw stubs."""

    def __init__(self, stubs: Stubs, name: bytes, via: str, *, verify: bool) -> None:
        self._stubs = stubs
        self._verify = verify
        self._via = via
        self.place = requests.Place(name, stubs.lease.LeaseGrant(requests.grant()).ID)
        self._watching: Watching | None = None
        self._watches = 0

    def campaign(self) -> None:
        """Waits until elected."""
        self.place.revision = 0
        if self._via == "kv":
            self._join()
            return
        answer = self._stubs.election.Campaign(self.place.campaign())
        self.place.revision = answer.leader.rev
        if self._verify and self.place.stands(self._stubs.kv.Range(self.place.standing())):
            raise RuntimeError("elected, and not first")

    def _join(self) -> None:
        before = self.place.joined(self._stubs.kv.Txn(self.place.join()))
        while before is not None:
            if self._watching is None:
                self._watching = Watching(self._stubs)
            self._watches += 1
            self._watching.send(requests.watch(before, self._watches))
            self._watching.until_deleted()
            self._watching.send(requests.cancel(self._watches))
            before = self.place.stands(self._stubs.kv.Range(self.place.standing()))

    def resign(self) -> None:
        """Gives it up."""
        self._stubs.election.Resign(v3election_pb2.ResignRequest(leader=self.place.leader()))

    def proclaim(self, value: str) -> None:
        """Replaces its value."""
        leader = self.place.leader()
        request = v3election_pb2.ProclaimRequest(leader=leader, value=value.encode())
        self._stubs.election.Proclaim(request)

    def leader(self) -> None:
        """Asks who leads."""
        self._stubs.election.Leader(v3election_pb2.LeaderRequest(name=self.place.name))

    def close(self) -> None:
        """Revokes the lease."""
        self._stubs.lease.LeaseRevoke(requests.revoke(self.place.lease))


class Raw:
    """Raw stubs, as a way to do things."""

    def __init__(
        self, endpoint: str, name: str, *, verify: bool = True, watching: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._name = name.encode()
        self._verify = verify
        self._stubs = Stubs(endpoint)
        if watching:
            Watching(self._stubs).send(requests.everything(self._name))

    def candidate(self, via: str) -> Candidate:
        """A candidate on the connection that all share."""
        return Candidate(self._stubs, self._name, via, verify=self._verify)

    def once(self, via: str) -> None:
        """A lease, a campaign, and the end of both, on the connection that all share."""
        self._take_part(self._stubs, via)

    def fresh(self, via: str) -> None:
        """The same on a connection of its own, which is closed."""
        stubs = Stubs(self._endpoint)
        self._take_part(stubs, via)
        stubs.channel.close()

    def standing(self) -> int:
        """How many candidates' keys there are."""
        return self._stubs.kv.Range(requests.everybody(self._name)).count

    def _take_part(self, stubs: Stubs, via: str) -> None:
        candidate = Candidate(stubs, self._name, via, verify=self._verify)
        candidate.campaign()
        candidate.close()
