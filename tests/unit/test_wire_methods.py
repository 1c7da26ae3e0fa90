"""The library's own table of etcd's methods says what the generated stubs say."""

from __future__ import annotations

from typing import Any

import pytest

from etcd_election._core.method import Method
from etcd_election._io import wire_methods
from etcd_election.pb import rpc_pb2_grpc, v3election_pb2_grpc

Made = tuple[str, str, object, object]


class Recorder:
    """As a channel: what is made is what was asked for."""

    def __getattr__(self, kind: str) -> Any:
        def make(
            path: str, request_serializer: Any, response_deserializer: Any, **_: object
        ) -> Made:
            return kind, path, request_serializer, response_deserializer

        return make


def generated(service: str, rpc: str) -> Made:
    module = rpc_pb2_grpc if hasattr(rpc_pb2_grpc, f"{service}Stub") else v3election_pb2_grpc
    made: Made = getattr(getattr(module, f"{service}Stub")(Recorder()), rpc)
    return made


@pytest.mark.parametrize("method", Method)
def test_method_is_called_as_the_generated_stubs_call_it(method: Method) -> None:
    kind, *rest = generated(method.service, method.rpc)
    if method is Method.KEEPALIVE:
        assert kind == "stream_stream"
        kind = "unary_unary"
    assert wire_methods.on(Recorder(), method) == (kind, *rest)


def test_watch_is_called_as_the_generated_stubs_call_it() -> None:
    assert wire_methods.watch_on(Recorder()) == generated("Watch", "Watch")
