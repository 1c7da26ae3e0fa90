"""An etcd that is so far away: behind a proxy whose delay is set until a call takes what it should.

What the proxy is told alone would not do: it waits for whole milliseconds, and takes time itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from tests.support.etcd_server import EtcdServer
from tests.support.proxy import Mode, TcpProxy

from .child import Child
from .sampling import median

PROBES = 40
CORRECTIONS = 3
NEAR_ENOUGH = 0.05
"""Part of the distance by which a call may be off."""


def round_trip(endpoint: str) -> float:
    """Seconds that a small read takes on raw stubs: the median."""
    with Child.python("benchmarks.peers", "raw", endpoint, "probe") as child:
        child.ask("lead service 5 0", 30.0)
        return median(child.ask(f"lead service {PROBES} 0", 30.0)["leader"])


@contextlib.contextmanager
def reached(server: EtcdServer, distance: float) -> Generator[tuple[str, float]]:
    """An endpoint behind which etcd is so many seconds of round trip further away than it is.

    Yields it, and what a small read takes through it.
    """
    near = round_trip(server.endpoint)
    if not distance:
        yield server.endpoint, near
        return
    with TcpProxy(server.endpoint) as proxy:
        proxy.delay = distance / 2
        proxy.mode = Mode.DELAY
        takes = round_trip(proxy.endpoint)
        for _ in range(CORRECTIONS):
            excess = takes - near - distance
            if abs(excess) <= distance * NEAR_ENOUGH:
                break
            proxy.delay = min(distance, max(distance / 8, proxy.delay - excess / 2))
            takes = round_trip(proxy.endpoint)
        yield proxy.endpoint, takes
