"""A client process: its clock, its connection, and the background that carries out plans.

Mirrors what a front-end does around the core, with virtual time instead of threads. A frozen
process (SIGSTOP) does nothing while time goes on; what reached it meanwhile is handled when it goes
on, its timers first or last. A killed one does nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd_election._core.effects import Aside, Connect, Fact, Invoke, Open, Plan, Reply, Word
from etcd_election._core.endpoints import Endpoint
from etcd_election._core.keywatch import Subscription
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.link import Link
from etcd_election._core.plans import leading, session
from etcd_election._core.running import Cancel, Running
from etcd_election.types import LostReason

from .cluster import Cluster
from .judge import Judge
from .stream import Hub
from .wire import Wire
from .world import LATE, World


class Task:
    """A plan in the background."""

    def __init__(self, process: Process, plan: Plan[Any], kind: str) -> None:
        self.done = False
        self.kind = kind
        self.running: Running[Any] = Running(process, plan, self._ended)
        self._process = process
        self._waiting: list[Callable[[], None]] = []

    def when_done(self, call: Callable[[], None]) -> None:
        if self.done:
            call()
        else:
            self._waiting.append(call)

    def _ended(self, running: Running[Any]) -> None:
        self.done = True
        self._process.tasks.pop(self, None)
        if running.error is not None:
            self._process.judge.failed(self._process.name, self.kind, running.error)
        for call in self._waiting:
            call()


class Process:
    """A ``Carrier`` of plans, and a ``Host``.

    Args:
        name: Of the process, for the trace.
        cluster: What it talks to.
        judge: Is told what may break an invariant.
        rate: Seconds that its clock counts in one second.
        latency: Of its links, one way, in seconds.
    """

    def __init__(
        self, name: str, cluster: Cluster, judge: Judge, *, rate: float, latency: float
    ) -> None:
        self.name = name
        self.world: World = cluster.world
        self.judge = judge
        self.rate = rate
        self.alive = True
        self.frozen = False
        self.disturbed_at = 0.0
        self.tasks: dict[Task, None] = {}
        world, offset = self.world, self.world.between(0.0, 1000.0)

        def clock() -> float:
            return offset + rate * world.now

        self.clock = clock
        self.link = Link(
            [Endpoint(f"etcd{i}", 2379) for i in range(len(cluster.members))],
            timeout=5.0,
            clock=clock,
            random=world.random,
            credentials=("user", "password") if cluster.auth else None,
        )
        self.wire = Wire(self, cluster, latency)
        self.hub = Hub(self)
        self._deferred: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._retiring: dict[LeaseClock, Task] = {}

    # -- the thread of the process

    def run(self, call: Callable[..., object], *args: Any) -> None:
        """Something reaches the process."""
        if self.frozen:
            self._deferred.append((call, args))
        elif self.alive:
            call(*args)

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """Does it when what is at work now is done."""
        self.world.after(0.0, self.run, call, *args)

    def well_for(self) -> float:
        """How long it has been running, and in touch with members that all serve."""
        cluster = self.wire.cluster
        if self.frozen or not self.alive or not cluster.well():
            return 0.0
        since = max(self.disturbed_at, cluster.disturbed_at)
        for path in self.wire.paths:
            if not path.well():
                return 0.0
            since = max(since, path.disturbed_at)
        return self.world.now - since

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        if not self.frozen:
            return
        self.frozen = False
        self.disturbed_at = self.world.now
        waiting, self._deferred = self._deferred, []
        if self.world.chance(0.5):
            waiting.reverse()
        for call, args in waiting:
            self.run(call, *args)

    def stop(self) -> None:
        """Its end, by itself or not: no word of it leaves any more, its connections end."""
        self.alive = self.frozen = False
        self._deferred.clear()
        self.wire.close()
        self.hub.close()

    # -- as a carrier

    def subscribe(self, tell: Callable[[Fact], None]) -> Subscription:
        return Subscription(self.hub, tell)

    def invoke(self, effect: Invoke, done: Callable[[Reply], None]) -> Cancel:
        return self.wire.invoke(effect, done)

    def after(self, seconds: float, call: Callable[[], None]) -> Cancel:
        event = self.world.after(seconds / self.rate + LATE, self.run, call)

        def cancel() -> None:
            event[2], event[3] = None, ()

        return cancel

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        return self.wire.open(effect, tell)

    def shut(self, cancel: Cancel) -> None:
        delay = self.link.stagger.delay(self.link.clock())
        if delay:
            self.after(delay, cancel)
        else:
            cancel()

    def aside(self, effect: Aside) -> None:
        assert isinstance(effect, Connect), f"{effect}: the model has neither names nor TLS"

    def consult(self, ask: Callable[[], bool], done: Callable[[bool], None]) -> None:
        self.soon(done, ask())

    # -- as a host

    def start(self, plan: Plan[Any], kind: str) -> Task:
        """Starts a plan in the background."""
        task = Task(self, plan, kind)
        self.tasks[task] = None
        self.soon(task.running.start)
        return task

    def tell(self, task: Task, fact: Fact) -> None:
        self.soon(task.running.tell, fact)

    def keep(self, lease: LeaseClock) -> None:
        task = self.start(session.keep(self.link, lease), "keep")
        lease.when_ended(lambda: self.tell(task, Word.STOP))

    def watch_over(self, state: LeadershipState) -> None:
        task = self.start(leading.watch_over(self.link, self, state), "watch_over")

        def ended() -> None:
            if state.lost is not LostReason.RESIGNED:
                self.tell(task, Word.STOP)

        state.when_ended(ended)

    def announce(self, state: LeadershipState, *, began_at: float) -> None:
        """Nobody listens."""

    def retire(self, lease: LeaseClock) -> None:
        self.retiring(lease)

    def retiring(self, lease: LeaseClock) -> Task:
        """The task that retires the lease, or has retired it."""
        lease.end(LostReason.CLOSED)
        task = self._retiring.get(lease)
        if task is None:
            task = self.start(session.retire(self.link, lease), "retire")
            self._retiring[lease] = task
        return task

    def retirements(self) -> list[Task]:
        """The tasks that retire leases, or have done so."""
        return list(self._retiring.values())

    def keepalive_answered(self, done: Callable[[Reply], None], reply: Reply) -> None:
        """A keepalive's answer is handed over: it may not bring a leadership back."""
        lost = self.judge.not_held(self)
        done(reply)
        self.judge.still_not_held(lost)
