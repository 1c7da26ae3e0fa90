"""The truth: what etcd itself says about an election, seen through no proxy.

Every member is watched directly, and asked by linearizable reads many times a second: of what
happens the earliest news counts, of whether a member reaches a quorum its answers. After a stream
has broken, a watch goes on where it was, so nothing is missed unless it was compacted before any
member told of it (`compactable` says what may be).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Sequence
from types import TracebackType

import grpc

from etcd_election.pb import kv_pb2, rpc_pb2, rpc_pb2_grpc
from tests.support.raw import OPTIONS, prefix_end

from .log import Log

PROBE_PERIOD = 0.1
PROBE_TIMEOUT = 0.3
BACKOFF = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class Observer:
    """Watches one election on every member of a cluster, from construction on. Thread-safe."""

    def __init__(
        self,
        endpoints: Sequence[str],
        election: str,
        log: Log,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._prefix = election.encode() + b"/"
        self._log = log
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._keys: dict[bytes, kv_pb2.KeyValue] = {}
        self._seen: set[tuple[int, bytes]] = set()
        self._channels = [_channel(endpoint, credentials) for endpoint in endpoints]
        self._calls: dict[int, grpc.Call] = {}
        self._numbers = itertools.count(1)
        self._revision = self._read_first()
        self._threads = [
            threading.Thread(target=run, args=(i,), name=f"truth-{i}", daemon=True)
            for run in (self._watch, self._probe)
            for i in range(len(endpoints))
        ]
        for thread in self._threads:
            thread.start()

    def queue(self) -> list[kv_pb2.KeyValue]:
        """The candidates' keys as known now, the leader's first."""
        with self._lock:
            return sorted(self._keys.values(), key=lambda kv: kv.create_revision)

    def compactable(self) -> int:
        """A revision up to which everything has been seen."""
        with self._lock:
            return self._revision

    def close(self) -> None:
        """Ends all."""
        self._stopped.set()
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        for thread in self._threads:
            thread.join(5.0)
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _range(self) -> rpc_pb2.RangeRequest:
        return rpc_pb2.RangeRequest(key=self._prefix, range_end=prefix_end(self._prefix))

    def _read_first(self) -> int:
        answer = rpc_pb2_grpc.KVStub(self._channels[0]).Range(self._range(), timeout=10.0)
        assert not answer.kvs, "the election is to be fresh"
        return answer.header.revision

    def _watch(self, member: int) -> None:
        stub = rpc_pb2_grpc.WatchStub(self._channels[member])
        after = self._revision
        while not self._stopped.is_set():
            create = rpc_pb2.WatchCreateRequest(
                key=self._prefix,
                range_end=prefix_end(self._prefix),
                start_revision=after + 1,
                prev_kv=True,
            )
            call = stub.Watch(iter([rpc_pb2.WatchRequest(create_request=create)]))
            with self._lock:
                self._calls[member] = call
            with contextlib.suppress(grpc.RpcError):
                for response in call:
                    at = time.monotonic()
                    if response.canceled:
                        # Another member has told, or `compactable` was not respected.
                        after = max(after, response.compact_revision - 1)
                        break
                    for event in response.events:
                        after = max(after, event.kv.mod_revision)
                        self._note(event, at, member)
            self._stopped.wait(0.05)

    def _note(self, event: kv_pb2.Event, at: float, member: int) -> None:
        kv = event.kv
        deleted = event.type == kv_pb2.Event.DELETE
        with self._lock:
            if (kv.mod_revision, kv.key) in self._seen:
                return
            self._seen.add((kv.mod_revision, kv.key))
            self._revision = max(self._revision, kv.mod_revision)
            # A member that lags must not bring a key back.
            if deleted:
                self._keys.pop(kv.key, None)
            elif (event.prev_kv.create_revision or kv.create_revision) <= kv.create_revision:
                self._keys[kv.key] = kv
        state = event.prev_kv if deleted else kv
        self._log.write(
            "delete" if deleted else "put",
            t=at,
            revision=kv.mod_revision,
            key=kv.key.decode(),
            token=state.create_revision,
            owner=state.value.decode(),
            lease=state.lease,
            member=member,
        )

    def _probe(self, member: int) -> None:
        stub = rpc_pb2_grpc.KVStub(self._channels[member])
        while not self._stopped.wait(PROBE_PERIOD):
            sent_at = time.monotonic()
            try:
                answer = stub.Range(
                    self._range(), timeout=PROBE_TIMEOUT, metadata=(("hasleader", "true"),)
                )
            except grpc.RpcError:
                continue
            first = min(answer.kvs, key=lambda kv: kv.create_revision, default=None)
            self._log.write(
                "serves",
                member=member,
                sent=sent_at,
                term=answer.header.raft_term,
                revision=answer.header.revision,
                first=first.create_revision if first else 0,
            )


def _channel(endpoint: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    if credentials is None:
        return grpc.insecure_channel(endpoint, options=OPTIONS + BACKOFF)
    return grpc.secure_channel(endpoint, credentials, options=OPTIONS + BACKOFF)
