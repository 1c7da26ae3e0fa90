"""Never two, and never without the key. Pure.

Two causes of overlaps no client can prevent; they have rows of their own, bounded by the ttl: an
administrator who removes the key while its holder is cut off, and etcd issue 15247.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from .history import Belief, History, Life
from .rows import ROOM, Row, at
from .spans import Spans

TOLD = 0.1
"""Seconds after which the holder of a removed key has stopped believing, when it is connected."""
WAKES = 10.0
"""Etcd issue 15247: a raft leader that wakes drops leases within so many seconds."""


@dataclass(frozen=True)
class Overlap:
    """Two believed at once: `older` and `newer` by their tokens."""

    older: Belief
    newer: Belief
    seconds: float
    cause: str


def cause(history: History, belief: Belief) -> str:
    """Why the key vanished under its holder: "" if nothing excuses it.

    A key that was gone before its holder began to believe excuses nothing.
    """
    life = history.life(belief.token)
    if life is None or life.gone_at == float("inf") or life.gone_at < belief.start:
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
                life = history.life(older.token)
                gone_at = life.gone_at if life else 0.0
                # With its key still there, the other had no right to believe.
                early = common & Spans([(0.0, gone_at - ROOM)])
                why = "" if early else cause(history, older)
                found.append(Overlap(older, newer, common.total, why))
    return found


def overlap_rows(history: History, overlaps: list[Overlap]) -> list[Row]:
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


def without_key_rows(history: History) -> list[Row]:
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
        why = "" if early else cause(history, belief)
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


def tokens(history: History) -> Row:
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
