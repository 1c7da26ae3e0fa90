"""Leader election on etcd v3, over the server's own Election service.

::

    from etcd_election import ElectionClient

    with ElectionClient("127.0.0.1:2379", "my-service", ttl=15) as client:
        with client.campaign("host-1") as leadership:
            while leadership.held:
                do_a_piece_of_work(leadership.token)

``held`` says whether leadership may still be believed in; ``token`` is what protects data against a
write that was already on its way.
"""

from __future__ import annotations

from ._sync.client import ElectionClient
from ._sync.connection import Etcd
from ._sync.leadership import Leadership
from ._sync.observer import Observer
from .errors import (
    AuthenticationFailed,
    CampaignCancelled,
    CampaignTimeout,
    ClientClosed,
    ElectionError,
    EtcdError,
    NoLeader,
    NotLeader,
    OperationTimeout,
    PermissionDenied,
    SessionExpired,
    Unavailable,
    ValueTooLarge,
)
from .types import TLS, Leader, LostReason, State

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "AuthenticationFailed",
    "CampaignCancelled",
    "CampaignTimeout",
    "ClientClosed",
    "ElectionClient",
    "ElectionError",
    "Etcd",
    "EtcdError",
    "Leader",
    "Leadership",
    "LostReason",
    "NoLeader",
    "NotLeader",
    "Observer",
    "OperationTimeout",
    "PermissionDenied",
    "SessionExpired",
    "State",
    "Unavailable",
    "ValueTooLarge",
    "__version__",
]
