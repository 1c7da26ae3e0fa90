"""What docs/guarantees.md says guards a promise exists, and every promise is guarded."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
UNGUARDED = {"What is not promised"}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_guard_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not name or name in functions


def test_every_promise_has_a_guard() -> None:
    for part in TEXT.split("\n## ")[1:]:
        title = part.partition("\n")[0]
        assert ("\n- `tests/" in part) != (title in UNGUARDED), title
