"""How soon a candidate hears that the one before it has gone."""

from __future__ import annotations

from .bench import LONG, SETTLED, Bench, Rows, clock, median, pause
from .watches import WatchStream


def first_moments(bench: Bench) -> Rows:
    """From sending the Resign to the candidate's news."""
    times = bench.times(10)
    for what, wait in (("joined just now", 0.0), (f"waiting for {SETTLED:g} s", SETTLED)):
        yield f"candidate {what}: its Campaign answers after", median(_campaign(bench, times, wait))
        yield f"candidate {what}: its own Watch tells after", median(_watch(bench, times, wait))


def _campaign(bench: Bench, times: int, wait: float) -> list[float]:
    took: list[float] = []
    for name in bench.names(times):
        leader = bench.lead(name)
        call = bench.join(name, bench.raw.grant())
        pause(wait)
        sent_at = clock()
        resigning = bench.resigning(leader)
        call.result(timeout=LONG)
        took.append(clock() - sent_at)
        resigning.result()
    return took


def _watch(bench: Bench, times: int, wait: float) -> list[float]:
    took: list[float] = []
    for name in bench.names(times):
        leader = bench.lead(name)
        bench.join(name, bench.raw.grant())
        stream = WatchStream(bench)
        stream.create(leader.key, 1)
        stream.next()
        pause(wait)
        sent_at = clock()
        resigning = bench.resigning(leader)
        stream.next()
        took.append(clock() - sent_at)
        resigning.result()
        stream.close()
    return took
