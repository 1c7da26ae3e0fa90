"""One call to etcd: endpoint after endpoint, in short attempts, until it is answered or time is up.

Idempotent calls are repeated after every failure that another endpoint or moment may mend. Others
are sent again only if they surely never left; where that is not sure, the error says
``maybe_applied``.

When every endpoint has answered that no secure connection can be made, the call ends at once, for
time does not mend a certificate; an enduring one goes on, for people do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.message import Message

from ... import errors
from .. import status, timing
from ..effects import NO_TURN, Beside, Failure, Invoke, LookUp, Plan, Probe, Reply
from ..link import Link
from ..method import Method
from ..status import Fault, Meaning
from .authenticating import authenticate
from .interrupting import interruptible, pause

_AT_ONCE = 0.05
"""A failure that came faster says nothing about a wait: the next round must not hammer."""
_NEARLY = 0.9
"""Of the time after which another endpoint is asked: timers and clocks may differ a little."""
_ASIDE_POLL = 0.005


class Answer(NamedTuple):
    """A response, when its request was sent, where and at which attempt (from 0) it came."""

    message: Any
    sent_at: float
    endpoint: int
    attempt: int


class Refusal(NamedTuple):
    """What etcd answered instead of a response; ``attempt`` counts from 0."""

    meaning: Meaning
    failure: Failure
    attempt: int


class _Attempts:
    """What has been tried for one operation."""

    def __init__(self, link: Link, operation: str, *, enduring: bool) -> None:
        self._link = link
        self._operation = operation
        self._enduring = enduring
        self._said: dict[int, tuple[Failure, Fault | None]] = {}
        self._last: Failure | None = None
        self._identity = link.identity.version
        self._tried_since_pause: set[int] = set()
        self._rounds = 0
        self._sent = False
        self._started_at = link.clock()
        self.count = 0
        self.last_endpoint: int | None = None

    def endpoint(self) -> int:
        """Where to go next: never twice in a row to the same, if there is another."""
        ring = self._link.ring
        picked = ring.pick()
        return ring.other(picked) if picked == self.last_endpoint else picked

    def heard(self, endpoint: int, failure: Failure) -> Plan[None]:
        """Notes what an endpoint said.

        Raises:
            Unavailable: It was the last one with which a secure connection seemed possible.
        """
        self._last = failure
        fault = yield from _fault(self._link, endpoint, failure, probes=not self._enduring)
        if fault is not None and self._link.identity.look() != self._identity:
            # Replaced just now: that was perhaps said of the old ones.
            self._identity, fault = self._link.identity.version, None
        self._said[endpoint] = failure, fault
        if fault is not None and not self._enduring and self._hopeless():
            said = "; ".join(self._attempts())
            raise self._unavailable(f"no secure connection to etcd ({said})")

    def failed(self, endpoint: int, failure: Failure, sent_at: float) -> Plan[float]:
        """Notes a failure; returns the pause before the next attempt."""
        now = self._link.clock()
        reached = status.meaning(failure) is Meaning.SILENT
        self._link.unanswered(endpoint, sent_at, reached=reached, said=failure.said)
        self._sent = self._sent or status.meaning(failure) not in status.NEVER_LEFT
        yield from self.heard(endpoint, failure)
        self._tried_since_pause.add(endpoint)
        self.last_endpoint = endpoint
        self.count += 1
        everywhere = len(self._tried_since_pause) >= len(self._link.endpoints)
        if everywhere:
            self._link.names.doubted()
        if not everywhere or now - sent_at > _AT_ONCE:
            return 0.0
        self._tried_since_pause.clear()
        self._rounds += 1
        return timing.round_delay(self._rounds, self._link.random)

    def beside(self, endpoint: int) -> int | None:
        """Whom to ask as well, when this one is silent; None if there is nobody else."""
        other = self._link.ring.other(endpoint)
        return other if other != endpoint else None

    def taken(
        self, effect: Invoke, reply: Reply | Beside, began_at: float
    ) -> tuple[Any, int, float]:
        """What was replied, where, and when it was asked for there.

        Args:
            effect: What was to be called.
            reply: What came of it.
            began_at: When its turn was asked for.

        Raises:
            Unavailable: It never left, for its time was up before its turn came.
        """
        if reply is NO_TURN:
            raise self.given_up()
        if isinstance(reply, Beside):
            assert effect.beside is not None  # noqa: S101 - as the contract of effects says
            said = f"nothing within {effect.beside_after:.2g} s, and another endpoint answered"
            self._link.unanswered(effect.endpoint, effect.sent_at, reached=True, said=said)
            self.count += 1
            # Counted from there, also where the first one left later, when its turn came.
            return reply.reply, effect.beside, began_at + effect.beside_after
        took = self._link.clock() - began_at
        if effect.beside is not None and took > effect.beside_after * _NEARLY:
            # What this one says may be what the other has done.
            self.count += status.final(reply)
        return reply, effect.endpoint, effect.sent_at

    def given_up(self) -> errors.Unavailable:
        """Time is up."""
        took = max(0.0, self._link.clock() - self._started_at)
        said = "; ".join(self._attempts())
        return self._unavailable(f"etcd did not answer within {took:.2f} s ({said})")

    def _hopeless(self) -> bool:
        """Whether no secure connection can be made with any endpoint."""
        said = [self._said.get(i, (None, None))[1] for i in range(len(self._link.endpoints))]
        return None not in said

    def _attempts(self) -> tuple[str, ...]:
        said = []
        for i, endpoint in enumerate(self._link.endpoints):
            text = "not tried"
            if i in self._said:
                failure, fault = self._said[i]
                text = failure.said
                if fault is not None:
                    text = f"{fault.value}: {text}"
            said.append(f"{endpoint.shown}: {text}")
        return tuple(said)

    def _unavailable(self, text: str) -> errors.Unavailable:
        last = self._last
        error = errors.Unavailable(
            f"{self._operation}: {text}",
            code=last.code if last else "UNAVAILABLE",
            details=last.details if last else "",
            maybe_applied=self._sent,
            attempts=self._attempts(),
        )
        error.__cause__ = last.cause if last else None
        return error


def ask(
    link: Link,
    operation: str,
    method: Method,
    request: Message,
    *,
    deadline: float,
    idempotent: bool = True,
    enduring: bool = False,
    beat: bool = False,
) -> Plan[Answer | Refusal]:
    """Makes a call; a refusal that no repetition can mend is returned.

    Time that calls of the connection wait for their turn, while etcd answers those before them,
    does not count.

    Args:
        link: The connection.
        operation: What it is for, in the error.
        method: What is called.
        request: What is sent.
        deadline: When to give up.
        idempotent: Whether it may be carried out twice.
        enduring: Whether it goes on until the deadline where no secure connection can be made.
        beat: Whether nobody waits for it, so that it may wait for others.

    Raises:
        Unavailable: Nobody answered by ``deadline``, or no endpoint can be spoken to securely.
        EtcdError: The call is not idempotent and may have been carried out.
        ClientClosed: The connection was closed meanwhile.
    """
    attempts = _Attempts(link, operation, enduring=enduring)
    refused = 0
    gate, until = link.gate, deadline - link.gate.held_up
    while True:
        if link.closed:
            raise errors.ClientClosed("the connection is closed: make a new Etcd")
        deadline = until + gate.held_up
        if link.names.hosts or link.credentials is not None:
            yield from _look_up(link, deadline)
            yield from authenticate(link, deadline, attempts.heard)
            deadline = until + gate.held_up
        now = link.clock()
        if now >= deadline:
            raise attempts.given_up()
        endpoint = attempts.endpoint()
        timeout = deadline - now
        if idempotent:
            # Longer only when all were tried: one that stands still must not eat a lease.
            rounds = attempts.count // len(link.endpoints)
            patience = timing.patience(rounds, link.latency, timeout)
            fresh = timing.CONNECTING if link.ring.fresh(endpoint) and not attempts.count else 0.0
            timeout = min(timeout, patience + fresh)
        metadata, generation = link.metadata()
        floor = link.cluster.revision
        effect = Invoke(
            endpoint,
            method,
            request,
            timeout,
            metadata,
            sent_at=now,
            until=until,
            beat=beat,
            beside=attempts.beside(endpoint) if idempotent and method.doubles else None,
        )
        reply = yield from interruptible(effect)
        reply, endpoint, asked_at = attempts.taken(effect, reply, now)
        now, deadline = effect.sent_at, until + gate.held_up
        if not isinstance(reply, Failure):
            if method.linearizable and not reply.header.cluster_id:
                raise errors.EtcdError(f"{operation}: the answer is not one of etcd's")
            link.answered(endpoint, method, reply, asked_at, floor)
            return Answer(reply, now, endpoint, attempts.count)
        meant = status.meaning(reply)
        if meant is Meaning.TOKEN_REFUSED and link.credentials and refused < timing.TOKEN_TRIES:
            link.tokens.refused(generation)
            yield from attempts.heard(endpoint, reply)
            if refused:
                delay = timing.round_delay(refused, link.random)
                yield from pause(min(delay, max(0.0, deadline - link.clock())))
            refused += 1
            continue
        if meant not in status.RETRIED:
            link.ring.worked(endpoint, link.clock())
            return Refusal(meant, reply, attempts.count)
        if not idempotent and meant not in status.NEVER_LEFT:
            raise status.error(operation, reply, maybe_applied=True)
        delay = yield from attempts.failed(endpoint, reply, now)
        if delay:
            yield from pause(min(delay, max(0.0, deadline - link.clock())))


def call(
    link: Link,
    operation: str,
    method: Method,
    request: Message,
    *,
    deadline: float,
    idempotent: bool = True,
    enduring: bool = False,
    beat: bool = False,
) -> Plan[Answer]:
    """Makes a call whose refusal is an error.

    Raises:
        Unavailable: Nobody answered by ``deadline``, or no endpoint can be spoken to securely.
        EtcdError: Etcd refused, as the class of the error says.
    """
    answer = yield from ask(
        link,
        operation,
        method,
        request,
        deadline=deadline,
        idempotent=idempotent,
        enduring=enduring,
        beat=beat,
    )
    if isinstance(answer, Refusal):
        raise status.error(operation, answer.failure)
    return answer


def _look_up(link: Link, deadline: float) -> Plan[None]:
    """Sees to it that the addresses of names are known, and looked up again when all failed."""
    now = link.clock()
    if link.names.due(now):
        yield LookUp()
    until = min(deadline, now + timing.LOOK_UP)
    while link.names.outstanding and link.clock() < until:
        yield from pause(_ASIDE_POLL)


def _fault(link: Link, endpoint: int, failure: Failure, *, probes: bool) -> Plan[Fault | None]:
    """Why no secure connection could be made, if that is what happened."""
    fault = status.fault(failure, link.identity.own())
    if fault is not None or not probes or not status.hangs_up(failure):
        return fault
    now = link.clock()
    if link.speech.due(endpoint, now):
        yield Probe(endpoint)
    until = now + timing.PROBE
    while link.speech.pending(endpoint) and link.clock() < until:
        yield from pause(_ASIDE_POLL)
    return link.speech.fault(endpoint)
