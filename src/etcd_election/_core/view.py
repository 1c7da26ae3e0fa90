"""What both front-ends' objects show without waiting: one text for both.

Nothing here takes a lock that a signal handler could find taken, waits, or sends anything.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from .. import errors
from ..pb import rpc_pb2
from ..types import LostReason, State
from .leadership import LeadershipState
from .member import Face, Member
from .standing import created_at

L = TypeVar("L", bound=Face)


class ClientView(Generic[L]):
    """What a client tells about itself."""

    _member: Member[L]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.state.value}>"

    @property
    def name(self) -> bytes:
        """The election."""
        return self._member.terms.name

    @property
    def state(self) -> State:
        """What this client is doing; LEADING exactly while its leadership is held."""
        return self._member.state

    @property
    def leadership(self) -> L | None:
        """The leadership that is held now, or None."""
        return self._member.leadership

    @property
    def lease_id(self) -> int | None:
        """The present lease; None while there is none."""
        return self._member.lease_id

    def cancel_campaign(self) -> bool:
        """Cancels the campaigns that run or are queued now.

        Takes no lock: may be called on any thread and in a signal handler.

        Returns:
            Whether there was one; after True none of them returns a leadership.
        """
        tickets = self._member.line.tickets()
        cancelled = [ticket.cancel() for ticket in tickets if ticket.campaigns]
        return any(cancelled)

    def stop(self) -> bool:
        """Ends ``run()`` cleanly: it campaigns no more, and leadership is no longer believed in.

        The key is removed as soon as ``lead`` is over; so nobody else leads before. Takes no lock:
        may be called on any thread and in a signal handler.

        Returns:
            Whether there was one.
        """
        loop = self._member.loop
        if loop is None:
            return False
        loop.stop()
        self.cancel_campaign()
        return True


class LeadershipView:
    """What a leadership tells about itself."""

    _state: LeadershipState

    def __repr__(self) -> str:
        lost = self.lost
        now = f"held, {self.remaining:.1f} s left" if lost is None else f"lost: {lost.value}"
        return f"<{type(self).__name__} {self.name!r} token={self.token} {now}>"

    def __bool__(self) -> bool:
        return self.held

    @property
    def held(self) -> bool:
        """True while this is leadership, computed now; once False, for ever.

        Takes no lock: may be asked anywhere, on any thread and in a signal handler too.
        """
        return self._state.held

    @property
    def lost(self) -> LostReason | None:
        """Why it is no longer held, or None while it is."""
        return self._state.lost

    @property
    def remaining(self) -> float:
        """Seconds to the local deadline, which every renewal moves; 0.0 when lost."""
        return self._state.remaining()

    @property
    def token(self) -> int:
        """The fencing token, the key's create revision. It grows from leader to leader."""
        return self._state.token

    @property
    def key(self) -> bytes:
        """The candidate key, ``name/<lease in hexadecimal>``."""
        return self._state.key

    @property
    def lease_id(self) -> int:
        """The lease that the key hangs on."""
        return self._state.lease.lease_id

    @property
    def name(self) -> bytes:
        """The election."""
        return self._state.name

    @property
    def value(self) -> bytes:
        """What was proclaimed last and confirmed by etcd."""
        return self._state.value

    def check(self) -> None:
        """Does nothing while leadership is held.

        Raises:
            SessionExpired: It was lost with its lease.
            NotLeader: It ended for another reason (``reason``).
        """
        reason = self.lost
        if reason is None:
            return
        if reason is LostReason.SESSION_EXPIRED:
            raise errors.SessionExpired(
                f"leadership of {self.name!r} ended with lease {self.lease_id:x}:"
                " campaign() again, with a new one",
                lease_id=self.lease_id,
                leadership=self,
                reason=reason,
            )
        raise errors.NotLeader(
            f"leadership of {self.name!r} ended: {reason.value}; to lead again, campaign() again",
            leadership=self,
            reason=reason,
        )

    def guard(self) -> rpc_pb2.Compare:
        """The condition "this leadership stands", for transactions of your own."""
        return created_at(self.key, self.token)
