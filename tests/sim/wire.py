"""Between one client process and the members: calls on links that delay, lose and park.

A request that is sent into a cut is often delivered when the cut heals, long after the client gave
up; so is the answer to a long call. An answer to a short call that meets a cut, or is late, is lost
to the client, though carried out. A "stale" link has lost what was connected before and serves what
connects anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from etcd_election._core.effects import Ended, Fact, Failure, Invoke, Observed, Open, Reply
from etcd_election._core.method import Method

from .cluster import BROKEN, UNREACHED, Cluster, Member
from .election import serve
from .world import World

if TYPE_CHECKING:
    from .election import Handler
    from .process import Process

SILENCE = Failure("DEADLINE_EXCEEDED", "Deadline Exceeded")


class Path:
    """The link from one process to one member."""

    def __init__(self, world: World, latency: float) -> None:
        self._world = world
        self._latency = latency
        self.requests_cut = False
        self.answers_cut = False
        self.slow = 0.0
        self.slow_answers = 0.0
        self.loss = 0.0
        self.stale = -1
        self.stale_waits = False
        self.parked: list[Callable[[], None]] = []
        self.parked_answers: list[Callable[[], None]] = []
        self.cuts = 0
        self.disturbed_at = 0.0

    def well(self) -> bool:
        """True if nothing is the matter with it."""
        ways = self.requests_cut or self.answers_cut
        slow = self.slow or self.slow_answers
        return not (ways or slow or self.loss or self.stale >= 0)

    def delay(self) -> float:
        return (self._latency + self.slow) * (0.5 + self._world.random())

    def cut(self, *, requests: bool = True, answers: bool = True) -> None:
        self.requests_cut = self.requests_cut or requests
        self.answers_cut = self.answers_cut or answers
        self.cuts += 1
        self.disturbed_at = self._world.now

    def heal(self) -> None:
        """What was on its way arrives now; a good part of it."""
        self.requests_cut = self.answers_cut = False
        self.slow = self.slow_answers = self.loss = 0.0
        self.cuts += 1
        self.disturbed_at = self._world.now
        parked, self.parked = self.parked, []
        answers, self.parked_answers = self.parked_answers, []
        for deliver in answers:
            deliver()
        for arrive in parked:
            self._world.after(self.delay(), arrive)

    def answered(self, deliver: Callable[[], None]) -> None:
        """The answer of a long call: it waits for the end of a cut."""
        if self.answers_cut:
            self.parked_answers.append(deliver)
        else:
            deliver()


class Call:
    """One unary call: over for the client when it was delivered, timed out or given up."""

    __slots__ = (
        "_done",
        "_path",
        "_wire",
        "_world",
        "age",
        "deadline",
        "member",
        "method",
        "over",
        "request",
        "token",
    )

    def __init__(self, wire: Wire, effect: Invoke, done: Callable[[Reply], None]) -> None:
        process = wire.process
        self._wire = wire
        self._world = world = wire.world
        self._done = done
        self.member = member = effect.endpoint
        self.method = effect.method
        self.request: Any = effect.request
        self.token = effect.metadata[1][1] if len(effect.metadata) > 1 else None
        self.age = process.link.ages[member]
        self.deadline = world.now + effect.timeout / process.rate
        self.over = False
        self._path = path = wire.paths[member]
        if self.age <= path.stale:
            self.hang()
        elif path.requests_cut:
            self.hang()
            if world.random() < 0.5:
                path.parked.append(self._land)
        elif not path.slow and world.random() < 0.5:
            # Hardly any time on the way: an event less.
            wire.cluster.arrived(self)
        else:
            world.after(path.delay(), wire.cluster.arrived, self)

    @property
    def owner(self) -> str:
        return self._wire.process.name

    def _land(self) -> None:
        if self.over:
            self._wire.world.counts["hazard: request lands after it was given up"] += 1
        self._wire.cluster.arrived(self)

    def answer(self, reply: Any) -> None:
        """The member's word; whether it is heard is another question."""
        if self.over:
            return
        path, world = self._path, self._world
        if path.answers_cut or self.age <= path.stale or (path.loss and world.chance(path.loss)):
            world.counts["hazard: answer lost"] += 1
            self.hang()
            return
        delay = path.delay() + path.slow_answers
        if world.now + delay >= self.deadline:
            world.counts["hazard: answer late"] += 1
            self.hang()
        else:
            world.after(delay, self._deliver, reply)

    def hang(self) -> None:
        """Nothing is heard before the time is up, unless an answer still comes."""
        world = self._world
        world.after(max(0.0, self.deadline - world.now), self._deliver, SILENCE)

    def _deliver(self, reply: Any) -> None:
        if self.over:
            return
        if self._path.answers_cut and reply is not SILENCE:
            self.hang()
            return
        self.over = True
        process = self._wire.process
        if self.method is Method.KEEPALIVE:
            process.run(process.keepalive_answered, self._done, reply)
        elif process.frozen:
            process.run(self._done, reply)
        elif process.alive:
            self._done(reply)

    def cancel(self) -> None:
        self.over = True


