"""The etcd in memory of `etcd_election.testing`, in the place of a server: for the contract.

Not to be had: a process, a wire, users. Tests that need any of them take a fixture that starts an
etcd, or have the mark `real_etcd`; so do those that take long, for their time is as real here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import grpc

from etcd_election._testing.store import Refused
from etcd_election.pb import rpc_pb2
from etcd_election.testing import Cluster

from .raw import RawEtcd

IN_MEMORY = "memory"
"""The value of $ETCD that means it."""


class MemoryServer:
    """In the place of an `EtcdServer`."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.endpoint = self.cluster.endpoint

    def view(self) -> MemoryRaw:
        """The tests' own view of it."""
        return MemoryRaw(self.cluster)


class MemoryRaw(RawEtcd):
    """A view past the library: the same calls, on the store itself."""

    def __init__(self, cluster: Cluster) -> None:
        self.endpoint = cluster.endpoint
        self._server = cluster._server
        self.channel = cast("grpc.Channel", _Nothing())
        self.kv = self.lease = self.election = cast("Any", _Stub(self._carry_out))
        self._granted = set()
        self._campaigns = []

    def compact(self, revision: int | None = None) -> None:
        """There is no history to be forgotten."""

    def keep_alive(self, lease: int) -> int:
        """Renews once; returns the ttl, 0 if there is no such lease."""
        ttl: int = self._carry_out(rpc_pb2.LeaseKeepAliveRequest(ID=lease)).TTL
        return ttl

    def time_to_live(self, lease: int) -> int:
        """The seconds left, -1 if there is no such lease."""
        with self._server.lock:
            known = self._server.store.leases.get(lease)
            return int(known.expires_at - self._server.time()) if known else -1

    def lease_leases(self) -> set[int]:
        """The ids of all leases."""
        with self._server.lock:
            return set(self._server.store.leases)

    def _carry_out(self, request: Any, **_: object) -> Any:
        try:
            return self._server.do(request)
        except Refused as refused:
            raise RefusedCall(refused) from None


class RefusedCall(grpc.RpcError):
    """What a stub would raise."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused)
        self._failure = refused.failure

    def code(self) -> grpc.StatusCode:
        """As of a call."""
        return grpc.StatusCode[self._failure.code]

    def details(self) -> str:
        """As of a call."""
        return self._failure.details


class _Stub:
    """Every call of a service."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        return self._call


class _Nothing:
    """In the place of a channel."""

    def close(self) -> None:
        """Nothing is open."""
