"""What a front-end lends to plans: work that goes on in the background, started without waiting."""

from __future__ import annotations

from typing import Protocol

from .leadership import LeadershipState
from .lease import LeaseClock


class Host(Protocol):
    """Implemented by each front-end."""

    def keep(self, lease: LeaseClock) -> None:
        """Renews the lease at every beat until it ends."""

    def retire(self, lease: LeaseClock) -> None:
        """Stops believing in the lease and revokes it, over and over until etcd has confirmed."""

    def watch_over(self, state: LeadershipState) -> None:
        """Ends the leadership when its key is gone or written by others."""

    def announce(self, state: LeadershipState, *, began_at: float) -> None:
        """Tells of a leadership that is handed out, and later of its end.

        Args:
            state: The leadership.
            began_at: When its campaign began.
        """
