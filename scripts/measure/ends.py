"""How calls end when the server does."""

from __future__ import annotations

import os
import signal
from math import ceil
from typing import Any

from etcd_election.pb import rpc_pb2, v3election_pb2
from tests.support.raw import RawEtcd, as_bytes
from tests.support.waiting import eventually

from .bench import LONG, SETTLED, Bench, Rows, clock, counted, ended, outcome, pause, read, said

EACH = 3


class _OpenCalls:
    """A few of every kind of call that stays open."""

    def __init__(self, bench: Bench) -> None:
        self.raw = raw = RawEtcd(bench.server.endpoint)
        name = bench.name()
        raw.put(f"{name}/0", "in the way")
        asked = v3election_pb2.LeaderRequest(name=as_bytes(name))
        vacant = v3election_pb2.LeaderRequest(name=as_bytes(bench.name()))
        watch = rpc_pb2.WatchCreateRequest(key=b"k")
        watching = rpc_pb2.WatchRequest(create_request=watch)
        streams = (
            ("Observe", [raw.election.Observe(asked) for _ in range(EACH)]),
            ("Observe of a vacancy", [raw.election.Observe(vacant) for _ in range(EACH)]),
            ("Watch", [raw.watch.Watch(iter([watching])) for _ in range(EACH)]),
        )
        for _, calls in streams:
            for call in calls:
                read(call, [])
        waiting = [bench.join(name, raw.grant(), on=raw) for _ in range(EACH)]
        self.kinds: tuple[tuple[str, list[Any]], ...] = (("Campaign", waiting), *streams)
        pause(SETTLED)

    def ends(self, when: str) -> Rows:
        """How they have ended."""
        for kind, calls in self.kinds:
            texts = [said(call) if ended(call, 2.0) else "goes on" for call in calls]
            yield f"{when}: open {kind}", counted(texts)
        self.raw.channel.close()


def ends(bench: Bench) -> Rows:
    """A server that is stopped, killed or paused under open calls."""
    with bench.apart() as own:
        for what, sent in (
            ("stopped (SIGTERM)", signal.SIGTERM),
            ("killed (SIGKILL)", signal.SIGKILL),
        ):
            calls = _OpenCalls(own)
            started_at = clock()
            os.kill(own.server.pid, sent)
            pause(0.5)
            yield f"{what}, 0.5 s later: Leader", outcome(calls.raw.leader, "x")
            eventually(lambda: not own.server.running, 4 * LONG)
            yield f"{what}: the process was gone within", f"{ceil(clock() - started_at)} s"
            yield from calls.ends(what)
            own.server.kill()  # it is, but its owner is to know
            own.server.start()
        yield from _paused(own)


def _paused(bench: Bench) -> Rows:
    request = v3election_pb2.LeaderRequest(name=b"x")
    bench.server.pause()
    yield (
        "paused (SIGSTOP): Leader with a deadline",
        outcome(bench.raw.election.Leader, request, timeout=0.5),
    )
    bench.server.resume()
