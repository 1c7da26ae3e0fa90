"""Whom a fault hits, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cluster import Member
from .store import Kv

if TYPE_CHECKING:
    from .process import Process
    from .schedule import Schedule
    from .user import User


def duration(schedule: Schedule, most: float = 2.0) -> float:
    """Mostly short against the ttl, at times longer."""
    world = schedule.world
    return schedule.ttl * most * world.random() ** 2 + 0.05


def any_user(schedule: Schedule) -> User:
    """Any, but a leader more often: there is more to lose."""
    world = schedule.world
    leaders = [user for user in schedule.users if user.leadership is not None]
    if leaders and world.chance(0.5):
        return leaders[0]
    return world.rng.choice(schedule.users)


def any_process(schedule: Schedule) -> Process:
    """Of a client, or of the observer."""
    observer = schedule.observer
    if observer is not None and schedule.world.chance(0.2):
        return observer.process
    return any_user(schedule).process


def any_member(schedule: Schedule) -> Member:
    return schedule.world.rng.choice(schedule.cluster.members)


def any_key(schedule: Schedule) -> Kv | None:
    """A candidate's key, the leader's more often."""
    cluster, world = schedule.cluster, schedule.world
    keys = list(cluster.store.keys.values())
    if cluster.leader is None or not keys:
        return None
    return keys[0] if world.chance(0.5) else world.rng.choice(keys)


def cut_off(schedule: Schedule, process: Process) -> None:
    if schedule.healed:
        return
    for path in process.wire.paths:
        path.cut()
        schedule.ends(1.5 * schedule.ttl, path.heal)
    process.hub.silence()
