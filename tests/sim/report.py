"""Many runs: which seeds failed, and what was covered on the way.

What a sweep must have met is listed here: every fault, every step of a candidacy, every end of a
campaign and of a leadership, every hazard that the model has. A sweep that is long enough and has
met less tests less than it says.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

from etcd_election._core.candidacy import Action, Candidacy, Step
from etcd_election.types import LostReason

from .faults import FAULTS
from .schedule import run

_CHUNK = 200

NEVER = {
    LostReason.CLUSTER_CHANGED: "no backup is restored",
    LostReason.FORKED: "nothing forks",
}
"""What the model cannot bring about."""

HAZARDS = (
    "Campaign ended by a compaction",
    "Campaign hangs 7 s after the raft leader's end",
    "Campaign waits on a wedged member",
    "Observe ended with OK (compaction)",
    "Observe ended with OK (shutdown)",
    "Observe ended with OK (token)",
    "Observe waits on a wedged member",
    "a grant landed late",
    "answer late",
    "answer lost",
    "call hangs without raft leader",
    "call lands after the election",
    "deposed raft leader goes on",
    "keepalive answered with an old term",
    "keepalive answers OK for a revoked lease",
    "lease expired",
    "new raft leader extends leases",
    "orphan, a put landed late",
    "orphan, cancelled in a race",
    "orphan, cancelled while the put was under way",
    "orphan, the clean-up has no token",
    "orphan, the member is wedged",
    "phantom win",
    "request lands after it was given up",
    "the call owns the key, and it leads",
    "token expired under a waiting Campaign",
    "token refused",
    "watch ended by a compaction",
    "watch refused",
)

OUTCOMES = (
    "leadership",
    "the same leadership, proclaimed",
    "CampaignCancelled",
    "CampaignTimeout",
    "ClientClosed",
    "SessionExpired",
    "Unavailable",
)


def expected() -> list[str]:
    """All that a long sweep must have met."""
    return [
        *(f"fault: {fault.__name__}" for fault in FAULTS),
        *(f"candidacy: {action.name}" for action in Action),
        *(f"outcome: {outcome}" for outcome in OUTCOMES),
        *(f"lost: {reason.name}" for reason in LostReason if reason not in NEVER),
        *(f"hazard: {hazard}" for hazard in HAZARDS),
        "observed: a leader",
        "observed: a vacancy",
        "apart: two, after an administrator removed a key",
    ]


@dataclass
class Report:
    """What came of some runs."""

    runs: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    ttls: float = 0.0

    def add(self, other: Report) -> None:
        self.runs += other.runs
        self.failures += other.failures
        self.counts.update(other.counts)
        self.ttls += other.ttls

    @property
    def missed(self) -> list[str]:
        """What was never met, of all that should be."""
        return [name for name in expected() if not self.counts[name]]

    def table(self) -> Iterator[str]:
        """Lines for people."""
        for name, count in sorted(self.counts.items()):
            yield f"{count:10d}  {name}"
        for name in self.missed:
            yield f"     never  {name}"


def sweep(seeds: Iterable[int]) -> Report:
    """Runs these seeds, one after the other, in this process."""
    report = Report()
    decide, steps = Candidacy.next, Counter[Action]()

    def counted(self: Candidacy, now: float) -> Step:
        step = decide(self, now)
        steps[step.action] += 1
        return step

    collecting = gc.isenabled()
    gc.disable()
    try:
        with patch.object(Candidacy, "next", counted):
            for seed in seeds:
                result = run(seed)
                report.runs += 1
                report.counts.update(result.counts)
                report.ttls += result.ttls
                report.failures += [(seed, text) for text in result.violations[:1]]
    finally:
        if collecting:
            gc.enable()
    report.counts.update({f"candidacy: {action.name}": n for action, n in steps.items()})
    return report


def sweep_all(first: int, last: int, jobs: int) -> Iterator[Report]:
    """Runs the seeds from ``first`` on, below ``last``, in so many processes; in pieces.

    Every piece has a process of its own, whose end is cheaper than collecting its garbage: that
    took a fifth of the time.
    """
    pieces = [range(at, min(at + _CHUNK, last)) for at in range(first, last, _CHUNK)]
    if jobs == 1:
        yield from map(sweep, pieces)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(sweep, pieces)
