"""The calls of etcd as gRPC knows them: path, request, response.

Made one by one where they are used. The generated stubs do the same for all methods of a service,
those that nobody calls too, and take several milliseconds to import.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from .._core.method import Method
from ..pb import rpc_pb2, v3election_pb2

_PACKAGES = {"Election": "v3electionpb"}
_ETCDSERVER = "etcdserverpb"

_MESSAGES: dict[Method, tuple[type[Message], type[Message]]] = {
    Method.RANGE: (rpc_pb2.RangeRequest, rpc_pb2.RangeResponse),
    Method.TXN: (rpc_pb2.TxnRequest, rpc_pb2.TxnResponse),
    Method.GRANT: (rpc_pb2.LeaseGrantRequest, rpc_pb2.LeaseGrantResponse),
    Method.REVOKE: (rpc_pb2.LeaseRevokeRequest, rpc_pb2.LeaseRevokeResponse),
    Method.KEEPALIVE: (rpc_pb2.LeaseKeepAliveRequest, rpc_pb2.LeaseKeepAliveResponse),
    Method.CAMPAIGN: (v3election_pb2.CampaignRequest, v3election_pb2.CampaignResponse),
    Method.PROCLAIM: (v3election_pb2.ProclaimRequest, v3election_pb2.ProclaimResponse),
    Method.LEADER: (v3election_pb2.LeaderRequest, v3election_pb2.LeaderResponse),
    Method.OBSERVE: (v3election_pb2.LeaderRequest, v3election_pb2.LeaderResponse),
    Method.RESIGN: (v3election_pb2.ResignRequest, v3election_pb2.ResignResponse),
    Method.AUTHENTICATE: (rpc_pb2.AuthenticateRequest, rpc_pb2.AuthenticateResponse),
}


def path(method: Method) -> str:
    """What the method is called on the wire."""
    package = _PACKAGES.get(method.service, _ETCDSERVER)
    return f"/{package}.{method.service}/{method.rpc}"


def on(channel: Any, method: Method) -> Any:
    """What makes the calls of a method on a channel of grpc or grpc.aio.

    LeaseKeepAlive has one request and one answer here. To the server it is a stream whose client
    has half-closed it after one request; to us it is a call with a deadline that blocks no thread
    and no other lease.
    """
    request, response = _MESSAGES[method]
    make = channel.unary_stream if method is Method.OBSERVE else channel.unary_unary
    return make(
        path(method),
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )


def watch_on(channel: Any) -> Any:
    """What opens watch streams on a channel."""
    return channel.stream_stream(
        f"/{_ETCDSERVER}.Watch/Watch",
        request_serializer=rpc_pb2.WatchRequest.SerializeToString,
        response_deserializer=rpc_pb2.WatchResponse.FromString,
    )
