"""The faults, each with how it ends.

A fault takes a schedule, begins at once, and sees to its own end; ``heal`` of the schedule ends
whatever is left. All of them are drawn from one table, with weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .choosing import any_key, any_member, any_process, any_user, duration
from .cluster import Member
from .election import compact
from .judge import ADMINISTRATOR
from .moments import (
    cancel_at_handover,
    captured,
    crash_at_campaign,
    freeze_in_call,
    phantom,
    reset_at_handover,
    slow_then_cut,
)
from .wire import Path

if TYPE_CHECKING:
    from .process import Process
    from .schedule import Schedule

Fault = Callable[["Schedule"], None]


def freeze(schedule: Schedule) -> None:
    """SIGSTOP of a client, and SIGCONT."""
    process = any_process(schedule)
    if process.alive:
        process.freeze()
        schedule.ends(duration(schedule), process.thaw)


def kill(schedule: Schedule) -> None:
    """SIGKILL of a client."""
    user = any_user(schedule)
    if user.process.alive and not user.client.member.closed:
        user.kill()


def close(schedule: Schedule) -> None:
    """A client closes, another comes."""
    user = any_user(schedule)
    if user.process.alive and not user.process.frozen and not user.client.member.closed:
        user.restart()


def _cut(
    schedule: Schedule, process: Process, members: list[Member], change: Callable[[Path], None]
) -> None:
    for member in members:
        path = process.wire.paths[member.number]
        change(path)
        process.hub.silence()
        schedule.ends(duration(schedule), path.heal)


def cut_one(schedule: Schedule) -> None:
    """A link between a client and a member goes deaf, in one or both directions."""
    way = schedule.world.rng.choice([(True, True), (True, False), (False, True)])
    requests, answers = way
    _cut(
        schedule,
        any_process(schedule),
        [any_member(schedule)],
        lambda path: path.cut(requests=requests, answers=answers),
    )


def cut_all(schedule: Schedule) -> None:
    """A client reaches no member."""
    process = any_process(schedule)
    paths = process.wire.paths
    for path in paths:
        path.cut()
    process.hub.silence()

    def heal() -> None:
        for path in paths:
            path.heal()

    schedule.ends(duration(schedule), heal)


def slow(schedule: Schedule) -> None:
    """Answers come late, often after they were given up."""
    delay, answers = schedule.world.between(0.05, 0.8), schedule.world.chance(0.5)

    def change(path: Path) -> None:
        if answers:
            path.slow_answers = delay
        else:
            path.slow = delay

    _cut(schedule, any_process(schedule), schedule.cluster.members, change)


def lossy(schedule: Schedule) -> None:
    """Some answers are lost."""

    def change(path: Path) -> None:
        path.loss = 0.4

    _cut(schedule, any_process(schedule), schedule.cluster.members, change)


def stale(schedule: Schedule) -> None:
    """What is connected is dead without a word; new connections work. In the end it breaks."""
    process, member = any_process(schedule), any_member(schedule)
    path = process.wire.paths[member.number]
    path.stale = process.link.ages[member.number]
    path.stale_waits = schedule.world.chance(0.5)
    process.hub.silence()

    def breaks() -> None:
        path.stale = -1
        path.stale_waits = False
        path.disturbed_at = schedule.world.now
        process.wire.reset(member)

    schedule.ends(duration(schedule, 4.0), breaks)


def reset(schedule: Schedule) -> None:
    """The connections of a client to a member break."""
    process, member = any_user(schedule).process, any_member(schedule)
    process.wire.paths[member.number].disturbed_at = schedule.world.now
    process.wire.reset(member)
    if process.hub.stream is not None and process.hub.stream in member.streams:
        process.hub.stream.end()


def member_killed(schedule: Schedule) -> None:
    """SIGKILL of a member, and its restart."""
    _down(schedule, any_member(schedule))


def leader_killed(schedule: Schedule) -> None:
    """SIGKILL of the raft leader."""
    leader = schedule.cluster.leader
    if leader is not None:
        _down(schedule, schedule.cluster.members[leader])


def _down(schedule: Schedule, member: Member) -> None:
    if member.up:
        schedule.cluster.kill(member)
        schedule.ends(duration(schedule), lambda: schedule.cluster.restart(member))


def member_stopped(schedule: Schedule) -> None:
    """SIGSTOP of a member."""
    _stop(schedule, any_member(schedule))


def leader_stopped(schedule: Schedule) -> None:
    """SIGSTOP of the raft leader; when it goes on, it is deposed and does not know it."""
    leader = schedule.cluster.leader
    if leader is not None:
        _stop(schedule, schedule.cluster.members[leader])


def _stop(schedule: Schedule, member: Member) -> None:
    if member.runs:
        schedule.cluster.stop(member)
        schedule.ends(duration(schedule), lambda: schedule.cluster.resume(member))


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
    _isolate(schedule, any_member(schedule))


def _isolate(schedule: Schedule, member: Member) -> None:
    if len(schedule.cluster.members) > 1 and not member.isolated:
        schedule.cluster.isolate(member)
        schedule.ends(duration(schedule), lambda: schedule.cluster.rejoin(member))


def quorum_lost(schedule: Schedule) -> None:
    """Two members of three are killed."""
    for member in schedule.cluster.members[1:]:
        _down(schedule, member)


def wedge(schedule: Schedule) -> None:
    """The Election service of a member hangs until that member is restarted."""
    member = any_member(schedule)
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


def key_deleted(schedule: Schedule) -> None:
    """An administrator deletes a candidate's key."""
    kv = any_key(schedule)
    if kv is not None:
        schedule.cluster.store.delete(kv.key, f"by {ADMINISTRATOR}")


def key_written(schedule: Schedule) -> None:
    """An administrator writes to a candidate's key."""
    kv = any_key(schedule)
    if kv is not None:
        schedule.cluster.store.put(kv.key, b"not yours", None)


def lease_revoked(schedule: Schedule) -> None:
    """An administrator revokes a candidate's lease."""
    kv = any_key(schedule)
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
