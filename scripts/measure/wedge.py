"""When the watch stream that all waits of a member share deadlocks (etcd issues 20716 and 18879).

A server is wedged if a candidate that waits is not told of the leader's Resign. A wedged one stays
so, hence every attempt that may do it has a server of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd_election.pb import v3election_pb2
from tests.support.raw import RawEtcd, as_bytes

from .bench import SETTLED, Bench, Rows, let_go, outcome, pause, yes
from .watches import WatchStream

Trigger = Callable[[Bench], object]
"""Returns what is to stay alive until the check."""
HANDS = 20
RUNS = 3


def wedge(bench: Bench) -> Rows:
    """Many waits that end together, and as many that do not."""
    triggers: tuple[tuple[str, Trigger], ...] = (
        ("40 waiting Campaigns cancelled at once", lambda own: _cancel(own, 40)),
        ("a connection with 50 waiting Campaigns ends", lambda own: _disconnect(own, 50)),
        ("60 open Observes of one election, hand-overs", lambda own: _observe(own, 60)),
    )
    works: Rows = iter(())
    for what, trigger in triggers:
        times, wedged = bench.times(RUNS), 0
        for _ in range(times):
            with bench.apart() as own:
                kept = trigger(own)
                if not own.sound(1.0):
                    wedged += 1
                    works = iter(list(_still_works(own)))
                del kept
        yield f"{what}: wedged", f"{wedged}/{times}"
    yield from works
    yield from _harmless(bench)


def _harmless(bench: Bench) -> Rows:
    """One after the other on one server."""
    triggers: tuple[tuple[str, Trigger], ...] = (
        ("16 waiting Campaigns cancelled at once, 10 times", lambda own: _cancel(own, 16, 10)),
        ("16 open Observes of one election, hand-overs", lambda own: _observe(own, 16)),
        ("200 waiting Campaigns cancelled 3 ms apart", _cancel_apart),
    )
    with bench.apart() as own:
        for what, trigger in triggers:
            kept = trigger(own)
            yield f"{what}: wedged", yes(not own.sound())
            del kept


def _queue(bench: Bench, connection: RawEtcd, size: int) -> list[Any]:
    """Campaigns that wait, all in one election."""
    name = bench.name()
    bench.raw.put(f"{name}/0", "in the way")
    leases = [bench.raw.grant() for _ in range(size)]
    calls = []
    for lease in leases:
        request = v3election_pb2.CampaignRequest(name=as_bytes(name), lease=lease)
        calls.append(connection.election.Campaign.future(request))
    pause(SETTLED)
    return calls


def _cancel(bench: Bench, size: int, rounds: int = 1) -> None:
    for _ in range(rounds):
        calls = _queue(bench, bench.raw, size)
        for call in calls:
            call.cancel()
        pause(0.1)


def _cancel_apart(bench: Bench) -> None:
    let_go(_queue(bench, bench.raw, 200))


def _disconnect(bench: Bench, size: int) -> None:
    connection = RawEtcd(bench.server.endpoint)
    calls = _queue(bench, connection, size)
    connection.channel.close()
    pause(0.1)
    calls.clear()


def _observe(bench: Bench, size: int) -> object:
    name = bench.name()
    leader = bench.lead(name)
    request = v3election_pb2.LeaderRequest(name=as_bytes(name))
    streams = [bench.raw.election.Observe(request) for _ in range(size)]
    for stream in streams:
        next(iter(stream))
    pause(SETTLED)
    for _ in range(HANDS):
        bench.raw.resign(leader)
        leader = bench.lead(name)
        pause(0.02)
    return streams


def _still_works(bench: Bench) -> Rows:
    raw, name = bench.raw, bench.name()
    when = "on a wedged server"
    yield f"{when}: Campaign without a rival", outcome(bench.lead, name)
    yield f"{when}: Leader", outcome(raw.leader, name)
    yield f"{when}: keepalive", outcome(raw.keep_alive, raw.grant())
    key = bench.name()
    stream = WatchStream(bench)
    stream.create(key, 1)
    stream.next()
    raw.put(key, "v")
    yield f"{when}: a Watch of one's own tells of a change", yes(stream.next().events)
    stream.close()
