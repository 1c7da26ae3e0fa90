"""One leadership, from the verified win to its end.

Transitions::

    HELD --end(RESIGNED | CLOSED)------------------> over   before the request that removes the key
    HELD --end(KEY_DELETED | TAKEN_OVER)-----------> over   a watch or the beat saw it
    HELD --the lease ended-------------------------> over   SESSION_EXPIRED | CLUSTER_CHANGED
    HELD --asked in a child process----------------> over   FORKED, in the child alone

The first reason is final, and ``held`` never becomes True again. Removing the key is a duty of its
own, which ends only when etcd has confirmed: PENDING -> DONE.

Not guaranteed: that a write already on its way arrives before the end, and anything about a virtual
machine whose clock stood still. There only the token helps, where the written side compares it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from ..pb import kv_pb2
from ..types import LostReason
from .callbacks import Callbacks
from .lease import LeaseClock

_END = "end"

OURS = (LostReason.RESIGNED, LostReason.CLOSED)
"""Ends of our own making: whoever made them removes the key."""


class LeadershipState:
    """What is known about one leadership. Thread-safe; ``held`` takes no lock.

    Args:
        value: What etcd has under the key.
        mod_revision: When that was written.
        read_at: Etcd's revision as of which the key was found to lead.

    Attributes:
        name: The election.
        key: The candidate key.
        token: Its create revision.
        lease: The lease that it hangs on.
        key_left: True until etcd has confirmed that the key is gone, or its lease.
    """

    def __init__(
        self,
        *,
        name: bytes,
        key: bytes,
        token: int,
        value: bytes,
        mod_revision: int,
        lease: LeaseClock,
        read_at: int = 0,
    ) -> None:
        self.name = name
        self.key = key
        self.token = token
        self.lease = lease
        self.key_left = True
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._value = value
        self._mod_revision = mod_revision
        self._read_at = read_at
        self._proposed: dict[int, bytes] = {}
        self._proposals = 0
        self._ended: dict[str, LostReason] = {}
        self._callbacks = Callbacks()
        # Called at once if the lease has ended in this moment.
        self._unheard: Callable[[], None] = lambda: None
        self._unheard = lease.when_ended(self.settle)

    @property
    def held(self) -> bool:
        """True while this is leadership; computed now, from the clock and what is known."""
        if self._ended or os.getpid() != self._process:
            return False
        if self.lease.alive:
            return not self._ended
        self._ended.setdefault(_END, self.lease.ended or LostReason.SESSION_EXPIRED)
        return False

    @property
    def lost(self) -> LostReason | None:
        """Why it is no longer held, or None while it is."""
        if self.held:
            return None
        return self._ended.get(_END, LostReason.FORKED)

    @property
    def value(self) -> bytes:
        """The value that etcd confirmed last."""
        return self._value

    def remaining(self) -> float:
        """Seconds to the local deadline; 0.0 when it is over."""
        return self.lease.remaining() if self.held else 0.0

    def end(self, reason: LostReason) -> bool:
        """Ends it; True if this call did."""
        ours = self.held and self._ended.setdefault(_END, reason) is reason
        self.settle()
        return ours

    def settle(self) -> None:
        """Calls the callbacks if it is over and they were not called yet."""
        if self.held:
            return
        self._unheard()
        reason = self.lost
        if reason not in OURS and reason is not LostReason.FORKED:
            # What becomes of the key is not known: the next campaign takes another lease.
            self.lease.end(reason or LostReason.SESSION_EXPIRED)
        self._callbacks.call()

    def when_ended(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back once, when the end is noticed (at once if it was); returns the removal.

        The callback runs on the thread that notices and must be quick.
        """
        remove = self._callbacks.add(callback)
        self.settle()
        return remove

    def proposed(self, value: bytes) -> int:
        """A write of ours is about to leave; returns its number."""
        with self._lock:
            self._proposals += 1
            self._proposed[self._proposals] = value
            return self._proposals

    def confirmed(self, proposal: int, mod_revision: int) -> None:
        """Etcd carried the write out."""
        with self._lock:
            value = self._proposed.pop(proposal)
            if mod_revision > self._mod_revision:
                self._value, self._mod_revision = value, mod_revision

    def refused(self, proposal: int) -> None:
        """The write surely was not carried out; one of unknown outcome stays proposed."""
        with self._lock:
            self._proposed.pop(proposal, None)

    def knows(self, revision: int) -> bool:
        """Whether what is known of the key is not older than this revision."""
        return revision <= max(self._read_at, self._mod_revision)

    def judge(self, kv: kv_pb2.KeyValue | None) -> LostReason | None:
        """What the key's present state, None if it is gone, says about this leadership.

        A write by others is one that leaves our lease, or brings a newer revision with a value that
        none of our own writes under way carries.
        """
        if kv is None or kv.create_revision != self.token:
            return LostReason.KEY_DELETED
        with self._lock:
            if kv.lease != self.lease.lease_id:
                return LostReason.TAKEN_OVER
            newer = kv.mod_revision > self._mod_revision
            if newer and kv.value not in self._proposed.values():
                return LostReason.TAKEN_OVER
            return None
