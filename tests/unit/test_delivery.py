"""Events reach a callback in order, and nothing it does reaches those who tell them."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from etcd_election._core import timing
from etcd_election._io.delivery import Delivery
from etcd_election.events import CampaignStarted, Event, EventsDropped
from tests.support.waiting import eventually

LONG = 10.0


def numbered(number: int) -> Event:
    return CampaignStarted(name=b"%d" % number, via="kv")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "etcd_election-events"]


class Blocking:
    """A callback that blocks in the first event, until it is let go."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.began = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, event: Event) -> None:
        self.began.set()
        self.let_go.wait(LONG)
        self.told.append(event)


@pytest.fixture
def blocking() -> Iterator[Blocking]:
    with ExitStack() as stack:
        callback = Blocking()
        stack.callback(callback.let_go.set)
        yield callback


def test_all_are_told_in_order_by_one_thread_made_at_the_first() -> None:
    told: list[tuple[Event, threading.Thread]] = []
    delivery = Delivery(lambda event: told.append((event, threading.current_thread())))
    assert threads() == []
    for number in range(100):
        delivery.tell(numbered(number))
    (thread,) = threads()
    assert thread.daemon
    delivery.close()
    assert told == [(numbered(number), thread) for number in range(100)]
    thread.join(LONG)
    assert threads() == []
    delivery.tell(numbered(100))
    delivery.close()
    assert len(told) == 100
    assert threads() == []


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3)])
def test_callback_that_raises_is_logged_and_called_again(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    told: list[Event] = []

    def callback(event: Event) -> None:
        told.append(event)
        if len(told) == 1:
            raise error

    delivery = Delivery(callback)
    delivery.tell(numbered(0))
    delivery.tell(numbered(1))
    delivery.close()
    assert told == [numbered(0), numbered(1)]
    assert caplog.messages == [f"on_event failed with {numbered(0)!r}"]


def test_what_a_blocked_callback_has_no_room_for_is_counted_where_it_is_missing(
    blocking: Blocking, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = Delivery(blocking)
    delivery.tell(numbered(0))
    assert blocking.began.wait(LONG)
    room = timing.MAX_EVENTS
    for number in range(1, room + 8):
        delivery.tell(numbered(number))
    blocking.let_go.set()
    eventually(lambda: len(blocking.told) == room + 1)
    delivery.tell(numbered(-1))
    delivery.close()
    assert blocking.told[: room + 1] == [numbered(number) for number in range(room + 1)]
    assert blocking.told[room + 1 :] == [EventsDropped(count=7), numbered(-1)]
    assert caplog.messages == ["on_event does not keep up: events are dropped"]


def test_what_was_dropped_last_is_told_at_the_end(blocking: Blocking) -> None:
    delivery = Delivery(blocking)
    delivery.tell(numbered(0))
    assert blocking.began.wait(LONG)
    for number in range(1, timing.MAX_EVENTS + 3):
        delivery.tell(numbered(number))
    blocking.let_go.set()
    delivery.close()
    assert blocking.told[-1] == EventsDropped(count=2)


def test_the_end_waits_for_a_blocked_callback_for_a_moment_only(
    blocking: Blocking, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = Delivery(blocking)
    for number in range(3):
        delivery.tell(numbered(number))
    assert blocking.began.wait(LONG)
    began_at = time.monotonic()
    delivery.close()
    assert timing.DELIVERY <= time.monotonic() - began_at < timing.DELIVERY + 1.0
    assert caplog.messages == ["on_event did not return in time: 2 events were not told"]
    blocking.let_go.set()
    eventually(lambda: not threads())
    assert blocking.told == [numbered(0)], "nothing after the end but what was under way"


def test_callback_that_closes_waits_for_nothing_and_hears_the_rest() -> None:
    told: list[Event] = []
    all_there = threading.Event()

    def callback(event: Event) -> None:
        all_there.wait(LONG)
        told.append(event)
        if len(told) == 1:
            delivery.close()

    delivery = Delivery(callback)
    delivery.tell(numbered(0))
    delivery.tell(numbered(1))
    all_there.set()
    eventually(lambda: not threads(), LONG)
    assert told == [numbered(0), numbered(1)]


def test_one_that_is_collected_ends_its_thread_even_if_its_callback_refers_to_it() -> None:
    class Owner:
        def __init__(self) -> None:
            self.told: list[Event] = []
            self.delivery = Delivery(self.hear)

        def hear(self, event: Event) -> None:
            self.told.append(event)

    owner = Owner()
    listener = owner.delivery.listener()
    listener(numbered(0))
    told = owner.told
    eventually(lambda: told)
    gone = weakref.ref(owner)
    del owner
    eventually(lambda: gc.collect() >= 0 and gone() is None, message="the thread keeps it")
    eventually(lambda: not threads())
    listener(numbered(1))
    assert threads() == []


def test_child_process_tells_nothing_and_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Event] = []
    delivery = Delivery(told.append)
    delivery.tell(numbered(0))
    eventually(lambda: told)
    parent = os.getpid()
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: parent + 1)
        delivery.tell(numbered(1))
    delivery.tell(numbered(2))
    eventually(lambda: numbered(2) in told)
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: parent + 1)
        at_once: list[bool] = []
        delivery.finish(lambda: at_once.append(True))
        assert at_once == [True]
    delivery.abandon()
    eventually(lambda: not threads())
    assert told == [numbered(0), numbered(2)]


def test_where_no_thread_can_be_started_events_are_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "etcd_election")

    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    told: list[Event] = []
    delivery = Delivery(told.append)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", full)
        delivery.tell(numbered(0))
    delivery.tell(numbered(1))
    delivery.close()
    assert told == [EventsDropped(count=1), numbered(1)]
    assert caplog.messages == ["on_event does not keep up: events are dropped"]


def test_signal_handler_that_comes_while_its_thread_tells_may_tell_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Event] = []
    delivery = Delivery(told.append)
    size = delivery._queue.qsize

    class Interrupted:
        """The queue; the first question for its size is interrupted."""

        put, get = delivery._queue.put, delivery._queue.get
        get_nowait = delivery._queue.get_nowait
        asked = False

        def qsize(self) -> int:
            if not self.asked:
                self.asked = True
                delivery.tell(numbered(1))
            return size()

    monkeypatch.setattr(delivery, "_queue", Interrupted())
    delivery.tell(numbered(0))
    delivery.close()
    assert told == [numbered(1), numbered(0)]
