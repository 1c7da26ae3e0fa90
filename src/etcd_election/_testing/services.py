"""What goes on in an in-memory etcd for as long as a call is open: Campaign, Observe, Watch.

A Campaign behaves as etcd's: it answers when no older key is left, without a look at its own, and
one whose call ends before removes its key.

Not modelled: etcd's hazards, as an Election service that hangs or a Campaign that leaves its key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf.message import Message

from .._core.effects import Ended, Fact, Observed, Reply
from .._core.standing import candidate_key, prefix, prefix_end
from ..pb import kv_pb2, rpc_pb2, v3election_pb2
from .server import Call, Server
from .store import Refused


class _Following(Call, ABC):
    """A call that follows an election, and tells facts."""

    def __init__(self, server: Server, request: Any, tell: Callable[[Fact], None]) -> None:
        super().__init__(lambda reply: tell(Ended(reply)))
        self._server = server
        self._store = server.store
        self._request = request
        self._tell = tell
        self._unwatch: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Sends it."""
        self._server.begin(self, self._follow)

    def close(self) -> None:
        """Its end."""
        super().close()
        self._unwatch()

    def _follow(self) -> None:
        start = prefix(self._request.name)
        self._unwatch = self._store.watch(start, prefix_end(start), lambda _: self._look())
        self._look()

    @abstractmethod
    def _look(self) -> None:
        """The queue may have changed."""


class Campaign(_Following):
    """Waits for its turn."""

    def __init__(
        self,
        server: Server,
        request: v3election_pb2.CampaignRequest,
        tell: Callable[[Fact], None],
    ) -> None:
        super().__init__(server, request, tell)
        self._key = candidate_key(request.name, request.lease)
        self._token = 0
        self._won = False
        self.settled = False

    def close(self) -> None:
        """Its end; if that comes before its turn, the end of its key."""
        super().close()
        kv = self._store.keys.get(self._key)
        if not self._won and kv is not None and kv.create_revision == self._token:
            self._server.do(rpc_pb2.DeleteRangeRequest(key=self._key))

    def saw(self, request: Message) -> None:
        """A candidate that has read the queue knows that its key stands."""
        if self._token and isinstance(request, rpc_pb2.RangeRequest):
            self.settled = self.settled or request.key == prefix(self._request.name)

    def _follow(self) -> None:
        request, old = self._request, self._store.keys.get(self._key)
        if old is None or old.value != request.value:
            put = rpc_pb2.PutRequest(key=self._key, value=request.value, lease=request.lease)
            try:
                self._server.do(put)
            except Refused as refused:
                self._server.end(self, refused.in_election())
                return
        self._token = self._store.keys[self._key].create_revision
        super()._follow()

    def _look(self) -> None:
        queue = self._store.queue(self._request.name)
        if self._won or any(kv.create_revision < self._token for kv in queue):
            return
        self._won = True
        request = self._request
        leader = v3election_pb2.LeaderKey(
            name=request.name, key=self._key, rev=self._token, lease=request.lease
        )
        answer = v3election_pb2.CampaignResponse(header=self._store.header(), leader=leader)
        self._server.pass_on(self, partial(self._server.end, self, answer))


class Observe(_Following):
    """Tells of the leader, and of every later one."""

    _seen: tuple[bytes, int] | None = None

    def _look(self) -> None:
        for leader in self._store.queue(self._request.name)[:1]:
            state = leader.key, leader.mod_revision
            if state != self._seen:
                self._seen = state
                news = v3election_pb2.LeaderResponse(header=self._store.header(), kv=leader)
                self._server.pass_on(self, partial(self._tell, Observed(news)))


class Watch(Call):
    """A watch stream."""

    def __init__(
        self,
        server: Server,
        heard: Callable[[rpc_pb2.WatchResponse], None],
        ended: Callable[[Reply], None],
    ) -> None:
        super().__init__(ended)
        self._server = server
        self._store = server.store
        self._heard = heard
        self._watches: dict[int, Callable[[], None]] = {}

    def begin(self) -> None:
        """Opens it."""
        self._server.begin(self, lambda: None)

    def close(self) -> None:
        """Its end."""
        super().close()
        for unwatch in self._watches.values():
            unwatch()
        self._watches.clear()

    def request(self, request: rpc_pb2.WatchRequest) -> None:
        """The client wants another watch, or one less."""
        self._server.pass_on(self, partial(self._take, request))

    def _take(self, request: rpc_pb2.WatchRequest) -> None:
        if request.HasField("create_request"):
            wanted = request.create_request
            number = wanted.watch_id
            self._say(number, created=True)
            self._watches[number] = self._store.watch(
                wanted.key, wanted.range_end, lambda event: self._say(number, event)
            )
        elif request.HasField("cancel_request"):
            number = request.cancel_request.watch_id
            self._watches.pop(number, lambda: None)()
            self._say(number, canceled=True)

    def _say(
        self,
        number: int,
        *events: kv_pb2.Event,
        created: bool = False,
        canceled: bool = False,
    ) -> None:
        response = rpc_pb2.WatchResponse(
            header=self._store.header(),
            watch_id=number,
            created=created,
            canceled=canceled,
            events=events,
        )
        self._server.pass_on(self, partial(self._heard, response))
