"""Judges a history by what the library promises. Pure.

One `Row` a promise: what was measured, what is permitted, and whether that holds. Where the promise
gives no room and a measurement needs some, `ROOM` says how much. Two causes of overlaps no client
can prevent; they have rows of their own, bounded by the ttl.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .history import Belief, History, Life
from .spans import Spans, union

FAIL_OVER = 0.7
"""Seconds on top of the ttl: etcd looks for ended leases twice a second."""
PROMOTION = 1.0
"""A new raft leader gives every lease its ttl and an election timeout anew (lessor.Promote)."""
STRETCH = 2.0
"""The longest avoidable time without a leader, in seconds."""
SHARE = {"kv": 0.02, "service": 0.05}
"""How much of the possible time may be lost avoidably."""
TOLD = 0.1
"""Seconds after which the holder of a removed key has stopped believing, when it is connected."""
STUCK = 5.0
"""A campaign that could go on and has no key in the queue for so many seconds is stuck."""
ROOM = 0.1
"""The observer may hear of a key so many seconds after its owner."""
WAKES = 10.0
"""Etcd issue 15247: a raft leader that wakes drops leases within so many seconds."""
PERMITTED = {
    "campaign": {"SessionExpired", "Unavailable"},
    "resign": {"Unavailable"},
    "close": set[str](),
}
FLAT_AFTER = 20.0
"""Processes that lived for fewer seconds say nothing about growth."""
GROWTH = {"threads": 0, "tasks": 8, "fds": 16}
"""Grpc's own pools and reconnects breathe; what is the library's does not."""


@dataclass(frozen=True)
class Row:
    """One promise, judged."""

    promise: str
    measured: str
    permitted: str
    holds: bool
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overlap:
    """Two believed at once: `older` and `newer` by their tokens."""

    older: Belief
    newer: Belief
    seconds: float
    cause: str


@dataclass(frozen=True)
class Size:
    """A run in numbers, to be compared with another's."""

    overlaps: int
    longest: float
    excused: int
    excused_longest: float
    share: float


def measure(history: History) -> Size:
    """The numbers, without a judgement."""
    overlaps = find_overlaps(history)
    plain = [overlap.seconds for overlap in overlaps if not overlap.cause]
    excused = [overlap.seconds for overlap in overlaps if overlap.cause]
    could = possible(history).total
    return Size(
        overlaps=len(plain),
        longest=max(plain, default=0.0),
        excused=len(excused),
        excused_longest=max(excused, default=0.0),
        share=avoidable(history).total / could if could else 0.0,
    )


def judge(history: History) -> list[Row]:
    """All rows, in the order of the promises."""
    overlaps = find_overlaps(history)
    rules: list[Callable[[], list[Row]]] = [
        lambda: _overlap_rows(history, overlaps),
        lambda: _without_key_rows(history),
        lambda: [_tokens(history)],
        lambda: [_fail_over(history)],
        lambda: _availability(history),
        lambda: [_unbelieved(history), _stuck(history), _left(history)],
        lambda: [_errors(history), _ended(history), _forks(history), _flat(history)],
    ]
    return [row for rule in rules for row in rule()]


def table(rows: list[Row]) -> str:
    """The rows for people."""
    widths = [max(len(row.promise) for row in rows), max(len(row.measured) for row in rows)]
    lines = []
    for row in rows:
        mark = "  " if row.holds else "! "
        lines.append(
            f"{mark}{row.promise:<{widths[0]}}  {row.measured:>{widths[1]}}  {row.permitted}"
        )
        shown = row.details if not row.holds else row.details[:3]
        lines += [f"      {detail}" for detail in shown[:20]]
    return "\n".join(lines)


# -- safety


def cause(history: History, life: Life | None) -> str:
    """Why a key vanished under its holder: "" if nothing excuses it."""
    if life is None or life.gone_at == float("inf"):
        return ""
    removed_at = history.removed_at(life.token)
    if removed_at is not None and removed_at <= life.gone_at:
        return _link_at(history, life)
    woken = [at for at in history.resumed if at <= life.gone_at <= at + WAKES]
    if woken and drops_leases(history.version):
        return "etcd issue 15247"
    return ""


def _link_at(history: History, life: Life) -> str:
    """How well the holder of a key could be told that it was removed."""
    process = history.processes[life.owner]
    beat = history.ttl / 3
    near = Spans([(life.gone_at - beat - 1.0, life.gone_at + beat + 1.0)])
    if (near & process.running) - history.reaches(process.number):
        return "removed while cut off"
    serving = [spans for spans in history.serves.values() if near - spans]
    if serving or near & history.disturbed[process.number]:
        return "removed while a link was cut"
    return "removed while connected"


