"""The tests' own view of an etcd: plain stubs on a channel of their own, nothing of the library.

What the library claims is compared with what this sees. All reads are linearizable.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING

import grpc

from etcd_election.pb import (
    kv_pb2,
    rpc_pb2,
    rpc_pb2_grpc,
    v3election_pb2,
    v3election_pb2_grpc,
)

if TYPE_CHECKING:
    CampaignCall = grpc.Future[v3election_pb2.CampaignResponse]

TIMEOUT = 10.0

OPTIONS = (
    # Otherwise the library's channels could share a connection, and a fault, with this one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),
)


def as_bytes(text: str | bytes) -> bytes:
    """Keys, names and values may be given either way."""
    return text.encode() if isinstance(text, str) else text


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` that makes a request cover all keys with this prefix."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


class RawEtcd:
    """Short calls on etcd's services; every one raises `grpc.RpcError` if etcd does not like it.

    On `close` it cancels its Campaigns and revokes the leases that it granted itself.

    Args:
        endpoint: `host:port`.
        credentials: For an etcd that speaks TLS.

    Attributes:
        kv, lease, watch, election, maintenance, cluster, auth: The stubs, for all else.
    """

    def __init__(self, endpoint: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.endpoint = endpoint
        if credentials is None:
            self.channel = grpc.insecure_channel(endpoint, options=OPTIONS)
        else:
            self.channel = grpc.secure_channel(endpoint, credentials, options=OPTIONS)
        self.kv = rpc_pb2_grpc.KVStub(self.channel)
        self.lease = rpc_pb2_grpc.LeaseStub(self.channel)
        self.watch = rpc_pb2_grpc.WatchStub(self.channel)
        self.maintenance = rpc_pb2_grpc.MaintenanceStub(self.channel)
        self.cluster = rpc_pb2_grpc.ClusterStub(self.channel)
        self.auth = rpc_pb2_grpc.AuthStub(self.channel)
        self.election = v3election_pb2_grpc.ElectionStub(self.channel)
        self._granted: set[int] = set()
        self._campaigns: list[CampaignCall] = []

    # -- keys

    def range(self, key: str | bytes, *, prefix: bool = False) -> list[kv_pb2.KeyValue]:
        """The key, or all keys that begin so, in the order of their create revisions."""
        first = as_bytes(key)
        request = rpc_pb2.RangeRequest(
            key=first or b"\0",
            range_end=prefix_end(first) if prefix else b"",
            sort_target=rpc_pb2.RangeRequest.CREATE,
            sort_order=rpc_pb2.RangeRequest.ASCEND,
        )
        return list(self.kv.Range(request, timeout=TIMEOUT).kvs)

    def get(self, key: str | bytes) -> kv_pb2.KeyValue | None:
        """The key, if it is there."""
        found = self.range(key)
        return found[0] if found else None

    def candidates(self, name: str | bytes) -> list[kv_pb2.KeyValue]:
        """The queue of an election, the leader first."""
        return self.range(as_bytes(name) + b"/", prefix=True)

    def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0) -> int:
        """Writes; returns etcd's revision."""
        request = rpc_pb2.PutRequest(key=as_bytes(key), value=as_bytes(value), lease=lease)
        return self.kv.Put(request, timeout=TIMEOUT).header.revision

    def delete(self, key: str | bytes, *, prefix: bool = False) -> int:
        """Deletes the key, or all keys that begin so; returns how many."""
        first = as_bytes(key)
        request = rpc_pb2.DeleteRangeRequest(
            key=first or b"\0", range_end=prefix_end(first) if prefix else b""
        )
        return self.kv.DeleteRange(request, timeout=TIMEOUT).deleted

    def revision(self) -> int:
        """Etcd's present revision."""
        return self.kv.Range(rpc_pb2.RangeRequest(key=b"\0"), timeout=TIMEOUT).header.revision

    def compact(self, revision: int | None = None) -> None:
        """Forgets all history before the revision, or before the present one."""
        if revision is None:
            revision = self.revision()
        request = rpc_pb2.CompactionRequest(revision=revision, physical=True)
        self.kv.Compact(request, timeout=TIMEOUT)

    # -- leases

    def grant(self, ttl: int = 60, *, lease: int = 0) -> int:
        """Grants a lease, which `close` will revoke; returns its id."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl, ID=lease)
        granted = self.lease.LeaseGrant(request, timeout=TIMEOUT).ID
        self._granted.add(granted)
        return granted

    def revoke(self, lease: int) -> None:
        """Revokes anybody's lease; its keys go with it."""
        self.lease.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease), timeout=TIMEOUT)
        self._granted.discard(lease)

    def keep_alive(self, lease: int) -> int:
        """Renews once; returns the ttl, 0 if there is no such lease."""
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease)
        answers = self.lease.LeaseKeepAlive(iter([request]), timeout=TIMEOUT)
        return next(iter(answers)).TTL

    def time_to_live(self, lease: int) -> int:
        """The seconds left, -1 if there is no such lease."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease)
        return self.lease.LeaseTimeToLive(request, timeout=TIMEOUT).TTL

    def lease_leases(self) -> set[int]:
        """The ids of all leases on this etcd."""
        answer = self.lease.LeaseLeases(rpc_pb2.LeaseLeasesRequest(), timeout=TIMEOUT)
        return {status.ID for status in answer.leases}

    # -- elections

    def campaign(self, name: str | bytes, lease: int, value: str | bytes = b"") -> CampaignCall:
        """Sends a Campaign; `result()` waits, `cancel()` ends it. Collected calls are cancelled."""
        request = v3election_pb2.CampaignRequest(
            name=as_bytes(name), lease=lease, value=as_bytes(value)
        )
        call = self.election.Campaign.future(request)
        self._campaigns.append(call)
        return call

    def resign(self, leader: v3election_pb2.LeaderKey) -> None:
        """Gives up what a Campaign answered."""
        self.election.Resign(v3election_pb2.ResignRequest(leader=leader), timeout=TIMEOUT)

    def leader(self, name: str | bytes) -> kv_pb2.KeyValue:
        """What the Election service says; an error if nobody leads."""
        request = v3election_pb2.LeaderRequest(name=as_bytes(name))
        return self.election.Leader(request, timeout=TIMEOUT).kv

    def close(self) -> None:
        """Cancels, revokes and disconnects. Idempotent; does not mind an etcd that is down."""
        for call in self._campaigns:
            call.cancel()
        for lease in self._granted:
            # It may have ended by itself, and etcd may be down or stand still.
            with contextlib.suppress(grpc.RpcError):
                self.lease.LeaseRevoke(rpc_pb2.LeaseRevokeRequest(ID=lease), timeout=1.0)
        self._granted.clear()
        self._campaigns.clear()
        self.channel.close()

    def __enter__(self) -> RawEtcd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
