"""Durations as people and etcdctl write them: ``5``, ``2.5``, ``500ms``, ``1m30s``."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)"
_LONGEST = 1e9
"""Some 30 years: what is longer was not meant."""


def seconds(text: str) -> float:
    """Reads a duration, a number of seconds where no unit is given.

    Raises:
        ValueError: It is none, or negative.
    """
    given = text.strip()
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", given, re.ASCII):
        duration = float(given)
    elif re.fullmatch(f"({_PART})+", given, re.ASCII):
        parts = re.findall(_PART, given, re.ASCII)
        duration = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        raise ValueError(f"{text!r} is no duration: write 5, 2.5, 500ms or 1m30s")
    if duration > _LONGEST:
        raise ValueError(f"{text!r} is too long")
    return duration
