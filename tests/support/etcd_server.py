"""A real etcd for a test: on loopback, with ports, a data folder and a log of its own.

Guaranteed: `start` returns when etcd serves; the process is ended by its own pid only, and ends
with this process, however this one ends (Linux; elsewhere unless this one is killed). Data that a
killed process left is removed by the next one.

Not guaranteed: that what was written survives a crash of the machine; fsync is off where it can be.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import http.client
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from .process import spawn
from .raw import RawEtcd
from .waiting import eventually

HOST = "127.0.0.1"

# Below the ports that the system hands out by itself (Linux from 32768 on, others from 49152). From
# those, an outgoing connection could take the port of a server that is down for a moment; one that
# tries to reach that very server could even get connected to itself.
PORTS = range(20_000, 32_000)

START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0

# etcd preallocates two segments of 64 MB each, so a small /dev/shm would not do.
SHM = Path("/dev/shm")
SHM_FREE = 2 << 30

_running: set[EtcdServer] = set()


@functools.cache
def etcd_version(binary: str) -> str:
    """What `etcd --version` says, such as "3.5.1"."""
    done = subprocess.run(
        [binary, "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    found = re.search(r"etcd Version: (\S+)", done.stdout)
    if found is None:
        raise ValueError(f"{binary} does not look like an etcd: {done.stdout!r}")
    return found[1]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports")


FOLDER_PREFIX = "etcd-election-test-"


def _work_folder() -> tuple[Path, IO[bytes]]:
    """A folder, and the locked file that says that it is in use as long as it is open."""
    fast = SHM.is_dir() and os.access(SHM, os.W_OK) and shutil.disk_usage(SHM).free > SHM_FREE
    parent = SHM if fast else Path(tempfile.gettempdir())
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
    lock = (folder / "lock.new").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Never there unlocked: another process that sweeps would think it abandoned.
    (folder / "lock.new").rename(folder / "lock")
    return folder, lock


def _sweep(parent: Path) -> None:
    """Removes the folders of those who were killed before they could."""
    for path in parent.glob(f"{FOLDER_PREFIX}*/lock"):
        with contextlib.suppress(OSError), path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


@dataclass(frozen=True)
class ServerTLS:
    """How clients are served securely; the metrics stay plain.

    Attributes:
        cert: The server's certificate, a file that etcd reads anew for every connection.
        key: Its private key, likewise.
        client_ca: Whose certificates clients must show; None: they need not show any.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def flags(self) -> list[str]:
        """For etcd's command line."""
        flags = [f"--cert-file={self.cert}", f"--key-file={self.key}"]
        if self.client_ca is not None:
            flags += ["--client-cert-auth", f"--trusted-ca-file={self.client_ca}"]
        return flags


