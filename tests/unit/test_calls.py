"""Calls that are started: how many are under way, and which are left where that is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd_election._core import timing
from etcd_election._core.effects import Failure, Invoke, Reply
from etcd_election._core.method import Method
from etcd_election._core.status import final
from etcd_election._io.calls import Calls
from etcd_election.pb import rpc_pb2

CALL = Invoke(0, Method.RANGE, rpc_pb2.RangeRequest(), 1.0, (), beside=1)


class FakeChannels:
    """One channel for all."""

    def enter(self, *_: object) -> FakeChannels:
        return self

    def leave(self, _: object) -> None:
        """It stays."""

    def method(self, method: Method) -> Method:
        return method


def test_second_calls_do_not_fill_the_line_of_those_that_wait() -> None:
    under_way: list[Callable[[Reply], None]] = []
    said: list[Reply] = []

    def begin(*given: Any) -> Callable[[], None]:
        under_way.append(given[-1])
        return lambda: None

    channels: Any = FakeChannels()
    calls = Calls(channels, begin, soon=lambda call: call())
    for _ in range(timing.MAX_CALLS):
        calls.start(CALL, lambda _: None)
    calls.start(CALL.second(), said.append)
    (left,) = said
    assert isinstance(left, Failure)
    assert not final(left), "the first one decides"
    assert len(under_way) == timing.MAX_CALLS
    under_way[0](rpc_pb2.RangeResponse())
    calls.start(CALL.second(), said.append)
    assert len(under_way) == timing.MAX_CALLS + 1
