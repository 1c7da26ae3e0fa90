"""What an answer other than OK means: details first, code second, in one table.

Nearly every error of etcd's Election service has the code UNKNOWN, and the same condition comes
with other codes from other services and versions; the text is what is stable. Each row is tested on
every etcd at hand.
"""

from __future__ import annotations

import enum

from .. import errors
from .effects import Failure, Reply


class Meaning(enum.Enum):
    """What is to be done about a failure."""

    NO_LEADER = "nobody leads"
    NOT_LEADER = "the key is gone, or not this candidacy's"
    LEASE_GONE = "the lease is unknown"
    LEASE_EXISTS = "the lease was granted before"
    TOO_LARGE = "the request is too large"
    TOKEN_REFUSED = "authenticate again, once"
    UNAUTHENTICATED = "no such user"
    AUTH_OFF = "authentication is switched off"
    DENIED = "no permission"
    COMPACTED = "the revision is compacted"
    BUSY = "etcd answered, and cannot just now"
    SILENT = "nobody answered"
    UNREACHED = "nobody answered, and the request surely never left"
    NO_TLS = "no secure connection can be made, and the request surely never left"
    OTHER = "an error"


class Fault(enum.Enum):
    """Why no secure connection can be made, in words for people."""

    ISSUER = "etcd's certificate was not issued by a CA that is trusted here (see TLS.ca)"
    EXPIRED = "etcd's certificate has expired"
    EARLY = "etcd's certificate is not valid yet"
    NAME = "etcd's certificate is for other names than this endpoint's (see TLS.server_name)"
    MISSING_CLIENT = "etcd asks for a client certificate, and none was given (see TLS.cert)"
    EXPIRED_CLIENT = "etcd does not accept the client certificate: it has expired"
    REFUSED_CLIENT = "etcd does not accept the client certificate (is it of a CA that etcd trusts?)"
    PAIR = "the client's certificate and key (TLS.cert, TLS.key) do not fit together"
    WANTS_TLS = "etcd speaks TLS here, and plain text was asked for (see tls, https://)"
    WANTS_PLAIN = "etcd speaks plain text here, and TLS was asked for (see tls, https://)"
    HANDSHAKE = "the TLS handshake failed"
    HANDSHAKE_WITHOUT = (
        "the TLS handshake failed: perhaps etcd asks for a client certificate, and none was given"
    )


class OwnCertificate(enum.Enum):
    """What this client can show."""

    NONE = "none was given"
    EXPIRED = "it has expired"
    GOOD = "nothing is wrong with it"


_CONNECTING = "failed to connect"
"""In front of all that was said before a connection stood."""

_FAULTS: tuple[tuple[str, Fault], ...] = (
    ("certificate has expired", Fault.EXPIRED),
    ("certificate is not yet valid", Fault.EARLY),
    ("CERTIFICATE_VERIFY_FAILED", Fault.ISSUER),
    ("Hostname Verification Check failed", Fault.NAME),
    # With TLS 1.2: what etcd says depends on the Go that it was built with.
    ("ALERT_BAD_CERTIFICATE", Fault.REFUSED_CLIENT),
    ("ALERT_CERTIFICATE_EXPIRED", Fault.REFUSED_CLIENT),
    ("ALERT_UNKNOWN_CA", Fault.REFUSED_CLIENT),
    ("ALERT_HANDSHAKE_FAILURE", Fault.HANDSHAKE_WITHOUT),
    # With TLS 1.3 the server looks at the certificate when the client thinks that all is done.
    ("TSI_DATA_CORRUPTED", Fault.REFUSED_CLIENT),
    ("Failed to create security handshaker", Fault.PAIR),
    ("handshake failed", Fault.HANDSHAKE),
)

_OF_CLIENT = {
    (Fault.REFUSED_CLIENT, OwnCertificate.NONE): Fault.MISSING_CLIENT,
    (Fault.REFUSED_CLIENT, OwnCertificate.EXPIRED): Fault.EXPIRED_CLIENT,
    (Fault.HANDSHAKE_WITHOUT, OwnCertificate.EXPIRED): Fault.HANDSHAKE,
    (Fault.HANDSHAKE_WITHOUT, OwnCertificate.GOOD): Fault.HANDSHAKE,
}
"""What is said of all clients, and means something else for this one."""

_HANGS_UP = ("Socket closed", "Connection reset by peer", "Broken pipe")
"""Said by whoever is spoken to in the wrong way, and by a proxy whose server is down."""

