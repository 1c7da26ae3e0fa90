"""The bookkeeping of watches: whoever wants a key hears of it, over every end of the stream."""

from __future__ import annotations

import pytest

from etcd_election._core import timing
from etcd_election._core.effects import Fact, KeyGone, KeyPut, Watch, WatchBroken, WatchStands
from etcd_election._core.keywatch import Sink as Tell
from etcd_election._core.keywatch import Span, Subscription, WatchBook, Watchers
from etcd_election.pb import kv_pb2, rpc_pb2

from .support import header, kv

KEY = b"jobs/abc"
OTHER = b"jobs/def"


class Sink:
    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)

    def taken(self) -> list[Fact]:
        facts, self.facts = self.facts, []
        return facts


@pytest.fixture
def book() -> WatchBook:
    return WatchBook()


@pytest.fixture
def sink() -> Sink:
    return Sink()


def created(request: rpc_pb2.WatchRequest | None) -> tuple[int, bytes]:
    """The number and the key of a watch that is asked for."""
    assert request is not None
    assert request.HasField("create_request")
    create = request.create_request
    assert not create.range_end
    assert create.start_revision == 0, "from now on, never from the past"
    return create.watch_id, create.key


def stands(watch_id: int, revision: int) -> rpc_pb2.WatchResponse:
    return rpc_pb2.WatchResponse(header=header(revision), watch_id=watch_id, created=True)


def events(watch_id: int, *happened: kv_pb2.Event) -> rpc_pb2.WatchResponse:
    return rpc_pb2.WatchResponse(header=header(), watch_id=watch_id, events=happened)


PUT = kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv(KEY, 10, 11, value=b"new"))
DELETE = kv_pb2.Event(type=kv_pb2.Event.DELETE, kv=kv_pb2.KeyValue(key=KEY, mod_revision=12))


def test_watch_ids_are_ours_and_never_used_twice(book: WatchBook, sink: Sink) -> None:
    first, key = created(book.add(Span(KEY), sink))
    assert (first, key) == (1, KEY)
    assert created(book.add(Span(OTHER), sink)) == (2, OTHER)
    assert len(book) == 2
    book.remove(Span(KEY), sink)
    assert created(book.add(Span(KEY), sink)) == (3, KEY)


def test_all_that_happens_to_a_key_is_told_in_order(book: WatchBook, sink: Sink) -> None:
    number, _ = created(book.add(Span(KEY), sink))
    assert book.response(stands(number, 10)) is None
    assert book.response(events(number, PUT, DELETE)) is None
    assert sink.taken() == [WatchStands(KEY, 10), KeyPut(PUT.kv), KeyGone(KEY, 12)]


def test_key_has_one_watch_however_many_want_it(book: WatchBook, sink: Sink) -> None:
    late = Sink()
    number, _ = created(book.add(Span(KEY), sink))
    assert book.add(Span(KEY), late) is None
    assert late.taken() == [], "it does not stand yet"
    book.response(stands(number, 10))
    assert sink.taken() == late.taken() == [WatchStands(KEY, 10)]
    book.response(events(number, DELETE))
    assert sink.taken() == late.taken() == [KeyGone(KEY, 12)]


def test_who_comes_to_a_standing_watch_learns_since_when(book: WatchBook, sink: Sink) -> None:
    number, _ = created(book.add(Span(KEY), sink))
    book.response(stands(number, 10))
    late = Sink()
    book.add(Span(KEY), late)
    assert late.taken() == [WatchStands(KEY, 10)]


def test_last_one_to_leave_ends_the_watch(book: WatchBook, sink: Sink) -> None:
    other = Sink()
    number, _ = created(book.add(Span(KEY), sink))
    book.add(Span(KEY), other)
    assert book.remove(Span(KEY), sink) is None
    request = book.remove(Span(KEY), other)
    assert request is not None
    assert request.cancel_request.watch_id == number
    assert len(book) == 0
    book.response(events(number, DELETE))
    assert sink.taken() == other.taken() == [], "an event under way is for nobody"


