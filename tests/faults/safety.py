"""Never two, and never without the key. Pure.

What excuses an overlap, or belief in a key that is gone, and for how long: `causes`. It has rows of
its own. A term shorter than the sampler's period, 3 ms, is not seen.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from .causes import CONNECTED, CUT, CUT_OFF, DROPPED, TOLD, allowance, cause, surely, told_within
from .history import Belief, History
from .rows import ROOM, Row, at
from .spans import Spans


@dataclass(frozen=True)
class Overlap:
    """Two believed at once: `older` and `newer` by their tokens."""

    older: Belief
    newer: Belief
    seconds: float
    cause: str


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
    too_long = [o for o in excused if o.seconds > allowance(history, o.older, o.cause)]
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
        over[why] = over.get(why, False) or excess > allowance(history, belief, why)
        details.setdefault(why, []).append(
            f"{at(history, belief.end)} {belief.owner} ({belief.token}) for {excess:.3f} s"
        )
    ttl, told = history.ttl, told_within(history)
    permitted = {
        "": "0 s",
        CONNECTED: f"{TOLD:g} s",
        CUT: f"{told:g} s",
        CUT_OFF: f"as long as cut off and {told:g} s, at most ttl {ttl:g} s",
        DROPPED: f"ttl {ttl:g} s",
    }
    return [
        Row(
            f"belief without the key{', ' if why else ''}{why}",
            f"{worst.get(why, 0.0):.3f} s",
            text,
            not over.get(why, False),
            tuple(details.get(why, ())) if over.get(why) else (),
        )
        for why, text in permitted.items()
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
