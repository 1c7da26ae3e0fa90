"""A leader that has nothing to do, and ten thousand terms of one client, one after the other."""

from __future__ import annotations

import contextlib
import time

from etcd_election._core import timing

from ..child import Child
from ..usage import Usage
from .stage import BARE, FRONTS, Rows, Stage, pause, row, tell

TTL = 15
PATIENCE = 60.0
TERM = 0.1
"""Seconds that a term may take at the utmost."""


def rows(stage: Stage) -> Rows:
    yield from _idle(stage)
    for front, module in FRONTS.items():
        yield from _terms(stage, front, module)


def _idle(stage: Stage) -> Rows:
    seconds = stage.much(90.0, 15.0)
    with contextlib.ExitStack() as stack:
        children: dict[str, Child] = {}
        for front, module in FRONTS.items():
            child = children[front] = stack.enter_context(stage.crowd(module))
            tell(child, "join", PATIENCE, names=[f"idle-{front}"], ttl=TTL, via="service")
            stage.await_elected(child, 1, PATIENCE)
        bare = children["bare"] = stack.enter_context(stage.crowd(BARE))
        tell(bare, "join", PATIENCE, names=["idle-bare"], ttl=TTL, watched=[])
        tell(bare, "beat", PATIENCE, every=timing.beat(TTL, lambda: 0.5), streamed=False)
        still = children["still"] = stack.enter_context(stage.crowd(BARE))
        tell(still, "join", PATIENCE, names=[], ttl=TTL, watched=["idle-bare"])
        pause(2.0)
        began = time.monotonic()
        before = {name: tell(child, "cpu", PATIENCE) for name, child in children.items()}
        pause(seconds)
        took = {name: tell(child, "cpu", PATIENCE) for name, child in children.items()}
        share = {
            name: (took[name] - before[name]) / (time.monotonic() - began) * 100 for name in took
        }
    for front in FRONTS:
        yield row(
            f"an idle leader, ttl {TTL}: of one core",
            front,
            f"{share[front]:.3f} %",
            beside=f"bare stubs in asyncio, one watch: the same calls {share['bare']:.3f} %, "
            f"no calls {share['still']:.3f} %",
            bound="<= 0.1 %",
        )


def _at_rest(child: Child) -> Usage:
    """What a process takes when nothing is under way: threads of gRPC's come and go."""
    pause(1.0)
    readings: list[Usage] = []
    for _ in range(5):
        readings.append(child.usage())
        pause(0.2)
    return min(readings, key=lambda one: one.threads + one.descriptors)


def _terms(stage: Stage, front: str, module: str) -> Rows:
    """Growth from the first tenth of the terms to the last."""
    count = stage.much(10_000, 500)
    first = count // 10
    with stage.crowd(module) as child:
        arguments = {"name": f"terms-{front}", "ttl": TTL, "via": "service"}
        tell(child, "terms", PATIENCE + first * TERM, count=first, **arguments)
        # Renewals have a connection of their own, which the first beat makes.
        pause(TTL / 3)
        before = _at_rest(child)
        began = time.monotonic()
        tell(child, "terms", PATIENCE + count * TERM, count=count - first, **arguments)
        seconds = (time.monotonic() - began) / (count - first)
        after = _at_rest(child)
    stage.say(f"terms: {front}")
    title = f"{count} terms of one client"
    memory = (after.memory - before.memory) / 1000
    yield row(
        f"{title}: memory grown",
        front,
        f"{memory:.0f} kB",
        beside=f"{seconds * 1000:.2f} ms a term",
        bound="<= 1000 kB",
    )
    threads, descriptors = after.threads - before.threads, after.descriptors - before.descriptors
    yield row(f"{title}: threads more", front, str(threads), bound="<= 0")
    yield row(f"{title}: descriptors more", front, str(descriptors), bound="<= 0")