def key(number: int) -> bytes:
    return b"jobs/%d" % number


def stood(book: WatchBook, key: bytes) -> int:
    """A watch that stood, and that nobody wants any more; returns its number."""
    sink = Sink()
    number, _ = created(book.add(Span(key), sink))
    book.response(stands(number, 10))
    assert book.remove(Span(key), sink) is None
    return number


def test_watch_that_nobody_wants_stands_for_who_wants_it_again(book: WatchBook, sink: Sink) -> None:
    number = stood(book, KEY)
    assert book.add(Span(KEY), sink) is None
    assert sink.taken() == [WatchStands(KEY, 10)]
    book.response(events(number, PUT))
    assert sink.taken() == [KeyPut(PUT.kv)]


def test_who_wants_a_watch_again_learns_that_it_has_missed_something(
    book: WatchBook, sink: Sink
) -> None:
    number = stood(book, KEY)
    book.response(events(number, DELETE))
    book.add(Span(KEY), sink)
    assert sink.taken() == [WatchStands(KEY, DELETE.kv.mod_revision)]


def test_few_watches_that_nobody_wants_are_kept_and_the_latest_of_them(
    book: WatchBook, sink: Sink
) -> None:
    numbers = [stood(book, key(n)) for n in range(8)]
    assert book.add(Span(key(0)), sink) is None, "wanted again"
    assert book.remove(Span(key(0)), sink) is None
    number, _ = created(book.add(Span(KEY), sink))
    book.response(stands(number, 10))
    request = book.remove(Span(KEY), sink)
    assert request is not None
    assert request.cancel_request.watch_id == numbers[1], "nobody wanted it for the longest time"
    assert len(book) == 8
    assert created(book.add(Span(key(1)), sink))[1] == key(1)


def test_watch_that_nobody_wants_is_not_begun_again(book: WatchBook, sink: Sink) -> None:
    number = stood(book, KEY)
    assert book.response(rpc_pb2.WatchResponse(watch_id=number, canceled=True)) is None
    assert created(book.add(Span(KEY), sink))[1] == KEY
    stood(book, OTHER)
    book.broken()
    assert [created(request)[1] for request in book.restart()] == [KEY]
    assert created(book.add(Span(OTHER), sink))[1] == OTHER


def test_all_keys_that_begin_so_are_not_watched_for_nobody(book: WatchBook, sink: Sink) -> None:
    book.add(Span(b"jobs/", b"jobs0"), sink)
    book.response(stands(1, 5))
    assert book.remove(Span(b"jobs/", b"jobs0"), sink) is not None
    assert len(book) == 0


def test_leaving_twice_or_uninvited_takes_nobody_elses_watch(book: WatchBook, sink: Sink) -> None:
    book.add(Span(KEY), sink)
    assert book.remove(Span(KEY), Sink()) is None
    assert book.remove(Span(OTHER), sink) is None
    assert len(book) == 1
    book.remove(Span(KEY), sink)
    assert book.remove(Span(KEY), sink) is None


def test_end_of_the_stream_is_told_and_everything_is_asked_for_again(
    book: WatchBook, sink: Sink
) -> None:
    number, _ = created(book.add(Span(KEY), sink))
    other = Sink()
    book.add(Span(OTHER), other)
    book.response(stands(number, 10))
    sink.taken()
    book.broken()
    assert sink.taken() == [WatchBroken(KEY)]
    assert other.taken() == [WatchBroken(OTHER)]
    late = Sink()
    book.add(Span(KEY), late)
    assert late.taken() == [], "nothing stands on a broken stream"
    book.response(events(number, DELETE))
    assert sink.taken() == [], "nor does it tell"
    renewed = dict(created(request)[::-1] for request in book.restart())
    assert set(renewed) == {KEY, OTHER}
    assert book.response(stands(number, 20)) is None
    assert sink.taken() == [], "an answer of the old stream"
    book.response(stands(renewed[KEY], 20))
    assert sink.taken() == late.taken() == [WatchStands(KEY, 20)]


