"""What Observe tells, and what it keeps to itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from etcd_election.pb import v3election_pb2
from tests.support.raw import as_bytes

from .bench import GAP, SETTLED, Bench, Rows, counted, let_go, pause, read, said, yes

HAND_OVERS = 100
OBSERVERS = 20
"""Open at a time: fewer than could deadlock the server."""


class Listener:
    """An open Observe, read by a thread.

    Attributes:
        heard: All answers so far.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        request = v3election_pb2.LeaderRequest(name=as_bytes(name))
        self.heard: list[v3election_pb2.LeaderResponse] = []
        self.call: Any = bench.raw.election.Observe(request)
        self._thread = read(self.call, self.heard)

    def over(self) -> bool:
        """Whether the stream has ended."""
        return not self._thread.is_alive()

    def leaders(self) -> set[bytes]:
        """The keys heard of."""
        return {answer.kv.key for answer in self.heard}


def observe(bench: Bench) -> Rows:
    """Vacancies, fast hand-overs, revisions, compactions."""
    times = bench.times(10)
    yield "the leader resigns and nobody follows: reported", f"{_vacancies(bench, times)}/{times}"
    runs = [_fast(bench) for _ in range(3)]
    heard = [len(listener.leaders() & set(keys)) for listener, keys in runs]
    last = sum(keys[-1] in listener.leaders() for listener, keys in runs)
    yield f"{HAND_OVERS} leaders follow each other at full speed: seen", ", ".join(map(str, heard))
    yield "the last of them: seen", f"{last}/{len(runs)}"
    answers = [listener.heard for listener, _ in runs]
    yield (
        "header.revision never goes down",
        yes(
            all(a.header.revision <= b.header.revision for one in answers for a, b in pairwise(one))
        ),
    )
    yield (
        "kv.create_revision never goes down",
        yes(
            all(
                a.kv.create_revision <= b.kv.create_revision
                for one in answers
                for a, b in pairwise(one)
            )
        ),
    )
    yield "kv.mod_revision never goes down", yes(_old_value_first(bench))
    yield from _compactions(bench)


def _vacancies(bench: Bench, times: int) -> int:
    listeners = []
    for name in bench.names(times):
        leader = bench.lead(name)
        listeners.append((leader, Listener(bench, name)))
    pause(SETTLED)
    before = [len(listener.heard) for _, listener in listeners]
    for leader, _ in listeners:
        bench.raw.resign(leader)
    pause(0.5)
    reported = sum(len(one.heard) > n for (_, one), n in zip(listeners, before, strict=True))
    let_go(listener.call for _, listener in listeners)
    return reported


def _fast(bench: Bench) -> tuple[Listener, list[bytes]]:
    """A long queue whose leaders go one after the other, as fast as calls are answered."""
    name = bench.name()
    keys = [as_bytes(f"{name}/{number:x}") for number in range(1, HAND_OVERS + 2)]
    for key in keys:
        bench.raw.put(key, "v")
    listener = Listener(bench, name)
    pause(SETTLED)
    for key in keys[:-1]:
        bench.raw.delete(key)
    pause(0.5)
    listener.call.cancel()
    return listener, keys[1:]


def _old_value_first(bench: Bench) -> bool:
    """The leader proclaims after the next one has joined; then it goes."""
    name = bench.name()
    for number in (1, 2):
        bench.raw.put(f"{name}/{number}", "v")
    listener = Listener(bench, name)
    pause(SETTLED)
    bench.raw.put(f"{name}/1", "proclaimed")
    pause(SETTLED)
    bench.raw.delete(f"{name}/1")
    pause(SETTLED)
    listener.call.cancel()
    seen = [answer.kv.mod_revision for answer in listener.heard]
    return seen == sorted(seen)


def _compactions(bench: Bench) -> Rows:
    """Hand-overs with a compaction on the heels of each."""
    times = OBSERVERS
    name = bench.name()
    keys = [f"{name}/{number:x}" for number in range(1, 2 * HAND_OVERS)]
    for key in keys:
        bench.raw.put(key, "v")
    listeners = [Listener(bench, name) for _ in range(times)]
    pause(SETTLED)
    for key in keys[:-1]:
        bench.raw.delete(key)
        bench.raw.compact()
    pause(0.5)
    ends = [said(listener.call) for listener in listeners if listener.over()]
    open_ones = [listener.call for listener in listeners if not listener.over()]
    yield "hand-overs and compactions at full speed: Observes ended", f"{len(ends)}/{times}"
    yield "their end", counted(ends)
    let_go(open_ones)
    pause(GAP)
