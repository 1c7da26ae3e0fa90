"""Is it still the same cluster that answers?

Every answer's header names its cluster. After a restore from a backup, key, lease and token come
back as they were and a watch from a later revision stays silent (measured); what gives it away is
the cluster's id, or a linearizable answer whose revision lies below one that had been seen before
the request was sent. Keepalive, watch and serializable answers prove nothing by their revision: a
member may lag.
"""

from __future__ import annotations

import threading
from typing import Protocol


class Header(Protocol):
    """The part of etcd's ResponseHeader that is looked at."""

    cluster_id: int
    revision: int
    raft_term: int


class ClusterWatch:
    """The highest of what has been seen. Thread-safe.

    Attributes:
        generation: Grows by one with every change of cluster.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cluster_id = 0
        self._revision = 0
        self._raft_term = 0
        self.generation = 0

    @property
    def revision(self) -> int:
        """The highest revision seen."""
        return self._revision

    @property
    def cluster_id(self) -> int:
        """The cluster seen last; 0 before the first answer."""
        return self._cluster_id

    def stale_term(self, raft_term: int) -> bool:
        """True for a term below the highest seen: the answer of a deposed raft leader."""
        return raft_term < self._raft_term

    def saw(self, header: Header, *, floor: int | None) -> bool:
        """Takes an answer's header; True if it shows another cluster.

        Args:
            header: The header; one without a cluster id says nothing.
            floor: For a linearizable answer, ``revision`` as it was when the request was sent.
        """
        if not header.cluster_id:
            return False
        with self._lock:
            other = self._cluster_id not in (0, header.cluster_id)
            restored = floor is not None and floor <= self._revision and header.revision < floor
            if other or restored:
                self.generation += 1
                self._revision, self._raft_term = header.revision, header.raft_term
            else:
                self._revision = max(self._revision, header.revision)
                self._raft_term = max(self._raft_term, header.raft_term)
            self._cluster_id = header.cluster_id
            return other or restored
