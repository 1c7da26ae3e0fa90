"""What the answer to a Campaign is worth, and what becomes of a win whose call is still open."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.raw import RawEtcd

from .bench import GAP, SETTLED, Bench, Rows, let_go, pause, won


def phantom(bench: Bench) -> Rows:
    """A waiting candidate loses its key; then the leader goes."""
    raw = bench.raw
    removals: tuple[tuple[str, Callable[[str, int], object]], ...] = (
        ("key deleted", lambda name, lease: raw.delete(bench.key(name, lease))),
        ("lease revoked", lambda _, lease: raw.revoke(lease)),
    )
    times = bench.times(10)
    for what, remove in removals:
        queues = [_Three(bench, name) for name in bench.names(times)]
        pause(SETTLED)
        for queue in queues:
            remove(queue.name, queue.lost)
        pause(SETTLED)
        silent = sum(not queue.second.done() for queue in queues)
        for queue in queues:
            raw.resign(queue.leader)
            pause(GAP)
        told = [won(q.second, 1.0) and not bench.stands(q.name, q.lost) for q in queues]
        both = [won(q.third, 1.0) and second for q, second in zip(queues, told, strict=True)]
        let_go(call for queue in queues for call in (queue.second, queue.third))
        yield f"{what} under a waiting Campaign: the call goes on waiting", f"{silent}/{times}"
        yield f"{what}, then the leader resigns: OK for a key that is gone", f"{sum(told)}/{times}"
        yield f"{what}, then the leader resigns: two candidates are told OK", f"{sum(both)}/{times}"


class _Three:
    """A leader, and two who wait."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.name = name
        self.leader = bench.lead(name)
        self.lost, self.behind = bench.raw.grant(), bench.raw.grant()
        self.second = bench.join(name, self.lost)
        self.third = bench.join(name, self.behind)


def call_owns_key(bench: Bench) -> Rows:
    """The connection of a Campaign ends when its candidate is first, but was not told yet."""
    times = bench.times(20)
    yield "first in the queue, call open, connection ends: key deleted", _ends(bench, times, 0)
    yield "the same after the answer: key deleted", _ends(bench, times, 0.3)


def _ends(bench: Bench, times: int, later: float) -> str:
    candidates: list[tuple[str, int]] = []
    for name in bench.names(times):
        leader = bench.lead(name)
        lease = bench.raw.grant()
        connection = RawEtcd(bench.server.endpoint)
        call = bench.join(name, lease, on=connection)
        bench.raw.resign(leader)
        if later:
            won(call, later)
        connection.close()
        candidates.append((name, lease))
        pause(0.003)
    pause(0.5)
    gone = sum(not bench.stands(name, lease) for name, lease in candidates)
    return f"{gone}/{times}"