_BY_DETAILS: tuple[tuple[str, Meaning], ...] = (
    ("election: no leader", Meaning.NO_LEADER),
    ("election: not leader", Meaning.NOT_LEADER),
    ("requested lease not found", Meaning.LEASE_GONE),
    ("lease already exists", Meaning.LEASE_EXISTS),
    ("request is too large", Meaning.TOO_LARGE),
    ("message larger than max", Meaning.TOO_LARGE),
    ("invalid auth token", Meaning.TOKEN_REFUSED),
    ("revision of auth store is old", Meaning.TOKEN_REFUSED),
    ("revision in header is old", Meaning.TOKEN_REFUSED),
    ("authentication failed", Meaning.UNAUTHENTICATED),
    ("user name is empty", Meaning.TOKEN_REFUSED),
    ("authentication is not enabled", Meaning.AUTH_OFF),
    ("permission denied", Meaning.DENIED),
    ("revision has been compacted", Meaning.COMPACTED),
    ("request timed out", Meaning.BUSY),
    ("leader changed", Meaning.BUSY),
    ("etcdserver: no leader", Meaning.BUSY),
    ("not a primary lessor", Meaning.BUSY),
    ("too many requests", Meaning.BUSY),
    ("server stopped", Meaning.BUSY),
    (_CONNECTING, Meaning.UNREACHED),
    ("errors resolving", Meaning.UNREACHED),
    ("DNS resolution failed", Meaning.UNREACHED),
    ("context deadline exceeded", Meaning.SILENT),
    ("context canceled", Meaning.SILENT),
)

_BY_CODE: dict[str, Meaning] = {
    "UNAVAILABLE": Meaning.SILENT,
    "DEADLINE_EXCEEDED": Meaning.SILENT,
    "CANCELLED": Meaning.SILENT,
    "UNAUTHENTICATED": Meaning.UNAUTHENTICATED,
    "PERMISSION_DENIED": Meaning.DENIED,
}

RETRIED = frozenset({Meaning.BUSY, Meaning.SILENT, Meaning.UNREACHED, Meaning.NO_TLS})
"""Meanings after which an idempotent call is tried elsewhere."""

BROKEN_OFF = frozenset({Meaning.SILENT, Meaning.UNREACHED, Meaning.NO_TLS})
"""Meanings after which the server may still be at work on the call: its clean-up may follow."""

NEVER_LEFT = frozenset({Meaning.UNREACHED, Meaning.NO_TLS})
"""Meanings that are sure that the request was not sent."""


def fault(failure: Failure, own: OwnCertificate) -> Fault | None:
    """Why no secure connection could be made; None if that is not what a failure says."""
    if _CONNECTING not in failure.details:
        return None
    for text, found in _FAULTS:
        if text in failure.details:
            return _OF_CLIENT.get((found, own), found)
    return None


def hangs_up(failure: Failure) -> bool:
    """True where the other side ended the connection before it stood: what does it speak?"""
    return _CONNECTING in failure.details and any(text in failure.details for text in _HANGS_UP)


def answered(reply: Reply) -> bool:
    """True for what etcd said, if only to refuse; False for silence, and where it is too busy."""
    return not isinstance(reply, Failure) or meaning(reply) not in RETRIED


def meaning(failure: Failure) -> Meaning:
    """Looks a failure up."""
    if fault(failure, OwnCertificate.GOOD) is not None:
        return Meaning.NO_TLS
    for text, meant in _BY_DETAILS:
        if text in failure.details:
            return meant
    return _BY_CODE.get(failure.code, Meaning.OTHER)


def final(reply: Reply) -> bool:
    """False for a failure after which the call is made again, here or elsewhere."""
    if not isinstance(reply, Failure):
        return True
    meant = meaning(reply)
    return meant not in RETRIED and meant is not Meaning.TOKEN_REFUSED


_CLASSES: dict[Meaning, type[errors.EtcdError]] = {
    Meaning.TOO_LARGE: errors.ValueTooLarge,
    Meaning.TOKEN_REFUSED: errors.AuthenticationFailed,
    Meaning.UNAUTHENTICATED: errors.AuthenticationFailed,
    Meaning.AUTH_OFF: errors.AuthenticationFailed,
    Meaning.DENIED: errors.PermissionDenied,
    Meaning.BUSY: errors.Unavailable,
    Meaning.SILENT: errors.Unavailable,
    Meaning.UNREACHED: errors.Unavailable,
    Meaning.NO_TLS: errors.Unavailable,
}

_ADVICE = {
    Meaning.TOO_LARGE: "etcd is told what to accept by --max-request-bytes",
    Meaning.TOKEN_REFUSED: "etcd wants to know who asks: see user and password",
    Meaning.UNAUTHENTICATED: "user or password is wrong",
    Meaning.DENIED: "the user needs permission to read, and as a candidate to write, the keys that"
    " begin with the election's name and a slash",
}
"""What to do about it, for those to whom etcd's own words do not say it."""


def error(operation: str, failure: Failure, *, maybe_applied: bool = False) -> errors.EtcdError:
    """The exception for a failure that an operation cannot get over."""
    meant = meaning(failure)
    advice = f" ({_ADVICE[meant]})" if meant in _ADVICE else ""
    made = _CLASSES.get(meant, errors.EtcdError)(
        f"{operation}: {failure.said}{advice}",
        code=failure.code,
        details=failure.details,
        maybe_applied=maybe_applied,
    )
    made.__cause__ = failure.cause
    return made
