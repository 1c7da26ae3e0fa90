"""`run` and `etcdctl elect` in one election, both ways."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.etcd_server import EtcdServer
from tests.support.process import spawn
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Cli, Log, environment, job

Elect = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def etcdctl(etcd_binary: str) -> str:
    beside = Path(os.path.realpath(etcd_binary)).with_name("etcdctl")
    found = str(beside) if beside.exists() else None
    if found is None and Path(etcd_binary).parent == Path(sys.executable).parent:
        found = shutil.which("etcdctl", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"no etcdctl beside {etcd_binary}")
    return found


@pytest.fixture
def elect(etcdctl: str, server: EtcdServer, tmp_path: Path) -> Iterator[Elect]:
    """Starts `etcdctl elect`; all are ended after the test."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            process = spawn(
                [etcdctl, f"--endpoints={server.endpoint}", "elect", *arguments],
                output=subprocess.DEVNULL,
                cwd=tmp_path,
                env=environment(ETCDCTL_API="3"),
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


def values(raw: RawEtcd, name: str) -> list[bytes]:
    return [pair.value for pair in raw.candidates(name)]


@pytest.mark.leaves_lease
def test_it_waits_for_etcdctl_and_etcdctl_for_it(
    cli: Cli, at: str, election_name: str, log: Log, raw: RawEtcd, elect: Elect
) -> None:
    first = elect(election_name, "by etcdctl")
    eventually(lambda: values(raw, election_name) == [b"by etcdctl"], PATIENCE)
    program = cli("run", election_name, at, "--value", "by us", *job(log))
    eventually(lambda: values(raw, election_name) == [b"by etcdctl", b"by us"], PATIENCE)
    assert cli("leader", election_name, at).wait() == 0
    assert log.lines() == []

    first.send_signal(signal.SIGINT)
    log.begun(1)
    elect(election_name, "etcdctl again")
    queue = [b"by us", b"etcdctl again"]
    eventually(lambda: values(raw, election_name) == queue, PATIENCE)

    program.send(signal.SIGTERM)
    assert program.wait() == 0
    eventually(lambda: values(raw, election_name) == [b"etcdctl again"], PATIENCE)
    told = cli("leader", election_name, at)
    assert told.wait() == 0
    assert told.said()[0]["value"] == "etcdctl again"
