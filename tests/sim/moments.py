"""Faults aimed at a moment: a keepalive has left, a Campaign is sent, leadership changes hands.

By chance alone these would be met once in many thousand schedules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .choosing import any_user, cut_off, duration
from .judge import ADMINISTRATOR
from .process import Process
from .store import Kv

if TYPE_CHECKING:
    from .schedule import Schedule


def freeze_in_call(schedule: Schedule) -> None:
    """SIGSTOP just when a keepalive has left, for about as long as the lease lives."""
    process = any_user(schedule).process
    process.wire.freezes_in_call = True

    def thaw() -> None:
        process.wire.freezes_in_call = False
        process.thaw()

    schedule.ends(schedule.ttl * (0.3 + schedule.world.between(0.6, 1.1)), thaw)


def slow_then_cut(schedule: Schedule) -> None:
    """A client's answers come late for a while, and then none."""
    world, process = schedule.world, any_user(schedule).process
    for path in process.wire.paths:
        path.slow_answers = world.between(0.2, 0.8)
    lasts = schedule.ttl * world.between(0.5, 1.5)

    def cuts() -> None:
        if schedule.healed:
            for path in process.wire.paths:
                path.heal()
        else:
            cut_off(schedule, process)

    schedule.ends(lasts, cuts)


def captured(schedule: Schedule) -> None:
    """A raft leader wakes deposed, and is all that the holder reaches; then it reaches nothing."""
    cluster, world, process = schedule.cluster, schedule.world, any_user(schedule).process
    if cluster.leader is None or len(cluster.members) == 1:
        return
    member = cluster.members[cluster.leader]
    if not member.runs:
        return
    cluster.stop(member)

    def wakes() -> None:
        if schedule.healed or not member.stopped:
            cluster.resume(member)
            return
        for path in process.wire.paths:
            if path is not process.wire.paths[member.number]:
                path.cut()
                # Where everything heals before the rest is cut off, that heals nothing.
                schedule.ends(1.5 * schedule.ttl + 2.0, path.heal)
        member.isolated = True
        cluster.resume(member)
        # As long as a leader goes on without hearing of the others, at most.
        member.deposed_until = world.now + 2.0
        world.after(world.between(1.2, 2.0), cut_off, schedule, process)
        schedule.ends(2.2, lambda: cluster.rejoin(member))

    schedule.ends(schedule.ttl * world.between(1.0, 1.6) + 2.0, wakes)


def phantom(schedule: Schedule) -> None:
    """A waiter whose watch is dead loses its key, and soon after the leader its own."""
    store, world = schedule.cluster.store, schedule.world
    keys = list(store.keys.values())
    if schedule.cluster.leader is None or len(keys) < 2:
        return
    lease = store.leases.get(keys[1].lease)
    if lease is None:
        return
    process = schedule.judge.processes[lease.owner]
    for path, age in zip(process.wire.paths, process.link.ages, strict=True):
        path.stale = age
    process.hub.silence()
    store.delete(keys[1].key, f"by {ADMINISTRATOR}")
    world.after(world.between(0.0, 0.2 * schedule.ttl), _delete, schedule, keys[0])

    def breaks() -> None:
        for path in process.wire.paths:
            path.stale = -1
            path.disturbed_at = world.now

    schedule.ends(duration(schedule), breaks)


def _delete(schedule: Schedule, kv: Kv) -> None:
    store = schedule.cluster.store
    stands = kv.key in store.keys and not schedule.healed
    if schedule.cluster.leader is not None and stands:
        store.delete(kv.key, f"by {ADMINISTRATOR}")


def crash_at_campaign(schedule: Schedule) -> None:
    """The raft leader dies just when somebody sends a Campaign, and is soon back."""
    cluster, world = schedule.cluster, schedule.world

    def crash() -> None:
        if cluster.leader is not None and not schedule.healed:
            member = cluster.members[cluster.leader]
            cluster.kill(member)
            schedule.ends(world.between(0.1, 0.8), lambda: cluster.restart(member))

    any_user(schedule).process.wire.at_campaign = crash


def _at_handover(schedule: Schedule, call: Callable[[Process], None]) -> None:
    """Does something to the next in the queue when its turn comes."""
    store, world = schedule.cluster.store, schedule.world
    head = store.first()
    if head is None:
        return

    def changed(kv: Kv, deleted: bool) -> None:
        first = store.first()
        if deleted and not schedule.healed:
            store.unwatch(head.key, changed)
            lease = store.leases.get(first.lease) if first is not None else None
            if lease is not None:
                process = schedule.judge.processes[lease.owner]
                world.after(world.between(0.0, 0.008), call, process)

    store.watch(head.key, changed)


def reset_at_handover(schedule: Schedule) -> None:
    """The connections of the next in the queue break when its turn comes."""

    def breaks(process: Process) -> None:
        for path, member in zip(process.wire.paths, schedule.cluster.members, strict=True):
            path.disturbed_at = schedule.world.now
            process.wire.reset(member)

    _at_handover(schedule, breaks)


def cancel_at_handover(schedule: Schedule) -> None:
    """The next in the queue gives up just when its turn comes."""

    def cancels(process: Process) -> None:
        for user in schedule.users:
            if user.process is process:
                process.run(user.cancel)

    _at_handover(schedule, cancels)
