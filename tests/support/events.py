"""What tests wait for in an election, seen with the tests' own eyes."""

from __future__ import annotations

from etcd_election.pb import kv_pb2

from .raw import RawEtcd
from .waiting import eventually


def queue_of(raw: RawEtcd, name: str | bytes, length: int) -> list[kv_pb2.KeyValue]:
    """Waits until so many candidates stand in the queue; the leader comes first."""
    eventually(
        lambda: len(raw.candidates(name)) == length,
        10.0,
        lambda: f"{length} candidates wanted, there are {raw.candidates(name)}",
    )
    return raw.candidates(name)


def key_of(name: str | bytes, lease_id: int) -> bytes:
    """The candidate key of a lease."""
    text = name.encode() if isinstance(name, str) else name
    return text + b"/%x" % lease_id
