"""Why a key vanished under its holder, and what that excuses. Pure.

Two causes of overlaps no client can prevent, each bounded by the ttl: an administrator who removes
the key while its holder is cut off, and etcd issue 15247. To a holder that is connected, or has a
link cut, no news of a removal comes at once either: that is excused for as long as the promise
says, and by nothing but the removal of that very key.
"""

from __future__ import annotations

from .history import Belief, History, Life
from .rows import ROOM
from .spans import Spans

TOLD = 0.1
"""Seconds after which the holder of a removed key has stopped believing, when it is connected."""
LANDS = 7.0
"""Seconds after which etcd itself has given up a request that nobody has answered."""
WAKES = 1.0
"""Etcd issue 15247: a raft leader that wakes drops leases so soon (0.03 s measured on 3.4.23)."""

CUT_OFF, CUT, CONNECTED, DROPPED = (
    "removed while cut off",
    "removed while a link was cut",
    "removed while connected",
    "etcd issue 15247",
)


def was_removed(history: History, life: Life) -> bool:
    """Whether this key went because the administrator wanted it gone.

    A removal that had been answered before took it then or never.
    """
    return any(
        removal.token == life.token
        and removal.sent_at <= life.gone_at
        and life.gone_at <= min(removal.done_by + ROOM, removal.sent_at + LANDS)
        for removal in history.removals
    )


def was_dropped(history: History, life: Life) -> bool:
    """Whether etcd dropped the live lease of this key: issue 15247."""
    return drops_leases(history.version) and any(
        woken_at <= life.gone_at <= woken_at + WAKES for woken_at in history.woken
    )


def cause(history: History, belief: Belief) -> str:
    """Why the key vanished under its holder: "" if nothing excuses it.

    A key that was gone before its holder began to believe excuses nothing.
    """
    life = history.life(belief.token)
    if life is None or life.gone_at == float("inf") or life.gone_at < belief.start:
        return ""
    if was_removed(history, life):
        return _link_at(history, life, belief)
    return DROPPED if was_dropped(history, life) else ""


def _link_at(history: History, life: Life, belief: Belief) -> str:
    """How well the holder of a key could be told that it was removed."""
    process = history.processes[life.owner]
    if cut_off(history, belief, life):
        return CUT_OFF
    told = told_within(history)
    # What was cut before may still have a watch to be opened anew.
    near = Spans([(life.gone_at - told, life.gone_at + told)])
    unreached = (near & process.running) - history.reaches(process.number)
    serving = [spans for spans in history.serves.values() if near - spans]
    if unreached or serving or near & history.disturbed[process.number]:
        return CUT
    return CONNECTED


def cut_off(history: History, belief: Belief, life: Life) -> Spans:
    """When a holder reached no quorum while it believed in a key that was gone."""
    after = surely(history, belief) & Spans([(life.gone_at, belief.end)])
    return after - history.reaches(history.processes[belief.owner].number)


def drops_leases(version: tuple[int, ...]) -> bool:
    """Whether this etcd has issue 15247."""
    return version < (3, 4, 31) or (3, 5) <= version < (3, 5, 13)


def told_within(history: History) -> float:
    """A beat and a second: seconds in which a holder whose link was cut has heard of a removal."""
    return history.ttl / 3 + 1.0


def allowance(history: History, belief: Belief, why: str) -> float:
    """For how long a holder may believe in a key that is gone, in seconds it ran.

    Who was cut off has, once it is connected again, as long as anybody whose link was cut.
    """
    told = told_within(history)
    life = history.life(belief.token)
    if why == CUT_OFF and life is not None:
        return min(history.ttl, cut_off(history, belief, life).total + told)
    return {CONNECTED: TOLD, CUT: told, DROPPED: float(history.ttl)}.get(why, 0.0)


def surely(history: History, belief: Belief) -> Spans:
    """When a process believed and ran: one that is stopped acts on nothing."""
    process = history.processes[belief.owner]
    return belief.spans & process.running
