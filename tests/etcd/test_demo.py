"""The demonstration, run as users run it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.etcd_server import etcd_version
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo.py"

ENDS_WITHIN = 60.0

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
if sys.platform == "linux":
    # What not even the demonstration survives: there the system ends its processes.
    SIGNALS.append(signal.SIGKILL)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the demonstration; whatever it leaves is in the test's folder or ends with it."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, str(DEMO), "--ttl=2", *arguments],
                env={**os.environ, "TMPDIR": str(tmp_path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def output_until(process: subprocess.Popen[str], text: str) -> str:
    """What it prints, up to the line that begins so."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(text):
            return "".join(lines)
    _, errors = process.communicate()
    pytest.fail(f"the demonstration ended early:\n{''.join(lines)}{errors}")


def endpoint_in(output: str) -> str:
    found = re.search(r" on (127\.0\.0\.1:\d+),", output)
    assert found, output
    return found[1]


def pid_in(output: str, name: str) -> int:
    found = re.search(rf"^ *{name} +pid (\d+) ", output, re.MULTILINE)
    assert found, output
    return int(found[1])


def processes_with(argument: str) -> list[str]:
    """The command lines here that contain this; a demonstration's all have its endpoint."""
    if not Path("/proc/self/cmdline").exists():
        command = ["ps", "-A", "-ww", "-o", "command="]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [line for line in lines.splitlines() if argument in line]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if argument in line:
            found.append(line)
    return found


def test_everything_is_seen_and_nothing_is_left(
    start: Start, etcd_binary: str, tmp_path: Path
) -> None:
    process = start(f"--etcd={etcd_binary}")
    output, errors = process.communicate(timeout=ENDS_WITHIN)
    assert process.returncode == 0, output + errors
    assert output.startswith(f"etcd {etcd_version(etcd_binary)} on 127.0.0.1:")
    assert "\033" not in output
    for part in (
        r"^1\. .*\n +ann .* leads with token \d+\n +ben .* waits, number 1 .*\n +cleo .* number 2 ",
        r"^2\. .*\n.*\n +ann .* gone\n +ben .* leads with token \d+\n +cleo .* waits, number 1 ",
        r"^ +fail-over took [\d.]+ s from the kill",
        r"^3\. .*\n +ann .* gone\n +ben .* gone\n +cleo .* leads with token \d+$",
        r"^ +hand-over took [\d.]+ ms ",
        r"^4\. .*\n +nobody leads, the queue is empty$",
        r"tokens grew: \d+ < \d+ < \d+\.$",
    ):
        assert re.search(part, output, re.MULTILINE), f"{part} is not in\n{output}"
    assert processes_with(endpoint_in(output)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_it_ends_what_it_started_when_it_is_interrupted(
    start: Start, etcd_binary: str, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(f"--etcd={etcd_binary}")
    endpoint = endpoint_in(output_until(process, "2. "))
    assert len(processes_with(endpoint)) >= 3
    process.send_signal(number)
    _, errors = process.communicate(timeout=ENDS_WITHIN)
    if number == signal.SIGKILL:
        eventually(lambda: not processes_with(endpoint), 5.0, "processes are left")
        return
    assert process.returncode == 128 + number
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert processes_with(endpoint) == []
    assert list(tmp_path.iterdir()) == []


def test_it_fails_when_something_else_is_seen(
    start: Start, etcd_binary: str, tmp_path: Path
) -> None:
    process = start(f"--etcd={etcd_binary}")
    output = output_until(process, "2. ")
    os.kill(pid_in(output, "cleo"), signal.SIGKILL)
    _, errors = process.communicate(timeout=ENDS_WITHIN)
    assert (process.returncode, errors) == (1, "demo: cleo ended unasked, with status -9\n")
    assert processes_with(endpoint_in(output)) == []
    assert list(tmp_path.iterdir()) == []


def script(folder: Path, text: str) -> str:
    path = folder / "etcd"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_what_is_no_etcd_is_refused(start: Start, tmp_path: Path) -> None:
    for path in (shutil.which("false"), str(tmp_path / "nothing-here"), script(tmp_path, "echo 1")):
        process = start(f"--etcd={path}")
        output, errors = process.communicate(timeout=ENDS_WITHIN)
        assert (process.returncode, output) == (1, "")
        assert re.fullmatch(rf"demo: {path} is not .*\n", errors)


def test_an_etcd_that_does_not_serve_is_quoted(
    start: Start, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    answers = '[ "$1" = --version ] && echo "etcd Version: 3.9.9" || { echo it hurts; exit 3; }'
    process = start(f"--etcd={script(tmp_path_factory.mktemp('etcd'), answers)}")
    output, errors = process.communicate(timeout=ENDS_WITHIN)
    assert (process.returncode, output) == (1, "")
    assert re.fullmatch(r"demo: .* does not serve\. Its last words:\nit hurts\n", errors)
    assert list(tmp_path.iterdir()) == []


def test_a_ttl_that_cannot_be_is_refused(start: Start) -> None:
    for ttl in ("1", "-3", "2.5", "ten"):
        process = start(f"--ttl={ttl}")
        _, errors = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode == 2
        assert "argument --ttl:" in errors
