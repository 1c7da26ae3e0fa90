"""A token for those who have a user: fetched by one plan, while all others wait for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ... import errors
from ...events import AuthenticatedAgain
from ...pb import rpc_pb2
from .. import status, timing
from ..effects import NO_TURN, Failure, Invoke, Plan
from ..link import Link
from ..method import Method
from ..status import Meaning
from .interrupting import interruptible, pause

_TOKEN_POLL = 0.02


def _unheard(_: int, __: Failure) -> Plan[None]:
    """Nobody wants to know."""
    yield from ()


def authenticate(
    link: Link, deadline: float, heard: Callable[[int, Failure], Plan[None]] = _unheard
) -> Plan[None]:
    """Sees to it that there is a token, if there is a user. One plan fetches it, others wait.

    Args:
        link: The connection.
        deadline: When to leave it.
        heard: Is told what endpoints said that brought no token.

    Raises:
        EtcdError: Etcd refused.
    """
    if link.credentials is None:
        return
    failures = 0
    while not link.tokens.filled and link.clock() < deadline:
        if not link.tokens.begin():
            yield from pause(_TOKEN_POLL)
            continue
        fetched = False
        try:
            user, password = link.credentials
            request = rpc_pb2.AuthenticateRequest(name=user, password=password)
            endpoint = link.ring.pick()
            now = link.clock()
            left = deadline - now
            timeout = min(left, timing.CONNECTING + timing.patience(2, link.latency, left))
            until = deadline - link.gate.held_up
            effect = Invoke(endpoint, Method.AUTHENTICATE, request, timeout, (), until=until)
            reply = yield from interruptible(effect)
            if not isinstance(reply, Failure):
                link.tokens.renewed(reply.token)
                fetched = True
                if link.tokens.again:
                    link.tell(
                        AuthenticatedAgain(user=user, endpoint=link.endpoints[endpoint].shown)
                    )
            elif status.meaning(reply) is Meaning.AUTH_OFF:
                link.tokens.renewed(None)
                fetched = True
            elif status.meaning(reply) not in status.RETRIED:
                raise status.error("authenticate", reply)
            elif reply is not NO_TURN:
                silent = status.meaning(reply) is Meaning.SILENT
                link.unanswered(endpoint, now, reached=silent, said=reply.said)
                yield from heard(endpoint, reply)
        finally:
            if not fetched:
                link.tokens.failed()
        failures += not fetched
        rounds, rest = divmod(failures, len(link.endpoints))
        if not fetched and not rest:
            delay = timing.round_delay(rounds, link.random)
            yield from pause(min(delay, max(0.0, deadline - link.clock())))


def token_at_hand(link: Link) -> Plan[None]:
    """Sees to a token for a stream that is about to be opened; without one, etcd refuses."""
    with contextlib.suppress(errors.EtcdError):
        yield from authenticate(link, link.clock() + link.timeout)
