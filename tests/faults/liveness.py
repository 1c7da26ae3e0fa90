"""Never long without a leader: what becomes of those who could lead. Pure."""

from __future__ import annotations

import itertools

from .causes import was_dropped, was_removed
from .history import History
from .rows import ROOM, Row, at
from .spans import Spans, union

FAIL_OVER = 0.7
"""Seconds on top of the ttl: etcd looks for ended leases twice a second."""
PROMOTION = 1.0
"""A new raft leader gives every lease its ttl and an election timeout anew (lessor.Promote)."""
STRETCH = 2.0
"""The longest avoidable time without a leader, in seconds."""
SHARE = {"kv": 0.02, "service": 0.05}
"""How much of the possible time may be lost avoidably."""
EARLY = 0.9
"""A renewal comes up to a tenth earlier than a third of the ttl after the last one."""
SEEN = 0.2
"""The observer asks members so often that a return of quorum is seen so soon."""
ONCE = 1.0
"""So many seconds may be lost in a run so short that its share is less: one event would be all.

Half of what one event may take at a stretch."""
OBSERVED = 5.0
"""How late an observer may be, in seconds."""


def without_leader(history: History) -> Spans:
    """When nobody believed."""
    return Spans([history.window]) - union(belief.spans for belief in history.beliefs)


def avoidable(history: History) -> Spans:
    """When nobody believed although the first in the queue ran and reached a quorum."""
    ready = union(
        Spans([(start, end)]) & history.able(life.owner) for start, end, life in history.heads
    )
    return without_leader(history) & ready


def possible(history: History) -> Spans:
    """When some process could have led."""
    return Spans([history.window]) & union(history.able(name) for name in history.processes)


def availability(history: History) -> list[Row]:
    lost, could = avoidable(history), possible(history)
    kinds = {process.via for process in history.processes.values() if process.via}
    limit = max((SHARE[via] for via in kinds if via in SHARE), default=SHARE["service"])
    share = lost.total / could.total if could.total else 0.0
    empty = (without_leader(history) & could) - union(
        Spans([(start, end)]) for start, end, _ in history.heads
    )
    worst = sorted(lost, key=lambda span: span[0] - span[1])[:8]
    details = tuple(f"{at(history, start)} for {end - start:.2f} s" for start, end in worst)
    return [
        Row(
            "avoidably without a leader",
            f"{share:.2%} of {could.total:.0f} s",
            f"{limit:.0%}" if limit * could.total > ONCE else f"{ONCE:g} s, the run is short",
            lost.total <= max(ONCE, limit * could.total),
            details,
        ),
        Row(
            "  at a stretch",
            f"{lost.longest:.2f} s",
            f"{STRETCH:g} s",
            lost.longest <= STRETCH,
            details[:1],
        ),
        Row(
            "  nobody in the queue at a stretch",
            f"{empty.longest:.2f} s",
            f"{STRETCH:g} s",
            empty.longest <= STRETCH,
            tuple(f"{at(history, start)} for {end - start:.2f} s" for start, end in empty),
        ),
    ]


