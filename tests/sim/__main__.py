"""Runs the simulation: ``python -m tests.sim --seeds 0:20000`` from the root of the project.

Ends with 1 if an invariant was broken, or if a sweep of 5,000 schedules or more did not meet all
that the model can bring about.
"""

from __future__ import annotations

import argparse
import os
import time

from .mutations import MUTATIONS, caught
from .report import Report, sweep_all
from .schedule import run

_LONG = 5000
_SHOWN = 20


def _seeds(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    return int(first), int(last)


def _replay(seed: int, *, trace: bool) -> int:
    result = run(seed, trace=trace)
    for line in result.trace:
        print(line)
    for text in result.violations:
        print(f"seed {seed}: {text}")
    if not result.violations:
        print(f"seed {seed}: nothing is wrong")
    return 1 if result.violations else 0


def _sweep(first: int, last: int, jobs: int) -> int:
    started = time.monotonic()
    report = Report()
    for piece in sweep_all(first, last, jobs):
        for seed, text in piece.failures:
            if len(report.failures) < _SHOWN:
                print(f"seed {seed}: {text}")
                print(f"    to see it: python -m tests.sim --seed {seed} --trace", flush=True)
        report.add(piece)
    for line in report.table():
        print(line)
    took = time.monotonic() - started
    print(
        f"{report.runs} schedules of {report.ttls / max(1, report.runs):.1f} ttls in {took:.0f} s "
        f"({jobs} processes): {len(report.failures)} failed"
    )
    short = report.runs < _LONG
    if report.missed and not short:
        print("the sweep did not meet all it should: see the lines with 'never'")
    return 1 if report.failures or (report.missed and not short) else 0


def _mutations() -> int:
    missed = 0
    for mutation in MUTATIONS.values():
        found = caught(mutation)
        missed += found is None
        seed, text = found or ("", "NOT CAUGHT")
        print(f"{mutation.name:52s} {seed!s:>5s}  {text}", flush=True)
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=(0, 1000), metavar="A:B")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="one schedule")
    parser.add_argument("--trace", action="store_true", help="with --seed: what happened, and when")
    parser.add_argument(
        "--mutations", action="store_true", help="take remedies out: which seed misses them?"
    )
    arguments = parser.parse_args()
    if arguments.mutations:
        return _mutations()
    if arguments.seed is not None:
        return _replay(arguments.seed, trace=arguments.trace)
    first, last = arguments.seeds
    return _sweep(first, last, max(1, arguments.jobs))


if __name__ == "__main__":
    raise SystemExit(main())
