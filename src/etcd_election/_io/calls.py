"""Calls that are started and not waited for: what both front-ends' wires have in common.

A call never raises ``grpc.RpcError``: a failure is a value that plans decide about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from .._core import status
from .._core.effects import NO_TURN, Ended, Fact, Failure, Invoke, Metadata, Open, Reply
from .._core.link import Link
from .._core.method import Lane
from .channels import Channel, Channels

Callback = Callable[[Reply], None]
Cancel = Callable[[], None]

logger = logging.getLogger("etcd_election")

CLOSED = Failure("CANCELLED", "the connection is closed")


class Begin(Protocol):
    """Starts one unary call and returns what cancels it; ``done`` is called once, however it ends.

    What it raises was raised before the call began.
    """

    def __call__(
        self,
        call: Any,
        request: Message,
        timeout: float | None,
        metadata: Metadata,
        done: Callback,
    ) -> Cancel:
        """The call."""
        ...


class Calls:
    """Unary calls, and the Campaign, of one connection. Thread-safe if ``begin`` is.

    Args:
        link: Its gate limits the unary calls.
        channels: Lends channels.
        begin: Starts a call.
        soon: Has something done that must not be done from within ``start``.
    """

    def __init__(
        self,
        link: Link,
        channels: Channels,
        begin: Begin,
        *,
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.link = link
        self.channels = channels
        self.begin = begin
        self.soon = soon

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, once.

        Returns:
            What cancels the call, or its place in the line before it left.
        """
        call = _Call(self, effect, effect.timeout, done)
        if effect.method.lane is not Lane.CALLS:
            call.begin()
        elif effect.spare and not self.link.gate.try_enter():
            self.soon(partial(done, NO_TURN))
        else:
            call.gated = True
            if effect.spare or self.link.gate.enter(call.admitted, aside=effect.aside):
                call.begin()
        return call.cancel

    def connect(self, endpoint: int, begin: Callable[[Channel], object]) -> None:
        """Has the connection for waits made, if nothing has used it yet; never fails.

        Args:
            endpoint: Where.
            begin: Has a channel connect.
        """
        channel = self.channels.enter(endpoint, Lane.WAITS)
        if channel is None:
            return
        try:
            if not channel.connecting:
                channel.connecting = True
                begin(channel)
        except (grpc.RpcError, ValueError) as error:
            logger.debug("no connection for waits on endpoint %d yet: %s", endpoint, error)
        except BaseException:
            self.channels.forsake(channel)
            raise
        finally:
            self.channels.leave(channel)

    def campaign(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign; its end is told."""
        call = _Call(self, effect, None, lambda reply: tell(Ended(reply)))
        call.begin()
        return call.cancel


class _Call:
    """One call, from its place in the line to its end.

    Attributes:
        gated: True for one that needs a place among the calls under way.
    """

    __slots__ = (
        "_calls",
        "_cancel",
        "_cancelled",
        "_channel",
        "_done",
        "_effect",
        "_over",
        "_timeout",
        "gated",
    )

    def __init__(
        self, calls: Calls, effect: Invoke | Open, timeout: float | None, done: Callback
    ) -> None:
        self.gated = False
        self._calls = calls
        self._effect = effect
        self._timeout = timeout
        self._done = done
        self._channel: Channel | None = None
        self._cancel: Cancel | None = None
        self._cancelled = False
        self._over = False

    def admitted(self) -> None:
        """Its turn has come, after a wait."""
        link, effect = self._calls.link, self._effect
        assert isinstance(effect, Invoke)  # noqa: S101 - a Campaign does not wait here
        if self._cancelled:
            self._calls.soon(partial(self._ended, CLOSED))
        elif (left := link.gate.left(effect.until)) <= 0:
            self._calls.soon(partial(self._ended, NO_TURN))
        else:
            effect.sent_at = link.clock()
            self._timeout = min(effect.timeout, left)
            self.begin()

    def begin(self) -> None:
        """Leaves now."""
        calls, effect = self._calls, self._effect
        cancel: Cancel | None = None
        try:
            channel = self._channel = calls.channels.enter(effect.endpoint, effect.method.lane)
            if channel is not None:
                call = channel.method(effect.method)
                cancel = calls.begin(
                    call, effect.request, self._timeout, effect.metadata, self._ended
                )
        except (grpc.RpcError, ValueError) as error:
            calls.soon(partial(self._ended, failure(error)))
            return
        except BaseException:
            # A signal handler's exception may have left a lock of the channel locked.
            calls.channels.forsake(self._channel)
            calls.soon(partial(self._ended, CLOSED))
            raise
        if cancel is None:
            calls.soon(partial(self._ended, CLOSED))
            return
        # In this order: whoever cancels or ends it meanwhile is seen here, or sees what is set.
        self._cancel = cancel
        if self._over:
            self._cancel = None
        elif self._cancelled:
            cancel()

    def cancel(self) -> None:
        """Ends it, if it is not over; ``done`` is called all the same."""
        self._cancelled = True
        cancel = self._cancel
        if cancel is not None:
            cancel()

    def _ended(self, reply: Reply) -> None:
        if self._over:
            # Interrupted when it had just begun, it was ended; now it has an end of its own.
            return
        # What cancels it refers to what tells of its end: no circle is left to be collected.
        self._over, self._cancel = True, None
        self._calls.channels.leave(self._channel)
        if self.gated:
            self._calls.link.gate.leave(answered=status.answered(reply))
        self._done(reply)


def failure(error: BaseException) -> Failure:
    """An exception of the gRPC library as a value."""
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", lambda: None)()
        details = getattr(error, "details", lambda: None)()
        return Failure(code.name if code else "UNKNOWN", details or "", error)
    return Failure("CANCELLED", str(error), error)
