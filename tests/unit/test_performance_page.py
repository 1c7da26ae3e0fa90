"""What docs/performance.md shows agrees with itself, and with the programs that print it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import bounds, cost, table

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text()
JUDGED = ("bench", "imports", "scale")
ROWS = [row for name in JUDGED for row in table.rows_in(table.block(PAGE, name))]
WHY = PAGE.partition("\n## What is missed, and why\n")[2]


def title(row: dict[str, str]) -> str:
    return row["work"] if "work" in row else row["what"]


@pytest.mark.parametrize("name", JUDGED)
def test_every_table_is_there(name: str) -> None:
    assert table.rows_in(table.block(PAGE, name))


def test_every_verdict_agrees_with_its_numbers_and_bound() -> None:
    assert [row for row in ROWS if row["verdict"] != table.verdict(row)] == []


def test_every_ratio_agrees_with_its_times() -> None:
    def milliseconds(cell: str) -> float:
        return float(cell.partition(" ms")[0])

    for row in table.rows_in(table.block(PAGE, "bench")):
        for other in ("raw", "Go"):
            if row[other] != table.NONE:
                ratio = milliseconds(row["ours"]) / milliseconds(row[other])
                assert float(row[f"x {other}"]) == pytest.approx(ratio, rel=0.03, abs=0.006), row


def test_every_row_that_missed_its_bound_is_explained() -> None:
    missed = {title(row) for row in ROWS if row["verdict"] == table.MISSED}
    explained = set(re.findall(r"\*\*(.+?)\*\*", " ".join(WHY.split())))
    assert missed - explained == set(), "these are missed and not explained"
    assert explained - missed == set(), "these are explained and not missed"


def test_the_rows_and_bounds_are_those_of_the_program() -> None:
    shown = {
        (row["work"], row["front-end"], row["round trip"]): row["bound"]
        for row in table.rows_in(table.block(PAGE, "bench"))
    }
    links = (bounds.LOOPBACK, bounds.NEAR, bounds.FAR)
    assert shown == {
        (row.title, front, link): row.bound(link)
        for row in bounds.ROWS
        for front in bounds.FRONTS
        for link in links
    }


def test_the_costs_are_those_of_the_model() -> None:
    assert table.markdown(cost.rows()) in table.block(PAGE, "cost")


@pytest.mark.parametrize(
    ("measured", "bound", "verdict"),
    [
        ("60.0 kB", "<= 60 kB", table.MET),
        ("60.1 kB", "<= 60 kB", table.MISSED),
        ("-0.2 ms", "<= 0.00 ms", table.MET),
        ("0", "<= 0", table.MET),
        ("7.0 %", "-", table.NONE),
    ],
)
def test_a_row_is_judged_by_what_was_measured(measured: str, bound: str, verdict: str) -> None:
    assert table.verdict({"measured": measured, "bound": bound}) == verdict


@pytest.mark.parametrize(
    ("raw", "go", "verdict"),
    [
        ("1.30", "1.10", table.MET),
        ("1.31", "1.10", table.MISSED),
        ("1.30", "1.11", table.MISSED),
        ("1.30", "-", table.MET),
        ("1.31", "-", table.MISSED),
    ],
)
def test_a_row_is_judged_by_all_its_ratios(raw: str, go: str, verdict: str) -> None:
    row = {"x raw": raw, "x Go": go, "bound": "<= 1.3 x raw; <= 1.1 x Go"}
    assert table.verdict(row) == verdict


@pytest.mark.parametrize(
    ("measured", "bound"), [("3 s", "<= 60 ms"), ("none", "<= 60 ms"), ("3 ms", "< 60 ms")]
)
def test_what_cannot_be_judged_is_an_error(measured: str, bound: str) -> None:
    with pytest.raises(ValueError, match="bound"):
        table.verdict({"measured": measured, "bound": bound})


def test_a_table_is_put_where_its_markers_are(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: x -->\nold\n<!-- end -->\nb\n<!-- table: y -->\n<!-- end -->\n")
    row = table.judged({"what": r"a\1b", "measured": "1 s", "bound": "<= 2 s"})
    table.put(page, "x", table.markdown([row]))
    assert table.rows_in(table.block(page.read_text(), "x")) == [row]
    assert page.read_text().startswith("a\n")
    assert "old" not in page.read_text()
    assert table.block(page.read_text(), "y") == ""
    with pytest.raises(ValueError, match="places"):
        table.put(page, "z", "")


def test_the_model_knows_the_beat_and_what_is_asked_with_it() -> None:
    candidate, leader = (kind(15, b"name", b"v") for kind in (cost.candidate, cost.leader))
    assert candidate.calls == leader.calls == pytest.approx(2 / (5 * 0.95))
    assert (candidate.watches, leader.watches) == (2, 1)
    assert cost.candidate(30, b"name", b"v").calls == pytest.approx(candidate.calls / 2)
