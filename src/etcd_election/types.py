"""The plain values that users meet: who leads, why leadership ended, how to speak TLS."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field, fields

__all__ = ["TLS", "Leader", "LostReason", "State"]

Material = str | os.PathLike[str] | bytes
"""A path, or what such a file contains."""


class State(enum.Enum):
    """What a client is doing."""

    IDLE = "idle"
    CAMPAIGNING = "campaigning"
    LEADING = "leading"
    CLOSED = "closed"


class LostReason(enum.Enum):
    """Why a leadership is no longer held."""

    SESSION_EXPIRED = "session expired"
    """The lease's local deadline passed, or etcd said that the lease is gone."""
    KEY_DELETED = "key deleted"
    """Somebody else removed the candidate key, or revoked its lease."""
    TAKEN_OVER = "taken over"
    """Somebody else wrote the candidate key."""
    CLUSTER_CHANGED = "cluster changed"
    """Another etcd cluster, or a restored backup, answers at the endpoints."""
    RESIGNED = "resigned"
    CLOSED = "closed"
    FORKED = "forked"
    """This process is a child of the one that was elected."""


@dataclass(frozen=True)
class Leader:
    """A candidate's entry in the queue of an election, as etcd stored it.

    Attributes:
        name: The election.
        key: The candidate's key, ``name/<lease in hexadecimal>``.
        value: What the candidate proclaimed last.
        lease_id: The lease that the key hangs on; 0 if somebody put it there without one.
        token: The fencing token, the key's create revision. It grows from leader to leader.
        mod_revision: The revision of the last change to the key.
        revision: Etcd's revision when this was read. Not compared.
    """

    name: bytes
    key: bytes
    value: bytes
    lease_id: int
    token: int
    mod_revision: int
    revision: int = field(compare=False)

    @property
    def text(self) -> str:
        """The value as UTF-8, undecodable bytes kept as surrogate escapes."""
        return self.value.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, repr=False)
class TLS:
    """How to speak to etcd securely. Its representation shows paths, and nothing of what they hold.

    What is given by path is read when an ``Etcd`` is made, and again when a connection is made anew
    and the file has changed.

    Args:
        ca: Whom to trust: certificates in PEM, a path or bytes. None: whom the operating system
            trusts, as far as Python's ``ssl`` knows it (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are
            heeded; gRPC's own list of roots, and the variable that replaces it, are not).
        cert: This client's certificate in PEM, those that lead to its CA behind it.
        key: The private key of ``cert`` in PEM, not encrypted.
        server_name: The name that etcd's certificate must be for, in place of the endpoint's.

    Raises:
        TypeError, ValueError: An argument is not as described.
    """

    ca: Material | None = None
    cert: Material | None = None
    key: Material | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("ca", "cert", "key"):
            value: object = getattr(self, name)
            if value is not None and not isinstance(value, (str, bytes, os.PathLike)):
                raise TypeError(f"{name} must be a path or bytes, not {type(value).__name__}")
        if self.server_name is not None and not isinstance(self.server_name, str):
            raise TypeError(f"server_name must be a str, not {type(self.server_name).__name__}")
        if self.server_name == "":
            raise ValueError("server_name must not be empty")
        if (self.cert is None) != (self.key is None):
            given, missing = ("key", "cert") if self.cert is None else ("cert", "key")
            raise ValueError(f"{given} was given without {missing}: they belong together")

    def __repr__(self) -> str:
        shown = []
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, bytes):
                shown.append(f"{entry.name}=<{len(value)} bytes>")
            elif value is not None:
                shown.append(f"{entry.name}={value!r}")
        return f"TLS({', '.join(shown)})"
