"""The calls of a candidate, written out: what raw stubs send, and what the library sends. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from etcd_election.pb import kv_pb2, rpc_pb2, v3election_pb2

from . import TTL

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


def grant() -> rpc_pb2.LeaseGrantRequest:
    """A lease."""
    return rpc_pb2.LeaseGrantRequest(TTL=TTL)


def revoke(lease: int) -> rpc_pb2.LeaseRevokeRequest:
    """Its end."""
    return rpc_pb2.LeaseRevokeRequest(ID=lease)


def everybody(name: bytes) -> rpc_pb2.RangeRequest:
    """How many stand in the queue."""
    return rpc_pb2.RangeRequest(key=name + b"/", range_end=name + b"0", count_only=True)


def everything(name: bytes) -> rpc_pb2.WatchRequest:
    """A watch over the whole queue."""
    create = rpc_pb2.WatchCreateRequest(key=name + b"/", range_end=name + b"0")
    return rpc_pb2.WatchRequest(create_request=create)


def watch(key: bytes, number: int) -> rpc_pb2.WatchRequest:
    """A watch over one key."""
    create = rpc_pb2.WatchCreateRequest(key=key, watch_id=number)
    return rpc_pb2.WatchRequest(create_request=create)


def cancel(number: int) -> rpc_pb2.WatchRequest:
    """Its end."""
    return rpc_pb2.WatchRequest(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=number))


def deleted(response: rpc_pb2.WatchResponse) -> bool:
    """Whether a key is gone."""
    return any(event.type == kv_pb2.Event.DELETE for event in response.events)


@dataclass
class Place:
    """A candidate's place in an election.

    Attributes:
        revision: Its key's create revision; 0 before it is known.
    """

    name: bytes
    lease: int
    revision: int = 0

    @property
    def key(self) -> bytes:
        """As etcd's Election service calls it."""
        return b"%s/%x" % (self.name, self.lease)

    def campaign(self) -> v3election_pb2.CampaignRequest:
        """The service's way into the queue."""
        return v3election_pb2.CampaignRequest(name=self.name, lease=self.lease, value=b"value")

    def join(self) -> rpc_pb2.TxnRequest:
        """The transaction's: puts the key and reads the end of the queue."""
        absent = rpc_pb2.Compare(
            key=self.key,
            target=rpc_pb2.Compare.CREATE,
            result=rpc_pb2.Compare.EQUAL,
            create_revision=0,
        )
        put = rpc_pb2.PutRequest(key=self.key, value=b"value", lease=self.lease)
        return rpc_pb2.TxnRequest(
            compare=[absent],
            success=[
                rpc_pb2.RequestOp(request_put=put),
                rpc_pb2.RequestOp(request_range=self.standing()),
            ],
        )

    def standing(self) -> rpc_pb2.RangeRequest:
        """The own key and the one before it."""
        return rpc_pb2.RangeRequest(
            key=self.name + b"/",
            range_end=self.name + b"0",
            limit=2,
            max_create_revision=self.revision,
            sort_target=rpc_pb2.RangeRequest.CREATE,
            sort_order=rpc_pb2.RangeRequest.DESCEND,
        )

    def joined(self, answer: rpc_pb2.TxnResponse) -> bytes | None:
        """Takes the answer to `join`; the key before the own one, None if that is first."""
        return self.stands(answer.responses[1].response_range)

    def stands(self, answer: rpc_pb2.RangeResponse) -> bytes | None:
        """Takes the answer to `standing`."""
        own, *before = answer.kvs
        if own.key != self.key:
            raise RuntimeError(f"{own.key!r} stands where {self.key!r} should")
        self.revision = own.create_revision
        return before[0].key if before else None

    def leader(self) -> v3election_pb2.LeaderKey:
        """What Resign and Proclaim want to know."""
        return v3election_pb2.LeaderKey(
            name=self.name, key=self.key, rev=self.revision, lease=self.lease
        )
