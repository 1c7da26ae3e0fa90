"""``run``: a command that runs only while this host leads."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from .. import CampaignTimeout, ElectionClient, Leadership, NotLeader, SessionExpired
from .connecting import Connection
from .exits import Exit, by_signal
from .guarding import Guard
from .signals import Phase, Signals
from .supervising import Job, Supervisor
from .voice import Voice

_AGAIN = 0.01
"""Seconds between two tries to stop a ``run()`` that is about to begin."""


def run(
    connection: Connection, name: str, job: Job, voice: Voice, *, once: bool, wait: float | None
) -> int:
    """Runs the job in every term, until it ends by itself or a signal ends us.

    Args:
        connection: How etcd is reached.
        name: The election.
        job: What to run.
        voice: What to say it with.
        once: One term is all.
        wait: Seconds in which to be elected, with ``once``; None: for ever.

    Returns:
        The exit code.
    """
    missing = _missing(job.command[0])
    if missing is not None:
        voice.error(f"cannot run {job.command[0]!r}: {missing[1]}; check the words after --")
        return missing[0]
    with ExitStack() as stack:
        # First: it is to start while nothing of gRPC is at work.
        guard = stack.enter_context(Guard())
        client = stack.enter_context(connection.client(name, job.ttl))
        signals = stack.enter_context(Signals(client))
        supervisor = Supervisor(client, job, guard, signals, voice)
        limit = Limit(client, wait)
        try:
            if wait == 0:
                with client.lead(job.value, timeout=0) as leadership:
                    supervisor.lead(leadership)
            else:
                with limit:
                    client.run(limit.within(supervisor), job.value, once=once)
        except CampaignTimeout:
            limit.over = True
        except (SessionExpired, NotLeader):
            if not supervisor.led:
                raise
        signals.phase = Phase.OVER
        return _outcome(supervisor, signals, limit, name, voice)


def _outcome(
    supervisor: Supervisor, signals: Signals, limit: Limit, name: str, voice: Voice
) -> int:
    if supervisor.status is not None:
        return supervisor.status
    if signals.stopped is not None:
        return by_signal(signals.stopped)
    if limit.over:
        voice.warn(
            f"not elected in {name!r} in time; who leads shows: etcd-election leader {name}",
            "not-elected",
        )
        return Exit.NOT_ELECTED
    return Exit.LOST


def _missing(program: str) -> tuple[int, str] | None:
    """Why a program cannot be run, as far as can be seen now; None if it can."""
    if shutil.which(program) is not None:
        return None
    if "/" in program and Path(program).exists():
        return Exit.NOT_EXECUTABLE, "it is no file that may be executed"
    return Exit.NOT_FOUND, "there is no such program"


class Limit:
    """Stops a ``run()`` that is not elected in time.

    Args:
        client: Whose.
        seconds: For being elected; None: for ever.

    Attributes:
        over: True when the time has passed without.
    """

    def __init__(self, client: ElectionClient, seconds: float | None) -> None:
        self.over = False
        self._client = client
        self._seconds = seconds
        self._lock = threading.Lock()
        self._done = threading.Event()

    def within(self, supervisor: Supervisor) -> Callable[[Leadership], None]:
        """What leads if it is elected in time."""

        def lead(leadership: Leadership) -> None:
            with self._lock:
                self._done.set()
                late = self.over
            if not late:
                supervisor.lead(leadership)

        return lead

    def __enter__(self) -> Limit:
        if self._seconds is not None:
            threading.Thread(target=self._watch, name="etcd-election-limit", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()

    def _watch(self) -> None:
        if self._done.wait(self._seconds):
            return
        with self._lock:
            if self._done.is_set():
                return
            self.over = True
        while not self._client.stop() and not self._done.wait(_AGAIN):
            pass
