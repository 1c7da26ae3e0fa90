"""Judges a history by what the library promises. Pure.

One `Row` a promise: what was measured, what is permitted, and whether that holds. Where the promise
gives no room and a measurement needs some, `rows.ROOM` says how much.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import liveness, manners, safety
from .history import History
from .rows import Row


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
    overlaps = safety.find_overlaps(history)
    plain = [overlap.seconds for overlap in overlaps if not overlap.cause]
    excused = [overlap.seconds for overlap in overlaps if overlap.cause]
    could = liveness.possible(history).total
    return Size(
        overlaps=len(plain),
        longest=max(plain, default=0.0),
        excused=len(excused),
        excused_longest=max(excused, default=0.0),
        share=liveness.avoidable(history).total / could if could else 0.0,
    )


def judge(history: History) -> list[Row]:
    """All rows, in the order of the promises."""
    return [
        *safety.overlap_rows(history, safety.find_overlaps(history)),
        *safety.without_key_rows(history),
        safety.tokens(history),
        liveness.fail_over(history),
        *liveness.availability(history),
        liveness.needless(history),
        liveness.unbelieved(history),
        liveness.stuck(history),
        liveness.observers(history),
        manners.left(history),
        manners.errors(history),
        manners.ended(history),
        manners.forks(history),
        manners.flat(history),
    ]
