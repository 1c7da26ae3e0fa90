"""Many of everything: ten thousand clients, a thousand candidates of one election, and so on.

    python -m benchmarks.scale --etcd PATH [--quick] [--only TOPIC] [--page docs/performance.md]

Prints one table. It ends with 0 also when bounds are missed, as the ratios do; with 1 if a topic
could not be measured to its end. The others are measured all the same, and the page stays as it
was.
"""

from __future__ import annotations

import sys
import traceback

import grpc

from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd

from .. import cost
from ..report import Progress, arguments, publish, versions
from ..table import Row
from . import costs, crowd, idle, queueing, revoked, waiting
from .stage import Stage

TOPICS = {
    "revoked": revoked.rows,
    "waiting": waiting.rows,
    "queue": queueing.rows,
    "idle": idle.rows,
    "costs": costs.rows,
    "crowd": crowd.rows,
}


def main() -> int:
    parser = arguments("Thousands of elections, candidates and terms.")
    parser.add_argument("--only", choices=list(TOPICS), help="one topic")
    args = parser.parse_args()
    if args.only and args.page:
        parser.error("the page has the table of all topics")
    say = Progress()
    found: list[Row] = []
    failed: list[str] = []
    for name, rows in TOPICS.items():
        if args.only not in {None, name}:
            continue
        say(name)
        try:
            # Each on an etcd of its own: what one topic leaves must not be counted in the next.
            with EtcdServer(args.etcd) as server, RawEtcd(server.endpoint) as raw:
                for one in rows(Stage(server, raw, say, quick=args.quick)):
                    found.append(one)
                    say(f"{one['what']}, {one['front-end']}: {one['measured']} {one['verdict']}")
        except (AssertionError, OSError, RuntimeError, grpc.RpcError):
            traceback.print_exc()
            failed.append(name)
    page = None if failed else args.page
    publish("scale", versions(args.etcd), found, page)
    publish("cost", cost.HEAD, cost.rows(), page)
    if failed:
        say(f"not measured to the end: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
