"""What one waiting candidate takes: memory, threads, and how often etcd is asked."""

from __future__ import annotations

from .stage import FRONTS, Rows, Stage, numbered, pause, row, tell

TTL = 6
PATIENCE = 60.0
FIRST = 20
"""So many wait already: what all share is there."""
POLLS = 1 / (1 / 3 * 0.9)
"""Polls per ttl at most: every third of it, up to a tenth earlier."""


def rows(stage: Stage) -> Rows:
    for front, module in FRONTS.items():
        count = stage.much({"blocking": 300, "asyncio": 1000}, {"blocking": 50, "asyncio": 100})
        for via in ("service", "kv"):
            yield from _rows(stage, front, module, via, count[front])


def _rows(stage: Stage, front: str, module: str, via: str, count: int) -> Rows:
    prefix = f"waiting-{front}-{via}-"
    names = numbered(prefix, range(FIRST + count))
    stage.lead(names)
    with stage.crowd(module) as child:
        tell(child, "join", PATIENCE, names=names[:FIRST], ttl=TTL, via=via)
        stage.await_keys(prefix, len(names) + FIRST, PATIENCE, child)
        pause(TTL)
        before = child.usage()
        tell(child, "join", PATIENCE, names=names[FIRST:], ttl=TTL, via=via)
        stage.await_keys(prefix, 2 * len(names), PATIENCE, child)
        pause(TTL)
        counted = stage.counts()
        periods = stage.much(3, 2)
        pause(TTL * periods)
        polls = stage.counts().since(counted).answers
        after = child.usage()
        lost = len(tell(child, "errors", PATIENCE))
    memory = (after.memory - before.memory) / count / 1000
    threads = (after.threads - before.threads) / count
    small = front == "asyncio"
    title = f"a waiting candidate, via {via}"
    yield row(
        f"{title}: memory",
        front,
        f"{memory:.1f} kB",
        beside=f"{count} more of them" + (f", {lost} gave up: too busy" if lost else ""),
        bound=f"<= {60 if small else 150} kB",
    )
    yield row(f"{title}: threads", front, f"{threads:.1f}", bound=f"<= {0 if small else 2}")
    asked = {
        method: number / periods / len(names)
        for method, number in polls.items()
        if number > len(names) / 10
    }
    most = max(asked.values(), default=0.0)
    yield row(
        f"{title}: calls of one kind per ttl",
        front,
        f"{most:.2f}",
        beside=", ".join(f"{method} {number:.2f}" for method, number in sorted(asked.items())),
        bound=f"<= {POLLS:.2f}",
    )
