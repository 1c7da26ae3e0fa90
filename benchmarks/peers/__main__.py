"""A peer as a process: `python -m benchmarks.peers PEER ENDPOINT NAME`.

Every line on stdin, "WORK VIA COUNT SECONDS", is a work to be done so many times; the answer is a
line of JSON on stdout, the seconds that each time took, by step. The first line says that it is
there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from . import aio, blocking

OURS = ("ours", "ours-aio")


def ours(endpoint: str, name: str) -> blocking.Way:
    from .ours import Ours  # noqa: PLC0415 - a peer imports nothing that it does not need

    return Ours(endpoint, name)


def raw(endpoint: str, name: str, *, verify: bool = True, watching: bool = False) -> blocking.Way:
    from .raw import Raw  # noqa: PLC0415

    return Raw(endpoint, name, verify=verify, watching=watching)


async def ours_aio(endpoint: str, name: str) -> aio.Way:
    from .ours_aio import OursAio  # noqa: PLC0415

    return OursAio(endpoint, name)


async def raw_aio(
    endpoint: str, name: str, *, verify: bool = True, watching: bool = False
) -> aio.Way:
    from .raw_aio import RawAio  # noqa: PLC0415

    way = RawAio(endpoint, name, verify=verify)
    if watching:
        await way.watch()
    return way


async def etcd3aio(endpoint: str, name: str) -> aio.Way:
    from .other import Etcd3Aio  # noqa: PLC0415

    way = Etcd3Aio(endpoint, name)
    await way.connect()
    return way


BLOCKING: dict[str, Callable[[str, str], blocking.Way]] = {
    "ours": ours,
    "raw": raw,
    "raw-watch": partial(raw, watching=True),
    "naive": partial(raw, verify=False),
}
AIO: dict[str, Callable[[str, str], Awaitable[aio.Way]]] = {
    "ours-aio": ours_aio,
    "raw-aio": raw_aio,
    "raw-watch-aio": partial(raw_aio, watching=True),
    "naive-aio": partial(raw_aio, verify=False),
    "etcd3aio": etcd3aio,
}


def main(peer: str, endpoint: str, name: str) -> None:
    with_grpc: Callable[[], float] | None = None
    if peer in OURS:
        from .with_grpc import WithGrpc  # noqa: PLC0415

        with_grpc = WithGrpc().seconds
    if peer in AIO:
        asyncio.run(aio.serve(lambda: AIO[peer](endpoint, name), with_grpc))
    else:
        blocking.serve(BLOCKING[peer](endpoint, name), with_grpc)


if __name__ == "__main__":
    main(*sys.argv[1:])
