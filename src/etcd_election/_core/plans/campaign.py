"""From a value to a verified leadership.

One campaign may take several candidacies: a key that vanished, a call that broke or a member whose
Election service hangs ends a candidacy, not the campaign. Each candidacy has a lease; one whose
Campaign call was given up, or broke, is revoked and never used again, for the server's clean-up
after that call would delete the key of the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn

from ... import errors
from ...pb import rpc_pb2, v3election_pb2
from ...types import LostReason
from .. import status, timing
from ..candidacy import Action, Candidacy
from ..candidate import Candidate
from ..effects import Ended, Failure, Invoke, LeaseEnded, Open, Plan, Receive, Shut, Watch, Word
from ..leadership import LeadershipState
from ..lease import LeaseClock
from ..link import Link
from ..method import Method
from ..standing import (
    Standing,
    candidate_key,
    created_at,
    found,
    is_candidate_key,
    joining,
    queue,
)
from ..status import Meaning
from . import leading, session
from .call import Interrupted, Refusal, ask, authenticate, call, interruptible
from .reading import read_standing

logger = logging.getLogger("etcd_election")

_TURN_POLL = 60.0


class _CandidacyOver(Exception):
    """This candidacy brings nothing any more; the campaign goes on."""

    def __init__(self, action: Action, *, sent: bool = True) -> None:
        super().__init__(action)
        self.sent = sent


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
        while True:
            candidate.check_time()
            if not candidate.patient:
                yield from _look_first(candidate)
            lease, fresh = yield from _lease(candidate, state)
            try:
                return (yield from _compete(candidate, lease, fresh))
            except _CandidacyOver as over:
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
        lease = link.new_lease(own.resume)
        renewed = yield from session.renew(link, lease, deadline=candidate.deadline())
        candidate.reached = True
        own.resume = None
        if not renewed:
            raise errors.SessionExpired(
                f"lease {lease.lease_id:x} does not exist (any more)",
                lease_id=lease.lease_id,
                reason=LostReason.SESSION_EXPIRED,
            )
        own.adopt(lease)
        return lease, True
    resigning = last is not None and last.lease is own.lease and last.key_left
    if own.lease is not None and own.lease.alive and not (own.lease.tainted or resigning):
        if own.lease.remaining() > own.lease.ttl / 2:
            return own.lease, False
        if (yield from session.renew(link, own.lease, deadline=candidate.deadline())):
            return own.lease, False
    while True:
        own.drop()
        lease = own.lease = link.new_lease()
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


def _compete(candidate: Candidate, lease: LeaseClock, fresh: bool) -> Plan[LeadershipState]:
    """One candidacy, from joining the queue to a verified win."""
    link = candidate.link
    key = candidate_key(candidate.name, lease.lease_id)
    endpoint = link.ring.pick()
    member = link.member(endpoint)
    in_call = candidate.via == "service" and link.waits.take(member)
    unheard = lease.when_ended(lambda: candidate.tell(LeaseEnded()))
    waiting: Open | None = None
    try:
        candidacy = Candidacy(
            key=key, ttl=lease.ttl, now=link.clock(), random=link.random, waits_in_call=in_call
        )
        lease.tainted = True
        repeated = False
        if in_call:
            request = v3election_pb2.CampaignRequest(
                name=candidate.name, lease=lease.lease_id, value=candidate.value
            )
            yield from authenticate(link, candidate.deadline())
            metadata, _ = link.metadata()
            waiting = Open(endpoint, Method.CAMPAIGN, request, metadata)
            yield waiting
        else:
            standing, repeated = yield from _join(candidate, key, lease, fresh)
            candidacy.read(standing, link.clock())
        while True:
            step = candidacy.next(link.clock())
            if step.action is Action.WAIT:
                yield from _wait(candidate, candidacy, lease, fresh, step.until)
            elif step.action is Action.READ:
                if waiting is not None and candidacy.call_open:
                    yield from _keep_token(link, waiting, lease)
                yield from _read(candidate, candidacy, lease)
            elif step.action is Action.WON:
                state = yield from _won(candidate, candidacy, lease)
                if state is not None:
                    # A Campaign that was answered writes no more.
                    candidate.clean = in_call or not repeated
                    return state
            else:
                if step.action is Action.REJOIN and candidacy.refusal is not None:
                    raise candidacy.refusal
                _explain(candidate, step.action, endpoint)
                raise _CandidacyOver(step.action)
    finally:
        unheard()
        if in_call:
            link.waits.give(member)


def _keep_token(link: Link, waiting: Open, lease: LeaseClock) -> Plan[None]:
    """Uses a blocked call's token on its member: there a simple token lives by use.

    Otherwise it runs out (after 300 s by default) and the call fails when its turn comes.
    """
    metadata, _ = link.metadata()
    if link.credentials is None:
        return
    if waiting.metadata == metadata and waiting.endpoint == link.ring.pick():
        return  # as the read that follows
    request = rpc_pb2.RangeRequest(key=b"\0", serializable=True, count_only=True)
    timeout = timing.patience(0, link.latency, lease.remaining())
    yield from interruptible(
        Invoke(waiting.endpoint, Method.RANGE, request, timeout, waiting.metadata)
    )


def _explain(candidate: Candidate, action: Action, endpoint: int) -> None:
    """Says what the next candidacy is for, and lets it go about things differently."""
    target = candidate.link.endpoints[endpoint].shown
    if action is Action.HANGS:
        candidate.via = "kv"
        logger.warning(
            "the Election service of %s hangs (etcd issue 20716); it helps to restart that etcd. "
            "The campaign in %r goes on without it",
            target,
            candidate.name,
        )
    elif action is Action.STUCK:
        candidate.link.ring.suspect(endpoint, candidate.link.clock())
        if len(candidate.link.endpoints) == 1:
            # A server that limits the streams of a connection may have none left for this call.
            candidate.via = "kv"
        logger.info("no key within %s s of a Campaign on %s", timing.KEY_WITHIN, target)


def _wait(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock, fresh: bool, until: float
) -> Plan[None]:
    """Waits for the next fact and passes it on."""
    link = candidate.link
    now = link.clock()
    wakes_at = min(until, candidate.gives_up_at, now + lease.ttl / 3, now + lease.remaining())
    if not candidate.stood:
        wakes_at = min(wakes_at, candidate.unavailable_at)
    fact = yield Receive(max(0.0, wakes_at - now))
    if isinstance(fact, Word):
        raise candidate.stopped(fact)
    if isinstance(fact, Ended):
        _ended(candidate, candidacy, lease, fresh, fact)
    elif fact is not None:
        candidacy.told(fact, link.clock())
    if not lease.alive:
        raise candidate.expired(lease)
    candidate.check_time()
    if not candidate.stood and link.clock() >= candidate.unavailable_at:
        raise errors.Unavailable(
            f"campaign: no key stands in {candidate.name!r} after {link.timeout} s"
        )


def _ended(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock, fresh: bool, fact: Ended
) -> None:
    """The Campaign call is over."""
    now = candidate.link.clock()
    if not isinstance(fact.reply, Failure):
        candidate.reached = True
        candidacy.call_ended(now)
        return
    meant = status.meaning(fact.reply)
    if meant in status.BROKEN_OFF:
        candidacy.call_broke()
    elif meant is Meaning.LEASE_GONE:
        _lease_gone(candidate, lease, fresh)
    elif meant in (Meaning.COMPACTED, Meaning.BUSY, Meaning.TOKEN_REFUSED):
        candidacy.call_ended(now)
    else:
        candidacy.call_refused(status.error("campaign", fact.reply), now)


def _lease_gone(candidate: Candidate, lease: LeaseClock, fresh: bool) -> NoReturn:
    """Etcd does not know the lease: one from before this campaign is replaced, once."""
    lease.end(LostReason.SESSION_EXPIRED)
    if fresh:
        raise candidate.expired(lease)
    raise _CandidacyOver(Action.REJOIN, sent=False)


def _read(candidate: Candidate, candidacy: Candidacy, lease: LeaseClock) -> Plan[None]:
    """Reads the queue, and watches what its answer makes worth watching."""
    link = candidate.link
    deadline = min(candidate.gives_up_at, link.clock() + lease.remaining())
    if not candidate.stood:
        deadline = min(deadline, candidate.unavailable_at)
    try:
        standing = yield from read_standing(
            link,
            candidate.name,
            candidacy.key,
            candidacy.token,
            deadline=deadline,
            enduring=candidate.endures,
        )
    except errors.Unavailable:
        if not lease.alive:
            raise candidate.expired(lease) from None
        if not candidate.stood:
            raise
        candidate.check_time()
        candidacy.unread(link.clock())
        return
    candidate.reached = True
    candidacy.read(standing, link.clock())
    if standing.own is not None:
        candidate.stood = True
    yield from _stand(candidate, candidacy.key, standing)


def _join(
    candidate: Candidate, key: bytes, lease: LeaseClock, fresh: bool
) -> Plan[tuple[Standing, bool]]:
    """Joins the queue by a transaction: an uncontested win in one round trip.

    The second value tells whether it was sent more than once: then the first may still land, even
    when the key is gone again.
    """
    link = candidate.link
    request = joining(candidate.name, key, candidate.value, lease.lease_id)
    answer = yield from ask(
        link,
        "campaign",
        Method.TXN,
        request,
        deadline=candidate.deadline(),
        enduring=candidate.endures,
    )
    candidate.reached = True
    if isinstance(answer, Refusal):
        if answer.meaning is Meaning.LEASE_GONE:
            _lease_gone(candidate, lease, fresh)
        raise status.error("campaign", answer.failure)
    candidate.stood = True
    response: rpc_pb2.TxnResponse = answer.message
    if response.succeeded:
        kvs = found(response, 1)
        before = kvs[1] if len(kvs) > 1 else None
        standing = Standing(kvs[0] if kvs else None, before, response.header.revision)
    else:
        own = found(response, 0)
        standing = yield from _rejoin_own(candidate, key, own[0].create_revision if own else 0)
    yield from _stand(candidate, key, standing)
    return standing, answer.attempt > 0


def _stand(candidate: Candidate, key: bytes, standing: Standing) -> Plan[None]:
    """Looks at who stands before us, and watches them."""
    if standing.before is None:
        return
    if not is_candidate_key(candidate.name, standing.before.key):
        candidate.link.warn_foreign(candidate.name, standing.before.key)
    if not candidate.patient:
        raise candidate.timed_out()
    yield Watch(frozenset((key, standing.before.key)))


def _rejoin_own(candidate: Candidate, key: bytes, token: int) -> Plan[Standing]:
    """The key stands already (a predecessor's, or an answer was lost): give it our value."""
    put = rpc_pb2.PutRequest(key=key, value=candidate.value, ignore_lease=True)
    request = rpc_pb2.TxnRequest(
        compare=[created_at(key, token)], success=[rpc_pb2.RequestOp(request_put=put)]
    )
    yield from call(candidate.link, "campaign", Method.TXN, request, deadline=candidate.deadline())
    return (
        yield from read_standing(
            candidate.link, candidate.name, key, token, deadline=candidate.deadline()
        )
    )


def _won(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock
) -> Plan[LeadershipState | None]:
    """The last questions before a leadership is handed out; None: ask again after a renewal."""
    link = candidate.link
    standing = candidacy.standing
    own = standing.own if standing else None
    if own is None or own.lease != lease.lease_id:
        raise _CandidacyOver(Action.REJOIN)
    if not lease.alive:
        raise candidate.expired(lease)
    if lease.remaining() < timing.enough(lease.ttl):
        deadline = min(candidate.gives_up_at, link.clock() + lease.remaining())
        try:
            renewed = yield from session.renew(link, lease, deadline=deadline, enduring=True)
        except errors.Unavailable:
            candidate.check_time()
            raise candidate.expired(lease) from None
        if not renewed:
            raise candidate.expired(lease)
        candidacy.doubt(link.clock())
        return None
    return LeadershipState(
        name=candidate.name,
        key=candidacy.key,
        token=own.create_revision,
        value=own.value,
        mod_revision=own.mod_revision,
        lease=lease,
    )


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
    candidate.unavailable_at = link.clock() + max(link.timeout, candidate.session.ttl)
    candidate.stood_before = candidate.endures
    candidate.stood = False
