"""Leading term after term, or for one block: what ``run()`` and ``lead()`` do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from .. import errors
from .._core.leadership import OURS
from .._core.looping import After, Conditions, Loop
from ..types import LostReason
from .leadership import Leadership

if TYPE_CHECKING:
    from .client import ElectionClient

logger = logging.getLogger("etcd_election")

T = TypeVar("T")


@contextlib.contextmanager
def one_term(
    client: ElectionClient, value: str | bytes, timeout: float | None, conditions: Conditions
) -> Generator[Leadership, None, None]:
    """Leads for the time of a block, and raises at its end what it was lost for."""
    with client.campaign(value, timeout=timeout) as leadership:
        conditions.bind(leadership._state)
        yield leadership
        lost = leadership.lost
    if lost is not None and lost not in OURS:
        leadership.check()


class Run:
    """One ``run()``."""

    def __init__(
        self, client: ElectionClient, *, once: bool, cooldown: float, conditions: Conditions
    ) -> None:
        self._client = client
        self._conditions = conditions
        self._words: SimpleQueue[None] = SimpleQueue()
        self._loop = Loop(
            client._link,
            ttl=client._member.terms.ttl,
            once=once,
            cooldown=cooldown,
            wake=self._wake,
        )

    def run(self, lead: Callable[[Leadership], T], value: str | bytes) -> T | None:
        """Until ``lead`` returns while leading, or an error, or ``stop()``."""
        loop = self._loop
        with self._client._member.looping(loop):
            while not loop.stopping:
                leadership = self._elected(value)
                if leadership is None:
                    continue
                self._conditions.bind(leadership._state)
                result, lost = self._lead(lead, leadership)
                if loop.stopping:
                    break
                after = loop.after(leadership._state, lost)
                if after is After.RESULT:
                    return result
                if after is After.LOSS:
                    leadership.check()
                self._pause()
        return None

    def _elected(self, value: str | bytes) -> Leadership | None:
        """Campaigns; None: in vain, look around and try again."""
        try:
            return self._client.campaign(value)
        except errors.ElectionError as error:
            if self._loop.stopping:
                return None
            if not self._loop.failed(error):
                raise
        self._pause()
        return None

    def _lead(
        self, lead: Callable[[Leadership], T], leadership: Leadership
    ) -> tuple[T | None, LostReason | None]:
        """One term: what ``lead`` returned, and why leadership was lost before it was over."""
        self._loop.began()
        result: T | None = None
        lost: LostReason | None = None
        try:
            # Stopped since the win was published: nobody else will end this leadership.
            if self._loop.stopping:
                return None, None
            result = lead(leadership)
        except errors.ElectionError as error:
            if not self._loop.is_loss(error, leadership):
                raise
        finally:
            lost = leadership.lost
            self._resign(leadership)
        return result, lost

    def _resign(self, leadership: Leadership) -> None:
        try:
            leadership.resign()
        except errors.ElectionError as failed:
            # The key goes with its lease; what came of the work matters more.
            logger.warning("resigning from %r failed: %s", leadership.name, failed)

    def _pause(self) -> None:
        link = self._client._link
        ends_at = link.clock() + self._loop.delay
        forget = link.jumps.add(lambda: self._words.put(None))
        try:
            while not self._loop.stopping and (left := ends_at - link.clock()) > 0:
                with contextlib.suppress(Empty):
                    self._words.get(timeout=left)
        finally:
            forget()

    def _wake(self) -> None:
        self._words.put(None)
        machinery = self._client._etcd._machinery
        if machinery is not None:
            machinery.engine.later(self._client._member.stop_believing)
