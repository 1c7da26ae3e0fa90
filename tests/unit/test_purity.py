"""The core decides without I/O: it can be run, and tested, without any.

And nobody pays for what only tests use.
"""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import etcd_election
from etcd_election import _core

PACKAGE = Path(next(iter(etcd_election.__path__)))

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(_core.__path__, f"{_core.__name__}.")
)

FORBIDDEN = ("grpc", "asyncio", "socket", "_socket", "ssl", "selectors", "select", "concurrent")
"""Top-level names that mean I/O, or an event loop."""

TESTING = ("etcd_election.testing", "etcd_election._testing")

PROGRAM = """
import importlib, sys, types

FORBIDDEN = {forbidden!r}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"the core imports {{name}}")
        return None

for name in list(sys.modules):
    if name.partition(".")[0] in FORBIDDEN:
        del sys.modules[name]
sys.meta_path.insert(0, Blocked())

# The package itself imports the front-end: stand in for it.
package = types.ModuleType("etcd_election")
package.__path__ = [{package!r}]
sys.modules["etcd_election"] = package

for name in {modules!r}:
    importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.startswith("etcd_election.")))
"""


def run(modules: list[str]) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(forbidden=FORBIDDEN, package=str(PACKAGE), modules=modules)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


def test_core_runs_where_neither_grpc_nor_asyncio_nor_sockets_can_be_imported() -> None:
    done = run(MODULES)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert set(MODULES) <= set(loaded)
    beyond = [
        name
        for name in loaded
        if not name.startswith(("etcd_election._core", "etcd_election.pb"))
        and name not in ("etcd_election.errors", "etcd_election.events", "etcd_election.types")
    ]
    assert beyond == [], "the core stands on errors, events, types and messages alone"
    assert not [name for name in loaded if name.endswith("_grpc")]


def test_import_loads_neither_the_generated_stubs_nor_the_other_front_end() -> None:
    """They are several milliseconds of the start of every program."""
    script = "import sys, etcd_election; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = [name for name in done.stdout.split() if name.startswith("etcd_election")]
    assert "etcd_election.pb.rpc_pb2" in loaded
    needless = ("etcd_election._aio", "etcd_election.aio", "etcd_election._io.grpc_aio")
    assert not [name for name in loaded if name.endswith("_grpc") or name.startswith(needless)]


@pytest.mark.parametrize("module", ["grpc", "asyncio", "socket", "etcd_election._io.grpc_sync"])
def test_block_would_notice(module: str) -> None:
    done = run([module])
    assert done.returncode != 0
    assert "the core imports" in done.stderr


def test_what_is_for_tests_is_not_loaded_by_the_rest() -> None:
    program = "import etcd_election.aio, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.split()
    assert "etcd_election.aio" in loaded
    assert [name for name in loaded if name.startswith(TESTING)] == []


def imports(path: Path) -> set[str]:
    """All modules that a file names in an import, as full names."""
    package = ("etcd_election", *path.relative_to(PACKAGE).parts[:-1])
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += [node.module] if node.module else []
            named.update(".".join([*base, alias.name]) for alias in node.names)
    return named


@pytest.mark.parametrize("module", MODULES)
def test_core_names_no_front_end_and_no_io_not_even_in_a_function(module: str) -> None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for name in imports(path):
        parts = name.split(".")
        assert parts[0] not in (*FORBIDDEN, "queue", "subprocess", "signal")
        if parts[0] == "etcd_election":
            assert parts[1] in ("_core", "errors", "events", "types", "pb"), name
            assert not any(part.endswith("_grpc") for part in parts), name


def test_every_module_of_the_core_was_looked_at() -> None:
    files = {path.stem for path in (PACKAGE / "_core").rglob("*.py")} - {"__init__"}
    assert {name.rpartition(".")[2] for name in MODULES} == files | {"plans"}


LIBRARY = sorted(
    path for path in PACKAGE.rglob("*.py") if "_cli" not in path.parts and path.stem != "__main__"
)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_knows_nothing_of_the_command(path: Path) -> None:
    named = imports(path)
    assert not [name for name in named if name.startswith("etcd_election._cli")]
    assert not named & {"argparse", "getpass", "subprocess"}


def test_who_uses_the_library_does_not_load_the_command() -> None:
    program = "import sys, etcd_election, etcd_election.aio; print(*sys.modules, sep=chr(10))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.split()
    assert "etcd_election._sync.client" in loaded
    assert "argparse" not in loaded
    assert not [name for name in loaded if name.startswith("etcd_election._cli")]
