"""What is public is what the reference shows, to the last attribute.

Whatever has no underscore in front of it will be used, and has to be kept. So nothing comes or goes
without the reference.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import re
from typing import Any

import pytest

import etcd_election
from etcd_election import errors, events, types
from etcd_election.testing import Cluster, Rival
from tests.support.pages import DOCS

DIRECTIVE = re.compile(r"^\.\. (\w+):: ([\w.]+)(?:\n +:members: (\w+(?:,\s+\w+)*))?$", re.MULTILINE)
"""What is shown, and the members that are shown of it."""

SECTION = r"^{}:\n((?:    .*\n|\n)+)"


def in_reference() -> tuple[set[str], dict[str, dict[str, set[str]]]]:
    """The modules, and by module the classes with their members."""
    modules: set[str] = set()
    classes: dict[str, dict[str, set[str]]] = {}
    for path in sorted((DOCS / "reference").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        modules.update(re.findall(r"`(etcd_election\.pb\.\w+)`", text))
        module = ""
        for directive, name, members in DIRECTIVE.findall(text):
            if directive in ("currentmodule", "automodule"):
                module = name
                modules.add(name)
            else:
                classes.setdefault(module, {})[name] = set(re.findall(r"\w+", members))
    return modules, classes


MODULES, CLASSES = in_reference()
LISTED = [(module, name) for module, names in CLASSES.items() for name in names]


def ours(cls: type[Any]) -> list[type[Any]]:
    return [base for base in cls.__mro__ if base.__module__.startswith("etcd_election.")]


def shown(cls: type[Any], classes: dict[str, set[str]]) -> set[str]:
    """The attributes that the reference shows of a class and its bases, or their texts tell of."""
    found: set[str] = set()
    for base in ours(cls):
        found |= classes.get(base.__name__, set())
        text = inspect.cleandoc(base.__doc__ or "") + "\n"
        for title in ("Attributes", *(["Args"] if dataclasses.is_dataclass(base) else [])):
            for section in re.findall(SECTION.format(title), text, re.MULTILINE):
                found.update(re.findall(r"^    (\w+): ", section, re.MULTILINE))
    return found


def public(cls: type[Any]) -> set[str]:
    """All that can be asked of an instance without an underscore, but for what Python gives it."""
    names = {name for base in ours(cls) for name in vars(base)}
    if dataclasses.is_dataclass(cls):
        names |= {entry.name for entry in dataclasses.fields(cls)}
    if issubclass(cls, errors.ElectionError):
        names |= set(vars(cls("text")))
    if cls in (Cluster, Rival):
        names |= set(vars(Cluster() if cls is Cluster else Cluster().rival("x")))
    return {name for name in names if not name.startswith("_")}


def test_modules_are_those_of_the_reference() -> None:
    walked = pkgutil.walk_packages(etcd_election.__path__, "etcd_election.")
    found = {module.name for module in walked if "._" not in module.name}
    assert found | {"etcd_election"} == MODULES | {"etcd_election.pb"}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if ".pb." not in name))
def test_a_module_makes_nothing_public_but_what_it_lists(name: str) -> None:
    module = importlib.import_module(name)
    made = {key for key, item in vars(module).items() if getattr(item, "__module__", "") == name}
    assert {key for key in made if not key.startswith("_")} <= set(module.__all__)


def test_every_name_comes_from_one_module() -> None:
    fronts = ["ElectionClient", "Etcd", "Leadership", "Observer", "__version__"]
    written = [*errors.__all__, *events.__all__, *types.__all__, *fronts]
    assert sorted(written) == sorted(etcd_election.__all__)


@pytest.mark.parametrize(("module", "name"), LISTED)
def test_attributes_are_those_of_the_reference(module: str, name: str) -> None:
    cls = getattr(importlib.import_module(module), name)
    assert public(cls) == shown(cls, CLASSES[module])
    if not issubclass(cls, enum.Enum):
        # Sphinx leaves out what has no text.
        assert [key for key in CLASSES[module][name] if not getattr(cls, key).__doc__] == []
