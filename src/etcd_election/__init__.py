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
from .events import (
    AuthenticatedAgain,
    CampaignStarted,
    ClusterChanged,
    Elected,
    EndpointLeft,
    Event,
    EventsDropped,
    LeadershipLost,
    ObserverMoved,
    SessionEnded,
    SessionGranted,
    SessionRenewedLate,
    WaitRescued,
)
from .types import TLS, Leader, LostReason, State

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "AuthenticatedAgain",
    "AuthenticationFailed",
    "CampaignCancelled",
    "CampaignStarted",
    "CampaignTimeout",
    "ClientClosed",
    "ClusterChanged",
    "Elected",
    "ElectionClient",
    "ElectionError",
    "EndpointLeft",
    "Etcd",
    "EtcdError",
    "Event",
    "EventsDropped",
    "Leader",
    "Leadership",
    "LeadershipLost",
    "LostReason",
    "NoLeader",
    "NotLeader",
    "Observer",
    "ObserverMoved",
    "OperationTimeout",
    "PermissionDenied",
    "SessionEnded",
    "SessionExpired",
    "SessionGranted",
    "SessionRenewedLate",
    "State",
    "Unavailable",
    "ValueTooLarge",
    "WaitRescued",
    "__version__",
]
