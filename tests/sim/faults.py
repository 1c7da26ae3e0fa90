"""The faults, each with how it ends.

A fault takes a schedule, begins at once, and sees to its own end; ``heal`` of the schedule ends
whatever is left. All of them are drawn from one table, with weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .cluster import Member
from .election import compact
from .judge import ADMINISTRATOR
from .store import Kv
from .wire import Path

if TYPE_CHECKING:
    from .process import Process
    from .schedule import Schedule
    from .user import User

Fault = Callable[["Schedule"], None]


def _duration(schedule: Schedule, most: float = 2.0) -> float:
    """Mostly short against the ttl, at times longer."""
    world = schedule.world
    return schedule.ttl * most * world.random() ** 2 + 0.05


def _user(schedule: Schedule) -> User:
    """Any, but a leader more often: there is more to lose."""
    world = schedule.world
    leaders = [user for user in schedule.users if user.leadership is not None]
    if leaders and world.chance(0.5):
        return leaders[0]
    return world.rng.choice(schedule.users)


def _process(schedule: Schedule) -> Process:
    """Of a client, or of the observer."""
    observer = schedule.observer
    if observer is not None and schedule.world.chance(0.2):
        return observer.process
    return _user(schedule).process


def _member(schedule: Schedule) -> Member:
    return schedule.world.rng.choice(schedule.cluster.members)


def freeze(schedule: Schedule) -> None:
    """SIGSTOP of a client, and SIGCONT."""
    process = _process(schedule)
    if process.alive:
        process.freeze()
        schedule.ends(_duration(schedule), process.thaw)


def freeze_in_call(schedule: Schedule) -> None:
    """SIGSTOP just when a keepalive has left, for about as long as the lease lives."""
    process = _user(schedule).process
    process.wire.freezes_in_call = True

    def thaw() -> None:
        process.wire.freezes_in_call = False
        process.thaw()

    schedule.ends(schedule.ttl * (0.3 + schedule.world.between(0.6, 1.1)), thaw)


def kill(schedule: Schedule) -> None:
    """SIGKILL of a client."""
    user = _user(schedule)
    if user.process.alive and not user.client.member.closed:
        user.kill()


def close(schedule: Schedule) -> None:
    """A client closes, another comes."""
    user = _user(schedule)
    if user.process.alive and not user.process.frozen and not user.client.member.closed:
        user.restart()


def _cut(
    schedule: Schedule, process: Process, members: list[Member], change: Callable[[Path], None]
) -> None:
    for member in members:
        path = process.wire.paths[member.number]
        change(path)
        process.hub.silence()
        schedule.ends(_duration(schedule), path.heal)


def cut_one(schedule: Schedule) -> None:
    """A link between a client and a member goes deaf, in one or both directions."""
    way = schedule.world.rng.choice([(True, True), (True, False), (False, True)])
    requests, answers = way
    _cut(
        schedule,
        _process(schedule),
        [_member(schedule)],
        lambda path: path.cut(requests=requests, answers=answers),
    )


def cut_all(schedule: Schedule) -> None:
    """A client reaches no member."""
    process = _process(schedule)
    paths = process.wire.paths
    for path in paths:
        path.cut()
    process.hub.silence()

    def heal() -> None:
        for path in paths:
            path.heal()

    schedule.ends(_duration(schedule), heal)


def slow(schedule: Schedule) -> None:
    """Answers come late, often after they were given up."""
    delay, answers = schedule.world.between(0.05, 0.8), schedule.world.chance(0.5)

    def change(path: Path) -> None:
        if answers:
            path.slow_answers = delay
        else:
            path.slow = delay

    _cut(schedule, _process(schedule), schedule.cluster.members, change)


def lossy(schedule: Schedule) -> None:
    """Some answers are lost."""

    def change(path: Path) -> None:
        path.loss = 0.4

    _cut(schedule, _process(schedule), schedule.cluster.members, change)


def stale(schedule: Schedule) -> None:
    """What is connected is dead without a word; new connections work. In the end it breaks."""
    process, member = _process(schedule), _member(schedule)
    path = process.wire.paths[member.number]
    path.stale = process.link.ages[member.number]
    path.stale_waits = schedule.world.chance(0.5)
    process.hub.silence()

    def breaks() -> None:
        path.stale = -1
        path.stale_waits = False
        path.disturbed_at = schedule.world.now
        process.wire.reset(member)

    schedule.ends(_duration(schedule, 4.0), breaks)


def reset(schedule: Schedule) -> None:
    """The connections of a client to a member break."""
    process, member = _user(schedule).process, _member(schedule)
    process.wire.paths[member.number].disturbed_at = schedule.world.now
    process.wire.reset(member)
    if process.hub.stream is not None and process.hub.stream in member.streams:
        process.hub.stream.end()


def member_killed(schedule: Schedule) -> None:
    """SIGKILL of a member, and its restart."""
    _down(schedule, _member(schedule))


def leader_killed(schedule: Schedule) -> None:
    """SIGKILL of the raft leader."""
    leader = schedule.cluster.leader
    if leader is not None:
        _down(schedule, schedule.cluster.members[leader])


def _down(schedule: Schedule, member: Member) -> None:
    if member.up:
        schedule.cluster.kill(member)
        schedule.ends(_duration(schedule), lambda: schedule.cluster.restart(member))


def member_stopped(schedule: Schedule) -> None:
    """SIGSTOP of a member."""
    _stop(schedule, _member(schedule))


def leader_stopped(schedule: Schedule) -> None:
    """SIGSTOP of the raft leader; when it goes on, it is deposed and does not know it."""
    leader = schedule.cluster.leader
    if leader is not None:
        _stop(schedule, schedule.cluster.members[leader])


def _stop(schedule: Schedule, member: Member) -> None:
    if member.runs:
        schedule.cluster.stop(member)
        schedule.ends(_duration(schedule), lambda: schedule.cluster.resume(member))


def leader_moved(schedule: Schedule) -> None:
    """Another raft leader, with hardly a pause."""
    cluster = schedule.cluster
    if cluster.leader is not None:
        others = [m.number for m in cluster.members if cluster.healthy(m)]
        cluster.become_leader(schedule.world.rng.choice(others))


def leader_isolated(schedule: Schedule) -> None:
    """The raft leader is cut from the other members, not from the clients."""
    leader = schedule.cluster.leader
    if leader is not None:
        _isolate(schedule, schedule.cluster.members[leader])


def member_isolated(schedule: Schedule) -> None:
    """A member is cut from the others."""
    _isolate(schedule, _member(schedule))


def _isolate(schedule: Schedule, member: Member) -> None:
    if len(schedule.cluster.members) > 1 and not member.isolated:
        schedule.cluster.isolate(member)
        schedule.ends(_duration(schedule), lambda: schedule.cluster.rejoin(member))


def quorum_lost(schedule: Schedule) -> None:
    """Two members of three are killed."""
    for member in schedule.cluster.members[1:]:
        _down(schedule, member)


def wedge(schedule: Schedule) -> None:
    """The Election service of a member hangs until that member is restarted."""
    member = _member(schedule)
    if member.up:
        member.wedged = True


def compaction(schedule: Schedule) -> None:
    """Old revisions are forgotten."""
    cluster = schedule.cluster
    if cluster.leader is not None:
        compact(cluster)
        for member in cluster.members:
            for stream in list(member.streams):
                stream.compacted()


def _key(schedule: Schedule) -> Kv | None:
    """A candidate's key, the leader's more often."""
    cluster, world = schedule.cluster, schedule.world
    keys = list(cluster.store.keys.values())
    if cluster.leader is None or not keys:
        return None
    return keys[0] if world.chance(0.5) else world.rng.choice(keys)


def key_deleted(schedule: Schedule) -> None:
    """An administrator deletes a candidate's key."""
    kv = _key(schedule)
    if kv is not None:
        schedule.cluster.store.delete(kv.key, f"by {ADMINISTRATOR}")


