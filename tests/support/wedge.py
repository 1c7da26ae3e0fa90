"""The hang of a member's Election service: made on purpose, and looked for (etcd issue 20716)."""

from __future__ import annotations

import grpc

from .events import queue_of
from .raw import TIMEOUT, RawEtcd

WAITS = 60
SILENT = 1.5


def waits_work(raw: RawEtcd, name: str) -> bool:
    """True if a contested Campaign hears of its turn; ``name`` is an election nobody else uses."""
    first, second = raw.grant(), raw.grant()
    leader = raw.campaign(name, first).result(TIMEOUT).leader
    waiting = raw.campaign(name, second)
    queue_of(raw, name, 2)
    raw.resign(leader)
    try:
        waiting.result(SILENT)
    except grpc.FutureTimeoutError:
        return False
    return True


def wedge(raw: RawEtcd) -> None:
    """Ends many waits at once, until the member hangs for everybody.

    Raises:
        AssertionError: It does not.
    """
    # On a busy machine the waits end one by one, and one attempt in ten succeeds.
    for attempt in range(100):
        if not waits_work(raw, f"probe{attempt}"):
            return
        name = f"wedge{attempt}"
        raw.campaign(name, raw.grant()).result(TIMEOUT)
        waits = [raw.campaign(name, raw.grant()) for _ in range(WAITS)]
        queue_of(raw, name, WAITS + 1)
        for wait in waits:
            wait.cancel()
    raise AssertionError("the Election service of this etcd could not be made to hang")
