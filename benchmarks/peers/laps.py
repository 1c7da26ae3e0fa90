"""How long a peer's steps take, and how long in each at least one of its calls is with gRPC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from time import perf_counter

from ..bounds import IN_GRPC

Samples = dict[str, list[float]]


def _none() -> float:
    return 0.0


class Laps:
    """Seconds by step.

    Args:
        with_grpc: Tells how long calls have been with gRPC so far; None: that is not asked.

    Attributes:
        took: What was measured.
    """

    def __init__(self, with_grpc: Callable[[], float] | None = None) -> None:
        self.took: Samples = defaultdict(list)
        self._asked = with_grpc is not None
        self._with_grpc = with_grpc or _none
        self.begin()

    def begin(self) -> None:
        """A lap begins."""
        self._busy = self._with_grpc()
        self._began = perf_counter()

    def end(self, step: str) -> None:
        """A lap is over, and the next one begins."""
        now, busy = perf_counter(), self._with_grpc()
        self.took[step].append(now - self._began)
        if self._asked:
            self.took[step + IN_GRPC].append(busy - self._busy)
        self.begin()
