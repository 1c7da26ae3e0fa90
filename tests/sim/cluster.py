"""The members, the raft leader, and what a member answers when.

A member serves while it runs, is not stopped and is in touch with a raft leader. What reaches it
otherwise is refused, waits, or is lost, as etcd does: a killed one refuses connections, a stopped
one keeps what it gets for later, and one without a raft leader first lets calls hang and then says
so. Reads are linearizable, so one store stands for all members; a deposed raft leader is the
exception: until it learns of its fall it answers keepalives by what it knew, with its old term.

Not modelled: membership changes, disk, a store restored from a backup, and etcd issue 15247.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from etcd_election._core.effects import Failure
from etcd_election._core.method import Method

from .store import LEASE_NOT_FOUND, Header, Kv, LeaseAnswer, RangeAnswer, Refused, Store
from .world import World

if TYPE_CHECKING:
    from .election import Handler
    from .stream import Stream
    from .wire import Call

NO_LEADER = Failure("UNAVAILABLE", "etcdserver: no leader")
LEADER_CHANGED = Failure("UNAVAILABLE", "etcdserver: leader changed")
TIMED_OUT = Failure("UNAVAILABLE", "etcdserver: request timed out")
UNREACHED = Failure("UNAVAILABLE", "failed to connect to all addresses; last error: refused")
BROKEN = Failure("UNAVAILABLE", "Stream removed (Socket closed)")
NO_TOKEN = Failure("INVALID_ARGUMENT", "etcdserver: user name is empty")
BAD_TOKEN = Failure("UNAUTHENTICATED", "etcdserver: invalid auth token")

_NOTICED = 1.5
"""So long after its loss a member says that there is no raft leader; before, calls hang."""
STREAMS_END = 4.0
HANGS = 7.0


class Member:
    """One etcd process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.generation = 0
        self.up = True
        self.stopped = False
        self.isolated = False
        self.wedged = False
        self.deposed_until = 0.0
        self.old_term = 0
        self.old_leases: dict[int, int] = {}
        self.lost_leader_at = 0.0
        self.queue: list[Callable[[], None]] = []
        # Dictionaries for their order: a set's would differ from run to run.
        self.calls: dict[Call, None] = {}
        self.handlers: dict[Handler, None] = {}
        self.streams: dict[Stream, None] = {}

    @property
    def runs(self) -> bool:
        return self.up and not self.stopped


