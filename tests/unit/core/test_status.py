"""What etcd's answers mean: the table of codes and texts, row by row."""

from __future__ import annotations

import pytest

from etcd_election import errors
from etcd_election._core import status
from etcd_election._core.effects import Failure
from etcd_election._core.status import Meaning

TABLE = [
    ("UNKNOWN", "election: no leader", Meaning.NO_LEADER),
    ("UNKNOWN", "election: not leader", Meaning.NOT_LEADER),
    ("UNKNOWN", "etcdserver: requested lease not found", Meaning.LEASE_GONE),
    ("NOT_FOUND", "etcdserver: requested lease not found", Meaning.LEASE_GONE),
    ("FAILED_PRECONDITION", "etcdserver: lease already exists", Meaning.LEASE_EXISTS),
    ("UNKNOWN", "etcdserver: request is too large", Meaning.TOO_LARGE),
    ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (1 vs. 0)", Meaning.TOO_LARGE),
    ("UNKNOWN", "etcdserver: invalid auth token", Meaning.TOKEN_REFUSED),
    ("UNAUTHENTICATED", "etcdserver: invalid auth token", Meaning.TOKEN_REFUSED),
    ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Meaning.TOKEN_REFUSED),
    ("UNKNOWN", "auth: revision in header is old", Meaning.TOKEN_REFUSED),
    (
        "INVALID_ARGUMENT",
        "etcdserver: authentication failed, invalid user ID or password",
        Meaning.UNAUTHENTICATED,
    ),
    ("INVALID_ARGUMENT", "etcdserver: user name is empty", Meaning.TOKEN_REFUSED),
    (
        "FAILED_PRECONDITION",
        "etcdserver: authentication is not enabled",
        Meaning.AUTH_OFF,
    ),
    ("UNKNOWN", "etcdserver: permission denied", Meaning.DENIED),
    ("PERMISSION_DENIED", "etcdserver: permission denied", Meaning.DENIED),
    (
        "OUT_OF_RANGE",
        "etcdserver: mvcc: required revision has been compacted",
        Meaning.COMPACTED,
    ),
    ("UNAVAILABLE", "etcdserver: request timed out", Meaning.BUSY),
    (
        "UNKNOWN",
        "etcdserver: request timed out, possibly due to previous leader failure",
        Meaning.BUSY,
    ),
    ("UNAVAILABLE", "etcdserver: leader changed", Meaning.BUSY),
    ("UNAVAILABLE", "etcdserver: no leader", Meaning.BUSY),
    ("UNKNOWN", "etcdserver: not a primary lessor", Meaning.BUSY),
    ("UNKNOWN", "etcdserver: too many requests", Meaning.BUSY),
    ("UNAVAILABLE", "etcdserver: server stopped", Meaning.BUSY),
    ("UNAVAILABLE", "failed to connect to all addresses; last error: ...", Meaning.UNREACHED),
    ("UNAVAILABLE", "Stream removed (Socket closed)", Meaning.SILENT),
    ("UNAVAILABLE", "", Meaning.SILENT),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", Meaning.SILENT),
    ("UNKNOWN", "context deadline exceeded", Meaning.SILENT),
    ("UNKNOWN", "context canceled", Meaning.SILENT),
    ("CANCELLED", "Locally cancelled by application!", Meaning.SILENT),
    ("UNAUTHENTICATED", "", Meaning.UNAUTHENTICATED),
    ("PERMISSION_DENIED", "", Meaning.DENIED),
    ("OUT_OF_RANGE", "etcdserver: too large lease TTL", Meaning.OTHER),
    ("UNIMPLEMENTED", "unknown service", Meaning.OTHER),
]


@pytest.mark.parametrize(("code", "details", "meaning"), TABLE)
def test_text_decides_first_and_the_code_where_it_says_nothing(
    code: str, details: str, meaning: Meaning
) -> None:
    assert status.meaning(Failure(code, details)) is meaning


def test_every_meaning_is_in_the_table() -> None:
    assert {meaning for _, _, meaning in TABLE} == set(Meaning)


def test_call_that_may_be_under_way_is_among_those_tried_again() -> None:
    assert status.BROKEN_OFF < status.RETRIED
    assert Meaning.BUSY in status.RETRIED - status.BROKEN_OFF


@pytest.mark.parametrize(
    ("meaning", "kind"),
    [
        (Meaning.TOO_LARGE, errors.ValueTooLarge),
        (Meaning.TOKEN_REFUSED, errors.AuthenticationFailed),
        (Meaning.UNAUTHENTICATED, errors.AuthenticationFailed),
        (Meaning.DENIED, errors.PermissionDenied),
        (Meaning.BUSY, errors.Unavailable),
        (Meaning.SILENT, errors.Unavailable),
        (Meaning.UNREACHED, errors.Unavailable),
        (Meaning.OTHER, errors.EtcdError),
        (Meaning.LEASE_EXISTS, errors.EtcdError),
    ],
)
def test_error_has_the_class_that_users_catch(
    meaning: Meaning, kind: type[errors.EtcdError]
) -> None:
    for code, details, meant in TABLE:
        if meant is meaning:
            assert type(status.error("proclaim", Failure(code, details))) is kind


def test_error_keeps_what_etcd_said_and_where_it_came_from() -> None:
    cause = RuntimeError("the grpc error")
    failure = Failure("PERMISSION_DENIED", "etcdserver: permission denied", cause)
    error = status.error("proclaim", failure, maybe_applied=True)
    assert str(error) == "proclaim: etcdserver: permission denied"
    assert error.details == "etcdserver: permission denied"
    assert error.code.name == "PERMISSION_DENIED"
    assert error.maybe_applied
    assert error.__cause__ is cause
    assert not status.error("proclaim", failure).maybe_applied


def test_error_without_a_text_says_its_code() -> None:
    assert str(status.error("leader", Failure("UNAVAILABLE", ""))) == "leader: UNAVAILABLE"
