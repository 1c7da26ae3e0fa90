"""A plan carried out on the calling thread: facts that come while it makes a call."""

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
    Word,
)
from etcd_election._core.method import Method
from etcd_election._sync.driver import Driver, Inbox
from etcd_election.pb import rpc_pb2, v3election_pb2

from .core.support import FakeClock, make_link

OPEN = Open(0, Method.CAMPAIGN, v3election_pb2.CampaignRequest(), ())
GONE = KeyGone(b"k", 7)


class ByHand:
    """As a wire: what comes of a call, and meanwhile of the long one, is said here."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.told: list[Callable[[Fact], None]] = []

    def start(self, _: Invoke, done: Callable[[Reply], None]) -> Callable[[], None]:
        self.told[0](Observed(v3election_pb2.LeaderResponse()))
        self.inbox.tell(GONE)
        self.told[0](Ended(None))
        done(rpc_pb2.RangeResponse())
        self.told[0](Ended(None))
        return lambda: None

    def open(self, _: Open, tell: Callable[[Fact], None]) -> Callable[[], None]:
        self.told.append(tell)
        return lambda: None


def test_what_a_call_told_before_it_was_shut_is_not_taken_for_the_next_ones() -> None:
    """A Campaign that ended while the queue was read would have ended the one after it."""
    heard: list[object] = []
    own = Ended(v3election_pb2.CampaignResponse())

    def plan() -> Generator[Any, Any, None]:
        yield OPEN
        # Longer than what is called directly.
        yield Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 1.0, ())
        yield Shut()
        yield OPEN
        wire.told[1](own)
        while len(heard) < 3:
            heard.append((yield Receive(0.0)))

    inbox = Inbox()
    wire: Any = ByHand(inbox)
    watcher: Any = None
    Driver(make_link(FakeClock()), wire, watcher, inbox).run(plan())
    assert heard == [GONE, own, None]


def test_call_that_has_to_wait_for_others_hears_a_word_meanwhile() -> None:
    class Crowded(ByHand):
        cancelled = False

        def invoke_at_once(self, _: Invoke) -> Reply | None:
            return None

        def start(self, _: Invoke, __: Callable[[Reply], None]) -> Callable[[], None]:
            self.inbox.tell(Word.CANCELLED)
            return self.cancel

        def cancel(self) -> None:
            self.cancelled = True

    def plan() -> Generator[Any, Any, object]:
        # So short that it is made directly, if that is possible at once.
        return (yield Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 0.1, ()))

    inbox = Inbox()
    wire: Any = Crowded(inbox)
    assert Driver(make_link(FakeClock()), wire, None, inbox).run(plan()) is Word.CANCELLED  # type: ignore[arg-type]
    assert wire.cancelled
