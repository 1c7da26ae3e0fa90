"""A watch stream with both its ends, and the hub of a process that keeps one open.

The hub's bookkeeping is the core's ``WatchBook``; the rest mirrors the blocking front-end's hub. A
stream tells what it knows in order; one on a cut link is silent until the cut heals, or until the
pings of its connection find out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etcd_election._core import timing
from etcd_election._core.keywatch import Sink, Span, WatchBook
from etcd_election._core.plans.authenticating import token_at_hand
from etcd_election._core.running import Running

from .cluster import Member
from .store import Header, Kv

if TYPE_CHECKING:
    from .process import Process

_PUT = 0
_DELETE = 1


@dataclass(slots=True)
class WatchEvent:
    """A put or a delete."""

    type: int
    kv: Kv


@dataclass(slots=True)
class WatchAnswer:
    """A message of the stream."""

    header: Header
    watch_id: int
    created: bool = False
    canceled: bool = False
    events: list[WatchEvent] = field(default_factory=list)


def _unheard(kv: Kv, deleted: bool) -> None:
    """Nobody watches."""


class Stream:
    """One Watch call."""

    def __init__(self, hub: Hub, member: Member, token: str | None) -> None:
        self._hub = hub
        self._process = hub.process
        self._cluster = self._process.wire.cluster
        self._world = self._process.world
        self._member = member
        self._token = token
        self._path = self._process.wire.paths[member.number]
        self._age = self._process.link.ages[member.number]
        self._watchers: dict[int, tuple[bytes, Callable[[Kv, bool], None]]] = {}
        self._to_client_at = self._to_member_at = 0.0
        self.over = False
        if member.up:
            member.streams[self] = None
        else:
            self.end()

    def send(self, request: Any) -> None:
        """To the member, in order."""
        if self._path.requests_cut:
            self._path.parked.append(lambda: self._received(request))
            return
        world = self._world
        self._to_member_at = max(world.now + self._path.delay(), self._to_member_at)
        world.after(self._to_member_at - world.now, self._received, request)

    def _received(self, request: Any) -> None:
        if not self.over and self._member.up:
            self._cluster.now(self._member, self._serve, request)

    def _serve(self, request: Any) -> None:
        if self.over:
            return
        store = self._cluster.store
        cancelled = request.cancel_request.watch_id
        if cancelled:
            key, watcher = self._watchers.pop(cancelled, (b"", _unheard))
            store.unwatch(key, watcher)
            return
        create = request.create_request
        number = create.watch_id
        if self._cluster.token_fails(self._token) is not None:
            self._world.counts["hazard: watch refused"] += 1
            self._tell(WatchAnswer(store.header(), number, created=True, canceled=True))
            return

        def changed(kv: Kv, deleted: bool) -> None:
            event = WatchEvent(_DELETE if deleted else _PUT, kv)
            answer = WatchAnswer(store.header(), number, events=[event])
            self._cluster.now(self._member, self._tell, answer)

        self._watchers[number] = (create.key, changed)
        store.watch(create.key, changed)
        self._tell(WatchAnswer(store.header(), number, created=True))

    def compacted(self) -> None:
        """Some watches end by it."""
        for number, (key, watcher) in list(self._watchers.items()):
            if self._world.chance(0.3):
                self._world.counts["hazard: watch ended by a compaction"] += 1
                del self._watchers[number]
                self._cluster.store.unwatch(key, watcher)
                self._tell(WatchAnswer(self._cluster.store.header(), number, canceled=True))

    def _tell(self, answer: WatchAnswer) -> None:
        """To the client, in order."""
        if self.over or self._age <= self._path.stale:
            return
        world = self._world
        self._to_client_at = max(world.now + self._path.delay(), self._to_client_at)
        world.after(self._to_client_at - world.now, self._deliver, answer)

    def _deliver(self, answer: WatchAnswer) -> None:
        if self._path.answers_cut:
            self._path.parked_answers.append(lambda: self._deliver(answer))
        elif not self.over:
            self._process.run(self._hub.heard, self, answer)

    def end(self) -> None:
        """The member ends it, or the connection breaks: the client hears of it, if it can."""
        if self.over:
            return
        self.close()
        self._world.after(
            self._path.delay(),
            self._path.answered,
            lambda: self._process.run(self._hub.ended, self),
        )

    def cut(self) -> None:
        """The link was cut: pings notice after some seconds, if it still is."""
        cuts = self._path.cuts
        self._world.after(self._world.between(4.5, 8.0), self._unanswered, cuts)

    def _unanswered(self, cuts: int) -> None:
        path = self._path
        stale = self._age <= path.stale
        if not self.over and (stale or (cuts == path.cuts and path.answers_cut)):
            self.close()
            self._process.run(self._hub.ended, self)

    def close(self) -> None:
        self.over = True
        self._member.streams.pop(self, None)
        watchers, self._watchers = self._watchers, {}
        for key, watcher in watchers.values():
            self._cluster.store.unwatch(key, watcher)


class Hub:
    """The watches of one process; a ``Watcher``.

    Orders are carried out a moment later, so that no plan is told anything while it is at work.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.stream: Stream | None = None
        self._book = WatchBook()
        self._failures = 0
        self._generation = 0
        self._started = False
        self._orders: list[tuple[Span, bool, Sink]] = []

    def add(self, span: Span, sink: Sink) -> None:
        self._order(span, True, sink)

    def remove(self, span: Span, sink: Sink) -> None:
        self._order(span, False, sink)

    def _order(self, span: Span, add: bool, sink: Sink) -> None:
        if not self._orders:
            self.process.soon(self._carry_out)
        self._orders.append((span, add, sink))

    def _carry_out(self) -> None:
        """A set of keys comes in an order that differs between runs: it is put in one here."""
        orders, self._orders = self._orders, []
        orders.sort(key=lambda order: order[:2])
        if not self._started:
            self._started = True
            self._connect()
        for span, add, sink in orders:
            request = self._book.add(span, sink) if add else self._book.remove(span, sink)
            if request is not None and self.stream is not None:
                self.stream.send(request)

    def _connect(self) -> None:
        process = self.process
        Running(process, token_at_hand(process.link), lambda _: self._go_on()).start()

    def _go_on(self) -> None:
        process = self.process
        if not process.alive:
            return
        link = process.link
        metadata, self._generation = link.metadata()
        token = metadata[1][1] if len(metadata) > 1 else None
        member = process.wire.cluster.members[link.ring.pick()]
        self._heard = False
        self.stream = Stream(self, member, token)
        for request in self._book.restart():
            self.stream.send(request)

    def heard(self, stream: Stream, answer: Any) -> None:
        if stream is not self.stream:
            return
        self._heard = True
        link = self.process.link
        if link.credentials and self._book.doubts(answer, link.clock()):
            link.tokens.refused(self._generation)
            stream.end()
        link.saw(answer.header, floor=None)
        request = self._book.response(answer)
        if request is not None:
            stream.send(request)

    def ended(self, stream: Stream) -> None:
        if stream is not self.stream:
            return
        self.stream = None
        self._book.broken()
        self._failures = 0 if self._heard else self._failures + 1
        self.process.after(timing.watch_delay(self._failures), self._connect)

    def silence(self) -> None:
        """Its connection is dead without a word."""
        if self.stream is not None:
            self.stream.cut()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None
