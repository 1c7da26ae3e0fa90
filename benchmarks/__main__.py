"""Ratios: the library beside raw stubs, etcd's Go package and others, near and far.

    python -m benchmarks --etcd PATH [--quick] [--page docs/performance.md]

Prints one table. It ends with 0 also when bounds are missed: on a machine that is busy otherwise it
may be for that alone, and the table says so.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

from tests.support.etcd_server import EtcdServer

from . import golang, imports
from .bounds import FAR, FRONTS, IN_GRPC, LOOPBACK, NEAR, ROWS, Compared
from .contest import ETCD3AIO, GO, OURS, RAW, Link, Samples, contest, peers
from .distance import reached
from .report import Progress, arguments, publish, versions
from .sampling import both, median, milliseconds
from .table import NONE, Row, judged

LINKS = (Link(LOOPBACK, 0.0, 10, 20, 4), Link(NEAR, 0.005, 6, 8, 3), Link(FAR, 0.025, 3, 4, 2))
QUICK = (Link(LOOPBACK, 0.0, 2, 8, 2), Link(NEAR, 0.005, 2, 4, 2), Link(FAR, 0.025, 1, 2, 1))


def rows(link: Link, samples: Samples) -> list[Row]:
    """What is shown of one link."""
    return [
        judged(_row(compared, link, front, samples))
        for compared in ROWS
        for front in range(len(FRONTS))
    ]


def _row(compared: Compared, link: Link, front: int, samples: Samples) -> dict[str, str]:
    order, step = compared.order, compared.step
    ours = samples[OURS[front], order, step]
    raw = samples[RAW[front], order, step]
    go = samples.get((GO, order.anyhow(), step))
    return {
        "work": compared.title,
        "front-end": FRONTS[front],
        "round trip": link.name,
        "ours": both(ours),
        "of it gRPC": _in_grpc(samples.get((OURS[front], order, step + IN_GRPC))),
        "raw": both(raw),
        "x raw": f"{median(ours) / median(raw):.2f}",
        "Go": both(go) if go else NONE,
        "x Go": f"{median(ours) / median(go):.2f}" if go else NONE,
        "others": _others(compared, front, samples),
        "bound": compared.bound(link.name),
    }


def _in_grpc(samples: list[float] | None) -> str:
    return milliseconds(median(samples)) if samples else NONE


def _others(compared: Compared, front: int, samples: Samples) -> str:
    """Those that nothing is to be reached against: medians."""
    suffix = "-aio" if FRONTS[front] == "asyncio" else ""
    asked = [
        ("naive", (f"naive{suffix}", compared.order, compared.step)),
        ("raw and a watch", (f"raw-watch{suffix}", compared.order, compared.step)),
    ]
    if suffix:
        asked.append(("etcd3aio", (ETCD3AIO, compared.order.anyhow(), compared.step)))
    shown = [
        f"{name} {milliseconds(median(samples[key]))}" for name, key in asked if samples.get(key)
    ]
    return ", ".join(shown) or NONE


def main() -> int:
    args = arguments("Ratios against raw stubs, Go and others.").parse_args()
    say = Progress()
    names = [*OURS, *RAW, "raw-watch", "raw-watch-aio", "naive", "naive-aio"]
    notes = []
    if importlib.util.find_spec(ETCD3AIO) is not None:
        names.append(ETCD3AIO)
    else:
        notes.append("without etcd3aio, which is not installed")
    trips: list[str] = []
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        go: Path | None = None
        try:
            go = golang.build(Path(folder))
            names.append(GO)
            notes.append(f"etcd's Go client {golang.client_version()}")
        except golang.Missing as error:
            notes.append(f"without Go: {error}")
        for link in QUICK if args.quick else LINKS:
            with (
                EtcdServer(args.etcd) as server,
                reached(server, link.distance) as (endpoint, takes),
                peers(endpoint, names, go) as contenders,
            ):
                trips.append(milliseconds(takes))
                found += rows(link, contest(link, contenders, say))
    notes.append(f"a small read takes {', '.join(trips)}")
    publish("bench", versions(args.etcd, *notes), found, args.page)
    publish("imports", imports.HEAD, imports.rows(3 if args.quick else 21), args.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
