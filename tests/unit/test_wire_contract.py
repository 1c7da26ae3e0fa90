"""The stubs speak etcd's wire contract: all of wire_contract.json and nothing else.

Compared are the compiled descriptors, symbol by symbol and in both directions, and the names that
travel with every call, the services' paths. What a server does with a message is not tested here.

The generated modules keep etcd's packages below `etcd_election.`; that prefix is taken off before
anything is compared.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

import etcd_election.pb

Description = dict[str, Any]

PREFIX = "etcd_election."
PB = Path(etcd_election.pb.__file__ or "").parent
TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("wire_contract.json").read_text())
FILES: dict[str, Any] = TABLE["files"]


def compiled(proto: str) -> FileDescriptorProto:
    module = importlib.import_module(f"etcd_election.pb.{proto.removesuffix('.proto')}_pb2")
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def etcds_name(name: str) -> str:
    """Etcd's own name of a symbol; a leading dot is how protoc marks a full name."""
    name = name.removeprefix(".")
    assert name.startswith(PREFIX), f"{name} could clash with another etcd library"
    return name.removeprefix(PREFIX)


def describe_field(field: FieldDescriptorProto, message: DescriptorProto) -> Description:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    described: Description = {
        "name": field.name,
        "number": field.number,
        "type": etcds_name(field.type_name) if field.type_name else kind,
    }
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        described["repeated"] = True
    if field.HasField("oneof_index"):
        described["oneof"] = message.oneof_decl[field.oneof_index].name
    return described


def describe_message(name: str, message: DescriptorProto) -> dict[str, Description]:
    fields = [describe_field(field, message) for field in message.field]
    symbols: dict[str, Description] = {name: {"kind": "message", "fields": fields}}
    for nested in message.nested_type:
        symbols |= describe_message(f"{name}.{nested.name}", nested)
        if nested.options.map_entry:
            symbols[f"{name}.{nested.name}"]["kind"] = "map entry"
    for enum in message.enum_type:
        symbols[f"{name}.{enum.name}"] = describe_enum(enum)
    return symbols


def describe_enum(enum: EnumDescriptorProto) -> Description:
    return {"kind": "enum", "values": {value.name: value.number for value in enum.value}}


def describe_method(method: MethodDescriptorProto) -> Description:
    described: Description = {
        "name": method.name,
        "request": etcds_name(method.input_type),
        "response": etcds_name(method.output_type),
    }
    if method.client_streaming:
        described["client_streaming"] = True
    if method.server_streaming:
        described["server_streaming"] = True
    return described


def describe_service(service: ServiceDescriptorProto) -> Description:
    return {"kind": "service", "methods": [describe_method(method) for method in service.method]}


def describe_file(file: FileDescriptorProto) -> dict[str, Description]:
    package = etcds_name(file.package)
    symbols: dict[str, Description] = {}
    for message in file.message_type:
        symbols |= describe_message(f"{package}.{message.name}", message)
    for enum in file.enum_type:
        symbols[f"{package}.{enum.name}"] = describe_enum(enum)
    for service in file.service:
        symbols[f"{package}.{service.name}"] = describe_service(service)
    return symbols


def in_order(symbol: Description | None) -> Description:
    """The same description with members sorted by name: their order does not travel."""
    if symbol is None:
        return {"kind": "missing"}
    sorted_symbol = dict(symbol)
    for members in {"fields", "methods"} & symbol.keys():
        sorted_symbol[members] = {member["name"]: member for member in symbol[members]}
        assert len(sorted_symbol[members]) == len(symbol[members])
    return sorted_symbol


COMPILED = {name: describe_file(compiled(name)) for name in FILES}
SYMBOLS = [
    (name, symbol)
    for name in FILES
    for symbol in sorted(FILES[name]["symbols"].keys() | COMPILED[name].keys())
]
SERVICES = [
    (name, symbol)
    for name in FILES
    for symbol, described in FILES[name]["symbols"].items()
    if described["kind"] == "service"
]


def test_the_modules_are_those_of_the_table() -> None:
    stems = {name.removesuffix(".proto") for name in FILES}
    with_services = {name.removesuffix(".proto") for name, _ in SERVICES}
    assert {path.name for path in PB.glob("*.py")} == (
        {"__init__.py"}
        | {f"{stem}_pb2.py" for stem in stems}
        | {f"{stem}_pb2_grpc.py" for stem in with_services}
    )


@pytest.mark.parametrize("name", FILES)
def test_file(name: str) -> None:
    file = compiled(name)
    assert etcds_name(file.package) == FILES[name]["package"]
    # proto3 decides how repeated numbers are packed, and that fields have no presence.
    assert file.syntax == "proto3"
    assert not file.extension