class Wait:
    """One long call, Campaign or Observe. Its connection is never changed."""

    def __init__(self, wire: Wire, effect: Open, tell: Callable[[Fact], None]) -> None:
        self._wire = wire
        self._tell = tell
        self._last_at = 0.0
        self.method = effect.method
        self.member = wire.cluster.members[effect.endpoint]
        self.request: Any = effect.request
        self.token = effect.metadata[1][1] if len(effect.metadata) > 1 else None
        self.over = False
        self.handler: Handler | None = None
        self.path = wire.paths[effect.endpoint]
        self.dead = self.path.stale_waits
        self._say("opens")
        wire.waits[self] = None

    @property
    def owner(self) -> str:
        return self._wire.process.name

    def _say(self, what: str) -> None:
        world = self._wire.world
        if world.trace is not None:
            world.say("%s  %s a call on member %d", self.owner, what, self.member.number)

    def send(self) -> None:
        if self.dead:
            return
        if self.path.requests_cut:
            self.path.parked.append(self._arrived)
        else:
            self._wire.world.after(self.path.delay(), self._arrived)

    def _arrived(self) -> None:
        if not self.member.up:
            self.answer(UNREACHED)
        else:
            serve(self._wire.cluster, self)

    def answer(self, reply: Any) -> None:
        """The end of the call, as the member says."""
        self._send(Ended(reply))

    def observed(self, response: Any) -> None:
        self._send(Observed(response))

    def _send(self, fact: Fact) -> None:
        if self.over or self.dead or self.path.stale_waits:
            return
        world = self._wire.world
        self._last_at = max(world.now + self.path.delay(), self._last_at)
        world.after(self._last_at - world.now, self.path.answered, lambda: self._deliver(fact))

    def _deliver(self, fact: Fact) -> None:
        if self.over:
            return
        if isinstance(fact, Ended):
            self._say("hears the end of")
            self.over = True
            self._wire.waits.pop(self, None)
        self._wire.process.run(self._tell, fact)

    def cancel(self) -> None:
        """The client gives the call up; the member hears of it if it can."""
        if self.over:
            return
        self._say("gives up")
        self.over = True
        self._wire.waits.pop(self, None)
        if self.dead or self.path.stale_waits:
            return
        if self.path.requests_cut:
            self.path.parked.append(self.gone)
        else:
            self._wire.world.after(self.path.delay(), self.gone)

    def reset(self) -> None:
        """The connection breaks, and both sides see it."""
        self._send(Ended(BROKEN))
        self.gone()

    def gone(self) -> None:
        """The member hears that the client's end is closed."""
        if self.handler is not None:
            self.handler.gone()


class Wire:
    """All calls of one process."""

    def __init__(self, process: Process, cluster: Cluster, latency: float) -> None:
        self.process = process
        self.world = process.world
        self.cluster = cluster
        self.paths = [Path(self.world, latency) for _ in cluster.members]
        self.waits: dict[Wait, None] = {}
        self.freezes_in_call = False
        self.at_campaign: Callable[[], None] | None = None

    def invoke(self, effect: Invoke, done: Callable[[Reply], None]) -> Callable[[], None]:
        if self.freezes_in_call and effect.method is Method.KEEPALIVE:
            self.freezes_in_call = False
            self.process.freeze()
        return Call(self, effect, done).cancel

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Callable[[], None]:
        if self.at_campaign is not None and effect.method is Method.CAMPAIGN:
            call, self.at_campaign = self.at_campaign, None
            call()
        wait = Wait(self, effect, tell)
        wait.send()
        return wait.cancel

    def reset(self, member: Member) -> None:
        """All connections to a member break."""
        for wait in list(self.waits):
            if wait.member is member:
                wait.reset()

    def close(self) -> None:
        """The process is gone, and its connections with it."""
        for wait in list(self.waits):
            wait.cancel()
