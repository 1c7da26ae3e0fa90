"""What the README says exists: names, arguments, errors, numbers, commands, links."""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib
import inspect
import logging
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import etcd_election
from etcd_election import ElectionClient, Leadership, LostReason, errors, events
from etcd_election._cli import options
from etcd_election._core import timing, weights
from etcd_election.pb import rpc_pb2, v3election_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
SPANS = re.findall(r"`([^`\n]+)`", PROSE)

VARIABLES = {
    "asyncio": asyncio,
    "client": ElectionClient,
    "leadership": Leadership,
    "rpc_pb2": rpc_pb2,
    "signal": signal,
    "sys": sys,
}
"""What the examples call by these names."""

SINCE = {"asyncio.timeout": (3, 11)}
"""Not in every Python that is supported."""
METHODS = (ElectionClient, Leadership)
"""Whose methods the text names without saying whose they are."""


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[Any, ast.Call]]:
    """Calls of what is known by name: (function, call)."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            owner: Any = VARIABLES.get(node.func.value.id)
            if owner is not None and owner is not rpc_pb2:
                yield getattr(owner, node.func.attr), node
        elif isinstance(node.func, ast.Name):
            for owner in (*METHODS, etcd_election):
                if hasattr(owner, node.func.id):
                    yield getattr(owner, node.func.id), node


def accepts(function: Any, call: ast.Call) -> bool:
    names = inspect.signature(function).parameters
    return all(keyword.arg in names for keyword in call.keywords)


def test_the_first_example_has_at_most_twelve_lines() -> None:
    assert len(PYTHON[0].splitlines()) <= 12


@pytest.mark.parametrize("code", PYTHON)
def test_an_example_compiles_and_uses_what_exists(code: str) -> None:
    tree = ast.parse(code)
    compile(tree, "README.md", "exec")
    for module, name in imported(tree):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert hasattr(VARIABLES[node.value.id], node.attr), ast.unparse(node)
    for function, call in calls(tree):
        assert accepts(function, call), ast.unparse(call)


def test_names_in_the_text_exist() -> None:
    known = {*vars(etcd_election), *vars(builtins), *LostReason.__members__}
    known |= set(vars(v3election_pb2_grpc.ElectionServicer))
    known |= set(re.findall(r"\bETCD\w+", options._RUN + options._VARIABLES))
    named = [span for span in SPANS if re.fullmatch(r"[A-Z]\w+", span)]
    assert len(named) > 10
    assert [name for name in named if name not in known] == []
    for owner, attribute in (span.split(".") for span in SPANS if re.fullmatch(r"\w+\.\w+", span)):
        if owner in VARIABLES and sys.version_info >= SINCE.get(f"{owner}.{attribute}", (3, 10)):
            assert hasattr(VARIABLES[owner], attribute)


def test_calls_in_the_text_can_be_made() -> None:
    spans = [span for span in SPANS if re.fullmatch(r"\w+\(.*\)", span)]
    assert len(spans) > 5
    for span in spans:
        found = list(calls(ast.parse(span)))
        assert found, f"{span}: no such method"
        assert all(accepts(function, call) for function, call in found), span


def test_the_tree_of_errors_is_the_real_one() -> None:
    (tree,) = (code for language, code in BLOCKS if language == "text")
    path: list[type] = []
    listed = []
    for line in tree.splitlines():
        indent, name = re.match(r"([│├└─ ]*)(\w+)", line).groups()  # type: ignore[union-attr]
        error = getattr(errors, name)
        path = [*path[: len(indent) // 4], error]
        assert path[-2:] in ([errors.ElectionError], [error.__bases__[0], error])
        also = re.search(r"also an? (\w+)", line)
        builtin = {base.__name__ for base in error.__bases__ if base.__module__ == "builtins"}
        assert builtin - {"Exception"} == ({also[1]} if also else set())
        listed.append(name)
    assert sorted(listed) == sorted(errors.__all__)


@pytest.mark.parametrize(
    "promise",
    [
        f"else the connection's ({timing.DEFAULT_TIMEOUT:g} s)",
        f"ttl + {timing.CLEANUP:g} s |",
        f"at once; {timing.CLEANUP:g} s if etcd does not answer",
        f"at most {timing.MAX_WAITS} such calls",
        f"When {timing.MAX_EVENTS} events wait for it",
    ],
)
def test_numbers_are_those_of_the_code(promise: str) -> None:
    assert promise in README


def test_the_margin_is_the_one_described() -> None:
    assert "less a margin of a tenth of the ttl (at least 0.2 s)" in " ".join(README.split())
    assert [timing.margin(ttl) for ttl in (2, 60)] == [0.2, 6.0]
    assert "stays silent for a quarter of a second" in " ".join(README.split())
    assert timing.TURN_WITHIN == 0.25
    assert "waits for it for half a second at most" in " ".join(README.split())
    assert timing.DELIVERY == 0.5


def test_every_event_is_told_of_with_its_level() -> None:
    _, section = README.split("\n## Events\n")
    section, *_ = section.split("\n## ")
    rows = dict(re.findall(r"^\| (`.*`) \|.*\| ([^|]+) \|$", section, re.MULTILINE))
    named = {name: level for names, level in rows.items() for name in re.findall(r"\w+", names)}
    assert set(named) == set(events.__all__) - {"Event"}
    facts = {"bytes": b"x", "int": 7, "float": 0.5, "bool": True, "str": "said"}
    for kind in (getattr(events, name) for name in named):
        if kind is events.EventsDropped:
            continue
        told = set()
        for reason in LostReason:
            known = {**facts, "LostReason": reason}
            fields = kind.__dataclass_fields__.values()
            event = kind(**{field.name: known[field.type] for field in fields})
            told.add(logging.getLevelName(weights.level(event)))
        assert told == set(re.findall(r"[A-Z]{2,}", named[kind.__name__])), kind


def test_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = "\n".join([*SPANS, *(code for language, code in BLOCKS if language == "sh")])
    named = re.findall(r"^make ([\w-]+)", commands, re.MULTILINE)
    assert {"demo", "test"} <= set(named)
    assert set(named) <= set(targets)


def test_what_is_to_be_installed_is_called_so() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (name,) = re.findall(r"^pip install (\S+)$", README, re.MULTILINE)
    assert f'\nname = "{name}"\n' in project
    for dependency, floor in re.findall(r"(\w+) \(from ([\d.]+) on\)", README):
        assert f'"{dependency}>={floor},' in project


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
