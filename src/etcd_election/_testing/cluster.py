"""An in-memory etcd, and all that a test may do with it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .. import errors
from .._core import arguments
from .._core.lease import LeaseClock
from .._core.standing import as_leader, candidate_key
from .._io.network import networks
from ..pb import kv_pb2, rpc_pb2
from ..types import Leader, LostReason
from .clock import Time
from .network import MemoryNetwork
from .server import Server, Way
from .store import Lease, Refused

_numbers = itertools.count(1)

_PATIENCE = 0.5
"""Real seconds that clients have for something: a thread may be slow, or never answer."""
_POLL = 0.0005


class _Holder(Protocol):
    """A ``Leadership`` or an ``ElectionClient``, of either front-end."""

    @property
    def lease_id(self) -> int | None:
        """Its lease."""
        ...


class Cluster:
    """An etcd in the memory of this process. Empty, and answering, when it is made.

    Connections are made to its ``endpoint`` as to any other, by either front-end, and by whatever
    makes its own. All methods may be called on any thread, and in an event loop, but for
    ``advance``; when they return, it is done. A leadership is meant by itself, by its client, or by
    the name of the election that it leads.

    It is there for as long as it is referred to, or a connection to it is. It needs no end: nothing
    of it runs while nothing is waited for.

    Attributes:
        endpoint: Where it is: ``host:port``, for ``Etcd`` and ``ElectionClient``.
    """

    def __init__(self) -> None:
        self.endpoint = f"memory-{next(_numbers)}.invalid:2379"
        self._time = Time()
        self._server = Server(self._time)
        self._network = MemoryNetwork(self._server, self.endpoint)
        networks[self.endpoint] = self._network

    def __repr__(self) -> str:
        return f"<Cluster {self.endpoint}>"

    # -- who leads

    def leader(self, name: str | bytes) -> Leader | None:
        """Who leads an election, as etcd has it; None: nobody."""
        return next(iter(self.candidates(name)), None)

    def candidates(self, name: str | bytes) -> list[Leader]:
        """Everybody in the queue of an election, the leader first."""
        election = arguments.octets("name", name)
        with self._server.lock:
            store = self._server.store
            return [as_leader(election, kv, store.revision) for kv in store.queue(election)]

    def rival(self, name: str | bytes, value: str | bytes = "rival") -> Rival:
        """Somebody else becomes a candidate: leads at once if nobody does, else waits in the queue.

        Args:
            name: The election.
            value: What others read of it.
        """
        election, octets = arguments.octets("name", name), arguments.octets("value", value)
        return Rival(self._server, election, octets)

    # -- how leadership is lost

    def expire(self, whose: str | bytes | _Holder) -> None:
        """A lease runs out now: its holder finds out first, then the next candidate leads.

        Raises:
            NoLeader: Nobody leads the election of this name, or holds a lease.
        """
        lease_id = self._lease(whose)
        for lease in self._network.leases():
            if lease.lease_id == lease_id:
                lease.end(LostReason.SESSION_EXPIRED)
        with self._server.lock:
            if lease_id in self._server.store.leases:
                self._server.do(rpc_pb2.LeaseRevokeRequest(ID=lease_id))

    def delete_key(self, whose: str | bytes | _Holder) -> None:
        """Somebody deletes a candidate's key: a leader's leadership ends with ``KEY_DELETED``.

        Raises:
            NoLeader: There is no such key.
        """
        with self._server.lock:
            self._server.do(rpc_pb2.DeleteRangeRequest(key=self._candidate(whose).key))

    def take_over(self, whose: str | bytes | _Holder, value: str | bytes = "somebody") -> None:
        """Somebody writes a candidate's key: a leader's leadership ends with ``TAKEN_OVER``.

        The key stays, on no lease, until ``delete_key``.

        Raises:
            NoLeader: There is no such key.
        """
        octets = arguments.octets("value", value)
        with self._server.lock:
            key = self._candidate(whose).key
            _put(self._server, key=key, value=octets)

    def replace(self) -> None:
        """Another, empty etcd answers from now on: leaderships end with ``CLUSTER_CHANGED``."""
        self._server.replace()

    # -- what becomes of calls

    def hang(self) -> None:
        """From now on no call is answered, and nothing is told: all is kept until ``recover()``.

        Calls run out of time, leases run out, as of an etcd that a network has swallowed. A client
        that is closed meanwhile waits for its answer for 2 s, as ever.
        """
        self._server.set_way(Way.SILENT)

    def fail(self) -> None:
        """From now on every call fails at once, and those under way do."""
        self._server.set_way(Way.BROKEN)

    def recover(self) -> None:
        """From now on it answers again."""
        self._server.set_way(Way.OPEN)

    # -- time

    def advance(self, seconds: float) -> None:
        """Lets so much time pass at once, for this etcd and its clients.

        What was due meanwhile is done: leases are renewed, if etcd answers and their
        ``renew_while`` and ``max_term`` allow, others run out; timeouts and pauses of the
        library pass. Waits for renewals; what the threads or tasks of the code under test do then
        has to be waited for as ever (``wait_lost``, a future's ``result``). A call that one of
        them is just making may find its time over: wait for its end first.

        Args:
            seconds: How much.

        Raises:
            RuntimeError: This is the thread of an event loop with clients, who could renew nothing:
                ``await asyncio.to_thread(cluster.advance, seconds)``.
        """
        left = arguments.seconds("seconds", seconds)
        if self._network.in_its_loop():
            raise RuntimeError(
                "advance() would hold up the clients of this event loop: "
                "await asyncio.to_thread(cluster.advance, seconds)"
            )
        self._await(self._server.settled)
        while left > 0:
            step = min([left, *(lease.ttl / 3 for lease in self._network.leases())])
            left -= step
            self._time.skip(step)
            self._network.jumped()
            self._time.fire()
            self._await(lambda: not any(map(self._due, self._network.leases())))

    def _await(self, done: Callable[[], bool]) -> None:
        """Gives clients some real time for what they are about to do, if they can."""
        if self._server.way is not Way.OPEN:
            return
        never = threading.Event()
        ends_at = self._time() + _PATIENCE
        while self._time() < ends_at and not done():
            never.wait(_POLL)

    def _due(self, lease: LeaseClock) -> bool:
        """Whether its holder is about to renew it."""
        if lease.condition is not None and lease.condition.withheld:
            return False
        return self._time() >= lease.renewed_at + lease.ttl / 3

    # -- keys

    def get(self, key: str | bytes) -> bytes | None:
        """The value of a key, as of one that ``leadership.transaction()`` wrote; None: none."""
        with self._server.lock:
            kv = self._server.store.keys.get(arguments.octets("key", key))
            return None if kv is None else kv.value

    def put(self, key: str | bytes, value: str | bytes) -> None:
        """Somebody writes a key."""
        octets = arguments.octets("value", value)
        _put(self._server, key=arguments.octets("key", key), value=octets)

    # -- who is meant

    def _lease(self, whose: str | bytes | _Holder) -> int:
        if isinstance(whose, (str, bytes)):
            return self._candidate(whose).lease
        if whose.lease_id is None:
            raise errors.NoLeader(f"{whose!r} holds no lease")
        return whose.lease_id

    def _candidate(self, whose: str | bytes | _Holder) -> kv_pb2.KeyValue:
        store = self._server.store
        if isinstance(whose, (str, bytes)):
            found = store.queue(arguments.octets("name", whose))
        else:
            lease_id = self._lease(whose)
            found = [kv for kv in store.keys.values() if kv.lease == lease_id]
        if not found:
            raise errors.NoLeader(f"there is no candidate: {whose!r}")
        return found[0]


class Rival:
    """Somebody else's candidate, on a lease that is always renewed. Made by ``Cluster.rival()``.

    Attributes:
        name: The election.
        key: Its key.
    """

    def __init__(self, server: Server, name: bytes, value: bytes) -> None:
        self.name = name
        self._server = server
        with server.lock:
            store = server.store
            lease_id = next(number for number in itertools.count(1) if number not in store.leases)
            store.leases[lease_id] = Lease(0, float("inf"))
            self.key = candidate_key(name, lease_id)
            _put(server, key=self.key, value=value, lease=lease_id)

    def __repr__(self) -> str:
        return f"<Rival in {self.name!r}{' leads' if self.leads else ''}>"

    @property
    def leads(self) -> bool:
        """Whether it is first in the queue."""
        with self._server.lock:
            queue = self._server.store.queue(self.name)
            return bool(queue) and queue[0].key == self.key

    def proclaim(self, value: str | bytes) -> None:
        """Replaces the value that others read; does nothing if it is no candidate any more."""
        octets = arguments.octets("value", value)
        with self._server.lock:
            if self.key in self._server.store.keys:
                _put(self._server, key=self.key, value=octets, ignore_lease=True)

    def resign(self) -> None:
        """Is no candidate any more: the next one leads, if it led. Idempotent."""
        self._server.do(rpc_pb2.DeleteRangeRequest(key=self.key))


def _put(server: Server, **fields: Any) -> None:
    """Somebody writes, whose mistakes are the test's."""
    try:
        server.do(rpc_pb2.PutRequest(**fields))
    except Refused as refused:
        raise ValueError(str(refused)) from None