class EtcdServer:
    """One etcd, a cluster of its own unless it is told otherwise.

    Not thread-safe, but not tied to a thread either.

    As a context manager it is started, and at the end killed and removed.

    Args:
        binary: Path of the etcd to run.
        args: Further arguments for etcd; a repeated flag overrides the one given here.
        env: Further environment. Variables of this process that etcd would read are left out.
        name: What the member is called.
        ports: For clients, peers and metrics; None: free ones are found at the first start.
        peers: The members of its cluster as etcd's `--initial-cluster` takes them; None: it alone.
        host: Where clients are served, an IP address of loopback.
        tls: How clients are served securely; None: in plain text.

    Attributes:
        host, tls: As given; a change takes effect at the next start.
    """

    def __init__(
        self,
        binary: str | Path,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        name: str = "test",
        ports: Sequence[int] | None = None,
        peers: str | None = None,
        host: str = HOST,
        tls: ServerTLS | None = None,
    ) -> None:
        self.host = host
        self.tls = tls
        self.binary = str(binary)
        self.args = tuple(args)
        self.version = etcd_version(self.binary)
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._in_use: IO[bytes] | None = None
        self._name = name
        self._peers = peers
        self._given_ports = ports
        self._ports: list[int] = list(ports or ())
        self._owner = os.getpid()

    @property
    def version_info(self) -> tuple[int, ...]:
        """The version as numbers: (3, 5, 1)."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:3])

    @property
    def port(self) -> int:
        """Where clients are served; stays the same over stop and start."""
        if not self._ports:
            raise RuntimeError("this etcd was never started")
        return self._ports[0]

    @property
    def endpoint(self) -> str:
        """`host:port` for clients."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def view(self) -> RawEtcd:
        """The tests' own view of it, to be closed."""
        return RawEtcd(self.endpoint)

    @property
    def pid(self) -> int:
        """The process, which must run."""
        return self._running_process().pid

    @property
    def running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._process is not None and self._process.poll() is None

    @property
    def folder(self) -> Path:
        """Where data and log are."""
        if self._folder is None:
            raise RuntimeError("this etcd was never started, or closed")
        return self._folder

    def log(self) -> str:
        """All that etcd has logged so far, over all starts."""
        return (self.folder / "log").read_text(errors="replace")

    def open_calls(self, method: str) -> int:
        """How many calls of a method, such as "Observe", have begun and not ended, as etcd counts.

        Calls that were never made count as none; two services may have methods of one name.
        """
        return self._counted("started", method) - self.ended_calls(method)

    def ended_calls(self, method: str) -> int:
        """How many calls of a method have ended, as etcd counts."""
        return self._counted("handled", method)

    def metrics(self) -> str:
        """All that etcd counts, in the text format of Prometheus."""
        status, text = self._get("/metrics")
        assert status == http.HTTPStatus.OK, f"etcd {self.version} answers {status}"
        return text

    def _counted(self, what: str, method: str) -> int:
        pattern = rf'^grpc_server_{what}_total{{.*grpc_method="{method}".*}} (\S+)$'
        found = re.findall(pattern, self.metrics(), re.MULTILINE)
        return sum(int(float(number)) for number in found)

    def launch(self) -> None:
        """Starts etcd without waiting: a member of a cluster serves when there is a quorum."""
        if self.running:
            raise RuntimeError(f"etcd {self.version} runs already, with pid {self.pid}")
        if self._folder is None:
            self._folder, self._in_use = _work_folder()
            self._ports = list(self._given_ports or free_ports(3))
        self._spawn()

    @property
    def serves(self) -> bool:
        """Whether etcd says that it is healthy: it serves, and there is a quorum."""
        return self.running and self._serves()

    def start(self) -> None:
        """Starts etcd and waits until it serves; again on the same data and ports after a stop.

        Raises:
            AssertionError: It does not serve in time.
            RuntimeError: It runs already, or has ended instead of serving; with the end of its log.
        """
        if self.running:
            raise RuntimeError(f"etcd {self.version} runs already, with pid {self.pid}")
        first = self._folder is None
        for attempts_left in (4, 3, 2, 1, 0):
            self.launch()
            try:
                eventually(
                    lambda: self._serves() or not self.running,
                    START_TIMEOUT,
                    lambda: f"etcd {self.version} does not serve:\n{self._log_end()}",
                )
            except BaseException:
                self.kill()
                raise
            if self.running:
                return
            self._end_process()
            # Somebody was quicker: tests run side by side. Ports once used must stay.
            in_use = "address already in use" in self.log()
            if not (first and attempts_left and in_use and self._given_ports is None):
                raise RuntimeError(f"etcd {self.version} has ended:\n{self._log_end()}")
            self._remove_folder()

    def stop(self) -> None:
        """Ends it as an administrator would (SIGTERM). Open calls may make that take 7 s."""
        process = self._running_process()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
        self._end_process()

    def kill(self) -> None:
        """Ends it at once (SIGKILL), also when it is paused. The data stays."""
        if self.running:
            self._running_process().kill()
        self._end_process()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered. Returns when it stands still."""
        process = self._running_process()
        process.send_signal(signal.SIGSTOP)
        if sys.platform == "linux":
            # Without WNOWAIT the child's later end could not be waited for.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT."""
        self._running_process().send_signal(signal.SIGCONT)

    def restart(self, *, graceful: bool = False) -> None:
        """Ends it (by SIGKILL unless `graceful`) and starts it on the same data and ports."""
        if graceful:
            self.stop()
        else:
            self.kill()
        self.start()

    def close(self) -> None:
        """Kills it and removes its data. Idempotent; in a forked child it does nothing."""
        if os.getpid() != self._owner:
            return
        self.kill()
        self._remove_folder()

    def __enter__(self) -> EtcdServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.running else "not running"
        return f"<EtcdServer {self.version} {state}>"

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"etcd {self.version} is not running")
        return self._process

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        _running.discard(self)

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._in_use is not None:
            self._in_use.close()
            self._in_use = None

    def _command(self) -> list[str]:
        _, peer, metrics = (f"http://{HOST}:{port}" for port in self._ports)
        client = f"{'http' if self.tls is None else 'https'}://{self.endpoint}"
        secure = [] if self.tls is None else self.tls.flags()
        unsafe = ["--unsafe-no-fsync"] if self.version_info >= (3, 5) else []
        return [
            self.binary,
            f"--name={self._name}",
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={self._peers or f'{self._name}={peer}'}",
            # Plain HTTP whatever the clients need, TLS or a password.
            f"--listen-metrics-urls={metrics}",
            "--logger=zap",
            "--log-level=warn",
            *unsafe,
            *secure,
            *self.args,
        ]

    def _environment(self) -> dict[str, str]:
        # etcd reads a setting from every variable that begins so.
        env = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
        if platform.machine() in ("aarch64", "arm64"):
            env["ETCD_UNSUPPORTED_ARCH"] = "arm64"  # asked for by 3.4 only
        return {**env, **self._env}

    def _spawn(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = spawn(
                self._command(), output=log, cwd=self.folder, env=self._environment()
            )
        _running.add(self)

    def _serves(self) -> bool:
        try:
            status, text = self._get("/health")
        except (OSError, http.client.HTTPException):
            return False
        return status == http.HTTPStatus.OK and "true" in text

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(HOST, self._ports[2], timeout=2.0)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def _log_end(self) -> str:
        return "\n".join(self.log().splitlines()[-15:])


@atexit.register
def _end_all() -> None:
    for server in list(_running):
        server.close()
