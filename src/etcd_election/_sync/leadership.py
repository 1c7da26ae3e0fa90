"""A leadership, as it is handed out."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from .. import errors
from .._core import arguments
from .._core.leadership import LeadershipState
from .._core.plans import leading
from .._core.view import LeadershipView
from ..pb import rpc_pb2
from ..types import LostReason

if TYPE_CHECKING:
    from .client import ElectionClient

logger = logging.getLogger("etcd_election")


class Leadership(LeadershipView):
    """Proof of having been elected, and the question whether that still holds.

    ``held`` is True only while no other candidate of this library can have been elected, as far as
    a client can see to it: the lease's local deadline has not passed and no loss is known. A write
    already on its way when leadership ends can only be stopped by whoever receives it, with
    ``token``. Thread-safe.
    """

    def __init__(self, client: ElectionClient, state: LeadershipState) -> None:
        self._client = client
        self._state = state
        self._process = os.getpid()

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Waits until leadership is lost.

        Args:
            timeout: Seconds; None waits for ever.

        Returns:
            True if it is lost, False if the time was not enough.
        """
        patience = arguments.optional_seconds("timeout", timeout)
        link = self._client._link
        ends_at = float("inf") if patience is None else link.clock() + patience
        woken = threading.Event()
        forget = self._state.when_ended(woken.set), link.jumps.add(woken.set)
        try:
            while self.held:
                left = ends_at - link.clock()
                if left <= 0:
                    return False
                # A suspend is not counted by a wait, but by the deadline: look again in time.
                woken.wait(min(left, self.remaining, self._state.lease.ttl / 3))
                woken.clear()
        finally:
            for remove in forget:
                remove()
        self._state.settle()
        return True

    def on_lost(self, callback: Callable[[Leadership], object]) -> Callable[[], None]:
        """Calls back once when leadership is lost; at once, here, if it is already.

        Later it runs on a thread of its own. While a callback is registered the client is not
        collected.

        Args:
            callback: Called with this leadership; what it raises is logged.

        Returns:
            What removes the callback.
        """
        arguments.function("callback", callback)
        registering = True

        def ended() -> None:
            if registering:
                self._call(callback)
                return
            threading.Thread(
                target=self._call, args=(callback,), name="etcd_election-lost", daemon=True
            ).start()

        remove = self._state.when_ended(ended)
        registering = False
        return remove

    def proclaim(self, value: str | bytes, *, timeout: float | None = None) -> None:
        """Replaces the value that others read.

        Args:
            value: ``str`` (as UTF-8) or ``bytes``.
            timeout: Seconds; None: the connection's.

        Raises:
            SessionExpired, NotLeader: Leadership is not held; nothing was written.
            EtcdError: Etcd refused, or the outcome is not known (``maybe_applied``).
        """
        proposed = arguments.octets("value", value)
        machinery, deadline = self._client._ready(timeout)
        self.check()
        machinery.run(leading.proclaim(machinery.link, self._state, proposed, deadline=deadline))
        if self.lost is LostReason.KEY_DELETED:
            self.check()

    def transaction(
        self,
        success: Sequence[rpc_pb2.RequestOp],
        failure: Sequence[rpc_pb2.RequestOp] = (),
        *,
        compare: Sequence[rpc_pb2.Compare] = (),
        timeout: float | None = None,
    ) -> rpc_pb2.TxnResponse:
        """Writes to etcd only while this leadership stands there.

        Args:
            success: Operations to carry out if all of ``compare`` hold.
            failure: Operations to carry out if not.
            compare: Further conditions.
            timeout: Seconds; None: the connection's.

        Returns:
            The response to ``success`` or ``failure``.

        Raises:
            SessionExpired, NotLeader: Leadership does not stand; nothing was written.
            EtcdError: Etcd refused, or the outcome is not known (``maybe_applied``).
        """
        machinery, deadline = self._client._ready(timeout)
        self.check()
        response = machinery.run(
            leading.transaction(
                machinery.link, self._state, success, failure, compare, deadline=deadline
            )
        )
        if response is None:
            self.check()
            raise errors.NotLeader(leadership=self)
        return response

    def resign(self, *, timeout: float | None = None) -> None:
        """Gives leadership up: ``held`` is False before the request leaves.

        Does nothing if leadership was lost. One that failed may be called again; renewing has
        stopped all the same, and the key is being removed in the background.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            EtcdError: Etcd did not confirm that the key is gone.
        """
        arguments.optional_seconds("timeout", timeout)
        self._state.end(LostReason.RESIGNED)
        if self._state.lost is not LostReason.RESIGNED or os.getpid() != self._process:
            return
        if not self._state.key_left or self._client._member.closed:
            return
        machinery, deadline = self._client._ready(timeout)
        machinery.run(
            leading.resign(machinery.link, machinery.background, self._state, deadline=deadline)
        )

    def __enter__(self) -> Leadership:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.resign()
        except errors.ElectionError as failed:
            # The key goes with its lease; the body's own exception matters more, if there is one.
            if error is None:
                raise
            logger.warning("resigning from %r failed: %s", self.name, failed)

    def _call(self, callback: Callable[[Leadership], object]) -> None:
        try:
            callback(self)
        except Exception:
            logger.exception("a callback for lost leadership of %r failed", self.name)