def key_written(schedule: Schedule) -> None:
    """An administrator writes to a candidate's key."""
    kv = _key(schedule)
    if kv is not None:
        schedule.cluster.store.put(kv.key, b"not yours", None)


def lease_revoked(schedule: Schedule) -> None:
    """An administrator revokes a candidate's lease."""
    kv = _key(schedule)
    if kv is not None:
        schedule.cluster.store.revoke(kv.lease, f"lease revoked by {ADMINISTRATOR}")


def tokens_expire(schedule: Schedule) -> None:
    """All tokens are void (if there are users)."""
    schedule.cluster.tokens.clear()


def slow_then_cut(schedule: Schedule) -> None:
    """A client's answers come late for a while, and then none."""
    world, process = schedule.world, _user(schedule).process
    for path in process.wire.paths:
        path.slow_answers = world.between(0.2, 0.8)
    lasts = schedule.ttl * world.between(0.5, 1.5)

    def cut_off() -> None:
        if schedule.healed:
            for path in process.wire.paths:
                path.heal()
        else:
            _cut_off(schedule, process)

    schedule.ends(lasts, cut_off)


def _cut_off(schedule: Schedule, process: Process) -> None:
    if schedule.healed:
        return
    for path in process.wire.paths:
        path.cut()
        schedule.ends(1.5 * schedule.ttl, path.heal)
    process.hub.silence()


def captured(schedule: Schedule) -> None:
    """A raft leader wakes deposed, and is all that the holder reaches; then it reaches nothing."""
    cluster, world, process = schedule.cluster, schedule.world, _user(schedule).process
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
        member.isolated = True
        cluster.resume(member)
        # As long as a leader goes on without hearing of the others, at most.
        member.deposed_until = world.now + 2.0
        world.after(world.between(1.2, 2.0), _cut_off, schedule, process)
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

    schedule.ends(_duration(schedule), breaks)


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

    _user(schedule).process.wire.at_campaign = crash


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


WEIGHTS: dict[Fault, int] = {
    freeze: 6,
    kill: 3,
    close: 3,
    cut_one: 5,
    cut_all: 5,
    slow: 4,
    lossy: 3,
    stale: 3,
    reset: 3,
    member_killed: 3,
    leader_killed: 2,
    member_stopped: 3,
    leader_stopped: 3,
    leader_moved: 2,
    leader_isolated: 3,
    member_isolated: 2,
    quorum_lost: 1,
    wedge: 2,
    compaction: 3,
    key_deleted: 4,
    key_written: 2,
    lease_revoked: 3,
    tokens_expire: 3,
    freeze_in_call: 4,
    slow_then_cut: 4,
    captured: 3,
    phantom: 3,
    crash_at_campaign: 4,
    reset_at_handover: 3,
    cancel_at_handover: 3,
}
FAULTS = list(WEIGHTS)
_CHANCES = list(WEIGHTS.values())


def draw(schedule: Schedule, count: int) -> list[Fault]:
    """So many faults; without users no token is worth a fault."""
    chosen = schedule.world.rng.choices(FAULTS, _CHANCES, k=count)
    if not schedule.cluster.auth:
        chosen = [cut_all if fault is tokens_expire else fault for fault in chosen]
    return chosen
