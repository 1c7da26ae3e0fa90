"""The handlers of the Election service inside of a member: Campaign and Observe, hazards included.

A Campaign's handler puts the candidate's key, waits until no older key is left, one after the
other, and answers OK without looking at its own key again (phantom wins). When its call ends before
it has answered, it deletes that key a moment later, even if the key leads, or another call on the
same lease has taken it up (the call owns the key; stale clean-up). What keeps it from that leaves
an orphan: the put was still under way, the token or the member is gone, its service is wedged.

Not modelled: two users on one member (etcd issue 17502), and the wedge's own cause: a wedge is a
fault of the schedule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etcd_election._core.effects import Failure
from etcd_election._core.method import Method

from .cluster import BROKEN, HANGS, TIMED_OUT, Cluster, Member
from .store import Header, Kv

if TYPE_CHECKING:
    from .wire import Wait

LEASE_NOT_FOUND = Failure("UNKNOWN", "etcdserver: requested lease not found")
COMPACTED = Failure("UNKNOWN", "etcdserver: mvcc: required revision has been compacted")

_CLEANS_UP_WITHIN = 0.02


def unknown(failure: Failure) -> Failure:
    """As the Election service says it."""
    return Failure("UNKNOWN", failure.details)


@dataclass(slots=True)
class CampaignAnswer:
    """A Campaign's OK; nobody may believe the key in it."""

    header: Header
    leader: CampaignKey


@dataclass(slots=True)
class CampaignKey:
    """What a Campaign claims to have won."""

    key: bytes
    rev: int


@dataclass(slots=True)
class LeaderAnswer:
    """A message of an Observe."""

    header: Header
    kv: Kv


class Handler(ABC):
    """What serves one long call."""

    def __init__(self, cluster: Cluster, wait: Wait) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.store = cluster.store
        self.wait = wait
        self.member: Member = wait.member
        self.over = False
        self._watched = b""
        wait.handler = self
        self.member.handlers[self] = None

    def gone(self) -> None:
        """The client's end of the call is closed."""
        self._end()

    def died(self) -> None:
        """The member's process has ended."""
        self._end()
        self.wait.answer(BROKEN)

    def compacted(self) -> None:  # noqa: B027 - not all are concerned
        """The history that it watches is compacted."""

    def _end(self) -> None:
        self.over = True
        self._unwatch()
        self.member.handlers.pop(self, None)

    def _watch(self, key: bytes) -> None:
        self._unwatch()
        self._watched = key
        self.store.watch(key, self._changed)

    def _unwatch(self) -> None:
        if self._watched:
            self.store.unwatch(self._watched, self._changed)
            self._watched = b""

    @abstractmethod
    def _changed(self, kv: Kv, deleted: bool) -> None:
        """The watched key was put, or deleted."""


