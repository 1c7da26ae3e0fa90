"""What a process takes: processor time, memory, threads, descriptors. Linux only, as /proc is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """At one moment.

    Attributes:
        cpu: Seconds of processor time so far, in steps of 10 ms.
        memory: Bytes that are resident.
        threads: How many there are.
        descriptors: How many are open.
    """

    cpu: float
    memory: int
    threads: int
    descriptors: int


def of(pid: int) -> Usage:
    """What a process takes now."""
    folder = Path("/proc") / str(pid)
    # The name of the program, in parentheses, may have anything in it.
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    return Usage(
        cpu=(int(stat[11]) + int(stat[12])) / _TICKS,
        memory=int(status["VmRSS"].split()[0]) * 1024,
        threads=int(status["Threads"]),
        descriptors=len(list((folder / "fd").iterdir())),
    )
