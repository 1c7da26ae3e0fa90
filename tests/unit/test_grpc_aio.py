"""Channels of grpc.aio, where no etcd is needed to see what becomes of them."""

from __future__ import annotations

import asyncio

import pytest

from etcd_election._core.effects import Failure
from etcd_election._io.grpc_aio import WatchCall, Wire
from etcd_election.pb import rpc_pb2

from .core.support import FakeClock, make_link


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_connection_can_be_closed_when_a_stream_was_just_opened(turns: int) -> None:
    """Before grpc.aio has begun with it: there was nothing to wait for, and that was an error."""

    async def main() -> None:
        wire = Wire(make_link(FakeClock()), None, (), asyncio.get_running_loop())
        wire.watch(0, (), lambda _: None, ended.append)
        for _ in range(turns):
            await asyncio.sleep(0)
        await wire.close()

    ended: list[Failure | None] = []
    asyncio.run(main())
    assert len(ended) == 1


class Stream:
    """A stream that takes what is written at once."""

    def __init__(self) -> None:
        self.written: list[int] = []

    async def write(self, request: rpc_pb2.WatchRequest) -> None:
        self.written.append(request.create_request.watch_id)


def test_what_is_sent_when_the_last_write_has_just_ended_leaves_too() -> None:
    """A watch asked for in that moment never stood: a candidate waited for its beat."""

    async def sends() -> list[int]:
        loop = asyncio.get_running_loop()
        stream = Stream()
        call = WatchCall(Wire(make_link(FakeClock()), None, (), loop), stream)
        call.send(asking(1))
        # In the turn after that in which the first one is written.
        loop.call_soon(call.send, asking(2))
        for _ in range(5):
            await asyncio.sleep(0)
        return stream.written

    assert asyncio.run(sends()) == [1, 2]


def asking(number: int) -> rpc_pb2.WatchRequest:
    create = rpc_pb2.WatchCreateRequest(key=b"jobs/abc", watch_id=number)
    return rpc_pb2.WatchRequest(create_request=create)
