"""One fault run: a cluster, candidates, a schedule, an orderly end, and the judgement.

    python -m tests.faults.run --etcd PATH --seconds 120 --seed 7 --members 3 --via kv

Ends with 0 if every promise held, with 1 if not. The seed is printed and replays the schedule;
the logs stay where `--keep` says.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import grpc

from tests.support.cluster import EtcdCluster
from tests.support.etcd_server import etcd_version
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from . import secure
from .arena import Candidate, Settings
from .checker import judge
from .history import History, gather
from .log import Log, read
from .nemesis import Nemesis
from .observer import Observer
from .picture import picture
from .rows import Row, table
from .schedule import schedule

FRONTS = ("blocking", "asyncio", "asyncio", "blocking")
ELECTION = "mine/faults"
TTL = 3
HOLD = 4.0
TURN = 10.0
"""Seconds in which, with all faults over, the next candidate must have been elected."""
SETTLE = 15.0
"""Seconds after which no lease may be left; those of killed processes run out by themselves."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    etcd: str
    seconds: float
    seed: int
    members: int
    via: str
    naive: bool = False
    tokens: str | None = None

    def __str__(self) -> str:
        who = "naive" if self.naive else f'via="{self.via}"'
        who += f", TLS and users with {self.tokens} tokens" if self.tokens else ""
        return (
            f"etcd {etcd_version(self.etcd)}, {self.members} member(s), {who}, "
            f"{self.seconds:g} s, seed {self.seed}"
        )


def run(plan: Plan, folder: Path) -> tuple[History, list[Row]]:
    """Runs and judges; the logs go to `folder`."""
    log = Log(folder / "nemesis.log")
    settings = Settings(ELECTION, TTL, HOLD, plan.seed)
    with contextlib.ExitStack() as stack:
        cluster, login = stack.enter_context(
            secure.cluster(plan.etcd, plan.members, plan.tokens, folder)
        )
        truth = Log(folder / "truth.log")
        observer = stack.enter_context(
            Observer(cluster.endpoints, ELECTION, truth, cluster.credentials)
        )
        log.write(
            "run",
            ttl=TTL,
            members=plan.members,
            version=cluster.members[0].version_info,
            seed=plan.seed,
        )
        candidates = []
        for number, front in enumerate(FRONTS):
            candidate = Candidate(
                number,
                "naive" if plan.naive else front,
                plan.via,
                cluster=cluster,
                settings=settings,
                login=login,
                folder=folder,
                log=log,
            )
            stack.callback(candidate.close)
            candidates.append(candidate)
            candidate.start()
        eventually(lambda: len(observer.queue()) == len(candidates), 20.0, "nobody campaigns")
        nemesis = Nemesis(cluster, candidates, observer, log)
        nemesis.run(schedule(plan.seed, plan.seconds, plan.members, len(candidates)))
        _wind_down(candidates, observer, folder, log)
        _look_round(cluster, observer, log)
    log.close()
    return read_back(folder)


def read_back(folder: Path) -> tuple[History, list[Row]]:
    """Judges the logs in a folder."""
    workers = [(path.stem, read(path)) for path in sorted(folder.glob("w*.log"))]
    history = gather(read(folder / "truth.log"), read(folder / "nemesis.log"), workers)
    return history, judge(history)


def _wind_down(candidates: Sequence[Candidate], observer: Observer, folder: Path, log: Log) -> None:
    """With all faults over, one after the other leads and goes."""
    _await_leader(candidates, observer, folder, log)
    left = list(candidates)
    while left:
        leader = _await_leader(left, observer, folder, log)
        if len(left) == 1:
            log.write("judged")
        going = leader or left[0]
        going.quit()
        if going.join(TURN) is None:
            log.write("hangs", name=going.name)
            going.kill()
        left.remove(going)


def _await_leader(
    candidates: Sequence[Candidate], observer: Observer, folder: Path, log: Log
) -> Candidate | None:
    """Who leads and believes it; None if nobody does in time."""

    def leading() -> Candidate | None:
        queue = observer.queue()
        if not queue:
            return None
        name, token = queue[0].value.decode(), queue[0].create_revision
        candidate = next((c for c in candidates if c.name == name), None)
        path = folder / f"{name}.log"
        if candidate is None or not path.exists():
            return None
        believes = f'"what": "belief", "token": {token},'.encode()
        return candidate if believes in path.read_bytes() else None

    try:
        return eventually(leading, TURN, "nobody leads", interval=0.05)
    except AssertionError:
        log.write("left", things=[f"nobody was elected within {TURN:g} s after all faults"])
        return None


def _look_round(cluster: EtcdCluster, observer: Observer, log: Log) -> None:
    """What is left in etcd."""
    with RawEtcd(cluster.endpoints[0], cluster.credentials) as raw:
        with contextlib.suppress(AssertionError, grpc.RpcError):
            eventually(lambda: not raw.lease_leases(), SETTLE, interval=0.1)
        things = [f"lease {lease:x}" for lease in raw.lease_leases()]
        things += [f"key {kv.key!r}" for kv in raw.candidates(ELECTION)]
    log.write("left", things=things)


def report(plan: Plan, history: History, rows: Sequence[Row]) -> str:
    """For people."""
    done = Counter(fault["kind"] for fault in history.faults if fault["done"])
    skipped = sum(not fault["done"] for fault in history.faults)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(done.items()))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return "\n".join(
        (
            f"== faults: {plan}; load {load} on {os.cpu_count()} cores",
            f"   {sum(done.values())} faults ({faults}; {skipped} had nobody to hit)",
            table(list(rows)),
        )
    )


def versions() -> str:
    """What else a run depends on."""
    of = {name: metadata.version(name) for name in ("grpcio", "protobuf")}
    packages = ", ".join(f"{name} {version}" for name, version in of.items())
    return f"ttl {TTL} s, {packages}, Python {platform.python_version()}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--etcd", required=True, help="path of the etcd to run")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--via", choices=("service", "kv"), default="service")
    parser.add_argument("--naive", action="store_true", help="candidates on raw stubs instead")
    parser.add_argument("--secure", choices=secure.TOKENS, help="TLS, and users with such tokens")
    parser.add_argument("--keep", help="a folder for the logs, which stay")
    parser.add_argument("--judge", help="only judge the logs of an earlier run in this folder")
    parser.add_argument("--picture", type=Path, help="an SVG of the run to be written")
    args = parser.parse_args()
    seed = random.randrange(1 << 20) if args.seed is None else args.seed
    if args.naive and args.secure:
        parser.error("--naive knows neither TLS nor users")
    plan = Plan(args.etcd, args.seconds, seed, args.members, args.via, args.naive, args.secure)
    with contextlib.ExitStack() as stack:
        if args.keep:
            folder = Path(args.keep)
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        if args.judge:
            history, rows = read_back(Path(args.judge))
        else:
            history, rows = run(plan, folder)
        print(report(plan, history, rows), flush=True)  # noqa: T201
        if args.picture:
            args.picture.write_text(picture(history, f"{plan}\n{versions()}"))
    return 0 if plan.naive or all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
