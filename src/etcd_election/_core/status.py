"""What an answer other than OK means: details first, code second, in one table.

Nearly every error of etcd's Election service has the code UNKNOWN, and the same condition comes
with other codes from other services and versions; the text is what is stable. Each row is tested on
every etcd at hand.
"""

from __future__ import annotations

import enum

from .. import errors
from .effects import Failure


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
    OTHER = "an error"


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
    ("failed to connect", Meaning.UNREACHED),
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

RETRIED = frozenset({Meaning.BUSY, Meaning.SILENT, Meaning.UNREACHED})
"""Meanings after which an idempotent call is tried elsewhere."""

BROKEN_OFF = frozenset({Meaning.SILENT, Meaning.UNREACHED})
"""Meanings after which the server may still be at work on the call: its clean-up may follow."""


def meaning(failure: Failure) -> Meaning:
    """Looks a failure up."""
    for text, meant in _BY_DETAILS:
        if text in failure.details:
            return meant
    return _BY_CODE.get(failure.code, Meaning.OTHER)


_CLASSES: dict[Meaning, type[errors.EtcdError]] = {
    Meaning.TOO_LARGE: errors.ValueTooLarge,
    Meaning.TOKEN_REFUSED: errors.AuthenticationFailed,
    Meaning.UNAUTHENTICATED: errors.AuthenticationFailed,
    Meaning.AUTH_OFF: errors.AuthenticationFailed,
    Meaning.DENIED: errors.PermissionDenied,
    Meaning.BUSY: errors.Unavailable,
    Meaning.SILENT: errors.Unavailable,
    Meaning.UNREACHED: errors.Unavailable,
}


def error(operation: str, failure: Failure, *, maybe_applied: bool = False) -> errors.EtcdError:
    """The exception for a failure that an operation cannot get over."""
    made = _CLASSES.get(meaning(failure), errors.EtcdError)(
        f"{operation}: {failure.details or failure.code}",
        code=failure.code,
        details=failure.details,
        maybe_applied=maybe_applied,
    )
    made.__cause__ = failure.cause
    return made
