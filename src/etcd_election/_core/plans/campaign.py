"""From a value to a verified leadership.

One campaign may take several candidacies: a key that vanished, a call that broke or a member whose
Election service hangs ends a candidacy, not the campaign. Each candidacy has a lease; one whose
Campaign call was given up, or broke, is revoked and never used again, for the server's clean-up
after that call would delete the key of the next.
"""

from __future__ import annotations

from collections.abc import Callable

from ... import errors
from ...events import CampaignStarted
from ...types import LostReason
from ..candidate import Candidate
from ..effects import Connect, Plan, Receive, Shut, Watch, Word
from ..leadership import LeadershipState
from ..lease import LeaseClock
from ..link import Link
from ..method import Method
from ..standing import candidate_key, queue
from . import leading, session
from .call import call
from .competing import CandidacyOver, compete
from .interrupting import Interrupted

_TURN_POLL = 60.0


def wait_turn(link: Link, gives_up_at: float) -> Plan[bool]:
    """Waits for what came before on the same client; False if the time is up."""
    while True:
        left = gives_up_at - link.clock()
        fact = yield Receive(max(0.0, min(left, _TURN_POLL)))
        if fact is Word.TURN:
            return True
        if isinstance(fact, Word):
            raise Interrupted(fact)
        if left <= 0:
            return False


def campaign(
    candidate: Candidate, current: Callable[[], LeadershipState | None]
) -> Plan[LeadershipState]:
    """Campaigns until elected; when its turn comes while leading, proclaims instead.

    Raises:
        CampaignTimeout, CampaignCancelled, ClientClosed, SessionExpired: As the public method says.
        EtcdError: The key never stood, or etcd refused for good.
    """
    try:
        patience = candidate.gives_up_at if candidate.patient else float("-inf")
        if not (yield from wait_turn(candidate.link, patience)):
            raise candidate.timed_out()
        candidate.started()
        state = current()
        if state is not None and state.held:
            yield from leading.proclaim(
                candidate.link, state, candidate.value, deadline=candidate.deadline()
            )
            if state.held:
                return state
        candidate.link.tell(CampaignStarted(name=candidate.name, via=candidate.via))
        if candidate.via == "service" and not candidate.link.names.outstanding:
            # While the lease is granted: over a distance, Campaign would wait for it afterwards.
            # To a name whose addresses are not known yet, it would be another connection.
            yield Connect(candidate.link.ring.pick())
        while True:
            candidate.check_time()
            if not candidate.patient:
                yield from _look_first(candidate)
            lease, fresh = yield from _lease(candidate, state)
            try:
                return (yield from compete(candidate, lease, fresh))
            except CandidacyOver as over:
                candidate.settled = False
                yield Shut()
                yield Watch()
                if over.sent:
                    yield from _leave(candidate, lease)
    except Interrupted as interrupted:
        raise candidate.stopped(interrupted.word) from None
    except errors.Unavailable as error:
        if candidate.link.clock() >= candidate.gives_up_at and candidate.too_hasty(error):
            raise candidate.timed_out() from error
        raise


def _look_first(candidate: Candidate) -> Plan[None]:
    """With no time to wait, an election that somebody leads is not joined at all."""
    link = candidate.link
    request = queue(candidate.name, limit=1, keys_only=True)
    answer = yield from call(
        link, "campaign", Method.RANGE, request, deadline=candidate.unavailable_at
    )
    candidate.reached = True
    lease_id = candidate.session.resume
    if candidate.session.lease is not None:
        lease_id = candidate.session.lease.lease_id
    ours = candidate_key(candidate.name, lease_id or 0)
    if any(kv.key != ours for kv in answer.message.kvs):
        raise candidate.timed_out()


def _lease(candidate: Candidate, last: LeadershipState | None) -> Plan[tuple[LeaseClock, bool]]:
    """A lease to campaign with: (lease, whether it was granted just now).

    One whose last leadership is still being resigned is left: that Resign would remove the new key.
    """
    link, own = candidate.link, candidate.session
    if own.resume is not None:
        lease = link.new_lease(own.resume, name=candidate.name)
        renewed = yield from session.renew(link, lease, deadline=candidate.deadline())
        candidate.reached = True
        own.resume = None
        if not renewed:
            raise errors.SessionExpired(
                f"lease {lease.lease_id:x} does not exist (any more): campaign() again,"
                " with a new one",
                lease_id=lease.lease_id,
                reason=LostReason.SESSION_EXPIRED,
            )
        own.adopt(lease, resumed=True)
        return lease, True
    resigning = last is not None and last.lease is own.lease and last.key_left
    if own.lease is not None and own.lease.alive and not (own.lease.tainted or resigning):
        if own.lease.remaining() > own.lease.ttl / 2:
            return own.lease, False
        if (yield from session.renew(link, own.lease, deadline=candidate.deadline())):
            return own.lease, False
    while True:
        own.drop()
        lease = own.lease = link.new_lease(name=candidate.name)
        try:
            yield from session.grant(
                link, lease, own.ttl, deadline=candidate.deadline(), enduring=candidate.endures
            )
        except errors.EtcdError as error:
            if not error.maybe_applied:
                own.lease = None
            raise
        candidate.reached = True
        if lease.alive:
            own.adopt(lease)
            return lease, True
        # The answer showed another cluster, or came too late: it is dead before its first use.


def _leave(candidate: Candidate, lease: LeaseClock) -> Plan[None]:
    """Ends a candidacy so that nothing of it stands in the next one's way."""
    link = candidate.link
    if not lease.alive:
        raise candidate.expired(lease)
    deadline = min(candidate.gives_up_at, link.clock() + lease.remaining())
    if not candidate.stood:
        deadline = min(deadline, candidate.unavailable_at)
    known = True
    try:
        known = yield from session.revoke(link, lease, deadline=deadline, enduring=True)
    except errors.Unavailable:
        if lease.remaining() and not candidate.stood:
            raise
        candidate.check_time()
        raise candidate.expired(lease) from None
    if not known:
        raise candidate.expired(lease)
    lease.end(LostReason.CLOSED)
    link.release(lease.lease_id)
    candidate.session.lease = None
    candidate.given(max(link.timeout, candidate.session.ttl))
    candidate.stood_before = candidate.endures
    candidate.stood = False
