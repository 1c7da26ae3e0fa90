"""Measures how the Election service of given etcd servers behaves, and prints it as tables.

    PYTHONPATH=src python -m scripts.measure_etcd ETCD [ETCD ...]     from the top of the project

Each ETCD is the path of a server binary, run on free ports of loopback with default settings and
as a cluster of one; each becomes a column. What was found so far stands in docs/etcd.md.

Guaranteed: all measuring is done with plain stubs, nothing of the library but `etcd_election.pb`
takes part. Not guaranteed: that times mean much on a busy machine; counts mean more, and races
come out differently each time. With four servers it takes five to six minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from scripts.measure import (
    answers,
    auth,
    cancels,
    delays,
    ends,
    leases,
    names,
    observing,
    refusals,
    watches,
    wedge,
    wins,
)
from scripts.measure.bench import Bench, Rows, clock
from scripts.measure.tables import table
from tests.support.etcd_server import EtcdServer


@dataclass(frozen=True)
class Topic:
    """One table."""

    name: str
    title: str
    measure: Callable[[Bench], Rows]


TOPICS = (
    Topic("phantom", "A win without a key", wins.phantom),
    Topic("open-call", "The call owns the key", wins.call_owns_key),
    Topic("orphans", "Candidates that nobody holds", cancels.orphans),
    Topic("clean-up", "Clean-up that comes late", cancels.stale_cleanup),
    Topic("compaction", "Campaigns and compactions", cancels.compactions),
    Topic("delays", "The first moments of a wait", delays.first_moments),
    Topic("observe", "Observe", observing.observe),
    Topic("names", "Nested names", names.nested),
    Topic("election-errors", "Answers of the Election service", refusals.elections),
    Topic("other-errors", "Answers of the other services", refusals.others),
    Topic("deadlines", "Deadlines", refusals.deadlines),
    Topic("leases", "Leases", leases.leases),
    Topic("expiry", "A lease runs out", leases.expiry),
    Topic("waiting", "A lease runs out under a waiting candidate", leases.waiting),
    Topic("headers", "What the headers carry", answers.headers),
    Topic("revisions", "Revisions", answers.revisions),
    Topic("transactions", "Transactions", answers.transactions),
    Topic("watches", "Watches", watches.watches),
    Topic("auth", "Authentication", auth.refusals),
    Topic("token", "A Campaign outlives its token", auth.outlived),
    Topic("ends", "The server goes", ends.ends),
    Topic("wedge", "The shared watch stream deadlocks", wedge.wedge),
)


class Column:
    """One etcd: its server, which is replaced when a topic has left it unsound."""

    def __init__(self, binary: str, *, quick: bool) -> None:
        self.server = EtcdServer(binary)
        self._bench = Bench(self.server, quick=quick)

    def measure(self, topic: Topic) -> list[tuple[str, str]]:
        """The rows of a topic."""
        started_at = clock()
        with self._bench.connected():
            rows = list(topic.measure(self._bench))
        with self._bench.connected():
            sound = self._bench.sound()
        _say(f"{topic.name} on {self.server.version}: {clock() - started_at:.1f} s")
        if not sound:
            _say(f"{topic.name} has wedged etcd {self.server.version}; going on with a new one")
            self.server.close()
            self.server.start()
        return rows


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="measure_etcd", description="Measures how etcd's Election service behaves."
    )
    parser.add_argument("etcd", nargs="+", help="path of an etcd server binary")
    parser.add_argument("--quick", action="store_true", help="a fifth of the repetitions")
    parser.add_argument(
        "--only",
        metavar="TOPIC",
        action="append",
        choices=[topic.name for topic in TOPICS],
        help=f"one topic, may be repeated: {', '.join(topic.name for topic in TOPICS)}",
    )
    given = parser.parse_args(arguments)
    for binary in given.etcd:
        if not Path(binary).is_file():
            parser.error(f"{binary} is not a file")
    topics = [topic for topic in TOPICS if not given.only or topic.name in given.only]
    started_at = clock()
    with contextlib.ExitStack() as stack:
        columns = [Column(binary, quick=given.quick) for binary in given.etcd]
        for column in columns:
            stack.enter_context(column.server)
        python = ".".join(str(part) for part in sys.version_info[:2])
        print(f"grpcio {grpc.__version__}, Python {python}. A cell `=`: as in the column before.")
        for topic in topics:
            measured = [(column.server.version, column.measure(topic)) for column in columns]
            print(f"\n### {topic.title} (`{topic.name}`)\n\n{table(measured)}", flush=True)
    _say(f"{clock() - started_at:.0f} s in all")


if __name__ == "__main__":
    main()
