"""Which faults come when: pure, and the same for the same seed.

Whom a fault hits is a role, such as the leader, found out when its time comes; so a seed replays
the schedule, not the run.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass


class Kind(enum.Enum):
    """What is done; most of it ends by itself after `lasts` seconds."""

    STOP = "SIGSTOP, SIGCONT"
    KILL = "kill -9, started anew"
    GIL = "GIL held by a C call"
    FORK = "fork"
    CUT = "all links of a process"
    CUT_ONE = "one link of a process"
    REVOKE = "lease revoked"
    DELETE = "key deleted"
    CUT_DELETE = "key deleted while cut off"
    COMPACT = "compaction"
    PAUSE_MEMBER = "member SIGSTOP, SIGCONT"
    KILL_MEMBER = "member kill -9, restart"
    PAUSE_RAFT_LEADER = "raft leader SIGSTOP, SIGCONT"
    KILL_RAFT_LEADER = "raft leader kill -9, restart"
    QUORUM_PAUSED = "quorum lost by SIGSTOP"
    QUORUM_KILLED = "quorum lost by kill -9"


LEADER = 0
"""A place in the queue: the first leads."""

OF_PROCESSES = (Kind.STOP, Kind.KILL, Kind.GIL, Kind.FORK, Kind.CUT, Kind.CUT_ONE)
OF_KEYS = (Kind.REVOKE, Kind.DELETE)
OF_MEMBERS = (
    Kind.PAUSE_MEMBER,
    Kind.KILL_MEMBER,
    Kind.PAUSE_RAFT_LEADER,
    Kind.KILL_RAFT_LEADER,
    Kind.QUORUM_PAUSED,
    Kind.QUORUM_KILLED,
)
CUTS = ("deaf", "deaf to client", "deaf to server", "refuse", "stale", "delay", "reset")

# Shorter and longer than the lease of 3 s, in seconds.
SHORT = (0.3, 2.0)
LONG = (3.0, 6.0)
GAP = (0.5, 1.9)


@dataclass(frozen=True)
class Fault:
    """One entry of a schedule.

    Attributes:
        at: Seconds from the start.
        kind: What is done.
        place: In the queue, for what hits a process or its key; else which member.
        lasts: Seconds, where it ends.
        mode: What a link does, as the proxy calls it, or "reset".
        link: Which one, for CUT_ONE.
    """

    at: float
    kind: Kind
    place: int
    lasts: float
    mode: str = ""
    link: int = 0


def schedule(seed: int, seconds: float, members: int, processes: int) -> list[Fault]:
    """Faults for so many seconds; every kind and role comes once before any comes twice."""
    source = random.Random(seed)
    faults: list[Fault] = []
    bag: list[tuple[Kind, int]] = []
    cuts: list[str] = []
    at = source.uniform(*GAP)
    while at < seconds:
        bag = bag or _bag(source, members, processes)
        cuts = cuts or source.sample(CUTS, len(CUTS))
        kind, place = bag.pop()
        lasts = source.uniform(*(SHORT if source.random() < 0.5 else LONG))
        mode = ""
        if kind in (Kind.CUT, Kind.CUT_ONE):
            mode = cuts.pop()
        elif kind is Kind.CUT_DELETE:
            mode = "deaf"
        faults.append(Fault(at, kind, place, lasts, mode, source.randrange(members)))
        at += source.uniform(*GAP)
    return faults


def _bag(source: random.Random, members: int, processes: int) -> list[tuple[Kind, int]]:
    waiter = source.randrange(1, processes)
    bag = [(kind, place) for kind in OF_PROCESSES for place in (LEADER, waiter)]
    bag += [(kind, place) for kind in OF_KEYS for place in (LEADER, waiter)]
    bag += [(Kind.CUT_DELETE, LEADER), (Kind.KILL, LEADER), (Kind.COMPACT, 0)]
    kinds = OF_MEMBERS if members > 1 else (Kind.PAUSE_MEMBER, Kind.KILL_MEMBER)
    bag += [(kind, source.randrange(members)) for kind in kinds]
    source.shuffle(bag)
    return bag
