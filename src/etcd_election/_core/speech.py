"""What endpoints speak that hang up as soon as they are spoken to.

TLS and plain text look alike to whoever speaks the other one: the connection ends. So does one to a
proxy whose server is down. Only a probe tells them apart, and only what it has found makes a
failure final.
"""

from __future__ import annotations

import threading

from . import timing
from .status import Fault


class Speech:
    """The probes of one connection. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at: dict[int, float] = {}
        self._faults: dict[int, Fault | None] = {}

    def due(self, endpoint: int, now: float) -> bool:
        """True if the caller is to have the endpoint probed now."""
        with self._lock:
            if now < self._asked_at.get(endpoint, float("-inf")) + timing.PROBE_AGAIN:
                return False
            self._asked_at[endpoint] = now
            self._faults.pop(endpoint, None)
            return True

    def told(self, endpoint: int, fault: Fault | None) -> None:
        """What the probe has found; None: nothing that would explain it."""
        with self._lock:
            self._faults[endpoint] = fault

    def pending(self, endpoint: int) -> bool:
        """True while the probe is under way."""
        return endpoint not in self._faults

    def fault(self, endpoint: int) -> Fault | None:
        """What the last probe has found."""
        return self._faults.get(endpoint)
