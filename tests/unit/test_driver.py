"""The driver of the blocking front-end, without a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd_election._core.effects import (
    Ended,
    Fact,
    Failure,
    Invoke,
    KeyGone,
    Open,
    Plan,
    Receive,
    Reply,
    Shut,
)
from etcd_election._core.endpoints import Endpoint
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._sync.driver import Driver, Inbox
from etcd_election.pb import rpc_pb2, v3election_pb2

OPEN = Open(0, Method.CAMPAIGN, v3election_pb2.CampaignRequest(), ())
INVOKE = Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 5.0, ())
GONE = KeyGone(b"jobs/1", 7)
SILENCE = Failure("DEADLINE_EXCEEDED", "Deadline Exceeded")


class FakeWire:
    """Ends the first long call while a short one is under way."""

    def __init__(self, tell: Callable[[Fact], None]) -> None:
        self._tell = tell
        self._opened: list[Callable[[Fact], None]] = []

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Callable[[], None]:
        assert effect is OPEN
        self._opened.append(tell)
        return lambda: None

    def start(self, effect: Invoke, done: Callable[[Reply], None]) -> Callable[[], None]:
        assert effect is INVOKE
        self._opened[0](Ended(v3election_pb2.CampaignResponse()))
        self._tell(GONE)
        done(SILENCE)
        return lambda: None


def test_word_of_a_call_that_was_shut_is_not_taken_for_the_next_ones() -> None:
    inbox = Inbox()
    wire: Any = FakeWire(inbox.tell)
    hub: Any = None
    got: list[Any] = []

    def plan() -> Plan[None]:
        yield OPEN
        got.append((yield INVOKE))
        yield Shut()
        yield OPEN
        got.append((yield Receive(1.0)))

    Driver(Link([Endpoint("etcd0", 2379)]), wire, hub, inbox).run(plan())
    assert got == [SILENCE, GONE]
