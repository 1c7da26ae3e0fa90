"""What happens to a process: it ends without a word, stands still, or forks."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from etcd_election import ClientClosed, ElectionClient, Etcd, LostReason
from tests.support.etcd_server import EtcdServer
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE

EXITS = {
    "leading": """
        client = ElectionClient(endpoint, name, ttl=3)
        leadership = client.campaign("v")
        leadership.on_lost(print)
    """,
    "leading, nothing kept": """
        ElectionClient(endpoint, name, ttl=3).campaign("v").on_lost(print)
    """,
    "waiting on a thread": """
        import threading
        leader = ElectionClient(endpoint, name, ttl=3)
        leader.campaign("v")
        waiter = ElectionClient(endpoint, name, ttl=3)
        threading.Thread(target=waiter.campaign, args=("w",), daemon=True).start()
        while len(leader.candidates()) < 2:
            pass
    """,
    "observing": """
        client = ElectionClient(endpoint, name)
        observer = client.observe(vacancies=True)
        assert observer.next(10) is None
    """,
    "on a shared connection": """
        etcd = Etcd(endpoint)
        clients = [ElectionClient(etcd, f"{name}-{i}", ttl=3) for i in range(3)]
        leaderships = [client.campaign("v") for client in clients]
    """,
    "only opened": """
        client = ElectionClient(endpoint, name)
        client.open()
    """,
    "with an exception": """
        client = ElectionClient(endpoint, name, ttl=3)
        client.campaign("v")
        raise SystemExit(0)
    """,
}


def script(body: str) -> str:
    return (
        "import sys\nfrom etcd_election import *\nendpoint, name = sys.argv[1:]\n"
        + textwrap.dedent(body)
    )


@pytest.mark.leaves_lease
@pytest.mark.parametrize("flags", [[], ["-W", "error"]], ids=["default", "W-error"])
@pytest.mark.parametrize("case", list(EXITS))
def test_a_process_that_ends_without_close_ends_at_once_and_silently(
    server: EtcdServer, election_name: str, raw: RawEtcd, case: str, flags: list[str]
) -> None:
    command = [sys.executable, *flags, "-c", script(EXITS[case]), server.endpoint, election_name]
    began_at = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Starting Python and importing grpc takes most of this.
    assert time.monotonic() - began_at < 10
    eventually(lambda: not raw.lease_leases(), PATIENCE, "the leases were renewed on")


@contextlib.contextmanager
def program(body: str, endpoint: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the body; ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", script(body), endpoint, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


ASKS = """
    client = ElectionClient(endpoint, name, ttl=2)
    leadership = client.campaign("v")
    print(leadership.held, flush=True)
    for line in sys.stdin:
        print(leadership.held, leadership.lost, leadership.held, flush=True)
"""


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("\n")
    return answer(process)


@pytest.mark.leaves_lease
def test_a_process_that_stood_still_for_longer_than_the_ttl_leads_no_more_when_it_wakes(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    with program(ASKS, server.endpoint, election_name) as process:
        assert answer(process) == "True"
        assert ask(process) == "True None True"
        process.send_signal(signal.SIGSTOP)
        with ElectionClient(server.endpoint, election_name, ttl=30) as other:
            # Until somebody else leads: so long nothing could have told the sleeper.
            assert other.campaign("other", timeout=PATIENCE).held
            process.send_signal(signal.SIGCONT)
            assert ask(process) == "False LostReason.SESSION_EXPIRED False"
            assert other.leader().text == "other"


def in_child(check: object) -> str:
    """What ``check`` returns in a forked child, which then ends without any further ado."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, str(check()).encode())  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return told


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_never_holds_and_touches_nothing(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    connection = Etcd(server.endpoint)
    client = ElectionClient(connection, election_name, ttl=5)
    leadership = client.campaign("v")

    def child() -> object:
        results: list[object] = [leadership.held, bool(leadership), leadership.lost]
        for call in (client.leader, lambda: client.campaign("w"), connection.open, client.observe):
            try:
                results.append(call())
            except ClientClosed:
                results.append("closed")
        with contextlib.suppress(ClientClosed), leadership:
            pass
        leadership.resign()
        client.close()
        connection.close()
        results.append(leadership.held)
        return results

    told = in_child(child)
    assert told == str([False, False, LostReason.FORKED, *["closed"] * 4, False])
    assert leadership.held, "the parent goes on"
    assert leadership.lost is None
    stored = raw.get(leadership.key)
    assert stored is not None
    assert stored.value == b"v"
    connection.close()


FORKS = """
    import os
    unused = ElectionClient(endpoint, name, ttl=5)
    pid = os.fork()
    with unused:
        with unused.campaign("child" if pid == 0 else "parent") as leadership:
            assert leadership.held
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
"""


def test_what_was_never_used_before_the_fork_works_in_parent_and_child(
    server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    command = [sys.executable, "-c", script(FORKS), server.endpoint, election_name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert raw.candidates(election_name) == []


LEADS = """
    with ElectionClient(endpoint, name, ttl=5) as client, client.campaign("v") as leadership:
        assert leadership.held
"""


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    server: EtcdServer, election_name: str
) -> None:
    nowhere = "http://127.0.0.1:1"
    environment = {**os.environ, "http_proxy": nowhere, "grpc_proxy": nowhere}
    environment.pop("no_proxy", None)
    command = [sys.executable, "-c", script(LEADS), server.endpoint, election_name]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