def test_new_stream_asks_for_nothing_that_nobody_wants(book: WatchBook, sink: Sink) -> None:
    book.add(Span(KEY), sink)
    book.remove(Span(KEY), sink)
    assert book.restart() == []


def test_compaction_only_means_to_start_again_from_now(book: WatchBook, sink: Sink) -> None:
    number, _ = created(book.add(Span(KEY), sink))
    book.response(stands(number, 10))
    sink.taken()
    compacted = rpc_pb2.WatchResponse(
        header=header(), watch_id=number, canceled=True, compact_revision=50
    )
    again, key = created(book.response(compacted))
    assert key == KEY
    assert again != number
    assert sink.taken() == [WatchBroken(KEY)]
    book.response(stands(again, 60))
    book.response(events(again, DELETE))
    assert sink.taken() == [WatchStands(KEY, 60), KeyGone(KEY, 12)]


def test_refused_watch_is_told_and_not_asked_for_over_and_over(book: WatchBook, sink: Sink) -> None:
    """As etcd 3.5 refuses: created and cancelled at once, under our number."""
    number, _ = created(book.add(Span(KEY), sink))
    refused = rpc_pb2.WatchResponse(
        header=header(), watch_id=number, created=True, canceled=True, cancel_reason="denied"
    )
    assert book.response(refused) is None
    assert sink.taken() == [WatchBroken(KEY)]
    # A new stream has a new token: then it is tried again.
    assert [created(request)[1] for request in book.restart()] == [KEY]


def test_refusal_without_our_number_harms_no_other_watch(book: WatchBook, sink: Sink) -> None:
    """As etcd 3.4 refuses: under the number -1."""
    number, _ = created(book.add(Span(KEY), sink))
    refused = rpc_pb2.WatchResponse(header=header(), watch_id=-1, created=True, canceled=True)
    assert book.response(refused) is None
    book.response(stands(number, 10))
    assert sink.taken() == [WatchStands(KEY, 10)]


def test_refused_watch_can_be_left(book: WatchBook, sink: Sink) -> None:
    number, _ = created(book.add(Span(KEY), sink))
    book.response(rpc_pb2.WatchResponse(watch_id=number, created=True, canceled=True))
    assert book.remove(Span(KEY), sink) is not None
    assert book.restart() == []


def test_all_keys_that_begin_so_can_be_watched(book: WatchBook, sink: Sink) -> None:
    """Who waits for the first leader of an election does not know its key."""
    request = book.add(Span(b"jobs/", b"jobs0"), sink)
    assert request is not None
    create = request.create_request
    assert (create.key, create.range_end, create.watch_id) == (b"jobs/", b"jobs0", 1)
    assert book.add(Span(b"jobs/"), Sink()) is not None, "one key is another watch"
    book.response(stands(1, 5))
    book.response(events(1, PUT, DELETE))
    assert sink.taken() == [WatchStands(b"jobs/", 5), KeyPut(PUT.kv), KeyGone(KEY, 12)]


def test_refused_watch_may_be_an_old_tokens_fault_once(book: WatchBook, sink: Sink) -> None:
    """A stream keeps the token that it was opened with; with a fresh one a refusal is final."""
    book.add(Span(KEY), sink)
    refused = rpc_pb2.WatchResponse(header=header(), watch_id=-1, created=True, canceled=True)
    assert not book.doubts(stands(1, 5), 100.0)
    assert not book.doubts(rpc_pb2.WatchResponse(watch_id=1, canceled=True), 100.0)
    assert book.doubts(refused, 100.0)
    assert not book.doubts(refused, 100.0 + timing.WATCH_DOUBTED - 0.1)
    assert book.doubts(refused, 100.0 + timing.WATCH_DOUBTED)


