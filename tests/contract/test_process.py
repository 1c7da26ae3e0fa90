"""What happens to a process: it ends without a word, stands still, or forks."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.etcd_server import EtcdServer
from tests.support.fronts import Front
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

from .conftest import PATIENCE

pytestmark = pytest.mark.real_etcd

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
    "a callback for events blocks": """
        import threading
        told = threading.Event()
        def block(event):
            told.set()
            threading.Event().wait()
        etcd = Etcd(endpoint, on_event=block)
        client = ElectionClient(etcd, name, ttl=3)
        leadership = client.campaign("v")
        assert told.wait(10)
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


ROOT = Path(__file__).resolve().parents[2]

PRELUDES = {
    "blocking": "from etcd_election import ElectionClient, Etcd",
    "asyncio": """
        from tests.support.fronts import make_front
        front = make_front("asyncio")
        ElectionClient, Etcd = front.ElectionClient, front.Etcd
    """,
}


def command(front: Front, body: str, endpoint: str, name: str, *flags: str) -> list[str]:
    """Runs a body that finds the front's classes, in the folder ``ROOT``."""
    begin = "import sys\nendpoint, name = sys.argv[1:]\n"
    script = "\n".join([begin, textwrap.dedent(PRELUDES[front.name]), textwrap.dedent(body)])
    return [sys.executable, *flags, "-c", script, endpoint, name]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.leaves_lease
@pytest.mark.parametrize("flags", [[], ["-W", "error"]], ids=["default", "W-error"])
@pytest.mark.parametrize("case", list(EXITS))
def test_a_process_that_ends_without_close_ends_at_once_and_silently(
    front: Front, server: EtcdServer, election_name: str, raw: RawEtcd, case: str, flags: list[str]
) -> None:
    began_at = time.monotonic()
    done = run(command(front, EXITS[case], server.endpoint, election_name, *flags))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Starting Python and importing grpc takes most of this.
    assert time.monotonic() - began_at < 10
    eventually(lambda: not raw.lease_leases(), PATIENCE, "the leases were renewed on")


@contextlib.contextmanager
def program(front: Front, body: str, endpoint: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the body; ended at the end."""
    process = subprocess.Popen(
        command(front, body, endpoint, name),
        cwd=ROOT,
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
    front: Front, server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    with program(front, ASKS, server.endpoint, election_name) as process:
        assert answer(process) == "True"
        assert ask(process) == "True None True"
        process.send_signal(signal.SIGSTOP)
        with front.ElectionClient(server.endpoint, election_name, ttl=30) as other:
            # Until somebody else leads: so long nothing could have told the sleeper.
            assert other.campaign("other", timeout=PATIENCE).held
            process.send_signal(signal.SIGCONT)
            assert ask(process) == "False LostReason.SESSION_EXPIRED False"
            assert other.leader().text == "other"


FORKED = """
    import contextlib, os
    from etcd_election import ClientClosed
    events = []
    connection = Etcd(endpoint, on_event=lambda event: events.append(type(event).__name__))
    client = ElectionClient(connection, name, ttl=5)
    leadership = client.campaign("v")
    while len(events) < 3:
        pass
    pid = os.fork()
    if pid == 0:
        told = [leadership.held, bool(leadership), leadership.lost]
        for call in (client.leader, lambda: client.campaign("w"), connection.open, client.observe):
            try:
                told.append(call())
            except ClientClosed:
                told.append("closed")
        with contextlib.suppress(ClientClosed), leadership:
            pass
        leadership.resign()
        client.close()
        connection.close()
        print(*told, leadership.held, len(events), flush=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(leadership.held, leadership.lost, client.leader().text)
    client.close()
    while len(events) < 5:
        pass
    connection.close()
    print(*events)
"""


def test_a_forked_child_never_holds_and_touches_nothing(
    front: Front, server: EtcdServer, election_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if front.name == "asyncio":
        # A thread of grpc.aio is always inside grpcio. Its own handlers of a fork cannot cope with
        # that, and now and then abort the child before it has begun.
        monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "false")
    done = run(command(front, FORKED, server.endpoint, election_name))
    assert done.stdout.splitlines() == [
        "False False LostReason.FORKED closed closed closed closed False 3",
        "True None v",
        "CampaignStarted SessionGranted Elected LeadershipLost SessionEnded",
    ], done.stderr
    assert done.returncode == 0


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
    front: Front, server: EtcdServer, election_name: str, raw: RawEtcd
) -> None:
    done = run(command(front, FORKS, server.endpoint, election_name))
    assert (done.returncode, done.stderr) == (0, "")
    assert raw.candidates(election_name) == []


LEADS = """
    with ElectionClient(endpoint, name, ttl=5) as client, client.campaign("v") as leadership:
        assert leadership.held
"""


def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    front: Front, server: EtcdServer, election_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    done = run(command(front, LEADS, server.endpoint, election_name))
    assert (done.returncode, done.stderr) == (0, "")
