"""What must hold for a leadership to be renewed, beyond that nobody ends it.

A thread or an event loop goes on renewing while the work that leads hangs. A condition ties both
together: while it does not hold, nothing is renewed, and leadership ends with its lease.

Not guaranteed: that the hanging work notices. It does not run; the fencing token does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from . import timing

logger = logging.getLogger("etcd_election")


class Condition:
    """Of one leadership, from its win to its confirmed end.

    Args:
        renew_while: Asked before every renewal; None: nothing is asked.
        ends_at: No renewal reaches beyond this instant; None: there is no such.

    Attributes:
        withheld: True once a renewal was withheld.
    """

    def __init__(self, renew_while: Callable[[], object] | None, ends_at: float | None) -> None:
        self.withheld = False
        self._renew_while = renew_while
        self._ends_at = ends_at

    @property
    def asks(self) -> bool:
        """Whether there is something to ask."""
        return self._renew_while is not None

    def outlasts(self, now: float, ttl: float) -> bool:
        """True if a renewal sent now would reach beyond the end of the term."""
        return self._ends_at is not None and now + ttl - timing.margin(ttl) > self._ends_at

    def ask(self) -> bool:
        """The user's answer; runs where the front-end lets the user's code run."""
        if self._renew_while is None:
            return True
        try:
            return bool(self._renew_while())
        except Exception:
            logger.exception("renew_while failed, which counts as a no")
            return False
