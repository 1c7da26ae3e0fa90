"""Watches: who wants to hear about which key, and what etcd's watch stream says.

All keys of a connection share one stream, or two where there are several endpoints: a member that
stands still says nothing, and is noticed only after seconds. A watch always starts "from now": when
it stands, whoever wants it reads the key, unless it is known as of that revision (what happened
before is in that read, what happens after comes as a fact). A start at a past revision would need
no read but falls into the server's catch-up, every 100 ms, and can be compacted; so a compaction,
like any end of the stream, only means to start again.

Who campaigns again has the same key as before, as long as its lease lives. So the last few watches
of single keys that nobody wants any more are kept, and stand at once for whoever wants them again:
to end a watch and to begin it anew takes two messages, two answers and a read of the key.

Watch ids are ours, from 1: a refused create answers with -1 on etcd 3.4 and our id on 3.5.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..pb import rpc_pb2
from . import timing
from .effects import Fact, KeyGone, KeyPut, Watch, WatchBroken, WatchStands
from .standing import prefix_end

Sink = Callable[[Fact], None]

_DELETE = 1
_KEPT = 8
"""Watches that nobody wants, on one stream."""


class Span(NamedTuple):
    """What a watch covers: one key, or all keys from ``key`` to before ``end``."""

    key: bytes
    end: bytes = b""


class _Watch:
    """One watched span on the present stream.

    Attributes:
        stands_at: The revision after which all events are told to whoever comes; None: it does not
            stand.
    """

    def __init__(self, watch_id: int) -> None:
        self.watch_id = watch_id
        self.stands_at: int | None = None
        self.sinks: list[Sink] = []


class WatchBook:
    """The bookkeeping of one watch stream. Thread-safe; sinks must be quick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[Span, _Watch] = {}
        self._spans: dict[int, Span] = {}
        self._unwanted: dict[Span, None] = {}
        self._last_id = 0
        self._doubted_at = float("-inf")

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, span: Span, sink: Sink) -> rpc_pb2.WatchRequest | None:
        """Registers a sink; returns the request to send, None if the span is watched already."""
        with self._lock:
            watch = self._watches.get(span)
            if watch is not None:
                self._unwanted.pop(span, None)
                watch.sinks.append(sink)
                if watch.stands_at is not None:
                    sink(WatchStands(span.key, watch.stands_at))
                return None
            watch = self._watches[span] = self._new(span)
            watch.sinks.append(sink)
            return self._create(span, watch)

    def remove(self, span: Span, sink: Sink) -> rpc_pb2.WatchRequest | None:
        """Takes a sink out; returns the request to send when a watch is to end."""
        with self._lock:
            watch = self._watches.get(span)
            if watch is None or sink not in watch.sinks:
                return None
            watch.sinks.remove(sink)
            if watch.sinks:
                return None
            if span.end or watch.stands_at is None:
                return self._end(span)
            self._unwanted[span] = None
            return self._end(next(iter(self._unwanted))) if len(self._unwanted) > _KEPT else None

    def restart(self) -> list[rpc_pb2.WatchRequest]:
        """A new stream begins: returns what to send on it."""
        with self._lock:
            self._spans.clear()
            for span in self._unwanted:
                del self._watches[span]
            self._unwanted.clear()
            return [self._create(span, self._renew(span)) for span in list(self._watches)]

    def broken(self) -> None:
        """The stream ended: nobody hears anything until it is restarted."""
        with self._lock:
            self._spans.clear()
            for span, watch in self._watches.items():
                watch.stands_at = None
                self._tell(watch, WatchBroken(span.key))

    def doubts(self, response: rpc_pb2.WatchResponse, now: float) -> bool:
        """True for a refusal that may be an old token's fault: with a fresh one, begin anew.

        A stream keeps the token that it was opened with, and etcd calls every refusal "permission
        denied". One that comes soon after such a beginning is what it says.
        """
        if not (response.created and response.canceled):
            return False
        if now < self._doubted_at + timing.WATCH_DOUBTED:
            return False
        self._doubted_at = now
        return True

    def response(self, response: rpc_pb2.WatchResponse) -> rpc_pb2.WatchRequest | None:
        """Passes on what a response says; returns the request to send if a watch must begin anew.

        A watch that etcd refused (no permission) is not asked for again on this stream: whoever
        wants it is told that it is broken, and has its beat.
        """
        with self._lock:
            span = self._spans.get(response.watch_id)
            if span is None:
                return None
            watch = self._watches[span]
            if response.canceled:
                del self._spans[response.watch_id]
                watch.stands_at = None
                self._tell(watch, WatchBroken(span.key))
                if not watch.sinks:
                    self._end(span)
                    return None
                return None if response.created else self._create(span, self._renew(span))
            if response.created:
                watch.stands_at = response.header.revision
                self._tell(watch, WatchStands(span.key, response.header.revision))
            for event in response.events:
                # Whoever comes later was not told of this one.
                watch.stands_at = event.kv.mod_revision
                if event.type == _DELETE:
                    self._tell(watch, KeyGone(event.kv.key, event.kv.mod_revision))
                else:
                    self._tell(watch, KeyPut(event.kv))
            return None

    def _renew(self, span: Span) -> _Watch:
        fresh = self._new(span)
        fresh.sinks = self._watches[span].sinks
        self._watches[span] = fresh
        return fresh

    def _end(self, span: Span) -> rpc_pb2.WatchRequest:
        watch = self._watches.pop(span)
        self._unwanted.pop(span, None)
        self._spans.pop(watch.watch_id, None)
        cancel = rpc_pb2.WatchCancelRequest(watch_id=watch.watch_id)
        return rpc_pb2.WatchRequest(cancel_request=cancel)

    def _new(self, span: Span) -> _Watch:
        self._last_id += 1
        self._spans[self._last_id] = span
        return _Watch(self._last_id)

    @staticmethod
    def _create(span: Span, watch: _Watch) -> rpc_pb2.WatchRequest:
        create = rpc_pb2.WatchCreateRequest(
            key=span.key, range_end=span.end, watch_id=watch.watch_id
        )
        return rpc_pb2.WatchRequest(create_request=create)

    @staticmethod
    def _tell(watch: _Watch, fact: Fact) -> None:
        for sink in watch.sinks:
            sink(fact)


