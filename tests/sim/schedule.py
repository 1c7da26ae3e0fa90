"""One run: clients, faults for most of twenty ttls, then all heals and comes to its end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import faults
from .cluster import Cluster
from .judge import Judge
from .observer import LATE, Observer
from .process import Process
from .store import Lease
from .user import User
from .world import World

NAME = "jobs"
_TTLS = 20
_HEALS_AT = 13.5
"""In ttls. What is left of the twenty is for elections without faults, and for idle clients."""


@dataclass
class Result:
    """What came of a run."""

    seed: int
    violations: list[str]
    counts: Counter[str]
    ttls: float
    trace: list[str]


class Schedule:
    """One run under way."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.world = world = World(seed, trace=trace)
        self.judge = Judge(world)
        self.ttl = world.rng.choice((2, 2, 3, 4))
        size = 1 if world.chance(0.1) else 3
        self.cluster = Cluster(world, size, auth=world.chance(0.25), deleted=self.judge.deleted)
        self.judge.cluster = self.cluster
        self._latency = world.rng.choice((0.0002, 0.001, 0.01))
        self._processes: list[Process] = []
        self.healed = False
        self._ends: list[Callable[[], None]] = []
        count = world.rng.choice((3, 3, 3, 3, 3, 4))
        self.users = [self._join() for _ in range(count)]
        self.observer = Observer(self._process(), NAME) if world.chance(0.2) else None

    def _join(self) -> User:
        via = "kv" if self.world.chance(0.3) else "service"
        return User(self._process, ttl=self.ttl, via=via, name=NAME)

    def _process(self) -> Process:
        world = self.world
        rate = world.rng.choice((0.9, 1.1, world.between(0.9, 1.1)))
        name = f"client{len(self._processes)}"
        process = Process(name, self.cluster, self.judge, rate=rate, latency=self._latency)
        self._processes.append(process)
        self.judge.processes[name] = process
        return process

    def ends(self, delay: float, call: Callable[[], None]) -> None:
        """A fault ends so much later, or when everything heals."""
        if self.healed:
            call()
            return
        self._ends.append(call)
        self.world.after(delay, call)

    def run(self) -> None:
        """All of it."""
        world, span = self.world, _HEALS_AT * self.ttl
        for fault in faults.draw(self, 8 + int(world.random() * 6)):
            world.after(world.between(0.02, 0.98) * span, self._fault, fault)
        self.judge.look()
        world.run(span)
        if world.violations:
            return
        self._heal()
        self._all_elected()
        if not world.violations:
            self._nothing_left()

    def _fault(self, fault: faults.Fault) -> None:
        self.world.counts[f"fault: {fault.__name__}"] += 1
        self.world.say("FAULT   %s", fault.__name__)
        fault(self)

    def _heal(self) -> None:
        world, cluster = self.world, self.cluster
        world.say("HEAL")
        self.healed = True
        for end in self._ends:
            end()
        for member in cluster.members:
            member.isolated = False
            if not member.up:
                cluster.restart(member)
        cluster.review()
        for user in self.users:
            user.hurry()

    def _all_elected(self) -> None:
        """Every client that lives is elected, one after the other."""
        world, users = self.world, self.users
        # Some are away for a while: see User.
        bound = 15 * self.ttl + 15.0 + 4.0 * len(users)
        elected = world.run_until(lambda: all(user.done for user in users), bound)
        if not elected and not world.violations:
            stuck = [user.process.name for user in users if not user.done]
            world.violated(f"not elected in the end: {', '.join(stuck)}")

    def _nothing_left(self) -> None:
        """After all have closed, no key and no lease of theirs stays, and soon none at all."""
        store = self.cluster.store
        self.world.run(max(self.world.now, _TTLS * self.ttl))
        names = {user.process.name for user in self.users}
        for user in self.users:
            user.end()

        def theirs() -> list[Lease]:
            return [k for k in store.leases.values() if k.owner in names and not k.late]

        self._within(2.0, "left behind", theirs)
        self._within(self.ttl + 3.0, "left behind", lambda: list(store.leases.values()))
        self._within(0.0, "left behind", lambda: list(store.keys))
        self._within(3.0, "close() goes on", lambda: [u for u in self.users if not u.closed])
        observer = self.observer
        if observer is not None:
            self._within(LATE, "observed", lambda: [] if observer.sees_vacancy else [observer])
            observer.end()

    def _within(self, seconds: float, what: str, left: Callable[[], list[Any]]) -> None:
        """Nothing is left of this, or it is gone within so many seconds."""
        world = self.world
        if not world.run_until(lambda: not left(), seconds) and not world.violations:
            world.violated(f"{what}: {left()}")


@contextmanager
def quiet() -> Generator[None]:
    """The core's warnings are of no interest here."""
    logger = logging.getLogger("etcd_election")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def run(seed: int, *, trace: bool = False) -> Result:
    """Runs one schedule."""
    with quiet():
        schedule = Schedule(seed, trace=trace)
        world = schedule.world
        try:
            schedule.run()
        except Exception as error:  # noqa: BLE001 - reported with the seed that shows it
            world.violated(f"raised {error!r}")
    return Result(seed, world.violations, world.counts, world.now / schedule.ttl, world.trace or [])
