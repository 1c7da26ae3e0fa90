"""Following an election: a watch on the leader, a beat, and, if wanted, the server's Observe.

Observe alone is not enough: it never tells of a vacancy, skips leaders who follow each other
quickly, hangs with a member's Election service, and may end with status OK though nothing is over.
So every end is only a reason to start again; the leader's key is watched, and while there is none
all keys of the election; and every few seconds the queue is read.
"""

from __future__ import annotations

import logging

from ... import errors
from ...events import ObserverMoved
from ...pb import rpc_pb2, v3election_pb2
from .. import timing
from ..effects import (
    Ended,
    KeyGone,
    KeyPut,
    Observed,
    Open,
    Plan,
    Receive,
    Watch,
    WatchStands,
)
from ..link import Link
from ..method import Method
from ..observe import ObserveCursor
from ..standing import as_leader, is_candidate_key, prefix, queue
from .call import call

logger = logging.getLogger("etcd_election")

_FATAL = (errors.AuthenticationFailed, errors.PermissionDenied)
_REOPEN = (0.1, 0.2, 0.5, 1.0, 2.0)


class Following:
    """What one followed election's plan knows."""

    def __init__(self, link: Link, name: bytes, cursor: ObserveCursor, *, observes: bool) -> None:
        self.link = link
        self.name = name
        self.cursor = cursor
        self._observes = observes
        self._member: int | None = None
        self._source: int | None = None
        self._reopen_at = float("-inf")
        self._failures = 0
        self._read_at = float("-inf")
        self._watched = Watch()

    def follow(self) -> Plan[None]:
        """Feeds the cursor for ever. Runs in the background.

        Raises:
            AuthenticationFailed, PermissionDenied: What cannot heal.
        """
        try:
            while True:
                now = self.link.clock()
                if now >= self._read_at:
                    yield from self._read()
                elif self._observes and self._member is None and now >= self._reopen_at:
                    yield from self._open()
                else:
                    yield from self._receive(now)
        finally:
            self._give()

    def _read(self) -> Plan[None]:
        link = self.link
        self._read_at = link.clock() + timing.OBSERVE_BEAT * (1 - link.random() / 10)
        request = queue(self.name, limit=1)
        try:
            answer = yield from call(
                link,
                "observe",
                Method.RANGE,
                request,
                deadline=link.clock() + link.timeout,
                enduring=True,
            )
        except _FATAL:
            raise
        except errors.EtcdError as error:
            logger.debug("election %r could not be read: %s", self.name, error)
            self._read_at = link.clock() + _REOPEN[0]
            return
        if self._member is None:
            self._comes_from(answer.endpoint)
        response: rpc_pb2.RangeResponse = answer.message
        # As it is now: the read itself may have shown another cluster.
        generation = link.cluster.generation
        if not response.kvs:
            self.cursor.vacancy(response.header.revision, generation)
            # The next put, whosever it is, is the next leader's.
            yield from self._watch(Watch(prefix=prefix(self.name)))
            return
        head = response.kvs[0]
        if not is_candidate_key(self.name, head.key):
            link.warn_foreign(self.name, head.key)
        self.cursor.leader(as_leader(self.name, head, response.header.revision), generation)
        yield from self._watch(Watch(frozenset((head.key,))))

    def _watch(self, wanted: Watch) -> Plan[None]:
        if wanted != self._watched:
            self._watched = wanted
            yield wanted

    def _watches(self, key: bytes) -> bool:
        """False for a fact of an earlier watch."""
        prefixed = self._watched.prefix is not None and key.startswith(self._watched.prefix)
        return prefixed or key in self._watched.keys

    def _open(self) -> Plan[None]:
        endpoint = self.link.ring.pick()
        member = self.link.member(endpoint)
        if not self.link.waits.take(member):
            # As many waits as one member bears: the watch and the beat do it alone.
            self._reopen_at = self.link.clock() + _REOPEN[-1]
            return
        self._member = member
        self._comes_from(endpoint)
        metadata, _ = self.link.metadata()
        request = v3election_pb2.LeaderRequest(name=self.name)
        yield Open(endpoint, Method.OBSERVE, request, metadata)

    def _comes_from(self, endpoint: int) -> None:
        """Tells where the news comes from, if that is another endpoint than before."""
        former, self._source = self._source, endpoint
        if former is None or former == endpoint:
            return
        known = self.link.endpoints
        self.link.tell(
            ObserverMoved(
                name=self.name, endpoint=known[endpoint].shown, former=known[former].shown
            )
        )

    def _give(self) -> None:
        if self._member is not None:
            self.link.waits.give(self._member)
            self._member = None

    def _receive(self, now: float) -> Plan[None]:
        wakes_at = self._read_at
        if self._observes and self._member is None:
            wakes_at = min(wakes_at, self._reopen_at)
        fact = yield Receive(max(0.0, wakes_at - now))
        if isinstance(fact, Observed):
            self._failures = 0
            response: v3election_pb2.LeaderResponse = fact.response  # type: ignore[assignment]
            yield from self._seen(response)
        elif isinstance(fact, Ended):
            self._give()
            pause = _REOPEN[min(self._failures, len(_REOPEN) - 1)]
            self._failures += 1
            now = self.link.clock()
            self._reopen_at = now + pause * (0.75 + self.link.random() / 2)
            # What happened since its last word is to be found by a read, not by the next stream.
            self._read_at = now
        elif isinstance(fact, KeyPut) and self._watches(fact.kv.key):
            # A put may also create the key anew, behind others: then only a read knows who leads.
            self._read_at = self.link.clock()
        elif isinstance(fact, (KeyGone, WatchStands)) and self._watches(fact.key):
            self._read_at = self.link.clock()

    def _seen(self, response: v3election_pb2.LeaderResponse) -> Plan[None]:
        if not (response.header.cluster_id and response.kv.key):
            logger.debug("election %r: what was observed is not etcd's", self.name)
            return
        self.link.saw(response.header, floor=None)
        leader = as_leader(self.name, response.kv, response.header.revision)
        self.cursor.leader(leader, self.link.cluster.generation)
        yield from self._watch(Watch(frozenset((leader.key,))))
