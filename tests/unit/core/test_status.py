"""What etcd's answers mean: the table of codes and texts, row by row."""

from __future__ import annotations

import pytest

from etcd_election import errors
from etcd_election._core import status
from etcd_election._core.effects import Failure
from etcd_election._core.status import Fault, Meaning, OwnCertificate
from etcd_election.pb import rpc_pb2

from .support import HANGS_UP, REFUSED_CONNECTION, WRONG_CA

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
    (WRONG_CA.code, WRONG_CA.details, Meaning.NO_TLS),
    (HANGS_UP.code, HANGS_UP.details, Meaning.UNREACHED),
    ("UNAVAILABLE", "Unwrap failed (TSI_DATA_CORRUPTED)", Meaning.SILENT),
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


def test_what_is_tried_again_is_not_final() -> None:
    assert status.final(rpc_pb2.RangeResponse())
    assert status.final(Failure("PERMISSION_DENIED", "etcdserver: permission denied"))
    assert not status.final(Failure("UNKNOWN", "etcdserver: request timed out"))
    assert not status.final(Failure("UNAUTHENTICATED", "etcdserver: invalid auth token"))


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
        (Meaning.NO_TLS, errors.Unavailable),
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
    assert str(error).startswith("proclaim: etcdserver: permission denied (")
    assert error.details == "etcdserver: permission denied"
    assert error.code.name == "PERMISSION_DENIED"
    assert error.maybe_applied
    assert error.__cause__ is cause
    assert not status.error("proclaim", failure).maybe_applied


@pytest.mark.parametrize(
    ("details", "advice"),
    [
        ("etcdserver: permission denied", "permission to read"),
        ("etcdserver: user name is empty", "see user and password"),
        ("etcdserver: authentication failed, invalid user ID or password", "password is wrong"),
        ("etcdserver: request is too large", "--max-request-bytes"),
    ],
)
def test_error_says_what_to_do_about_it(details: str, advice: str) -> None:
    assert advice in str(status.error("grant a lease", Failure("UNKNOWN", details)))


def test_error_without_a_text_says_its_code() -> None:
    assert str(status.error("leader", Failure("UNAVAILABLE", ""))) == "leader: UNAVAILABLE"


GOOD = OwnCertificate.GOOD
VERIFY = "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED: "
ALERT = "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:10000412:SSL routines:"

FAULTS = [
    (f"{VERIFY}unable to get local issuer certificate", GOOD, Fault.ISSUER),
    (f"{VERIFY}self signed certificate in certificate chain", GOOD, Fault.ISSUER),
    (f"{VERIFY}certificate has expired", GOOD, Fault.EXPIRED),
    (f"{VERIFY}certificate is not yet valid", GOOD, Fault.EARLY),
    ("Custom verification check failed: Hostname Verification Check failed.", GOOD, Fault.NAME),
    (f"{ALERT}SSLV3_ALERT_BAD_CERTIFICATE", OwnCertificate.NONE, Fault.MISSING_CLIENT),
    (f"{ALERT}SSLV3_ALERT_BAD_CERTIFICATE", OwnCertificate.EXPIRED, Fault.EXPIRED_CLIENT),
    (f"{ALERT}SSLV3_ALERT_BAD_CERTIFICATE", GOOD, Fault.REFUSED_CLIENT),
    (f"{ALERT}SSLV3_ALERT_CERTIFICATE_EXPIRED", OwnCertificate.EXPIRED, Fault.EXPIRED_CLIENT),
    (f"{ALERT}TLSV1_ALERT_UNKNOWN_CA", GOOD, Fault.REFUSED_CLIENT),
    (f"{ALERT}SSLV3_ALERT_HANDSHAKE_FAILURE", OwnCertificate.NONE, Fault.HANDSHAKE_WITHOUT),
    (f"{ALERT}SSLV3_ALERT_HANDSHAKE_FAILURE", GOOD, Fault.HANDSHAKE),
    (f"{ALERT}SSLV3_ALERT_HANDSHAKE_FAILURE", OwnCertificate.EXPIRED, Fault.HANDSHAKE),
    ("Unwrap failed (TSI_DATA_CORRUPTED)", OwnCertificate.NONE, Fault.MISSING_CLIENT),
    ("Unwrap failed (TSI_DATA_CORRUPTED)", GOOD, Fault.REFUSED_CLIENT),
    ("Failed to create security handshaker.", GOOD, Fault.PAIR),
    ("Tls handshake failed (TSI_PROTOCOL_FAILURE): NO_SHARED_CIPHER", GOOD, Fault.HANDSHAKE),
]


@pytest.mark.parametrize(("details", "own", "fault"), FAULTS)
def test_fault_is_told_from_the_text_and_from_what_this_client_can_show(
    details: str, own: OwnCertificate, fault: Fault
) -> None:
    failure = Failure("UNAVAILABLE", f"failed to connect to all addresses; last error: {details}")
    assert status.fault(failure, own) is fault
    assert status.meaning(failure) is Meaning.NO_TLS
    assert status.fault(Failure("UNAVAILABLE", details), own) is None, "that connection stood"


def test_every_fault_but_those_that_a_probe_finds_is_in_the_table() -> None:
    probed = {Fault.WANTS_TLS, Fault.WANTS_PLAIN}
    assert {fault for _, _, fault in FAULTS} == set(Fault) - probed


def test_only_a_connection_that_ended_at_once_may_have_been_spoken_to_in_the_wrong_way() -> None:
    assert status.hangs_up(HANGS_UP)
    assert status.fault(HANGS_UP, GOOD) is None
    assert not status.hangs_up(REFUSED_CONNECTION)
    assert not status.hangs_up(Failure("UNAVAILABLE", "Stream removed (Socket closed)"))


def test_what_never_left_is_tried_again() -> None:
    assert status.NEVER_LEFT < status.BROKEN_OFF


def test_refusal_is_an_answer_and_silence_is_none() -> None:
    assert status.answered(rpc_pb2.RangeResponse())
    assert status.answered(Failure("PERMISSION_DENIED", "etcdserver: permission denied"))
    assert not status.answered(Failure("DEADLINE_EXCEEDED", "Deadline Exceeded"))
    assert not status.answered(Failure("UNKNOWN", "etcdserver: request timed out"))
