"""Channels of grpc.aio, where no etcd is needed to see what becomes of them."""

from __future__ import annotations

import asyncio

import pytest

from etcd_election._core.effects import Failure
from etcd_election._io.grpc_aio import Wire

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
