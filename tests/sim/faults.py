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


def _member(schedule: Schedule) -> Member:
    return schedule.world.rng.choice(schedule.cluster.members)


def freeze(schedule: Schedule) -> None:
    """SIGSTOP of a client, and SIGCONT."""
    process = _user(schedule).process
    if process.alive:
        process.freeze()
        schedule.ends(_duration(schedule), process.thaw)


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
    schedule: Schedule, user: User, members: list[Member], change: Callable[[Path], None]
) -> None:
    process = user.process
    for member in members:
        path = process.wire.paths[member.number]
        change(path)
        if process.hub.stream is not None:
            process.hub.stream.cut()
        schedule.ends(_duration(schedule), path.heal)


def cut_one(schedule: Schedule) -> None:
    """A link between a client and a member goes deaf, in one or both directions."""
    way = schedule.world.rng.choice([(True, True), (True, False), (False, True)])
    requests, answers = way
    _cut(
        schedule,
        _user(schedule),
        [_member(schedule)],
        lambda path: path.cut(requests=requests, answers=answers),
    )


def cut_all(schedule: Schedule) -> None:
    """A client reaches no member."""
    process = _user(schedule).process
    paths = process.wire.paths
    for path in paths:
        path.cut()
    if process.hub.stream is not None:
        process.hub.stream.cut()

    def heal() -> None:
        for path in paths:
            path.heal()

    schedule.ends(_duration(schedule), heal)


def slow(schedule: Schedule) -> None:
    """Answers come late, often after they were given up."""
    delay = schedule.world.between(0.05, 0.8)

    def change(path: Path) -> None:
        path.slow = delay

    _cut(schedule, _user(schedule), schedule.cluster.members, change)


def lossy(schedule: Schedule) -> None:
    """Some answers are lost."""

    def change(path: Path) -> None:
        path.loss = 0.4

    _cut(schedule, _user(schedule), schedule.cluster.members, change)


def stale(schedule: Schedule) -> None:
    """What is connected is dead without a word; new connections work. In the end it breaks."""
    process, member = _user(schedule).process, _member(schedule)
    path = process.wire.paths[member.number]
    path.stale = process.link.ages[member.number]
    if process.hub.stream is not None:
        process.hub.stream.cut()

    def breaks() -> None:
        path.stale = -1
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
}
FAULTS = list(WEIGHTS)
_CHANCES = list(WEIGHTS.values())


def draw(schedule: Schedule, count: int) -> list[Fault]:
    """So many faults; without users no token is worth a fault."""
    chosen = schedule.world.rng.choices(FAULTS, _CHANCES, k=count)
    if not schedule.cluster.auth:
        chosen = [cut_all if fault is tokens_expire else fault for fault in chosen]
    return chosen
