"""Bad input gets a clear error before anything is sent; bad answers one within the timeout."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from etcd_election import (
    ElectionClient,
    EtcdError,
    OperationTimeout,
    Unavailable,
)
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.rogue import EMPTY, SILENT, UNDECODABLE, Answer, Rogue, RogueGrpc, RogueServer

from .conftest import MakeClient

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl=0)),
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl=1)),
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl=-1)),
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl="ten")),  # type: ignore[arg-type]
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl=2.5)),  # type: ignore[arg-type]
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl=True)),
        ("ttl", lambda front: front.ElectionClient(NOWHERE, "x", ttl=9_000_000_001)),
        ("lease", lambda front: front.ElectionClient(NOWHERE, "x", lease=0)),
        ("lease", lambda front: front.ElectionClient(NOWHERE, "x", lease=-5)),
        ("lease", lambda front: front.ElectionClient(NOWHERE, "x", lease=1 << 63)),
        ("lease", lambda front: front.ElectionClient(NOWHERE, "x", lease="12")),  # type: ignore[arg-type]
        ("via", lambda front: front.ElectionClient(NOWHERE, "x", via="raft")),
        ("via", lambda front: front.ElectionClient(NOWHERE, "x", via=1)),  # type: ignore[arg-type]
        ("name", lambda front: front.ElectionClient(NOWHERE, None)),  # type: ignore[arg-type]
        ("name", lambda front: front.ElectionClient(NOWHERE, "\ud800")),
        ("endpoints", lambda front: front.Etcd("")),
        ("endpoints", lambda front: front.Etcd([])),
        ("endpoints", lambda front: front.Etcd([""])),
        ("endpoints", lambda front: front.Etcd("a:b:c")),
        ("endpoints", lambda front: front.Etcd("ftp://x:1")),
        ("endpoints", lambda front: front.Etcd("x:99999")),
        ("endpoints", lambda front: front.Etcd("x:0")),
        ("endpoints", lambda front: front.Etcd("x")),
        ("endpoints", lambda front: front.Etcd("::1:2379")),
        ("endpoints", lambda front: front.Etcd(None)),  # type: ignore[arg-type]
        ("endpoints", lambda front: front.Etcd([2379])),  # type: ignore[list-item]
        ("endpoints", lambda front: front.ElectionClient("ftp://x:1", "x")),
        ("timeout", lambda front: front.Etcd(NOWHERE, timeout=0)),
        ("timeout", lambda front: front.Etcd(NOWHERE, timeout=-1)),
        ("timeout", lambda front: front.Etcd(NOWHERE, timeout=float("inf"))),
        ("timeout", lambda front: front.Etcd(NOWHERE, timeout="5")),  # type: ignore[arg-type]
        ("options", lambda front: front.Etcd(NOWHERE, options="x")),  # type: ignore[arg-type]
        ("options", lambda front: front.Etcd(NOWHERE, options=[("a",)])),  # type: ignore[list-item]
    ],
)
def test_a_bad_argument_is_named(
    front: Front, argument: str, make: Callable[[Front], object]
) -> None:
    with pytest.raises((ValueError, TypeError), match=argument):
        make(front)


def test_a_bad_call_is_refused_before_anything_is_sent(
    make_client: MakeClient, raw: RawEtcd, election_name: str
) -> None:
    client = make_client()
    calls: list[tuple[str, Callable[[], object]]] = [
        ("value", lambda: client.campaign(None)),  # type: ignore[arg-type]
        ("value", lambda: client.campaign(5)),  # type: ignore[arg-type]
        ("value", lambda: client.campaign("\udfff\ud800")),
        ("timeout", lambda: client.campaign("v", timeout=-1)),
        ("timeout", lambda: client.campaign("v", timeout=float("nan"))),
        ("timeout", lambda: client.campaign("v", timeout="1")),  # type: ignore[arg-type]
        ("timeout", lambda: client.leader(timeout=-1)),
        ("timeout", lambda: client.candidates(timeout=True)),
        ("timeout", lambda: client.resign(timeout=-1)),
        ("timeout", lambda: client.open(timeout=-1)),
        ("timeout", lambda: client.close(timeout=-1)),
    ]
    for argument, call in calls:
        with pytest.raises((ValueError, TypeError), match=argument):
            call()
    assert client.lease_id is None
    assert raw.lease_leases() == set()
    leadership = client.campaign("v")
    before = raw.revision()
    more: list[tuple[str, Callable[[], object]]] = [
        ("value", lambda: client.campaign(None)),  # type: ignore[arg-type]
        ("value", lambda: leadership.proclaim(None)),  # type: ignore[arg-type]
        ("timeout", lambda: leadership.proclaim("w", timeout=-1)),
        ("timeout", lambda: leadership.resign(timeout=-1)),
        ("timeout", lambda: leadership.wait_lost(-1)),
        ("timeout", lambda: leadership.transaction([], timeout=-1)),
    ]
    for argument, call in more:
        with pytest.raises((ValueError, TypeError), match=argument):
            call()
    assert raw.revision() == before
    assert leadership.held, "a bad argument must not cost the leadership"


def everything(client: ElectionClient) -> list[Callable[[], Any]]:
    return [
        client.open,
        client.leader,
        client.candidates,
        lambda: client.campaign("v"),
        lambda: client.campaign("v", timeout=0),
    ]


@pytest.mark.parametrize("mode", list(Rogue))
def test_a_server_that_is_no_etcd_is_unavailable_within_the_timeout(
    front: Front, mode: Rogue
) -> None:
    with RogueServer(mode) as server:
        connection = front.Etcd(server.endpoint, timeout=0.7)
        client = front.ElectionClient(connection, "x", ttl=2)
        for call in everything(client):
            began_at = time.monotonic()
            with pytest.raises(Unavailable):
                call()
            assert time.monotonic() - began_at < 3.0
        connection.close()


def test_a_host_that_does_not_exist_is_named(front: Front) -> None:
    connection = front.Etcd("no-such-host.invalid:2379", timeout=0.5)
    client = front.ElectionClient(connection, "x")
    for call in everything(client):
        began_at = time.monotonic()
        with pytest.raises(Unavailable, match=r"no-such-host\.invalid:2379"):
            call()
        assert time.monotonic() - began_at < 2.0
    connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY,
        UNDECODABLE,
        SILENT,
        Answer(code=grpc.StatusCode.UNIMPLEMENTED, details="unknown service"),
        Answer(code=grpc.StatusCode.INTERNAL, details="oh"),
        Answer(code=grpc.StatusCode.UNKNOWN, details="nobody has heard of this"),
    ],
    ids=["empty", "undecodable", "silent", "unimplemented", "internal", "unknown"],
)
def test_nonsense_is_an_etcd_error_and_never_a_leadership(front: Front, answer: Answer) -> None:
    with RogueGrpc(answer) as server:
        connection = front.Etcd(server.endpoint, timeout=1.0)
        client = front.ElectionClient(connection, "x", ttl=2)
        for call in everything(client):
            began_at = time.monotonic()
            with pytest.raises(EtcdError):
                call()
            assert time.monotonic() - began_at < 3.0
        # It goes on asking: nonsense may heal.
        with pytest.raises((OperationTimeout, EtcdError)):
            client.observe().next(1.0)
        connection.close()
