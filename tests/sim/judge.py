"""The invariants.

Whether a leadership is believed in is computed from its deadline and its client's clock, without
asking it: to be asked would latch the answer. It begins when it is handed out and ends once, so two
overlap exactly if one stands when another is handed out. That it never comes back is looked at
whenever a keepalive is answered; that its key stands, whenever a key is deleted.

Counted apart: what follows from an administrator's removal of the key or lease while the holder
cannot hear of it. It is bounded by the ttl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcd_election import errors
from etcd_election._core.leadership import LeadershipState

from .store import Kv
from .world import World

if TYPE_CHECKING:
    from .cluster import Cluster
    from .process import Process

ADMINISTRATOR = "an administrator"

_WELL = 4.0
"""So long after the last fault everything is expected to go as it should."""
_REACHED_WITHIN = 3.0
"""So long after the last fault no campaign finds etcd unavailable."""
_LEADS_WITHIN = 1.0
"""The head of the queue leads so soon, or leaves the queue."""

_DOCUMENTED = (
    errors.SessionExpired,
    errors.CampaignTimeout,
    errors.CampaignCancelled,
    errors.ClientClosed,
    errors.Unavailable,
)


class Holder:
    """A leadership that was handed out."""

    def __init__(self, process: Process, state: LeadershipState) -> None:
        self.process = process
        self.state = state
        self.removed_at: float | None = None
        self.counted = False

    @property
    def believes(self) -> bool:
        """As ``held`` would answer now, in true time; a frozen process would answer so, too."""
        state, lease = self.state, self.state.lease
        if not self.process.alive or state._ended or lease._ended:
            return False
        return self.process.clock() < lease._deadline


class Judge:
    """Sees everything."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cluster: Cluster | None = None
        self.holders: list[Holder] = []
        self.token = 0
        self.processes: dict[str, Process] = {}
        self._head = 0
        self._head_since = 0.0
        self._causes: dict[int, str] = {}
        self._led: set[int] = set()

    def handed_out(self, process: Process, state: LeadershipState) -> None:
        """A campaign returned a leadership."""
        world = self.world
        world.counts["leaderships"] += 1
        world.say("%s  LEADS with token %d", process.name, state.token)
        if state.held and state.remaining() < state.lease.ttl / 3 - 0.001:
            world.violated(f"{process.name} was elected with {state.remaining():.3f} s left")
        new = Holder(process, state)
        assert self.cluster is not None
        kv = self.cluster.store.keys.get(state.key)
        if new.believes and (kv is None or kv.create_revision != state.token):
            # By an administrator, perhaps, while the answer to the last read was on its way.
            self._without_key(new, self._causes.get(state.token, "never put"))
            if state.token not in self._led:
                world.violated(f"{process.name} was elected with a key that was never first")
        if state.token <= self.token and new.removed_at is None:
            world.violated(f"{process.name} got token {state.token} after {self.token}")
        self.token = max(self.token, state.token)
        self.holders = [holder for holder in self.holders if holder.believes]
        for other in self.holders:
            self._two(other, new)
        self.holders.append(new)

    def _two(self, other: Holder, new: Holder) -> None:
        if other.removed_at is None and new.removed_at is None:
            self.world.violated(f"two holders: {other.process.name} and {new.process.name}")
        elif not other.counted:
            other.counted = True
            self.world.counts["apart: two, after an administrator removed a key"] += 1

    def deleted(self, kv: Kv, cause: str) -> None:
        """A key was deleted."""
        self._causes[kv.create_revision] = cause
        assert self.cluster is not None
        if self.cluster.store.before(kv.create_revision) is None:
            self._led.add(kv.create_revision)
        for holder in self.holders:
            state = holder.state
            if state.token == kv.create_revision and state.key == kv.key and holder.believes:
                self._without_key(holder, cause)

    def _without_key(self, holder: Holder, cause: str) -> None:
        if ADMINISTRATOR not in cause:
            self.world.violated(f"{holder.process.name} believes without a key: {cause}")
            return
        holder.removed_at = self.world.now
        self.world.counts["apart: the key of a holder was removed"] += 1
        ttl = holder.state.lease.ttl
        assert self.cluster is not None
        if holder.process.well_for() > _WELL:
            # A watch that was refused for an old token leaves only the beat.
            told = 0.5 + (ttl / 3 / holder.process.rate if self.cluster.auth else 0.0)
            self.world.after(told, self._told_soon, holder)
        # Renewed just after the removal, and cut off before the next beat.
        self.world.after(ttl + ttl / 3 + 1.0, self._told, holder)

    def _told(self, holder: Holder) -> None:
        if holder.believes:
            self.world.violated(
                f"{holder.process.name} still believes, long after the key was removed"
            )

    def _told_soon(self, holder: Holder) -> None:
        if holder.believes and holder.process.well_for() > _WELL:
            self.world.violated(f"{holder.process.name} was not told that its key was removed")

    def look(self) -> None:
        """Every half second: does the head of the queue lead, if nothing keeps it from that?"""
        world, cluster = self.world, self.cluster
        assert cluster is not None
        world.after(0.5, self.look)
        head = cluster.store.first()
        revision = head.create_revision if head else 0
        if revision != self._head or any(holder.believes for holder in self.holders):
            self._head, self._head_since = revision, world.now
        # A watch that was refused for an old token leaves only the beat.
        within = _LEADS_WITHIN + (1.5 if cluster.auth else 0.0)
        if head is None or world.now < self._head_since + within:
            return
        lease = cluster.store.leases.get(head.lease)
        process = self.processes.get(lease.owner) if lease else None
        if process is not None and process.well_for() > _WELL:
            world.violated(f"the key of {process.name} is first, and nobody leads")

    def not_held(self, process: Process) -> list[Holder]:
        return [h for h in self.holders if h.process is process and not h.believes]

    def still_not_held(self, lost: list[Holder]) -> None:
        for holder in lost:
            if holder.believes:
                self.world.violated(f"{holder.process.name}: a lost leadership is held again")

    def campaign_raised(self, process: Process, error: Exception) -> None:
        """A campaign ended with this."""
        name = type(error).__name__
        self.world.counts[f"outcome: {name}"] += 1
        # A write that is not repeated waits for its one answer; so does a campaign's proclaim.
        once = str(error).startswith("proclaim")
        unavailable = isinstance(error, errors.Unavailable) and not once
        if unavailable and process.well_for() > _REACHED_WITHIN:
            self.world.violated(f"{process.name}: {error}, though etcd is well")
        if not isinstance(error, _DOCUMENTED):
            self.world.violated(f"{process.name}: the campaign raised {error!r}")

    def failed(self, process: str, kind: str, error: Exception) -> None:
        """A plan in the background raised."""
        self.world.violated(f"{process}: {kind} ended with {error!r}")
