"""A thousand candidates of one election: a hand-over wakes one of them, not all.

Each watches the key before its own. What grows is etcd's own work, which looks through the whole
queue for every Range of it.
"""

from __future__ import annotations

import time

from etcd_election._core.standing import newest
from tests.support.raw import TIMEOUT

from ..counts import Counts
from ..sampling import median, milliseconds
from .stage import AIO, Rows, Stage, row, tell

TTL = 600
"""No renewal falls into the measurement."""
PATIENCE = 120.0
FEW = 10
READS = 200
QUIET = ("Range", "Txn", "Resign", "Watch", "LeaseKeepAlive")


def rows(stage: Stage) -> Rows:
    many = stage.much(1000, 100)
    took, reads, calls = {}, {}, {}
    for count in (FEW, many):
        took[count], reads[count], calls[count] = _measure(stage, count, stage.much(100, 20))
    grown = took[many] - took[FEW]
    permitted = max(0.0, reads[many] - reads[FEW])
    yield row(
        f"hand-over among {many} candidates of one election, beyond one among {FEW}",
        "asyncio",
        milliseconds(grown),
        beside=f"{milliseconds(took[FEW])} among {FEW}, {milliseconds(took[many])} among {many}; "
        f"one Range {milliseconds(reads[FEW])}, {milliseconds(reads[many])}",
        bound=f"<= {milliseconds(permitted)}",
    )
    asked = {count: sum(calls[count].values()) for count in calls}
    yield row(
        f"calls for a hand-over among {many}, beyond those among {FEW}",
        "asyncio",
        f"{asked[many] - asked[FEW]:.1f}",
        beside=", ".join(f"{method} {number:.1f}" for method, number in calls[many].items()),
        bound="<= 0.1",
    )


def _measure(stage: Stage, count: int, times: int) -> tuple[float, float, dict[str, float]]:
    """Seconds of a hand-over and of a Range, and calls for a hand-over, among so many."""
    name = f"queue-{count}"
    with stage.crowd(AIO) as child:
        tell(child, "join", PATIENCE, names=[name] * count, ttl=TTL, via="kv")
        stage.await_keys(f"{name}/", count, PATIENCE, child)
        tell(child, "hand_over", PATIENCE, count=2)
        before = stage.counts()
        took = tell(child, "hand_over", PATIENCE, count=times)
        calls = _calls(stage.counts().since(before), times)
        stage.say(f"queue: {count}")
        return median(took), _read(stage, name), calls


def _calls(seen: Counts, times: int) -> dict[str, float]:
    return {method: seen.answers[method] / times for method in QUIET if seen.answers[method]}


def _read(stage: Stage, name: str) -> float:
    """What etcd takes for a Range as candidates make it: the median."""
    last = stage.raw.candidates(name)[-1].create_revision
    took = []
    for _ in range(READS):
        began = time.monotonic()
        stage.raw.kv.Range(newest(name.encode(), up_to=last), timeout=TIMEOUT)
        took.append(time.monotonic() - began)
    return median(took)
