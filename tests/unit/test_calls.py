"""Calls that are started and not waited for: their turns, their ends, and what cancels them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any, cast

import grpc
import pytest

from etcd_election._core import status, timing
from etcd_election._core.effects import NO_TURN, Ended, Fact, Invoke, Open, Reply
from etcd_election._core.method import Method
from etcd_election._io.calls import CLOSED, Begin, Callback, Calls, Cancel
from etcd_election._io.channels import Channel, Channels
from etcd_election.pb import rpc_pb2, v3election_pb2

from .core.support import SILENCE, FakeClock, make_link

REQUEST = rpc_pb2.RangeRequest(key=b"k")
RESPONSE = rpc_pb2.RangeResponse()
OPEN = Open(0, Method.CAMPAIGN, v3election_pb2.CampaignRequest(), ())


class FakeChannels:
    """Lends itself."""

    def __init__(self) -> None:
        self.open = True
        self.lent = 0
        self.forsaken = False
        self.error: BaseException | None = None
        self.connecting = False

    def enter(self, _endpoint: int, _lane: object) -> FakeChannels | None:
        if self.error is not None:
            raise self.error
        self.lent += self.open
        return self if self.open else None

    def leave(self, channel: object) -> None:
        self.lent -= channel is self

    def forsake(self, _channel: object) -> None:
        self.forsaken = True

    def method(self, method: Method) -> Method:
        return method


class Place:
    """Calls whose wire is worked by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.link = make_link(self.clock)
        self.channels = FakeChannels()
        self.begun: list[Callback] = []
        self.timeouts: list[float] = []
        self.methods: list[Method] = []
        self.cancelled = 0
        self.error: BaseException | None = None
        self.later: list[Callable[[], None]] = []
        begin = cast("Begin", self.begin)
        channels = cast("Channels", self.channels)
        self.calls = Calls(self.link, channels, begin, soon=self.later.append)

    def begin(self, call: Any, _request: Any, timeout: Any, _meta: Any, done: Callback) -> Cancel:
        if self.error is not None:
            raise self.error
        self.begun.append(done)
        self.methods.append(call)
        self.timeouts.append(timeout)
        return self.cancel

    def cancel(self) -> None:
        self.cancelled += 1

    def crowd(self) -> None:
        """As many calls are under way as there may be."""
        for _ in range(timing.MAX_CALLS):
            assert self.link.gate.try_enter()

    def free(self) -> bool:
        """No call is under way."""
        self.crowd()
        return not self.link.gate.try_enter() and not self.channels.lent

    def settle(self) -> None:
        while self.later:
            self.later.pop(0)()


@pytest.fixture
def place() -> Place:
    return Place()


def read(place: Place, *, seconds: float = 5.0, method: Method = Method.RANGE) -> Invoke:
    now = place.clock()
    until = now + seconds - place.link.gate.held_up
    return Invoke(0, method, REQUEST, 0.3, (), sent_at=now, until=until)


def test_call_leaves_at_once_where_there_is_a_place(place: Place) -> None:
    replies: list[Reply] = []
    effect = read(place)
    place.calls.start(effect, replies.append)
    assert effect.sent_at == place.clock()
    place.begun[0](RESPONSE)
    assert replies == [RESPONSE]
    assert place.free()


def test_call_that_waited_for_its_turn_is_sent_when_that_comes(place: Place) -> None:
    """A lease is counted from there: not from before the wait, and not from after the sending."""
    place.crowd()
    effect = read(place)
    place.calls.start(effect, lambda _: None)
    place.clock.advance(2.0)
    assert not place.begun
    place.link.gate.leave()
    assert len(place.begun) == 1
    assert effect.sent_at == place.clock()


def test_answer_shows_that_who_waits_is_held_up_by_others(place: Place) -> None:
    for _ in range(timing.MAX_CALLS - 1):
        place.link.gate.try_enter()
    place.calls.start(read(place), lambda _: None)
    place.calls.start(read(place), lambda _: None)
    place.clock.advance(2.0)
    place.begun[0](RESPONSE)
    assert place.link.gate.held_up == 2.0
    place.calls.start(read(place), lambda _: None)
    place.clock.advance(2.0)
    place.begun[1](SILENCE)
    assert place.link.gate.held_up == 2.0


