"""What the endpoint of an in-memory etcd leads to."""

from __future__ import annotations

import asyncio
import weakref

from .._core.lease import LeaseClock
from .._core.link import Link
from .server import Server
from .wires import AsyncioMemoryWire, BlockingMemoryWire, Calls


class MemoryNetwork:
    """A network with one etcd, and all connections to it.

    Args:
        server: The etcd.
        endpoint: Where it is: ``host:port``.

    Attributes:
        clock: The time there.
    """

    def __init__(self, server: Server, endpoint: str) -> None:
        self.clock = server.time
        self._server = server
        self._endpoint = endpoint
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()

    def blocking(self, link: Link) -> BlockingMemoryWire:
        """The wire of one blocking connection."""
        self._links.add(link)
        return BlockingMemoryWire(Calls(self._server, self._endpoint, link))

    def asyncio(self, link: Link, loop: asyncio.AbstractEventLoop) -> AsyncioMemoryWire:
        """The wire of one asyncio connection."""
        self._links.add(link)
        self._loops.add(loop)
        return AsyncioMemoryWire(Calls(self._server, self._endpoint, link), loop)

    def in_its_loop(self) -> bool:
        """True on the thread of an event loop that has connections."""
        try:
            return asyncio.get_running_loop() in self._loops
        except RuntimeError:
            return False

    def leases(self) -> list[LeaseClock]:
        """Those that clients believe in."""
        found: list[LeaseClock] = []
        for link in list(self._links):
            with link._lock:
                found += link._leases
        return [lease for lease in found if lease.alive and lease.ttl]

    def jumped(self) -> None:
        """Wakes all who wait by the clock."""
        for link in list(self._links):
            link.jumps.tell()
