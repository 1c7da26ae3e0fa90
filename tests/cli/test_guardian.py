"""When the guardian ends a command, in a time that is passed in; and what it stands on."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from etcd_election._cli import guardian
from etcd_election._cli.guardian import AHEAD, Term
from etcd_election._core import timing

TERM, KILL = signal.SIGTERM, signal.SIGKILL


def test_while_the_lease_is_renewed_nothing_is_due() -> None:
    term = Term(100.0, grace=5.0)
    for now in range(90, 190, 4):
        assert term.due(float(now)) is None
        term.renewed(now + 10.0)


def test_term_comes_a_grace_before_the_deadline_and_kill_before_it() -> None:
    term = Term(100.0, grace=5.0)
    assert term.due(94.9) is None
    assert term.wait(94.0) == pytest.approx(1.0)
    assert term.due(95.0) is TERM
    assert term.due(95.1) is None, "asked once"
    assert term.wait(95.1) == pytest.approx(4.9 - AHEAD)
    assert term.due(100.0 - AHEAD) is KILL
    assert term.due(100.0) is KILL, "again, for whom a process has started meanwhile"


def test_a_command_that_is_to_end_and_was_not_signalled_yet_has_not_been_told() -> None:
    term = Term(100.0, grace=5.0)
    term.end(50.0)
    assert not term.told
    assert term.due(50.0) is TERM
    assert term.told


def test_a_renewal_is_too_late_for_a_command_that_was_told_to_end() -> None:
    term = Term(100.0, grace=5.0)
    assert term.due(95.0) is TERM
    term.renewed(110.0)
    assert term.due(99.99) is KILL


def test_a_loss_that_is_known_gives_the_grace() -> None:
    term = Term(100.0, grace=5.0)
    term.end(80.0)
    assert term.due(80.0) is TERM
    term.end(84.0)
    assert term.due(84.9) is None
    assert term.due(85.0) is KILL


def test_but_no_more_than_the_lease() -> None:
    term = Term(83.0, grace=2.0)
    term.end(80.9)
    assert term.due(80.9) is TERM
    assert term.due(83.0 - AHEAD) is KILL


def test_who_was_stopped_for_too_long_kills_at_once() -> None:
    term = Term(100.0, grace=5.0)
    assert term.due(200.0) is KILL
    assert term.wait(200.0) == 0.0


def test_it_reads_the_clock_by_which_the_library_believes() -> None:
    before = timing.system_clock()
    assert before <= guardian.clock() <= timing.system_clock()


def test_it_stands_on_the_standard_library_alone_and_on_little_of_it() -> None:
    path = Path(guardian.__file__)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level
            assert node.module in ("__future__", "collections.abc")
        elif isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= set(sys.stdlib_module_names)
    program = f"import runpy, sys; runpy.run_path({str(path)!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    slow = {"etcd_election", "grpc", "asyncio", "threading", "subprocess", "json", "argparse"}
    assert not slow & set(done.stdout.split())
