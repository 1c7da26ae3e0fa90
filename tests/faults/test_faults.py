"""The short form of the fault suite: two runs, with both front-ends in one election.

One of them is with TLS and users.
The table is printed whether or not all promises hold (`-rP` shows it). `python -m tests.faults` is
the long form.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .rows import table
from .run import Plan, report, run

SECONDS = 22.0


@pytest.mark.timeout(110)
@pytest.mark.parametrize(
    ("members", "via", "seed", "tokens"), [(1, "kv", 1, "simple"), (3, "service", 2, None)]
)
def test_no_fault_breaks_a_promise(
    etcd_binary: str, tmp_path: Path, members: int, via: str, seed: int, tokens: str | None
) -> None:
    plan = Plan(etcd_binary, SECONDS, seed, members, via, tokens=tokens)
    history, rows = run(plan, tmp_path)
    print(report(plan, history, rows))  # noqa: T201
    broken = [row for row in rows if not row.holds]
    assert not broken, "\n" + table(broken)
