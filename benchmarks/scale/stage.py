"""What the topics share: an etcd of its own, other programs' leaders, and how rows are written."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from etcd_election.pb import rpc_pb2
from tests.support.etcd_server import EtcdServer
from tests.support.raw import TIMEOUT, RawEtcd, prefix_end
from tests.support.waiting import eventually

from ..child import Child
from ..counts import Counts
from ..table import Row, judged

T = TypeVar("T")

Rows = Iterator[Row]
FRONTS = {"blocking": "benchmarks.crowds.blocking", "asyncio": "benchmarks.crowds.aio"}
AIO = FRONTS["asyncio"]
BARE = "benchmarks.crowds.bare"

HOUR = 3600
_PUTS = 100
"""Of one transaction; etcd takes 128."""

_never = threading.Event()


def pause(seconds: float) -> None:
    """Lets time pass."""
    _never.wait(seconds)


def row(
    what: str, front: str, measured: str, *, beside: str = "-", bound: str = "-"
) -> dict[str, str]:
    """A row of the table, judged."""
    return judged(
        {
            "what": what,
            "front-end": front,
            "measured": measured,
            "beside it": beside,
            "bound": bound,
        }
    )


def tell(child: Child, name: str, timeout: float, /, **arguments: Any) -> Any:
    """Gives an order to a crowd."""
    return child.ask(json.dumps([name, arguments]), timeout)


class Stage:
    """An etcd, and the view of a program beside the crowds.

    Args:
        server: The etcd.
        raw: A connection to it.
        quick: Little of everything.
        say: Says how far a topic is.
    """

    def __init__(
        self, server: EtcdServer, raw: RawEtcd, say: Callable[[str], None], *, quick: bool
    ) -> None:
        self.server = server
        self.raw = raw
        self.say = say
        self.quick = quick

    def much(self, full: T, little: T) -> T:
        """As much as is asked for."""
        return little if self.quick else full

    def crowd(self, module: str) -> Child:
        """A process with clients in it."""
        return Child.python(module, self.server.endpoint)

    def counts(self) -> Counts:
        """What etcd has counted so far."""
        return Counts.of(self.server.metrics())

    def lead(self, names: Sequence[str]) -> tuple[int, list[str]]:
        """Another program leads all of these on one lease; returns the lease and the keys."""
        lease = self.raw.grant(HOUR)
        keys = [f"{name}/{lease:x}" for name in names]
        for begin in range(0, len(keys), _PUTS):
            puts = [
                rpc_pb2.PutRequest(key=key.encode(), value=b"another", lease=lease)
                for key in keys[begin : begin + _PUTS]
            ]
            request = rpc_pb2.TxnRequest(
                success=[rpc_pb2.RequestOp(request_put=put) for put in puts]
            )
            self.raw.kv.Txn(request, timeout=TIMEOUT)
        return lease, keys

    def keys(self, prefix: str) -> int:
        """How many keys begin so."""
        request = rpc_pb2.RangeRequest(
            key=prefix.encode(), range_end=prefix_end(prefix.encode()), count_only=True
        )
        return self.raw.kv.Range(request, timeout=TIMEOUT).count

    def await_keys(self, prefix: str, count: int, timeout: float, child: Child) -> None:
        """Waits until there are so many."""

        def there() -> bool:
            return self.keys(prefix) >= count

        def complaint() -> str:
            errors = tell(child, "errors", TIMEOUT)
            return f"{self.keys(prefix)} of {count} keys; {len(errors)} errors: {errors[:3]}"

        eventually(there, timeout, complaint, interval=0.1)

    def await_elected(self, child: Child, count: int, timeout: float) -> list[float]:
        """Waits until so many are elected, or the time is up; when each was."""
        until = time.monotonic() + timeout
        while True:
            elected = tell(child, "elected", TIMEOUT)
            if len(elected) >= count or time.monotonic() > until:
                return [at for _, at in elected]
            pause(0.1)


def numbered(prefix: str, numbers: Iterable[int]) -> list[str]:
    """Names of elections."""
    return [f"{prefix}{number:05}" for number in numbers]
