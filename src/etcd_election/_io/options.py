"""How channels are set up, for both front-ends."""

from __future__ import annotations

from typing import Any

from .._core.endpoints import Endpoint
from .._core.method import Lane

Options = tuple[tuple[str, Any], ...]

_COMMON: Options = (
    # A long queue passes 4 MiB.
    ("grpc.max_receive_message_length", -1),
    # Channels of the same target would share one connection otherwise.
    ("grpc.use_local_subchannel_pool", 1),
    # What is repeated, and where, is decided by our plans.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    # A member that is back is found so soon; between attempts calls fail at once.
    ("grpc.max_reconnect_backoff_ms", 400),
)

_PINGS: Options = (
    # Etcd answers pings below 5.0 s with GOAWAY too_many_pings. A frozen peer is noticed after 2 to
    # 8 s (measured), so that a silent watch moves on.
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
)


_NO_PROXY: Options = (("grpc.enable_http_proxy", 0),)


def channel_options(
    endpoint: Endpoint, lane: Lane, further: Options, server_name: str | None = None
) -> Options:
    """The options of a channel.

    An endpoint that is dialled by its address keeps its name, for TLS and for proxies on the way.

    Waits go without pings: an 11 s cut of the link cost a waiting candidate its key with pings, and
    nothing without. This machine is never reached through ``http_proxy``: to the proxy, the address
    would mean another one.
    """
    pings = () if lane is Lane.WAITS else _PINGS
    proxy = _NO_PROXY if endpoint.loopback else ()
    names: Options = ()
    if endpoint.tls and server_name is not None:
        # With another authority beside it, gRPC refuses every call.
        names = (("grpc.ssl_target_name_override", server_name),)
    elif endpoint.address is not None:
        names = (("grpc.default_authority", endpoint.authority),)
    return _COMMON + pings + proxy + names + further
