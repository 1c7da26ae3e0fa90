"""What many times are boiled down to, and how it is written. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def median(samples: Sequence[float]) -> float:
    """The one in the middle."""
    return statistics.median(samples)


def p99(samples: Sequence[float]) -> float:
    """The smallest that 99 of 100 do not exceed: of fewer than 100, the largest."""
    return sorted(samples)[math.ceil(len(samples) * 0.99) - 1]


def milliseconds(seconds: float) -> str:
    """Three digits that count."""
    thousandths = seconds * 1000
    digits = 2 if thousandths < 10 else 1  # noqa: PLR2004
    return f"{thousandths:.{digits}f} ms"


def both(samples: Sequence[float]) -> str:
    """Median and p99."""
    return f"{milliseconds(median(samples))} (p99 {milliseconds(p99(samples)).removesuffix(' ms')})"
