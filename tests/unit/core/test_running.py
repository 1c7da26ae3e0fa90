"""A plan carried out by callbacks: facts that come while it is at work."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from etcd_election._core.effects import (
    Ended,
    Fact,
    Invoke,
    KeyGone,
    Observed,
    Open,
    Receive,
    Reply,
    Shut,
)
from etcd_election._core.method import Method
from etcd_election._core.running import Cancel, Running
from etcd_election.pb import rpc_pb2, v3election_pb2

OPEN = Open(0, Method.CAMPAIGN, v3election_pb2.CampaignRequest(), ())
READ = Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 1.0, ())
GONE = KeyGone(b"k", 7)


class ByHand:
    """Carries nothing out: the test says what comes of it."""

    def __init__(self) -> None:
        self.replied: list[Callable[[Reply], None]] = []
        self.told: list[Callable[[Fact], None]] = []
        self.shuts = 0

    def subscribe(self, _: Callable[[Fact], None]) -> Any:
        raise NotImplementedError

    def invoke(self, _: Invoke, done: Callable[[Reply], None]) -> Cancel:
        self.replied.append(done)
        return lambda: None

    def after(self, *_: object) -> Cancel:
        return lambda: None

    def open(self, _: Open, tell: Callable[[Fact], None]) -> Cancel:
        self.told.append(tell)
        return lambda: None

    def shut(self, _: Cancel) -> None:
        self.shuts += 1


def test_what_a_call_told_before_it_was_shut_is_not_taken_for_the_next_ones() -> None:
    """A Campaign that ended while the queue was read would have ended the one after it."""
    heard: list[object] = []

    def plan() -> Generator[Any, Any, None]:
        yield OPEN
        yield READ
        yield Shut()
        yield OPEN
        while True:
            heard.append((yield Receive(1.0)))

    carrier = ByHand()
    running: Running[None] = Running(carrier, plan(), lambda _: None)
    running.start()
    carrier.told[0](Observed(v3election_pb2.LeaderResponse()))
    running.tell(GONE)
    carrier.told[0](Ended(None))
    carrier.replied[0](rpc_pb2.RangeResponse())
    carrier.told[0](Ended(None))
    assert heard == [GONE]
    own = Ended(v3election_pb2.CampaignResponse())
    carrier.told[1](own)
    assert heard == [GONE, own]
    running.cancel()
    assert carrier.shuts == 2
