"""What becomes of ``run()`` after a campaign and after a term: again, or the end.

::

    campaign --elected-----------------------------> lead
    campaign --Unavailable, SessionExpired---------> campaign, after a backoff
    campaign --any other error---------------------> raised
    lead     --returned while leading--------------> resigned, its result is returned
    lead     --raised------------------------------> resigned, raised
    lead     --over, leadership was lost before----> campaign; at once after a term of some length
    lead     --over, leadership was given up-------> campaign, after the cool-down
    any      --stop()------------------------------> no leadership is believed in any more; None is
                                                     returned as soon as ``lead`` is over

With ``once``, what would campaign again after a term ends instead: a loss is raised.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable

from .. import errors
from ..types import LostReason
from . import arguments, timing
from .condition import Condition
from .leadership import OURS, LeadershipState
from .link import Link

logger = logging.getLogger("etcd_election")


class Conditions:
    """What a term is bound to, checked; each term gets its own ``Condition``."""

    def __init__(self, link: Link, ttl: int, renew_while: object, max_term: object) -> None:
        self._renew_while = arguments.optional_function("renew_while", renew_while)
        longest = arguments.optional_seconds("max_term", max_term)
        if longest is not None and longest < ttl:
            raise ValueError(f"max_term must not be shorter than the ttl ({ttl} s), got {longest}")
        self._link = link
        self._longest = longest

    def bind(self, state: LeadershipState) -> None:
        """From now on this leadership is renewed under these conditions."""
        if self._renew_while is None and self._longest is None:
            return
        ends_at = None if self._longest is None else self._link.clock() + self._longest
        state.lease.condition = Condition(self._renew_while, ends_at)


class After(enum.Enum):
    """What comes after a term."""

    RESULT = "the result of lead"
    LOSS = "the loss is raised"
    AGAIN = "another campaign"


class Loop:
    """One ``run()``. ``stop`` may be called anywhere, the rest by what runs it.

    Args:
        link: The connection.
        ttl: The client's.
        once: Whether one term is all.
        cooldown: Seconds to the next campaign after leadership was given up.
        wake: Ends a pause; callable anywhere.

    Attributes:
        stopping: True from ``stop`` on.
        delay: Seconds to the next campaign.
    """

    def __init__(
        self,
        link: Link,
        *,
        ttl: int,
        once: object,
        cooldown: object,
        wake: Callable[[], None],
    ) -> None:
        self.stopping = False
        self.delay = 0.0
        self._cooldown = arguments.seconds("cooldown", cooldown)
        self._once = bool(once)
        self._link = link
        self._ttl = ttl
        self._wake = wake
        self._in_vain = 0
        self._led_since = 0.0

    def stop(self) -> None:
        """Has it end. Takes no lock."""
        self.stopping = True
        self._wake()

    def failed(self, error: errors.ElectionError) -> bool:
        """A campaign ended with an error; True if it is worth another one."""
        if not isinstance(error, (errors.Unavailable, errors.SessionExpired)):
            return False
        self._back_off()
        logger.warning("campaigning again in %.1f s: %s", self.delay, error)
        return True

    def began(self) -> None:
        """A term begins."""
        self._led_since = self._link.clock()

    def is_loss(self, error: BaseException, leadership: object) -> bool:
        """Whether ``lead`` only raised that this leadership is lost."""
        lost = isinstance(error, (errors.SessionExpired, errors.NotLeader))
        return lost and error.leadership is leadership  # type: ignore[attr-defined]

    def after(self, state: LeadershipState, lost: LostReason | None) -> After:
        """``lead`` is over.

        Args:
            state: Its leadership.
            lost: Why that was lost before ``lead`` was over; None if it was held to the end.
        """
        if lost is None or (self._once and lost in OURS):
            return After.RESULT
        if self._once:
            return After.LOSS
        condition = state.lease.condition
        if lost is LostReason.RESIGNED or (condition is not None and condition.withheld):
            self._in_vain = 0
            self.delay = self._cooldown
        elif self._link.clock() - self._led_since >= self._ttl:
            self._in_vain = 0
            self.delay = 0.0
        else:
            self._back_off()
        return After.AGAIN

    def _back_off(self) -> None:
        self.delay = timing.loop_delay(self._in_vain, self._link.random)
        self._in_vain += 1
