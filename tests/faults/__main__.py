"""The long form of the fault suite: several runs, one after the other, and one for comparison.

    python -m tests.faults --etcd PATH --seconds 600 --seed 7

Three members, three with TLS and users, and one, each through the Election service and without it;
last, naive raw stubs on three members under the same schedule, where nothing is judged. Ends with 1
if a promise was broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from .checker import Size, measure
from .rows import Row
from .run import Plan, report, run

# What part of the time each run gets.
SHARES = ((3, False, 0.2), (3, True, 0.1), (1, False, 0.1))
NAIVE_SHARE = 0.2
TOKENS = {"service": "simple", "kv": "jwt"}
"""Where there are users: a blocked Campaign keeps its simple token alive, a JWT runs out."""


def plans(etcd: str, seconds: float, seed: int, vias: list[str]) -> list[Plan]:
    """The runs, in order."""
    judged = [
        Plan(
            etcd,
            seconds * share * 2 / len(vias),
            seed,
            members,
            via,
            tokens=TOKENS[via] if secured else None,
        )
        for members, secured, share in SHARES
        for via in vias
    ]
    return [*judged, Plan(etcd, seconds * NAIVE_SHARE, seed, 3, "service", naive=True)]


def comparison(sizes: list[tuple[Plan, Size]]) -> str:
    """One line a run."""
    lines = [
        "== in comparison",
        "   members  users   candidates  overlaps  longest  after removals  longest  "
        "avoidably without",
    ]
    for plan, size in sizes:
        who = "naive" if plan.naive else plan.via
        lines.append(
            f"   {plan.members:>7}  {plan.tokens or 'none':<6}  {who:<10}  {size.overlaps:>8}  "
            f"{size.longest:>5.2f} s  "
            f"{size.excused:>14}  {size.excused_longest:>5.2f} s  {size.share:>17.2%}"
        )
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--etcd", required=True, help="path of the etcd to run")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all runs together")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--via", choices=("service", "kv"), help="both unless one is given")
    args = parser.parse_args()
    seed = random.randrange(1 << 20) if args.seed is None else args.seed
    vias = [args.via] if args.via else ["service", "kv"]
    sizes: list[tuple[Plan, Size]] = []
    broken: list[Row] = []
    for plan in plans(args.etcd, args.seconds, seed, vias):
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            history, rows = run(plan, Path(folder))
        print(report(plan, history, rows), "\n", flush=True)  # noqa: T201
        sizes.append((plan, measure(history)))
        if not plan.naive:
            broken += [row for row in rows if not row.holds]
    print(comparison(sizes))  # noqa: T201
    print(f"== seed {seed}: {len(broken)} promises broken")  # noqa: T201
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