def test_call_whose_time_is_up_before_its_turn_never_leaves(place: Place) -> None:
    place.crowd()
    replies: list[Reply] = []
    place.calls.start(read(place, seconds=1.0), replies.append)
    place.clock.advance(1.0)
    place.link.gate.leave()
    place.settle()
    assert not place.begun
    assert replies == [NO_TURN]
    assert place.link.gate.try_enter(), "its place is free"


def test_call_whose_turn_comes_late_has_what_is_left_of_its_time(place: Place) -> None:
    """A write of five seconds, which is made once, took up to ten."""
    place.crowd()
    effect = read(place, seconds=5.0)
    effect.timeout = 5.0
    place.calls.start(effect, lambda _: None)
    place.clock.advance(4.0)
    place.link.gate.leave()
    assert place.timeouts == [1.0]


def test_second_call_takes_no_place_in_the_line_of_those_that_wait(place: Place) -> None:
    place.crowd()
    replies: list[Reply] = []
    second = Invoke(0, Method.RANGE, REQUEST, 0.3, (), beside=1).second()
    place.calls.start(second, replies.append)
    place.settle()
    assert replies == [NO_TURN]
    assert not status.final(NO_TURN), "the first one decides"
    place.link.gate.leave()
    assert not place.begun
    place.calls.start(second, replies.append)
    assert len(place.begun) == 1


def test_what_was_begun_is_finished_before_another_lease_is_granted(place: Place) -> None:
    place.crowd()
    for method in (Method.GRANT, Method.GRANT, Method.TXN, Method.RANGE):
        place.calls.start(read(place, method=method), lambda _: None)
    for _ in range(4):
        place.link.gate.leave()
    assert place.methods == [Method.TXN, Method.RANGE, Method.GRANT, Method.GRANT]


def test_keepalive_waits_for_no_turn(place: Place) -> None:
    place.crowd()
    place.calls.start(read(place, method=Method.KEEPALIVE), lambda _: None)
    place.begun[0](RESPONSE)
    assert not place.link.gate.try_enter(), "it had none, and gives none back"


def test_cancelled_call_is_ended_by_the_wire(place: Place) -> None:
    replies: list[Reply] = []
    cancel = place.calls.start(read(place), replies.append)
    cancel()
    assert place.cancelled == 1
    assert not replies
    place.begun[0](CLOSED)
    assert replies == [CLOSED]
    cancel()
    assert place.cancelled == 1, "it is over"
    assert place.free()


def test_call_that_was_cancelled_in_the_line_never_leaves(place: Place) -> None:
    place.crowd()
    replies: list[Reply] = []
    place.calls.start(read(place), replies.append)()
    place.link.gate.leave()
    place.settle()
    assert not place.begun
    assert replies == [CLOSED]
    assert place.link.gate.try_enter()


def test_call_that_is_cancelled_while_it_begins_is_ended_all_the_same(place: Place) -> None:
    """Another thread, or a signal handler, in the middle of it."""
    place.crowd()
    cancels: list[Cancel] = []

    class Cancelling(FakeChannels):
        def method(self, method: Method) -> Method:
            cancels[0]()
            return method

    place.calls.channels = cast("Channels", Cancelling())
    cancels.append(place.calls.start(read(place), lambda _: None))
    place.link.gate.leave()
    assert place.cancelled == 1


def test_call_that_cannot_be_begun_is_a_failure(place: Place) -> None:
    for error in (ValueError("closed channel"), grpc.RpcError()):
        place.error = error
        replies: list[Reply] = []
        place.calls.start(read(place), replies.append)
        assert not replies, "never from within start"
        place.settle()
        assert len(replies) == 1
    assert place.free()


