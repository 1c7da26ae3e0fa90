"""Remedies taken out of the core, one at a time: each must be missed by the simulation.

A mutation replaces something of the real core while it is applied. Each names a seed whose schedule
breaks an invariant then, and breaks none with the remedy in place. Where the model or the core has
changed, another seed may do it: ``caught`` looks further.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from etcd_election._core import running, timing
from etcd_election._core.candidacy import Action, Candidacy, Step
from etcd_election._core.candidate import Session
from etcd_election._core.cluster import ClusterWatch
from etcd_election._core.effects import Ended, Failure, KeyGone, KeyPut, Plan, Receive, WatchStands
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.line import Ticket
from etcd_election._core.plans import campaign, competing, leading, session
from etcd_election._core.standing import Standing
from etcd_election._core.token import TokenSlot
from etcd_election.types import LostReason

from .schedule import run
from .store import Kv

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutation:
    """A remedy taken out."""

    name: str
    seed: int
    patches: Callable[[], list[Patch]]

    @contextmanager
    def applied(self) -> Generator[None]:
        """The core without the remedy."""
        with ExitStack() as stack:
            for target, attribute, replacement in self.patches():
                stack.enter_context(patch.object(target, attribute, replacement))
            yield


MUTATIONS: dict[str, Mutation] = {}


def _mutation(seed: int) -> Callable[[Callable[[], list[Patch]]], Callable[[], list[Patch]]]:
    """Registers a mutation, with the seed that misses the remedy."""

    def register(make: Callable[[], list[Patch]]) -> Callable[[], list[Patch]]:
        name = make.__name__.replace("_", " ")
        MUTATIONS[name] = Mutation(name, seed, make)
        return make

    return register


def caught(mutation: Mutation, further: int = 3000) -> tuple[int, str] | None:
    """The first seed that breaks an invariant, and which: the known one, or one of the first."""
    with mutation.applied():
        for seed in (mutation.seed, *range(further)):
            violations = run(seed).violations
            if violations:
                return seed, violations[0]
    return None


def _always(answer: object) -> Callable[..., Any]:
    """Gives this, whatever it is asked."""

    def replacement(*_: object, **__: object) -> Any:
        return answer

    return replacement


@_mutation(16)
def no_margin() -> list[Patch]:
    return [(timing, "margin", _always(0.0))]


@_mutation(222)
def deadline_counted_from_the_answer() -> list[Patch]:
    renewed = LeaseClock.renewed

    def from_now(self: LeaseClock, *, sent_at: float, ttl: int) -> bool:
        return renewed(self, sent_at=self._clock(), ttl=ttl)

    return [(LeaseClock, "renewed", from_now)]


@_mutation(28)
def late_keepalive_revives() -> list[Patch]:
    renewed = LeaseClock.renewed

    def revived(self: LeaseClock, *, sent_at: float, ttl: int) -> bool:
        deadline = sent_at + ttl - timing.margin(ttl)
        expired = not self.alive and self._ended["end"] is LostReason.SESSION_EXPIRED
        if expired and self._clock() < deadline:
            self._ended.clear()
            self._deadline = deadline
        return renewed(self, sent_at=sent_at, ttl=ttl)

    return [(LeaseClock, "renewed", revived)]


@_mutation(71)
def raft_term_ignored() -> list[Patch]:
    return [(ClusterWatch, "stale_term", _always(False))]


@_mutation(25)
def elected_with_hardly_any_time_left() -> list[Patch]:
    return [(timing, "enough", _always(0.0))]


@_mutation(1)
def leadership_while_Campaign_is_open() -> list[Patch]:  # noqa: N802
    next_ = Candidacy.next

    def open_or_not(self: Candidacy, now: float) -> Step:
        step = next_(self, now)
        first = step.action is Action.WAIT and self._first_at is not None
        return Step(Action.WON) if first else step

    return [(Candidacy, "next", open_or_not)]


@_mutation(33)
def OK_of_Campaign_believed_without_a_read() -> list[Patch]:  # noqa: N802
    ended = competing._ended

    def believing(
        candidate: Any, candidacy: Candidacy, lease: LeaseClock, fresh: bool, fact: Ended
    ) -> None:
        ended(candidate, candidacy, lease, fresh, fact)
        reply: Any = fact.reply
        if not isinstance(reply, Failure):
            revision = reply.leader.rev
            own: Any = Kv(candidacy.key, candidate.value, revision, revision, lease.lease_id)
            candidacy.read(Standing(own, None, revision), candidate.link.clock())

    return [(competing, "_ended", believing)]


@_mutation(1706)
def lease_used_again_after_a_cancelled_Campaign() -> list[Patch]:  # noqa: N802
    def kept(self: Session) -> bool:
        if self.lease is not None:
            self.lease.tainted = False
        return False

    return [(Session, "drop_tainted", kept)]


@_mutation(204)
def broken_call_keeps_its_lease() -> list[Patch]:
    def goes_on(self: Candidacy) -> None:
        self.call_open = False
        self._read_at = float("-inf")

    return [(Candidacy, "call_broke", goes_on)]


@_mutation(406)
def lease_used_again_while_its_resign_is_under_way() -> list[Patch]:
    lease = campaign._lease

    def used_again(candidate: Any, last: LeadershipState | None) -> Plan[Any]:
        return lease(candidate, None)

    return [(campaign, "_lease", used_again)]


@_mutation(4)
def leader_does_not_look_after_its_key() -> list[Patch]:
    def deaf(link: Any, host: Any, state: LeadershipState) -> Plan[None]:
        while state.held:
            yield Receive(max(0.0, state.remaining()))
        state.settle()
        host.retire(state.lease)

    return [(leading, "watch_over", deaf)]


@_mutation(21)
def leader_has_a_beat_but_no_watch() -> list[Patch]:
    return [(leading, "Watch", _always(Receive(0.0)))]


@_mutation(178)
def leader_has_a_watch_but_no_beat() -> list[Patch]:
    def no_look(*_: Any, **__: Any) -> Plan[None]:
        yield Receive(0.0)

    return [(leading, "_look", no_look)]


@_mutation(868)
def what_came_before_a_watch_is_not_looked_for() -> list[Patch]:
    return [(LeadershipState, "knows", _always(True))]


@_mutation(31)
def hanging_Election_service_is_waited_for() -> list[Patch]:  # noqa: N802
    return [(timing, "TURN_WITHIN", float("inf"))]


@_mutation(134)
def Campaign_stuck_in_raft_is_waited_for() -> list[Patch]:  # noqa: N802
    return [(timing, "KEY_WITHIN", float("inf"))]


@_mutation(92)
def candidate_has_no_watch() -> list[Patch]:
    told = Candidacy.told

    def deaf(self: Candidacy, fact: Any, now: float) -> None:
        if not isinstance(fact, (KeyGone, KeyPut, WatchStands)):
            told(self, fact, now)

    return [(Candidacy, "told", deaf)]


@_mutation(352)
def candidate_has_no_beat() -> list[Patch]:
    read = Candidacy.read

    def no_beat(self: Candidacy, standing: Standing, now: float) -> None:
        read(self, standing, now)
        if standing.own is not None:
            self._read_at = float("inf")

    return [(Candidacy, "read", no_beat)]


@_mutation(19)
def orphan_is_left_when_joining_again() -> list[Patch]:
    def left(candidate: Any, lease: LeaseClock) -> Plan[None]:
        yield Receive(0.0)
        candidate.session.lease = None

    return [(campaign, "_leave", left)]


@_mutation(0)
def lease_is_let_run_out_instead_of_revoked() -> list[Patch]:
    def run_out(link: Any, lease: LeaseClock) -> Plan[bool]:
        lease.end(LostReason.CLOSED)
        yield Receive(0.0)
        return True

    return [(session, "retire", run_out)]


@_mutation(9754)
def last_word_of_a_call_that_was_shut_is_kept() -> list[Patch]:
    return [(running, "OF_CALL", ())]


@_mutation(12282)
def one_endpoint_may_eat_all_the_time() -> list[Patch]:
    def stretched(attempt: int, latency: float, left: float) -> float:
        return min(left, max(timing.PATIENCE[min(attempt, 4)], latency * timing.STRETCH))

    return [(timing, "patience", stretched)]


@_mutation(201)
def cancelled_win_is_handed_out() -> list[Patch]:
    return [(Ticket, "win", _always(True))]


@_mutation(24)
def refused_token_is_kept() -> list[Patch]:
    return [(TokenSlot, "refused", _always(False))]


@_mutation(0)
def place_in_the_queue_is_not_looked_at() -> list[Patch]:
    return [(Standing, "first", property(lambda self: self.own is not None))]
