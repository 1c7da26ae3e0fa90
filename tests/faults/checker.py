"""Judges a history by what the library promises. Pure.

One `Row` a promise: what was measured, what is permitted, and whether that holds. Where more is
permitted than the promise says in words, there is a reason in etcd or in the measuring:

- Belief counts while a process runs: one that is stopped, or whose GIL is held, acts on nothing,
  and the first answer after it counts again. What it answered between two questions, 3 ms apart,
  is taken for granted only if both were answered True.
- The observer hears of a key up to `rows.ROOM` after its owner; a deletion counts from the first
  news.
- What excuses belief in a key that is gone, and for how long: `causes`.
- Fail-over counts from a renewal that was due and not answered, and from the kill itself where a
  link was disturbed: etcd may have got one whose answer was lost.
- It counts from `liveness.PROMOTION` after a change of raft leader, not from the change: etcd
  gives every lease its ttl and an election timeout anew then, so a fail-over within ttl + 0.7 s
  of the change cannot be. An observer that asks ten times a second sees changes and returns of
  quorum late, by `liveness.SEEN` at most; without that room a quick candidate would count as a
  slow one.
- Time in which the next candidate is stopped or cut off is not its delay.
- A run of less than a minute is permitted `liveness.ONCE` instead of its share: one fail-over, of
  which 2 s would be permitted in a longer run, is more than 2% of it.
- An observer has its 5 s anew from every moment in which it could not be told.
- A candidate is not stuck while the lease of its last key may still live: it puts no second key.
- Grpc's pools and connections breathe, by `manners.GROWTH`.
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
