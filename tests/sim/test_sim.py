"""The simulation is the same in every process, finds what is broken, and says how to see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .mutations import MUTATIONS, Mutation, caught
from .report import expected, sweep
from .schedule import run

ROOT = Path(__file__).resolve().parents[2]


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_schedules_break_no_invariant() -> None:
    report = sweep(range(100))
    assert report.failures == []
    assert report.ttls >= 20 * report.runs
    faults = sum(count for name, count in report.counts.items() if name.startswith("fault: "))
    assert faults >= 8 * report.runs


def test_seed_gives_the_same_run_in_every_process() -> None:
    first = program("--seed", "3", "--trace", PYTHONHASHSEED="1")
    second = program("--seed", "3", "--trace", PYTHONHASHSEED="2")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout == second.stdout
    assert first.stdout.count("\n") > 50


def test_sweep_says_what_was_covered() -> None:
    done = program("--seeds", "0:10", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 schedules of " in done.stdout
    for name in expected():
        assert f"  {name}\n" in done.stdout, "met, or never"


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=lambda mutation: mutation.name)
def test_remedy_is_missed(mutation: Mutation) -> None:
    assert run(mutation.seed).violations == []
    found = caught(mutation)
    assert found is not None, f"without a remedy ({mutation.name}) nothing went wrong"
    assert run(found[0]).violations == [], "with the remedy back in place"
