"""The guardian: runs the command of ``etcd-election run``, and ends it in time, whatever happens.

A process of its own, in a session of its own, of this one file and the standard library: started
before a connection is made, so that nothing forks beside gRPC's threads. It is the parent of the
command, so no number of a process group is signalled that may mean another one by now.

One term of leadership::

    idle    --R-----------------------------> running   the command starts, in a group of its own
    running --a grace before the deadline---> ending    TERM to the group, KILL before the deadline
    running --E, or its first process ended-> ending    TERM; KILL after the grace, or before the
                                                        deadline if that comes first
    any     --the socket's end--------------> killing   KILL: whoever renewed the lease is dead
    ending, killing --nobody is left--------> idle      Z

It is spoken to over a socket, in lines::

    R <deadline> <grace> <words> <bytes>    run: then <bytes> of words (the command's, then the
                                            environment's), each with a NUL behind it
    D <deadline>                            the lease was renewed
    E                                       leadership is lost
    S <number>                              a signal to pass on to the group

and answers::

    P <pid>                                 started; the number of its group, too
    F <errno>                               could not be started
    Z <status> <told>                       over, the whole group is gone: the status of its first
                                            process as a shell counts it; 1 if that had been told to
                                            end, 0 if it ended by itself

Deadlines are readings of the clock by which the library believes: it goes on while the machine
sleeps.

Not guaranteed: anything about processes that leave the group (``setsid``, daemons), or where the
guardian itself is killed together with the one that started it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

AHEAD = 0.1
"""KILL is sent so long before the deadline: seconds for the system to carry it out."""
LONGEST = 0.5
"""Waits do not count a suspend; after one, whatever is due is done at most so late."""
POLL = 0.02
"""How often is looked whether anybody of an ending group is left."""

OURS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""Meant for the command when they are sent to everybody, and so passed on by whom they reach."""

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux."""


def clock() -> float:
    """The same as the library's (``_core/timing.py``), which is out of reach here."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
    return time.monotonic()


class Term:
    """When the command of one term is to be ended. Pure: the time is passed in.

    Args:
        deadline: The lease's local deadline.
        grace: Seconds between TERM and KILL.

    Attributes:
        ending: True once it has been decided that the group must go.
        told: True once it was signalled to.
    """

    def __init__(self, deadline: float, grace: float) -> None:
        self.ending = False
        self.told = False
        self._deadline = deadline
        self._grace = grace
        self._kill_at = deadline - AHEAD

    def renewed(self, deadline: float) -> None:
        """The lease lasts longer. For a command that was told to end that comes too late."""
        if not self.ending:
            self._deadline = deadline

    def end(self, now: float) -> None:
        """The group must go."""
        if not self.ending:
            self.ending = True
            self._kill_at = min(now + self._grace, self._deadline - AHEAD)

    def due(self, now: float) -> signal.Signals | None:
        """The signal to send now, if any: TERM once, KILL again and again."""
        if now >= self._deadline - self._grace:
            self.end(now)
        if not self.ending:
            return None
        asked, self.told = self.told, True
        if now >= self._kill_at:
            return signal.SIGKILL
        return None if asked else signal.SIGTERM

    def wait(self, now: float) -> float:
        """Seconds until something is due."""
        at = self._kill_at if self.ending else self._deadline - self._grace
        return max(0.0, at - now)