def drops_leases(version: tuple[int, ...]) -> bool:
    """Whether this etcd has issue 15247."""
    return version < (3, 4, 31) or (3, 5) <= version < (3, 5, 13)


def allowance(history: History, why: str) -> float:
    """For how long a holder may believe in a key that is gone, in seconds it ran."""
    if why == "removed while connected":
        return TOLD
    if why == "removed while a link was cut":
        return history.ttl / 3 + 1.0
    return history.ttl if why else 0.0


def surely(history: History, belief: Belief) -> Spans:
    """When a process believed and ran: one that is stopped acts on nothing."""
    process = history.processes[belief.owner]
    return belief.spans & process.running


def find_overlaps(history: History) -> list[Overlap]:
    """All times at which two processes believed at once."""
    found = []
    for i, one in enumerate(history.beliefs):
        for other in history.beliefs[i + 1 :]:
            if other.start >= one.end or other.owner == one.owner:
                continue
            common = surely(history, one) & surely(history, other)
            if common:
                older, newer = sorted((one, other), key=lambda belief: belief.token)
                why = cause(history, history.life(older.token))
                found.append(Overlap(older, newer, common.total, why))
    return found


def _overlap_rows(history: History, overlaps: list[Overlap]) -> list[Row]:
    excused = [overlap for overlap in overlaps if overlap.cause]
    plain = [overlap for overlap in overlaps if not overlap.cause]
    too_long = [o for o in excused if o.seconds > allowance(history, o.cause)]
    longest = max((overlap.seconds for overlap in excused), default=0.0)
    return [
        Row("two believing at once", str(len(plain)), "0", not plain, _told(history, plain)),
        Row(
            "  with a cause of their own",
            f"{len(excused)}, {longest:.3f} s",
            f"as long as belief without the key, at most ttl {history.ttl:g} s",
            not too_long,
            _told(history, too_long or excused),
        ),
    ]


def _told(history: History, overlaps: list[Overlap]) -> tuple[str, ...]:
    return tuple(
        f"{at(history, o.newer.start)} {o.older.owner} ({o.older.token}) and {o.newer.owner} "
        f"({o.newer.token}) for {o.seconds:.3f} s {o.cause}"
        for o in overlaps
    )


def at(history: History, instant: float) -> str:
    """An instant as seconds since the run began."""
    return f"at {instant - history.window[0]:.2f}"


def _without_key_rows(history: History) -> list[Row]:
    worst: dict[str, float] = {}
    details: dict[str, list[str]] = {}
    over: dict[str, bool] = {}
    for belief in history.beliefs:
        life = history.life(belief.token)
        first = Spans((s, e) for s, e, head in history.heads if head.token == belief.token)
        early = Spans([(belief.start + ROOM, belief.end)]) & Spans(
            [(0.0, min((s for s, _ in first), default=float("inf")))]
        )
        late = Spans() if life is None else surely(history, belief) & Spans([(life.gone_at, 1e18)])
        excess = late.total + early.total
        if excess <= 0:
            continue
        why = "" if early else cause(history, life)
        worst[why] = max(worst.get(why, 0.0), excess)
        over[why] = over.get(why, False) or excess > allowance(history, why)
        details.setdefault(why, []).append(
            f"{at(history, belief.end)} {belief.owner} ({belief.token}) for {excess:.3f} s"
        )
    order = (
        "",
        "removed while connected",
        "removed while a link was cut",
        "removed while cut off",
        "etcd issue 15247",
    )
    return [
        Row(
            f"belief without the key{', ' if why else ''}{why}",
            f"{worst.get(why, 0.0):.3f} s",
            f"{allowance(history, why):g} s",
            not over.get(why, False),
            tuple(details.get(why, ())) if over.get(why) else (),
        )
        for why in order
    ]


def _tokens(history: History) -> Row:
    fallen = [
        f"{at(history, after.start)} {after.token} after {before.token}"
        for before, after in itertools.pairwise(history.beliefs)
        if after.token <= before.token
    ]
    terms = len(history.beliefs)
    # A run in which nearly nothing happened proves nothing.
    enough = terms >= (history.window[1] - history.window[0]) / 30
    return Row(
        "tokens not rising",
        f"{len(fallen)} of {terms} terms",
        "0, and a term every 30 s",
        not fallen and enough,
        tuple(fallen),
    )


