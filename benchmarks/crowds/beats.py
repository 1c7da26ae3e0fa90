"""How long a lease was left alone, at the longest: every renewal that counts is looked at."""

from __future__ import annotations

from typing import Any

from etcd_election._core.lease import LeaseClock


class Beats:
    """From construction on, sees all renewals of this process."""

    def __init__(self) -> None:
        self._latest = 0.0
        renewed = LeaseClock.renewed

        def seen(lease: LeaseClock, **answer: Any) -> bool:
            before = lease.renewed_at
            alive = renewed(lease, **answer)
            if before > float("-inf"):
                self._latest = max(self._latest, lease.renewed_at - before)
            return alive

        setattr(LeaseClock, "renewed", seen)  # noqa: B010 - type checkers refuse the plain way

    def latest(self) -> float:
        """The longest time between two renewals of a lease since the last question, in seconds."""
        latest, self._latest = self._latest, 0.0
        return latest
