"""Leader election as one writes it at first, with raw stubs: for comparison, and to see red.

A lease, a keepalive stream, Campaign, and belief from its answer until the stream says that it is
over. No deadline of its own, no look at the key: what the library is there for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from etcd_election.pb import rpc_pb2, rpc_pb2_grpc, v3election_pb2, v3election_pb2_grpc


class Naive:
    """One lease and one candidacy.

    Attributes:
        lost: Set when the keepalive stream has ended.
        leads: What it believes.
    """

    def __init__(self, endpoints: str, election: str, ttl: int) -> None:
        self.lost = threading.Event()
        self.leads = False
        self.lease_id = 0
        self._election = election.encode()
        self._ttl = ttl
        self._closed = threading.Event()
        self._call: grpc.Future[v3election_pb2.CampaignResponse] | None = None
        self._channel = grpc.insecure_channel(
            f"ipv4:{endpoints}", options=(("grpc.enable_http_proxy", 0),)
        )
        self._lease = rpc_pb2_grpc.LeaseStub(self._channel)

    def campaign(self, value: str) -> int:
        """Waits until elected; returns the token."""
        granted = self._lease.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=self._ttl), timeout=5.0)
        self.lease_id = granted.ID
        threading.Thread(target=self._keep, name="keepalive", daemon=True).start()
        request = v3election_pb2.CampaignRequest(
            name=self._election, lease=self.lease_id, value=value.encode()
        )
        stub = v3election_pb2_grpc.ElectionStub(self._channel)
        self._call = stub.Campaign.future(request)
        answer = self._call.result()
        self.leads = not self._closed.is_set()
        return answer.leader.rev

    def close(self) -> None:
        """Stops believing and revokes. Idempotent."""
        self.leads = False
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._lease.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=self.lease_id), timeout=2.0)
        except grpc.RpcError:
            self.leads = False
        self._channel.close()

    def _requests(self) -> Iterator[rpc_pb2.LeaseKeepAliveRequest]:
        while not self._closed.is_set():
            yield rpc_pb2.LeaseKeepAliveRequest(ID=self.lease_id)
            self._closed.wait(self._ttl / 3)

    def _keep(self) -> None:
        while not self._closed.is_set():
            try:
                for answer in self._lease.LeaseKeepAlive(self._requests()):
                    if answer.TTL <= 0:
                        self.leads = False
                        self.lost.set()
                        if self._call is not None:
                            self._call.cancel()
                        return
            except (grpc.RpcError, ValueError):
                self._closed.wait(0.1)
