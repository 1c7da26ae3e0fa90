"""What a program does with a client: campaigns, leads, resigns, gives up, closes, over and over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from etcd_election import errors
from etcd_election.types import LostReason

from .client import Client, Leadership
from .process import Process


class User:
    """One program.

    Attributes:
        done: True when it was elected in the end and wants no more.
        brief: True in the end: lead for a moment, resign, and that is all.
    """

    def __init__(self, make: Callable[[], Process], *, ttl: int, via: str, name: str) -> None:
        self._make = make
        self._ttl = ttl
        self._via = via
        self._name = name
        self._term = 0
        self._cancelled = False
        self.done = False
        self.closed = False
        self.brief = False
        self.leadership: Leadership | None = None
        self.process = self._make()
        self._start(6.0)

    def _begin_anew(self) -> None:
        self.process = self._make()
        self._start(0.5)

    def _start(self, within: float) -> None:
        self.world = self.process.world
        self.client = Client(self.process, self._name, self._ttl, self._via)
        self.leadership = None
        self._later(self.world.between(0.0, within * self._ttl), self._campaign)

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        client = self.client
        # What an earlier client was to do is not for this one.
        self.process.after(delay, lambda: call() if client is self.client else None)

    # -- the program

    def _campaign(self) -> None:
        if self.done or self.client.member.closed:
            return
        if self.leadership is not None and self.world.chance(0.5):
            return
        world, timeout = self.world, None
        if not self.brief:
            chance = world.random()
            if chance < 0.2:
                timeout = world.between(0.3, 3.0 * self._ttl)
            elif chance < 0.25:
                timeout = 0.0
            if world.chance(0.15):
                self._later(world.between(0.0, 2.0 * self._ttl), self.cancel)
        self._term += 1
        self._cancelled = False
        value = b"%s %d" % (self.process.name.encode(), self._term)
        world.say("%s  campaigns (timeout %s)", self.process.name, timeout)
        self.client.campaign(value, timeout, partial(self._told, self.client))

    def cancel(self) -> None:
        if not self.brief and self.client.cancel_campaign():
            self._cancelled = True
            self.world.counts["act: campaign cancelled"] += 1

    def _told(self, client: Client, leadership: Leadership | None, error: Exception | None) -> None:
        world = self.world
        if leadership is None:
            assert error is not None
            world.say("%s  campaign ended: %r", self.process.name, error)
            if isinstance(error, errors.ClientClosed) and client.member.closed:
                world.counts["outcome: ClientClosed"] += 1
                return
            self.process.judge.campaign_raised(client.process, error)
            if client is not self.client:
                return
            self._later(world.between(0.0, 0.3), self._campaign)
            return
        if self._cancelled:
            world.violated(f"{client.process.name}: a cancelled campaign returned a leadership")
        if leadership is self.leadership:
            world.counts["outcome: the same leadership, proclaimed"] += 1
            return
        world.counts["outcome: leadership"] += 1
        assert client is self.client, "a closed client was given a leadership"
        self.leadership = leadership
        self.process.judge.handed_out(self.process, leadership.state)
        leadership.state.when_ended(lambda: self.process.soon(self._lost, leadership))
        if self.brief:
            stay = 0.02
        else:
            stay = world.between(0.01, 4.0 * self._ttl) * (0.1 if world.chance(0.3) else 1.0)
            if world.chance(0.3):
                self._later(stay * world.random(), lambda: self._proclaim(leadership))
        self._later(stay, lambda: self._resign(leadership))

    def _proclaim(self, leadership: Leadership) -> None:
        if leadership.held and self.leadership is leadership:
            self.world.counts["act: proclaim"] += 1
            self.client.proclaim(leadership, b"a new value", self._written)

    def _written(self, error: Exception | None) -> None:
        if error is not None and not isinstance(error, errors.EtcdError):
            self.world.violated(f"proclaim raised {error!r}")

    def _resign(self, leadership: Leadership) -> None:
        if self.leadership is leadership and leadership.held:
            self.client.resign(leadership, partial(self._resigned, self.client))

    def _resigned(self, client: Client, error: Exception | None) -> None:
        self.world.counts[f"act: resign, {type(error).__name__ if error else 'confirmed'}"] += 1
        if error is not None and not isinstance(error, errors.EtcdError):
            self.world.violated(f"resign raised {error!r}")
        if client is not self.client:
            return
        if self.brief or self.world.chance(0.3):
            self._later(self.world.between(0.0, 0.5 * self._ttl), self._campaign)
        elif not self.client.member.closed:
            self.restart()

    def _lost(self, leadership: Leadership) -> None:
        reason = leadership.state.lost
        self.world.counts[f"lost: {reason.name if reason else 'not at all'}"] += 1
        self.world.say("%s  no longer leads: %s", self.process.name, reason)
        if self.leadership is not leadership:
            return
        self.leadership = None
        if self.brief and reason is LostReason.RESIGNED:
            self.done = True
        elif reason is not LostReason.RESIGNED or self.world.chance(0.3):
            # At once, perhaps: a resign may still be under way.
            self._later(self.world.between(0.0, 0.5 * self._ttl), self._campaign)

    # -- what happens to it

    def kill(self) -> None:
        """SIGKILL; another process takes its place a while later."""
        self.process.stop()
        self.leadership = None
        self.world.after(self.world.between(0.0, 2.0 * self._ttl), self._begin_anew)

    def restart(self) -> None:
        """Closes its client and begins anew with another."""
        self.world.counts["act: close"] += 1
        self.process.run(self.client.close, self.process.stop)
        self.world.after(self.world.between(0.0, self._absence()), self._begin_anew)

    def _absence(self) -> float:
        """How long nobody takes its place, at most."""
        return self._ttl * (1.0 if self.brief else 11.0)

    def end(self) -> None:
        """Closes for good."""
        self.process.run(self.client.close, self._ended)

    def _ended(self) -> None:
        self.process.stop()
        self.closed = True

    def hurry(self) -> None:
        """From now on brief; a leadership that stands is given up soon."""
        self.brief = True
        leadership = self.leadership
        if leadership is not None and leadership.held:
            self._later(0.02, lambda: self._resign(leadership))
