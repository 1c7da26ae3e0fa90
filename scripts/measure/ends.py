"""How calls end when the server does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd_election.pb import rpc_pb2, v3election_pb2
from tests.support.raw import RawEtcd, as_bytes

from .bench import SETTLED, Bench, Rows, clock, counted, ended, outcome, pause, read, said

EACH = 3


class _OpenCalls:
    """A few of every kind of call that stays open."""

    def __init__(self, bench: Bench) -> None:
        self._raw = raw = RawEtcd(bench.server.endpoint)
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
        raw = self._raw
        yield f"{when}: then Leader", outcome(raw.leader, "x")
        raw.channel.close()


def ends(bench: Bench) -> Rows:
    """A server that is stopped, killed or paused under open calls."""
    stops: tuple[tuple[str, Callable[[Bench], object]], ...] = (
        ("stopped (SIGTERM)", lambda own: own.server.stop()),
        ("killed (SIGKILL)", lambda own: own.server.kill()),
    )
    with bench.apart() as own:
        for what, stop in stops:
            calls = _OpenCalls(own)
            started_at = clock()
            stop(own)
            yield f"{what}: seconds until the process was gone", f"{clock() - started_at:.0f}"
            yield from calls.ends(what)
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
