"""How loud an event is in the log.

Nothing at INFO or above happens in a quiet hour: no session or leadership ends but by its owner's
will, no endpoint is suspected, and tokens that run out are fetched anew at DEBUG.
"""

from __future__ import annotations

import logging

from ..events import EndpointLeft, Event, LeadershipLost, SessionEnded, SessionRenewedLate
from .leadership import OURS


def level(event: Event) -> int:
    """A level of ``logging``.

    A lost leadership is no warning: the leader is told in any case, and a program that has set up
    no logging would find it on its terminal. A rescued wait and a change of cluster are DEBUG: a
    warning that says what to do goes with them.
    """
    if isinstance(event, SessionRenewedLate):
        return logging.WARNING
    if isinstance(event, (LeadershipLost, SessionEnded)) and event.reason not in OURS:
        return logging.INFO
    return logging.INFO if isinstance(event, EndpointLeft) else logging.DEBUG
