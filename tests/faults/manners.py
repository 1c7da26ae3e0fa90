"""What a candidate leaves behind, raises and takes. Pure."""

from __future__ import annotations

import statistics
from collections import Counter

from .history import History
from .rows import ROOM, Row, at

PERMITTED = {
    "campaign": {"SessionExpired", "Unavailable"},
    "resign": {"Unavailable"},
    "observe": set[str](),
    "close": set[str](),
}
FLAT_AFTER = 20.0
"""Processes that lived for fewer seconds say nothing about growth."""
GROWTH = {"threads": 1, "tasks": 4, "fds": 8}
"""Grpc's pools and connections breathe, and the library starts a thread when it is first needed."""


def left(history: History) -> Row:
    """What is in etcd when all is over; of those who ended in good order, when they had ended."""
    left = list(history.left)
    for life in history.lives:
        process = history.processes.get(life.owner)
        if process is None or process.killed_at is not None or process.status is None:
            continue
        ended_at = max((end for _, end in process.running), default=0.0)
        if life.gone_at > ended_at + ROOM:
            left.append(f"{at(history, ended_at)} {life.key} outlives {process.name}")
    return Row("leases and keys left", str(len(left)), "0", not left, tuple(left))


def errors(history: History) -> Row:
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


def ended(history: History) -> Row:
    bad = [
        f"{process.name}: status {process.status}"
        for process in history.processes.values()
        if process.killed_at is None and process.status != 0
    ]
    return Row("processes that ended badly", str(len(bad)), "0", not bad, tuple(bad))


def forks(history: History) -> Row:
    bad = [f"{p.name}: {text}" for p in history.processes.values() for text in p.bad]
    return Row("forks that went wrong", str(len(bad)), "0", not bad, tuple(bad))


def flat(history: History) -> Row:
    """What a process usually has towards its end, against the most that it had early on."""
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
            # Of one that was cut off early on, with few connections then, the median says nothing.
            grown = statistics.median(line[what] for line in late) - max(
                line[what] for line in early
            )
            growth[what] = max(growth[what], grown)
            if grown > permitted:
                found.append(f"{process.name}: {what} grew by {grown:g}")
    measured = ", ".join(f"{what} {grown:+g}" for what, grown in growth.items())
    permitted_text = ", ".join(f"{limit:+d}" for limit in GROWTH.values())
    return Row(f"growth in {judged} processes", measured, permitted_text, not found, tuple(found))
