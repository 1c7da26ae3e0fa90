"""The command, run as a process; and what a job that it runs has logged."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.etcd_server import EtcdServer
from tests.support.process import spawn
from tests.support.waiting import eventually

PATIENCE = 20.0
"""For what must come but promises no time; a noisy machine has all of it."""

JOB = Path(__file__).with_name("job.py")


@dataclass(frozen=True)
class Line:
    """What a job has logged."""

    token: int
    who: str
    pid: int
    what: str
    at: float


class Log:
    """All that the jobs of one test have logged, whoever ran them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, what: str | None = None, token: int | None = None) -> list[Line]:
        if not self.path.exists():
            return []
        found = []
        for text in self.path.read_text().splitlines():
            first, who, pid, said, at = text.split(" ")
            found.append(Line(int(first), who, int(pid), said, float(at)))
        return [
            line
            for line in found
            if (what is None or line.what == what) and (token is None or line.token == token)
        ]

    def tokens(self) -> list[int]:
        """Those of all that were alive, in the order in which they began."""
        return list(dict.fromkeys(line.token for line in self.lines()))

    def begun(self, terms: int) -> int:
        """Waits until jobs of so many terms have run; the token of the last one."""
        eventually(lambda: len(self.tokens()) >= terms, PATIENCE, f"no job of term {terms}")
        return self.tokens()[terms - 1]

    def span(self, token: int) -> tuple[float, float]:
        """From the first to the last sign of life in a term."""
        times = [line.at for line in self.lines(token=token)]
        return min(times), max(times)

    def never_overlap(self) -> bool:
        """Whether all jobs of a term were dead before the first one of the next began."""
        spans = [self.span(token) for token in sorted(self.tokens())]
        return all(last < first for (_, last), (first, _) in itertools.pairwise(spans))

    def living(self) -> list[int]:
        """The pids of jobs that are not over."""
        return [pid for pid in {line.pid for line in self.lines()} if alive(pid)]

    def all_dead(self) -> bool:
        return not self.living()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")


class Program:
    """The command as a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        return self.process.wait(timeout)

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self._folder / "err").read_text()

    def said(self) -> list[dict[str, Any]]:
        """What it has written on stdout, as JSON; a line that is not written to its end is none."""
        return [json.loads(line) for line in self.out.splitlines(keepends=True) if line[-1] == "\n"]

    def guardian(self) -> int:
        """The pid of its guardian, its only child."""
        done = subprocess.run(
            ["ps", "-o", "pid=,ppid=", "-A"], capture_output=True, text=True, check=True
        )
        pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        (found,) = [pid for pid, parent in pairs if parent == self.pid]
        return found

    def end(self) -> None:
        """Ends it without mercy, however it stands."""
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


Cli = Callable[..., Program]


def environment(**further: str) -> dict[str, str]:
    """This process's, without what the command would take for options."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ETCDCTL_")}
    return {**kept, **further}


@pytest.fixture
def cli(tmp_path: Path, log: Log) -> Iterator[Cli]:
    """Starts the command; all are ended after the test, and before jobs are looked for."""
    with ExitStack() as stack:
        count = 0

        def start(*arguments: str, output: int | None = None, **further: str) -> Program:
            nonlocal count
            count += 1
            folder = tmp_path / f"cli-{count}"
            folder.mkdir()
            with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
                process = spawn(
                    [sys.executable, "-W", "error", "-m", "etcd_election", *arguments],
                    output=out if output is None else output,
                    errors=err,
                    cwd=tmp_path,
                    env=environment(**further),
                )
            program = Program(process, folder)
            stack.callback(program.end)
            return program

        yield start


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """What the jobs of this test log; after the test none of them may be left."""
    found = Log(tmp_path / "log")
    yield found
    try:
        eventually(found.all_dead, 5.0, lambda: f"jobs left: {found.lines()[-3:]}")
    finally:
        for pid in found.living():
            os.kill(pid, signal.SIGKILL)


def job(log: Log, *manners: str) -> list[str]:
    """For the command line of `run`."""
    return ["--", sys.executable, "-I", "-S", str(JOB), str(log.path), *manners]


@pytest.fixture
def at(server: EtcdServer) -> str:
    """The option that leads to the shared etcd."""
    return f"--endpoints={server.endpoint}"
