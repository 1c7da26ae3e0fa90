"""What a waiting candidate knows, and what it is to do next.

Facts come in (the Campaign call ended, the queue was read, a watch said something, time passed);
``next`` answers with a step. Steps in the order in which they are decided::

    READ    something may have changed, or the beat is due: read the queue
    REJOIN  our key is gone, or the call that owned it broke: nothing more to wait for here
    STUCK   the Campaign was sent a second ago and no key stands: that call hangs in raft
    WON     a read showed our key first, and no Campaign call of its lease is open
    HANGS   first in the queue for a quarter of a second, as another read then confirms, and the
            Campaign still silent: that member's Election service hangs; leave it
    WAIT    until the instant given, or the next fact

Campaign's own answer is only a reason to read: it can be OK for a key that no longer exists. And an
open Campaign is a reason not to lead yet: when its connection ends, the server deletes the key.
The second read before HANGS is for a process or an etcd that stood still itself: where the Campaign
does not hang, it is answered before a read that was asked for so much later, or in the same moment.

Not decided here: whether the lease is still believed in. That is asked of its clock, last of all.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from . import timing
from .effects import Fact, KeyGone, KeyPut, WatchStands
from .standing import Standing


class Action(enum.Enum):
    """What a candidate is to do."""

    READ = "read"
    REJOIN = "rejoin"
    STUCK = "stuck"
    WON = "won"
    HANGS = "hangs"
    WAIT = "wait"


class Step(NamedTuple):
    """An action; ``until`` is the end of a WAIT, ``beat`` says that only the beat wants a READ."""

    action: Action
    until: float = 0.0
    beat: bool = False


class Candidacy:
    """One way through the queue, under one lease. Used by one plan.

    Attributes:
        key: The candidate key.
        call_open: True while a Campaign call of the lease is open.
        refusal: What etcd refused the Campaign for, if it did: final, unless the key stands.
    """

    def __init__(
        self, *, key: bytes, ttl: float, now: float, random: timing.Random, waits_in_call: bool
    ) -> None:
        self.key = key
        self._ttl = ttl
        self._random = random
        self._opened_at = now
        self.call_open = waits_in_call
        self._broken = False
        self.refusal: Exception | None = None
        self._standing: Standing | None = None
        self._first_at: float | None = None
        self._asking_again = False
        self._hangs_at: float | None = None
        self._read_at = now + timing.SETTLE
        self._beat = False
        self._early_pause = timing.SETTLE

    @property
    def token(self) -> int | None:
        """The create revision of our key, None while no read has shown it."""
        own = self._standing.own if self._standing else None
        return own.create_revision if own else None

    @property
    def standing(self) -> Standing | None:
        """The last read."""
        return self._standing

    def watched(self) -> frozenset[bytes]:
        """The keys whose changes matter: our own and the one before it."""
        if self._standing is None or self._standing.own is None:
            return frozenset()
        before = self._standing.before
        return frozenset((self.key,) if before is None else (self.key, before.key))

    def call_ended(self, now: float) -> None:
        """The server answered the Campaign, with OK or an error: its handler is through.

        A read that showed us first stays good: nothing in that end deletes the key.
        """
        self.call_open = False
        if self._standing is None or not self._standing.first:
            self._read_now(now)

    def call_refused(self, refusal: Exception, now: float) -> None:
        """The server answered the Campaign with an error that is final, unless our key stands.

        Even "permission denied" may be another user's who waits on that member (issue 17502).
        """
        self.call_open = False
        self.refusal = refusal
        self._read_now(now)

    def call_broke(self) -> None:
        """The Campaign ended without an answer: the server's clean-up may follow at any time."""
        self.call_open = False
        self._broken = True

    def told(self, fact: Fact, now: float) -> None:
        """A watch said something.

        One that broke says nothing about the key: it comes back by itself, and then stands anew;
        until then there is the beat.
        """
        if isinstance(fact, KeyPut):
            own = self._standing.own if self._standing else None
            if fact.kv.key == self.key and (own is None or fact.kv.lease != own.lease):
                self._read_now(now)
        elif isinstance(fact, (KeyGone, WatchStands)) and fact.key in self.watched():
            # A watch tells of all that comes after its revision: what was read there is known.
            read_at = self._standing.revision if self._standing else 0
            if read_at < fact.revision:
                self._read_now(now)

    def read(self, standing: Standing, now: float) -> None:
        """The queue was read."""
        stood = self.token is not None
        if standing.own is None and not stood and self.call_open:
            # Not there yet: look again, ever less often.
            self._early_pause *= 2
            self._read_at = now + self._early_pause
            stuck_at = self._opened_at + timing.KEY_WITHIN
            if now < stuck_at < self._read_at:
                self._read_at = stuck_at
            return
        if stood and standing.own and standing.own.create_revision != self.token:
            standing = Standing(None, None, standing.revision)
        self._standing = standing
        self._wait_for_beat(now)
        if not standing.first:
            self._first_at = None
        elif self._first_at is None:
            self._first_at = now
        self._hangs_at = now + timing.SETTLE if self._asking_again and standing.first else None
        self._asking_again = False

    def unread(self, now: float) -> None:
        """The queue could not be read just now."""
        self._wait_for_beat(now)
        if self._asking_again:
            self._first_at, self._asking_again = now, False

    def _wait_for_beat(self, now: float) -> None:
        self._read_at = timing.beat_after(now, self._ttl, self._random)
        self._beat = True

    def doubt(self, now: float) -> None:
        """What was read may be out of date."""
        self._read_now(now)

    def _read_now(self, now: float) -> None:
        self._read_at = now
        self._beat = False

    def next(self, now: float) -> Step:  # noqa: PLR0911 - one line of the table each
        """What to do."""
        if self._broken:
            return Step(Action.REJOIN)
        if now >= self._read_at:
            return Step(Action.READ, beat=self._beat)
        if self._standing is None:
            if self.call_open and now >= self._opened_at + timing.KEY_WITHIN:
                return Step(Action.STUCK)
            return Step(Action.WAIT, self._read_at)
        if self._standing.own is None:
            return Step(Action.REJOIN)
        if self._first_at is None:
            return Step(Action.WAIT, self._read_at)
        if not self.call_open:
            return Step(Action.WON)
        if now >= self._first_at + timing.TURN_WITHIN:
            return self._silent(now)
        return Step(Action.WAIT, min(self._read_at, self._first_at + timing.TURN_WITHIN))

    def _silent(self, now: float) -> Step:
        """What to do about a Campaign whose answer is overdue."""
        if self._hangs_at is None:
            self._asking_again = True
            return Step(Action.READ)
        if now < self._hangs_at:
            return Step(Action.WAIT, min(self._read_at, self._hangs_at))
        return Step(Action.HANGS)