class Group:
    """The process group of a command that runs.

    Attributes:
        pid: Of its first process, and the number of the group.
        status: What its first process ended with, as a shell counts it; None while it runs.
        told: True if that had been told to end before.
    """

    def __init__(self, pid: int, term: Term) -> None:
        self.pid = pid
        self.status: int | None = None
        self.told = False
        self.term = term

    def send(self, number: int) -> bool:
        """Signals the group; False if there is nobody left."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # who has changed its user, or (on macOS) is a zombie
            return True
        return True

    def act(self, now: float) -> None:
        """Sends what is due."""
        number = self.term.due(now)
        if number is not None:
            self.send(number)
        if number is signal.SIGTERM:
            # A stopped process would not hear it.
            self.send(signal.SIGCONT)

    def ended(self, status: int, now: float) -> None:
        """Its first process is over; what it leaves behind must go as well."""
        code = os.waitstatus_to_exitcode(status)
        self.status = code if code >= 0 else 128 - code
        self.told = self.term.told
        self.term.end(now)

    @property
    def gone(self) -> bool:
        """True when nobody is left. Until its first process was reaped, that is one."""
        return self.status is not None and not self.send(0)


class Guardian:
    """Guards one command after the other, as it is told over the socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._said = bytearray()
        self._deserted = False
        self._group: Group | None = None
        # Ignored before we came: so the command is to find them, as with nohup.
        heeded = [number for number in OURS if signal.getsignal(number) is not signal.SIG_IGN]
        # Python ignores the first two itself.
        self._defaults = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, *heeded]
        for number in OURS:
            signal.signal(number, signal.SIG_IGN)
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _waken)

    def run(self) -> None:
        """Until the socket's end, and until nobody of the last group is left."""
        while self._group is not None or not self._deserted:
            said = self._channel.fileno()
            heard = [self._wake] if self._deserted else [self._wake, said]
            ready, _, _ = select.select(heard, [], [], self._patience())
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            # In this order: whoever was kept from running may have been told of a renewal.
            if said in ready:
                self._hear()
            self._look()

    def _patience(self) -> float | None:
        if self._group is None:
            return None
        if self._deserted or self._group.status is not None:
            return POLL
        return min(LONGEST, self._group.term.wait(clock()))

    def _look(self) -> None:
        """Reaps who has ended, and sends what is due."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                if self._group is not None and pid == self._group.pid:
                    self._group.ended(status, clock())
        group = self._group
        if group is None:
            return
        if self._deserted:
            group.send(signal.SIGKILL)
        else:
            group.act(clock())
        if group.gone:
            self._group = None
            self._tell(f"Z {group.status} {group.told:d}")

    def _hear(self) -> None:
        """Takes what was said; the socket's end is the end of whoever renews the lease."""
        try:
            said = self._channel.recv(1 << 16)
        except OSError:
            said = b""
        if not said:
            self._deserted = True
            return
        self._said += said
        while b"\n" in self._said:
            line, _, rest = bytes(self._said).partition(b"\n")
            word, *facts = line.decode("ascii").split(" ")
            if word == "R":
                size = int(facts[3])
                if len(rest) < size:
                    return
                words, rest = rest[:size].split(b"\0")[:-1], rest[size:]
                self._start(float(facts[0]), float(facts[1]), words, int(facts[2]))
            elif self._group is not None:
                self._obey(self._group, word, facts)
            self._said = bytearray(rest)

    def _obey(self, group: Group, word: str, facts: list[str]) -> None:
        if word == "D":
            group.term.renewed(float(facts[0]))
        elif word == "E":
            group.term.end(clock())
        elif word == "S":
            group.send(int(facts[0]))

    def _start(self, deadline: float, grace: float, words: list[bytes], count: int) -> None:
        command = words[:count]
        environment = dict(entry.split(b"=", 1) for entry in words[count:])
        term = Term(deadline, grace)
        if term.due(clock()) is not None:
            # Too late: we, or whoever asks, stood still meanwhile.
            self._tell(f"Z {128 + signal.SIGTERM} 1")
            return
        try:
            pid = os.posix_spawnp(
                command[0], command, environment, setpgroup=0, setsigdef=self._defaults
            )
        except OSError as error:
            self._tell(f"F {error.errno}")
            return
        self._group = Group(pid, term)
        self._tell(f"P {pid}")

    def _tell(self, line: str) -> None:
        # Where nobody listens any more, the socket's end says so.
        with contextlib.suppress(OSError):
            self._channel.sendall(line.encode("ascii") + b"\n")


def _waken(_number: int, _frame: object) -> None:
    """Only a signal with a handler ends a wait."""


def adopt() -> None:
    """Has orphans of the command become our children, on Linux.

    They would stay in its group as zombies where nobody reaps them, as in many containers.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - some Pythons lack it, and go without

        prctl: Callable[..., int] = ctypes.CDLL(None).prctl
        prctl(_SUBREAPER, 1, 0, 0, 0)


def main() -> None:
    """Guards over the socket whose number is the argument."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    adopt()
    Guardian(channel).run()


if __name__ == "__main__":
    main()