def fail_over(history: History) -> Row:
    limit = history.ttl + FAIL_OVER
    took: list[float] = []
    late: list[str] = []
    ready = avoidable(history)
    for process in history.processes.values():
        killed_at = process.killed_at
        if killed_at is None or killed_at >= history.window[1] - limit - 1.0:
            continue
        own = [belief for belief in history.beliefs if belief.owner == process.name]
        if not own or own[-1].end < killed_at - ROOM:
            continue
        following = next((b for b in history.beliefs if b.start > killed_at), None)
        life = history.life(own[-1].token)
        if life is None:
            continue
        led_from = following.start if following else history.window[1]
        before = Spans([(killed_at - history.ttl, killed_at)])
        calm = not (before & history.disturbed[process.number]) and not (before - history.quorum)
        renewed = process.renewals[-1] if calm and process.renewals else killed_at
        # The next renewal may have reached etcd with its answer still to come.
        if killed_at - renewed >= history.ttl / 3 * EARLY:
            renewed = killed_at
        changes = [start for start, _ in history.quorum]
        changes += [term + PROMOTION for term in history.terms]
        # What happens with a leader's return may be seen a moment after it.
        seen_by = led_from + SEEN
        base = max([renewed, *(t for t in changes if killed_at - 1 < t < seen_by)])
        waited = Spans([(life.gone_at, led_from)])
        seconds = led_from - base - (waited - ready).total
        took.append(seconds)
        if seconds > limit:
            late.append(f"{at(history, killed_at)} {process.name}: {seconds:.2f} s")
    measured = f"{max(took, default=0.0):.2f} s in {len(took)}"
    return Row("fail-over after kill -9", measured, f"{limit:g} s", not late, tuple(late))


def unbelieved(history: History) -> Row:
    limit = history.ttl + FAIL_OVER
    nobody = without_leader(history)
    resets = [Spans([(term, term + PROMOTION)]) for term in history.terms]
    found = []
    for start, end, life in history.heads:
        idle = (Spans([(start, end)]) & nobody & history.quorum) - history.able(life.owner)
        for from_, to in idle - union(resets):
            if to - from_ > limit:
                found.append(f"{at(history, from_)} {life.owner} ({life.token}) {to - from_:.2f} s")
    return Row("leadership nobody believes in", str(len(found)), "0", not found, tuple(found))


def stuck(history: History) -> Row:
    """Who campaigns and can, without a key in the queue, for longer than a lease takes to go.

    A candidate puts no second key before the lease of the first is revoked or must have run out.
    """
    limit = history.ttl + FAIL_OVER
    found = []
    for process in history.processes.values():
        standing = Spans(
            (life.born_at, life.gone_at) for life in history.lives if life.owner == process.name
        )
        waits = process.campaigning & history.able(process.name) & Spans([history.window])
        for start, end in waits - standing:
            if end - start > limit:
                found.append(f"{at(history, start)} {process.name} for {end - start:.2f} s")
    return Row("stuck candidates", str(len(found)), f"0 by {limit:g} s", not found, tuple(found))


def needless(history: History) -> Row:
    """Leases that ran out although for half of their time, at the end, a way to renew was open."""
    found = []
    for process in history.processes.values():
        able = history.able(process.name)
        own = [life for life in history.lives if life.owner == process.name]
        for ended_at in process.expired:
            last = Spans([(ended_at - history.ttl / 2, ended_at - ROOM)])
            by_others = any(
                ended_at - history.ttl < life.gone_at < ended_at + ROOM
                and (was_removed(history, life) or was_dropped(history, life))
                for life in own
            )
            if not last - able and not by_others:
                found.append(f"{at(history, ended_at)} {process.name}")
    expired = sum(len(process.expired) for process in history.processes.values())
    measured = f"{len(found)} of {expired}"
    return Row("leases lost with a way open", measured, "0", not found, tuple(found))


def observers(history: History) -> Row:
    """Observers that do not know a leader who has led for so long, while they could be told."""
    found = []
    for process in history.processes.values():
        told = [*process.observed, (float("inf"), 0)]
        knows: dict[int, Spans] = {}
        for (since, token), (until, _) in itertools.pairwise(told):
            knows[token] = knows.get(token, Spans()) | Spans([(since, until)])
        able = history.able(process.name).later(OBSERVED)
        for start, end, life in history.heads:
            due = Spans([(start, end)]).later(OBSERVED) & able
            for from_, to in due - knows.get(life.token, Spans()):
                found.append(f"{at(history, from_)} {process.name} {life.token} {to - from_:.2f} s")
    return Row(
        "observers too late", str(len(found)), f"0 by {OBSERVED:g} s", not found, tuple(found)
    )
