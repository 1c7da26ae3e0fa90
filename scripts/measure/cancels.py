"""What a Campaign that was given up leaves behind, and what its clean-up hits.

A candidate is an orphan if its call has ended otherwise than with OK and its key stands half a
second later: nobody holds what that key may win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.support.raw import RawEtcd

from .bench import GAP, SETTLED, Bench, Rows, clock, counted, let_go, pause, said, some_ms, won

BATCH = 20
"""Waits open at a time: fewer than could deadlock the server."""

Candidate = tuple[str, int, Any]
"""The election, the candidate's lease, its call."""


def orphans(bench: Bench) -> Rows:
    """Three ways to give a Campaign up at a bad moment."""
    ways: tuple[tuple[str, int, Callable[[Bench, int], list[Candidate]]], ...] = (
        ("cancelled within 3 ms of sending", 300, _cancel_at_once),
        ("cancelled while the leader's Resign is on its way", 200, _cancel_in_a_race),
        ("deadline while the leader's Resign is on its way", 200, _deadline_in_a_race),
    )
    for what, full, give_up in ways:
        times = bench.times(full)
        candidates = [one for size in _batches(times) for one in give_up(bench, size)]
        pause(0.5)
        left = sum(not won(call) and bench.stands(name, lease) for name, lease, call in candidates)
        yield f"{what}: orphans", f"{left}/{times}"


def _batches(times: int) -> Iterator[int]:
    for start in range(0, times, BATCH):
        yield min(BATCH, times - start)


def _occupied(bench: Bench, size: int) -> list[str]:
    """Elections in which a key stands in everybody's way."""
    names = bench.names(size)
    for name in names:
        bench.raw.put(f"{name}/0", "in the way")
    return names


def _cancel_at_once(bench: Bench, size: int) -> list[Candidate]:
    lease = bench.raw.grant()
    candidates = []
    for name in _occupied(bench, size):
        call = bench.raw.campaign(name, lease)
        pause(some_ms())
        call.cancel()
        candidates.append((name, lease, call))
    return candidates


def _cancel_in_a_race(bench: Bench, size: int) -> list[Candidate]:
    names, leading, lease = bench.names(size), bench.raw.grant(), bench.raw.grant()
    leaders = [bench.lead(name, leading) for name in names]
    calls = bench.join_all(names, lease)
    pause(SETTLED)
    for leader, call in zip(leaders, calls, strict=True):
        resigning = bench.resigning(leader)
        pause(some_ms())
        call.cancel()
        resigning.result()
        pause(GAP)
    return [(name, lease, call) for name, call in zip(names, calls, strict=True)]


def _deadline_in_a_race(bench: Bench, size: int) -> list[Candidate]:
    names, leading, lease = bench.names(size), bench.raw.grant(), bench.raw.grant()
    leaders = [bench.lead(name, leading) for name in names]
    first_at = clock() + 2 * SETTLED
    deadlines = [first_at + i * 0.01 for i in range(size)]
    calls = bench.join_all(names, lease, deadlines=deadlines)
    for leader, deadline in zip(leaders, deadlines, strict=True):
        pause(deadline - some_ms(4.0, least=-1.0) - clock())
        bench.resigning(leader).result()
    return [(name, lease, call) for name, call in zip(names, calls, strict=True)]


def stale_cleanup(bench: Bench) -> Rows:
    """Cancel, then Campaign again with the same lease."""
    times = bench.times(60)
    what = "cancelled, and sent again"
    then = "blocked without a key"
    yield f"{what} at once on the same connection: {then}", _again(bench, times)
    yield f"{what} at once on another connection: {then}", _again(bench, times, elsewhere=True)
    yield f"{what} 20 ms later: {then}", _again(bench, times, later=0.02)
    yield f"two calls with one lease, one cancelled: the other is {then}", _shared(bench)


def compactions(bench: Bench) -> Rows:
    """Campaigns that are about to wait while the history is compacted away under them."""
    times = bench.times(40)
    names, lease = _occupied(bench, times), bench.raw.grant()
    ends, kept = [], 0
    for name in names:
        call = bench.raw.campaign(name, lease)
        for _ in range(8):
            bench.raw.put(f"{name}beside", "v")
            bench.raw.compact()
        if call.done():
            ends.append(said(call))
            kept += bench.stands(name, lease)
        call.cancel()
        pause(GAP)
    yield "Campaigns that ended", f"{len(ends)}/{times}"
    yield "their end", counted(ends)
    yield "their keys stand", f"{kept}/{len(ends)}"


def _again(bench: Bench, times: int, *, later: float = 0.0, elsewhere: bool = False) -> str:
    zombies = 0
    with RawEtcd(bench.server.endpoint) as other:
        on = other if elsewhere else bench.raw
        on.revision()  # connected
        for size in _batches(times):
            names, lease = _occupied(bench, size), bench.raw.grant()
            first = bench.join_all(names, lease)
            pause(SETTLED)
            second = []
            for name, call in zip(names, first, strict=True):
                call.cancel()
                pause(later)
                second.append(on.campaign(name, lease))
                pause(GAP)
            pause(0.3)
            zombies += _keyless(bench, names, lease, second)
            let_go(second)
    return f"{zombies}/{times}"


def _shared(bench: Bench) -> str:
    names, lease = _occupied(bench, BATCH), bench.raw.grant()
    first, second = bench.join_all(names, lease), bench.join_all(names, lease)
    pause(SETTLED)
    let_go(first)
    pause(0.3)
    without = _keyless(bench, names, lease, second)
    let_go(second)
    return f"{without}/{BATCH}"


def _keyless(bench: Bench, names: list[str], lease: int, calls: list[Any]) -> int:
    """How many of the calls go on waiting although their key is gone."""
    return sum(
        not call.done() and not bench.stands(name, lease)
        for name, call in zip(names, calls, strict=True)
    )
