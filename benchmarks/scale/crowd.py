"""Ten thousand waiting clients in one process, each in an election of its own.

Another program leads all of these elections and gives one up now and then. The crowd is measured as
it stands, and again after what docs/performance.md advises; then the same calls on bare stubs.
"""

from __future__ import annotations

import random
import time

from etcd_election._core import timing

from .. import usage
from ..child import Child
from ..counts import Counts
from ..sampling import median, milliseconds, p99
from .costs import borne, checked
from .stage import AIO, BARE, Rows, Stage, numbered, pause, row, tell

TTL = 30
PATIENCE = 120.0
PREFIX = "crowd-"
LATE = 10.0
"""Seconds after which a hand-over has failed, and as which it counts."""
HOLD = 600
"""Seconds that the leases of bare stubs last."""


def rows(stage: Stage) -> Rows:
    count = stage.much(10_000, 500)
    names = numbered(PREFIX, range(count))
    etcd = stage.server.pid
    empty = usage.of(etcd).memory
    _, keys = stage.lead(names)
    with stage.crowd(AIO) as child:
        before = child.usage()
        began = time.monotonic()
        tell(child, "join", PATIENCE, names=names, ttl=TTL, via="kv")
        standing = _settled(stage, child, count)
        title = f"{count} waiting clients, ttl {TTL}"
        yield row(
            f"{title}: set up", "asyncio", f"{time.monotonic() - began:.1f} s", bound="<= 30 s"
        )
        yield row(f"{title}: without a place", "asyncio", str(count - standing), bound="<= 0")
        # Until every watch stands and the first beats are over.
        pause(stage.much(TTL, TTL / 3))
        stage.say("crowd: stands")
        yield from _memory(child, before.memory, title, count)
        grown = (usage.of(etcd).memory - empty) / count / 1000
        yield row("etcd's memory for each of them, and its leader's key", "-", f"{grown:.1f} kB")
        yield from _plain(stage, child, title)
        tell(child, "calm", PATIENCE)
        counted, asked_at = stage.counts(), time.monotonic()
        busy = usage.of(etcd).cpu
        yield from _calm(stage, child, keys, title)
        seconds = time.monotonic() - asked_at
        seen = stage.counts().since(counted)
        yield from checked(seen, seconds, "candidates", names, TTL)
        calls = sum(seen.answers.values())
        each = (usage.of(etcd).cpu - busy) / calls
        yield row(
            "etcd's processor time for a call",
            "-",
            milliseconds(each),
            beside=f"{calls / seconds:.0f} calls a second",
        )
        yield from borne(each, names[0])
        yield from _close(stage, child, title)
    yield from _bare(stage, names, keys, seen)


def _settled(stage: Stage, child: Child, count: int) -> int:
    """Waits until each has a place in its queue, or has given up; how many have one."""
    until = time.monotonic() + PATIENCE
    while True:
        standing = stage.keys(PREFIX) - count
        if standing == count or time.monotonic() > until:
            return standing
        if standing + len(tell(child, "errors", PATIENCE)) >= count:
            return standing
        pause(0.1)


def _memory(child: Child, before: int, title: str, count: int) -> Rows:
    memory = (child.usage().memory - before) / count / 1000
    yield row(f"{title}: memory of each", "asyncio", f"{memory:.1f} kB", bound="<= 60 kB")


def _plain(stage: Stage, child: Child, title: str) -> Rows:
    """As it stands, with Python's collector as it is by default."""
    seconds = stage.much(60.0, 10.0)
    share = _share(child, seconds)
    yield row(f"{title}: of one core, as it stands", "asyncio", f"{share:.1f} %")


def _calm(stage: Stage, child: Child, keys: list[str], title: str) -> Rows:
    """With the collector told to leave them alone, and hand-overs once a second."""
    seconds = stage.much(300.0, 20.0)
    tell(child, "latest_beat", PATIENCE)
    resigned: dict[int, float] = {}
    draw = random.Random(1)
    standing = tell(child, "waiting", PATIENCE)
    before_lost = len(tell(child, "errors", PATIENCE))
    order = draw.sample(standing, min(len(standing), int(seconds)))
    before, began = tell(child, "cpu", PATIENCE), time.monotonic()
    for number in order:
        pause(max(0.0, began + len(resigned) - time.monotonic()))
        resigned[number] = time.monotonic()
        stage.raw.delete(keys[number])
    pause(max(0.0, began + seconds - time.monotonic()))
    share = (tell(child, "cpu", PATIENCE) - before) / (time.monotonic() - began)
    stage.await_elected(child, len(resigned), LATE)
    elected = dict(tell(child, "elected", PATIENCE))
    took = [elected.get(number, at + LATE) - at for number, at in resigned.items()]
    yield row(
        f"{title}: of one core, as advised",
        "asyncio",
        f"{share * 100:.1f} %",
        beside=f"over {seconds:.0f} s",
        bound="<= 40 %",
    )
    yield row(
        f"{title}: latest renewal after the one before",
        "asyncio",
        f"{tell(child, 'latest_beat', PATIENCE):.1f} s",
        bound=f"<= {TTL // 2} s",
    )
    yield row(
        f"{title}: hand-over meanwhile, p99",
        "asyncio",
        milliseconds(p99(took)),
        beside=f"median {milliseconds(median(took))} of {len(took)}",
        bound="<= 10 ms",
    )
    lost = len(tell(child, "errors", PATIENCE)) - before_lost
    yield row(f"{title}: leases lost", "asyncio", str(lost), bound="<= 0")


def _close(stage: Stage, child: Child, title: str) -> Rows:
    leases = len(stage.raw.lease_leases())
    seconds = tell(child, "close", PATIENCE)
    gone = leases - len(stage.raw.lease_leases())
    yield row(f"{title}: closed", "asyncio", f"{seconds:.1f} s", bound="<= 60 s")
    # The other program's lease stays, with what it still leads.
    left = len(stage.raw.lease_leases()) - 1
    yield row(f"{title}: leases left", "asyncio", str(left), beside=f"{gone} revoked", bound="<= 0")
    name = "crowd-after"
    lease = stage.raw.grant()
    began = time.monotonic()
    leader = stage.raw.campaign(name, lease).result(timeout=PATIENCE).leader
    second = stage.raw.campaign(name, stage.raw.grant())
    pause(0.15)
    stage.raw.resign(leader)
    second.result(timeout=PATIENCE)
    took = time.monotonic() - began - 0.15
    yield row(
        "a contested Campaign on that member afterwards", "-", f"{took:.2f} s", bound="<= 1 s"
    )


def _bare(stage: Stage, names: list[str], keys: list[str], seen: Counts) -> Rows:
    """The same calls at the same rate, without a library."""
    streamed = seen.calls["LeaseKeepAlive"] < seen.answers["LeaseKeepAlive"] / 2
    with stage.crowd(BARE) as child:
        tell(child, "join", PATIENCE, names=names, ttl=HOLD, watched=keys)
        tell(child, "beat", PATIENCE, every=timing.beat(TTL, lambda: 0.5), streamed=streamed)
        tell(child, "calm", PATIENCE)
        pause(1.0)
        share = _share(child, stage.much(60.0, 10.0))
    yield row(
        f"{len(names)} on bare stubs, the same calls: of one core", "asyncio", f"{share:.1f} %"
    )


def _share(child: Child, seconds: float) -> float:
    """Per cent of one core over so many seconds."""
    before, began = tell(child, "cpu", PATIENCE), time.monotonic()
    pause(seconds)
    return float(tell(child, "cpu", PATIENCE) - before) / (time.monotonic() - began) * 100
