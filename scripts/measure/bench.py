"""One etcd on the bench: its server, a connection to it, and the moves that topics are made of.

Guaranteed: every election has a name of its own, and a call whose end is of interest is kept alive.
Not guaranteed: that the server is sound after a topic. Ask `sound` before the next one.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc

from etcd_election.pb import kv_pb2, rpc_pb2, v3election_pb2
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd, as_bytes
from tests.support.waiting import eventually

Rows = Iterator[tuple[str, str]]
"""The rows of a table: what was measured, and what came of it."""

LeaderKey = v3election_pb2.LeaderKey

SETTLED = 0.15
"""A wait so old hears of changes at once; a younger one may be told with the next catch-up."""
GAP = 0.003
"""Waits are ended so far apart, unless ending them together is the point."""
LONG = 5.0
"""Seconds after which something that should come at once is taken to have failed."""

_never = threading.Event()


def pause(seconds: float) -> None:
    """Lets time pass."""
    if seconds > 0:
        _never.wait(seconds)


def ended(call: Any, seconds: float) -> bool:
    """Whether the call ends, with whatever, within so many seconds."""
    over = threading.Event()
    call.add_done_callback(lambda _: over.set())
    return over.wait(seconds)


def said(call: Any) -> str:
    """How a call that is over has ended: code and details."""
    return _text(call.code(), call.details())


def won(call: Any, seconds: float = 0.0) -> bool:
    """Whether the call has ended with OK, or does so within so many seconds."""
    return ended(call, seconds) and call.code() is grpc.StatusCode.OK


def outcome(call: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Makes a call: what it returns if that is a text, else "OK"; or code and details."""
    try:
        answer = call(*arguments, **options)
    except grpc.RpcError as error:
        return _text(error.code(), error.details())
    return answer if isinstance(answer, str) else "OK"


def _text(code: grpc.StatusCode, details: str | None) -> str:
    if not details:
        return code.name
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", details).replace("|", "\\|")
    return f"{code.name} `{text}`"


def counted(texts: Iterable[str]) -> str:
    """How often each text occurs: "OK 3, CANCELLED 2"; a single text stands alone."""
    counts = Counter(texts)
    if len(counts) <= 1:
        return next(iter(counts), "none")
    return ", ".join(f"{text} {count}" for text, count in counts.most_common())


def median(seconds: Sequence[float]) -> str:
    """The median, in milliseconds."""
    return f"{statistics.median(seconds) * 1000:.1f} ms" if seconds else "none"


def spread(seconds: Sequence[float]) -> str:
    """Least, median and greatest, in seconds."""
    if not seconds:
        return "none"
    return f"{min(seconds):.2f} / {statistics.median(seconds):.2f} / {max(seconds):.2f} s"


def yes(answer: object) -> str:
    """Yes or no."""
    return "yes" if answer else "no"


def read(stream: Any, heard: list[Any]) -> threading.Thread:
    """Reads a stream to its end, on a thread: the end of one that nobody reads is not seen."""

    def run() -> None:
        with contextlib.suppress(grpc.RpcError):
            for answer in stream:
                heard.append(answer)  # noqa: PERF402 - others look at it as it grows

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def let_go(calls: Iterable[Any]) -> None:
    """Cancels calls a little apart."""
    for call in calls:
        if call.cancel():
            pause(GAP)


class Bench:
    """An etcd under measurement.

    Args:
        server: Started, or to be started by `start`.
        quick: Measure less often.

    Attributes:
        raw: A connection; its leases and Campaigns end with the topic.
    """

    def __init__(self, server: EtcdServer, *, quick: bool) -> None:
        self.server = server
        self.quick = quick
        self.raw: RawEtcd
        self._names = itertools.count(1)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Bench]:
        """With a connection, which closes at the end."""
        with RawEtcd(self.server.endpoint) as self.raw:
            yield self

    @contextlib.contextmanager
    def apart(self, *args: str) -> Iterator[Bench]:
        """The same etcd on a server of its own, with further arguments."""
        with EtcdServer(self.server.binary, args=args) as server:
            bench = Bench(server, quick=self.quick)
            bench.raw = RawEtcd(server.endpoint)
            try:
                yield bench
            finally:
                # Leases and Campaigns go with the server.
                bench.raw.channel.close()

    def times(self, full: int) -> int:
        """How often something is done that is worth `full` repetitions."""
        return max(2, full // 5) if self.quick else full

    def name(self) -> str:
        """An election that nobody has used."""
        return f"election-{next(self._names)}-"

    def names(self, count: int) -> list[str]:
        """So many elections."""
        return [self.name() for _ in range(count)]

    def lead(self, name: str, lease: int = 0) -> LeaderKey:
        """Wins an election that is vacant."""
        call = self.raw.campaign(name, lease or self.raw.grant())
        return call.result(timeout=LONG).leader

    def key(self, name: str, lease: int) -> bytes:
        """The key that a candidate has."""
        return as_bytes(name) + b"/%x" % lease

    def stands(self, name: str, lease: int) -> bool:
        """Whether the candidate's key is there."""
        return self.raw.get(self.key(name, lease)) is not None

    def found(self, key: bytes) -> kv_pb2.KeyValue:
        """A key that must be there."""
        kv = self.raw.get(key)
        if kv is None:
            raise LookupError(f"{key!r} is gone")
        return kv

    def proclaim(self, leader: LeaderKey, value: bytes = b"w") -> v3election_pb2.ProclaimResponse:
        """Proclaims."""
        request = v3election_pb2.ProclaimRequest(leader=leader, value=value)
        return self.raw.election.Proclaim(request, timeout=LONG)

    def keys_of(self, lease: int) -> set[bytes]:
        """The keys that hang on a lease."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease, keys=True)
        return set(self.raw.lease.LeaseTimeToLive(request, timeout=LONG).keys)

    def join(self, name: str, lease: int, *, on: RawEtcd | None = None) -> Any:
        """Sends a Campaign and returns it once its key stands."""
        return self.join_all([name], lease, on=on)[0]

    def join_all(
        self,
        names: Sequence[str],
        lease: int,
        *,
        on: RawEtcd | None = None,
        deadlines: Sequence[float] = (),
    ) -> list[Any]:
        """One Campaign per election, returned once all keys stand."""
        calls = []
        campaign = (on or self.raw).election.Campaign
        for name, at in itertools.zip_longest(names, deadlines):
            request = v3election_pb2.CampaignRequest(name=as_bytes(name), lease=lease, value=b"v")
            calls.append(campaign.future(request, timeout=None if at is None else at - clock()))
        keys = {self.key(name, lease) for name in names}
        eventually(lambda: keys <= self.keys_of(lease), LONG, interval=0.002)
        return calls

    def resigning(self, leader: LeaderKey) -> Any:
        """A Resign on its way."""
        return self.raw.election.Resign.future(v3election_pb2.ResignRequest(leader=leader))

    def sound(self, seconds: float = 2.0) -> bool:
        """Whether a contested Campaign is answered when the leader resigns: it is not after H1."""
        name = self.name()
        leader = self.lead(name)
        second = self.join(name, self.raw.grant())
        pause(SETTLED)
        self.raw.resign(leader)
        answered = won(second, seconds)
        second.cancel()
        return answered


def some_ms(most: float = 3.0, *, least: float = 0.0) -> float:
    """A moment between so many milliseconds, in seconds."""
    return random.uniform(least, most) / 1000


def clock() -> float:
    """Seconds."""
    return time.monotonic()
