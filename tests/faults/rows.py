"""One promise, judged, and how that is shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .history import History

ROOM = 0.1
"""The observer may hear of a key so many seconds after its owner."""


@dataclass(frozen=True)
class Row:
    """One promise, judged."""

    promise: str
    measured: str
    permitted: str
    holds: bool
    details: tuple[str, ...] = ()


def table(rows: list[Row]) -> str:
    """The rows for people."""
    widths = [max(len(row.promise) for row in rows), max(len(row.measured) for row in rows)]
    lines = []
    for row in rows:
        mark = "  " if row.holds else "! "
        lines.append(
            f"{mark}{row.promise:<{widths[0]}}  {row.measured:>{widths[1]}}  {row.permitted}"
        )
        shown = row.details if not row.holds else row.details[:3]
        lines += [f"      {detail}" for detail in shown[:20]]
    return "\n".join(lines)


def at(history: History, instant: float) -> str:
    """An instant as seconds since the run began."""
    return f"at {instant - history.window[0]:.2f}"