class Cluster:
    """Three members, or one."""

    def __init__(
        self, world: World, size: int, *, auth: bool, deleted: Callable[[Kv, str], None]
    ) -> None:
        self.world = world
        self.store = Store(world, deleted, lambda: self.leader is not None)
        self.members = [Member(number) for number in range(size)]
        self.leader: int | None = 0
        self.auth = auth
        self.lease_auth = auth and world.chance(0.5)
        self.late_keepalives = world.chance(0.3)
        self.tokens: set[str] = set()
        self.tokens_given = 0
        self.disturbed_at = 0.0
        self._elections = 0
        self._pending: list[Callable[[], None]] = []

    # -- who serves

    def healthy(self, member: Member) -> bool:
        return member.up and not member.stopped and not member.isolated

    def serves(self, member: Member) -> bool:
        """True for a member in touch with a raft leader."""
        return self.leader is not None and member.up and not member.stopped and not member.isolated

    def well(self) -> bool:
        """True if every member serves."""
        return self.leader is not None and all(map(self.healthy, self.members))

    def review(self) -> None:
        """After every change of a member: is there still a raft leader, will there be one?"""
        world = self.world
        self.disturbed_at = world.now
        if self.leader is not None:
            leader = self.members[self.leader]
            if self.healthy(leader) and self._quorum():
                self._flush()
                return
            world.say("etcd    no raft leader")
            self.leader = None
            for member in self.members:
                member.lost_leader_at = world.now
            if leader.up and leader.isolated:
                self._depose(leader, world.between(1.0, 2.0))
        self._elections += 1
        if self._quorum():
            world.after(world.between(1.0, 2.0), self._elect, self._elections)
        world.after(STREAMS_END, self._end_streams)

    def _quorum(self) -> bool:
        return sum(map(self.healthy, self.members)) * 2 > len(self.members)

    def _depose(self, member: Member, seconds: float) -> None:
        """It goes on believing that it leads, and answers keepalives from its memory."""
        self.world.counts["hazard: deposed raft leader goes on"] += 1
        member.deposed_until = self.world.now + seconds
        member.old_term = self.store.term
        member.old_leases = {lease.number: lease.ttl for lease in self.store.leases.values()}

    def _elect(self, number: int) -> None:
        if number != self._elections or self.leader is not None or not self._quorum():
            return
        world = self.world
        self.become_leader(world.rng.choice([m.number for m in self.members if self.healthy(m)]))

    def become_leader(self, number: int) -> None:
        """A new term; all leases get their whole ttl, and an election timeout on top."""
        self.leader = number
        self.disturbed_at = self.world.now
        self.store.term += 1
        self.world.counts["hazard: new raft leader extends leases"] += 1
        self.world.say("etcd    member %d is the raft leader, term %d", number, self.store.term)
        self.store.extend(1.0)
        pending, self._pending = self._pending, []
        for call in pending:
            call()
        self._flush()

    def _flush(self) -> None:
        for member in self.members:
            if member.queue and self.serves(member):
                queue, member.queue = member.queue, []
                for call in queue:
                    call()

    def _end_streams(self) -> None:
        """Whoever asked for a leader is told after a while that there is none."""
        for member in self.members:
            if member.runs and not self.serves(member) and self._knows(member):
                for stream in list(member.streams):
                    stream.end()

    def _knows(self, member: Member) -> bool:
        return self.world.now >= member.lost_leader_at + _NOTICED

    # -- what happens to members

    def kill(self, member: Member) -> None:
        """The process ends; connections to it end with it, keys stay."""
        member.up = False
        member.generation += 1
        member.queue.clear()
        for handler in list(member.handlers):
            handler.died()
        for stream in list(member.streams):
            stream.end()
        calls, member.calls = list(member.calls), {}
        for call in calls:
            call.answer(BROKEN)
        member.wedged = False
        self.review()

    def restart(self, member: Member) -> None:
        member.up = True
        member.stopped = False
        self.review()

    def stop(self, member: Member) -> None:
        """SIGSTOP."""
        member.stopped = True
        was_leader = self.leader == member.number
        self.review()
        if was_leader:
            self._depose(member, 0.0)
            member.deposed_until = float("-inf")

    def resume(self, member: Member) -> None:
        """SIGCONT: a raft leader that was replaced meanwhile learns of it a moment later."""
        if not member.stopped:
            return
        member.stopped = False
        if member.deposed_until == float("-inf"):
            slow = member.isolated
            late = self.world.between(0.3, 1.0) if slow else self.world.between(0.0, 0.05)
            member.deposed_until = self.world.now + late
        queue, member.queue = member.queue, []
        for call in queue:
            call()
        self.review()

    def isolate(self, member: Member) -> None:
        """Cut from the other members, not from clients."""
        member.isolated = True
        member.lost_leader_at = self.world.now
        self.review()
        self.world.after(STREAMS_END, self._end_streams)

    def rejoin(self, member: Member) -> None:
        member.isolated = False
        member.deposed_until = min(member.deposed_until, self.world.now)
        self.review()

    def later(self, member: Member, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Work of a member: done when it serves, forgotten when it dies."""
        self.world.after(delay, self._work, member, member.generation, call, args)

    def now(self, member: Member, call: Callable[..., None], *args: Any) -> None:
        """The same, at once."""
        self._work(member, member.generation, call, args)

    def _work(
        self, member: Member, generation: int, call: Callable[..., None], args: tuple[Any, ...]
    ) -> None:
        if generation != member.generation:
            return
        if self.serves(member):
            call(*args)
        else:
            member.queue.append(lambda: self._work(member, generation, call, args))

    # -- what a member answers

    def arrived(self, call: Call) -> None:
        """A unary call has reached its member."""
        member = self.members[call.member]
        if not member.up:
            call.answer(UNREACHED)
        elif member.stopped:
            member.calls[call] = None
            member.queue.append(lambda: self.arrived(call))
            call.hang()
        elif self.serves(member):
            member.calls.pop(call, None)
            self._serve(call)
        elif call.method is Method.KEEPALIVE and self.world.now < member.deposed_until:
            self._serve_deposed(member, call)
        elif self._knows(member):
            call.answer(NO_LEADER)
        else:
            self._leaderless(member, call)

    def _leaderless(self, member: Member, call: Call) -> None:
        """Proposals of these moments are lost, or carried out late, or refused in the end."""
        call.hang()
        chance = self.world.random()
        if call.method is Method.KEEPALIVE or chance < 0.3:
            self.world.counts["hazard: call hangs without raft leader"] += 1
        elif chance < 0.65 or member.isolated:
            self._pending.append(lambda: call.answer(LEADER_CHANGED))
        else:
            self._pending.append(lambda: self._land(call))

    def _land(self, call: Call) -> None:
        self.world.counts["hazard: call lands after the election"] += 1
        self._serve(call)

    def _serve_deposed(self, member: Member, call: Call) -> None:
        ttl = member.old_leases.get(call.request.ID, 0)
        if ttl:
            self.world.counts["hazard: keepalive answered with an old term"] += 1
            self.world.say("etcd    member %d, deposed, answers a keepalive", member.number)
        header = Header(7, self.store.revision, member.old_term)
        call.answer(LeaseAnswer(header, call.request.ID, ttl))

    def token_fails(self, token: str | None) -> Failure | None:
        """What is said to a call with this token."""
        if not self.auth or token in self.tokens:
            return None
        return NO_TOKEN if token is None else BAD_TOKEN

    def _serve(self, call: Call) -> None:
        method, lease_call = call.method, call.method.service == "Lease"
        if method is Method.AUTHENTICATE:
            self.tokens_given += 1
            token = f"token {self.tokens_given}"
            self.tokens.add(token)
            call.answer(TokenAnswer(self.store.header(), token))
            return
        if self.auth and (self.lease_auth or not lease_call):
            failure = self.token_fails(call.token)
            if failure is not None:
                self.world.counts["hazard: token refused"] += 1
                call.answer(failure)
                return
        try:
            call.answer(self._carry_out(method, call.request, call.owner))
            if method is Method.GRANT and (call.over or call.request.ID in self.store.revoked_at):
                # Given up long ago, and carried out all the same: nobody knows of it.
                self.world.counts["hazard: a grant landed late"] += 1
                self.store.leases[call.request.ID].late = True
        except Refused as refused:
            call.answer(refused.failure)

    def _carry_out(self, method: Method, request: Any, owner: str) -> Any:
        store = self.store
        if method is Method.TXN:
            return store.txn(request)
        if method is Method.RANGE:
            kvs, more = store.range(request)
            return RangeAnswer(store.header(), kvs, more)
        if method.service == "Lease":
            return self._carry_out_lease(method, request, owner)
        leader = request.leader
        kv = store.keys.get(leader.key)
        stands = kv is not None and kv.create_revision == leader.rev
        if method is Method.RESIGN:
            if stands:
                store.delete(leader.key, f"resigned by {owner}")
            return LeaseAnswer(store.header())
        assert method is Method.PROCLAIM
        if not stands or leader.lease not in store.leases:
            raise Refused(Failure("UNKNOWN", "election: not leader"))
        store.put(leader.key, request.value, leader.lease)
        return LeaseAnswer(store.header())

    def _carry_out_lease(self, method: Method, request: Any, owner: str) -> LeaseAnswer:
        store = self.store
        if method is Method.KEEPALIVE:
            return self._keepalive(request.ID)
        if method is Method.GRANT:
            store.grant(request.ID, request.TTL, owner)
            return LeaseAnswer(store.header(), request.ID, request.TTL)
        if not store.revoke(request.ID, f"lease revoked by {owner}"):
            raise Refused(LEASE_NOT_FOUND)
        return LeaseAnswer(store.header())

    def _keepalive(self, number: int) -> LeaseAnswer:
        store = self.store
        lease = store.leases.get(number)
        if lease is not None:
            store.renew(lease)
            return LeaseAnswer(store.header(), number, lease.ttl)
        revoked_at = store.revoked_at.get(number)
        if self.late_keepalives and revoked_at is not None and self.world.now < revoked_at + 1.0:
            # Old versions answer OK for a lease that was revoked just now.
            self.world.counts["hazard: keepalive answers OK for a revoked lease"] += 1
            return LeaseAnswer(store.header(), number, 3)
        return LeaseAnswer(store.header(), number, 0)


class TokenAnswer:
    """To an Authenticate."""

    def __init__(self, header: Header, token: str) -> None:
        self.header = header
        self.token = token
