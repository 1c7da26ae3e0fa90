"""Plans carried out by callbacks: every wait, what ends it, and what comes too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from etcd_election._core.condition import Condition
from etcd_election._core.effects import (
    Aside,
    Beside,
    Connect,
    Consult,
    Consulted,
    Effect,
    Ended,
    Fact,
    Failure,
    Invoke,
    KeyGone,
    LeaseEnded,
    LookUp,
    Observed,
    Open,
    Plan,
    Probe,
    Receive,
    Reply,
    Shut,
    Sleep,
    Watch,
    Word,
)
from etcd_election._core.keywatch import Span, Subscription
from etcd_election._core.method import Method
from etcd_election._core.running import Cancel, Running
from etcd_election.pb import rpc_pb2, v3election_pb2

from .support import SILENCE, ranged

REQUEST = rpc_pb2.RangeRequest()
INVOKE = Invoke(0, Method.RANGE, REQUEST, 1.0, ())
DOUBLE = Invoke(0, Method.RANGE, REQUEST, 0.9, (), beside=1)
OPEN = Open(0, Method.CAMPAIGN, v3election_pb2.CampaignRequest(), ())
GONE = KeyGone(b"jobs/1", 7)
WON = Ended(v3election_pb2.CampaignResponse())


class Pending:
    """Something that a carrier was asked for."""

    def __init__(self, what: object, call: Callable[..., None]) -> None:
        self.what = what
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeCarrier:
    """Notes what it is asked for; the test decides when it comes."""

    def __init__(self) -> None:
        self.calls: list[Pending] = []
        self.timers: list[Pending] = []
        self.opened: list[Pending] = []
        self.questions: list[Pending] = []
        self.asides: list[Aside] = []
        self.watched: list[tuple[str, Span]] = []
        self.sinks: set[Callable[[Fact], None]] = set()
        self.subscriptions = 0

    def subscribe(self, tell: Callable[[Fact], None]) -> Subscription:
        self.subscriptions += 1
        return Subscription(self, tell)

    def add(self, span: Span, sink: Callable[[Fact], None]) -> None:
        self.watched.append(("add", span))
        self.sinks.add(sink)

    def remove(self, span: Span, sink: Callable[[Fact], None]) -> None:
        self.watched.append(("remove", span))
        assert sink in self.sinks

    def invoke(self, effect: Invoke, done: Callable[[Reply], None]) -> Cancel:
        return self._note(self.calls, effect, done)

    def after(self, seconds: float, call: Callable[[], None]) -> Cancel:
        return self._note(self.timers, seconds, call)

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        return self._note(self.opened, effect, tell)

    def shut(self, cancel: Cancel) -> None:
        cancel()

    def aside(self, effect: Aside) -> None:
        self.asides.append(effect)

    def consult(self, ask: Callable[[], bool], done: Callable[[bool], None]) -> None:
        self._note(self.questions, ask, done)

    @staticmethod
    def _note(notes: list[Pending], what: object, call: Callable[..., None]) -> Cancel:
        pending = Pending(what, call)
        notes.append(pending)
        return pending.cancel


class Carried:
    """A plan of given effects, started."""

    def __init__(self, *effects: Effect, plan: Plan[Any] | None = None) -> None:
        self.carrier = FakeCarrier()
        self.got: list[Any] = []
        self.ended: list[Running[Any]] = []
        self.closed = False
        self.running: Running[Any] = Running(
            self.carrier, plan or self._plan(effects), self.ended.append
        )
        self.running.start()

    def _plan(self, effects: tuple[Effect, ...]) -> Plan[str]:
        try:
            for effect in effects:
                self.got.append((yield effect))
        finally:
            self.closed = True
        return "done"

    @property
    def call(self) -> Pending:
        return self.carrier.calls[-1]

    @property
    def timer(self) -> Pending:
        return self.carrier.timers[-1]


# Waits and what they bring


def test_call_brings_its_reply() -> None:
    c = Carried(INVOKE)
    assert c.call.what is INVOKE
    reply = ranged()
    c.call.call(reply)
    assert c.got == [reply]
    assert (c.running.over, c.running.result, c.running.error) == (True, "done", None)
    assert c.ended == [c.running]


def test_call_is_made_beside_when_the_first_is_silent_and_the_answer_ends_both() -> None:
    c = Carried(DOUBLE)
    first = c.call
    assert first.what is DOUBLE
    assert c.timer.what == pytest.approx(0.3)
    c.timer.call()
    second = c.call
    assert second.what.endpoint == 1
    assert second.what.request is REQUEST
    assert second.what.timeout == pytest.approx(0.6)
    assert second.what.spare
    second.call(SILENCE)
    assert c.got == [], "the first may still answer"
    reply = ranged()
    second.call(reply)
    assert c.got == [Beside(reply)]
    assert first.cancelled


def test_first_call_decides_when_it_ends_before_the_one_beside() -> None:
    c = Carried(DOUBLE)
    first = c.call
    c.timer.call()
    first.call(SILENCE)
    assert c.got == [SILENCE]
    assert c.call.cancelled
    assert c.timer.cancelled


def test_call_that_is_answered_in_time_is_made_nowhere_else() -> None:
    c = Carried(DOUBLE, INVOKE)
    first, timer = c.call, c.timer
    first.call(SILENCE)
    assert timer.cancelled
    assert c.call.what is INVOKE
    assert c.got == [SILENCE]


def test_answer_from_beside_comes_too_late_for_the_next_wait() -> None:
    c = Carried(DOUBLE, INVOKE)
    first = c.call
    c.timer.call()
    second = c.call
    first.call(SILENCE)
    second.call(ranged())
    assert c.got == [SILENCE]


def test_question_is_not_waited_for_and_its_answer_is_a_fact() -> None:
    condition = Condition(lambda: True, None)
    c = Carried(Consult(condition), Receive(1.0))
    assert c.got == [None]
    assert c.carrier.questions[0].what == condition.ask
    c.carrier.questions[0].call(False)
    assert c.got == [None, Consulted(condition, renews=False)]


def test_pause_brings_nothing_but_time() -> None:
    c = Carried(Sleep(0.5))
    assert c.timer.what == 0.5
    c.timer.call()
    assert c.got == [None]


def test_fact_ends_a_wait_for_one_and_its_timer() -> None:
    c = Carried(Receive(3.0))
    assert c.timer.what == 3.0
    c.running.tell(GONE)
    assert c.got == [GONE]
    assert c.timer.cancelled


def test_time_ends_a_wait_for_a_fact() -> None:
    c = Carried(Receive(3.0))
    c.timer.call()
    assert c.got == [None]


def test_fact_that_came_before_is_there_without_a_wait() -> None:
    c = Carried(INVOKE, Receive(3.0), Receive(3.0))
    c.running.tell(GONE)
    c.running.tell(LeaseEnded())
    assert c.got == [], "a fact does not end the wait for a call"
    c.call.call(SILENCE)
    assert c.got == [SILENCE, GONE, LeaseEnded()]
    assert c.carrier.timers == []


# Words that interrupt


@pytest.mark.parametrize("wait", [INVOKE, Sleep(1.0)])
@pytest.mark.parametrize("word", [Word.CANCELLED, Word.CLOSED])
def test_interrupting_word_ends_a_call_or_a_pause(wait: Effect, word: Word) -> None:
    c = Carried(wait)
    c.running.tell(word)
    assert c.got == [word]
    assert all(pending.cancelled for pending in c.carrier.calls + c.carrier.timers)


def test_other_word_does_not() -> None:
    c = Carried(INVOKE, Receive(1.0))
    c.running.tell(Word.TURN)
    assert c.got == []
    c.call.call(SILENCE)
    assert c.got == [SILENCE, Word.TURN]


@pytest.mark.parametrize("wait", [INVOKE, Sleep(1.0)])
def test_interrupting_word_that_came_meanwhile_is_found_among_the_facts(wait: Effect) -> None:
    def plan() -> Plan[list[Any]]:
        # While a plan is at work, facts wait.
        c.running.tell(GONE)
        c.running.tell(Word.CLOSED)
        got = [(yield wait)]
        got.append((yield Receive(1.0)))
        return got

    c = Carried(Receive(1.0))
    c.running = Running(c.carrier, plan(), c.ended.append)
    c.running.start()
    assert c.running.result == [Word.CLOSED, GONE]
    assert c.carrier.calls == [], "the call was not even started"


# What comes too late


def test_reply_after_its_wait_has_ended_means_nothing() -> None:
    c = Carried(INVOKE, INVOKE)
    c.running.tell(Word.CANCELLED)
    late, current = c.carrier.calls
    late.call(ranged())
    assert c.got == [Word.CANCELLED]
    current.call(SILENCE)
    assert c.got == [Word.CANCELLED, SILENCE]


def test_timer_after_its_wait_has_ended_means_nothing() -> None:
    c = Carried(Receive(1.0), Receive(2.0))
    c.running.tell(GONE)
    c.carrier.timers[0].call()
    assert c.got == [GONE]


def test_nothing_reaches_a_plan_that_is_over() -> None:
    c = Carried(INVOKE)
    reply = c.call
    reply.call(SILENCE)
    c.running.tell(GONE)
    reply.call(SILENCE)
    c.running.start()
    c.running.cancel()
    assert c.got == [SILENCE]
    assert len(c.ended) == 1


# The long call


def test_long_call_tells_until_it_is_shut() -> None:
    c = Carried(OPEN, Receive(1.0), Shut(), Receive(1.0))
    opened = c.carrier.opened[0]
    assert opened.what is OPEN
    seen = Observed(v3election_pb2.LeaderResponse())
    opened.call(seen)
    assert c.got == [None, seen, None]
    assert opened.cancelled
    opened.call(Ended(None))
    assert c.got == [None, seen, None], "no fact of it arrives afterwards"


def test_word_of_a_call_that_was_shut_is_not_taken_for_the_next_ones() -> None:
    c = Carried(OPEN, INVOKE, Shut(), OPEN, Receive(1.0))
    first = c.carrier.opened[0]
    first.call(WON)
    c.running.tell(GONE)
    c.call.call(SILENCE)
    assert c.got == [None, SILENCE, None, None, GONE]


def test_shut_without_a_call_does_nothing() -> None:
    c = Carried(Shut())
    assert c.running.over


def test_call_that_was_shut_is_not_shut_again_at_the_end() -> None:
    c = Carried(OPEN, Shut(), Receive(1.0))
    opened = c.carrier.opened[0]
    opened.cancelled = False
    c.running.cancel()
    assert not opened.cancelled


def test_call_that_ended_by_itself_is_not_shut() -> None:
    """Endings are kept apart from each other: the next one would wait for this."""
    c = Carried(OPEN, Receive(1.0), Shut())
    opened = c.carrier.opened[0]
    opened.call(WON)
    assert c.running.over
    assert not opened.cancelled


# Watches


def test_what_is_done_apart_is_not_waited_for() -> None:
    c = Carried(LookUp(), Probe(1), Connect(2), INVOKE)
    assert c.carrier.asides == [LookUp(), Probe(1), Connect(2)]
    assert c.got == [None, None, None]
    c.call.call(ranged())
    assert c.running.result == "done"


def test_keys_are_watched_until_others_are() -> None:
    c = Carried(Watch(frozenset((b"a",))), Watch(frozenset((b"b",))), Receive(1.0))
    a, b = Span(b"a"), Span(b"b")
    assert sorted(c.carrier.watched) == [("add", a), ("add", b), ("remove", a)]
    assert c.carrier.subscriptions == 1


# The end


@pytest.mark.parametrize("wait", [INVOKE, Sleep(1.0), Receive(1.0)])
def test_cancelled_plan_leaves_nothing_open(wait: Effect) -> None:
    c = Carried(OPEN, Watch(frozenset((b"a",))), wait)
    c.running.cancel()
    assert c.closed
    assert c.carrier.opened[0].cancelled
    assert all(pending.cancelled for pending in c.carrier.calls + c.carrier.timers)
    assert c.carrier.watched == [("add", Span(b"a")), ("remove", Span(b"a"))]
    assert (c.running.over, c.running.result, c.running.error) == (True, None, None)
    assert c.ended == [c.running]


def test_plan_that_never_started_can_be_cancelled() -> None:
    carrier, ended = FakeCarrier(), list[Running[Any]]()
    running = Running(carrier, iter_never(), ended.append)
    running.cancel()
    running.start()
    assert running.over
    assert ended == [running]


def iter_never() -> Plan[None]:
    yield Sleep(1.0)


def test_error_of_a_plan_is_kept_for_whoever_started_it() -> None:
    def plan() -> Plan[None]:
        yield Sleep(1.0)
        raise ValueError("no")

    c = Carried(plan=plan())
    c.timer.call()
    assert isinstance(c.running.error, ValueError)
    assert c.running.result is None
    assert c.ended == [c.running]


def test_result_is_there_when_the_end_is_told() -> None:
    results: list[Any] = []

    def plan() -> Plan[int]:
        reply = yield INVOKE
        return 1 if isinstance(reply, Failure) else 2

    carrier = FakeCarrier()
    running: Running[int] = Running(carrier, plan(), lambda over: results.append(over.result))
    running.start()
    carrier.calls[0].call(SILENCE)
    assert results == [1]
