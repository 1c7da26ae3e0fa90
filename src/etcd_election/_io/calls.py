"""Calls that are started and not waited for: what both front-ends' wires have in common.

A call never raises ``grpc.RpcError``: a failure is a value that plans decide about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from .._core import timing
from .._core.budget import Gate
from .._core.effects import Ended, Fact, Failure, Invoke, Metadata, Open, Reply
from .._core.method import Lane, Method
from .channels import Channel, Channels

Callback = Callable[[Reply], None]
Cancel = Callable[[], None]

CLOSED = Failure("CANCELLED", "the connection is closed")
_LEFT = Failure("CANCELLED", "too many calls of ours were under way")


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
        channels: Lends channels.
        begin: Starts a call.
        soon: Has something done that must not be done from within ``start``.
    """

    def __init__(
        self, channels: Channels, begin: Begin, *, soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self.gate = Gate(timing.MAX_CALLS)
        self._channels = channels
        self._begin = begin
        self._soon = soon

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, once.

        Returns:
            What cancels the call, or its place in the line before it left.
        """
        cancelled = threading.Event()
        cancels: list[Cancel] = []
        gated = effect.method.lane is Lane.CALLS

        def finished(reply: Reply) -> None:
            if gated:
                self.gate.leave()
            done(reply)

        def admitted() -> None:
            if cancelled.is_set():
                self._soon(partial(finished, CLOSED))
                return
            cancel = self._enter(
                effect.endpoint,
                effect.method,
                effect.request,
                timeout=effect.timeout,
                metadata=effect.metadata,
                done=finished,
            )
            cancels.append(cancel)
            if cancelled.is_set():
                cancel()

        def cancel_all() -> None:
            cancelled.set()
            for cancel in cancels:
                cancel()

        if not gated or self.gate.enter(None if effect.spare else admitted):
            admitted()
        elif effect.spare:
            self._soon(partial(done, _LEFT))
        return cancel_all

    def campaign(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign; its end is told."""
        return self._enter(
            effect.endpoint,
            effect.method,
            effect.request,
            timeout=None,
            metadata=effect.metadata,
            done=lambda reply: tell(Ended(reply)),
        )

    def _enter(
        self,
        endpoint: int,
        method: Method,
        request: Message,
        *,
        timeout: float | None,
        metadata: Metadata,
        done: Callback,
    ) -> Cancel:
        channel: Channel | None = self._channels.enter(endpoint, method.lane)
        if channel is None:
            self._soon(partial(done, CLOSED))
            return _nothing

        def ended(reply: Reply) -> None:
            self._channels.leave(channel)
            done(reply)

        try:
            return self._begin(channel.method(method), request, timeout, metadata, ended)
        except (grpc.RpcError, ValueError) as error:
            self._soon(partial(ended, failure(error)))
            return _nothing
        except BaseException:
            # A signal handler's exception may have left a lock of the channel locked.
            self._channels.forsake(channel)
            self._soon(partial(ended, CLOSED))
            raise


def _nothing() -> None:
    """There is nothing to cancel."""


def failure(error: BaseException) -> Failure:
    """An exception of the gRPC library as a value."""
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", lambda: None)()
        details = getattr(error, "details", lambda: None)()
        return Failure(code.name if code else "UNKNOWN", details or "", error)
    return Failure("CANCELLED", str(error), error)