class FakeWatcher:
    """Notes who wants to hear about which key, and in which order that was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Span]] = []
        self._sinks: list[tuple[Span, Tell]] = []

    @property
    def watched(self) -> list[Span]:
        return [span for span, _ in self._sinks]

    def add(self, span: Span, sink: Tell) -> None:
        self.said.append(("add", span))
        self._sinks.append((span, sink))

    def remove(self, span: Span, sink: Tell) -> None:
        self.said.append(("remove", span))
        self._sinks.remove((span, sink))

    def tell(self, fact: Fact) -> None:
        for _, sink in self._sinks:
            sink(fact)


def test_plan_hears_about_exactly_the_keys_it_watches(sink: Sink) -> None:
    watcher = FakeWatcher()
    subscription = Subscription(watcher, sink)
    assert watcher.watched == []
    subscription.set(Watch(frozenset({KEY})))
    assert watcher.watched == [Span(KEY)]
    subscription.set(Watch(frozenset({KEY, OTHER})))
    assert watcher.watched == [Span(KEY), Span(OTHER)]
    subscription.set(Watch(frozenset({OTHER})))
    assert watcher.watched == [Span(OTHER)]
    subscription.set(Watch())
    assert watcher.watched == []


def test_key_that_is_watched_on_is_not_begun_again(sink: Sink) -> None:
    """Between its end and its new beginning, changes would be missed."""
    watcher = FakeWatcher()
    subscription = Subscription(watcher, sink)
    subscription.set(Watch(frozenset({KEY})))
    subscription.set(Watch(frozenset({KEY})))
    subscription.set(Watch(frozenset({KEY, OTHER})))
    assert watcher.said == [("add", Span(KEY)), ("add", Span(OTHER))]


def test_next_key_is_watched_before_the_last_one_is_left(sink: Sink) -> None:
    """A stream without any watch might be given up and opened again."""
    watcher = FakeWatcher()
    subscription = Subscription(watcher, sink)
    subscription.set(Watch(frozenset({KEY})))
    subscription.set(Watch(frozenset({OTHER})))
    assert watcher.said == [("add", Span(KEY)), ("add", Span(OTHER)), ("remove", Span(KEY))]


def test_plans_that_watch_the_same_key_leave_it_apart() -> None:
    watcher = FakeWatcher()
    first, second = Sink(), Sink()
    one, other = Subscription(watcher, first), Subscription(watcher, second)
    one.set(Watch(frozenset({KEY})))
    other.set(Watch(frozenset({KEY})))
    one.set(Watch())
    watcher.tell(KeyGone(KEY, 12))
    assert first.taken() == []
    assert second.taken() == [KeyGone(KEY, 12)]


def test_plan_is_not_woken_by_what_does_not_matter_to_it(sink: Sink) -> None:
    watcher = FakeWatcher()
    subscription = Subscription(watcher, sink)
    subscription.set(Watch(frozenset({KEY}), matters=lambda fact: isinstance(fact, KeyGone)))
    watcher.tell(WatchStands(KEY, 10))
    watcher.tell(KeyGone(KEY, 12))
    assert sink.taken() == [KeyGone(KEY, 12)]
    subscription.set(Watch(frozenset({KEY})))
    watcher.tell(WatchStands(KEY, 14))
    assert sink.taken() == [WatchStands(KEY, 14)]


def test_keys_and_a_prefix_are_watched_beside_each_other(sink: Sink) -> None:
    watcher = FakeWatcher()
    subscription = Subscription(watcher, sink)
    subscription.set(Watch(frozenset({KEY}), prefix=b"jobs/"))
    assert set(watcher.watched) == {Span(KEY), Span(b"jobs/", b"jobs0")}
    subscription.set(Watch(prefix=b"jobs/"))
    assert watcher.watched == [Span(b"jobs/", b"jobs0")]


def test_every_stream_is_asked_so_that_one_may_go_deaf(sink: Sink) -> None:
    first, second = FakeWatcher(), FakeWatcher()
    watchers = Watchers([first, second])
    watchers.add(Span(KEY), sink)
    watchers.add(Span(OTHER), sink)
    watchers.remove(Span(KEY), sink)
    assert first.watched == second.watched == [Span(OTHER)]
