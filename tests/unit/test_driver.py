"""A plan carried out on the calling thread: facts that come while it makes a call."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from etcd_election._core.effects import (
    Aside,
    Beside,
    Connect,
    Effect,
    Ended,
    Fact,
    Failure,
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
from etcd_election._core.timing import system_clock
from etcd_election._sync.driver import Driver, Inbox, run
from etcd_election.pb import rpc_pb2, v3election_pb2

from .core.support import SILENCE, FakeClock, make_link

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


def test_call_that_ended_by_itself_is_not_shut() -> None:
    """Endings are kept apart from each other: the next one would wait for this."""
    shut: list[int] = []

    class Answers:
        def open(self, _: Open, tell: Callable[[Fact], None]) -> Callable[[], None]:
            tell(Ended(v3election_pb2.CampaignResponse()))
            tell(Ended(None))
            return lambda: shut.append(1)

    def plan() -> Generator[Any, Any, list[object]]:
        yield OPEN
        heard = [(yield Receive(1.0))]
        yield Shut()
        return [*heard, (yield Receive(0.0))]

    wire: Any = Answers()
    watcher: Any = None
    heard = Driver(make_link(FakeClock()), wire, watcher, Inbox()).run(plan())
    assert heard == [Ended(v3election_pb2.CampaignResponse()), None], "none after it was shut"
    assert not shut


class TwoEndpoints:
    """As a wire: the first endpoint says nothing before the second has, or nothing at all."""

    def __init__(self, *second: Reply | Word, then: Reply | None = None) -> None:
        self.inbox = Inbox()
        self.asked: list[int] = []
        self.cancelled: list[int] = []
        self._second = second
        self._then = then
        self._first: Callable[[Reply], None] = lambda _: None

    def start(self, effect: Invoke, done: Callable[[Reply], None]) -> Callable[[], None]:
        self.asked.append(effect.endpoint)
        if effect.endpoint == 0:
            self._first = done
        else:
            assert effect.spare
            for said in self._second:
                if isinstance(said, Word):
                    self.inbox.tell(said)
                else:
                    done(said)
            if self._then is not None:
                self._first(self._then)
        return lambda: self.cancelled.append(effect.endpoint)


DOUBLE = Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 0.03, (), beside=1)
ANSWER = rpc_pb2.RangeResponse(count=1)
REFUSED = Failure("PERMISSION_DENIED", "etcdserver: permission denied")


def carry_out(wire: Any, *, inbox: bool) -> object:
    def plan() -> Generator[Any, Any, object]:
        return (yield DOUBLE)

    watcher: Any = None
    if not inbox:
        return run(wire, plan())
    link = make_link(FakeClock())
    link.clock = system_clock
    return Driver(link, wire, watcher, wire.inbox).run(plan())


@pytest.mark.parametrize("inbox", [True, False])
@pytest.mark.parametrize(
    ("said", "then", "got"),
    [
        ((ANSWER,), None, Beside(ANSWER)),
        ((REFUSED,), None, Beside(REFUSED)),
        ((SILENCE, ANSWER), None, Beside(ANSWER)),
        ((SILENCE,), REFUSED, REFUSED),
        ((), ANSWER, ANSWER),
    ],
)
def test_silent_endpoint_is_not_waited_for_alone(
    said: tuple[Reply, ...], then: Reply | None, got: object, inbox: bool
) -> None:
    wire = TwoEndpoints(*said, then=then)
    assert carry_out(wire, inbox=inbox) == got
    assert wire.asked == [0, 1]
    assert wire.cancelled == [0, 1], "neither call is left"


def test_word_ends_the_wait_for_two_endpoints_as_well() -> None:
    wire = TwoEndpoints(Word.CANCELLED)
    assert carry_out(wire, inbox=True) is Word.CANCELLED
    assert wire.cancelled == [0, 1]


class InOrder:
    """As a wire: answers at once, and notes what it was told to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def invoke_at_once(self, _: Invoke) -> Reply:
        self.done.append("direct call")
        return rpc_pb2.RangeResponse()

    def start(self, _: Invoke, done: Callable[[Reply], None]) -> Callable[[], None]:
        self.done.append("call")
        done(rpc_pb2.RangeResponse())
        return lambda: None

    def open(self, _: Open, __: Callable[[Fact], None]) -> Callable[[], None]:
        self.done.append("long call")
        return lambda: None

    def aside(self, _: Aside) -> None:
        self.done.append("connection")


@pytest.mark.parametrize(
    ("effect", "done"),
    [
        (Invoke(0, Method.GRANT, rpc_pb2.LeaseGrantRequest(), 1.3, ()), ["call", "connection"]),
        (
            Invoke(0, Method.GRANT, rpc_pb2.LeaseGrantRequest(), 0.3, ()),
            ["connection", "direct call"],
        ),
        (OPEN, ["long call"]),
    ],
)
def test_connection_for_a_long_call_holds_up_no_call(effect: Effect, done: list[str]) -> None:
    def plan() -> Generator[Any, Any, None]:
        yield Connect(0)
        yield effect

    wire: Any = InOrder()
    watcher: Any = None
    Driver(make_link(FakeClock()), wire, watcher, Inbox()).run(plan())
    assert wire.done == done


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
