"""The model of what all this costs etcd, checked against what etcd counts."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .. import cost
from ..counts import Counts
from .stage import AIO, FRONTS, Rows, Stage, numbered, pause, row, tell

VALUE = b"value"
PATIENCE = 60.0
HALF = 0.5
OFF = 10
"""Per cent by which the model may be off."""


CALLS = {"service": 3, "kv": 2}
"""For a campaign and a resign: by the service Campaign, Range, Resign; else Txn, Resign. Go: 3."""


def rows(stage: Stage) -> Rows:
    for front, module in FRONTS.items():
        for via in CALLS:
            yield from _term(stage, front, module, via)
    yield from _candidates(stage, stage.much(100, 20), 6, stage.much(20.0, 10.0))
    yield from _candidates(stage, stage.much(1000, 50), 9, stage.much(30.0, 15.0))
    yield from _leaders(stage, stage.much(1000, 50), 9, stage.much(30.0, 15.0))
    yield from _observers(stage, stage.much(100, 20), stage.much(40.0, 20.0))


def _term(stage: Stage, front: str, module: str, via: str) -> Rows:
    """How many round trips a term takes."""
    count = stage.much(200, 20)
    with stage.crowd(module) as child:
        tell(child, "terms", PATIENCE, count=5, name=f"term-{front}-{via}", ttl=60, via=via)
        before = stage.counts()
        tell(child, "terms", PATIENCE, count=count, name="", ttl=60, via=via)
        calls = stage.counts().since(before).answers
    # What a watch says is no round trip: nobody waits for it.
    del calls["Watch"]
    yield row(
        f"calls for a campaign and a resign, via {via}",
        front,
        f"{sum(calls.values()) / count:.1f}",
        beside=", ".join(f"{method} {number / count:.1f}" for method, number in calls.items()),
        bound=f"<= {CALLS[via]}",
    )


def checked(seen: Counts, seconds: float, kind: str, names: Sequence[str], ttl: int) -> Rows:
    """Modelled and counted, for so many of a kind that did nothing but stand for so long."""
    count = len(names)
    one = cost.KINDS[kind](ttl, names[0].encode(), VALUE)
    beats = seen.answers["Range"] + seen.answers["LeaseKeepAlive"]
    for what, modelled, counted in (
        ("calls a second", one.calls * count, beats / seconds),
        ("watches", one.watches * count, float(seen.watches)),
        ("bytes a second received", one.received * count, seen.received / seconds),
        ("bytes a second sent", one.sent * count, seen.sent / seconds),
    ):
        yield row(
            f"the model, {count} {kind}, ttl {ttl}: {what}",
            "-",
            f"{abs(counted - modelled) / modelled * 100:.1f} % off",
            beside=f"modelled {modelled:.0f}, counted {counted:.0f}",
            bound=f"<= {OFF} % off",
        )


def borne(each: float, name: str) -> Rows:
    """How many of a kind half a core of one member bears, at so many seconds for a call."""
    for ttl in (15, 30):
        for kind, model in cost.KINDS.items():
            calls = model(ttl, name.encode(), VALUE).calls
            # Observers have no ttl.
            if kind != "observers" or ttl == 15:  # noqa: PLR2004
                title = f"half a core of one member bears, ttl {ttl}: {kind}"
                yield row(title, "-", f"{HALF / each / calls:.0f}", beside=f"{calls:.3f} calls/s")


def _counted(stage: Stage, seconds: float) -> tuple[Counts, float]:
    before, began = stage.counts(), time.monotonic()
    pause(seconds)
    return stage.counts().since(before), time.monotonic() - began


def _candidates(stage: Stage, count: int, ttl: int, seconds: float) -> Rows:
    prefix = f"cost-{count}-"
    names = numbered(prefix, range(count))
    stage.lead(names)
    with stage.crowd(AIO) as child:
        tell(child, "join", PATIENCE, names=names, ttl=ttl, via="kv")
        stage.await_keys(prefix, 2 * count, PATIENCE, child)
        pause(ttl)
        seen, took = _counted(stage, seconds)
    yield from checked(seen, took, "candidates", names, ttl)


def _leaders(stage: Stage, count: int, ttl: int, seconds: float) -> Rows:
    names = numbered(f"lead-{count}-", range(count))
    with stage.crowd(AIO) as child:
        tell(child, "join", PATIENCE, names=names, ttl=ttl, via="kv")
        stage.await_elected(child, count, PATIENCE)
        pause(ttl)
        seen, took = _counted(stage, seconds)
    yield from checked(seen, took, "leaders", names, ttl)


def _observers(stage: Stage, count: int, seconds: float) -> Rows:
    names = numbered(f"observed-{count}-", range(count))
    stage.lead(names)
    with stage.crowd(AIO) as child:
        tell(child, "observe", PATIENCE, names=names)
        pause(5.0)
        seen, took = _counted(stage, seconds)
    yield from checked(seen, took, "observers", names, 0)
