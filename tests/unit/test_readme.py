"""What the README says, and no other page: errors, events, numbers.

Its names, commands and links are tested with those of all pages, in test_pages.py; its code is run
by tests/etcd/test_pages.py.
"""

from __future__ import annotations

import logging
import re

import pytest

from etcd_election import LostReason, errors, events
from etcd_election._core import timing, weights
from tests.support.pages import README as PAGE
from tests.support.pages import ROOT

README = PAGE.text
BLOCKS = [(block.language, block.code) for block in PAGE.blocks]
PYTHON = [code for language, code in BLOCKS if language == "python"]


def test_the_first_example_has_at_most_twelve_lines() -> None:
    assert len(PYTHON[0].splitlines()) <= 12


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


def test_what_is_to_be_installed_is_called_so() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (name,) = re.findall(r"^pip install (\S+)$", README, re.MULTILINE)
    assert f'\nname = "{name}"\n' in project
    for dependency, floor in re.findall(r"(\w+) \(from ([\d.]+) on\)", README):
        assert f'"{dependency}>={floor},' in project