# -- liveness


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


def _availability(history: History) -> list[Row]:
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
            f"{limit:.0%}",
            share <= limit,
            details,
        ),
        Row(
            "  at a stretch",
            f"{lost.longest:.2f} s",
            f"{STRETCH:g} s",
            lost.longest <= STRETCH,
            details[:1],
        ),
        Row("  nobody stood in the queue", f"{empty.total:.2f} s", "not judged", True),
    ]


def _fail_over(history: History) -> Row:
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
        if following is None or life is None:
            continue
        before = Spans([(killed_at - history.ttl, killed_at)])
        calm = not (before & history.disturbed[process.number]) and not (before - history.quorum)
        renewed = process.renewals[-1] if calm and process.renewals else killed_at
        changes = [start for start, _ in history.quorum]
        changes += [term + PROMOTION for term in history.terms]
        base = max([renewed, *(t for t in changes if killed_at - 1 < t < following.start)])
        waited = Spans([(life.gone_at, following.start)])
        seconds = following.start - base - (waited - ready).total
        took.append(seconds)
        if seconds > limit:
            late.append(f"{at(history, killed_at)} {process.name}: {seconds:.2f} s")
    measured = f"{max(took, default=0.0):.2f} s in {len(took)}"
    return Row("fail-over after kill -9", measured, f"{limit:g} s", not late, tuple(late))


def _unbelieved(history: History) -> Row:
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


def _stuck(history: History) -> Row:
    found = []
    for process in history.processes.values():
        standing = Spans(
            (life.born_at, life.gone_at) for life in history.lives if life.owner == process.name
        )
        waits = process.campaigning & history.able(process.name) & Spans([history.window])
        for start, end in waits - standing:
            if end - start > STUCK:
                found.append(f"{at(history, start)} {process.name} for {end - start:.2f} s")
    return Row("stuck candidates", str(len(found)), "0", not found, tuple(found))


def _left(history: History) -> Row:
    left = history.left
    return Row("leases and keys left", str(len(left)), "0", not left, tuple(left))


# -- manners


def _errors(history: History) -> Row:
    counts: Counter[str] = Counter()
    bad: list[str] = []
    for process in history.processes.values():
        for error in process.errors:
            counts[f"{error['during']}: {error['kind']}"] += 1
            ours = error["module"].startswith("etcd_election")
            if not ours or error["kind"] not in PERMITTED[error["during"]]:
                bad.append(
                    f"{at(history, error['t'])} {process.name} {error['during']}: "
                    f"{error['module']}.{error['kind']}: {error['text']}"
                )
    shown = tuple(f"{count} x {what}" for what, count in counts.most_common())
    return Row("undocumented exceptions", str(len(bad)), "0", not bad, tuple(bad) or shown)


def _ended(history: History) -> Row:
    bad = [
        f"{process.name}: status {process.status}"
        for process in history.processes.values()
        if process.killed_at is None and process.status != 0
    ]
    return Row("processes that ended badly", str(len(bad)), "0", not bad, tuple(bad))


def _forks(history: History) -> Row:
    bad = [f"{p.name}: {text}" for p in history.processes.values() for text in p.bad]
    return Row("forks that went wrong", str(len(bad)), "0", not bad, tuple(bad))


def _flat(history: History) -> Row:
    growth: dict[str, float] = dict.fromkeys(GROWTH, 0.0)
    judged = 0
    found = []
    for process in history.processes.values():
        usage = process.usage
        if not usage or usage[-1]["t"] - usage[0]["t"] < FLAT_AFTER:
            continue
        judged += 1
        start, end = usage[0]["t"], usage[-1]["t"]
        third = (end - start) / 3
        early = [line for line in usage if start + 3.0 <= line["t"] <= start + 3.0 + third]
        late = [line for line in usage if line["t"] >= end - third]
        for what, permitted in GROWTH.items():
            grown = statistics.median(line[what] for line in late) - statistics.median(
                line[what] for line in early
            )
            growth[what] = max(growth[what], grown)
            if grown > permitted:
                found.append(f"{process.name}: {what} grew by {grown:g}")
    measured = ", ".join(f"{what} {grown:+g}" for what, grown in growth.items())
    permitted_text = ", ".join(f"{limit:+d}" for limit in GROWTH.values())
    return Row(f"growth in {judged} processes", measured, permitted_text, not found, tuple(found))
