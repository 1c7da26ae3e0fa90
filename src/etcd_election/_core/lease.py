"""What may still be believed about one lease.

Transitions::

    NEW   --renewed(sent_at, ttl > 0)--> ALIVE     deadline = sent_at + ttl - margin(ttl)
    ALIVE --renewed(sent_at, ttl > 0)--> ALIVE     the deadline only moves forward
    any   --renewed(ttl <= 0)----------> ENDED
    any   --end(reason) or condemn-----> ENDED
    ALIVE --the deadline passes--------> ENDED     found out by whoever asks first

ENDED is final: a late answer never revives. ``sent_at`` is taken before the request leaves, so the
server's own deadline lies behind ours whatever the network does (etcd deletes 0.005 to 0.51 s after
the ttl counted from the send, never before: measured).

Not guaranteed: that the key on the lease is there. Somebody may delete it, or revoke the lease.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..types import LostReason
from . import timing
from .callbacks import Callbacks
from .condition import Condition

_END = "end"


class LeaseClock:
    """The life of one lease. Thread-safe; ``alive`` and ``remaining`` take no lock.

    Attributes:
        lease_id: Etcd's number of the lease.
        name: The election that it is for.
        tainted: True once a call of unknown outcome may still write under this lease: it is
            revoked after its present use instead of being used again.
        condition: What the leadership that rests on it is bound to, if anything.
    """

    def __init__(self, lease_id: int, *, clock: timing.Clock, name: bytes = b"") -> None:
        self.lease_id = lease_id
        self.name = name
        self.tainted = False
        self.condition: Condition | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._ttl = 0
        self._renewed_at = float("-inf")
        self._deadline = float("inf")
        self._ended: dict[str, LostReason] = {}
        self._callbacks = Callbacks()

    def __repr__(self) -> str:
        return f"<LeaseClock {self.lease_id:x} remaining={self.remaining():.3f}>"

    @property
    def ttl(self) -> int:
        """The ttl that the server granted, in seconds; 0 before the first answer."""
        return self._ttl

    @property
    def renewed_at(self) -> float:
        """When the renewal was sent that counts."""
        return self._renewed_at

    @property
    def alive(self) -> bool:
        """True while the lease cannot have run out; once False, for ever.

        Read again when a renewal changed the deadline between both readings; latched without a
        lock (``setdefault`` is atomic), for a signal handler may ask while its thread holds any.
        """
        while not self._ended:
            deadline = self._deadline
            if self._clock() < deadline:
                return not self._ended
            if self._deadline == deadline:
                self._ended.setdefault(_END, LostReason.SESSION_EXPIRED)
        return False

    @property
    def ended(self) -> LostReason | None:
        """Why the lease is not believed in any more, or None while it is."""
        return None if self.alive else self._ended[_END]

    def remaining(self) -> float:
        """Seconds to the local deadline; 0.0 when it has ended or was not granted yet."""
        if not self.alive or not self._ttl:
            return 0.0
        return max(0.0, self._deadline - self._clock())

    def since(self, instant: float) -> float:
        """Seconds from an instant to now, or to the local deadline where that has passed."""
        return max(0.0, min(self._clock(), self._deadline) - instant)

    def next_beat(self, random: timing.Random) -> float:
        """When the renewal after the present one is due; another instant whenever it is asked."""
        return timing.beat_after(self._renewed_at, self._ttl, random)

    def renewed(self, *, sent_at: float, ttl: int) -> bool:
        """Takes the answer to a grant or keepalive; False if the lease has ended.

        Args:
            sent_at: The clock before the request left.
            ttl: Seconds, from the answer; 0 or less says that etcd does not know the lease.
        """
        with self._lock:
            if ttl <= 0:
                self._ended.setdefault(_END, LostReason.SESSION_EXPIRED)
            elif self.alive:
                deadline = sent_at + ttl - timing.margin(ttl)
                if not self._ttl or deadline > self._deadline:
                    # In this order: who asks without the lock sees no ttl without a deadline.
                    self._deadline, self._renewed_at, self._ttl = deadline, sent_at, ttl
        alive = self.alive
        if not alive:
            self.settle()
        return alive

    def end(self, reason: LostReason) -> None:
        """The lease is not to be believed in any more."""
        self.condemn(reason)
        self.settle()

    def condemn(self, reason: LostReason) -> None:
        """The same, but nobody is called: that is left to ``settle``, where a lock is held now."""
        self._ended.setdefault(_END, reason)

    def settle(self) -> None:
        """Calls the callbacks if the lease has ended and they were not called yet."""
        if self.alive:
            return
        self._callbacks.call()

    def when_ended(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back once, when the end is noticed (at once if it was); returns the removal.

        The callback runs on the thread that notices and must be quick.
        """
        remove = self._callbacks.add(callback)
        self.settle()
        return remove
