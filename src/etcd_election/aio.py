"""Leader election on etcd v3 for asyncio: the names, arguments and errors of ``etcd_election``.

::

    from etcd_election.aio import ElectionClient

    async with ElectionClient("127.0.0.1:2379", "my-service", ttl=15) as client:
        async with await client.campaign("host-1") as leadership:
            while leadership.held:
                await do_a_piece_of_work(leadership.token)

Everything runs in the event loop of the first use, on grpc.aio. The lease is renewed there, too:
work that blocks the loop for longer than the ttl loses leadership, and ``held`` says so at the
first question. Cancelling a task that awaits ``campaign()`` cancels the campaign.
"""

from __future__ import annotations

from . import __version__
from ._aio.client import ElectionClient
from ._aio.connection import Etcd
from ._aio.leadership import Leadership
from ._aio.observer import Observer
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