class Campaign(Handler):
    """Waits for its turn."""

    def __init__(self, cluster: Cluster, wait: Wait) -> None:
        super().__init__(cluster, wait)
        self._key = b"%s/%x" % (wait.request.name, wait.request.lease)
        self._rev = 0
        self._joined_at = 0.0
        self._left = False
        self._begin()

    def _begin(self) -> None:
        cluster, world, member = self.cluster, self.world, self.member
        if self.over and world.chance(0.5):
            return
        if member.stopped:
            member.queue.append(self._begin)
            return
        if not cluster.serves(member):
            world.counts["hazard: Campaign hangs 7 s after the raft leader's end"] += 1
            if world.chance(0.2):
                cluster.later(member, 0.0, self._put_late)
            world.after(HANGS, self._refuse, TIMED_OUT)
            return
        failure = cluster.token_fails(self.wait.token)
        if failure is not None:
            self._refuse(unknown(failure))
        elif self.wait.request.lease not in self.store.leases:
            self._refuse(LEASE_NOT_FOUND)
        elif world.chance(0.9):
            self._put()
        else:
            cluster.later(member, world.between(0.0, 0.005), self._put)

    def _put_late(self) -> None:
        """Carried out by raft after all, though the handler gets no answer to it."""
        if self.wait.request.lease in self.store.leases and self._key not in self.store.keys:
            self.world.counts["hazard: orphan, a put landed late"] += 1
            self.store.put(self._key, self.wait.request.value, self.wait.request.lease)

    def _put(self) -> None:
        request = self.wait.request
        if request.lease not in self.store.leases:
            self._refuse(LEASE_NOT_FOUND)
            return
        kv = self.store.keys.get(self._key)
        if kv is None:
            kv = self.store.put(self._key, request.value, request.lease)
        elif kv.value != request.value:
            self.store.put(self._key, request.value, None)
        self._rev = kv.create_revision
        self._joined_at = self.world.now
        if self._left:
            # The call's end came while the put was under way: nobody deletes this key.
            self.world.counts["hazard: orphan, cancelled while the put was under way"] += 1
            return
        self._look()

    def _look(self) -> None:
        """Is an older key left to wait for? Its own is not looked at."""
        if self.over:
            return
        failure = self.cluster.token_fails(self.wait.token)
        if failure is not None:
            self.world.counts["hazard: token expired under a waiting Campaign"] += 1
            self._refuse(unknown(failure))
            return
        before = self.store.before(self._rev)
        if before is None:
            if self._key not in self.store.keys:
                self.world.counts["hazard: phantom win"] += 1
            self._end()
            self.wait.answer(CampaignAnswer(self.store.header(), CampaignKey(self._key, self._rev)))
        elif self.member.wedged:
            self.world.counts["hazard: Campaign waits on a wedged member"] += 1
            self._watched = b""
        else:
            self._watch(before.key)

    def _changed(self, kv: Kv, deleted: bool) -> None:
        if not deleted or kv.key != self._watched or self.member.wedged:
            return
        self._unwatch()
        settled = self.world.now > self._joined_at + 0.1
        slow = not settled or self.world.chance(0.05)
        delay = self.world.between(0.001, 0.1 if slow else 0.004)
        self.cluster.later(self.member, delay, self._look)

    def compacted(self) -> None:
        if self._watched and self.world.chance(0.3):
            self.world.counts["hazard: Campaign ended by a compaction"] += 1
            self._refuse(COMPACTED)

    def _refuse(self, failure: Failure) -> None:
        if self.over:
            return
        self._end()
        self.wait.answer(failure)

    def gone(self) -> None:
        if self.over:
            return
        self._end()
        world = self.world
        if not self._rev:
            self._left = True
        elif self.member.wedged:
            world.counts["hazard: orphan, the member is wedged"] += 1
        elif self.cluster.auth:
            world.counts["hazard: orphan, the clean-up has no token"] += 1
        elif world.chance(0.03):
            world.counts["hazard: orphan, cancelled in a race"] += 1
        else:
            self.cluster.later(self.member, world.between(0.0, _CLEANS_UP_WITHIN), self._clean_up)

    def _clean_up(self) -> None:
        kv = self.store.keys.get(self._key)
        if kv is None or kv.create_revision != self._rev:
            return
        if self.store.first() is kv:
            self.world.counts["hazard: the call owns the key, and it leads"] += 1
        if any(
            isinstance(other, Campaign) and other._key == self._key and not other.over
            for member in self.cluster.members
            for other in member.handlers
        ):
            self.world.counts["hazard: stale clean-up under another Campaign"] += 1
        self.store.delete(self._key, f"clean-up of a call of {self.wait.owner}")


class Observe(Handler):
    """Tells of leaders, of some of them at least; never of a vacancy."""

    def __init__(self, cluster: Cluster, wait: Wait) -> None:
        super().__init__(cluster, wait)
        self._told = 0
        cluster.later(self.member, 0.0, self._look)

    def _look(self) -> None:
        if self.over:
            return
        if self.cluster.token_fails(self.wait.token) is not None:
            self._finish("token")
            return
        first = self.store.first()
        if self.member.wedged:
            self.world.counts["hazard: Observe waits on a wedged member"] += 1
            return
        if first is None:
            # The first put that follows: looking for it now and then is as good.
            self.cluster.later(self.member, 0.5, self._look)
            return
        self._watch(first.key)
        if first.mod_revision != self._told:
            self._told = first.mod_revision
            self.wait.observed(LeaderAnswer(self.store.header(), first))

    def _changed(self, kv: Kv, deleted: bool) -> None:
        if kv.key != self._watched or self.member.wedged:
            return
        if deleted:
            self._unwatch()
        self.cluster.later(self.member, self.world.between(0.001, 0.05), self._look)

    def compacted(self) -> None:
        if self.world.chance(0.5):
            self._finish("compaction")

    def died(self) -> None:
        if self.world.chance(0.3):
            self._finish("shutdown")
        else:
            super().died()

    def _finish(self, why: str) -> None:
        """Status OK, though nothing is over."""
        self.world.counts[f"hazard: Observe ended with OK ({why})"] += 1
        self._end()
        self.wait.answer(None)


def serve(cluster: Cluster, wait: Wait) -> None:
    """A long call has reached its member."""
    kind = Campaign if wait.method is Method.CAMPAIGN else Observe
    if wait.over:
        # Given up before it arrived: it is served, and told of its end at once.
        cluster.world.after(0.0005, wait.gone)
    kind(cluster, wait)


def compact(cluster: Cluster) -> None:
    """Forgets old revisions, and ends some waits by it."""
    for member in cluster.members:
        for handler in list(member.handlers):
            handler.compacted()
