"""Every error this library raises, besides ``ValueError`` and ``TypeError`` for bad arguments.

::

    ElectionError(Exception)
    ├── SessionExpired        the lease ran out or was revoked
    ├── ClientClosed          the client or its connection was closed, or belongs to another process
    ├── NoLeader              nobody leads this election
    ├── NotLeader             leadership was asked for and is not held
    ├── OperationTimeout      the time given was not enough; also a TimeoutError
    │   └── CampaignTimeout
    ├── CampaignCancelled     cancel_campaign() was called
    └── EtcdError             what etcd or the connection answered
        ├── Unavailable       no endpoint answered in time; also a ConnectionError
        ├── AuthenticationFailed
        ├── PermissionDenied
        └── ValueTooLarge     etcd refuses a request of this size; also a ValueError

Facts are attributes, texts are made from them. A ``grpc.RpcError`` never escapes: where there was
one, it is the ``__cause__``. All errors survive ``pickle`` and ``copy``; a live ``leadership`` and
the cause stay behind in the process they belong to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

    from .types import LostReason

__all__ = [
    "AuthenticationFailed",
    "CampaignCancelled",
    "CampaignTimeout",
    "ClientClosed",
    "ElectionError",
    "EtcdError",
    "NoLeader",
    "NotLeader",
    "OperationTimeout",
    "PermissionDenied",
    "SessionExpired",
    "Unavailable",
    "ValueTooLarge",
]

_LIVE = ("leadership",)
"""Attributes that mean nothing outside the process that made them."""


def _rebuild(cls: type[ElectionError], args: tuple[Any, ...], facts: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ElectionError(Exception):
    """The root of all errors of this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: None if name in _LIVE else fact for name, fact in self.__dict__.items()}
        return _rebuild, (type(self), self.args, facts)


class SessionExpired(ElectionError):
    """The lease ran out or was revoked, and whatever rested on it is gone.

    Attributes:
        lease_id: The lease that ended, or None where it is not known.
        leadership: The leadership that ended with it, if there was one.
        reason: Why that leadership ended.
    """

    def __init__(
        self,
        message: str = "the session's lease has ended: campaign() again",
        *,
        lease_id: int | None = None,
        leadership: Any = None,
        reason: LostReason | None = None,
    ) -> None:
        super().__init__(message)
        self.lease_id = lease_id
        self.leadership = leadership
        self.reason = reason


class ClientClosed(ElectionError):
    """The client or its connection was closed, or was made in another process (before a fork)."""

    def __init__(self, message: str = "the client is closed: make a new one") -> None:
        super().__init__(message)


class NoLeader(ElectionError):
    """Nobody leads this election.

    Attributes:
        name: The election.
    """

    def __init__(self, message: str = "nobody leads this election", *, name: bytes = b"") -> None:
        super().__init__(message)
        self.name = name


class NotLeader(ElectionError):
    """Leadership was asked for and is not held.

    Attributes:
        leadership: The leadership that was asked.
        reason: Why it ended.
    """

    def __init__(
        self,
        message: str = "this leadership is no longer held",
        *,
        leadership: Any = None,
        reason: LostReason | None = None,
    ) -> None:
        super().__init__(message)
        self.leadership = leadership
        self.reason = reason


class OperationTimeout(ElectionError, TimeoutError):
    """The operation did not end within the time it was given."""


class CampaignTimeout(OperationTimeout):
    """The campaign was not won within its ``timeout``; its candidate key is removed."""


class CampaignCancelled(ElectionError):
    """``cancel_campaign()`` ended this campaign; its candidate key is removed."""

    def __init__(self, message: str = "the campaign was cancelled") -> None:
        super().__init__(message)


class EtcdError(ElectionError):
    """What etcd or the connection to it answered.

    Attributes:
        details: The answer's own text, which says more than the code: nearly every error of etcd's
            Election service has the code UNKNOWN.
        maybe_applied: True if the request may have been carried out, or may be yet.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        details: str = "",
        maybe_applied: bool = False,
    ) -> None:
        super().__init__(message)
        self._code = code
        self.details = details
        self.maybe_applied = maybe_applied

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code of the answer."""
        import grpc  # noqa: PLC0415 - the pure core raises these errors and never loads grpc

        return grpc.StatusCode[self._code]


class Unavailable(EtcdError, ConnectionError):
    """No endpoint answered in time.

    Attributes:
        attempts: What each endpoint said when it was tried last, as ``"host:port: answer"``.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNAVAILABLE",
        details: str = "",
        maybe_applied: bool = False,
        attempts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, code=code, details=details, maybe_applied=maybe_applied)
        self.attempts = attempts


class AuthenticationFailed(EtcdError):
    """Etcd does not know this user, password, token or certificate, or asks for one."""


class PermissionDenied(EtcdError):
    """The user may not read or write the keys of this election (they begin with ``name/``)."""


class ValueTooLarge(EtcdError, ValueError):
    """Etcd refuses a request of this size (its default limit is 1.5 MiB)."""