class Watcher(Protocol):
    """Tells about keys; each front-end has one for all plans of a connection."""

    def add(self, span: Span, sink: Sink) -> None:
        """Tells ``sink`` about ``span`` from now on."""

    def remove(self, span: Span, sink: Sink) -> None:
        """No longer tells ``sink`` about ``span``."""


class Watchers:
    """Several watchers as one: each tells, so that one which goes deaf is not missed."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def add(self, span: Span, sink: Sink) -> None:
        """Tells ``sink`` about ``span`` from now on."""
        for watcher in self._watchers:
            watcher.add(span, sink)

    def remove(self, span: Span, sink: Sink) -> None:
        """No longer tells ``sink`` about ``span``."""
        for watcher in self._watchers:
            watcher.remove(span, sink)


class Subscription:
    """What one plan watches."""

    def __init__(self, watcher: Watcher, sink: Sink) -> None:
        self._watcher = watcher
        self._sink = sink
        self._spans: frozenset[Span] = frozenset()
        self._matters: Callable[[Fact], bool] | None = None

    def set(self, wanted: Watch) -> None:
        """Watches exactly this from now on."""
        self._matters = wanted.matters
        spans = {Span(key) for key in wanted.keys}
        if wanted.prefix is not None:
            spans.add(Span(wanted.prefix, prefix_end(wanted.prefix)))
        before, self._spans = self._spans, frozenset(spans)
        for span in self._spans - before:
            self._watcher.add(span, self._hear)
        for span in before - self._spans:
            self._watcher.remove(span, self._hear)

    def _hear(self, fact: Fact) -> None:
        matters = self._matters
        if matters is None or matters(fact):
            self._sink(fact)
