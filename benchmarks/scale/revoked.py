"""One lease that leads hundreds of elections is revoked: all who waited are elected at once."""

from __future__ import annotations

import time

from ..sampling import median
from .stage import FRONTS, Rows, Stage, numbered, row, tell

PATIENCE = 30.0
WITHIN = 2.0


def rows(stage: Stage) -> Rows:
    count = stage.much(900, 100)
    for front, module in FRONTS.items():
        prefix = f"revoked-{front}-"
        names = numbered(prefix, range(count))
        lease, _ = stage.lead(names)
        with stage.crowd(module) as child:
            tell(child, "join", PATIENCE, names=names, ttl=60, via="kv")
            stage.await_keys(prefix, 2 * count, PATIENCE, child)
            began = time.monotonic()
            stage.raw.revoke(lease)
            took = [at - began for at in stage.await_elected(child, count, PATIENCE)]
            # Those who were not elected count as if they were at the end of the wait.
            took += [PATIENCE] * (count - len(took))
            yield row(
                f"a lease with {count} elections revoked: the last one elected",
                front,
                f"{max(took):.2f} s",
                beside=f"median {median(took):.2f} s",
                bound=f"<= {WITHIN:g} s",
            )
