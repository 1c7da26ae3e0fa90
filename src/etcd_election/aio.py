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
from .types import TLS, Leader, LostReason, State

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
