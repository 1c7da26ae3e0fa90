"""What the README and the pages in docs/ name exists: names, arguments, commands, links, anchors.

That their code does what is said is tested by tests/etcd/test_pages.py.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib
import inspect
import keyword
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import etcd_election
from etcd_election import Elected, ElectionClient, Etcd, Leader, Leadership, LostReason, testing
from etcd_election._cli import options
from etcd_election._core import timing
from etcd_election.pb import rpc_pb2, v3election_pb2_grpc
from etcd_election.testing import Cluster, Rival
from tests.support.pages import DOCS, PAGES, README, ROOT, Block, Page

VARIABLES = {
    "asyncio": asyncio,
    "LostReason": LostReason,
    "client": ElectionClient,
    "cluster": Cluster(),
    "leadership": Leadership,
    "rival": Rival,
    "rpc_pb2": rpc_pb2,
    "signal": signal,
    "sys": sys,
}
"""What the examples call by these names."""

SINCE = {"asyncio.timeout": (3, 11)}
"""Not in every Python that is supported."""

METHODS = (ElectionClient, Leadership, Cluster)
"""Whose methods the text names without saying whose they are."""

FOREIGN = {"CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW", "LeaseGrant", "LeaseKeepAlive", "LeaseRevoke"}
"""Names of the system, and of etcd's other services."""