@pytest.mark.parametrize(
    ("name", "symbol"), SYMBOLS, ids=[f"{name}:{symbol}" for name, symbol in SYMBOLS]
)
def test_symbol(name: str, symbol: str) -> None:
    in_stubs = in_order(COMPILED[name].get(symbol))
    in_table = in_order(FILES[name]["symbols"].get(symbol))
    assert in_stubs == in_table, f"{symbol}: the stubs (left) are not etcd's contract (right)"


class RecordingChannel:
    """Stands in for a grpc.Channel and keeps what a stub asks it for, by path."""

    def __init__(self) -> None:
        self.methods: dict[str, tuple[bool, bool, Any, Any]] = {}

    def _record(self, client_streaming: bool, server_streaming: bool) -> Any:
        def multi_callable(
            path: str, request_serializer: Any, response_deserializer: Any, **_: Any
        ) -> str:
            self.methods[path] = (
                client_streaming,
                server_streaming,
                request_serializer,
                response_deserializer,
            )
            return path

        return multi_callable

    def __getattr__(self, arity: str) -> Any:
        request, _, response = arity.partition("_")
        return self._record(request == "stream", response == "stream")


class RecordingServer:
    """Stands in for a grpc.Server and keeps the names that services are offered under."""

    def __init__(self) -> None:
        self.offered: dict[str, set[str]] = {}
        self.generic: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self.generic += [handler.service_name() for handler in handlers]

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        self.offered[service] = set(handlers)


def grpc_module(name: str) -> ModuleType:
    return importlib.import_module(f"etcd_election.pb.{name.removesuffix('.proto')}_pb2_grpc")


def message_class(symbol: str) -> Any:
    package, _, message = symbol.partition(".")
    (name,) = (name for name in FILES if FILES[name]["package"] == package)
    module = importlib.import_module(f"etcd_election.pb.{name.removesuffix('.proto')}_pb2")
    return getattr(module, message)


@pytest.mark.parametrize(("name", "service"), SERVICES, ids=[service for _, service in SERVICES])
def test_stub_calls_etcds_paths(name: str, service: str) -> None:
    methods: list[Description] = FILES[name]["symbols"][service]["methods"]
    channel = RecordingChannel()
    stub = getattr(grpc_module(name), f"{service.partition('.')[2]}Stub")(channel)

    assert channel.methods.keys() == {f"/{service}/{method['name']}" for method in methods}
    for method in methods:
        path = f"/{service}/{method['name']}"
        assert getattr(stub, method["name"]) == path
        client_streaming, server_streaming, serialize, deserialize = channel.methods[path]
        assert client_streaming == method.get("client_streaming", False), path
        assert server_streaming == method.get("server_streaming", False), path
        assert serialize(message_class(method["request"])()) == b"", path
        assert type(deserialize(b"")) is message_class(method["response"]), path


@pytest.mark.parametrize(("name", "service"), SERVICES, ids=[service for _, service in SERVICES])
def test_server_side_answers_etcds_names(name: str, service: str) -> None:
    server = RecordingServer()
    add = getattr(grpc_module(name), f"add_{service.partition('.')[2]}Servicer_to_server")
    add(Mock(), server)

    methods = {method["name"] for method in FILES[name]["symbols"][service]["methods"]}
    assert server.generic == [service]
    assert server.offered == {service: methods}


@pytest.mark.parametrize("name", sorted({name for name, _ in SERVICES}))
def test_no_other_path_is_left_in_the_grpc_module(name: str) -> None:
    """Covers the third place with paths, the static methods, which only a real call would use."""
    source = Path(grpc_module(name).__file__ or "").read_text()
    strings = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {text for text in strings if re.fullmatch(r"/\S+", text)} == {
        f"/{service}/{method['name']}"
        for of_file, service in SERVICES
        if of_file == name
        for method in FILES[name]["symbols"][service]["methods"]
    }
    assert not {text for text in strings if PREFIX in text}


OURS = "from etcd_election.pb import auth_pb2, kv_pb2, rpc_pb2, v3election_pb2"
THEIRS = """
from google.protobuf import descriptor_pb2, descriptor_pool
for name, package, message in (
    ("kv.proto", "mvccpb", "KeyValue"),
    ("auth.proto", "authpb", "User"),
    ("rpc.proto", "etcdserverpb", "ResponseHeader"),
    ("v3election.proto", "v3electionpb", "LeaderKey"),
):
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    file.message_type.add(name=message).field.add(name="other", number=99, type=5, label=1)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    descriptor_pool.Default().FindMessageTypeByName(package + "." + message)
"""


@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["first", "second"])
def test_another_etcd_library_in_the_process(order: tuple[str, str], implementation: str) -> None:
    """protobuf refuses a name that is taken: ours must leave etcd's free, and take none of them."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(order)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
