"""Tables in Markdown: one row per thing measured, one column per etcd."""

from __future__ import annotations

from collections.abc import Sequence

SAME = "="
"""Stands for "as in the column before", where repeating it would drown what differs."""
SHORT = 16
"""Texts up to so many characters are repeated."""


def table(columns: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """The rows of all columns side by side; a row that a column lacks is left empty there."""
    for head, rows in columns:
        if len({label for label, _ in rows}) < len(rows):
            raise ValueError(f"two rows of {head} have the same label")
    labels = list(dict.fromkeys(label for _, rows in columns for label, _ in rows))
    cells = [dict(rows) for _, rows in columns]
    lines = [_line(["", *(head for head, _ in columns)]), "|---" * (len(columns) + 1) + "|"]
    lines += [
        _line([label, *_shortened([one.get(label, "") for one in cells])]) for label in labels
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shortened(cells: Sequence[str]) -> list[str]:
    before = ["", *cells[:-1]]
    return [
        SAME if cell == last and len(cell) > SHORT else cell
        for cell, last in zip(cells, before, strict=True)
    ]
