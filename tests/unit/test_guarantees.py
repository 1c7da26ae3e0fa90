"""What docs/guarantees.md names exists, be it a test, a row, a remedy or a link."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from etcd_election._cli import guardian
from etcd_election._core import timing
from tests.faults.checker import judge
from tests.sim.mutations import MUTATIONS

from .fault_story import Story

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TEXT = (DOCS / "guarantees.md").read_text()
PROSE = " ".join(TEXT.split())

TESTS = sorted(set(re.findall(r"`(tests/[^`:]+)::([^`]+)`", PROSE)))
ROWS = sorted(set(re.findall(r"\brow `([^`]+)`", PROSE)))
REMEDIES = sorted(set(re.findall(r"\bremedy `([^`]+)`", PROSE)))
PROMISES = re.split(
    r"^### ", TEXT.partition("\n## Promises\n")[2].partition("\n## ")[0], flags=re.MULTILINE
)


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in names_in(path), f"docs/guarantees.md names {path}::{name}"


def test_every_row_of_the_fault_suite_that_is_named_is_judged() -> None:
    judged = {row.promise.strip() for row in judge(Story.good().history())}
    judged = {"growth" if row.startswith("growth in ") else row for row in judged}
    assert [row for row in ROWS if row not in judged] == []


def test_every_row_of_the_fault_suite_is_named() -> None:
    judged = {row.promise.strip() for row in judge(Story.good().history())}
    missing = [row for row in judged if row not in ROWS and not row.startswith("growth in ")]
    assert missing == ["processes that ended badly"], "which promises nothing to users"


def test_every_remedy_that_is_named_is_one_of_the_simulations() -> None:
    assert [remedy for remedy in REMEDIES if remedy not in MUTATIONS] == []


def test_every_promise_is_guarded() -> None:
    assert len(PROMISES) > 10
    for promise in PROMISES[1:]:
        assert "\nGuarded by:" in promise, promise.partition("\n")[0]
        assert re.search(r"`tests/[^`]+::test_", promise), promise.partition("\n")[0]


def anchors(text: str) -> set[str]:
    """Of the headings, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)\s]+)\)", TEXT))))
def test_every_link_leads_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (DOCS / path).resolve() if path else DOCS / "guarantees.md"
    assert target.is_file()
    assert not anchor or anchor in anchors(target.read_text())


def test_the_numbers_are_those_of_the_library() -> None:
    for ttl, early in ((15, "1.5 s early"), (3, "0.3 s early")):
        assert f"{timing.margin(ttl):g} s early" == early
        assert early in PROSE
    assert all(1 - timing.margin(ttl) / ttl == pytest.approx(0.9) for ttl in range(2, 100))
    assert "0.3, 0.5, then 1 s" in PROSE
    assert timing.PATIENCE[:3] == (0.3, 0.5, 1.0)
    assert timing.OBSERVE_BEAT == 4.0
    assert "a read every 4 s" in PROSE
    assert timing.MAX_WAITS == 16
    assert "at most 16 such waits" in PROSE
    assert "SIGKILL 0.1 s before that deadline" in PROSE
    assert guardian.AHEAD == 0.1
