"""Tables in Markdown: rows judged by the numbers they show, and found again in a page. Pure.

A row is its cells by their columns. The cell `bound` has one or more clauses, parted by semicolons:

    <= 1.3 x raw     the number in the column "x raw" (or "x Go") is at most that
    <= 60 kB         the number in the column "measured", which is in that unit, is at most that

A clause whose number is missing (there was no Go) is not judged. The verdict comes from what is
shown, so that whoever reads a table can check it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str]

NONE = "-"
MET = "met"
MISSED = "MISSED"

_CLAUSE = re.compile(r"<= ([\d.]+) ?(.*)")
_NUMBER = re.compile(r"-?[\d.]+")


def verdict(row: Row) -> str:
    """Met, MISSED, or "-" where nothing could be judged.

    Raises:
        ValueError: The bound is no bound, or in another unit than what was measured.
    """
    outcomes = []
    for clause in row["bound"].split("; "):
        if clause == NONE:
            continue
        parts = _CLAUSE.fullmatch(clause)
        if parts is None:
            raise ValueError(f"{clause!r} is not a bound")
        shown = _shown(row, parts[2])
        if shown is not None:
            outcomes.append(shown <= float(parts[1]))
    if not outcomes:
        return NONE
    return MET if all(outcomes) else MISSED


def _shown(row: Row, unit: str) -> float | None:
    """The number that a clause is about."""
    ratio = unit.startswith("x ")
    cell = row[unit] if ratio else row["measured"]
    if cell == NONE:
        return None
    number = _NUMBER.match(cell)
    if number is None or (not ratio and cell[number.end() :].strip() != unit):
        raise ValueError(f"{cell!r} is not in the unit of its bound, {unit!r}")
    return float(number[0])


def judged(row: Row) -> dict[str, str]:
    """The row with its verdict."""
    return {**row, "verdict": verdict(row)}


def markdown(rows: Sequence[Row]) -> str:
    """The table, its columns those of the first row."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows_in(text: str) -> list[dict[str, str]]:
    """The rows of the tables in a text that have a bound."""
    found: list[dict[str, str]] = []
    columns: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not columns:
            columns = cells
        elif "bound" in columns and set(cells) != {"---"}:
            found.append(dict(zip(columns, cells, strict=True)))
    return found


def _markers(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table: {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def block(page: str, name: str) -> str:
    """What a page has between the markers of a name.

    Raises:
        ValueError: It has none, or more than one.
    """
    found = _markers(name).findall(page)
    if len(found) != 1:
        raise ValueError(f"the page has {len(found)} places for {name!r}")
    return str(found[0][1])


def put(path: Path, name: str, text: str) -> None:
    """Replaces what a page has between the markers of a name."""
    page = path.read_text()
    block(page, name)
    path.write_text(_markers(name).sub(lambda found: f"{found[1]}{text}\n{found[3]}", page))
