"""Carries a schedule out, and puts everything right again at its end.

Faults overlap. Never done are two things: to a cluster, taking its quorum away other than by the
faults that say so; to a process, anything while it is stopped, for it would come too late.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence

import grpc

from etcd_election.pb import kv_pb2, rpc_pb2
from tests.support.cluster import EtcdCluster
from tests.support.raw import RawEtcd

from .arena import Candidate
from .log import Log
from .observer import Observer
from .schedule import Fault, Kind

CALL_TIMEOUT = 1.0
GIL_LONGEST = 4.0
RESTART_AFTER = 3.0
"""A killed process comes back after so much of its fault's time at most."""


class Nemesis:
    """Carries out one schedule on the calling thread."""

    def __init__(
        self,
        cluster: EtcdCluster,
        candidates: Sequence[Candidate],
        observer: Observer,
        log: Log,
    ) -> None:
        self._cluster = cluster
        self._candidates = candidates
        self._observer = observer
        self._log = log
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._busy: set[Candidate] = set()
        self._down: set[int] = set()
        self._linked: set[tuple[Candidate, int]] = set()

    def run(self, schedule: Sequence[Fault]) -> None:
        """From the first fault to the end of the last one."""
        began_at = time.monotonic()
        never = threading.Event()
        for fault in schedule:
            self._at(began_at + fault.at, lambda fault=fault: self._begin(fault))  # type: ignore[misc]
        while self._due:
            at, _, action = heapq.heappop(self._due)
            never.wait(max(0.0, at - time.monotonic()))
            action()

    def _at(self, at: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), action))

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._at(time.monotonic() + seconds, action)

    def _begin(self, fault: Fault) -> None:
        if fault.kind in (Kind.STOP, Kind.KILL, Kind.GIL, Kind.FORK, Kind.CUT, Kind.CUT_ONE):
            candidate = self._in_place(fault.place)
            done = candidate is not None and self._hit(fault, candidate)
        elif fault.kind in (Kind.REVOKE, Kind.DELETE, Kind.CUT_DELETE):
            done = self._remove(fault)
        elif fault.kind is Kind.COMPACT:
            done = self._compact()
        else:
            done = self._hit_members(fault)
        self._log.write(
            "fault",
            kind=fault.kind.name,
            place=fault.place,
            mode=fault.mode,
            lasts=fault.lasts,
            done=done,
        )

    # -- processes

    def _kv_in_place(self, place: int) -> kv_pb2.KeyValue | None:
        queue = self._observer.queue()
        return queue[min(place, len(queue) - 1)] if queue else None

    def _in_place(self, place: int) -> Candidate | None:
        """The process whose key stands there, unless something is being done to it."""
        kv = self._kv_in_place(place)
        name = kv.value.decode() if kv is not None else ""
        return next((c for c in self._free() if c.name == name), None)

    def _free(self) -> list[Candidate]:
        return [c for c in self._candidates if c.running and c not in self._busy]

    def _hit(self, fault: Fault, candidate: Candidate) -> bool:
        if fault.kind is Kind.FORK:
            candidate.order("fork")
            return True
        if fault.kind is Kind.CUT_ONE:
            return self._cut(fault, candidate, [fault.link])
        if fault.kind is Kind.CUT:
            return self._cut(fault, candidate, list(range(len(candidate.proxies))))
        self._busy.add(candidate)
        lasts = fault.lasts
        if fault.kind is Kind.STOP:
            candidate.stop()
            end = candidate.resume
        elif fault.kind is Kind.KILL:
            lasts = min(lasts, RESTART_AFTER)
            candidate.kill()
            end = candidate.start
        else:
            lasts = min(lasts, GIL_LONGEST)
            candidate.order(f"gil {lasts:.3f}")
            end = _nothing

        def over() -> None:
            end()
            self._busy.discard(candidate)

        self._after(lasts, over)
        return True

    def _cut(self, fault: Fault, candidate: Candidate, members: list[int]) -> bool:
        cut = [member for member in members if (candidate, member) not in self._linked]
        if not cut:
            return False
        for member in cut:
            candidate.cut(member, fault.mode, fault.lasts / 60)
        if fault.mode == "reset":
            return True
        self._linked.update((candidate, member) for member in cut)

        def heal() -> None:
            for member in cut:
                candidate.cut(member, "pass", 0.0)
                self._linked.discard((candidate, member))

        self._after(fault.lasts, heal)
        return True

    # -- keys

    def _remove(self, fault: Fault) -> bool:
        kv = self._kv_in_place(fault.place)
        if kv is None:
            return False
        owner = next((c for c in self._candidates if c.name == kv.value.decode()), None)
        if fault.kind is Kind.CUT_DELETE and (
            owner is None or not self._cut(fault, owner, list(range(len(owner.proxies))))
        ):
            return False
        sent_at = time.monotonic()
        if fault.kind is not Kind.REVOKE:
            request = rpc_pb2.DeleteRangeRequest(key=kv.key)
            done = self._tell(lambda raw: raw.kv.DeleteRange(request, timeout=CALL_TIMEOUT))
        else:
            revoke = rpc_pb2.LeaseRevokeRequest(ID=kv.lease)
            done = self._tell(lambda raw: raw.lease.LeaseRevoke(revoke, timeout=CALL_TIMEOUT))
        # Also without an answer: it may have been carried out.
        answered = time.monotonic() if done else None
        self._log.write("removed", t=sent_at, token=kv.create_revision, answered=answered)
        return done

    def _compact(self) -> bool:
        request = rpc_pb2.CompactionRequest(revision=self._observer.compactable(), physical=True)
        return self._tell(lambda raw: raw.kv.Compact(request, timeout=CALL_TIMEOUT))

    def _tell(self, call: Callable[[RawEtcd], object]) -> bool:
        for i, member in enumerate(self._cluster.members):
            if i in self._down:
                continue
            with (
                RawEtcd(member.endpoint, self._cluster.credentials) as raw,
                contextlib.suppress(grpc.RpcError),
            ):
                call(raw)
                return True
        return False

    # -- members

    def _hit_members(self, fault: Fault) -> bool:
        if self._down:
            return False
        size = len(self._cluster.members)
        kind = fault.kind
        leader = self._cluster.raft_leader()
        if kind in (Kind.QUORUM_PAUSED, Kind.QUORUM_KILLED):
            first = fault.place
            chosen = [(first + i) % size for i in range(size // 2 + 1)]
        elif kind in (Kind.PAUSE_RAFT_LEADER, Kind.KILL_RAFT_LEADER):
            chosen = [] if leader is None else [leader]
        else:
            chosen = [fault.place]
        if not chosen:
            return False
        pauses = kind in (Kind.PAUSE_MEMBER, Kind.PAUSE_RAFT_LEADER, Kind.QUORUM_PAUSED)
        self._down.update(chosen)
        for i in chosen:
            state = "paused" if pauses else "killed"
            self._log.write("member", member=i, state=state, leader=i == leader)
            member = self._cluster.members[i]
            if pauses:
                member.pause()
            else:
                member.kill()

        def over() -> None:
            for i in chosen:
                self._log.write("member", member=i, state="resumed" if pauses else "started")
                member = self._cluster.members[i]
                if pauses:
                    member.resume()
                else:
                    member.launch()
                self._down.discard(i)

        self._after(fault.lasts, over)
        return True


def _nothing() -> None:
    """It ends by itself."""