OURS = [page for page in PAGES if page.path.name != "coming-from.md"]
"""Those whose names are ours: the other one compares with foreign ones."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
ours = pytest.mark.parametrize("page", OURS, ids=lambda page: page.name)


def blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{page.name}:{block.line}")
        for page in PAGES
        for block in page.blocks
        if block.language in languages
    ]


def spans(page: Page) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.prose)


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
    return all(given.arg in names for given in call.keywords)


@pytest.mark.parametrize("block", blocks("python"))
def test_an_example_compiles_and_uses_what_exists(block: Block) -> None:
    tree = ast.parse(block.code)
    compile(tree, "page", "exec")
    for module, name in imported(tree):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner: Any = VARIABLES.get(node.value.id)
            assert owner is None or hasattr(owner, node.attr), ast.unparse(node)
    for function, call in calls(tree):
        assert accepts(function, call), ast.unparse(call)


@ours
def test_names_in_the_text_exist(page: Page) -> None:
    known = {
        *vars(etcd_election),
        *testing.__all__,
        *vars(builtins),
        *LostReason.__members__,
        *FOREIGN,
    }
    known |= set(vars(v3election_pb2_grpc.ElectionServicer))
    known |= set(re.findall(r"\bETCD\w+", options._RUN + options._VARIABLES))
    named = [span for span in spans(page) if re.fullmatch(r"[A-Z][a-z]\w+|[A-Z_]*_[A-Z]+", span)]
    assert [name for name in named if name not in known] == []
    for owner, attribute in re.findall(r"`(\w+)\.(\w+)(?=[`(])", page.prose):
        if owner in VARIABLES and sys.version_info >= SINCE.get(f"{owner}.{attribute}", (3, 10)):
            assert hasattr(VARIABLES[owner], attribute), f"{owner}.{attribute}"


@ours
def test_calls_in_the_text_can_be_made(page: Page) -> None:
    for span in spans(page):
        if re.fullmatch(r"\w+\(.*\)", span):
            found = list(calls(ast.parse(span)))
            assert found, f"{span}: no such method"
            assert all(accepts(function, call) for function, call in found), span


def test_what_others_have_is_compared_with_what_exists() -> None:
    (page,) = (page for page in PAGES if page.path.name == "coming-from.md")
    rows = re.findall(r"^\| .+ \| (.+) \|$", page.text, re.MULTILINE)
    known = [ElectionClient, Etcd, Leadership, Leader, Elected, etcd_election]
    parameters = {
        name
        for owner in (ElectionClient, Etcd, ElectionClient.observe, ElectionClient.campaign)
        for name in inspect.signature(owner).parameters
    }
    checked = 0
    for name in re.findall(r"`(?:\w+\.)?(\w+)(?=[`(=])", "\n".join(rows)):
        if keyword.iskeyword(name):
            continue
        checked += 1
        assert name in parameters or any(hasattr(owner, name) for owner in known), name
    assert checked > 30


@pytest.mark.parametrize("block", blocks("sh"))
def test_commands_exist(block: Block) -> None:
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in block.code.splitlines():
        command, *rest = line.partition("#")[0].split() or ["make"]
        while "=" in command:
            command, *rest = rest
        if command == "make":
            wanted = [word for word in rest if "=" not in word and word != "&&"]
            assert not wanted or wanted[0] in targets, line
        elif "-m" in rest:
            module = rest[rest.index("-m") + 1]
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file() or (
                ROOT / module.replace(".", "/") / "__main__.py"
            ).is_file(), line
        elif command == "etcd-election":
            options.parse(shlex.split(line, comments=True)[1:])
        elif command == "pip":
            assert rest[0] == "install", line
        else:
            assert (ROOT / command).is_file(), line


@pytest.mark.parametrize("block", blocks("console", "text"))
def test_command_lines_of_ours_can_be_parsed(block: Block) -> None:
    for line in re.findall(r"(?:^|\$ |  )etcd-election (.+)$", block.code, re.MULTILINE):
        options.parse(shlex.split(line.partition(" || ")[0]))


@pytest.mark.parametrize("block", blocks("sql"))
def test_sql_is_that_of_the_example(block: Block) -> None:
    assert block.code in (ROOT / "examples" / "fencing_sqlite.py").read_text()


def test_no_block_is_of_an_unknown_kind_and_few_cannot_be_run() -> None:
    found = [block for page in PAGES for block in page.blocks]
    known = {"python", "console", "sh", "sql", "text"}
    assert {block.language for block in found} <= known
    not_run = [block for block in found if block.not_run]
    assert all(len(block.not_run) > 10 for block in not_run)
    assert len(not_run) <= 5


@pages
def test_links_lead_to_files_and_anchors(page: Page) -> None:
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.is_file(), link
        assert not anchor or anchor in Page(target).anchors, link


@pages
def test_links_to_other_sites_are_well_formed(page: Page) -> None:
    for link in re.findall(r"\]\((http[^)]*)\)", page.text):
        assert re.fullmatch(r"https://[\w.-]+\.\w+(/[\w./#%-]*)?", link), link


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text()
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.MULTILINE | re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line and line[0] != ":"]
    listed = {re.sub(r".*<(.+)>", r"\1", line) for line in lines}
    there = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert listed == there - {"index"}


def test_every_name_is_in_the_reference() -> None:
    reference = "".join(page.text for page in PAGES if "/reference/" in page.name)
    documented = re.findall(r"^\.\. auto\w+:: (\w+)$", reference, re.MULTILINE)
    assert sorted(set(documented)) == sorted(
        {*etcd_election.__all__, *testing.__all__} - {"__version__"}
    )


def test_the_table_of_ttls_is_computed() -> None:
    text = (DOCS / "operating.md").read_text()
    row_of_seconds = r"^\| (\d+) s[^|]*\| (.+) s \| (.+) s \| (.+) s \| (.+) s \|$"
    rows = re.findall(row_of_seconds, text, re.MULTILINE)
    assert len(rows) == 6
    assert f"| {timing.DEFAULT_TTL} s (default) |" in text
    for row in rows:
        ttl = int(row[0])
        beat = timing.beat(ttl, lambda: 0.0)
        believed = ttl - timing.margin(ttl)
        told = [
            f"{number:.2g}" if number < 10 else f"{number:g}"
            for number in (beat, believed, believed - beat)
        ]
        assert row[1:] == (told[0], f"{ttl + 0.7:g}", *told[1:]), row
    assert "within ttl + 0.7 s" in (DOCS / "guarantees.md").read_text()
    drawn = (DOCS / "failover.svg").read_text()
    assert f"believes until {15 - timing.margin(15):g} s" in drawn
    assert "0.7 s at the latest" in drawn


def test_the_readme_is_a_page_of_the_documentation() -> None:
    assert "{include} ../README.md" in (DOCS / "readme.md").read_text()
    assert README in PAGES