def test_channel_that_was_interrupted_is_forsaken(place: Place) -> None:
    place.error = KeyboardInterrupt()
    replies: list[Reply] = []
    with pytest.raises(KeyboardInterrupt):
        place.calls.start(read(place), replies.append)
    place.settle()
    assert place.channels.forsaken
    assert replies == [CLOSED]
    assert place.free()


@pytest.mark.parametrize("waits", [True, False])
def test_call_that_is_interrupted_while_its_channel_is_made_is_ended(
    place: Place, *, waits: bool
) -> None:
    """Its place would be lost, and where another thread waits for it, that would go on for ever."""
    place.channels.error = KeyboardInterrupt()
    replies: list[Reply] = []
    if waits:
        place.crowd()
        place.calls.start(read(place), replies.append)
    with pytest.raises(KeyboardInterrupt):
        place.link.gate.leave() if waits else place.calls.start(read(place), replies.append)
    place.settle()
    assert replies == [CLOSED]
    assert place.link.gate.try_enter()


def test_call_that_had_begun_when_it_was_interrupted_ends_once(place: Place) -> None:
    dones: list[Callback] = []

    def begin(_call: Any, _request: Any, _timeout: Any, _meta: Any, done: Callback) -> Cancel:
        dones.append(done)
        raise KeyboardInterrupt

    place.calls.begin = begin
    replies: list[Reply] = []
    with pytest.raises(KeyboardInterrupt):
        place.calls.start(read(place), replies.append)
    place.settle()
    dones[0](RESPONSE)
    assert replies == [CLOSED]
    assert place.free(), "its place is given back once"


def test_nothing_is_begun_after_the_end(place: Place) -> None:
    place.channels.open = False
    replies: list[Reply] = []
    told: list[Fact] = []
    place.calls.start(read(place), replies.append)
    place.calls.campaign(OPEN, told.append)
    place.settle()
    assert replies == [CLOSED]
    assert told == [Ended(CLOSED)]
    assert place.free()


def connect(channel: Channel) -> None:
    raise AssertionError(f"{channel} connects already")


def test_connection_for_waits_is_made_once(place: Place) -> None:
    made: list[object] = []
    place.calls.connect(0, made.append)
    place.calls.connect(0, connect)
    assert made == [place.channels]
    assert place.free()


def test_connection_that_cannot_be_made_is_left_to_the_wait_itself(place: Place) -> None:
    def closed(_: Channel) -> None:
        raise ValueError("Cannot invoke RPC on closed channel!")

    place.calls.connect(0, closed)
    place.channels.open = False
    place.calls.connect(0, connect)
    assert not place.channels.forsaken
    assert place.free()


def test_connection_whose_making_was_interrupted_is_forsaken(place: Place) -> None:
    def interrupted(_: Channel) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.calls.connect(0, interrupted)
    assert place.channels.forsaken
    assert place.free()


def test_campaign_needs_no_place_and_its_end_is_told(place: Place) -> None:
    place.crowd()
    told: list[Fact] = []
    cancel = place.calls.campaign(OPEN, told.append)
    cancel()
    assert place.cancelled == 1
    place.begun[0](RESPONSE)
    assert told == [Ended(RESPONSE)]
    assert not place.link.gate.try_enter()


@pytest.mark.parametrize("at_once", [True, False])
def test_call_that_is_over_is_freed_without_a_collection(place: Place, *, at_once: bool) -> None:
    class Made:
        """What the wire made, which knows whom to tell."""

        def __init__(self, done: Callback) -> None:
            self.done = done

        def cancel(self) -> None:
            """Ends it."""

    made: list[weakref.ref[Made]] = []

    def begin(_call: Any, _request: Any, _timeout: Any, _meta: Any, done: Callback) -> Cancel:
        call = Made(done)
        made.append(weakref.ref(call))
        if at_once:
            done(RESPONSE)
        else:
            place.begun.append(done)
        return call.cancel

    place.calls.begin = begin
    gc.disable()
    try:
        cancel = place.calls.start(read(place), lambda _: None)
        if not at_once:
            place.begun.pop()(RESPONSE)
        assert made[0]() is None
        cancel()
    finally:
        gc.enable()
