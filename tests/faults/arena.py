"""A cluster, candidate processes, and a proxy for each process before each member.

Whatever is done here to any of them is written down, at the moment from which or up to which it
surely holds: a process counts as stopped only between both signals, a link as cut from just before
it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import EtcdCluster
from tests.support.process import spawn
from tests.support.proxy import Mode, TcpProxy

from .log import Log
from .secure import Login

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """What all candidates are told."""

    election: str
    ttl: int
    hold: float
    seed: int


class Candidate:
    """A place for candidate processes, one after the other, behind its own proxies.

    Attributes:
        name: Of the present process, which is also the value that it proposes.
        proxies: One before each member.
    """

    def __init__(
        self,
        number: int,
        front: str,
        via: str,
        *,
        cluster: EtcdCluster,
        settings: Settings,
        login: Login | None = None,
        folder: Path,
        log: Log,
    ) -> None:
        self.number = number
        self.front = front
        self.name = ""
        self.proxies = [TcpProxy(endpoint) for endpoint in cluster.endpoints]
        self._via = via
        self._settings = settings
        self._login = login
        self._folder = folder
        self._log = log
        self._incarnation = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether there is a process, be it stopped."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts a process."""
        self._incarnation += 1
        self.name = f"w{self.number}.{self._incarnation}"
        settings = self._settings
        facts = {
            "name": self.name,
            "log": self._folder / f"{self.name}.log",
            "endpoints": ",".join(proxy.endpoint for proxy in self.proxies),
            "election": settings.election,
            "ttl": settings.ttl,
            "via": self._via,
            "front": self.front,
            "hold": settings.hold,
            "seed": settings.seed * 1000 + self.number * 100 + self._incarnation,
        }
        command = [sys.executable, "-m", "tests.faults.worker"]
        command += [f"--{key}={value}" for key, value in facts.items()]
        if self._login is not None:
            command.append(f"--login={self._login}")
        self._log.write("process", name=self.name, number=self.number, state="running")
        with (self._folder / "output").open("ab") as output:
            self._process = spawn(command, output=output, cwd=ROOT, stdin=subprocess.PIPE)

    def stop(self) -> None:
        """SIGSTOP; returns when it stands still."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._stopped = True
        self._log.write("process", name=self.name, number=self.number, state="stopped")

    def resume(self) -> None:
        """SIGCONT."""
        if self._stopped and self._process is not None:
            self._log.write("process", name=self.name, number=self.number, state="running")
            self._process.send_signal(signal.SIGCONT)
        self._stopped = False

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self.running:
            at = time.monotonic()
            self._process.kill()
            self._process.wait()
            self._log.write("process", t=at, name=self.name, number=self.number, state="killed")
            self._hang_up()
        self._stopped = False

    def order(self, text: str) -> None:
        """Tells it to suffer something."""
        process = self._process
        if process is not None and process.stdin is not None and self.running:
            # It may end just now.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(text.encode() + b"\n")
                process.stdin.flush()

    def _hang_up(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def quit(self) -> None:
        """Tells it to end in good order."""
        self._log.write("quit", name=self.name)
        self.order("quit")

    def join(self, timeout: float) -> int | None:
        """Waits for its end; returns its exit status, None if it goes on."""
        if self._process is None:
            return 0
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._log.write("process", name=self.name, number=self.number, state="ended", status=status)
        return status

    def cut(self, member: int, mode: str, delay: float) -> None:
        """Makes a link behave so from now on."""
        proxy = self.proxies[member]
        passes = mode in ("pass", "delay", "stale", "reset")
        if not passes:
            self._log.write("link", number=self.number, member=member, mode=mode)
        if mode == "reset":
            proxy.reset()
        elif mode == "refuse":
            proxy.cut()
        else:
            proxy.delay = delay
            proxy.mode = Mode(mode)
        if passes:
            self._log.write("link", number=self.number, member=member, mode=mode)

    def close(self) -> None:
        """Ends process and proxies."""
        self.kill()
        self._hang_up()
        for proxy in self.proxies:
            proxy.close()
